"""What the scheduler should say, worked out from nothing each time.

The oracle is the rules written down as plainly as they can be: mount the whole tree over the facts, ask each
place a question, answer. It remembers nothing between two answers but the cancels it has asked for and what
the holes expanded to, shares no code with the scheduler, and is as slow as that makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, assert_never

from smithers.ids import NodeKey
from smithers.plan import (
    Edge,
    HolePlan,
    LoopPlan,
    ParallelPlan,
    PlanNode,
    SagaPlan,
    SequencePlan,
    TaskPlan,
    TryPlan,
)
from smithers.scheduler.decision import (
    Cancel,
    Deadlock,
    Decision,
    Enter,
    Execute,
    Fail,
    Finish,
    Judge,
    Skip,
    Stop,
    Wait,
)
from smithers.scheduler.facts import Blocked, BlockFact, Due, Facts, LoopFact, Open, Running, Settled

NOT_REACHED = "not reached"

LOST = (Settled.TOLERATED, Settled.FAILED, Settled.UPSTREAM)
"""Outcomes with a failure behind them."""

Region: TypeAlias = "Spot | None"
"""The top of a block's part, or None for the run itself."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a hole expanded to, once per key."""

    plan: PlanNode
    around: frozenset[NodeKey]
    """Keys of the holes it stands in: when one of them is refilled, this body is out of date too."""


Bodies: TypeAlias = dict[NodeKey, Body]


@dataclass(frozen=True, slots=True)
class Doom:
    """Why a task can never start: the target of an edge settled without the output it needs."""

    target: str
    outcome: Settled

    @property
    def settles_as(self) -> Settled:
        return Settled.UPSTREAM if self.outcome in LOST else Settled.SKIPPED

    @property
    def reason(self) -> str:
        return f"upstream {'failed' if self.outcome in LOST else 'skipped'}: {self.target}"


@dataclass(eq=False, slots=True)
class Spot:
    """One mounted node."""

    plan: PlanNode
    path: tuple[int, ...]
    """Child indexes from the root: sorting by it is document order."""
    above: tuple[Spot, ...]
    """Ancestors, outermost first."""
    loops: tuple[tuple[str, int], ...]
    """Loops around it and the pass each is in, outermost first."""
    reached: bool
    part: str = ""
    """Which part of a block it is the top of."""
    children: list[Spot] = field(default_factory=list)

    @property
    def id(self) -> str | None:
        return self.plan.id

    @property
    def key(self) -> NodeKey:
        """Only for what has an id."""
        assert self.id is not None
        return key_at(self.id, self.loops)

    def below(self) -> Iterator[Spot]:
        """Itself and everything under it, in document order."""
        yield self
        for child in self.children:
            yield from child.below()


def key_at(node: str, loops: tuple[tuple[str, int], ...]) -> NodeKey:
    """The key of `node` standing directly inside `loops`."""
    scope = ",".join(f"{loop}={number}" for loop, number in loops[:-1])
    return NodeKey(node, scope, loops[-1][1] if loops else 0)


def parts_of(plan: TryPlan | SagaPlan) -> dict[str, PlanNode]:
    """Parts by name, in the order in which their turn may come."""
    if isinstance(plan, TryPlan):
        found = {"body": plan.body, "catch": plan.catch, "finally": plan.finally_}
    else:
        found = {f"action:{n + 1}": step.action for n, step in enumerate(plan.steps)}
        for n in reversed(range(len(plan.steps))):
            found[f"undo:{n + 1}"] = plan.steps[n].compensation
    return {name: part for name, part in found.items() if part is not None}


def is_shielded(part: str) -> bool:
    return part == "finally" or part.startswith("undo:")


def comes_before(part: str, other: str) -> bool:
    """Whether the turn of `part` is over when it is that of `other`; nothing comes after the end."""
    if not other:
        return True
    if not part:
        return False
    if part.startswith("action:"):
        return not other.startswith("action:") or int(part[7:]) < int(other[7:])
    if part.startswith("undo:"):
        return other.startswith("undo:") and int(part[5:]) > int(other[5:])
    names = ["body", "catch", "finally"]
    return names.index(part) < names.index(other)


