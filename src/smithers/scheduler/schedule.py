"""What may run now: a plan over facts, kept up to date settlement by settlement.

`Schedule(tree, facts)` builds the answer afresh; `settle` and `judge` change it in time proportional to what
they change. After any of them it equals `Schedule` built anew over the same tree and facts: the property
tests hold it to that, and to an oracle written from the rules alone.

Nothing here knows a clock, a database or a thread: time is an argument, work is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

from smithers.errors import BugError
from smithers.ids import NodeKey
from smithers.plan import Edge, PlanNode

from .admission import Admission
from .check import check_cycles
from .decision import Cancel, Deadlock, Decision, Execute, Fail, Finish, Judge, Skip, Wait
from .edges import Doom, Edges
from .facts import Blocked, Due, Facts, Running, Settled
from .mount import Mounted
from .vertex import (
    FALLEN,
    AnyVertex,
    BlockVertex,
    HoleVertex,
    Leaf,
    LoopVertex,
    ParallelVertex,
    Path,
    Region,
    SequenceVertex,
    subtree,
)

NOT_REACHED = "not reached"


class Schedule:
    """The live plan of one run.

    Args:
        tree: what the workflow rendered, lowered.
        facts: what has happened; written by `settle`, `judge` and `decide`, and by nobody else meanwhile.
        limit: running attempts the whole run may have; None: no limit.
        version: what `version` counts from.
        running: keys with a running attempt, where they are known; default: looked for in the facts.
        on_mount: called with this schedule when the tree is mounted and nothing is reached yet: before the
            first body is expanded.
    """

    def __init__(
        self,
        tree: PlanNode,
        facts: Facts,
        *,
        limit: int | None = 16,
        version: int = 0,
        running: Iterable[NodeKey] | None = None,
        on_mount: Callable[[Schedule], None] | None = None,
    ) -> None:
        self.facts = facts
        self.limit = limit
        self.tree = tree
        self.version = version
        """Rises whenever other ids stand in the tree than before."""
        self._on_mount = on_mount
        self._running: set[NodeKey] = set(facts.running() if running is None else running)
        """Every running attempt of the run, mounted or not."""
        self._cancelled: set[NodeKey] = set()
        """Attempts that `Cancel` has named already."""
        self._bodies: dict[NodeKey, PlanNode] = {}
        """What each hole was filled with."""
        self._visited = 0
        self._build()

    @property
    def visited(self) -> int:
        """Plan nodes visited since construction: what a settlement costs."""
        return self._visited + self._mounted.visited + self._edges.visited + self._admission.visited

    # --- Building -------------------------------------------------------------------------------

    def _build(self) -> None:
        self._mounted = Mounted(self.facts)
        self._admission = Admission(self.facts, self.limit, self._running)
        self._edges = Edges(self._mounted.by_id, self.facts, self._admission.consider)
        self._ended: set[LoopVertex] = set()
        """Loops whose pass has ended and waits to be judged."""
        self._unwinding: set[BlockVertex] = set()
        self._skipped: list[tuple[Path, NodeKey, str]] = []
        """Settled as skipped, and not reported yet."""
        self._to_cancel: set[NodeKey] = set()
        self._reached: list[AnyVertex] = []
        """Worklist: vertices whose turn has come."""
        self._region = Region(None)
        self._root, leaves = self._mounted.mount(self.tree, (), None, self._region)
        self._adopt(self._root, leaves)
        if self._on_mount is not None:
            self._on_mount(self)
        self._reached.append(self._root)
        self._work()

    def _adopt(self, top: AnyVertex, leaves: list[Leaf]) -> None:
        """Give freshly mounted vertices the facts that are not settlements: running, then failed."""
        nodes = self.facts.nodes
        failed: list[Leaf] = []
        if nodes:
            for leaf in leaves:
                fact = nodes.get(leaf.key)
                if isinstance(fact, Running):
                    self._admission.count(leaf, 1)
                    self._cancel_late(leaf)
                elif fact is Settled.FAILED:
                    failed.append(leaf)
        if self.facts.blocks:
            for leaf in leaves:
                if leaf.zone.is_fallen:
                    self._leave_unreached(leaf)
        for leaf in failed:
            self._fail(leaf)
        for loop in self._mounted.take_failed_loops():
            self._fail(loop)
        if self._edges.is_awaiting:
            self._edges.welcome(subtree(top))

    def _fill(self, hole: HoleVertex) -> None:
        """Expand a hole that has been reached."""
        self.version += 1
        body = self._bodies.get(hole.key)
        if body is None:
            body = self._bodies[hole.key] = hole.plan.expand(hole.key)
        top, leaves = self._mounted.mount(body, (*hole.path, 0), hole, hole.region)
        hole.children = [top]
        self._adopt(top, leaves)

    def refill(self, hole: NodeKey) -> None:
        """What a hole's body was made from has changed: make it anew, and plan again.

        The other holes keep their bodies.
        """
        vertex = self._mounted.by_id.get(hole.node)
        if not isinstance(vertex, HoleVertex) or vertex.key != hole:
            return
        self._forget_bodies(vertex)
        self._visited = self.visited
        self.version += 1
        self._build()

    def _forget_bodies(self, top: AnyVertex) -> None:
        for vertex in subtree(top):
            if isinstance(vertex, HoleVertex):
                self._bodies.pop(vertex.key, None)

    # --- Reaching -------------------------------------------------------------------------------

    def _work(self) -> None:
        """Reach all that can be reached: a worklist, because thousands may settle in a row."""
        while self._reached:
            vertex = self._reached.pop()
            if vertex.is_active or not vertex.is_mounted:
                continue
            vertex.is_active = True
            self._visited += 1
            self._reach(vertex)

    def _reach(self, vertex: AnyVertex) -> None:
        match vertex:
            case Leaf():
                if not vertex.is_settled:
                    self._edges.reach(vertex)
                    self._admission.consider(vertex)
            case SequenceVertex():
                self._reached.extend(reversed(vertex.advance()))
            case ParallelVertex():
                self._reached.extend(reversed(vertex.children))
            case LoopVertex():
                self._reached.append(vertex.children[0])
                if vertex.children[0].is_settled:
                    self._end_pass(vertex)
            case BlockVertex():
                if self.facts.blocks.get(vertex.key) is Settled.FAILED:
                    return
                self._reached.append(vertex.children[0])
                if vertex.children[0].is_settled:
                    self._finish_block(vertex)
            case HoleVertex():
                self._fill(vertex)
                self._reached.append(vertex.children[0])
                if vertex.children[0].is_settled:
                    self._settle_up(vertex)
            case _:
                assert_never(vertex)

    # --- Settling -------------------------------------------------------------------------------

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None) -> None:
        """End the running attempt of `key`.

        Args:
            outcome: how the node settled; when it is due again; what it must wait for; or None: it is open
                again, because the attempt did not count.
        """
        leaf = self.leaf(key)
        if key in self._running:
            self._running.discard(key)
            if leaf is not None and leaf.running:
                self._admission.count(leaf, -1)
        self._to_cancel.discard(key)
        self._cancelled.discard(key)
        if outcome is None:
            self.facts.nodes.pop(key, None)
        else:
            self.facts.nodes[key] = outcome
        if leaf is None:
            return
        self._visited += 1
        if outcome is Settled.FAILED and not leaf.zone.is_ended:
            self._fail(leaf)
        elif isinstance(outcome, Settled):
            self._settle_up(leaf)
        elif leaf.zone.is_fallen:
            self._leave_unreached(leaf)
            self._settle_up(leaf)
        elif leaf.is_active:
            self._edges.reach(leaf)
            self._admission.consider(leaf)
        self._work()

    def _settle_up(self, vertex: AnyVertex) -> None:
        """`vertex` has settled: settle what that settles above it, and note what is reached by it."""
        top: AnyVertex | None = vertex
        while top is not None and not top.is_settled:
            top.is_settled = True
            self._visited += 1
            if top.waiters:
                self._edges.notify(top)
            parent = top.parent
            if parent is None:
                return
            parent.open -= 1
            top = None
            match parent:
                case SequenceVertex():
                    if parent.is_active:
                        self._reached.extend(reversed(parent.advance()))
                    top = parent if parent.open == 0 else None
                case ParallelVertex():
                    top = parent if parent.open == 0 else None
                case LoopVertex():
                    self._end_pass(parent)
                case BlockVertex():
                    self._finish_block(parent)
                case HoleVertex():
                    top = parent
                case _:
                    raise BugError(f"unknown container {type(parent).__name__}")

    def _end_pass(self, loop: LoopVertex) -> None:
        if loop.is_active and not loop.fact.done and not loop.zone.is_closed:
            self._ended.add(loop)

    def _finish_block(self, block: BlockVertex) -> None:
        if block.is_active and not block.zone.is_closed and block.key not in self.facts.blocks:
            self._unwinding.discard(block)
            self.facts.blocks[block.key] = Settled.FINISHED
            self._settle_up(block)

    def judge(self, loop: NodeKey, until: bool) -> None:
        """Answer `Judge`: end the loop, or begin its next pass."""
        vertex = self._mounted.by_id.get(loop.node)
        if not isinstance(vertex, LoopVertex) or vertex.key != loop or vertex not in self._ended:
            raise BugError(f"{loop} has no pass to judge")
        self._ended.discard(vertex)
        fact, plan = vertex.fact, vertex.plan
        if until:
            fact.done = True
            self._settle_up(vertex)
        elif plan.max_iterations is not None and fact.pass_ + 1 >= plan.max_iterations:
            fact.done = True
            if plan.fail_on_max:
                fact.failed = True
                self._fail(vertex)
            else:
                self._settle_up(vertex)
        else:
            fact.pass_ += 1
            self._begin_pass(vertex)
        self._work()

    def _begin_pass(self, loop: LoopVertex) -> None:
        """Mount the body again, in the pass that has begun."""
        gone = subtree(loop.children[0])
        self._visited += len(gone)
        if any(isinstance(vertex, HoleVertex) for vertex in gone):
            self.version += 1
            self._forget_bodies(loop.children[0])
        for vertex in gone:
            if vertex.running and isinstance(vertex, Leaf):
                self._admission.count(vertex, -1)
        self._mounted.unmount(gone)
        self._edges.orphan(gone)
        top, leaves = self._mounted.mount(loop.plan.body, (*loop.path, 0), loop, loop.region)
        loop.children = [top]
        self._adopt(top, leaves)
        self._reached.append(top)
        if top.is_settled:
            self._ended.add(loop)

    # --- Failing --------------------------------------------------------------------------------

    def _fail(self, vertex: Leaf | LoopVertex) -> None:
        """An unhandled failure: its innermost region unwinds."""
        if vertex.zone.is_ended:
            return
        vertex.region.fail(vertex.path, vertex.key)
        above = vertex.parent
        while above is not None:
            self._visited += 1
            if isinstance(above, BlockVertex):
                self._unwinding.add(above)
                return
            if isinstance(above, ParallelVertex) and above.plan.cancel_on_failure:
                above.is_cancelling = True
                self._cancel_below(above)
            above = above.parent

    def _cancel_below(self, group: ParallelVertex) -> None:
        depth = len(group.path)
        for key in self._running - self._cancelled:
            leaf = self.leaf(key)
            if leaf is not None and leaf.path[:depth] == group.path:
                self._to_cancel.add(key)

    def _cancel_late(self, leaf: Leaf) -> None:
        """A running task that is mounted where everything is being cancelled is cancelled too."""
        above = leaf.parent
        while above is not None:
            if isinstance(above, ParallelVertex) and above.is_cancelling and leaf.key not in self._cancelled:
                self._to_cancel.add(leaf.key)
            above = above.parent

    def _end_quiet_blocks(self) -> bool:
        """End the unwinding blocks in which nothing runs any more; whether there were any."""
        quiet = [
            block
            for block in self._unwinding
            if not block.running and not block.region.is_stopped and not block.zone.is_closed
        ]
        for block in quiet:
            self._unwinding.discard(block)
            self.facts.blocks[block.key] = Settled.FAILED
            self._seal(block)
            self._settle_up(block)
        self._work()
        return bool(quiet)

    def _seal(self, block: BlockVertex) -> None:
        """A block ends by a failure: what it has not reached is skipped, and all in it counts as settled."""
        emptied = self._empty_holes(block)
        for vertex in subtree(block.children[0]):
            self._visited += 1
            vertex.zone = FALLEN
            match vertex:
                case Leaf():
                    self._leave_unreached(vertex)
                case LoopVertex():
                    self._ended.discard(vertex)
                case BlockVertex():
                    self._unwinding.discard(vertex)
                case _:
                    pass
            if not vertex.is_settled:
                vertex.is_settled = True
                self._edges.notify(vertex)
        if emptied:
            self._look_again(emptied)

    def _look_again(self, ids: set[str]) -> None:
        """Ids have left the tree: edges to them that were met are not any more."""
        for leaf in self.leaves():
            if leaf.is_active and not leaf.is_settled and self._edges.names_any(leaf, ids):
                self._edges.reach(leaf)
                self._admission.consider(leaf)

    def _empty_holes(self, block: BlockVertex) -> set[str]:
        """A plan made anew would not expand the holes of a sealed block: their bodies go.

        Returns:
            The ids that went with them.
        """
        ids: set[str] = set()
        for hole in [v for v in subtree(block.children[0]) if isinstance(v, HoleVertex)]:
            if not hole.is_mounted or not hole.children:
                continue
            self.version += 1
            self._forget_bodies(hole)
            gone = subtree(hole.children[0])
            hole.children = []
            self._visited += len(gone)
            self._ended.difference_update(v for v in gone if isinstance(v, LoopVertex))
            self._unwinding.difference_update(v for v in gone if isinstance(v, BlockVertex))
            self._mounted.unmount(gone)
            ids.update(vertex.key.node for vertex in gone)
        return ids

    def _leave_unreached(self, leaf: Leaf) -> None:
        """A task in a sealed block that is neither settled nor running will not run any more."""
        if not isinstance(self.facts.nodes.get(leaf.key), Settled | Running):
            self.facts.nodes[leaf.key] = Settled.NOT_REACHED
            self._skipped.append((leaf.path, leaf.key, NOT_REACHED))

    # --- Deciding -------------------------------------------------------------------------------

    def decide(self, now_ms: int) -> Decision:
        """What to do now. Repeat until it is `Wait`, `Finish`, `Fail` or `Deadlock`.

        Args:
            now_ms: wall clock, milliseconds since the epoch.
        """
        if (skip := self._settle_known()) is not None:
            return skip
        if self._to_cancel:
            keys = sorted(self._to_cancel, key=lambda key: self._mounted.by_id[key.node].path)
            self._cancelled |= self._to_cancel
            self._to_cancel = set()
            return Cancel(tuple(keys))
        if self._region.cause is not None:
            return Wait(None, has_running=True) if self._running else Fail(self._region.cause[1])
        if self._ended:
            ended = sorted(loop for loop in self._ended if not loop.region.is_stopped)
            if ended:
                return Judge(tuple(loop.key for loop in ended))
        if starts := self._admission.admit(now_ms):
            return Execute(tuple(starts))
        if self._root.is_settled and not self._running:
            return Finish(self._is_partial())
        due = self._admission.next_due()
        if self._running or due is not None:
            return Wait(due, has_running=bool(self._running))
        return self._decide_stuck(now_ms)

    def _settle_known(self) -> Skip | None:
        """Settle what can be known without running anything."""
        while self._unwinding and self._end_quiet_blocks():
            pass  # the end of one may be what another waited for
        if self._edges.doomed:
            self._skip_doomed()
        return self._report_skipped() if self._skipped else None

    def _skip_doomed(self) -> None:
        """Skip the tasks that need what can never come; all reasons are taken before any is applied."""
        doomed, self._edges.doomed = self._edges.doomed, []
        found: list[tuple[Leaf, Doom]] = []
        for leaf in dict.fromkeys(doomed):
            if not leaf.is_mounted or leaf.is_settled or leaf.running or not leaf.is_doomed:
                continue  # a running one is looked at again when it ends
            if leaf.zone.is_closed:
                continue
            if leaf.region.is_stopped:
                self._edges.doomed.append(leaf)
            elif (doom := self._edges.doom(leaf)) is not None:
                found.append((leaf, doom))
            else:
                self._edges.reach(leaf)
                self._admission.consider(leaf)
        for leaf, doom in found:
            self._skip(leaf, doom)
        self._work()

    def _skip(self, leaf: Leaf, doom: Doom) -> None:
        self.facts.nodes[leaf.key] = doom.outcome
        self._skipped.append((leaf.path, leaf.key, doom.reason))
        self._settle_up(leaf)

    def _report_skipped(self) -> Skip:
        skipped, self._skipped = sorted(self._skipped), []
        return Skip(tuple((key, reason) for _, key, reason in skipped))

    def _decide_stuck(self, now_ms: int) -> Decision:
        """Nothing runs, and nothing can change the tree: what is not mounted now never will be."""
        blocked = [leaf for leaf in self.leaves() if self._is_blocked(leaf)]
        waived: set[Leaf] = set()
        for leaf in blocked:
            if leaf.region.is_stopped:
                continue
            answer = self._edges.waive(leaf)
            if isinstance(answer, Doom):
                self._skip(leaf, answer)
            elif answer:
                waived.add(leaf)
        self._work()
        if self._skipped:
            return self._report_skipped()
        if waived and (starts := self._admission.admit(now_ms, waived)):
            return Execute(tuple(starts))
        later = [fact.at_ms for leaf in waived if isinstance(fact := self.facts.nodes.get(leaf.key), Due)]
        if later:
            return Wait(min(later), has_running=False)
        return Deadlock(tuple((leaf.key, tuple(self._edges.unmet(leaf))) for leaf in blocked))

    def _is_blocked(self, leaf: Leaf) -> bool:
        if not leaf.is_active or leaf.is_settled or not leaf.unmet or leaf.zone.is_closed:
            return False
        return not isinstance(self.facts.nodes.get(leaf.key), Settled)

    def _is_partial(self) -> bool:
        by_id = self._mounted.by_id
        return any(
            fact is Settled.TOLERATED or fact is Settled.UPSTREAM
            for key, fact in self.facts.nodes.items()
            if key.node in by_id
        )

    def next_due(self) -> int | None:
        """Wall clock, in ms, of the earliest back-off that can still end in a start."""
        return self._admission.next_due()

    # --- Checking -------------------------------------------------------------------------------

    def check_edges(self) -> None:
        """Refuse edges that can never be met.

        Raises:
            DependencyCycle: tasks wait for each other, or for what comes after them; with file and line.
        """
        targets: dict[Leaf, list[tuple[Edge, AnyVertex]]] = {}
        for leaf in self.leaves():
            for edge in leaf.plan.edges:
                source = self._mounted.by_id.get(edge.target)
                if source is not None:
                    targets.setdefault(leaf, []).append((edge, self._edges.target(leaf, source)))
        if targets:
            check_cycles(self._root, targets)

    # --- Looking --------------------------------------------------------------------------------

    @property
    def root(self) -> AnyVertex:
        return self._root

    @property
    def running(self) -> set[NodeKey]:
        """Keys with a running attempt, mounted or not. Do not change it."""
        return self._running

    @property
    def is_unwinding(self) -> bool:
        """Whether the run itself has failed: nothing new starts."""
        return self._region.cause is not None

    def leaf(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key."""
        vertex = self._mounted.by_id.get(key.node)
        return vertex if isinstance(vertex, Leaf) and vertex.key == key else None

    def vertex(self, node: str) -> AnyVertex | None:
        """What is mounted under this id, in the current pass."""
        return self._mounted.by_id.get(node)

    def leaves(self) -> list[Leaf]:
        """Every mounted task, in document order."""
        return [vertex for vertex in subtree(self._root) if isinstance(vertex, Leaf)]

    def below(self, vertex: AnyVertex) -> list[AnyVertex]:
        """`vertex` and everything under it."""
        return subtree(vertex)

    def unit_of(self, vertex: AnyVertex) -> NodeKey | None:
        """Key of the hole whose body `vertex` was declared in; None: the workflow function itself."""
        above = vertex.parent
        while above is not None:
            if isinstance(above, HoleVertex):
                return above.key
            above = above.parent
        return None

    def missing(self) -> list[tuple[NodeKey, str]]:
        """Reached tasks with an edge to an id that is not mounted (yet): (task, id)."""
        return self._edges.missing()

    def snapshot(self) -> dict[NodeKey, str]:
        """Every mounted task in one word; for tests and for looking."""
        return {leaf.key: self._word(leaf) for leaf in self.leaves()}

    def _word(self, leaf: Leaf) -> str:
        fact = self.facts.nodes.get(leaf.key)
        match fact:
            case Settled():
                return fact.name.lower()
            case Running():
                return "running"
            case _ if not leaf.is_active or leaf.zone.is_closed:
                return "idle"
            case _ if leaf.unmet or leaf.is_doomed:
                return "blocked"
            case Due():
                return "due"
            case _:
                return "ready"
