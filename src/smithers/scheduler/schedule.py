"""What may run now: a plan over facts, kept up to date settlement by settlement.

`Schedule(tree, facts)` builds the answer afresh; `settle` and `judge` change it in time proportional to what
they change. After any of them it equals `Schedule` built anew over the same tree and facts: the property
tests hold it to that, and to an oracle written from the rules alone.

Nothing here knows a clock, a database or a thread: time is an argument, work is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smithers.errors import BugError
from smithers.ids import NodeKey
from smithers.plan import Edge, PlanNode

from .check import check_cycles
from .decision import Cancel, Deadlock, Decision, Enter, Execute, Fail, Finish, Judge, Skip, Stop, Wait
from .edges import Doom
from .facts import Blocked, BlockFact, Due, Facts, Open, Running, Settled
from .live import Keep, Live
from .vertex import AnyVertex, BlockVertex, HoleVertex, Leaf, LoopVertex, ScopeVertex, is_call, subtree


class Schedule:
    """The live plan of one run.

    Args:
        tree: what the workflow rendered, lowered.
        facts: what has happened; written by `settle`, `judge` and `decide`, and by nobody else meanwhile.
        limit: running attempts the whole run may have; None: no limit.
        version: what `version` counts from.
        is_cancelled: the run was told to stop.
        running: keys with a running attempt, where they are known; default: looked for in the facts.
        waiting: keys of what was entered and waits, likewise.
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
        waiting: Iterable[NodeKey] | None = None,
        on_mount: Callable[[Schedule], None] | None = None,
        is_cancelled: bool = False,
    ) -> None:
        self.facts = facts
        self.tree = tree
        self._limit = limit
        self._on_mount = on_mount
        self._keep = Keep(
            set(facts.running() if running is None else running),
            version,
            is_cancelled,
            open=set(facts.open() if waiting is None else waiting),
        )
        self._plan()

    def _plan(self) -> None:
        """Plan the tree over the facts, from scratch."""
        self._live = Live(self.tree, self.facts, self._limit, self._keep)
        if self._on_mount is not None:
            self._on_mount(self)
        self._live.begin()

    @property
    def version(self) -> int:
        """Rises whenever other ids stand in the tree than before."""
        return self._keep.version

    @property
    def visited(self) -> int:
        """Plan nodes visited since construction: what a settlement costs."""
        return self._keep.visited + self._live.visited

    # --- What happened --------------------------------------------------------------------------

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None) -> None:
        """End the running attempt of `key`.

        Args:
            outcome: how the node settled; when it is due again; what it must wait for; or None: it is open
                again, because the attempt did not count.
        """
        leaf = self.leaf(key)
        if key in self._keep.running:
            self._keep.running.discard(key)
            if leaf is not None and leaf.running:
                self._live.admission.count(leaf, -1)
                self._live.failing.look_around(leaf)
        self._live.failing.to_cancel.discard(key)
        self._keep.cancelled.discard(key)
        self._keep.open.discard(key)
        if outcome is None:
            self.facts.nodes.pop(key, None)
        else:
            self.facts.nodes[key] = outcome
        if leaf is None:
            return
        self._keep.visited += 1
        if outcome is Settled.FAILED and not self._live.failing.is_handled(leaf):
            self._live.failing.fail(leaf)
        elif isinstance(outcome, Settled):
            self._live.settle_up(leaf)
        elif leaf.zone.is_fallen:
            self._live.failing.leave_unreached(leaf)
            self._live.settle_up(leaf)
        elif leaf.is_active:
            self._live.edges.reach(leaf)
            self._live.admission.consider(leaf)
        self._live.work()

    def opened(self, key: NodeKey) -> None:
        """Answer `Enter`: it waits now, until it is settled or open again."""
        self.facts.entered.add(key)
        self._keep.open.add(key)
        leaf = self.leaf(key)
        if leaf is not None and leaf.plan.is_async and not leaf.is_passed:
            self._live.let_on(leaf)

    def judge(self, loop: NodeKey, until: bool) -> None:
        """Answer `Judge`: end the loop, or begin its next pass."""
        vertex = self._live.mounted.by_id.get(loop.node)
        if not isinstance(vertex, LoopVertex) or vertex.key != loop or vertex not in self._live.ended:
            raise BugError(f"{loop} has no pass to judge")
        self._live.ended.discard(vertex)
        fact, plan = vertex.fact, vertex.plan
        if until:
            fact.done = True
            self._live.settle_up(vertex)
        elif plan.max_iterations is not None and fact.pass_ + 1 >= plan.max_iterations:
            fact.done = True
            if plan.fail_on_max:
                fact.failed = True
                self._live.failing.fail(vertex)
            else:
                self._live.settle_up(vertex)
        else:
            fact.pass_ += 1
            self._live.begin_pass(vertex)
        self._live.work()

    def cancel(self, begun: Iterable[NodeKey] = ()) -> None:
        """The run is to stop: what runs is cancelled, what has begun is carried through its last parts.

        Args:
            begun: blocks that a script goes through again: they count as begun before anything in them does.
        """
        for key in begun:
            vertex = self.vertex(key.node)
            if isinstance(vertex, BlockVertex) and vertex.key == key:
                self._live.failing.begin_around(vertex)
                self._live.failing.begin(vertex)
        self._live.work()
        self._keep.is_cancelled = True
        self._live.failing.cancel_run()

    def take_changed(self) -> dict[NodeKey, BlockFact]:
        """What blocks have come to remember since the last call: to be stored."""
        found, self._keep.changed = self._keep.changed, {}
        return found

    # --- Scripts --------------------------------------------------------------------------------

    def extend(self, scope: NodeKey) -> None:
        """Mount what a script has asked for in a scope since it was last looked at."""
        if (vertex := self._scope(scope)) is not None:
            self._live.extend(vertex)

    def close(self, scope: NodeKey) -> None:
        """A script asks for nothing more in a scope."""
        if (vertex := self._scope(scope)) is not None:
            self._live.close(vertex)

    def withdraw(self, call: NodeKey) -> None:
        """A script does not wait for a call any more, nor does anybody else."""
        vertex = self._live.mounted.by_id.get(call.node)
        if not isinstance(vertex, Leaf | BlockVertex) or vertex.key != call or not is_call(vertex):
            return
        if not vertex.is_settled:
            self._live.failing.withdraw(vertex)
            self._live.work()

    def fail_script(self, scope: NodeKey) -> None:
        """A script has ended by an error: the region that it stands in unwinds."""
        self.facts.nodes[scope] = Settled.FAILED
        if (vertex := self._scope(scope)) is not None:
            self._live.failing.fail(vertex)
            self._live.work()

    def take_returned(self) -> list[AnyVertex]:
        """Calls that have settled since the last call of this; some may be named twice."""
        found, self._keep.returned = self._keep.returned, []
        return found

    def take_grown(self) -> list[AnyVertex]:
        """The tops of what has joined the tree, without `version` having risen, since the last call."""
        found, self._keep.grown = self._keep.grown, []
        return found

    def _scope(self, key: NodeKey) -> ScopeVertex | None:
        vertex = self.vertex(key.node)
        return vertex if isinstance(vertex, ScopeVertex) and vertex.key == key else None

    def refill(self, hole: NodeKey) -> None:
        """What a hole's body was made from has changed: make it anew, and plan again.

        The other holes keep their bodies.
        """
        vertex = self.vertex(hole.node)
        if not isinstance(vertex, HoleVertex) or vertex.key != hole:
            return
        self._live.forget_bodies(vertex)
        self._keep.visited = self.visited
        self._keep.version += 1
        self._plan()

    # --- Deciding -------------------------------------------------------------------------------

    def decide(self, now_ms: int, *, may_start: bool = True, may_grow: bool = False) -> Decision:
        """What to do now. Repeat until it is `Wait`, `Finish`, `Fail` or `Deadlock`.

        Args:
            now_ms: wall clock, milliseconds since the epoch.
            may_start: False: the run drains: it may end, but nothing begins; what would is `Wait`.
            may_grow: a script goes on by itself, and may ask for more.
        """
        if (skip := self._settle_known()) is not None:
            return skip
        if self._live.failing.to_cancel:
            return Cancel(self._live.failing.take_cancels())
        if self._live.region.unwinds and not self._keep.running and not self._live.root.begun:
            return self._unwound()
        if self._live.ended:
            ended = sorted(loop for loop in self._live.ended if not loop.region.is_stopped)
            if ended:
                return Judge(tuple(loop.key for loop in ended))
        if may_start and (entered := self._live.admission.enter()):
            return Enter(tuple(entered))
        if may_start and (starts := self._live.admission.admit(now_ms)):
            return self._begin(starts)
        if self._live.root.is_settled and not self._keep.running:
            return Finish(self._is_partial())
        has_open = self._has_open()
        if not may_start:
            return Wait(None, bool(self._keep.running), has_open)
        due = self._live.admission.next_due()
        if self._keep.running or has_open or due is not None or may_grow or self._keep.returned:
            return Wait(due, bool(self._keep.running), has_open)
        return self._decide_stuck(now_ms)

    def _has_open(self) -> bool:
        """Whether something waits whose end can change anything."""
        return any(self.is_open(key) for key in self._keep.open)

    def is_open(self, key: NodeKey) -> bool:
        """Whether a node has been entered and waits, where it stands."""
        leaf = self.leaf(key)
        if leaf is None or leaf.zone.is_closed or leaf.region.is_stopped:
            return False
        return isinstance(self.facts.nodes.get(key), Open)

    def _begin(self, starts: list[NodeKey]) -> Execute:
        for key in starts:
            if (leaf := self._live.leaf(key)) is not None:
                self._live.failing.begin_around(leaf)
        self._live.work()
        return Execute(tuple(starts))

    def _unwound(self) -> Fail | Stop:
        """The run's own region has unwound: a failure says more than that it was told to stop."""
        cause = self._live.region.cause
        return Stop() if cause is None or self._keep.is_cancelled else Fail(cause[1])

    def _settle_known(self) -> Skip | None:
        """Settle what can be known without running anything."""
        while self._live.failing.look and self._live.failing.end_parts():
            pass  # the end of one may be what another waited for
        self._live.failing.leave_sealed()
        if self._live.edges.doomed:
            self._skip_doomed()
        return self._report_skipped() if self._keep.skipped else None

    def _skip_doomed(self) -> None:
        """Skip the tasks that need what can never come; all reasons are taken before any is applied."""
        doomed, self._live.edges.doomed = self._live.edges.doomed, []
        found: list[tuple[Leaf, Doom]] = []
        for leaf in dict.fromkeys(doomed):
            if not leaf.is_mounted or leaf.is_settled or leaf.running or not leaf.is_doomed:
                continue  # a running one is looked at again when it ends
            if leaf.zone.is_closed:
                continue
            if leaf.region.is_stopped:
                self._live.edges.doomed.append(leaf)
            elif (doom := self._live.edges.doom(leaf)) is not None:
                found.append((leaf, doom))
            else:
                self._live.edges.reach(leaf)
                self._live.admission.consider(leaf)
        for leaf, doom in found:
            self._skip(leaf, doom)
        self._live.work()

    def _skip(self, leaf: Leaf, doom: Doom) -> None:
        self.facts.nodes[leaf.key] = doom.outcome
        self._keep.skipped.append((leaf.path, leaf.key, doom.reason))
        self._live.settle_up(leaf)

    def _report_skipped(self) -> Skip:
        skipped, self._keep.skipped = sorted(self._keep.skipped), []
        return Skip(tuple((key, reason) for _, key, reason in skipped))

    def _decide_stuck(self, now_ms: int) -> Decision:
        """Nothing runs, and nothing can change the tree: what is not mounted now never will be."""
        blocked = [leaf for leaf in self.leaves() if self._is_blocked(leaf)]
        waived: set[Leaf] = set()
        for leaf in blocked:
            answer = self._live.edges.waive(leaf)
            if isinstance(answer, Doom):
                self._skip(leaf, answer)
            elif answer:
                waived.add(leaf)
        self._live.work()
        if self._keep.skipped:
            return self._report_skipped()
        if waived and (entered := self._live.admission.enter(waived)):
            return Enter(tuple(entered))
        if waived and (starts := self._live.admission.admit(now_ms, waived)):
            return self._begin(starts)
        later = [fact.at_ms for leaf in waived if isinstance(fact := self.facts.nodes.get(leaf.key), Due)]
        if later:
            return Wait(min(later), has_running=False)
        return Deadlock(tuple((leaf.key, tuple(self._live.edges.unmet(leaf))) for leaf in blocked))

    def _is_blocked(self, leaf: Leaf) -> bool:
        if not leaf.is_active or leaf.is_settled or not leaf.unmet or leaf.zone.is_closed:
            return False
        if leaf.region.is_stopped:
            return False
        return not isinstance(self.facts.nodes.get(leaf.key), Settled | Open)

    def _is_partial(self) -> bool:
        by_id = self._live.mounted.by_id
        blocks = self.facts.blocks.items()
        if any(
            fact.has_ended and fact.then is Settled.TOLERATED and key.node in by_id for key, fact in blocks
        ):
            return True
        return any(
            fact is Settled.TOLERATED or fact is Settled.UPSTREAM
            for key, fact in self.facts.nodes.items()
            if key.node in by_id
        )

    def next_due(self) -> int | None:
        """Wall clock, in ms, of the earliest back-off that can still end in a start."""
        return self._live.admission.next_due()

    # --- Checking -------------------------------------------------------------------------------

    def check_edges(self) -> None:
        """Refuse edges that can never be met.

        Raises:
            DependencyCycle: tasks wait for each other, or for what comes after them; with file and line.
        """
        targets: dict[Leaf, list[tuple[Edge, AnyVertex]]] = {}
        for leaf in self.leaves():
            for edge in leaf.plan.edges:
                source = self._live.mounted.by_id.get(edge.target)
                if source is not None:
                    targets.setdefault(leaf, []).append((edge, self._live.edges.target(leaf, source)))
        if targets:
            check_cycles(self._live.root, targets)

    # --- Looking --------------------------------------------------------------------------------

    @property
    def root(self) -> AnyVertex:
        """The top of the mounted tree."""
        return self._live.root

    @property
    def running(self) -> set[NodeKey]:
        """Keys with a running attempt, mounted or not. Do not change it."""
        return self._keep.running

    @property
    def waiting(self) -> set[NodeKey]:
        """Keys of what was entered and waits, mounted or not; some may not any more. Do not change it."""
        return self._keep.open

    @property
    def is_unwinding(self) -> bool:
        """Whether the run itself has failed, or was told to stop: nothing new starts, but last parts."""
        return self._live.region.unwinds

    @property
    def failed_by(self) -> NodeKey | None:
        """The failure by which the run unwinds; None: it does not, or because it was told to stop."""
        cause = self._live.region.cause
        return cause[1] if cause is not None else None

    @property
    def has_last_parts(self) -> bool:
        """Whether blocks have begun that have not ended: `finally` and compensations may be to come."""
        return self._live.root.begun > 0

    def leaf(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key."""
        return self._live.leaf(key)

    def vertex(self, node: str) -> AnyVertex | None:
        """What is mounted under this id, in the current pass."""
        return self._live.mounted.by_id.get(node)

    def leaves(self) -> list[Leaf]:
        """Every mounted task, in document order."""
        return self._live.leaves()

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
        return self._live.edges.missing()

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
            case Open() if not leaf.zone.is_closed:
                return "open"
            case _ if not leaf.is_active or leaf.zone.is_closed:
                return "idle"
            case _ if leaf.unmet or leaf.is_doomed:
                return "blocked"
            case Due():
                return "due"
            case _:
                return "ready"
