"""The schedule agrees with the oracle on whatever grows and whatever happens."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import assert_never

import pytest
from hypothesis import HealthCheck, given, settings
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
from smithers.scheduler import (
    Blocked,
    Cancel,
    Deadlock,
    Decision,
    Due,
    Enter,
    Execute,
    Facts,
    Fail,
    Finish,
    Judge,
    LoopFact,
    Open,
    Schedule,
    Settled,
    Skip,
    Stop,
    Wait,
)
from tests.property.oracle import OracleSchedule, View
from tests.property.trees import CODES, Events, Grower, Grown, grow, ids_of, nodes_of, outline, trees

SEEDS = int(os.environ.get("SMITHERS_PROPERTY_TREES", "1000"))
FIRST_SEED = int(os.environ.get("SMITHERS_PROPERTY_SEED", "0"))
MAX_STEPS = 3_000
# Growing a tree draws much, and one failure at a time is enough to read.
PATIENT = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)

Skipped = list[tuple[NodeKey, str]]


def answer(schedule: Schedule | OracleSchedule, now_ms: int) -> tuple[Skipped, Decision]:
    """The next decision that asks for something, and what was skipped on the way to it."""
    skipped: Skipped = []
    while isinstance(decision := schedule.decide(now_ms), Skip):
        assert decision.skipped, "a skip of nothing"
        skipped.extend(decision.skipped)
    return skipped, decision


def plain(facts: Facts) -> tuple[object, ...]:
    """Facts as values; a loop that was never judged has none."""
    loops = {key: fact for key, fact in facts.loops.items() if fact != LoopFact()}
    return facts.nodes, loops, facts.blocks, facts.entered


class Lockstep:
    """A schedule and the oracle told the same things."""

    def __init__(self, grown: Grown) -> None:
        self.memory = grown.memory
        self.limit = grown.limit
        self.is_cancelled = False
        self.story: list[str] = []
        """What happened since the last mount, for a failure to tell."""
        self.mount(grown.tree, Facts())

    def mount(self, tree: PlanNode, facts: Facts) -> None:
        self.story = [f"limit {self.limit}, {facts}\n{outline(tree)}"]
        self.tree = tree
        self.ids = ids_of(tree)
        self.tasks = {node.id: node for node in nodes_of(tree) if isinstance(node, TaskPlan)}
        self.oracle = OracleSchedule(tree, facts.copy(), limit=self.limit)
        self.oracle.is_cancelled = self.is_cancelled
        self.expansions: Counter[NodeKey] = Counter()
        self.expansions_of_schedule: Counter[NodeKey] = Counter()
        with self.schedules_turn():
            self.schedule = Schedule(tree, facts.copy(), limit=self.limit, is_cancelled=self.is_cancelled)

    @contextmanager
    def schedules_turn(self) -> Iterator[None]:
        """What is expanded meanwhile is counted apart from what the oracle expands."""
        self.memory.expansions = self.expansions_of_schedule
        try:
            yield
        finally:
            self.memory.expansions = self.expansions

    def decide(self, now_ms: int) -> Decision:
        expected_skips, expected = answer(self.oracle, now_ms)
        self.story.append(f"decide({now_ms}): {[*expected_skips]} {expected}")
        with self.schedules_turn():
            skips, decision = answer(self.schedule, now_ms)
        assert decision == expected
        assert sorted(skips) == sorted(expected_skips)
        assert plain(self.schedule.facts) == plain(self.oracle.facts)
        assert self.schedule.snapshot() == self.oracle.snapshot()
        assert self.expansions_of_schedule == self.expansions, "each body is made once"
        return decision

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None) -> None:
        self.story.append(f"settle({key}, {outcome!r})")
        if outcome is Settled.FAILED:
            names = (CODES[len(self.story) % 2],)
            self.schedule.facts.names[key] = self.oracle.facts.names[key] = names
        with self.schedules_turn():
            self.schedule.settle(key, outcome)
        self.oracle.settle(key, outcome)

    def opened(self, key: NodeKey) -> None:
        self.story.append(f"opened({key})")
        with self.schedules_turn():
            self.schedule.opened(key)
        self.oracle.opened(key)

    def judge(self, loop: NodeKey, *, until: bool) -> None:
        self.story.append(f"judge({loop}, {until})")
        with self.schedules_turn():
            self.schedule.judge(loop, until)
        self.oracle.judge(loop, until)

    def refill(self, hole: NodeKey) -> None:
        self.story.append(f"refill({hole})")
        self.memory.refills[hole] += 1
        with self.schedules_turn():
            self.schedule.refill(hole)
        self.oracle.refill(hole)

    def cancel(self) -> None:
        self.story.append("cancel()")
        self.is_cancelled = self.oracle.is_cancelled = True
        with self.schedules_turn():
            self.schedule.cancel()

    def running(self) -> tuple[NodeKey, ...]:
        return tuple(self.oracle.facts.running())

    def waiting(self) -> tuple[NodeKey, ...]:
        return tuple(key for key, fact in self.oracle.facts.nodes.items() if isinstance(fact, Open))

    def holes(self) -> list[NodeKey]:
        return [spot.key for spot in self.oracle.view().spots if isinstance(spot.plan, HolePlan)]

    def reload(self) -> None:
        """Start over from stored facts, as another process would."""
        before = self.schedule.snapshot()
        self.mount(self.tree, self.oracle.facts)
        assert self.schedule.snapshot() == before

    def resume(self) -> None:
        """Try again what failed, as a resume does."""
        facts = self.oracle.facts.copy()
        facts.nodes = {key: fact for key, fact in facts.nodes.items() if fact is not Settled.FAILED}
        facts.blocks = {key: fact for key, fact in facts.blocks.items() if not fact.has_failed}
        facts.entered = {key for key in facts.entered if key in facts.nodes}
        self.is_cancelled = False
        self.mount(self.tree, facts)


def drive(grown: Grown, random: Random) -> Decision:
    """Live through one run and return how it ended; a failure tells the story."""
    run = Lockstep(grown)
    try:
        return live(run, Events(random, wild=random.randrange(120)))
    except Exception as error:
        error.add_note("\n".join(run.story))
        raise


def live(run: Lockstep, events: Events) -> Decision:
    now_ms = 0
    for _ in range(MAX_STEPS):
        events.tick()
        now_ms += events.random.randrange(3)
        decision = run.decide(now_ms)
        if isinstance(decision, Enter):
            enter(run, events, decision.keys, now_ms)
        if disturb(run, events):
            continue  # the answer is stale; ask again
        match decision:
            case Execute(starts=starts):
                for key in starts:
                    if events.happens(0.1):
                        settle(run, events, key, now_ms)
            case Cancel(keys=keys):
                for key in keys:
                    if events.happens(0.8):
                        run.settle(key, Settled.CANCELLED)
            case Judge(loops=loops):
                for loop in events.some(loops):
                    run.judge(loop, until=events.until())
            case Enter():
                pass
            case Wait(has_running=has_running, has_open=has_open) if has_running or has_open:
                for key in events.some((*run.running(), *run.waiting())):
                    settle(run, events, key, now_ms)
            case Wait(due_ms=due_ms):
                assert due_ms is not None
                assert due_ms > now_ms
                now_ms = due_ms
            case Finish() | Fail() | Stop() | Deadlock():
                if not events.happens(0.5):
                    return decision
                run.resume()
            case Skip():
                raise AssertionError("a skip is never the answer that stands")
            case _:
                assert_never(decision)
    raise AssertionError(f"no end in {MAX_STEPS} steps")


def enter(run: Lockstep, events: Events, keys: tuple[NodeKey, ...], now_ms: int) -> None:
    """Answer for each: mostly it waits now, now and then there is nothing to wait for."""
    for key in keys:
        if events.happens(0.15):
            run.settle(
                key, Settled.SKIPPED if events.happens(0.5) else Blocked(events.random.choice(run.ids))
            )
            continue
        run.opened(key)
        if events.happens(0.15):
            settle(run, events, key, now_ms)


def settle(run: Lockstep, events: Events, key: NodeKey, now_ms: int) -> None:
    run.settle(key, events.outcome(run.tasks.get(key.node), now_ms, run.ids))


def disturb(run: Lockstep, events: Events) -> bool:
    """Reload, refill a hole or edit the workflow, now and then; say whether anything changed."""
    if events.happens(0.1):
        run.reload()
    elif events.happens(0.1) and (holes := run.holes()):
        run.refill(events.random.choice(holes))
    elif events.happens(0.01):
        run.cancel()
    elif events.happens(0.03):
        run.mount(Grower(events.random, run.memory).tree(), run.oracle.facts)
    else:
        return False
    return True


@given(trees(size=6), st.integers(0, 2**32))
@PATIENT
def test_a_run_of_any_shape_agrees_with_the_oracle_at_every_step(grown: Grown, seed: int) -> None:
    drive(grown, Random(seed))


@pytest.mark.timeout(120 + SEEDS // 10)
def test_seeded_runs_agree_with_the_oracle_at_every_step() -> None:
    ends = set()
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        random = Random(seed)
        try:
            ends.add(type(drive(grow(random, size=random.choice((3, 6, 12, 25))), random)))
        except Exception as error:
            error.add_note(f"SMITHERS_PROPERTY_SEED={seed} SMITHERS_PROPERTY_TREES=1 repeats it")
            raise
    assert ends == {Finish, Fail, Stop, Deadlock} or SEEDS < 100


# --- What a settlement costs ------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """What there is to see of a run between two settlements."""

    mounted: frozenset[tuple[tuple[int, ...], NodeKey]]
    states: dict[NodeKey, str]
    edges: dict[tuple[NodeKey, str], Settled | None]
    """How the target of each mounted task's edge has settled, as the task sees it."""
    blocks: dict[NodeKey, tuple[object, int]]
    """What blocks remember, with the nodes below each."""

    @classmethod
    def of(cls, view: View) -> Picture:
        return cls(
            frozenset((spot.path, spot.key) for spot in view.spots if spot.id is not None),
            {task.key: view.state(task) for task in view.tasks},
            {
                (task.key, edge.target): view.target_outcome(task, edge.target)
                for task in view.tasks
                for edge in view.edges(task)
            },
            {
                spot.key: (view.facts.blocks.get(spot.key), len(list(spot.below())))
                for spot in view.spots
                if isinstance(spot.plan, TryPlan | SagaPlan)
            },
        )

    def distance(self, other: Picture) -> int:
        """How much changed from this picture to `other`."""
        states = [key for key, state in other.states.items() if self.states.get(key) != state]
        woken = [edge for edge, outcome in other.edges.items() if self.edges.get(edge) != outcome]
        moved = sum(
            size for key, (fact, size) in other.blocks.items() if self.blocks.get(key) != (fact, size)
        )
        return len(states) + len(woken) + len(self.mounted ^ other.mounted) + moved


