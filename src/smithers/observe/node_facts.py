"""All that is stored of one task in one pass, for the screen and the JSON of `smithers node`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.observe import moment, quota
from smithers.observe.node_view import NodeView, NodeViews
from smithers.observe.run_view import node_facts
from smithers.observe.snapshot import is_driven
from smithers.observe.tree import LOOP, PARALLEL
from smithers.observe.why import why_node

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.records import AttemptRow, OutputRow


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One task in one pass, and what stands around it."""

    snapshot: Snapshot
    views: NodeViews
    view: NodeView
    output: OutputRow | None
    now_ms: int

    @property
    def why(self) -> str:
        """Why it stands as it does, in a sentence."""
        return why_node(self.snapshot, self.view, self.now_ms).summary

    @property
    def commands(self) -> list[str]:
        """What to type next."""
        return why_node(self.snapshot, self.view, self.now_ms).commands

    @property
    def wait(self) -> quota.QuotaWait | None:
        """The account that it waits for, and who else could be asked; None: none."""
        return self._waits.get(self.view.key)

    @property
    def limit(self) -> quota.Limit | None:
        """That account, or the one that the run waits for which it is."""
        return quota.limit_of(self.snapshot, self.view, self._waits)

    @property
    def _waits(self) -> quota.Waits:
        return quota.waits_of(self.snapshot, self.views, self.now_ms)

    @property
    def passes(self) -> list[NodeView]:
        """It in every pass, this one too."""
        return self.views.by_node[self.view.key.node]

    @property
    def waits_for(self) -> list[str]:
        """Ids it depends on."""
        return [edge.removeprefix("!") for edge in self.view.place.edges.split()] if self.view.place else []

    @property
    def around(self) -> list[str]:
        """The containers that say more than an order, outermost first."""
        place = self.view.place
        found = (
            [] if place is None else [one.node for one in place.ancestors() if one.kind in (LOOP, PARALLEL)]
        )
        return found[::-1]

    def spec(self, name: str) -> Any:
        """What the author wrote: `mode`, `model`, `agents`, `timeout_ms`, …; None: nothing, or it is gone."""
        return self.view.place.spec.get(name) if self.view.place else None

    @property
    def timeout_at_ms(self) -> int | None:
        """When the attempt that runs is ended for its time; None without one, or without a limit."""
        limit, last = self.spec("timeout_ms"), self.view.last
        if limit is None or last is None or last.ended_ms is not None or not is_driven(self.snapshot.run):
            return None
        return last.started_ms + int(limit)

    def document(self) -> dict[str, Any]:
        """The JSON of `smithers node --json`."""
        key = self.view.key
        bodies = {(key, self.view.generation): self.output} if self.output is not None else {}
        waits = {key: self.wait} if self.wait is not None else {}
        facts = node_facts(self.view, bodies, waits)
        return {
            "status": self.snapshot.run.state.word,
            "run": self.snapshot.run.name,
            **facts,
            "mode": self.spec("mode"),
            "waits_for": self.waits_for,
            "timeout_ms": self.spec("timeout_ms"),
            "heartbeat_timeout_ms": self.spec("heartbeat_timeout_ms"),
            "timeout_at": moment.iso(self.timeout_at_ms),
            "passes": [_pass(view) for view in self.passes],
            "why": self.why,
            "commands": self.commands,
        }


def heartbeat_of(view: NodeView) -> tuple[AttemptRow, Any] | None:
    """The newest heartbeat data of a task's attempts; None without any."""
    for row in reversed(view.attempts):
        if row.generation == view.generation and row.heartbeat is not None:
            return row, row.heartbeat
    return None


def _pass(view: NodeView) -> Mapping[str, Any]:
    return {"scope": view.key.scope, "iteration": view.key.iteration, "state": view.state.word}
