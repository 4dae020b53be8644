"""One conversation as it is written down: in one piece, without secrets, within limits. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, assert_never

from smithers.ports import NoticeEvent, RetryEvent, SessionEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from smithers.records import Usage
from smithers.records.redaction import LOOK_BACK, WINDOW, Redactor
from smithers.records.transcript import Conversation, EntryKind, NewEntry

from .moments import Limits, Moment, Plain, Speech

_ALWAYS: Final = frozenset(
    {EntryKind.USAGE, EntryKind.SESSION, EntryKind.REPLY, EntryKind.ERROR, EntryKind.LEFT_OUT}
)
"""Kept beyond the limit of an attempt: how its turns stand."""
_ENDS: Final = frozenset({EntryKind.REPLY, EntryKind.ERROR})
_NAME: Final = 200
"""Characters of a name of a tool, or of a call of one."""

_quoted = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str).encode


@dataclass(slots=True)
class Draft:
    """An entry that may have secrets in it and be too long."""

    scribe: Scribe
    serial: int
    turn: int
    kind: EntryKind
    at_ms: int
    text: str
    data: str = ""
    tool_input: Any = None
    """What `text` is the JSON of."""
    before: str = ""
    """The end of what stands before the text."""
    behind: str = ""
    """What it was cut off from."""
    events: int = 1
    """How many events it is."""
    tail: str = ""
    """The end of a text too long to be looked through; `text` is its beginning then."""
    missing: int = 0
    """Characters between the two."""

    @property
    def characters(self) -> int:
        return len(self.text) + self.missing + len(self.tail)

    def shorten(self, side: int) -> None:
        """Leave out the middle of a text so long that to look through it would take long."""
        self.missing = len(self.text) - 2 * side
        self.text, self.tail = self.text[:side], self.text[-side:]

    def clean(self, redactor: Redactor) -> None:
        """Replace the secrets in it."""
        if self.tool_input is not None and not self.missing:
            self.text = as_json(_clean_json(redactor, self.tool_input))
        if self.missing:
            self.text = redactor.clean(self.text, self.before)
            self.tail = redactor.clean(self.tail, behind=self.behind)
        else:
            self.text = redactor.clean(self.text, self.before, self.behind)
        if self.data:
            self.data = as_json(redactor.clean_json(json.loads(self.data)))

    def within(self, limit: int) -> tuple[str, int]:
        """Its text as SQLite takes it, and its size: at most `limit` bytes, and a note for its middle."""
        text, tail = self.text, self.tail
        if self.missing:
            # Next to the cut a piece of a secret may stand that nobody knows for one: so much of both goes.
            text, tail = text[:-WINDOW], tail[WINDOW:]
        data = text.encode(errors="replace")  # half of a surrogate pair is no text
        if not self.missing and len(data) <= limit:
            return data.decode(), len(data)
        head = data[: limit // 2].decode(errors="ignore")
        end = (tail.encode(errors="replace") if self.missing else data)[-(limit // 2) :].decode(
            errors="ignore"
        )
        left = self.characters - len(head) - len(end)
        return f"{head}\n… {left:,} characters left out …\n{end}", limit


class Scribe:
    """Turns the moments of one conversation into entries. Used from one thread.

    Args:
        redactor: finds the secrets of its agent.
    """

    def __init__(self, redactor: Redactor, conversation: Conversation, limits: Limits) -> None:
        self.redactor = redactor
        self.conversation = conversation
        self._limits = limits
        self._bytes = 0
        self._held: Draft | None = None
        """The end of a text that waits, because a secret may begin in it."""
        self._before = ""
        self._speaking: tuple[EntryKind, int] | None = None
        self._session = ""
        self._left_events = self._left_characters = 0
        """Beyond the limit."""
        self._is_full = False
        self._lost_events = self._lost_characters = 0
        """Could not be stored."""

    @property
    def is_holding(self) -> bool:
        """Whether a text waits for what comes behind it."""
        return self._held is not None

    def hear(self, moment: Moment, drafts: list[Draft]) -> None:
        """Add what is to be written of a moment."""
        payload, serial, turn, at_ms = moment.payload, moment.serial, moment.turn, moment.at_ms
        if self._lost_events:
            drafts.append(Draft(self, serial, turn, EntryKind.LEFT_OUT, at_ms, "", self._take_lost()))
        if isinstance(payload, Speech):
            kind = EntryKind.REASONING if payload.is_reasoning else EntryKind.TEXT
            text, events = "".join(payload.parts), len(payload.parts)
            if text:
                self._speech(Draft(self, serial, turn, kind, at_ms, text, events=events), drafts)
            return
        if self._speaking is not None:
            self.release(drafts)
        kind, text, data = _facts(payload)
        if kind is EntryKind.SESSION:
            if text == self._session:
                return
            self._session = text
        tool_input = payload.input if isinstance(payload, ToolCallEvent) else None
        drafts.append(Draft(self, serial, turn, kind, at_ms, text, data, tool_input))

    def release(self, drafts: list[Draft]) -> None:
        """Add what waited for more: nothing more of it comes."""
        if self._held is not None:
            drafts.append(self._held)
        self._held, self._before, self._speaking = None, "", None

    def _speech(self, said: Draft, drafts: list[Draft]) -> None:
        if self._speaking != (said.kind, said.turn):
            self.release(drafts)
            self._speaking = (said.kind, said.turn)
        if self._held is not None:
            said = replace(
                self._held, text=self._held.text + said.text, events=self._held.events + said.events
            )
        said.before = self._before
        self._held = said

    def pause(self, drafts: list[Draft]) -> None:
        """Add what has been said so far, but for the end of it that may be the beginning of a secret."""
        held = self._held
        if held is None:
            return
        cut = self.redactor.divide(held.text, self._before)
        rest, held.text = held.text[cut:], held.text[:cut]
        self._before = (self._before + held.text)[-LOOK_BACK:]
        held.behind = rest
        self._held = replace(held, text=rest, before=self._before, behind="", events=0) if rest else None
        if held.text:
            drafts.append(held)

    def enter(self, draft: Draft, entries: list[NewEntry]) -> None:
        """Add a draft without secrets as it is stored, if it still is."""
        if self._bytes >= self._limits.attempt_bytes:
            if draft.kind not in _ALWAYS:
                self._leave(draft, entries)
                return
            if (self._left_events or self._left_characters) and draft.kind in _ENDS:
                left = (EntryKind.LEFT_OUT, draft.at_ms, "", self._take_left())
                entries.append(NewEntry(draft.serial, draft.turn, *left))
            if draft.kind is EntryKind.REPLY:
                draft.text, draft.tail, draft.missing = "", "", 0
        text, size = draft.text, len(draft.text)
        if draft.missing or size > self._limits.text_bytes or not text.isascii():
            text, size = draft.within(self._limits.text_bytes)
        self._bytes += size + len(draft.data)
        entries.append(NewEntry(draft.serial, draft.turn, draft.kind, draft.at_ms, text, draft.data))

    def _leave(self, draft: Draft, entries: list[NewEntry]) -> None:
        self._left_events += draft.events
        self._left_characters += draft.characters
        if not self._is_full:
            self._is_full = True
            full = as_json({"why": "limit"})
            entries.append(NewEntry(draft.serial, draft.turn, EntryKind.LEFT_OUT, draft.at_ms, "", full))

    def lose(self, entries: Iterable[NewEntry]) -> None:
        """They could not be stored: the next entry says how many."""
        for entry in entries:
            known = json.loads(entry.data) if entry.kind is EntryKind.LEFT_OUT else {}
            self._lost_events += known.get("events", 0) if known else 1
            self._lost_characters += known.get("characters", 0) if known else len(entry.text)

    def _take_lost(self) -> str:
        found = {"why": "store", "events": self._lost_events, "characters": self._lost_characters}
        self._lost_events = self._lost_characters = 0
        return as_json(found)

    def _take_left(self) -> str:
        found = {"why": "limit", "events": self._left_events, "characters": self._left_characters}
        self._left_events = self._left_characters = 0
        return as_json(found)


def write_down(drafts: Sequence[Draft], limits: Limits) -> list[tuple[Scribe, list[NewEntry]]]:
    """Drafts as entries, in order. They are looked through all at once: mostly there is nothing to find."""
    side = limits.text_bytes // 2 + WINDOW
    by_redactor: dict[Redactor, list[Draft]] = {}
    for draft in drafts:
        if len(draft.text) > 2 * side:
            draft.shorten(side)
        by_redactor.setdefault(draft.scribe.redactor, []).append(draft)
    for redactor, found in by_redactor.items():
        if redactor.suspects("\n".join(part for one in found for part in (one.text, one.tail, one.data))):
            for draft in found:
                draft.clean(redactor)
    written: list[tuple[Scribe, list[NewEntry]]] = []
    for draft in drafts:
        if not written or written[-1][0] is not draft.scribe:
            written.append((draft.scribe, []))
        draft.scribe.enter(draft, written[-1][1])
    return written


def as_json(value: Any) -> str:
    """JSON in one line, also of what is none."""
    try:
        return _encode(value)
    except Exception:  # noqa: BLE001 - adapters hand over anything, with any `__str__`
        return _described(value)


def _described(value: Any) -> str:
    try:
        return _encode(repr(value))
    except Exception:  # noqa: BLE001 - and with any `__repr__`
        return _encode(f"a {type(value).__name__} that is no JSON")


def _clean_json(redactor: Redactor, value: Any) -> Any:
    try:
        return redactor.clean_json(value)
    except (RecursionError, RuntimeError):  # too deep, or its owner changes it at this moment
        return value


def _facts(
    payload: Plain | ToolCallEvent | ToolResultEvent | UsageEvent | SessionEvent | RetryEvent | NoticeEvent,
) -> tuple[EntryKind, str, str]:
    """Kind, text and data of an entry."""
    match payload:
        case ToolCallEvent(id, name, given):
            data = f'{{"id":{_quoted(id[:_NAME])},"name":{_quoted(name[:_NAME])}}}'
            return EntryKind.TOOL_CALL, as_json(given), data
        case ToolResultEvent(id, text, is_error):
            error = ',"is_error":true' if is_error else ""
            return EntryKind.TOOL_RESULT, text, f'{{"id":{_quoted(id[:_NAME])}{error}}}'
        case NoticeEvent(text):
            return EntryKind.NOTICE, text, ""
        case UsageEvent(usage):
            return EntryKind.USAGE, "", usage_json(usage)
        case SessionEvent(session):
            return EntryKind.SESSION, session, ""
        case RetryEvent(reason, text, attempt, delay_s):
            return EntryKind.RETRY, text, _known({"reason": reason, "attempt": attempt, "delay_s": delay_s})
        case Plain(kind, text, facts):
            return kind, text, as_json(facts) if facts else ""
        case _:
            assert_never(payload)


def usage_json(usage: Usage) -> str:
    """What is known of a usage, by its own names."""
    return _known({name: getattr(usage, name) for name in _USAGE})


def _known(facts: dict[str, Any]) -> str:
    known = {name: value for name, value in facts.items() if value}
    return as_json(known) if known else ""


_USAGE: Final = tuple(one.name for one in fields(Usage))