class View:
    """One tree over one set of facts, mounted whole.

    Args:
        bodies: what holes expanded to so far; grows with the holes that are reached for the first time.
    """

    def __init__(self, tree: PlanNode, facts: Facts, bodies: Bodies, *, is_cancelled: bool = False) -> None:
        self.facts = facts
        self.is_cancelled = is_cancelled
        self.bodies = bodies
        self.root = self._mount(tree, (), (), (), reached=True)
        self.spots = list(self.root.below())
        self.tasks = [spot for spot in self.spots if isinstance(spot.plan, TaskPlan)]
        self.by_id = {spot.id: spot for spot in self.spots if spot.id is not None}

    def _mount(
        self,
        plan: PlanNode,
        path: tuple[int, ...],
        above: tuple[Spot, ...],
        loops: tuple[tuple[str, int], ...],
        *,
        reached: bool,
        part: str = "",
    ) -> Spot:
        spot = Spot(plan, path, above, loops, reached, part)
        inner = (*above, spot)
        match plan:
            case TaskPlan():
                pass
            case SequencePlan(children=children):
                for index, child in enumerate(children):
                    spot.children.append(self._mount(child, (*path, index), inner, loops, reached=reached))
                    child_spot = spot.children[-1]
                    reached = reached and (self.is_settled(child_spot) or self.lets_on(child_spot))
            case ParallelPlan(children=children):
                for index, child in enumerate(children):
                    spot.children.append(self._mount(child, (*path, index), inner, loops, reached=reached))
            case LoopPlan(body=body):
                around = (*loops, (plan.id, self.loop_fact(spot).pass_))
                spot.children.append(self._mount(body, (*path, 0), inner, around, reached=reached))
            case TryPlan() | SagaPlan():
                # What has begun is carried through, wherever an edit has put it.
                has_memory = spot.key in self.facts.blocks
                spot.reached = reached = reached or (has_memory and not self.is_closed(spot))
                fact = self.block_fact(spot)
                for index, (name, inner_plan) in enumerate(parts_of(plan).items()):
                    its_turn = reached and (name == fact.at or name in fact.done)
                    spot.children.append(
                        self._mount(inner_plan, (*path, index), inner, loops, reached=its_turn, part=name)
                    )
            case HolePlan():
                if reached:
                    body = self._body(spot, plan)
                    spot.children.append(self._mount(body, (*path, 0), inner, loops, reached=True))
            case _:
                assert_never(plan)
        return spot

    def _body(self, spot: Spot, hole: HolePlan) -> PlanNode:
        if spot.key not in self.bodies:
            around = frozenset(outer.key for outer in spot.above if isinstance(outer.plan, HolePlan))
            self.bodies[spot.key] = Body(hole.expand(spot.key), around)
        return self.bodies[spot.key].plan

    # --- What has happened ----------------------------------------------------------------------

    def loop_fact(self, loop: Spot) -> LoopFact:
        return self.facts.loops.get(loop.key, LoopFact())

    def block_fact(self, block: Spot) -> BlockFact:
        first = "body" if isinstance(block.plan, TryPlan) else "action:1"
        return self.facts.blocks.get(block.key, BlockFact(first))

    def has_begun(self, block: Spot) -> bool:
        """Begun, and not ended."""
        return bool(block.key in self.facts.blocks and self.block_fact(block).at)

    def part(self, block: Spot) -> Spot | None:
        """The part whose turn it is, unless an edit has taken it away."""
        return next((child for child in block.children if child.part == self.block_fact(block).at), None)

    def is_settled(self, spot: Spot) -> bool:
        """Whether what comes after it has its turn, and an edge that waits for it is met."""
        match spot.plan:
            case TaskPlan():
                fact = self.facts.nodes.get(spot.key)
                return is_settled_fact(fact) or (fact is Settled.FAILED and self.is_handled(spot))
            case _ if self.is_sealed(spot):
                return True  # whatever of it has not happened by now never will
            case SequencePlan() | ParallelPlan():
                return all(map(self.is_settled, spot.children))
            case LoopPlan():
                return self.loop_fact(spot).done and (not self.has_failed(spot) or self.is_handled(spot))
            case TryPlan() | SagaPlan():
                return not self.block_fact(spot).at and (not self.has_failed(spot) or self.is_handled(spot))
            case HolePlan():
                return bool(spot.children) and self.is_settled(spot.children[0])
            case _:
                assert_never(spot.plan)

    def lets_on(self, spot: Spot) -> bool:
        """Whether what comes after it in a sequence has its turn though it has not settled."""
        return isinstance(spot.plan, TaskPlan) and spot.plan.is_async and spot.key in self.facts.entered

    def is_running(self, spot: Spot) -> bool:
        """Whether an attempt runs at or below `spot`."""
        return any(
            isinstance(self.facts.nodes.get(task.key), Running)
            for task in spot.below()
            if isinstance(task.plan, TaskPlan)
        )

    def is_closed(self, spot: Spot) -> bool:
        """Whether it stands in a done loop or a part that is over: nothing there happens again."""
        loops = [around for around in spot.above if isinstance(around.plan, LoopPlan)]
        return any(self.loop_fact(loop).done for loop in loops) or self.is_handled(spot)

    def parts_around(self, spot: Spot) -> list[tuple[Spot, str]]:
        """The blocks strictly around it, outermost first, each with the part it stands in."""
        line = (*spot.above, spot)
        return [(block, child.part) for block, child in pairwise(line) if child.part]

    def is_handled(self, spot: Spot) -> bool:
        """Whether a part around it is over: a failure there is an outcome, and unwinds nothing."""
        return any(self.is_over(block, part) for block, part in self.parts_around(spot))

    def is_over(self, block: Spot, part: str) -> bool:
        fact = self.block_fact(block)
        return part in fact.done or comes_before(part, fact.at)

    def is_sealed(self, spot: Spot) -> bool:
        """Whether a part around it failed or was passed over: nothing in it is reached any more."""
        return any(
            self.is_over(block, part) and part not in self.block_fact(block).done
            for block, part in self.parts_around(spot)
        )

    # --- Regions --------------------------------------------------------------------------------

    def regions(self, spot: Spot) -> list[Region]:
        """Regions around `spot`, outermost first, as far as what stops them stops it: shields end that."""
        found: list[Region] = [None]
        for inner in (*spot.above, spot)[1:]:
            if inner.part:
                found = [*([] if is_shielded(inner.part) else found), inner]
        return found

    def has_failed(self, spot: Spot) -> bool:
        match spot.plan:
            case TaskPlan():
                return self.facts.nodes.get(spot.key) is Settled.FAILED
            case LoopPlan():
                return self.loop_fact(spot).failed
            case TryPlan() | SagaPlan():
                fact = self.block_fact(spot)
                return not fact.at and fact.then in (Settled.FAILED, Settled.CANCELLED)
            case _:
                return False

    def failures(self) -> list[tuple[Spot, Region]]:
        """Each unhandled failure with the region it unwinds; what an ended block holds is handled."""
        return [
            (spot, self.regions(spot)[-1])
            for spot in self.spots
            if self.has_failed(spot) and not self.is_handled(spot)
        ]

    def cause_in(self, region: Region) -> NodeKey | None:
        """The first failure of a region in document order; for a block, what was behind its failure."""
        for spot, where in self.failures():
            if where is region:
                cause = self.block_fact(spot).cause if isinstance(spot.plan, TryPlan | SagaPlan) else None
                return cause or spot.key
        return None

    def unwinding(self) -> set[Region]:
        found = {region for _, region in self.failures()}
        return found | {None} if self.is_cancelled else found

    def is_unwinding(self, spot: Spot) -> bool:
        """Whether a region around `spot` unwinds."""
        return not self.unwinding().isdisjoint(self.regions(spot))

    def stop_of(self, region: Region) -> list[Region]:
        """It, and the regions around it, innermost first, as far as they unwind."""
        around: list[Region] = [None] if region is None else self.regions(region)
        return [one for one in reversed(around) if one in self.unwinding()]

    def may_act(self, spot: Spot) -> bool:
        """Reached, nothing around it has ended, and no region around it unwinds."""
        return spot.reached and not self.is_closed(spot) and not self.is_unwinding(spot)

    # --- Edges ----------------------------------------------------------------------------------

    def edges(self, task: Spot) -> tuple[Edge, ...]:
        assert isinstance(task.plan, TaskPlan)
        fact = self.facts.nodes.get(task.key)
        blocked = (Edge(fact.target, needs_output=True),) if isinstance(fact, Blocked) else ()
        return task.plan.edges + blocked

    def target_outcome(self, task: Spot, target: str) -> Settled | None:
        """How the target of an edge settled, as the task sees it; None: it has not, or it is not mounted."""
        spot = self.by_id.get(target)
        if spot is None:
            return None
        own = {loop for loop, _ in task.loops}
        foreign = [
            around for around in spot.above if isinstance(around.plan, LoopPlan) and around.id not in own
        ]
        return self._outcome(spot) if self.is_settled(foreign[0] if foreign else spot) else None

    def _outcome(self, spot: Spot) -> Settled:
        """What a target offers once it, or the loop that is waited for in its place, has settled."""
        if isinstance(spot.plan, TaskPlan):
            fact = self.facts.nodes.get(spot.key)
            # A loop can be done with a task that never ran in it: an edit put it there.
            return fact if isinstance(fact, Settled) else Settled.SKIPPED
        if isinstance(spot.plan, TryPlan | SagaPlan):
            return self.block_fact(spot).then
        return Settled.FAILED if self.has_failed(spot) else Settled.FINISHED

    def outcome_left(self, task: Spot, target: str) -> Settled | None:
        """How what is no longer mounted settled at the task's own place, else at the nearest around it."""
        if target in self.by_id:
            return None
        for depth in range(len(task.loops), -1, -1):
            fact = self.facts.nodes.get(key_at(target, task.loops[:depth]))
            if isinstance(fact, Settled) and fact is not Settled.FAILED:
                return fact
        return None

    def unmet(self, task: Spot) -> list[str]:
        """Targets of edges that keep `task` from starting, in edge order."""
        return [edge.target for edge in self.edges(task) if not self._is_met(task, edge)]

    def _is_met(self, task: Spot, edge: Edge) -> bool:
        outcome = self.target_outcome(task, edge.target)
        return outcome is not None and (outcome.has_output or not edge.needs_output)

    def doom(self, task: Spot) -> Doom | None:
        """Why `task` can never start, if so."""
        outcomes = ((edge, self.target_outcome(task, edge.target)) for edge in self.edges(task))
        return missing_output(outcomes)

    def doom_left(self, task: Spot) -> Doom | None:
        """The same for the edges to what is no longer mounted."""
        outcomes = ((edge, self.outcome_left(task, edge.target)) for edge in self.edges(task))
        return missing_output(outcomes)

    # --- Who could start ------------------------------------------------------------------------

    def is_open(self, task: Spot) -> bool:
        """Neither settled nor failed nor running."""
        return not isinstance(self.facts.nodes.get(task.key), Settled | Running)

    def startable(self) -> list[Spot]:
        """Tasks that only time or a cap can keep from starting."""
        return [task for task in self.ready() if not self.is_new(task)]

    def enterable(self) -> list[Spot]:
        """Tasks that begin by waiting, and whose turn has come."""
        return [task for task in self.ready() if self.is_new(task)]

    def ready(self) -> list[Spot]:
        return [task for task in self.asked() if not self.unmet(task)]

    def blocked(self) -> list[Spot]:
        """Tasks whose turn has come but for their edges."""
        return [task for task in self.asked() if self.unmet(task)]

    def asked(self) -> list[Spot]:
        """Tasks whose turn has come, and that neither run nor wait for somebody."""
        return [
            task for task in self.tasks if self.is_open(task) and self.may_act(task) and not self.waits(task)
        ]

    def waits(self, task: Spot) -> bool:
        return isinstance(self.facts.nodes.get(task.key), Open)

    def is_new(self, task: Spot) -> bool:
        assert isinstance(task.plan, TaskPlan)
        return task.plan.enters and task.key not in self.facts.entered

    def state(self, task: Spot) -> str:
        fact = self.facts.nodes.get(task.key)
        if isinstance(fact, Settled):
            return fact.name.lower()
        if isinstance(fact, Running):
            return "running"
        if not task.reached or self.is_closed(task):
            return "open" if isinstance(fact, Open) and not self.is_closed(task) else "idle"
        if isinstance(fact, Open):
            return "open"
        if self.unmet(task):
            return "blocked"
        return "due" if isinstance(fact, Due) else "ready"