def depth_of(view: View) -> int:
    return max(len(spot.path) for spot in view.spots) + 1


@given(trees(), st.integers(0, 2**32))
@PATIENT
def test_a_settlement_visits_what_it_changes_and_the_way_up(grown: Grown, seed: int) -> None:
    random = Random(seed)
    events = Events(random, wild=random.randrange(80))
    run = Lockstep(grown)
    now_ms = 0
    decision = run.decide(now_ms)
    for _ in range(MAX_STEPS):
        events.tick()
        before, visited = Picture.of(run.oracle.view()), run.schedule.visited
        match decision:
            case Judge(loops=loops):
                run.judge(loops[0], until=events.until())
            case Enter(keys=keys):
                enter(run, events, keys, now_ms)
            case Wait(has_running=has_running, has_open=has_open) if has_running or has_open:
                settle(run, events, random.choice((*run.running(), *run.waiting())), now_ms)
            case Wait(due_ms=int(due_ms)):
                now_ms = due_ms
            case Finish() | Fail() | Stop() | Deadlock():
                return
            case Execute() | Cancel() | Wait() | Skip():
                pass  # more may start, end or fall due at once
        decision = run.decide(now_ms)
        view = run.oracle.view()
        changed = before.distance(Picture.of(view))
        assert run.schedule.visited - visited <= (changed + 1) * (4 * depth_of(view) + 8)
    raise AssertionError(f"no end in {MAX_STEPS} steps")


