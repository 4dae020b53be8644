"""What becomes of a notice that is due."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from smithers.errors import NotifyInvalid
from smithers.ids import NodeKey
from smithers.notify.delivery import FIRST_DELAY_MS, LIFE_MS, Delivery, deliver_due
from smithers.notify.setting import Settings
from smithers.records import NoticeKind, NoticeRow, NoticeWrite, Vote, WaitKind, WaitRef, WaitWrite
from smithers.store import open_store
from smithers.store.notice import LONGEST_MS, SqliteNotices
from tests.contract.store_contract import World
from tests.unit.notify.stage import StandIn

FAILED = NoticeWrite(NoticeKind.FAILED, '{"title":"r1 failed"}')
SHIP = NoticeWrite(NoticeKind.APPROVAL, '{"title":"Ship?","decisions":["approve"]}', NodeKey("ship"))


class Post:
    """A store with an outbox, and the ways that are asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(lambda clock: open_store(folder / "smithers.db", clock=clock))
        self.outbox: SqliteNotices = self.world.store.notices()
        self.ways = [StandIn()]
        self.settings = Settings(folder / "config.toml", folder, url="https://box.test")

    def cause(self, *notices: NoticeWrite) -> None:
        waits = [
            WaitWrite(WaitRef(one.key, one.generation, one.number), WaitKind.APPROVAL, 1, None, "{}")
            for one in notices
            if one.key is not None
        ]
        self.world.create().commit(notices=list(notices), waits=waits)

    def decide(self) -> None:
        """Somebody approves what the notice is about."""
        (row,) = self.world.reader.open_waits()
        with closing(self.world.store.outsider()) as outsider:
            outsider.vote(Vote(row.run, row.ref, "approve", {"approved": True}, "ann"))

    def deliver(self, stop: Event | None = None, **more: Any) -> None:
        delivery = Delivery(
            self.settings,
            self.outbox,
            self.folder / "smithers.db",
            self.world.clock,
            ways=self.ways,
            **more,
        )
        delivery.deliver_due(stop or Event())

    def rows(self) -> list[NoticeRow]:
        return self.world.reader.notices(None, 100)[::-1]

    def close(self) -> None:
        self.outbox.close()
        self.world.close()


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    found = Post(tmp_path)
    yield found
    found.close()


def test_what_is_due_is_sent_once_the_oldest_first(post: Post) -> None:
    post.cause(FAILED, SHIP)
    post.deliver()
    post.deliver()
    assert [letter.title for letter in post.ways[0].letters] == ["r1 failed", "Ship?"]
    assert [row.state for row in post.rows()] == ["sent", "sent"]


def test_a_failure_is_tried_again_later_and_later(post: Post) -> None:
    post.cause(FAILED)
    post.ways[0].failures = ["no"] * 13
    delays = []
    for _ in range(13):
        post.deliver()
        (row,) = post.rows()
        assert row.next_ms is not None
        assert row.error == "no"
        delays.append(row.next_ms - post.world.clock.now_ms())
        post.world.clock.advance(delays[-1] - 1)
        post.deliver()  # too early
        post.world.clock.advance(1)
    assert delays == [min(FIRST_DELAY_MS * 2**n, LONGEST_MS) for n in range(13)]
    assert post.ways[0].tried == 13
    post.deliver()
    assert [row.state for row in post.rows()] == ["sent"]
    assert post.rows()[0].error is None


