"""The queue of what agents say: what it merges, what it leaves out, and when it gives out a batch."""

from __future__ import annotations

import threading
import time

from smithers.engine.moments import Limits, Moments, Plain, Speaker, Speech
from smithers.ids import NodeKey
from smithers.ports import NoticeEvent, UsageEvent
from smithers.records import Usage
from smithers.records.transcript import Conversation, EntryKind


def speaker(attempt: int = 1) -> Speaker:
    return Speaker(Conversation(7, NodeKey("a"), 0, attempt, "x", 0))


def say(queue: Moments, one: Speaker, text: str) -> None:
    queue.say(one, text, 0, is_reasoning=False)


def test_texts_of_two_speakers_are_merged_each_by_itself() -> None:
    queue, one, other = Moments(Limits(batch_s=0)), speaker(), speaker()
    for text in ("a", "b"):
        say(queue, one, text)
        say(queue, other, text.upper())
    assert [moment.payload for moment in queue.take()] == [
        Speech(["a", "b"], is_reasoning=False),
        Speech(["A", "B"], is_reasoning=False),
    ]
    say(queue, one, "c")
    (moment,) = queue.take()
    assert (moment.payload, moment.serial) == (Speech(["c"], is_reasoning=False), 3)


def test_a_batch_waits_for_more_unless_it_is_full_or_the_queue_closes() -> None:
    queue, one = Moments(Limits(batch_s=60, batch_events=3)), speaker()
    for text in "abc":
        queue.put(one, NoticeEvent(text), 0)
    assert len(queue.take()) == 3
    queue.limits = Limits(batch_s=60, batch_characters=10)
    say(queue, one, "x" * 10)
    assert len(queue.take()) == 1
    queue.put(one, NoticeEvent("x"), 0)
    queue.close()
    assert len(queue.take()) == 1
    assert queue.take() == []


def test_a_batch_does_not_wait_longer_than_it_may() -> None:
    queue, one = Moments(Limits(batch_s=0.05)), speaker()
    queue.put(one, NoticeEvent("x"), 0)
    began = time.monotonic()
    assert len(queue.take()) == 1
    assert 0.04 < time.monotonic() - began < 20


def test_who_waits_for_a_batch_is_woken_by_the_first_of_it() -> None:
    queue, one, taken = Moments(Limits(batch_s=0)), speaker(), []
    thread = threading.Thread(target=lambda: taken.extend(queue.take()))
    thread.start()
    queue.put(one, NoticeEvent("x"), 0)
    thread.join(30)
    assert len(taken) == 1


def test_a_full_queue_takes_only_what_says_how_a_turn_stands_and_counts_the_rest() -> None:
    queue, one, other = Moments(Limits(batch_s=0, queue_events=2)), speaker(1), speaker(2)
    for text in ("1", "22", "333"):
        queue.put(one, NoticeEvent(text), 0, len(text))
    say(queue, other, "4444")
    queue.put(one, UsageEvent(Usage(1)), 0, is_vital=True)
    queue.put(one, Plain(EntryKind.REPLY, "", {}), 0, is_vital=True)
    queue.put(one, Plain(EntryKind.ERROR, "too much", {}), 0, 8, is_vital=True)
    *kept, first, second = queue.take()
    assert [moment.serial for moment in kept] == [1, 2, 4, 5]
    assert first.payload == Plain(EntryKind.LEFT_OUT, "", {"why": "queue", "events": 2, "characters": 11})
    assert second.payload == Plain(EntryKind.LEFT_OUT, "", {"why": "queue", "events": 1, "characters": 4})
    queue.put(one, NoticeEvent("5"), 0)
    assert len(queue.take()) == 1


def test_a_queue_of_too_many_characters_leaves_texts_out() -> None:
    queue, one = Moments(Limits(batch_s=0, queue_characters=10)), speaker()
    for text in ("12345", "12345", "1"):
        say(queue, one, text)
    said, left = queue.take()
    assert said.payload == Speech(["12345", "12345"], is_reasoning=False)
    assert left.payload == Plain(EntryKind.LEFT_OUT, "", {"why": "queue", "events": 1, "characters": 1})