def tasks(count: int, name: str = "t") -> tuple[TaskPlan, ...]:
    return tuple(TaskPlan(f"{name}{number}") for number in range(count))


def chain(count: int) -> tuple[TaskPlan, ...]:
    first, *rest = tasks(count)
    return (first, *(TaskPlan(task.id, (Edge(f"t{number}"),)) for number, task in enumerate(rest)))


def nested_caps(count: int) -> PlanNode:
    inner = (ParallelPlan(tasks(count // 2, name), cap=1) for name in "ab")
    return ParallelPlan(tuple(inner), cap=1)


SHAPES: dict[str, Callable[[int], PlanNode]] = {
    "parallel": lambda count: ParallelPlan(tasks(count)),
    "sequence": lambda count: SequencePlan(tasks(count)),
    "capped": lambda count: ParallelPlan(tasks(count), cap=2),
    "nested caps": nested_caps,
    "chain of edges": lambda count: ParallelPlan(chain(count)),
    "fan-in": lambda count: ParallelPlan(
        (*tasks(count), TaskPlan("end", tuple(Edge(f"t{n}") for n in range(count))))
    ),
    "blocks": lambda count: SequencePlan(tuple(TryPlan(f"b-{task.id}", task) for task in tasks(count))),
    "blocks side by side": lambda count: ParallelPlan(
        tuple(TryPlan(f"b-{task.id}", task, finally_=TaskPlan(f"f-{task.id}")) for task in tasks(count))
    ),
    "saga": lambda count: SagaPlan(
        "s", tuple(StepPlan(task, TaskPlan(f"u-{task.id}")) for task in tasks(count))
    ),
    "loops": lambda count: SequencePlan(tuple(LoopPlan(f"l-{task.id}", task) for task in tasks(count))),
    "holes": lambda count: SequencePlan(
        tuple(HolePlan(f"h-{task.id}", lambda key, task=task: task) for task in tasks(count))  # type: ignore[misc]
    ),
}


def visits_to_finish(schedule: Schedule) -> int:
    """Finish every task as soon as it runs; the nodes visited meanwhile."""
    before = schedule.visited
    while not isinstance(decision := schedule.decide(0), Finish):
        match decision:
            case Judge(loops=loops):
                for loop in loops:
                    schedule.judge(loop, True)
            case Wait(has_running=True):
                schedule.settle(next(iter(schedule.running)), Settled.FINISHED)
            case Execute() | Skip():
                pass
            case other:
                raise AssertionError(f"unexpected {other}")
    return schedule.visited - before


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [None, 16])
def test_a_settlement_costs_the_same_in_a_plan_of_any_size(shape: str, limit: int | None) -> None:
    def per_task(count: int) -> float:
        return visits_to_finish(Schedule(SHAPES[shape](count), Facts(), limit=limit)) / count

    assert per_task(400) < 1.2 * per_task(40) + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_finished_run_is_loaded_in_one_walk(shape: str) -> None:
    count = 2_000
    tree = SHAPES[shape](count)
    schedule = Schedule(tree, Facts())
    visits_to_finish(schedule)
    again = Schedule(tree, schedule.facts.copy())
    assert isinstance(again.decide(0), Finish)
    assert again.visited <= 12 * count