def is_settled_fact(fact: object) -> bool:
    return isinstance(fact, Settled) and fact is not Settled.FAILED


def missing_output(outcomes: Iterable[tuple[Edge, Settled | None]]) -> Doom | None:
    """The first of these edges, in their order, that can never be met."""
    for edge, outcome in outcomes:
        if edge.needs_output and outcome is not None and not outcome.has_output:
            return Doom(edge.target, outcome)
    return None


# --- The answers ------------------------------------------------------------------------------------


def settle_without_running(
    tree: PlanNode, facts: Facts, bodies: Bodies, *, is_cancelled: bool
) -> list[tuple[NodeKey, str]]:
    """Go on with blocks and skip tasks until nothing more can be known; `facts` is changed."""
    skipped: dict[NodeKey, tuple[tuple[int, ...], str]] = {}
    while True:
        view = View(tree, facts, bodies, is_cancelled=is_cancelled)
        # What settled comes before what failed, and that before what it stops. And all blocks go as far as
        # they can before anyone is skipped because of them.
        if begun := begins(view):
            facts.blocks.update({block.key: view.block_fact(block) for block in begun})
        elif moves := settled_parts(view) or failed_parts(view) or stopped_parts(view):
            facts.blocks.update(moves)
        elif left := unreached(view):
            facts.nodes.update({task.key: Settled.NOT_REACHED for task in left})
            skipped.update({task.key: (task.path, NOT_REACHED) for task in left})
        elif doomed := dooms(view):
            facts.nodes.update({task.key: doom.settles_as for task, doom in doomed})
            skipped.update({task.key: (task.path, doom.reason) for task, doom in doomed})
        else:
            return [(key, reason) for key, (_, reason) in sorted(skipped.items(), key=lambda kv: kv[1])]


