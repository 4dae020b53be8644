"""A queue that keeps its timeouts."""

from __future__ import annotations

import threading
import time
from queue import Empty

import pytest

from smithers.engine.mailbox import Mailbox


@pytest.mark.timeout(20)
def test_a_wait_ends_however_short_it_is() -> None:
    for number in range(2_000):
        box = Mailbox[int]()
        box.put(1)
        assert box.get_nowait() == 1  # an old bell is left behind
        with pytest.raises(Empty):
            box.get(timeout=10 ** -(3 + number % 7))


def test_a_wait_is_as_long_as_was_asked_for_in_spite_of_an_old_bell() -> None:
    box = Mailbox[int]()
    box.put(1)
    assert box.get_nowait() == 1
    began = time.monotonic()
    with pytest.raises(Empty):
        box.get(timeout=0.05)
    assert time.monotonic() - began >= 0.05


def test_it_gives_what_was_put_in_order_and_says_when_there_is_nothing() -> None:
    box = Mailbox[int]()
    assert box.empty()
    with pytest.raises(Empty):
        box.get_nowait()
    for number in range(3):
        box.put(number)
    assert [box.get(timeout=0), box.get_nowait(), box.get()] == [0, 1, 2]


def test_nothing_that_many_writers_put_is_lost_and_no_reader_sleeps_on() -> None:
    box, writers, each = Mailbox[int](), 8, 2_000

    def write(first: int) -> None:
        for number in range(each):
            box.put(first + number)

    threads = [threading.Thread(target=write, args=(n * each,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    found = [box.get(timeout=10) for _ in range(writers * each)]
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(writers * each))
    assert box.empty()
