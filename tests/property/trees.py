"""Random plans, and random events for them.

Everything is drawn from one `random.Random`, so a plain seed and a hypothesis strategy grow the same trees.
Ids come from small pools: a second tree grown for the same run meets the facts of the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import strategies as st

from smithers.ids import NodeKey
from smithers.plan import (
    Edge,
    HolePlan,
    LoopPlan,
    ParallelPlan,
    PlanNode,
    SagaPlan,
    SequencePlan,
    StepPlan,
    TaskPlan,
    TryPlan,
)
from smithers.scheduler.facts import Blocked, Due, Settled

MAX_LOOPS = 3
"""Loops inside one another."""
LIMITS = (None, 1, 2, 16)
CONTAINERS = ("group", "loop", "block", "saga", "hole", "pair")
CODES = ("one", "two")
"""What failures go by."""

# One value at several places: a scheduler that tells nodes apart by identity mixes them up.
NOTHING = SequencePlan()
NOTHING_TWICE = ParallelPlan((NOTHING, NOTHING))


@dataclass
class Memory:
    """What the holes in all trees of a run share."""

    refills: Counter[NodeKey] = field(default_factory=Counter)
    """How often each hole was refilled."""
    expansions: Counter[NodeKey] = field(default_factory=Counter)
    """How often each hole was asked for its body; whoever wants to know puts a counter of its own here."""


@dataclass(frozen=True)
class Variants:
    """What a hole expands to: one of several bodies, by pass and by how often it was refilled."""

    bodies: tuple[PlanNode, ...]
    memory: Memory

    def __call__(self, key: NodeKey) -> PlanNode:
        self.memory.expansions[key] += 1
        return self.bodies[(key.iteration + self.memory.refills[key]) % len(self.bodies)]


@dataclass
class Grower:
    """Grows one tree in document order.

    Args:
        memory: shared by all trees of a run.
        size: about how many tasks the tree has.
    """

    random: Random
    memory: Memory = field(default_factory=Memory)
    size: int = 12
    ids: list[str] = field(default_factory=list)
    """Ids given out so far, in document order; what an edge names without closing a circle."""
    counts: dict[str, int] = field(default_factory=dict)
    loops: int = 0
    favourites: list[str] = field(init=False)
    """Containers this tree has more of: what meets seldom in an even mixture meets often in some tree."""

    edges: tuple[int, ...] = field(init=False)
    """How many edges a task may have."""

    def __post_init__(self) -> None:
        self.favourites = self.random.sample(CONTAINERS, 2)
        self.edges = self.random.choice(((0, 0, 0, 1, 1, 2), (0, 1, 2, 3)))
        self.waiting = self.random.choice((0, 0.1, 0.4))
        """How many of its tasks begin by waiting."""

    def tree(self) -> PlanNode:
        return self.group(depth=0)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def new_id(self, kind: str) -> str:
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        return f"{kind}{number}"

    def name(self, kind: str) -> str | None:
        return self.new_id(kind) if self.chance(0.3) else None

    def made(self, plan: PlanNode) -> PlanNode:
        if plan.id is not None:
            self.ids.append(plan.id)
        return plan

    def node(self, depth: int) -> PlanNode:
        kinds = ["task"] * 9
        if depth < 6 and self.counts.get("t", 0) < self.size:
            kinds += ["group"] * 6 + ["block"] * 2 + ["saga"] * 2 + ["hole"] * 2 + ["pair"] + ["loop"] * 3
            kinds += self.favourites * 4
        if self.loops == MAX_LOOPS:
            kinds = [kind for kind in kinds if kind != "loop"]
        match self.random.choice(kinds):
            case "group":
                return self.group(depth)
            case "loop":
                return self.loop(depth)
            case "block":
                return self.block(depth)
            case "saga":
                return self.saga(depth)
            case "hole":
                return self.hole(depth)
            case "pair":
                return self.pair(depth)
            case _:
                return self.task()

    def task(self) -> PlanNode:
        name = self.new_id("t")
        edges = tuple(Edge(self.target(), self.chance(0.5)) for _ in range(self.random.choice(self.edges)))
        enters = self.chance(self.waiting)
        return self.made(
            TaskPlan(
                name,
                edges,
                continue_on_fail=self.chance(0.2),
                enters=enters,
                is_async=enters and self.chance(0.4),
            )
        )

    def target(self) -> str:
        """Mostly something written before; now and then anything, also what is nowhere."""
        if self.ids and not self.chance(0.03):
            return self.random.choice(self.ids)
        return f"{self.random.choice('ttttlghbs')}{self.random.randrange(self.size)}"

    def group(self, depth: int) -> PlanNode:
        children = tuple(self.node(depth + 1) for _ in range(self.random.choice((1, 2, 2, 3, 3, 4))))
        if self.chance(0.1):
            children += (NOTHING, NOTHING_TWICE)
        if self.chance(0.5):
            return self.made(SequencePlan(children, self.name("g")))
        cap = self.random.choice((None, None, 1, 2))
        return self.made(ParallelPlan(children, cap, cancel_on_failure=self.chance(0.4), id=self.name("g")))

    def loop(self, depth: int) -> PlanNode:
        name = self.new_id("l")
        self.loops += 1
        body = self.node(depth + 1)
        self.loops -= 1
        most = self.random.choice((None, 1, 2, 3))
        return self.made(LoopPlan(name, body, most, fail_on_max=self.chance(0.2)))

    def block(self, depth: int) -> PlanNode:
        name, body = self.new_id("b"), self.node(depth + 1)
        catch = self.node(depth + 1) if self.chance(0.5) else None
        finally_ = self.node(depth + 1) if self.chance(0.5) else None
        codes = self.random.choice(((), (), ("one",), ("one", "LOOP_MAX_REACHED")))
        return self.made(TryPlan(name, body, catch, finally_, codes, tolerates=self.chance(0.2)))

    def saga(self, depth: int) -> PlanNode:
        name = self.new_id("s")
        steps = []
        for _ in range(self.random.choice((0, 1, 2, 2, 3, 3))):
            action = self.node(depth + 1)
            steps.append(StepPlan(action, self.node(depth + 1) if self.chance(0.8) else None))
        return self.made(
            SagaPlan(name, tuple(steps), compensates=self.chance(0.8), tolerates=self.chance(0.5))
        )

    def hole(self, depth: int) -> PlanNode:
        """Bodies of one hole share ids: a refill unmounts some of them and brings others back."""
        name = self.new_id("h")
        before, highest = dict(self.counts), dict(self.counts)
        bodies = []
        for _ in range(self.random.choice((1, 2, 3))):
            self.counts = dict(before)
            bodies.append(self.node(depth + 1))
            highest = {kind: max(highest.get(kind, 0), count) for kind, count in self.counts.items()} | {
                kind: count for kind, count in highest.items() if kind not in self.counts
            }
        self.counts = highest
        return self.made(HolePlan(name, Variants(tuple(bodies), self.memory)))

    def pair(self, depth: int) -> PlanNode:
        """One component used twice, under other ids the second time."""
        body = self.node(depth + 1)
        again = renamed(body, self.new_id("x"))
        self.ids.extend(ids_of(again))
        return ParallelPlan((body, again))


def renamed(plan: PlanNode, suffix: str) -> PlanNode:
    """The same component under other ids; its inner edges follow, its outer ones stay."""
    own = set(ids_of(plan))

    def rename(node: PlanNode) -> PlanNode:
        match node:
            case TaskPlan():
                edges = tuple(
                    replace(edge, target=edge.target + suffix) if edge.target in own else edge
                    for edge in node.edges
                )
                return replace(node, id=node.id + suffix, edges=edges)
            case SequencePlan() | ParallelPlan():
                children = tuple(map(rename, node.children))
                return replace(node, id=node.id and node.id + suffix, children=children)
            case LoopPlan():
                return replace(node, id=node.id + suffix, body=rename(node.body))
            case TryPlan():
                catch = node.catch and rename(node.catch)
                finally_ = node.finally_ and rename(node.finally_)
                return replace(
                    node, id=node.id + suffix, body=rename(node.body), catch=catch, finally_=finally_
                )
            case SagaPlan():
                steps = tuple(
                    StepPlan(rename(step.action), step.compensation and rename(step.compensation))
                    for step in node.steps
                )
                return replace(node, id=node.id + suffix, steps=steps)
            case HolePlan(expand=Variants() as variants):
                bodies = tuple(map(rename, variants.bodies))
                return replace(node, id=node.id + suffix, expand=replace(variants, bodies=bodies))
            case HolePlan():
                raise TypeError(f"cannot look into {node.id}")

    return rename(plan)


def nodes_of(plan: PlanNode) -> Iterator[PlanNode]:
    """Every node that can be mounted, parents first, all variants of a hole included."""
    yield plan
    for child in inside(plan):
        yield from nodes_of(child)


def inside(plan: PlanNode) -> tuple[PlanNode, ...]:
    match plan:
        case TaskPlan():
            return ()
        case SequencePlan(children=children) | ParallelPlan(children=children):
            return children
        case LoopPlan(body=body):
            return (body,)
        case TryPlan(body=body, catch=catch, finally_=finally_):
            return tuple(part for part in (body, catch, finally_) if part is not None)
        case SagaPlan(steps=steps):
            parts = [step.action for step in steps] + [step.compensation for step in reversed(steps)]
            return tuple(part for part in parts if part is not None)
        case HolePlan(expand=Variants(bodies=bodies)):
            return bodies
        case HolePlan():
            raise TypeError(f"cannot look into {plan.id}")


def ids_of(plan: PlanNode) -> list[str]:
    return list(dict.fromkeys(node.id for node in nodes_of(plan) if node.id is not None))


def outline(plan: PlanNode, depth: int = 0) -> str:
    """The tree as an indented list, for a failing test to show."""
    facts = {
        name: value
        for name in (
            "edges",
            "cap",
            "cancel_on_failure",
            "max_iterations",
            "fail_on_max",
            "continue_on_fail",
            "enters",
            "is_async",
            "catch_errors",
            "compensates",
            "tolerates",
        )
        if (value := getattr(plan, name, None)) not in (None, (), False)
    }
    if isinstance(plan, TryPlan):
        facts["has"] = [name for name in ("catch", "finally_") if getattr(plan, name) is not None]
    if isinstance(plan, SagaPlan):
        facts["undo"] = [step.compensation is not None for step in plan.steps]
    line = f"{'  ' * depth}{type(plan).__name__} {plan.id or '-'} {facts or ''}".rstrip()
    return "\n".join([line, *(outline(child, depth + 1) for child in inside(plan))])


@dataclass(frozen=True)
class Grown:
    """A tree with the memory its holes share."""

    tree: PlanNode
    memory: Memory
    limit: int | None


def grow(random: Random, size: int = 12) -> Grown:
    """A random tree and run limit."""
    grower = Grower(random, size=size)
    return Grown(grower.tree(), grower.memory, random.choice(LIMITS))


def trees(size: int = 12) -> st.SearchStrategy[Grown]:
    """`grow`, shrinking towards small trees."""
    return st.randoms(use_true_random=False).map(lambda random: grow(random, size))


@dataclass
class Events:
    """What happens to a run, drawn as it goes.

    Wild for `wild` steps, then calm: tasks finish, passes are the last, nobody edits, so that it ends.
    """

    random: Random
    wild: int
    failing: int = field(init=False)
    """How many of about a hundred attempts fail."""

    def __post_init__(self) -> None:
        self.failing = self.random.choice((5, 14, 40))

    def is_wild(self) -> bool:
        return self.wild > 0

    def tick(self) -> None:
        self.wild -= 1

    def happens(self, probability: float) -> bool:
        """Whether something rare happens now; never once it is calm."""
        return self.is_wild() and self.random.random() < probability

    def some(self, keys: tuple[NodeKey, ...]) -> list[NodeKey]:
        """At least one of them, in any order."""
        return self.random.sample(keys, self.random.randint(1, len(keys)))

    def until(self) -> bool:
        return not self.is_wild() or self.random.random() < 0.3

    def outcome(self, task: TaskPlan | None, now_ms: int, ids: list[str]) -> Settled | Due | Blocked | None:
        """How a running attempt ends. `task` is None where the tree no longer has it."""
        if not self.is_wild():
            return Settled.FINISHED
        random = self.random
        weights = (60, 6, self.failing, 10, 3, 4, 3)
        match random.choices(
            ("finished", "skipped", "failed", "due", "blocked", "open", "cancelled"), weights
        )[0]:
            case "finished":
                return Settled.FINISHED
            case "skipped":
                return Settled.SKIPPED
            case "failed":
                return Settled.TOLERATED if task is not None and task.continue_on_fail else Settled.FAILED
            case "due":
                return Due(now_ms + random.randrange(5))
            case "blocked":
                return Blocked(random.choice(ids))
            case "open":
                return None
            case _:
                return Settled.CANCELLED