def open_blocks(view: View) -> list[Spot]:
    return [
        spot
        for spot in view.spots
        if isinstance(spot.plan, TryPlan | SagaPlan) and view.block_fact(spot).at and not view.is_closed(spot)
    ]


def begins(view: View) -> list[Spot]:
    """Blocks that an attempt runs in, or that have a part with an unhandled failure."""
    failing = view.unwinding()
    return [
        block
        for block in open_blocks(view)
        if not view.has_begun(block)
        and (view.is_running(block) or any(child in failing for child in block.children))
    ]


def quiet_blocks(view: View) -> list[Spot]:
    """Blocks in whose part nothing runs, and no block has begun that has not ended."""
    found = []
    for block in open_blocks(view):
        part = view.part(block)
        inside = list(part.below()) if part is not None else []
        if block.reached and not any(
            (isinstance(spot.plan, TaskPlan) and view.is_running(spot)) or is_under_way(view, spot)
            for spot in inside
        ):
            found.append(block)
    return found


def is_under_way(view: View, spot: Spot) -> bool:
    return isinstance(spot.plan, TryPlan | SagaPlan) and view.has_begun(spot) and not view.is_closed(spot)


def settled_parts(view: View) -> dict[NodeKey, BlockFact]:
    found = {}
    for block in quiet_blocks(view):
        part = view.part(block)
        if part is not None and view.cause_in(part) is not None:
            continue
        if not view.has_begun(block) and view.stop_of(part if part is not None else region_of(view, block)):
            continue  # it is not begun in a region that unwinds
        if part is not None and view.stop_of(part) and has_cancelled(view, part):
            continue  # it was cut short by what is around it
        if part is None or view.is_settled(part):
            found[block.key] = settled(view, block)
    return found


