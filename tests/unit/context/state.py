"""A run's state as a plain value, for reads without a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smithers.context import OutputText, Record, Rows, Standing
from smithers.ids import NodeKey
from smithers.records import NodeState


@dataclass
class PlainState:
    """Implements `smithers.context.State`."""

    mounted: dict[str, Standing] = field(default_factory=dict)
    rows: Rows = field(default_factory=Rows)
    states: dict[NodeKey, NodeState] = field(default_factory=dict)
    failures: dict[NodeKey, Mapping[str, Any]] = field(default_factory=dict)
    run_id: str = "r"
    only_loop_pass: int = 0
    carried: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    named_outputs: Mapping[str, type[Any]] = field(default_factory=dict)

    @property
    def input(self) -> Any:
        return Record(self.fields)

    def standing(self, node: str) -> Standing | None:
        return self.mounted.get(node)

    def node_state(self, key: NodeKey) -> NodeState:
        return self.states.get(key, NodeState.PENDING)

    def failure(self, key: NodeKey) -> Mapping[str, Any] | None:
        return self.failures.get(key)

    def put(self, node: str, passes: tuple[int, ...], seq: int, model: str = "Number") -> None:
        """Add an output `{"n": seq}` of `node`; in loops, it must be mounted."""
        loops = self.mounted[node].loops if node in self.mounted else ()
        scope = ",".join(f"{loop}={n}" for loop, n in zip(loops[:-1], passes, strict=False))
        self.rows.add(OutputText(NodeKey(node, scope, passes[-1]), seq, model, f'{{"n":{seq}}}'))
