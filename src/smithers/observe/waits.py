"""Waits for people, messages and times: what each asks, of whom, until when, and what to type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from smithers.observe import moment
from smithers.records import WaitKind, WaitRow, WaitState
from smithers.records.wait_command import wait_commands

if TYPE_CHECKING:
    from smithers.ports import Reader
    from smithers.records import RunRow, VoteRow

STATUSES: Final = {kind: f"waiting-{kind.word}" for kind in WaitKind}
"""What people see of a run that waits: of several kinds the first of these."""


@dataclass(frozen=True, slots=True)
class WaitView:
    """One open wait, as people and programs look at it."""

    run: str
    row: WaitRow
    votes: Sequence[VoteRow] = ()
    """What has been said to it."""
    shown: str = ""
    """The node's name on a screen."""

    @property
    def node(self) -> str:
        """What to type for the node: its name, with the pass where that is not the first."""
        return self.shown or str(self.row.ref)

    @property
    def title(self) -> str:
        return str(self.row.spec.get("title") or self.row.key.node)

    @property
    def ask(self) -> str:
        """All of the question, in words."""
        spec = self.row.spec
        return str(spec.get("prompt") or spec.get("summary") or "")

    def text(self, now_ms: int) -> str:
        """What it waits for, for whom, and what happens when."""
        found = f"{self.node} waits {self._what()}"
        if self.row.kind is WaitKind.TIMER and self.row.due_ms is not None:
            return f"{found} {moment.due(self.row.due_ms, now_ms)} ({moment.local(self.row.due_ms)})"
        if error := self.row.spec.get("error"):
            found += f"; the last answer did not fit: {error}"
        if votes := self._votes():
            found += f"; {votes}"
        if self.row.due_ms is not None:
            found += f"; {moment.due(self.row.due_ms, now_ms)} {self._then()}"
        return found

    def _what(self) -> str:
        spec = self.row.spec
        match self.row.kind:
            case WaitKind.APPROVAL:
                users = spec.get("allowed_users")
                whom = f"{', '.join(users)} to decide" if users else "a decision"
                whom = f"for {whom}"
                if spec.get("mode") != "approve":
                    keys = ", ".join(option["key"] for option in spec.get("options", ()))
                    verb = "choose one" if spec.get("mode") == "select" else "rank all"
                    whom += f" ({verb} of {keys})"
                return f"{whom}: {self.title}"
            case WaitKind.HUMAN:
                return f"for an answer: {self.ask or self.title}"
            case WaitKind.EVENT:
                about = spec.get("correlation")
                return f"for the signal {spec.get('event')}" + (
                    f" about {about}" if about is not None else ""
                )
            case WaitKind.TIMER:
                return "for its time to come"

    def _votes(self) -> str:
        quorum = int(self.row.spec.get("quorum") or 1)
        if quorum < 2:
            return ""
        names = ", ".join(vote.by for vote in self.votes)
        return f"{len(self.votes)} of {quorum} have approved" + (f" ({names})" if names else "")

    def _then(self) -> str:
        """What happens at the deadline."""
        spec = self.row.spec
        word = spec.get("on_expire") or spec.get("on_timeout")
        if word == "deny":
            return {"continue": "it counts as denied", "skip": "it is skipped"}.get(
                str(spec.get("on_deny")), "it counts as denied, and fails"
            )
        return {
            "approve": "it counts as approved",
            "skip": "it is skipped",
            "continue": "it goes on with its default",
        }.get(str(word), "it fails")

    def commands(self) -> list[str]:
        """What to type, the most useful first. Each can be run as it stands."""
        approved_by = [vote.by for vote in self.votes if vote.word == "approve"]
        return wait_commands(self.run, self.node, self.row.kind, self.row.spec, approved_by)

    def document(self) -> dict[str, Any]:
        """The wait as JSON."""
        row, key = self.row, self.row.key
        return {
            "run": self.run,
            "node": key.node,
            "scope": key.scope,
            "iteration": key.iteration,
            "generation": row.ref.generation,
            "number": row.ref.number,
            "kind": row.kind.word,
            "title": self.title,
            "since": moment.iso(row.opened_ms),
            "due_at": moment.iso(row.due_ms),
            "spec": dict(row.spec),
            "votes": [
                {"word": vote.word, "by": vote.by, "at": moment.iso(vote.at_ms), "note": vote.note}
                for vote in self.votes
            ],
            "commands": self.commands(),
        }


def ended_text(row: WaitRow) -> str:
    """What a wait has come to, by whom and when; empty: nobody has said anything to it."""
    result = row.result or {}
    by, note = result.get("by"), result.get("note")
    if by is None or row.state not in (WaitState.DECIDED, WaitState.SETTLED):
        return ""
    match row.kind:
        case WaitKind.APPROVAL:
            verb = {True: "approved", False: "denied", None: "given up"}[result.get("approved")]
        case WaitKind.HUMAN:
            verb = "answered" if "value" in result else "given up"
        case WaitKind.EVENT:
            verb = "signalled" if "signal" in result else "given up"
        case WaitKind.TIMER:
            verb = "skipped"
    at_ms = round(datetime.fromisoformat(result["at"]).timestamp() * 1000) if "at" in result else None
    at = f", {moment.local(at_ms)}" if at_ms is not None else ""
    return f"{verb} by {by}{at}" + (f": {note}" if note else "")


def open_below(reader: Reader, run: RunRow) -> list[WaitView]:
    """Open waits of a run, and of the runs that belong to it; its own first, then the oldest."""
    found = views_of(reader, run.name, reader.waits(run.id))
    for number in reader.below(run.id):
        below = reader.run_at(number)
        if not below.state.has_ended:
            found += views_of(reader, below.name, reader.waits(number))
    return found


def views_of(reader: Reader, run: str, rows: Iterable[WaitRow]) -> list[WaitView]:
    """The open ones among the waits of one run."""
    open_ = [row for row in rows if row.state is WaitState.OPEN]
    if not open_:
        return []
    votes = reader.votes(open_[0].run)
    return [
        WaitView(run, row, [vote for vote in votes if vote.ref == row.ref], str(row.ref)) for row in open_
    ]


def all_open(reader: Reader) -> list[WaitView]:
    """Open waits of the whole store, the oldest first."""
    names: dict[int, str] = {}
    votes: dict[int, list[VoteRow]] = {}
    found = []
    for row in reader.open_waits():
        if row.run not in names:
            names[row.run], votes[row.run] = reader.run_at(row.run).name, reader.votes(row.run)
        own = [vote for vote in votes[row.run] if vote.ref == row.ref]
        found.append(WaitView(names[row.run], row, own, str(row.ref)))
    return found


def status_word(rows: Iterable[WaitRow]) -> str | None:
    """`waiting-approval` and the like; None: nothing waits."""
    kinds = {row.kind for row in rows if row.state is WaitState.OPEN}
    return STATUSES[min(kinds)] if kinds else None