def has_cancelled(view: View, part: Spot) -> bool:
    return any(
        view.facts.nodes.get(spot.key) is Settled.CANCELLED
        for spot in part.below()
        if isinstance(spot.plan, TaskPlan)
    )


def region_of(view: View, block: Spot) -> Region:
    return view.regions(block)[-1]


def failed_parts(view: View) -> dict[NodeKey, BlockFact]:
    return {
        block.key: failed(view, block, cause)
        for block in quiet_blocks(view)
        if (part := view.part(block)) is not None and (cause := view.cause_in(part)) is not None
    }


def stopped_parts(view: View) -> dict[NodeKey, BlockFact]:
    found = {}
    for block in quiet_blocks(view):
        part = view.part(block)
        stops = view.stop_of(part if part is not None else region_of(view, block))
        if view.has_begun(block) and stops:
            found[block.key] = stopped(view, block, view.cause_in(stops[0]))
    return found


def settled(view: View, block: Spot) -> BlockFact:
    fact = view.block_fact(block)
    done = (*fact.done, fact.at)
    if isinstance(block.plan, TryPlan):
        if fact.at == "finally" or block.plan.finally_ is None:
            return BlockFact("", fact.then, fact.cause, done)
        return BlockFact("finally", Settled.FINISHED, fact.cause, done)
    assert isinstance(block.plan, SagaPlan)
    kind, number = fact.at.split(":")
    if kind == "undo":
        return undo(block.plan, fact, int(number) - 1, done)
    if int(number) < len(block.plan.steps):
        return BlockFact(f"action:{int(number) + 1}", done=done)
    return BlockFact("", done=done)


