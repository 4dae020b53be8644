"""What agents were asked and what they said: as text for people, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, assert_never

from smithers.observe import moment
from smithers.records.transcript import EntryKind

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.records import RunRow
    from smithers.records.transcript import Conversation, EntryRow

PROMPT_LINES: Final = 10
"""Lines of a prompt that are shown unless all are asked for."""
RESULT_LINES: Final = 4
"""The same of what a tool answered, or of a notice."""

SLACK_MS: Final = 60_000
"""Clocks are set back: a conversation may have begun so much before its run, by its time."""

Tone: TypeAlias = Literal["head", "error", "warning", "end", "aside"]
"""How a piece is meant, where it is not plain."""

_INDENT: Final = "    "
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_JOINERS: Final = "\u200c\u200d"
"""Not printable by themselves; letters and pictures are put together with them."""


class Piece(NamedTuple):
    """Something to be printed."""

    text: str
    tone: Tone | None = None
    is_open: bool = False
    """It is neither a line of its own nor cut to the screen: what comes next may go on in its last line."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which conversations of a run somebody asks for. The default is all of them."""

    nodes: frozenset[str] | None = None
    """Of these nodes, in whichever pass."""
    key: NodeKey | None = None
    """Of this node in this pass."""
    attempt: int | None = None
    first: int = 0
    """With this `id` or a higher one."""

    def fits(self, one: Conversation) -> bool:
        """Whether a conversation meets all conditions."""
        return (
            (self.nodes is None or one.key.node in self.nodes)
            and (self.key is None or one.key == self.key)
            and (self.attempt is None or one.attempt == self.attempt)
            and one.id >= self.first
        )


def of_run(run: RunRow, found: list[Conversation]) -> list[Conversation]:
    """Those that are really this run's: the file outlives a store, and another one counts its runs anew."""
    return [one for one in found if one.began_ms >= run.created_ms - SLACK_MS]


def latest_pass(node: str, found: list[Conversation]) -> Choice:
    """A task in a loop: its latest pass of which anything is told, and those that come."""
    own = [one for one in found if one.key.node == node]
    if not own:
        return Choice(nodes=frozenset({node}))
    return Choice(nodes=frozenset({node}), first=min(one.id for one in own if one.key == own[-1].key))


# --- JSON ---------------------------------------------------------------------------------------


def entry_document(entry: EntryRow, of: Conversation, run: str) -> dict[str, Any]:
    """One line of `smithers chat --json`."""
    data = _data(entry)
    text: Any = entry.text
    if entry.kind is EntryKind.TOOL_CALL:
        data, text = {**data, "input": _parsed(entry.text)}, ""
    return {
        "run": run,
        "node": of.key.node,
        "scope": of.key.scope,
        "iteration": of.key.iteration,
        "generation": of.generation,
        "attempt": of.attempt,
        "agent": of.agent,
        "turn": entry.turn,
        "serial": entry.serial,
        "at": moment.iso(entry.at_ms),
        "kind": entry.kind.word,
        "text": text,
        "data": data or None,
    }


def _data(entry: EntryRow) -> dict[str, Any]:
    found = _parsed(entry.data) if entry.data else {}
    return found if isinstance(found, dict) else {}


