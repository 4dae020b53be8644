"""One look ahead at a stored run: its first frame planned in memory, then played on as if all went well.

Nothing is executed and nothing stored. The memory that a look uses up is thrown away with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from smithers.clock import SystemClock
from smithers.context import Subject, View
from smithers.errors import SmithersError
from smithers.ids import NodeKey
from smithers.nodes import ENDS_IN, Loop, Task
from smithers.records import StoredRun
from smithers.scheduler import Blocked, Cancel, Enter, Execute, Judge, Settled, Skip, Wait
from smithers.scheduler.vertex import HoleVertex, Leaf, LoopVertex

from .definition import Definition
from .drive import Drive
from .memory import Memory
from .planning import Planning, standing_of
from .script_player import ScriptPlayer
from .terms import Terms, Wires

_EVER_MS = 1 << 62
"""A time at which every deadline has come."""
_PASS_LIMIT = 1_000
"""Passes that are played ahead: a loop may have no limit."""


class Prospect:
    """A run as its next owner would find it.

    Args:
        again: settled nodes that are to be executed again.
    Raises:
        SmithersError: the resume would be refused in its first frame.
    """

    def __init__(
        self, stored: StoredRun, definition: Definition, terms: Terms, again: Iterable[NodeKey] = ()
    ) -> None:
        self.memory = Memory(stored.run.name, stored.run.input, definition.input_model)
        player = ScriptPlayer()
        wires = Wires(_unused, _unused, player.moved, SystemClock(), SystemClock(), _unused)
        drive = Drive(definition, self.memory, terms, Random(0), wires)
        drive.restore(stored, again)
        self.leaves: dict[NodeKey, Leaf] = {}
        """Tasks that stand in the tree of the first frame, and those that `play` has met since."""
        self.planning = drive.foresee(stored.last_ms, player, self._meet_all)
        self.schedule = self.planning.schedule
        self._meet_all(self.planning)
        self.is_script = definition.is_script
        self.goes_on = drive.script_goes_on
        """It is a script, which has more to ask for than is known yet."""
        self._version = self.schedule.version
        self.runs: dict[NodeKey, Leaf] = {}
        """Tasks that will be executed, in the order they begin; filled by `play`."""
        self.skips: dict[NodeKey, str] = {}
        """Tasks that will be skipped, and why."""
        self.loops: list[str] = []
        """Loops of which nobody can say yet how many passes they make."""

    # --- Playing on -----------------------------------------------------------------------------

    def play(self) -> None:
        """Let everything that can begin begin and finish, until nothing can."""
        self.planning.renderer.unsure = self.is_unsure
        judged = 0
        while judged < _PASS_LIMIT:
            self._meet()
            match self.schedule.decide(_EVER_MS):
                case Execute(starts):
                    for key in starts:
                        self._begin(key)
                case Enter(keys):
                    for key in keys:
                        self._enter(key)
                case Wait(has_open=True):
                    for key in list(self.memory.facts.open()):
                        self._answer(key)
                case Skip(skipped):
                    self.skips.update(skipped)
                case Cancel():
                    continue
                case Judge(loops):
                    judged += len(loops)
                    for key in loops:
                        self._judge(key)
                case _:
                    return

    def _meet(self) -> None:
        if self.schedule.version != self._version:
            self._version = self.schedule.version
            self._meet_all(self.planning)

    def _meet_all(self, planning: Planning) -> None:
        for leaf in planning.schedule.leaves():
            self.leaves.setdefault(leaf.key, leaf)

    @property
    def has_more(self) -> bool:
        """Whether the first frame leaves bodies unmade, because they are not reached in it."""
        below = self.schedule.below(self.schedule.root)
        return any(isinstance(vertex, HoleVertex) and not vertex.children for vertex in below)

    def has_left(self, leaf: Leaf) -> bool:
        """Whether a script has been through the pass that a task stands in, and is in a later one."""
        return self.is_script and not leaf.is_mounted

    def reads_of(self, unit: NodeKey | None) -> set[Subject]:
        """What the render of a body, or of all, has read."""
        return self.planning.renderer.reads_of(unit)

    def is_unsure(self, reads: set[Subject]) -> bool:
        """Whether one of these reads is of something that is yet to be executed."""
        going = {key.node for key in self.runs}
        models = {leaf.plan.payload.model_name for leaf in self.runs.values()}
        return any(
            (kind in ("node", "state") and name in going)
            or (kind == "model" and name in models)
            or (kind == "loop" and bool(self.loops))
            for kind, name in reads
        )

    @property
    def unknown(self) -> list[str]:
        """Functions whose tasks are not known before they are reached."""
        return [key.node for key in self.planning.renderer.unknown]

    @property
    def may_change(self) -> bool:
        """Whether the workflow function has read what is yet to be executed: its tree may become another."""
        return self.is_unsure(self.planning.renderer.reads_of(None))

    def _begin(self, key: NodeKey) -> None:
        leaf = self.schedule.leaf(key)
        if leaf is None:
            return
        if self._is_skipped(leaf):
            self.skips[key] = "skip_if"
            self.schedule.settle(key, Settled.SKIPPED)
            return
        self.runs[key] = leaf
        ends = leaf.plan.payload.mode == "continue"
        self.schedule.settle(key, Blocked(ENDS_IN) if ends else Settled.FINISHED)

    def _enter(self, key: NodeKey) -> None:
        leaf = self.schedule.leaf(key)
        if leaf is not None and self._is_skipped(leaf):
            self.skips[key] = "skip_if"
            self.schedule.settle(key, Settled.SKIPPED)
            return
        self.schedule.opened(key)
        self._answer(key)

    def _answer(self, key: NodeKey) -> None:
        """What waits is taken to be approved, answered and over in the end."""
        leaf = self.schedule.leaf(key)
        is_all = leaf is None or leaf.plan.payload.mode == "wait"
        if is_all and leaf is not None:
            self.runs[key] = leaf
        self.schedule.settle(key, Settled.FINISHED if is_all else None)

    def _is_skipped(self, leaf: Leaf) -> bool:
        """Whether `skip_if` is known to hold; what reads the future is taken for no."""
        task: Task[Any] = leaf.plan.payload
        if isinstance(task.skip_if, bool):
            return task.skip_if
        reads: set[Subject] = set()
        try:
            holds = self.planning.holds(task.skip_if, View(self.memory, standing_of(leaf), None, reads))
        except SmithersError:
            return False
        return holds and not self.is_unsure(reads)

    def _judge(self, key: NodeKey) -> None:
        vertex = self.schedule.vertex(key.node)
        node = vertex.plan.payload if isinstance(vertex, LoopVertex) else None
        until = node.until if isinstance(node, Loop) else True
        unit = self.schedule.unit_of(vertex) if vertex is not None else None
        reads = self.planning.renderer.reads_of(unit)
        is_rendered = {("loop", ""), ("loop", key.node)} & reads or self.is_unsure(reads)
        knows = isinstance(until, bool) and not is_rendered
        if not knows and key.node not in self.loops:
            self.loops.append(key.node)
        self.schedule.judge(key, until if knows and isinstance(until, bool) else True)


def as_of(stored: StoredRun, seq: int, frame: int) -> StoredRun:
    """A run's rows as they stood when an attempt began.

    Args:
        seq: outputs with a greater one were not there yet.
        frame: the frame in which it began.
    """
    outputs = [row for row in stored.outputs if row.seq <= seq]
    there = {row.key for row in outputs}
    late = {row.key for row in stored.outputs} - there
    return StoredRun(
        run=stored.run,
        nodes=[row for row in stored.nodes if row.frame <= frame and row.key not in late],
        outputs=outputs,
        attempts=[],
        generations=stored.generations,
        passes=[row for row in stored.passes if row.frame <= frame],
        blocks=[row for row in stored.blocks if row.frame <= frame],
        mounts=stored.mounts,
        wakeups=[],
        inbox=[],
        last_ms=stored.last_ms,
        children=stored.children,
        carried=stored.carried,
    )


def _unused(*_: object) -> None:
    """A look ahead starts nothing, so nothing reports."""
