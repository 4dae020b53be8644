"""One moment of a run's state, seen from one place in its tree: what every read goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from smithers.ids import NodeKey

from .rows import OutputText, Passes, Rows

if TYPE_CHECKING:
    from smithers.records import NodeState, SignalRow

Subject: TypeAlias = tuple[str, str]
"""What a read depends on: `("node", id)`, `("model", name)`, `("state", id)`; `("loop", id)`: which
pass it is in, and `("loop", "")`: the only one's; of an attempt also `("given", name)`: its run's input or
id, or the pass that it stands in."""


class Standing(NamedTuple):
    """Where something stands: the loops around it and their passes, outermost first."""

    loops: tuple[str, ...] = ()
    passes: tuple[int, ...] = ()


class Spending(Protocol):
    """What a run's agents have spent."""

    @property
    def limit_usd(self) -> float | None:
        """What they may spend; None: any amount."""
        ...

    def spent_usd(self) -> float:
        """What they have spent, as far as anybody says."""
        ...


class State(Protocol):
    """The run's state, as the runtime keeps it."""

    @property
    def run_id(self) -> str: ...

    @property
    def input(self) -> Any:
        """The run's input: its model, or a record; built anew per call."""
        ...

    @property
    def budgets(self) -> Spending | None:
        """What the run's agents have spent; None: nobody has looked yet."""
        ...

    @property
    def carried(self) -> str | None:
        """JSON text that the run before this one handed over; None: there was none before it."""
        ...

    @property
    def rows(self) -> Rows: ...

    @property
    def named_outputs(self) -> Mapping[str, type[Any]]:
        """Models that the workflow has registered under names."""
        ...

    def standing(self, node: str) -> Standing | None:
        """Where `node` is mounted now; None: it is not, and it is not known where it was."""
        ...

    def node_state(self, key: NodeKey) -> NodeState: ...

    def failure(self, key: NodeKey) -> Mapping[str, Any] | None:
        """The error of a node's last attempt, as stored."""
        ...

    @property
    def signals(self) -> Sequence[SignalRow]:
        """What was sent to the run, the oldest first."""
        ...

    @property
    def only_loop_pass(self) -> int:
        """The pass of the tree's loop if there is exactly one, else 0."""
        ...


class View:
    """Reads of one render, or of one attempt.

    Args:
        state: the run's state.
        at: where the reader stands; None: a render outside any body function.
        seq: rows with a greater `seq` are not there yet; None: all are.
        reads: collects what was read, present or not; None: nobody asks.
    """

    __slots__ = ("at", "reads", "seq", "state")

    def __init__(
        self,
        state: State,
        at: Standing | None = None,
        seq: int | None = None,
        reads: set[Subject] | None = None,
    ) -> None:
        self.state = state
        self.at = at
        self.seq = seq
        self.reads = reads

    def note(self, kind: str, name: str) -> None:
        """Record that a subject was read."""
        if self.reads is not None:
            self.reads.add((kind, name))

    def note_of_attempt(self, name: str) -> None:
        """The same of what stands fast while a run goes on, and differs between runs or passes.

        No render needs it: it does not move under a tree.
        """
        if self.seq is not None:
            self.note("given", name)

    def id_of(self, node: str) -> str:
        """The id in the run of what a reader calls `node`."""
        return node

    def newest(self, node: str) -> OutputText | None:
        """The node's row in this pass: the current pass of each loop that reader and node share.

        Loops that only the node stands in are read after their last pass. In a render outside any body
        function the reader is taken to stand where the node is mounted.
        """
        node = self.id_of(node)
        self.note("node", node)
        rows = self.state.rows.of(node)
        if not rows:
            return None
        there = self.state.standing(node)
        if there is None:
            return self._last(rows.values())
        self._note_passes(there.loops)
        prefix = self._shared(there)
        if len(prefix) == len(there.loops):
            row = rows.get(prefix or (0,))
            return self._seen(row) if row is not None else None
        return self._last(row for passes, row in rows.items() if passes[: len(prefix)] == prefix)

    def latest(self, node: str) -> OutputText | None:
        """The node's newest row up to this pass: earlier passes of the innermost shared loop count too."""
        node = self.id_of(node)
        self.note("node", node)
        rows = self.state.rows.of(node)
        if not rows:
            return None
        there = self.state.standing(node)
        if there is None:
            return self._last(rows.values())
        self._note_passes(there.loops[:-1])
        prefix = self._shared(there)
        outer = prefix[:-1]
        if prefix and len(prefix) == len(there.loops):
            # Backwards from this pass: the newest is nearly always the first that is looked at.
            for pass_ in range(prefix[-1], -1, -1):
                row = rows.get((*outer, pass_))
                if row is not None and self._seen(row) is not None:
                    return row
            return None
        found = [
            passes
            for passes, row in rows.items()
            if passes[: len(outer)] == outer and passes[: len(prefix)] <= prefix and self._seen(row)
        ]
        return rows[max(found)] if found else None

    def count(self, node: str) -> int:
        """In how many passes the node has left a row, within the current pass of every outer loop."""
        node = self.id_of(node)
        self.note("node", node)
        there = self.state.standing(node)
        if there is not None:
            self._note_passes(there.loops[:-1])
        outer = self._shared(there)[:-1] if there is not None else ()
        rows = self.state.rows.of(node)
        return sum(
            passes[: len(outer)] == outer and self._seen(row) is not None for passes, row in rows.items()
        )

    def of_output(self, *names: str) -> list[OutputText]:
        """All rows that are stored under these names of models or outputs and are there, in `seq` order."""
        for name in names:
            self.note("model", name)
        return [row for row in self.state.rows.of_output(*names) if self._seen(row) is not None]

    def key(self, node: str) -> NodeKey | None:
        """The node's key in this pass; None: it is not mounted."""
        node = self.id_of(node)
        there = self.state.standing(node)
        if there is None:
            return None
        self._note_passes(there.loops)
        shared = self._shared(there)
        passes = (*shared, *there.passes[len(shared) :])
        if not there.loops:
            return NodeKey(node)
        scope = ",".join(f"{loop}={n}" for loop, n in zip(there.loops[:-1], passes, strict=False))
        return NodeKey(node, scope, passes[len(there.loops) - 1])

    def _note_passes(self, loops: Iterable[str]) -> None:
        """A render outside any body function reads the pass each loop is in; a body stands in its own."""
        if self.at is None:
            for loop in loops:
                self.note("loop", loop)

    def _shared(self, there: Standing) -> Passes:
        """The reader's passes of the loops it shares with what stands `there`."""
        if self.at is None:
            return there.passes
        count = 0
        for own, other in zip(self.at.loops, there.loops, strict=False):
            if own != other:
                break
            count += 1
        return self.at.passes[:count]

    def _seen(self, row: OutputText) -> OutputText | None:
        return row if self.seq is None or row.seq <= self.seq else None

    def _last(self, rows: Iterable[OutputText]) -> OutputText | None:
        found = [row for row in rows if self._seen(row) is not None]
        return max(found, key=lambda row: row.seq) if found else None


ambient: ContextVar[View | None] = ContextVar("smithers_view", default=None)
"""The view that reads go through in this thread or coroutine; set around each render and each attempt."""