def failed(view: View, block: Spot, cause: NodeKey) -> BlockFact:
    fact, plan = view.block_fact(block), block.plan
    if isinstance(plan, TryPlan):
        if fact.at == "body" and plan.catch is not None and takes(view, block, plan, cause):
            return BlockFact("catch", cause=cause, done=fact.done)
        then = Settled.TOLERATED if plan.tolerates else Settled.FAILED
        at = "finally" if fact.at != "finally" and plan.finally_ is not None else ""
        return BlockFact(at, then, cause, fact.done)
    assert isinstance(plan, SagaPlan)
    if fact.at.startswith("undo:"):
        broken = BlockFact(fact.at, fact.then, fact.cause, fact.done, (*fact.broken, cause))
        return undo(plan, broken, int(fact.at[5:]) - 1, fact.done)
    then = Settled.TOLERATED if plan.tolerates and plan.compensates else Settled.FAILED
    return give_up(plan, fact, then, cause)


def stopped(view: View, block: Spot, cause: NodeKey | None) -> BlockFact:
    """What happens to a block that has begun, in a region that unwinds."""
    fact, plan = view.block_fact(block), block.plan
    then = Settled.CANCELLED if cause is None else Settled.FAILED
    if isinstance(plan, TryPlan):
        return BlockFact("finally" if plan.finally_ is not None else "", then, cause, fact.done)
    assert isinstance(plan, SagaPlan)
    return give_up(plan, fact, then, cause)


def takes(view: View, block: Spot, plan: TryPlan, cause: NodeKey) -> bool:
    if view.stop_of(region_of(view, block)):
        return False  # in a region that unwinds a catch is skipped
    loop = view.facts.loops.get(cause)
    names = ("LOOP_MAX_REACHED",) if loop is not None and loop.failed else view.facts.names.get(cause, ())
    return not plan.catch_errors or any(name in plan.catch_errors for name in names)


def give_up(plan: SagaPlan, fact: BlockFact, then: Settled, cause: NodeKey | None) -> BlockFact:
    if not plan.compensates:
        return BlockFact("", then, cause, fact.done)
    failing = BlockFact(fact.at, then, cause, fact.done)
    return undo(plan, failing, int(fact.at[7:]) - 1, fact.done)


def undo(plan: SagaPlan, fact: BlockFact, most: int, done: tuple[str, ...]) -> BlockFact:
    """Compensate the last step up to `most` that is done; without one the saga has ended."""
    can = [
        n
        for n, step in enumerate(plan.steps, 1)
        if n <= most and f"action:{n}" in done and step.compensation is not None
    ]
    if can:
        return BlockFact(f"undo:{can[-1]}", fact.then, fact.cause, done, fact.broken)
    then = Settled.FAILED if fact.broken and fact.then is Settled.TOLERATED else fact.then
    return BlockFact("", then, fact.cause, done, fact.broken)


def unreached(view: View) -> list[Spot]:
    """What a block that ended by a failure leaves undone, or is given afterwards."""
    return [task for task in view.tasks if view.is_open(task) and view.is_sealed(task)]


