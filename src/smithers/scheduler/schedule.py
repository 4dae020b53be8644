"""What may run now: a plan over facts, kept up to date settlement by settlement.

`Schedule(tree, facts)` builds the answer afresh; `settle`, `judge` and `refill` change it in time proportional
to what they change. After any of them it equals `Schedule` built anew over the same tree and facts: the
property tests hold it to that, and to an oracle written from the rules alone.

Nothing here knows a clock, a database or a thread: time is an argument, work is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import assert_never

from smithers.errors import BugError
from smithers.ids import NodeKey
from smithers.plan import Edge, PlanNode

from .decision import Cancel, Deadlock, Decision, Execute, Fail, Finish, Judge, Skip, Wait
from .facts import Blocked, Due, Facts, NodeFact, Running, Settled
from .mount import Mounted
from .vertex import (
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


class Schedule:
    """The live plan of one run.

    Args:
        tree: what the workflow rendered, lowered.
        facts: what has happened; written by `settle`, `judge` and `decide`, and by nobody else meanwhile.
        limit: running attempts the whole run may have; None: no limit.
        version: what `version` counts from.
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
        on_mount: Callable[[Schedule], None] | None = None,
    ) -> None:
        self.facts = facts
        self.limit = limit
        self.tree = tree
        self.version = version
        """Rises whenever other ids stand in the tree than before."""
        self._on_mount = on_mount
        self._running: set[NodeKey] = set(facts.running())
        """Every running attempt of the run, mounted or not."""
        self._visited = 0
        self._build()

    @property
    def visited(self) -> int:
        """Plan nodes visited since construction: what a settlement costs."""
        return self._visited + self._mounted.visited

    # --- Building -------------------------------------------------------------------------------

    def _build(self) -> None:
        self._mounted = Mounted(self.facts)
        self._ready: list[Leaf] = []
        """Heap, in document order, of candidates; may hold some that are none any more."""
        self._due: list[tuple[int, Path, Leaf]] = []
        self._doomed: list[Leaf] = []
        self._ended: set[LoopVertex] = set()
        self._unwinding: set[BlockVertex] = set()
        self._to_cancel: set[NodeKey] = set()
        self._cancelled: set[NodeKey] = set()
        self._awaited: dict[str, list[tuple[Leaf, Edge]]] = {}
        """Edges to ids that are not mounted."""
        self._region = Region(None)
        self._root, leaves = self._mounted.mount(self.tree, (), None, self._region)
        self._adopt(self._root, leaves)
        if self._on_mount is not None:
            self._on_mount(self)
        self._activate(self._root)

    def _adopt(self, top: AnyVertex, leaves: list[Leaf]) -> None:
        """Give freshly mounted vertices the facts that are not settlements: running, then failed."""
        failed: list[Leaf] = []
        nodes = self.facts.nodes
        if nodes:
            for leaf in leaves:
                fact = nodes.get(leaf.key)
                if isinstance(fact, Running):
                    self._count(leaf, 1)
                elif fact is Settled.FAILED:
                    failed.append(leaf)
        for leaf in failed:
            self._fail(leaf)
        if self.facts.loops:
            for vertex in subtree(top):
                if isinstance(vertex, LoopVertex) and vertex.fact.failed:
                    self._fail(vertex)
        if self._awaited:
            self._welcome(subtree(top))

    def refill(self, hole: NodeKey) -> None:
        """Expand a hole again: what its body was made from has changed."""
        vertex = self._mounted.by_id.get(hole.node)
        if not isinstance(vertex, HoleVertex) or vertex.key != hole or not vertex.children:
            return
        was_settled = vertex.is_settled
        orphans = self._drop_body(vertex)
        self._fill(vertex)
        if was_settled and not vertex.children[0].is_settled:
            # What stood after the hole is no longer reached: rare enough to start over.
            self._visited += self._mounted.visited
            self.version += 1
            self._build()
            return
        for leaf, edge in orphans:
            if leaf.is_mounted and not leaf.is_settled:
                leaf.unmet -= 1
                self._meet(leaf, edge)
                self._consider(leaf)
        self._activate(vertex.children[0])
        if vertex.children[0].is_settled and not was_settled:
            self._settle_up(vertex)

    def _drop_body(self, group: HoleVertex | LoopVertex) -> list[tuple[Leaf, Edge]]:
        """Unmount what stands in `group`; the edges from outside that pointed into it."""
        gone = subtree(group.children[0])
        self._visited += len(gone)
        orphans: list[tuple[Leaf, Edge]] = []
        for vertex in gone:
            if isinstance(vertex, Leaf) and vertex.running:
                self._count(vertex, -1)
            if isinstance(vertex, LoopVertex):
                self._ended.discard(vertex)
            if isinstance(vertex, BlockVertex):
                self._unwinding.discard(vertex)
            if isinstance(vertex, HoleVertex):
                self.version += 1
            if vertex.waiters:
                orphans.extend(vertex.waiters)
        self._mounted.unmount(gone)
        group.children = []
        return orphans

    def _fill(self, hole: HoleVertex) -> None:
        self.version += 1
        body = hole.plan.expand(hole.key)
        top, leaves = self._mounted.mount(body, (*hole.path, 0), hole, hole.region)
        hole.children = [top]
        self._adopt(top, leaves)

    # --- Reaching -------------------------------------------------------------------------------

    def _activate(self, top: AnyVertex) -> None:
        """Reach `top`, and below it all that can be reached."""
        stack: list[AnyVertex] = [top]
        while stack:
            vertex = stack.pop()
            if vertex.is_active or not vertex.is_mounted:
                continue
            vertex.is_active = True
            self._visited += 1
            match vertex:
                case Leaf():
                    if not vertex.is_settled:
                        self._reach(vertex)
                case SequenceVertex():
                    if (child := vertex.advance()) is not None:
                        stack.append(child)
                case ParallelVertex():
                    stack.extend(child for child in reversed(vertex.children) if not child.is_settled)
                case LoopVertex():
                    if not vertex.fact.done:
                        stack.append(vertex.children[0])
                        if vertex.children[0].is_settled:
                            self._ended.add(vertex)
                case BlockVertex():
                    if not vertex.is_settled:
                        stack.append(vertex.children[0])
                        if vertex.children[0].is_settled:
                            self._end_block(vertex, Settled.FINISHED)
                case HoleVertex():
                    self._fill(vertex)
                    stack.append(vertex.children[0])
                    if vertex.children[0].is_settled:
                        self._settle_up(vertex)
                case _:
                    assert_never(vertex)

    def _reach(self, leaf: Leaf) -> None:
        """A task whose turn has come: look at its edges, and queue it if nothing is in its way."""
        for edge in leaf.plan.edges:
            self._meet(leaf, edge)
        fact = self.facts.nodes.get(leaf.key)
        if isinstance(fact, Blocked):
            self._meet(leaf, Edge(fact.target, needs_output=True))
        self._consider(leaf)

    def _consider(self, leaf: Leaf) -> None:
        """Queue a reached task if it may start, now or when its back-off ends."""
        if leaf.doom is not None or leaf.unmet:
            return
        fact = self.facts.nodes.get(leaf.key)
        if isinstance(fact, Due):
            heappush(self._due, (fact.at_ms, leaf.path, leaf))
        elif fact is None or isinstance(fact, Blocked):
            heappush(self._ready, leaf)

    # --- Edges ----------------------------------------------------------------------------------

    def _meet(self, leaf: Leaf, edge: Edge) -> None:
        """Count an edge as unmet and wait at its target, unless it is satisfied already."""
        source = self._mounted.by_id.get(edge.target)
        if source is None:
            fact = self._absent_fact(leaf, edge.target)
            if fact is None:
                leaf.unmet += 1
                self._awaited.setdefault(edge.target, []).append((leaf, edge))
            elif edge.needs_output and not fact.has_output:
                self._doom(leaf, edge.target, fact)
            return
        target = self._target(leaf, source)
        if not target.is_settled:
            leaf.unmet += 1
            if target.waiters is None:
                target.waiters = []
            target.waiters.append((leaf, edge))
        elif edge.needs_output:
            self._check_output(leaf, source)

    def _target(self, leaf: Leaf, source: AnyVertex) -> AnyVertex:
        """What an edge to `source` waits for: itself, or the outermost loop around it that `leaf` is not in."""
        if source.loop is None or source.loop is leaf.loop:
            return source
        own = leaf.loops()
        for loop in source.loops():
            if loop not in own:
                return loop
        return source

    def _absent_fact(self, leaf: Leaf, target: str) -> Settled | None:
        """How a node that is not mounted settled, in the leaf's own pass or in one around it."""
        places = [(leaf.key.scope, leaf.key.iteration)]
        loop = leaf.loop
        while loop is not None:
            places.append((loop.key.scope, loop.key.iteration))
            loop = loop.loop
        for scope, iteration in places:
            fact = self.facts.nodes.get(NodeKey(target, scope, iteration))
            if isinstance(fact, Settled) and fact is not Settled.FAILED:
                return fact
        return None

    def _check_output(self, leaf: Leaf, source: AnyVertex) -> None:
        if isinstance(source, Leaf):
            fact = self.facts.nodes.get(source.key)
            if isinstance(fact, Settled) and not fact.has_output:
                self._doom(leaf, source.key.node, fact)

    def _doom(self, leaf: Leaf, target: str, fact: Settled) -> None:
        if leaf.doom is None:
            word = "failed" if fact is Settled.TOLERATED else "skipped"
            leaf.doom = f"upstream {word}: {target}"
            self._doomed.append(leaf)

    def _notify(self, target: AnyVertex) -> None:
        """`target` has settled: satisfy, or doom, the tasks that waited for it."""
        waiters, target.waiters = target.waiters, None
        for leaf, edge in waiters or ():
            if not leaf.is_mounted or leaf.is_settled:
                continue
            self._visited += 1
            leaf.unmet -= 1
            if edge.needs_output:
                source = self._mounted.by_id.get(edge.target)
                if source is not None:
                    self._check_output(leaf, source)
            self._consider(leaf)

    def _welcome(self, arrived: list[AnyVertex]) -> None:
        """Edges to ids that have just been mounted now have a target."""
        for vertex in arrived:
            for leaf, edge in self._awaited.pop(vertex.key.node, ()):
                self._retry_edge(leaf, edge)

    def _retry_edge(self, leaf: Leaf, edge: Edge) -> None:
        if leaf.is_mounted and not leaf.is_settled:
            self._visited += 1
            leaf.unmet -= 1
            self._meet(leaf, edge)
            self._consider(leaf)

    # --- Settling -------------------------------------------------------------------------------

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None) -> None:
        """End the running attempt of `key`.

        Args:
            outcome: how the node settled; when it is due again; what it must wait for; or None: it is open
                again, because the attempt did not count.
        """
        leaf = self._mounted.by_id.get(key.node)
        mounted = leaf if isinstance(leaf, Leaf) and leaf.key == key else None
        if key in self._running:
            self._running.discard(key)
            if mounted is not None and mounted.running:
                self._count(mounted, -1)
        self._to_cancel.discard(key)
        self._cancelled.discard(key)
        if outcome is None:
            self.facts.nodes.pop(key, None)
        else:
            self.facts.nodes[key] = outcome
        if mounted is None:
            self._settle_unmounted(key, outcome)
            return
        self._visited += 1
        if outcome is Settled.FAILED:
            self._fail(mounted)
        elif isinstance(outcome, Settled):
            self._settle_up(mounted)
        elif mounted.is_active:
            if isinstance(outcome, Blocked):
                self._meet(mounted, Edge(outcome.target, needs_output=True))
            self._consider(mounted)

    def _settle_unmounted(self, key: NodeKey, outcome: NodeFact | None) -> None:
        if isinstance(outcome, Settled):
            for leaf, edge in self._awaited.pop(key.node, ()):
                self._retry_edge(leaf, edge)

    def _settle_up(self, vertex: AnyVertex) -> None:
        """`vertex` has settled: settle what that settles above it, and reach what comes next."""
        top: AnyVertex | None = vertex
        while top is not None:
            top.is_settled = True
            self._visited += 1
            if top.waiters:
                self._notify(top)
            parent = top.parent
            if parent is None:
                return
            parent.open -= 1
            top = None
            match parent:
                case SequenceVertex():
                    if parent.open == 0:
                        top = parent
                    elif parent.is_active and (child := parent.advance()) is not None:
                        self._visited += 1
                        self._activate(child)
                case ParallelVertex():
                    top = parent if parent.open == 0 else None
                case LoopVertex():
                    if parent.is_active:
                        self._ended.add(parent)
                case BlockVertex():
                    if parent.is_active:
                        self.facts.blocks[parent.key] = Settled.FINISHED
                        top = parent
                case HoleVertex():
                    top = parent
                case _:
                    raise BugError(f"unknown container {type(parent).__name__}")

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
            orphans = self._drop_body(vertex)
            top, leaves = self._mounted.mount(plan.body, (*vertex.path, 0), vertex, vertex.region)
            vertex.children = [top]
            self._adopt(top, leaves)
            for leaf, edge in orphans:
                self._retry_edge(leaf, edge)
            self._activate(top)
            if top.is_settled:
                self._ended.add(vertex)

    # --- Failing --------------------------------------------------------------------------------

    def _fail(self, vertex: Leaf | LoopVertex) -> None:
        """An unhandled failure: its innermost region unwinds."""
        region = vertex.region
        region.fail(vertex.path, vertex.key)
        above = vertex.parent
        while above is not None:
            self._visited += 1
            if isinstance(above, BlockVertex):
                self._unwinding.add(above)
                return
            if isinstance(above, ParallelVertex) and above.plan.cancel_on_failure:
                self._cancel_below(above)
            above = above.parent

    def _cancel_below(self, group: ParallelVertex) -> None:
        depth = len(group.path)
        for key in self._running - self._cancelled:
            leaf = self._mounted.by_id.get(key.node)
            if leaf is not None and leaf.key == key and leaf.path[:depth] == group.path:
                self._to_cancel.add(key)

    def _end_block(self, block: BlockVertex, how: Settled) -> None:
        self.facts.blocks[block.key] = how
        self._settle_up(block)

    def _end_blocks(self) -> list[tuple[Path, NodeKey, str]]:
        """End the blocks in which nothing runs any more; what they never reached is skipped."""
        skipped: list[tuple[Path, NodeKey, str]] = []
        quiet = [b for b in self._unwinding if not b.running and not b.region.is_stopped]
        for block in quiet:
            self._unwinding.discard(block)
            for vertex in subtree(block.children[0]):
                self._visited += 1
                if isinstance(vertex, LoopVertex):
                    self._ended.discard(vertex)
                if isinstance(vertex, BlockVertex):
                    self._unwinding.discard(vertex)
                if not isinstance(vertex, Leaf):
                    continue
                if not isinstance(self.facts.nodes.get(vertex.key), Settled):
                    self.facts.nodes[vertex.key] = Settled.SKIPPED
                    vertex.is_settled = True
                    skipped.append((vertex.path, vertex.key, "not reached"))
                    if vertex.waiters:
                        self._notify(vertex)
            self._end_block(block, Settled.FAILED)
        return skipped

    def _skip_doomed(self, doomed: list[Leaf]) -> list[tuple[Path, NodeKey, str]]:
        skipped: list[tuple[Path, NodeKey, str]] = []
        for leaf in doomed:
            if not leaf.is_mounted or leaf.is_settled or leaf.running:
                continue
            if leaf.region.is_stopped:
                self._doomed.append(leaf)
                continue
            self.facts.nodes[leaf.key] = Settled.UPSTREAM
            skipped.append((leaf.path, leaf.key, leaf.doom or ""))
            self._settle_up(leaf)
        return skipped

    # --- Deciding -------------------------------------------------------------------------------

    def decide(self, now_ms: int) -> Decision:
        """What to do now. Repeat until it is `Wait`, `Finish`, `Fail` or `Deadlock`.

        Args:
            now_ms: wall clock, milliseconds since the epoch.
        """
        if (skips := self._settle_known()) is not None:
            return skips
        if self._to_cancel:
            keys = sorted(self._to_cancel, key=lambda key: self._mounted.by_id[key.node].path)
            self._cancelled |= self._to_cancel
            self._to_cancel = set()
            return Cancel(tuple(keys))
        if self._region.cause is not None:
            return Wait(None, has_running=True) if self._running else Fail(self._region.cause[1])
        if self._ended:
            ended = sorted(vertex for vertex in self._ended if not vertex.region.is_stopped)
            if ended:
                return Judge(tuple(vertex.key for vertex in ended))
        if starts := self._admit(now_ms):
            return Execute(tuple(starts))
        if self._root.is_settled and not self._running:
            return Finish(self._is_partial())
        due = self.next_due()
        if self._running or due is not None:
            return Wait(due, has_running=bool(self._running))
        return Deadlock(self._blocked())

    def _settle_known(self) -> Skip | None:
        """Settle what can be known without running anything."""
        while self._unwinding or self._doomed:
            doomed, self._doomed = self._doomed, []
            kept = len(self._unwinding)
            skipped = self._end_blocks() + self._skip_doomed(doomed)
            if skipped:
                return Skip(tuple((key, reason) for _, key, reason in sorted(skipped)))
            if len(self._unwinding) == kept:
                return None
        return None

    def _admit(self, now_ms: int) -> list[NodeKey]:
        """Start what the caps let start, in document order."""
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, leaf = heappop(self._due)
            if leaf.is_mounted and self.facts.nodes.get(leaf.key) == Due(at_ms):
                heappush(self._ready, leaf)
        starts: list[NodeKey] = []
        while self._ready and (self.limit is None or len(self._running) < self.limit):
            leaf = heappop(self._ready)
            if not self._is_candidate(leaf, now_ms):
                continue
            self._visited += 1
            for parallel, child in leaf.caps:
                if parallel.is_full and not child.running:
                    parallel.park(child, leaf)
                    break
            else:
                self.facts.nodes[leaf.key] = Running()
                self._running.add(leaf.key)
                self._count(leaf, 1)
                starts.append(leaf.key)
            for parallel, _ in leaf.caps:
                self._unpark(parallel)
        return starts

    def _is_candidate(self, leaf: Leaf, now_ms: int) -> bool:
        if not leaf.is_mounted or leaf.is_settled or leaf.running or leaf.unmet or leaf.doom is not None:
            return False
        if leaf.region.is_stopped:
            return False
        fact = self.facts.nodes.get(leaf.key)
        return fact is None or isinstance(fact, Blocked) or (isinstance(fact, Due) and fact.at_ms <= now_ms)

    def _unpark(self, parallel: ParallelVertex) -> None:
        """Let the first parked child try again while there is room for it."""
        if parallel.order and not parallel.is_full:
            for leaf in parallel.unpark():
                heappush(self._ready, leaf)

    def _count(self, leaf: Leaf, change: int) -> None:
        """An attempt of `leaf` begins (1) or ends (-1): tell everything above it."""
        vertex: AnyVertex = leaf
        while True:
            self._visited += 1
            before = vertex.running
            vertex.running = before + change
            parent = vertex.parent
            if parent is None:
                return
            if isinstance(parent, ParallelVertex) and parent.plan.cap is not None:
                if before == 0 and change > 0:
                    parent.in_flight += 1
                    # In flight now: whoever waits below this child needs no slot any more.
                    for parked in parent.unpark_below(vertex):
                        heappush(self._ready, parked)
                elif before == 1 and change < 0:
                    parent.in_flight -= 1
                    self._unpark(parent)
            vertex = parent  # type: ignore[assignment]

    def next_due(self) -> int | None:
        """Wall clock, in ms, of the earliest back-off that can still end in a start."""
        while self._due:
            at_ms, _, leaf = self._due[0]
            if (
                leaf.is_mounted
                and not leaf.region.is_stopped
                and self.facts.nodes.get(leaf.key) == Due(at_ms)
            ):
                return at_ms
            heappop(self._due)
        return None

    def _is_partial(self) -> bool:
        by_id = self._mounted.by_id
        return any(
            fact is Settled.TOLERATED or fact is Settled.UPSTREAM
            for key, fact in self.facts.nodes.items()
            if key.node in by_id
        )

    # --- Looking --------------------------------------------------------------------------------

    def _blocked(self) -> tuple[tuple[NodeKey, tuple[str, ...]], ...]:
        found = []
        for vertex in subtree(self._root):
            if isinstance(vertex, Leaf) and vertex.is_active and not vertex.is_settled and vertex.unmet:
                found.append((vertex.key, tuple(self.unmet(vertex))))
        return tuple(found)

    def unmet(self, leaf: Leaf) -> list[str]:
        """Ids whose settlement a reached task still waits for, in the order of its edges."""
        fact = self.facts.nodes.get(leaf.key)
        edges = list(leaf.plan.edges)
        if isinstance(fact, Blocked):
            edges.append(Edge(fact.target, needs_output=True))
        found = []
        for edge in edges:
            source = self._mounted.by_id.get(edge.target)
            if source is None:
                if self._absent_fact(leaf, edge.target) is None:
                    found.append(edge.target)
            elif not self._target(leaf, source).is_settled:
                found.append(edge.target)
        return found

    def missing(self) -> list[tuple[NodeKey, str]]:
        """Reached tasks with an edge to an id that is not mounted (yet): (task, id)."""
        return [
            (leaf.key, target)
            for target, waiting in self._awaited.items()
            for leaf, _ in waiting
            if leaf.is_mounted and not leaf.is_settled
        ]

    def leaf(self, key: NodeKey) -> Leaf | None:
        """The mounted task with this key."""
        vertex = self._mounted.by_id.get(key.node)
        return vertex if isinstance(vertex, Leaf) and vertex.key == key else None

    def vertex(self, node: str) -> AnyVertex | None:
        """What is mounted under this id, in the current pass."""
        return self._mounted.by_id.get(node)

    @property
    def root(self) -> AnyVertex:
        return self._root

    @property
    def is_unwinding(self) -> bool:
        """Whether the run itself has failed: nothing new starts."""
        return self._region.cause is not None

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

    @property
    def running(self) -> set[NodeKey]:
        """Keys with a running attempt, mounted or not. Do not change it."""
        return self._running

    def snapshot(self) -> dict[NodeKey, str]:
        """Every mounted task in one word; for tests and for looking."""
        return {v.key: self._word(v) for v in subtree(self._root) if isinstance(v, Leaf)}

    def _word(self, leaf: Leaf) -> str:
        fact = self.facts.nodes.get(leaf.key)
        match fact:
            case Settled():
                return fact.name.lower()
            case Running():
                return "running"
            case _ if not leaf.is_active:
                return "idle"
            case _ if leaf.unmet:
                return "blocked"
            case Due():
                return "due"
            case _:
                return "ready"