def test_after_a_day_it_is_given_up_and_keeps_its_error(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.cause(FAILED)
    post.ways[0].failures = ["no", "still no"]
    post.deliver()
    post.world.clock.advance(LIFE_MS)
    with caplog.at_level(logging.WARNING, "smithers"):
        post.deliver()
    (row,) = post.rows()
    assert (row.state, row.error, row.tries) == ("given-up", "still no", 2)
    assert "the notice of r1 (failed) was given up after 2 tries: still no" in caplog.text
    post.world.clock.advance(LIFE_MS)
    post.deliver()
    assert post.ways[0].tried == 2


def test_one_that_was_left_for_days_is_tried_once_more(post: Post) -> None:
    post.cause(FAILED)
    post.world.clock.advance(3 * LIFE_MS)
    post.deliver()
    assert [row.state for row in post.rows()] == ["sent"]


def test_who_fails_again_and_again_is_said_once(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.cause(FAILED)
    post.ways[0].failures = ["no"] * 8
    delivery = Delivery(
        post.settings, post.outbox, post.folder / "smithers.db", post.world.clock, ways=post.ways
    )
    with caplog.at_level(logging.WARNING, "smithers"):
        for _ in range(8):
            delivery.deliver_due(Event())
            post.world.clock.advance(LONGEST_MS)
    assert caplog.text.count("is not delivered yet: no") == 1


def test_a_notice_that_fails_holds_up_no_other(post: Post) -> None:
    post.cause(FAILED, SHIP)
    post.ways[0].failures = ["no"]
    post.deliver()
    assert [row.state for row in post.rows()] == ["waiting", "sent"]


def test_a_way_that_has_taken_it_is_not_asked_again(post: Post) -> None:
    post.ways = [StandIn("webhook"), StandIn("command", ["no"])]
    post.cause(FAILED)
    post.deliver()
    assert post.rows()[0].taken == ("webhook",)
    post.world.clock.advance(FIRST_DELAY_MS)
    post.deliver()
    assert [way.tried for way in post.ways] == [1, 2]
    assert (post.rows()[0].taken, post.rows()[0].state) == (("webhook", "command"), "sent")


def test_a_way_that_is_not_owed_keeps_nothing_waiting(post: Post) -> None:
    post.ways = [StandIn("desktop", ["no desktop"], is_owed=False), StandIn()]
    post.cause(FAILED)
    post.deliver()
    assert (post.rows()[0].taken, post.rows()[0].state) == (("command",), "sent")


def test_a_fault_of_ours_in_one_way_stops_no_other_and_its_text_is_not_stored(post: Post) -> None:
    post.ways = [StandIn("webhook", [ZeroDivisionError("T0PSECRET")]), StandIn()]
    post.cause(FAILED)
    post.deliver()
    assert (post.rows()[0].taken, post.rows()[0].error) == (
        ("command",),
        "the webhook raised ZeroDivisionError",
    )


def test_a_wait_that_somebody_has_decided_is_not_told_of_any_more(post: Post) -> None:
    post.cause(SHIP)
    post.decide()
    post.deliver()
    assert [row.state for row in post.rows()] == ["void"]
    assert post.ways[0].tried == 0


def test_a_wait_that_is_answered_meanwhile_is_not_told_of(post: Post) -> None:
    post.cause(SHIP, FAILED)
    asked: list[tuple[NodeKey | None, int]] = []

    def still_stands(row: NoticeRow) -> bool:
        asked.append((row.key, row.number))
        return row.key is None

    post.deliver(still_stands=still_stands)
    assert asked == [(NodeKey("ship"), 0), (None, 0)]
    assert [row.state for row in post.rows()] == ["void", "sent"]
    assert post.ways[0].tried == 1


def test_while_it_is_delivered_nobody_else_delivers_it(post: Post) -> None:
    post.cause(FAILED)
    seen = []

    def look() -> None:
        with closing(post.world.store.notices()) as other:
            seen.append(other.due(post.world.clock.now_ms()))

    post.ways[0].meanwhile = look
    post.deliver()
    assert seen == [None]


def test_a_process_that_dies_while_it_delivers_holds_it_up_for_as_long_as_it_may_take(post: Post) -> None:
    post.cause(FAILED)

    class Death(BaseException):
        pass

    def die() -> None:
        raise Death

    post.ways[0].meanwhile = die
    with pytest.raises(Death):
        post.deliver()
    post.ways[0].meanwhile = lambda: None
    post.deliver()
    assert post.ways[0].letters == []
    post.world.clock.advance(6_000)
    post.deliver()
    assert len(post.ways[0].letters) == 1


def test_what_is_broken_off_is_due_again_at_once(post: Post) -> None:
    post.cause(FAILED, FAILED)
    stop = Event()
    post.ways[0].failures = ["no time"]
    post.ways[0].meanwhile = stop.set
    post.deliver(stop)
    assert post.ways[0].tried == 1
    assert post.outbox.due(post.world.clock.now_ms()) is not None


def test_a_key_that_others_can_read_makes_no_links_and_says_why(post: Post) -> None:
    key = post.folder / "links.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o644)
    post.cause(SHIP)
    post.deliver()
    assert "others can read" in str(post.rows()[0].error)
    key.chmod(0o600)
    post.world.clock.advance(FIRST_DELAY_MS)
    post.deliver()
    assert b"https://box.test/links/s1." in post.ways[0].letters[0].body


def test_no_link_is_ever_stored(post: Post) -> None:
    post.cause(SHIP)
    post.deliver()
    assert b'"links"' in post.ways[0].letters[0].body
    assert "s1." not in str(post.rows())


# --- Without an engine --------------------------------------------------------------------------


def test_a_process_that_drives_nothing_delivers_what_is_due(post: Post) -> None:
    post.cause(FAILED)
    nowhere = {"XDG_CONFIG_HOME": str(post.folder / "nowhere")}
    store, config = post.folder / "smithers.db", post.folder / "config.toml"
    assert deliver_due(store, environment=nowhere) is None
    config.write_text('[notify]\ncommand = "cat >> told"')
    assert deliver_due(store, environment=nowhere) == (0, 0, None, None)
    assert '"r1 failed"' in (post.folder / "told").read_text()
    config.write_text("[notify]\ncommand = 3")
    with pytest.raises(NotifyInvalid):
        deliver_due(store, environment=nowhere)


def test_delivering_imports_neither_the_engine_nor_pydantic() -> None:
    program = (
        "import sys, smithers.notify.delivery, smithers.notify.webhook, smithers.notify.command\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {".".join(name.split(".")[:2]) for name in done.stdout.split()}
    assert not {"smithers.engine", "smithers.nodes", "pydantic", "click", "asyncio"} & loaded