def dooms(view: View) -> list[tuple[Spot, Doom]]:
    """Tasks that can never start, each judged by what had settled before any of them was skipped."""
    return [
        (task, doom)
        for task in view.tasks
        if view.is_open(task) and view.may_act(task) and (doom := view.doom(task)) is not None
    ]


def cancels(view: View, asked: set[NodeKey]) -> list[NodeKey]:
    """Running tasks below a parallel that cancels, between a failure and the edge of its region."""
    cancelling: set[Spot] = set()
    for spot, region in view.failures():
        line = (*spot.above, spot)
        for around in line[0 if region is None else line.index(region) :]:
            if isinstance(around.plan, ParallelPlan) and around.plan.cancel_on_failure:
                cancelling.add(around)
    found = []
    for task in view.tasks:
        if not view.is_running(task) or task.key in asked:
            continue
        way = [*task.above, task]
        shields = [index for index, spot in enumerate(way) if is_shielded(spot.part)]
        exposed = way[shields[-1] if shields else 0 :]
        if not cancelling.isdisjoint(exposed) or (view.is_cancelled and not shields):
            found.append(task.key)
    if view.is_cancelled:
        mounted = {task.key for task in view.tasks}
        found = sorted(key for key in view.facts.running() if key not in mounted and key not in asked) + found
    return found


def ended_passes(view: View) -> list[NodeKey]:
    return [
        loop.key
        for loop in view.spots
        if isinstance(loop.plan, LoopPlan)
        and not view.loop_fact(loop).done
        and view.is_settled(loop.children[0])
        and view.may_act(loop)
    ]


def starts(view: View, candidates: list[Spot], limit: int | None, now_ms: int) -> list[NodeKey]:
    running = len(list(view.facts.running()))
    busy = {spot for spot in view.spots if view.is_running(spot)}
    found = []
    for task in candidates:
        fact = view.facts.nodes.get(task.key)
        if isinstance(fact, Due) and fact.at_ms > now_ms:
            continue
        if limit is not None and running >= limit:
            break
        line = (*task.above, task)
        if all(has_room(parent, child, busy) for parent, child in pairwise(line)):
            found.append(task.key)
            running += 1
            busy.update(line)
    return found


def has_room(parent: Spot, child: Spot, busy: set[Spot]) -> bool:
    if not isinstance(parent.plan, ParallelPlan) or parent.plan.cap is None or child in busy:
        return True
    return sum(other in busy for other in parent.children) < parent.plan.cap


def earliest_due(view: View, candidates: list[Spot], now_ms: int) -> int | None:
    """When time alone next lets something start."""
    due = [view.facts.nodes.get(task.key) for task in candidates]
    return min((fact.at_ms for fact in due if isinstance(fact, Due) and fact.at_ms > now_ms), default=None)


def is_partial(view: View) -> bool:
    mounted = {task.id for task in view.tasks}
    blocks = {spot.id for spot in view.spots if isinstance(spot.plan, TryPlan | SagaPlan)}
    ends = view.facts.blocks.items()
    if any(key.node in blocks and not fact.at and fact.then is Settled.TOLERATED for key, fact in ends):
        return True
    return any(
        key.node in mounted and fact in (Settled.TOLERATED, Settled.UPSTREAM)
        for key, fact in view.facts.nodes.items()
    )


def decide(
    tree: PlanNode,
    facts: Facts,
    bodies: Bodies,
    *,
    now_ms: int,
    limit: int | None,
    asked: set[NodeKey],
    is_cancelled: bool = False,
) -> Decision:
    """What to do now. `facts` receives what the answer itself settles or starts.

    Args:
        bodies: what holes expanded to so far; grows with the answer.
        asked: running tasks whose cancel was already asked for; grows with the answer.
    """
    if skipped := settle_without_running(tree, facts, bodies, is_cancelled=is_cancelled):
        return Skip(tuple(skipped))
    view = View(tree, facts, bodies, is_cancelled=is_cancelled)
    if found := cancels(view, asked):
        asked.update(found)
        return Cancel(tuple(found))
    has_running = any(True for _ in facts.running())
    if None in view.unwinding() and not has_running and not any(is_under_way(view, s) for s in view.spots):
        cause = view.cause_in(None)
        return Stop() if is_cancelled or cause is None else Fail(cause)
    if loops := ended_passes(view):
        return Judge(tuple(loops))
    if found := enters(view, view.enterable()):
        return found
    if found := starts(view, view.startable(), limit, now_ms):
        return execute(view, found)
    if view.is_settled(view.root) and not has_running:
        return Finish(is_partial(view))
    due_ms = earliest_due(view, view.startable(), now_ms)
    has_open = any(view.waits(t) and not view.is_closed(t) and not view.is_unwinding(t) for t in view.tasks)
    if has_running or has_open or due_ms is not None:
        return Wait(due_ms, has_running, has_open)
    return last_resort(view, limit, now_ms)


