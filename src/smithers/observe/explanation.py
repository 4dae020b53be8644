"""The answer to "why?": a sentence, what stands in the way, and what to type next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smithers.observe import moment
from smithers.observe.cache import lookup_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.observe.node_view import NodeView
    from smithers.observe.quota import QuotaWait
    from smithers.records import Lookup


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that is going on, or that stands in the way."""

    kind: str
    """`running`, `retry-backoff`, `quota`, `child`, `pending`, `dependency`, `failed`, `tolerated`,
    `skipped`, `interrupted`, `owner-dead`, `owner-silent`, `no-owner`, `asked`, `budget`, `paused`,
    `cancelled`, `waiting-approval`, `waiting-human`, `waiting-event` or `waiting-timer`."""
    text: str
    """In words."""
    view: NodeView | None = None
    since_ms: int | None = None
    due_ms: int | None = None
    error: Mapping[str, Any] | None = None
    wait: QuotaWait | None = None
    """Of `quota`: the account, and how all of the task's agents stand."""
    hint: str = ""
    """What helps, where no error says it."""

    def document(self) -> dict[str, Any]:
        """One of `blockers` in the JSON of `smithers why --json`."""
        key = self.view.key if self.view else None
        return {
            "kind": self.kind,
            "node": key.node if key else None,
            "scope": key.scope if key else None,
            "iteration": key.iteration if key else None,
            "text": self.text,
            "since": moment.iso(self.since_ms),
            "due_at": moment.iso(self.due_ms),
            "error": dict(self.error) if self.error else None,
            "quota": self.wait.document() if self.wait else None,
            "hint": self.hint or None,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why?"."""

    run: str
    status: str
    """The run's stored word."""
    summary: str
    """One sentence."""
    blockers: list[Blocker] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """What to type next, most useful first."""
    node: str | None = None
    attempts: list[str] = field(default_factory=list)
    """A line for each attempt, when one node was asked about."""
    lookup: Lookup | None = None
    """What its newest attempt found in the cache."""
    cache: str = ""
    """The same in words; empty: its task has none, or the attempt has not ended."""

    def document(self) -> dict[str, Any]:
        """The JSON of `smithers why --json`."""
        found: dict[str, Any] = {
            "status": self.status,
            "run": self.run,
            "summary": self.summary,
            "blockers": [blocker.document() for blocker in self.blockers],
            "commands": self.commands,
        }
        if self.node is not None:
            cache = lookup_document(self.lookup)
            if cache is not None:
                cache["text"] = self.cache
            found |= {"node": self.node, "attempts": self.attempts, "cache": cache}
        return found
