"""The thread that delivers beside the runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.errors import StoreFull
from smithers.notify.courier import Courier
from smithers.notify.setting import Settings
from smithers.records import NoticeKind, NoticeWrite
from smithers.store import open_store
from tests.contract.store_contract import Drive, World

FAILED = NoticeWrite(NoticeKind.FAILED, '{"title":"r1 failed"}')


class Post:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(lambda clock: open_store(folder / "smithers.db", clock=clock))
        self.world.clock.wall_ms = SystemClock().now_ms()
        self.drive: Drive = self.world.create()
        self.told = folder / "told"

    def cause(self) -> None:
        self.drive.commit(notices=[FAILED])

    def courier(self, command: str, **more: Any) -> Courier:
        store = open_store(self.folder / "smithers.db", clock=SystemClock())
        settings = Settings(self.folder / "config.toml", self.folder, command)
        return Courier(settings, more.pop("open", store.notices), store.path, SystemClock(), **more)

    def states(self) -> list[str]:
        return [row.state for row in self.world.reader.notices(None, 10)]

    def lines(self) -> int:
        return self.told.read_text().count("\n") if self.told.exists() else 0


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    found = Post(tmp_path)
    yield found
    found.world.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def test_what_was_left_is_delivered_at_the_start_and_the_rest_when_it_is_woken(post: Post) -> None:
    post.cause()
    courier = post.courier("echo >> told")
    courier.start()
    courier.start()
    until(lambda: post.lines() == 1)
    post.cause()
    courier.wake()
    until(lambda: post.lines() == 2)
    assert courier.close() is None
    assert post.states() == ["sent", "sent"]


def test_one_that_leaves_at_once_has_delivered_what_was_due(post: Post) -> None:
    post.cause()
    post.cause()
    courier = post.courier("echo >> told")
    courier.wake()
    assert courier.close() is None
    assert post.lines() == 2


def test_what_falls_due_while_it_leaves_is_waited_for(post: Post) -> None:
    post.cause()
    courier = post.courier("echo >> told; test $(wc -l < told) -gt 1")  # fails once
    courier.start()
    assert courier.close() is None
    assert post.lines() == 2
    assert post.states() == ["sent"]


def test_leaving_takes_no_longer_than_it_may_and_says_what_is_left(post: Post) -> None:
    post.cause()
    courier = post.courier("sleep 60")
    courier.start()
    begun = time.monotonic()
    left = courier.close(0.5)
    assert time.monotonic() - begun < 5
    assert left is not None
    assert (left.left, post.states()) == (1, ["waiting"])
    assert "killed as there was no time left" in str(left.error)
    again = post.courier("echo >> told")
    again.start()
    assert again.close() is None  # due at once: no claim stands in the way
    assert post.lines() == 1


def test_one_that_cannot_wait_for_the_next_try_leaves_early(post: Post) -> None:
    post.cause()
    courier = post.courier("exit 3")
    courier.start()
    begun = time.monotonic()
    left = courier.close(0.7)
    assert left is not None
    assert time.monotonic() - begun < 5
    assert left.error == "the command left with exit code 3"


def test_one_that_was_never_started_has_nothing_to_do(post: Post) -> None:
    before = threading.active_count()
    courier = post.courier("echo >> told")
    assert courier.close() is None
    courier.wake()
    assert threading.active_count() == before


def test_two_of_them_deliver_each_notice_once(post: Post) -> None:
    for _ in range(10):
        post.cause()
    couriers = [post.courier("echo >> told") for _ in range(3)]
    for courier in couriers:
        courier.start()
    for courier in couriers:
        courier.close()
    until(lambda: post.states() == ["sent"] * 10)
    assert post.lines() == 10


def test_an_outbox_that_cannot_be_used_is_tried_again(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("smithers.notify.courier.FAULT_SLEEP_S", 0.01)
    post.cause()
    tried = []

    def open_it() -> Any:
        tried.append(1)
        if len(tried) < 3:
            raise StoreFull("no room")
        return open_store(post.folder / "smithers.db", clock=SystemClock()).notices()

    courier = post.courier("echo >> told", open=open_it)
    with caplog.at_level(logging.WARNING, "smithers"):
        courier.start()
        until(lambda: post.lines() == 1)
        assert courier.close() is None
    assert caplog.text == ""


def test_one_that_leaves_an_outbox_that_cannot_be_used_does_not_stay(post: Post) -> None:
    def open_it() -> Any:
        raise StoreFull("no room")

    courier = post.courier("echo >> told", open=open_it)
    courier.start()
    begun = time.monotonic()
    assert courier.close() is None
    assert time.monotonic() - begun < 3


def test_a_wait_that_no_longer_stands_is_left_out(post: Post) -> None:
    post.cause()
    courier = post.courier("echo >> told", still_stands=lambda row: False)
    courier.start()
    assert courier.close() is None
    assert (post.states(), post.lines()) == (["void"], 0)


def test_a_machine_without_room_for_a_thread_holds_up_no_run(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    post.cause()
    courier = post.courier("echo >> told")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        courier.wake()
    courier.wake()
    assert courier.close() is None
    assert post.lines() == 1


def test_one_that_cannot_be_broken_off_is_left_and_said(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smithers.notify.courier._BREAK_OFF_S", 0.05)
    post.cause()
    go = threading.Event()

    def wait(row: object) -> bool:
        return go.wait(20)

    courier = post.courier("echo >> told", still_stands=wait)
    courier.start()
    left = courier.close(0.05)
    assert left == (1, 0, None, "it takes too long")
    go.set()
    until(lambda: "smithers-courier" not in [thread.name for thread in threading.enumerate()])