def last_resort(view: View, limit: int | None, now_ms: int) -> Decision:
    """What to do where nothing can go on: let what is gone from the tree count by what it left."""
    blocked = view.blocked()
    if doomed := [(task.key, doom) for task in blocked if (doom := view.doom_left(task)) is not None]:
        view.facts.nodes.update({key: doom.settles_as for key, doom in doomed})
        return Skip(tuple((key, doom.reason) for key, doom in doomed))
    freed = [
        task
        for task in blocked
        if all(view.outcome_left(task, target) is not None for target in view.unmet(task))
    ]
    if found := enters(view, [task for task in freed if view.is_new(task)]):
        return found
    if found := starts(view, freed, limit, now_ms):
        return execute(view, found)
    # A back-off is obeyed here as anywhere: to call it a deadlock would fail a run that only has to wait.
    if (due_ms := earliest_due(view, freed, now_ms)) is not None:
        return Wait(due_ms, has_running=False)
    return Deadlock(tuple((task.key, tuple(view.unmet(task))) for task in blocked))


def enters(view: View, candidates: list[Spot]) -> Enter | None:
    """Enter them all: who waits needs no slot."""
    view.facts.nodes.update({task.key: Open() for task in candidates})
    return Enter(tuple(task.key for task in candidates)) if candidates else None


def execute(view: View, starts: list[NodeKey]) -> Execute:
    view.facts.nodes.update({key: Running() for key in starts})
    view.facts.blocks.update({block.key: view.block_fact(block) for block in begins(view)})
    return Execute(tuple(starts))


def judge(view: View, loop: NodeKey, *, until: bool) -> None:
    """End the current pass of `loop`."""
    plan = next(spot.plan for spot in view.spots if spot.id is not None and spot.key == loop)
    assert isinstance(plan, LoopPlan)
    fact = view.facts.loops.setdefault(loop, LoopFact())
    if until:
        fact.done = True
    elif plan.max_iterations is not None and fact.pass_ + 1 >= plan.max_iterations:
        fact.done = True
        fact.failed = plan.fail_on_max
    else:
        fact.pass_ += 1


class OracleSchedule:
    """The oracle behind the scheduler's own interface."""

    def __init__(self, tree: PlanNode, facts: Facts, *, limit: int | None = 16) -> None:
        self.tree = tree
        self.facts = facts
        self.limit = limit
        self._asked: set[NodeKey] = set()
        self.is_cancelled = False
        self._bodies: Bodies = {}

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None) -> None:
        self._asked.discard(key)
        if outcome is None:
            del self.facts.nodes[key]
        else:
            self.facts.nodes[key] = outcome

    def opened(self, key: NodeKey) -> None:
        self.facts.entered.add(key)

    def judge(self, loop: NodeKey, until: bool) -> None:
        judge(self.view(), loop, until=until)

    def refill(self, hole: NodeKey) -> None:
        self._bodies = {
            key: body for key, body in self._bodies.items() if key != hole and hole not in body.around
        }

    def decide(self, now_ms: int) -> Decision:
        return decide(
            self.tree,
            self.facts,
            self._bodies,
            now_ms=now_ms,
            limit=self.limit,
            asked=self._asked,
            is_cancelled=self.is_cancelled,
        )

    def snapshot(self) -> dict[NodeKey, str]:
        view = self.view()
        return {task.key: view.state(task) for task in view.tasks}

    def view(self) -> View:
        return View(self.tree, self.facts, self._bodies, is_cancelled=self.is_cancelled)