def _parsed(text: str) -> Any:
    """The JSON that a text is; the text itself where it was cut."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# --- Text ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Told:
    """What is remembered of a conversation."""

    said: str = ""
    """The last text, as it came."""
    usage: str = ""
    """What the turn has cost so far; told when it ends."""
    tools: dict[str, str] = field(default_factory=dict)
    """Names of tools, by calls."""


class ChatText:
    """Entries as text, one after the other. Remembers what stands before, so that what goes on does.

    Args:
        name: of a task in one pass, as screens show it.
        is_full: nothing is folded.
    """

    def __init__(self, run: RunRow, name: Callable[[NodeKey], str], *, is_full: bool) -> None:
        self._run = run
        self._name = name
        self._is_full = is_full
        self._of: int | None = None
        """The conversation that was shown last."""
        self._speaks: tuple[EntryKind, int] | None = None
        """What it says goes on."""
        self._breaks = ""
        """Line breaks that are printed if it goes on."""
        self._known: dict[int, _Told] = {}

    def pieces(self, entry: EntryRow, of: Conversation) -> Iterator[Piece]:
        """What is to be printed of an entry."""
        told = self._known.setdefault(of.id, _Told())
        if of.id != self._of:
            yield from self._begin(of)
        if entry.kind in (EntryKind.TEXT, EntryKind.REASONING):
            yield from self._speech(entry, told)
            return
        yield from self.rest()
        yield from self._line(entry, _data(entry), told)

    def rest(self) -> Iterator[Piece]:
        """What ends a line that was left open."""
        if self._speaks is not None:
            yield Piece("\n", is_open=True)
        self._speaks, self._breaks = None, ""

    def cost(self) -> Iterator[Piece]:
        """What the turn of the conversation shown last has cost so far, if it has not ended."""
        yield from self.rest()
        told = self._known.get(self._of or 0)
        if told is not None and told.usage:
            yield Piece(f"{_INDENT}so far: {told.usage}", "aside")
            told.usage = ""

    def _begin(self, of: Conversation) -> Iterator[Piece]:
        yield from self.rest()
        if self._of is not None:
            yield Piece("")
        self._of = of.id
        again = f" (generation {of.generation})" if of.generation else ""
        began = moment.local(of.began_ms)
        head = f"{self._name(of.key)} attempt {of.attempt}{again}, {of.agent}, {began}"
        yield Piece(_one_line(head), "head")

    def _speech(self, entry: EntryRow, told: _Told) -> Iterator[Piece]:
        tone: Tone | None = "aside" if entry.kind is EntryKind.REASONING else None
        if self._speaks != (entry.kind, entry.turn):
            yield from self.rest()
            told.said = ""
            self._speaks = (entry.kind, entry.turn)
            word = "says" if tone is None else "thinks"
            yield Piece(self._at(entry, word), "aside")
            yield Piece(_INDENT, is_open=True)
        told.said += entry.text
        text = self._breaks + plain(entry.text)
        shown = text.rstrip("\n")
        self._breaks = text[len(shown) :]
        if shown:
            yield Piece(shown.replace("\n", f"\n{_INDENT}"), tone, is_open=True)

    def _line(self, entry: EntryRow, data: Mapping[str, Any], told: _Told) -> Iterator[Piece]:
        match entry.kind:
            case EntryKind.PROMPT:
                word = "asked" if entry.turn == 0 else f"asked again ({entry.turn})"
                yield Piece(self._at(entry, word), "aside")
                yield from self._folded(entry.text, PROMPT_LINES)
            case EntryKind.TOOL_CALL:
                name = str(data.get("name", "")) or "a tool"
                told.tools[str(data.get("id", ""))] = name
                yield Piece(self._at(entry, f"calls {name} {entry.text}"))
            case EntryKind.TOOL_RESULT:
                name = told.tools.get(str(data.get("id", "")), "a tool")
                is_error = bool(data.get("is_error"))
                word = f"{name} failed" if is_error else f"{name} answered"
                yield Piece(self._at(entry, word), "error" if is_error else "aside")
                yield from self._folded(entry.text, RESULT_LINES)
            case EntryKind.USAGE:
                told.usage = usage_text(data)
            case EntryKind.SESSION:
                yield Piece(self._at(entry, f"session {entry.text}"), "aside")
            case EntryKind.RETRY:
                yield Piece(self._at(entry, _retry(entry.text, data)), "warning")
            case EntryKind.NOTICE:
                yield Piece(self._at(entry, "notice"), "aside")
                yield from self._folded(entry.text, RESULT_LINES)
            case EntryKind.REPLY:
                yield from self._end(entry, "answered", "end", told)
                if entry.text.strip() != told.said.strip():
                    yield from self._folded(entry.text, PROMPT_LINES)
            case EntryKind.ERROR:
                code = f"[{data['code']}] " if data.get("code") else ""
                yield from self._end(entry, f"failed: {code}{entry.text}", "error", told)
            case EntryKind.LEFT_OUT:
                yield Piece(self._at(entry, _left_out(data)), "warning")
            case EntryKind.TEXT | EntryKind.REASONING:
                raise AssertionError("unreachable: it is a speech")
            case _:
                assert_never(entry.kind)

    def _end(self, entry: EntryRow, text: str, tone: Tone, told: _Told) -> Iterator[Piece]:
        usage, told.usage = told.usage, ""
        yield Piece(self._at(entry, text), tone)
        if usage:
            yield Piece(f"{_INDENT}{usage}", "aside")

    def _at(self, entry: EntryRow, text: str) -> str:
        return f"{moment.offset(entry.at_ms - self._run.created_ms)} {_one_line(text)}"

    def _folded(self, text: str, count: int) -> Iterator[Piece]:
        lines = plain(text).strip("\n").split("\n")
        shown = lines if self._is_full or len(lines) <= count + 1 else lines[:count]
        for line in shown:
            yield Piece(f"{_INDENT}{line}".rstrip(), is_open=False)
        if len(shown) < len(lines):
            yield Piece(f"{_INDENT}… {len(lines) - len(shown):,} more lines: --full", "aside")


def plain(text: str) -> str:
    """A text without what a terminal obeys: of escape sequences nothing, of control characters a space.

    Line breaks stay; of a line that was written over, the last state.
    """
    if text.isprintable():
        return text
    text = _ESCAPE.sub("", text).replace("\r\n", "\n").replace("\t", "    ")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(line if line.isprintable() else "".join(map(_printable, line)) for line in lines)


def _printable(character: str) -> str:
    return character if character.isprintable() or character in _JOINERS else " "


def _one_line(text: str) -> str:
    return " ".join(plain(text).split())


def usage_text(data: Mapping[str, Any]) -> str:
    """`12,345 tokens in (10,000 cached), 456 out, $0.0123, opus`."""
    parts = []
    if read := data.get("input_tokens"):
        cached = data.get("cache_read_tokens")
        parts.append(f"{read:,} tokens in" + (f" ({cached:,} cached)" if cached else ""))
    if written := data.get("output_tokens"):
        parts.append(f"{written:,} out")
    if (cost := data.get("cost_usd")) is not None:
        about = "about " if data.get("cost_source") == "prices" else ""
        parts.append(f"{about}${cost:.4f}")
    if model := data.get("model"):
        parts.append(str(model))
    return _one_line(", ".join(parts))


def _retry(text: str, data: Mapping[str, Any]) -> str:
    parts = [f"tries again: {data.get('reason', 'other')}", text]
    if number := data.get("attempt"):
        parts.append(f"try {number}")
    if delay := data.get("delay_s"):
        parts.append(f"in {moment.span(round(delay * 1000))}")
    return ", ".join(part for part in parts if part)


def _left_out(data: Mapping[str, Any]) -> str:
    because = {
        "limit": "more than is kept of one attempt",
        "queue": "it came faster than it could be written",
        "store": "the file of transcripts could not be written",
    }.get(str(data.get("why")), "")
    count = data.get("events")
    if not count:
        return f"the rest is left out: {because}"
    return f"left out: {count:,} events, {data.get('characters', 0):,} characters; {because}"
