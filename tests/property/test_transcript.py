"""However what an agent says is cut into batches: it is written as it was said, and within its limits."""

from __future__ import annotations

import json
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from smithers.engine.moments import Limits, Moment, Payload, Plain, Speaker, Speech
from smithers.engine.scribe import Draft, Scribe, write_down
from smithers.ids import NodeKey
from smithers.ports import NoticeEvent, SessionEvent, ToolResultEvent, UsageEvent
from smithers.records import Usage
from smithers.records.redaction import Redactor
from smithers.records.transcript import Conversation, EntryKind, NewEntry

ALWAYS = {EntryKind.USAGE, EntryKind.SESSION, EntryKind.REPLY, EntryKind.ERROR, EntryKind.LEFT_OUT}

texts = st.text("ask-xoe \nä😀", max_size=20) | st.text(max_size=60)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(Speech, st.lists(texts, min_size=1, max_size=3), st.booleans()),
    st.builds(NoticeEvent, texts),
    st.builds(ToolResultEvent, st.just("c"), texts, st.booleans()),
    st.builds(UsageEvent, st.builds(Usage, st.integers(1, 9))),
    st.builds(SessionEvent, st.sampled_from("st")),
    st.builds(Plain, st.sampled_from([EntryKind.REPLY, EntryKind.ERROR]), texts, st.just({})),
)
batches = st.lists(st.lists(payloads, max_size=6), max_size=8)


def written(batches: list[list[Payload]], limits: Limits) -> list[NewEntry]:
    speaker = Speaker(Conversation(7, NodeKey("a"), 0, 1, "x", 0))
    scribe = Scribe(Redactor(), speaker.conversation, limits)
    entries: list[NewEntry] = []
    serial = 0
    for batch in [*batches, None]:
        drafts: list[Draft] = []
        for payload in batch or ():
            serial += 1
            payload = (
                Speech([*payload.parts], payload.is_reasoning) if isinstance(payload, Speech) else payload
            )
            scribe.hear(Moment(speaker, serial, 0, 0, payload), drafts)
        (scribe.release if batch is None else scribe.pause)(drafts)
        entries += [entry for _, found in write_down(drafts, limits) for entry in found]
    return entries


def in_one(entries: list[tuple[EntryKind, str]]) -> list[tuple[EntryKind, str]]:
    """Texts that follow one another as one."""
    found = []
    for kind, group in groupby(entries, key=lambda entry: entry[0]):
        if kind in (EntryKind.TEXT, EntryKind.REASONING):
            text = "".join(text for _, text in group)
            found += [(kind, text)] if text else []
        else:
            found += list(group)
    return found


def said(payload: Payload) -> tuple[EntryKind, str]:
    match payload:
        case Speech(parts, is_reasoning):
            return EntryKind.REASONING if is_reasoning else EntryKind.TEXT, "".join(parts)
        case NoticeEvent(text):
            return EntryKind.NOTICE, text
        case ToolResultEvent(_, text):
            return EntryKind.TOOL_RESULT, text
        case SessionEvent(session):
            return EntryKind.SESSION, session
        case Plain(kind, text):
            return kind, text
        case _:
            return EntryKind.USAGE, ""


@given(batches)
def test_what_is_written_is_what_was_said(batches: list[list[Payload]]) -> None:
    wanted, session = [], ""
    for kind, text in [said(payload) for batch in batches for payload in batch]:
        if kind is EntryKind.SESSION and text == session:
            continue  # told already
        session = text if kind is EntryKind.SESSION else session
        wanted.append((kind, text.encode(errors="replace").decode()))
    found = [(entry.kind, entry.text) for entry in written(batches, Limits())]
    assert in_one(found) == in_one(
        [one for one in wanted if one[1] or one[0] not in (EntryKind.TEXT, EntryKind.REASONING)]
    )


@given(batches, st.integers(8, 100), st.integers(1, 400))
def test_limits_leave_out_what_a_plain_count_does(
    batches: list[list[Payload]], text_bytes: int, attempt_bytes: int
) -> None:
    found = written(batches, Limits(text_bytes=text_bytes, attempt_bytes=attempt_bytes))
    everything = written(batches, Limits())
    wanted: list[tuple[EntryKind, str]] = []
    used, left, has_left = 0, 0, False
    for entry in everything:
        is_over = used >= attempt_bytes
        if is_over and entry.kind not in ALWAYS:
            if all(kind is not EntryKind.LEFT_OUT for kind, _ in wanted):
                wanted.append((EntryKind.LEFT_OUT, ""))
            left, has_left = left + len(entry.text), True
            continue
        if has_left and entry.kind in (EntryKind.REPLY, EntryKind.ERROR):
            wanted.append((EntryKind.LEFT_OUT, str(left)))
            left, has_left = 0, False
        text = "" if is_over and entry.kind is EntryKind.REPLY else entry.text
        used += min(len(text.encode()), text_bytes) + len(entry.data)
        wanted.append((entry.kind, text))
    shown = [
        (
            entry.kind,
            str(json.loads(entry.data).get("characters", ""))
            if entry.kind is EntryKind.LEFT_OUT
            else entry.text,
        )
        for entry in found
    ]
    assert [kind for kind, _ in shown] == [kind for kind, _ in wanted]
    for (kind, text), (_, whole) in zip(shown, wanted, strict=True):
        if kind is EntryKind.LEFT_OUT or len(whole.encode()) <= text_bytes:
            assert text == whole
        else:
            head, _, rest = text.partition("\n… ")
            _, _, tail = rest.partition(" characters left out …\n")
            assert whole.startswith(head)
            assert whole.endswith(tail)
            assert len((head + tail).encode()) <= text_bytes
