"""The recorder: what it is told is written by its own thread, and nothing it meets stops whoever tells it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from smithers.engine.moments import Limits, Moment, Speaker
from smithers.engine.transcript import UNRECORDED, TranscriptRecorder
from smithers.engine.transcript_writer import TranscriptWriter
from smithers.errors import AgentQuota
from smithers.ids import NodeKey
from smithers.ports import (
    AgentReply,
    NoticeEvent,
    RetryEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.records import Usage
from smithers.records.redaction import MARK
from smithers.records.transcript import Conversation, EntryKind
from smithers.testing import FakeClock
from tests.unit.engine.kept import Kept, Recording

KEY = "sk-ant-api03-" + "a1B2" * 20


def test_a_conversation_is_written_as_it_went() -> None:
    recording = Recording()
    talk = recording.attempt()
    talk.prompt("Draft it.")
    talk.event(SessionEvent("s-1"))
    recording.clock.advance(1.5)
    talk.event(TextEvent("hm", is_reasoning=True))
    talk.event(TextEvent("I look."))
    talk.event(ToolCallEvent("c1", "Read", {"path": "ä.py", "lines": [1, 2]}))
    talk.event(ToolResultEvent("c1", "no such file", is_error=True))
    talk.event(RetryEvent("throttle", "429", 1, 2.5))
    talk.event(NoticeEvent("denied"))
    talk.event(UsageEvent(Usage(10, 5, cost_usd=0.25, cost_source="cli")))
    talk.end(AgentReply("done"))
    talk.prompt("Again.", 1)
    talk.end("yes")
    kept = recording.close()
    began, later = recording.clock.now_ms() - 1500, recording.clock.now_ms()
    assert kept.of() == [
        (1, 0, EntryKind.PROMPT, began, "Draft it.", ""),
        (2, 0, EntryKind.SESSION, began, "s-1", ""),
        (3, 0, EntryKind.REASONING, later, "hm", ""),
        (4, 0, EntryKind.TEXT, later, "I look.", ""),
        (5, 0, EntryKind.TOOL_CALL, later, '{"path":"ä.py","lines":[1,2]}', '{"id":"c1","name":"Read"}'),
        (6, 0, EntryKind.TOOL_RESULT, later, "no such file", '{"id":"c1","is_error":true}'),
        (7, 0, EntryKind.RETRY, later, "429", '{"reason":"throttle","attempt":1,"delay_s":2.5}'),
        (8, 0, EntryKind.NOTICE, later, "denied", ""),
        (
            9,
            0,
            EntryKind.USAGE,
            later,
            "",
            '{"input_tokens":10,"output_tokens":5,"cost_usd":0.25,"cost_source":"cli"}',
        ),
        (10, 0, EntryKind.REPLY, later, "done", ""),
        (11, 1, EntryKind.PROMPT, later, "Again.", ""),
        (12, 1, EntryKind.REPLY, later, "yes", ""),
    ]
    (conversation,) = {conversation for conversation, _ in kept.entries}
    assert (conversation.run, conversation.key, conversation.generation) == (7, ("draft", "", 2), 1)
    assert (conversation.attempt, conversation.agent, conversation.began_ms) == (1, "codex", began)
    assert kept.closed == 1


class Answer(BaseModel):
    text: str


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class RudeError(Exception):
    __str__ = Rude.__str__


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        ("yes", (EntryKind.REPLY, "yes", "")),
        (AgentReply(output={"a": 1}), (EntryKind.REPLY, '{"a":1}', '{"is_structured":true}')),
        (AgentReply(output=Answer(text="x")), (EntryKind.REPLY, '{"text":"x"}', '{"is_structured":true}')),
        (AgentReply("text", output={"a": 1}), (EntryKind.REPLY, "text", "")),
        (AgentQuota("used up", resets_ms=5), (EntryKind.ERROR, "used up", '{"code":"AGENT_QUOTA"}')),
        (ValueError("odd"), (EntryKind.ERROR, "ValueError: odd", "")),
        (asyncio.CancelledError(), (EntryKind.ERROR, "cancelled", "")),
        (RudeError(), (EntryKind.ERROR, "RudeError", "")),
    ],
)
def test_a_turn_ends_with_its_answer_or_its_error(outcome: Any, wanted: tuple[EntryKind, str, str]) -> None:
    recording = Recording()
    recording.attempt().end(outcome)
    (entry,) = recording.close().of()
    assert (entry.kind, entry.text, entry.data) == wanted


@pytest.mark.parametrize(
    "given", [Rude(), {"a": Rude()}, {"a": float("nan")}, [[...]], {(1, 2): 3}, "text", None]
)
def test_a_tool_may_be_called_with_anything(given: Any) -> None:
    recording = Recording()
    talk = recording.attempt()
    talk.event(ToolCallEvent("c", "T", given))
    talk.event(ToolCallEvent("d", "T", {}))
    first, second = recording.close().of()
    json.loads(first.text)
    assert second.text == "{}"


def test_texts_that_follow_one_another_are_one_entry_and_sessions_are_told_once() -> None:
    recording = Recording(limits=Limits(batch_s=30))
    talk = recording.attempt()
    for text in ("I ", "look", "", " at it."):
        talk.event(TextEvent(text))
    talk.event(TextEvent("hm", is_reasoning=True))
    talk.event(SessionEvent("s"))
    talk.event(SessionEvent("s"))
    talk.event(UsageEvent(Usage(1)))
    talk.event(UsageEvent(Usage(2)))
    kept = recording.close()
    assert [(entry.serial, entry.kind, entry.text, entry.data) for entry in kept.of()] == [
        (1, EntryKind.TEXT, "I look at it.", ""),
        (4, EntryKind.REASONING, "hm", ""),
        (5, EntryKind.SESSION, "s", ""),
        (7, EntryKind.USAGE, "", '{"input_tokens":2}'),
    ]
    assert kept.batches == 1


def test_secrets_are_never_written() -> None:
    recording = Recording(environment={"MY_API_KEY": "very-private"})
    talk = recording.attempt(env={"OTHER_TOKEN": "agents-own-secret"})
    talk.prompt(f"Use {KEY} and very-private.")
    talk.event(TextEvent("agents-own-"))
    talk.event(TextEvent("secret it is, or ver"))
    talk.event(TextEvent("y-private"))
    talk.event(ToolCallEvent(KEY, "very-private", {"a": [f"x\n{KEY}"], KEY: "very-private"}))
    talk.event(ToolResultEvent(KEY, f"export A='{KEY}'"))
    talk.event(NoticeEvent("Authorization: Bearer abcdefgh"))
    talk.event(RetryEvent("other", KEY))
    talk.end(AgentReply(output={"a": KEY}))
    kept = recording.close()
    everything = json.dumps([entry for _, entry in kept.entries])
    for secret in (KEY, "very-private", "agents-own-secret", "abcdefgh"):
        assert secret not in everything
    assert kept.text() == f"{MARK} it is, or {MARK}"
    (call,) = [entry for entry in kept.of() if entry.kind is EntryKind.TOOL_CALL]
    assert json.loads(call.text) == {"a": [f"x\n{MARK}"], MARK: MARK}


def moment(speaker: Speaker, text: str) -> Moment:
    return Moment(speaker, 1, 0, 0, NoticeEvent(text))


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept, clock = Kept(refused=2), FakeClock()
    writer = TranscriptWriter(kept.open, clock, dict, Limits(retry_ms=30_000))
    speaker = Speaker(Conversation(7, NodeKey("a"), 0, 1, "x", 0))
    with caplog.at_level(logging.WARNING, "smithers"):
        writer.write([moment(speaker, "lost"), moment(speaker, "too")])
        writer.write([moment(speaker, "not tried")])
        assert (kept.opened, kept.closed) == (1, 1)
        clock.advance(31)
        writer.write([moment(speaker, "again")])
        clock.advance(31)
        writer.write([moment(speaker, "kept")])
        writer.close()
    assert [record.message for record in caplog.records] == [
        "what agents say is not recorded, runs go on: no space left"
    ]
    first, second = kept.of()
    assert json.loads(first.data) == {"why": "store", "events": 4, "characters": len("losttoonot triedagain")}
    assert (first.kind, second.text) == (EntryKind.LEFT_OUT, "kept")
    assert (kept.opened, kept.closed) == (3, 3)


def test_a_file_that_cannot_be_opened_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def open_() -> Kept:
        raise PermissionError("read-only")

    recorder = TranscriptRecorder(open_, FakeClock(), environment=dict)
    talk = recorder.attempt(7, NodeKey("a"), 0, 1, "x")
    with caplog.at_level(logging.WARNING, "smithers"):
        for _ in range(100):
            talk.event(TextEvent("x"))
        talk.end("done")
        assert recorder.close(30)
    assert [record.message for record in caplog.records] == [
        "what agents say is not recorded, runs go on: read-only"
    ]


def test_nobody_waits_for_a_writer_that_hangs_and_what_is_left_out_is_counted() -> None:
    kept = Kept(gate=threading.Event())
    limits = Limits(batch_s=0, queue_events=50, queue_characters=10_000, batch_events=10)
    recording = Recording(kept, limits=limits)
    talk, other = recording.attempt(1), recording.attempt(2)
    for number in range(1_000):
        talk.event(NoticeEvent(f"n{number}"))
        other.event(TextEvent("x" * 100))
    talk.event(UsageEvent(Usage(3)))
    talk.end("done")
    assert kept.gate is not None
    kept.gate.set()
    recording.close()
    for number, sent in ((1, 1_000), (2, 1_000)):
        told = kept.of(number)
        lost = sum(json.loads(one.data)["events"] for one in told if one.kind is EntryKind.LEFT_OUT)
        if number == 1:
            assert sum(one.kind is EntryKind.NOTICE for one in told) + lost == sent
        else:
            assert len(kept.text(attempt=2)) + 100 * lost == 100 * sent
        assert lost > 0
    assert {EntryKind.USAGE, EntryKind.REPLY} <= set(kept.kinds(1))


def test_what_is_told_from_many_threads_is_all_there_in_the_order_of_each() -> None:
    recording = Recording()
    talk = recording.attempt()

    def tell(name: str) -> None:
        for number in range(200):
            talk.event(NoticeEvent(f"{name}{number}"))

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [entry.text for entry in recording.close().of()]
    for name in "abcd":
        assert [text for text in told if text.startswith(name)] == [
            f"{name}{number}" for number in range(200)
        ]
    assert [entry.serial for entry in recording.kept.of()] == [*range(1, 801)]


def test_a_closed_recorder_takes_nothing_more_and_closes_again() -> None:
    recording = Recording()
    talk = recording.attempt()
    talk.event(TextEvent("the end waits: sk"))
    recording.close()
    talk.event(TextEvent("later"))
    talk.end("done")
    assert recording.close().text() == "the end waits: sk"


def test_a_recorder_that_is_told_nothing_opens_nothing() -> None:
    recording = Recording()
    assert recording.recorder.close(0)
    recording.attempt()
    assert recording.close().opened == 0


async def answer(outcome: AgentReply | BaseException) -> AgentReply:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def test_a_call_is_heard_to_its_end() -> None:
    recording = Recording()
    talk = recording.attempt()
    assert asyncio.run(talk.hear(answer(AgentReply("yes")))).text == "yes"
    for error in (AgentQuota("used up"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            asyncio.run(talk.hear(answer(error)))
    assert [(entry.kind, entry.text) for entry in recording.close().of()] == [
        (EntryKind.REPLY, "yes"),
        (EntryKind.ERROR, "used up"),
        (EntryKind.ERROR, "cancelled"),
    ]


def test_what_is_told_where_nothing_is_recorded_goes_nowhere() -> None:
    UNRECORDED.prompt("x")
    UNRECORDED.event(TextEvent("x"))
    UNRECORDED.event(NoticeEvent("x"))
    assert asyncio.run(UNRECORDED.hear(answer(AgentReply("yes")))).text == "yes"
    assert not UNRECORDED._moments._waiting
    assert not UNRECORDED._moments._losing
