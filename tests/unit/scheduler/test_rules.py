"""The rules of planning and scheduling, one test a sentence, on the smallest tree that shows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smithers.errors import TooDeep
from smithers.ids import NodeKey
from smithers.plan import (
    MAX_DEPTH,
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
    BlockFact,
    Cancel,
    Deadlock,
    Decision,
    Due,
    Execute,
    Facts,
    Fail,
    Finish,
    Judge,
    LoopFact,
    NodeFact,
    Running,
    Schedule,
    Settled,
    Skip,
    Stop,
    Wait,
)

UNSETTLED: list[Due | Blocked | None] = [Due(50), Blocked("nowhere"), None]


def task(name: str, *after: str, needs: tuple[str, ...] = ()) -> TaskPlan:
    """A task with ordering edges to `after` and edges that need an output to `needs`."""
    edges = [Edge(target) for target in after] + [Edge(target, needs_output=True) for target in needs]
    return TaskPlan(name, tuple(edges))


def node(child: PlanNode | str) -> PlanNode:
    return task(child) if isinstance(child, str) else child


def seq(*children: PlanNode | str) -> SequencePlan:
    return SequencePlan(tuple(map(node, children)))


def par(*children: PlanNode | str, cap: int | None = None, cancel: bool = False) -> ParallelPlan:
    return ParallelPlan(tuple(map(node, children)), cap, cancel_on_failure=cancel)


def loop(name: str, body: PlanNode | str, most: int | None = None, *, fails: bool = False) -> LoopPlan:
    return LoopPlan(name, node(body), most, fail_on_max=fails)


def block(name: str, body: PlanNode | str) -> TryPlan:
    """A boundary that handles whatever fails in it."""
    return TryPlan(name, node(body), catch=SequencePlan())


def ended_by(how: Settled) -> BlockFact:
    """The memory of such a block that has ended by how its body did."""
    return BlockFact("", done=("body",) if how is Settled.FINISHED else ("catch",))


def ends(play: Play) -> dict[NodeKey, Settled]:
    """The blocks that have ended, by how their bodies did."""
    return {
        key: Settled.FINISHED if "body" in fact.done else Settled.FAILED
        for key, fact in play.facts.blocks.items()
        if fact.has_ended
    }


def attempt(
    body: PlanNode | str,
    *,
    catch: PlanNode | str | None = None,
    last: PlanNode | str | None = None,
    codes: tuple[str, ...] = (),
    name: str = "t",
) -> TryPlan:
    return TryPlan(name, node(body), catch and node(catch), last and node(last), codes)


def saga(*steps: tuple[PlanNode | str, PlanNode | str | None], how: str = "compensate") -> SagaPlan:
    plans = tuple(StepPlan(node(action), undo and node(undo)) for action, undo in steps)
    return SagaPlan("s", plans, compensates=how != "fail", tolerates=how == "compensate")


def facts(**nodes: NodeFact) -> Facts:
    """Facts of nodes that stand in no loop."""
    return Facts({NodeKey(name): fact for name, fact in nodes.items()})


def key(name: str | NodeKey) -> NodeKey:
    return name if isinstance(name, NodeKey) else NodeKey(name)


class Play:
    """A schedule and the clock beside it."""

    def __init__(self, tree: PlanNode, known: Facts | None = None, limit: int | None = 16) -> None:
        self.schedule = Schedule(tree, known or Facts(), limit=limit)
        self.now_ms = 0

    @property
    def facts(self) -> Facts:
        return self.schedule.facts

    def decide(self) -> Decision:
        return self.schedule.decide(self.now_ms)

    def next(self) -> Decision:
        """The next decision that is not a skip."""
        while isinstance(decision := self.decide(), Skip):
            pass
        return decision

    def starts(self) -> list[str]:
        """What starts now, in order; empty if something else is to be done."""
        decision = self.next()
        return [str(started) for started in decision.starts] if isinstance(decision, Execute) else []

    def skips(self) -> dict[str, str]:
        """What settles without running now, and why."""
        found: dict[str, str] = {}
        while isinstance(decision := self.decide(), Skip):
            found.update({str(skipped): reason for skipped, reason in decision.skipped})
        return found

    def settle(self, name: str | NodeKey, outcome: Settled | Due | Blocked | None = Settled.FINISHED) -> None:
        self.schedule.settle(key(name), outcome)

    def judge(self, name: str | NodeKey, *, until: bool) -> None:
        self.schedule.judge(key(name), until)

    def state(self, name: str | NodeKey) -> str:
        return self.schedule.snapshot()[key(name)]


def waits(decision: Decision) -> bool:
    return isinstance(decision, Wait) and decision.has_running


# --- No plan diff -----------------------------------------------------------------------------------


def test_finished_work_is_found_by_key_and_not_by_position() -> None:
    play = Play(seq("new", par("b", "a")), facts(a=Settled.FINISHED))
    assert play.starts() == ["new"]
    play.settle("new")
    assert play.starts() == ["b"]


def test_after_any_settlements_the_schedule_equals_one_built_anew() -> None:
    tree = seq(par("a", "b", cap=1), loop("l", seq("c", task("d", needs=("c",)))), "e")
    play = Play(tree)
    for name in ("a", "b", "c"):
        assert play.starts() == [name]
        play.settle(name, Settled.SKIPPED if name == "c" else Settled.FINISHED)
    again = Play(tree, play.facts.copy())
    assert play.next() == again.next() == Judge((NodeKey("l"),))
    assert play.schedule.snapshot() == again.schedule.snapshot()
    assert play.facts == again.facts


def test_a_loop_never_steps_backwards_because_the_tree_changed() -> None:
    known = Facts(loops={NodeKey("l"): LoopFact(pass_=2)})
    play = Play(loop("l", seq("other"), most=2), known)
    assert play.starts() == ["other[2]"]
    play.settle(NodeKey("other", iteration=2))
    play.next()
    play.judge("l", until=False)
    assert play.facts.loops[NodeKey("l")] == LoopFact(pass_=2, done=True)


def test_a_block_that_has_ended_stays_ended_when_the_tree_changes() -> None:
    known = facts(a=Settled.FAILED)
    known.blocks[NodeKey("b")] = ended_by(Settled.FAILED)
    play = Play(seq(block("b", seq("new", "a")), "after"), known)
    assert play.starts() == ["after"]
    play.settle("after")
    assert play.next() == Finish(is_partial=False)
    assert ends(play) == {NodeKey("b"): Settled.FAILED}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_settled_and_what_failed_is_known_before_anything_new_starts(order: tuple[str, str]) -> None:
    play = Play(par(seq("a", "c"), "b"))
    assert play.starts() == ["a", "b"]
    for name in order:
        play.settle(name, Settled.FAILED if name == "b" else Settled.FINISHED)
    assert play.next() == Fail(NodeKey("b"))


# --- Settled ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [how for how in Settled if how is not Settled.FAILED])
def test_finished_skipped_cancelled_and_tolerated_are_settled(outcome: Settled) -> None:
    play = Play(seq("a", "b"))
    assert play.starts() == ["a"]
    play.settle("a", outcome)
    assert play.starts() == ["b"]


@pytest.mark.parametrize("outcome", UNSETTLED)
def test_a_wait_or_a_retry_is_not_settled(outcome: Due | Blocked | None) -> None:
    play = Play(seq("a", "b"))
    play.next()
    play.settle("a", outcome)
    play.next()
    assert play.state("b") == "idle"


def test_a_failure_is_not_settled() -> None:
    play = Play(par(seq("a", "b"), "c"))
    play.next()
    play.settle("a", Settled.FAILED)
    assert waits(play.next())
    assert play.state("b") == "idle"


def test_work_in_a_region_known_not_to_run_settles_as_not_reached() -> None:
    play = Play(seq(block("b", seq("a", par("c", block("inner", "d")))), "after"))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.skips() == {"c": "not reached", "d": "not reached"}
    assert play.facts.nodes[NodeKey("d")] is Settled.NOT_REACHED
    assert play.facts.nodes[NodeKey("a")] is Settled.FAILED
    assert play.state("d") == "not_reached"


def test_an_empty_group_is_settled() -> None:
    assert Play(seq(SequencePlan(), ParallelPlan(), block("b", SequencePlan()), "a")).starts() == ["a"]


# --- Loops ------------------------------------------------------------------------------------------


def test_a_pass_ends_when_its_body_is_settled_and_never_in_mid_pass() -> None:
    play = Play(loop("l", par("a", "b")))
    assert play.starts() == ["a", "b"]
    play.settle("a")
    assert waits(play.next())
    play.settle("b")
    assert play.next() == Judge((NodeKey("l"),))


def test_until_is_never_judged_before_the_first_pass() -> None:
    assert Play(loop("l", "a", most=1)).starts() == ["a"]


def test_a_pass_that_is_judged_false_is_followed_by_a_fresh_one() -> None:
    play = Play(loop("l", seq("a", "b")))
    for name in ("a", "b"):
        play.next()
        play.settle(name)
    play.next()
    play.judge("l", until=False)
    assert play.starts() == ["a[1]"]
    assert play.schedule.snapshot() == {
        NodeKey("a", iteration=1): "running",
        NodeKey("b", iteration=1): "idle",
    }


def test_a_done_loop_never_reopens() -> None:
    known = facts(a=Settled.FINISHED)
    known.loops[NodeKey("l")] = LoopFact(done=True)
    play = Play(seq(loop("l", seq("a", "new")), "after"), known)
    assert play.starts() == ["after"]
    play.settle("after")
    assert play.next() == Finish(is_partial=False)
    assert NodeKey("new") not in play.facts.nodes


def test_a_loop_advances_even_while_other_nodes_wait() -> None:
    play = Play(par("slow", "later", loop("l", "a")))
    play.next()
    play.settle("later", Due(1_000))
    play.settle("a")
    assert play.next() == Judge((NodeKey("l"),))
    play.judge("l", until=False)
    assert play.starts() == ["a[1]"]


def test_what_was_due_and_found_no_room_is_due_again_when_the_clock_has_been_set_back() -> None:
    play = Play(par("a", "b"), limit=1)
    assert play.starts() == ["a"]
    play.settle("a", Due(1_000))
    assert play.starts() == ["b"]
    play.now_ms = 1_000
    assert waits(play.next())  # `a` is due, and there is no room for it
    play.now_ms = 500
    play.settle("b")
    assert play.next() == Wait(1_000, has_running=False)
    play.now_ms = 1_000
    assert play.starts() == ["a"]


def test_loops_nest_directly_and_without_limit() -> None:
    depth = 60
    tree: PlanNode = task("a")
    for level in reversed(range(depth)):
        tree = loop(f"l{level}", tree)
    play = Play(tree)
    scope = ",".join(f"l{level}=0" for level in range(depth - 1))
    assert play.next() == Execute((NodeKey("a", scope),))
    play.settle(NodeKey("a", scope))
    for level in reversed(range(depth)):
        inner = NodeKey(f"l{level}", ",".join(f"l{outer}=0" for outer in range(level - 1)))
        assert play.next() == Judge((inner,))
        play.judge(inner, until=True)
    assert play.next() == Finish(is_partial=False)


def test_the_scope_is_the_path_of_the_outer_loops() -> None:
    known = Facts(
        loops={
            NodeKey("outer"): LoopFact(2),
            NodeKey("mid", "", 2): LoopFact(1),
            NodeKey("inner", "outer=2", 1): LoopFact(3),
        }
    )
    play = Play(loop("outer", loop("mid", par("b", loop("inner", "a")))), known)
    assert play.next() == Execute((NodeKey("b", "outer=2", 1), NodeKey("a", "outer=2,mid=1", 3)))


def test_a_loop_ends_after_its_last_pass_even_if_until_is_false() -> None:
    play = Play(seq(loop("l", "a", most=2), "after"))
    for number in (0, 1):
        play.next()
        play.settle(NodeKey("a", iteration=number))
        assert play.next() == Judge((NodeKey("l"),))
        play.judge("l", until=False)
    assert play.starts() == ["after"]


def test_a_loop_that_must_not_reach_its_last_pass_fails_its_region() -> None:
    play = Play(seq(block("b", seq(loop("l", "a", most=1, fails=True), "never")), "after"))
    play.next()
    play.settle("a")
    play.next()
    play.judge("l", until=False)
    assert play.skips() == {"never": "not reached"}
    assert play.facts.loops[NodeKey("l")] == LoopFact(0, done=True, failed=True)
    assert play.state("after") == "running"


def test_a_loop_that_fails_outside_any_block_is_the_cause_of_the_runs_failure() -> None:
    play = Play(loop("l", "a", most=1, fails=True))
    play.next()
    play.settle("a")
    play.next()
    play.judge("l", until=False)
    assert play.next() == Fail(NodeKey("l"))


# --- Regions ----------------------------------------------------------------------------------------


def test_nothing_new_starts_in_a_region_that_unwinds() -> None:
    play = Play(par("a", seq("b", "c"), seq("b2", block("inner", "d")), "f", cap=3))
    assert play.starts() == ["a", "b", "b2"]
    play.settle("a", Settled.FAILED)
    for name in ("b", "b2"):
        assert waits(play.next())
        play.settle(name)
    assert play.next() == Fail(NodeKey("a"))


def test_retries_stop_in_a_region_that_unwinds() -> None:
    play = Play(par("a", "b", "slow"))
    play.next()
    play.settle("b", Due(5))
    play.settle("a", Settled.FAILED)
    play.now_ms = 10
    assert play.next() == Wait(None, has_running=True)
    play.settle("slow")
    assert play.next() == Fail(NodeKey("a"))


def test_running_tasks_of_an_unwinding_region_end_by_themselves() -> None:
    play = Play(par("a", "b"))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.next() == Wait(None, has_running=True)
    play.settle("b")
    assert play.next() == Fail(NodeKey("a"))
    assert play.state("b") == "finished"


def test_a_parallel_that_cancels_ends_what_runs_below_it_once() -> None:
    play = Play(par("outside", par("a", "b", seq("c"), cancel=True)))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.next() == Cancel((NodeKey("b"), NodeKey("c")))
    assert waits(play.next())


def test_a_parallel_around_the_region_does_not_cancel() -> None:
    play = Play(par("a", block("b", par("c", "d")), cancel=True))
    play.next()
    play.settle("c", Settled.FAILED)
    assert waits(play.next())


def test_a_cancelled_task_whose_attempt_did_not_count_is_cancelled_again_when_it_runs_again() -> None:
    bodies = [par("a", "b", cancel=True), par("b", cancel=True), par("a", "b", cancel=True)]
    play = Play(HolePlan("h", lambda _: bodies[0]))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.next() == Cancel((NodeKey("b"),))
    play.settle("b", None)
    assert play.next() == Fail(NodeKey("a"))
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.starts() == ["b"]
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.next() == Cancel((NodeKey("b"),))


def test_a_region_is_judged_when_nothing_in_it_runs() -> None:
    play = Play(par(block("b", par("a", "slow")), "elsewhere"))
    play.next()
    play.settle("a", Settled.FAILED)
    play.next()
    assert NodeKey("b") not in ends(play)
    play.settle("slow")
    play.next()
    assert ends(play) == {NodeKey("b"): Settled.FAILED}


def test_a_failure_in_a_block_unwinds_only_the_block() -> None:
    play = Play(seq(block("b", seq("a", "c")), "after"))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.starts() == ["after"]
    play.settle("after")
    assert play.next() == Finish(is_partial=False)


def test_a_block_whose_body_settles_ends_finished() -> None:
    play = Play(seq(block("b", "a"), "after"))
    play.next()
    play.settle("a")
    assert play.starts() == ["after"]
    assert ends(play) == {NodeKey("b"): Settled.FINISHED}


def test_a_block_inside_an_unwinding_region_skips_its_catch() -> None:
    play = Play(par("a", block("b", "c")))
    play.next()
    play.settle("c", Settled.FAILED)
    play.settle("a", Settled.FAILED)
    assert play.next() == Fail(NodeKey("a"))
    assert play.facts.blocks == {NodeKey("b"): BlockFact("", Settled.FAILED, NodeKey("c"))}


def test_no_loop_in_an_unwinding_region_is_judged() -> None:
    play = Play(par(loop("l", "a"), "b"))
    play.next()
    play.settle("b", Settled.FAILED)
    play.settle("a")
    assert play.next() == Fail(NodeKey("b"))


def test_no_doomed_task_in_an_unwinding_region_is_skipped() -> None:
    play = Play(par("a", task("b", needs=("c",)), "c"))
    play.next()
    play.settle("a", Settled.FAILED)
    play.settle("c", Settled.SKIPPED)
    assert play.next() == Fail(NodeKey("a"))
    assert play.state("b") == "blocked"


def test_the_cause_is_the_first_failure_of_the_run_in_document_order() -> None:
    play = Play(par(block("b", par("inner", "slow")), "first", "second"))
    play.next()
    for name in ("second", "inner", "first"):
        play.settle(name, Settled.FAILED)
    assert waits(play.next())
    play.settle("slow")
    # Its catch is skipped, because the run unwinds: this failure is one of the run's as well.
    assert play.next() == Fail(NodeKey("inner"))


def test_a_handled_failure_stays_handled_when_the_run_is_loaded_again() -> None:
    tree = seq(block("b", par("a", "c")), "after")
    play = Play(tree)
    play.next()
    play.settle("a", Settled.FAILED)
    play.settle("c")
    assert play.starts() == ["after"]
    again = Play(tree, play.facts.copy())
    assert waits(again.next())
    again.settle("after")
    assert again.next() == Finish(is_partial=False)


# --- Edges ------------------------------------------------------------------------------------------


def test_an_edge_means_the_same_pass_where_both_share_the_loop() -> None:
    known = facts(a=Settled.FINISHED)
    known.loops[NodeKey("l")] = LoopFact(1)
    play = Play(loop("l", par(task("b", "a"), "a")), known)
    assert play.starts() == ["a[1]"]
    assert play.state(NodeKey("b", iteration=1)) == "blocked"
    play.settle(NodeKey("a", iteration=1))
    assert play.starts() == ["b[1]"]


def test_an_edge_into_loops_waits_until_the_outermost_is_done() -> None:
    play = Play(par(task("d", "u"), loop("outer", loop("inner", "u"))))
    play.next()
    play.settle(NodeKey("u", "outer=0"))
    play.next()
    play.judge(NodeKey("inner"), until=True)
    assert play.next() == Judge((NodeKey("outer"),))
    assert play.state("d") == "blocked"
    play.judge("outer", until=True)
    assert play.starts() == ["d"]


def test_an_edge_to_a_loop_waits_until_it_is_done() -> None:
    play = Play(par(task("d", "l"), loop("l", "a")))
    play.next()
    play.settle("a")
    play.next()
    play.judge("l", until=False)
    assert play.starts() == ["a[1]"]
    play.settle(NodeKey("a", iteration=1))
    play.next()
    play.judge("l", until=True)
    assert play.starts() == ["d"]


@pytest.mark.parametrize("outcome", [how for how in Settled if how is not Settled.FAILED])
def test_an_ordering_edge_is_satisfied_by_any_settlement(outcome: Settled) -> None:
    play = Play(par("a", task("b", "a")))
    play.next()
    play.settle("a", outcome)
    assert play.starts() == ["b"]


@pytest.mark.parametrize(
    ("outcome", "word", "settles_as"),
    [
        (Settled.SKIPPED, "skipped", Settled.SKIPPED),
        (Settled.CANCELLED, "skipped", Settled.SKIPPED),
        (Settled.NOT_REACHED, "skipped", Settled.SKIPPED),
        (Settled.TOLERATED, "failed", Settled.UPSTREAM),
        (Settled.UPSTREAM, "failed", Settled.UPSTREAM),
    ],
)
def test_a_task_that_needs_an_output_is_skipped_without_it_and_says_why(
    outcome: Settled, word: str, settles_as: Settled
) -> None:
    play = Play(par("a", task("b", needs=("a",))))
    play.next()
    play.settle("a", outcome)
    assert play.skips() == {"b": f"upstream {word}: a"}
    assert play.facts.nodes[NodeKey("b")] is settles_as


def test_the_dependants_of_a_skipped_task_are_skipped_with_it() -> None:
    play = Play(par("a", task("b", needs=("a",)), task("c", needs=("b",)), task("d", "c")))
    play.next()
    play.settle("a", Settled.SKIPPED)
    assert play.skips() == {"b": "upstream skipped: a", "c": "upstream skipped: b"}
    assert play.state("d") == "running"


def test_one_missing_output_is_enough_while_other_edges_wait() -> None:
    play = Play(par("a", "slow", task("b", "slow", needs=("a",))))
    play.next()
    play.settle("a", Settled.SKIPPED)
    assert play.skips() == {"b": "upstream skipped: a"}


def test_the_reason_names_the_first_missing_output_in_edge_order() -> None:
    play = Play(par("a", "b", task("c", needs=("b", "a"))))
    play.next()
    play.settle("a", Settled.TOLERATED)
    play.settle("b", Settled.SKIPPED)
    assert play.skips() == {"c": "upstream skipped: b"}


def test_what_a_callable_has_read_comes_last_among_the_reasons() -> None:
    play = Play(par("a", "b", task("c", needs=("b",))), facts(a=Settled.TOLERATED, c=Blocked("a")))
    play.next()
    assert play.facts.nodes[NodeKey("c")] is Settled.UPSTREAM
    again = Play(
        par("a", "b", task("c", needs=("b",))), facts(a=Settled.TOLERATED, b=Settled.SKIPPED, c=Blocked("a"))
    )
    assert again.skips() == {"c": "upstream skipped: b"}


@pytest.mark.parametrize("order", [("t1", "t2"), ("t2", "t1")])
def test_a_reason_does_not_depend_on_who_is_skipped_first(order: tuple[str, str]) -> None:
    both = {"t1": task("t1", needs=("u",)), "t2": task("t2", needs=("t1", "u"))}
    play = Play(par("u", *(both[name] for name in order)), facts(u=Settled.TOLERATED))
    assert play.skips() == {"t1": "upstream failed: u", "t2": "upstream failed: u"}


def test_a_task_is_skipped_once_whatever_it_lacks() -> None:
    play = Play(par("u", "v", task("t", needs=("u", "v"))))
    play.next()
    play.settle("v", Settled.SKIPPED)
    play.settle("u", Settled.TOLERATED)
    assert play.decide() == Skip(((NodeKey("t"), "upstream failed: u"),))


def test_every_block_that_can_end_has_ended_before_a_reason_is_given() -> None:
    later = HolePlan("h", lambda _: block("later", par("lost", "left")))
    tree = par(task("t", needs=("left", "u")), seq(block("b", "a"), later), "u")
    play = Play(tree, facts(lost=Settled.FAILED))
    assert play.starts() == ["a", "u"]
    play.settle("u", Settled.TOLERATED)
    play.settle("a", Settled.FAILED)
    assert play.skips() == {"left": "not reached", "t": "upstream skipped: left"}


def test_an_output_that_came_before_anyone_asked_is_not_missed() -> None:
    known = facts(t=Running(), x=Running())
    known.loops[NodeKey("l")] = LoopFact(done=True)
    play = Play(par(loop("l", "t"), seq("x", task("d", needs=("t",)))), known)
    assert waits(play.next())
    play.settle("x")
    play.settle("t")
    assert play.starts() == ["d"]


def test_a_task_is_not_skipped_before_it_is_reached() -> None:
    play = Play(par("a", seq("slow", task("b", needs=("a",)))))
    play.next()
    play.settle("a", Settled.SKIPPED)
    assert play.skips() == {}
    play.settle("slow")
    assert play.skips() == {"b": "upstream skipped: a"}


def test_a_task_that_lost_its_input_while_it_ran_is_skipped_instead_of_retried() -> None:
    play = Play(par(task("b", needs=("a",)), "a"), facts(a=Settled.SKIPPED, b=Running()))
    assert waits(play.next())
    play.settle("b", Due(0))
    assert play.skips() == {"b": "upstream skipped: a"}


def test_an_id_that_is_not_mounted_is_waited_for_while_anything_runs() -> None:
    play = Play(par("a", task("b", "later"), seq("slow", HolePlan("h", lambda _: task("later")))))
    assert play.starts() == ["a", "slow"]
    play.settle("a")
    assert waits(play.next())
    play.settle("slow")
    assert play.starts() == ["later"]
    play.settle("later")
    assert play.starts() == ["b"]


def test_an_id_that_is_nowhere_is_a_deadlock_that_names_both() -> None:
    play = Play(par("a", task("b", "a", "nowhere", "neither")))
    play.next()
    play.settle("a")
    assert play.next() == Deadlock(((NodeKey("b"), ("nowhere", "neither")),))


@pytest.mark.parametrize("how", ["block", "loop"])
def test_a_deadlock_does_not_list_what_can_never_start_where_all_is_over(how: str) -> None:
    over = par("a", task("new", "nowhere"))
    known = ended(Settled.FINISHED, a=Settled.FINISHED)
    known.loops[NodeKey("b")] = LoopFact(done=True)
    place: PlanNode = block("b", over) if how == "block" else loop("b", over)
    play = Play(par(place, task("c", "neither")), known)
    assert play.next() == Deadlock(((NodeKey("c"), ("neither",)),))
    assert play.state("new") == "idle"


def test_a_deadlock_does_not_list_a_failure_that_a_block_has_handled() -> None:
    known = facts(a=Settled.FAILED)
    known.blocks[NodeKey("b")] = ended_by(Settled.FAILED)
    play = Play(par(block("b", task("a", "nowhere")), task("c", "nowhere")), known)
    assert play.next() == Deadlock(((NodeKey("c"), ("nowhere",)),))


def test_what_left_the_tree_counts_by_what_it_left_when_nothing_else_can_happen() -> None:
    assert Play(task("b", "gone"), facts(gone=Settled.SKIPPED)).starts() == ["b"]


def test_what_left_the_tree_is_waited_for_while_anything_else_can_happen() -> None:
    play = Play(par("a", task("b", "gone")), facts(gone=Settled.FINISHED))
    assert play.starts() == ["a"]
    assert waits(play.next())
    assert play.state("b") == "blocked"
    play.settle("a", Due(50))
    assert play.next() == Wait(50, has_running=False)
    play.now_ms = 50
    assert play.starts() == ["a"]
    play.settle("a")
    assert play.starts() == ["b"]


def test_a_failure_that_left_the_tree_meets_no_edge() -> None:
    play = Play(task("b", "gone"), facts(gone=Settled.FAILED))
    assert play.next() == Deadlock(((NodeKey("b"), ("gone",)),))


def test_one_edge_that_nothing_can_meet_is_enough_for_a_deadlock() -> None:
    play = Play(task("b", "gone", "nowhere"), facts(gone=Settled.FINISHED))
    assert play.next() == Deadlock(((NodeKey("b"), ("gone", "nowhere")),))


def test_who_needs_an_output_that_left_no_trace_is_skipped_before_anyone_starts() -> None:
    known = facts(gone=Settled.TOLERATED)
    play = Play(par(task("b", "gone"), task("c", "nowhere", needs=("gone",)), task("d", needs=("c",))), known)
    assert play.skips() == {"c": "upstream failed: gone", "d": "upstream failed: c"}
    assert play.facts.nodes[NodeKey("c")] is Settled.UPSTREAM
    assert play.state("b") == "running"


def test_a_callable_that_reads_what_left_the_tree_goes_on_when_nothing_else_can_happen() -> None:
    known = facts(a=Blocked("gone"), b=Blocked("empty"), gone=Settled.FINISHED, empty=Settled.SKIPPED)
    play = Play(par("a", "b"), known)
    assert play.skips() == {"b": "upstream skipped: empty"}
    assert play.state("a") == "running"


def test_who_waits_for_what_left_the_tree_starts_under_the_caps() -> None:
    waiting = (task(name, "gone") for name in "abc")
    play = Play(par(*waiting, cap=2), facts(gone=Settled.FINISHED))
    assert play.starts() == ["a", "b"]
    play.settle("a")
    assert waits(play.next())
    assert play.state("c") == "blocked"
    play.settle("b")
    assert play.starts() == ["c"]


def test_a_back_off_of_who_waits_for_what_left_the_tree_is_obeyed() -> None:
    play = Play(task("b", "gone"), facts(gone=Settled.FINISHED, b=Due(50)))
    assert play.next() == Wait(50, has_running=False)
    assert play.state("b") == "blocked"
    play.now_ms = 50
    assert play.starts() == ["b"]


def test_an_unmounted_id_is_looked_up_in_the_own_pass_and_then_around_it() -> None:
    known = facts(around=Settled.FINISHED)
    known.nodes[NodeKey("own", "", 1)] = Settled.FINISHED
    known.nodes[NodeKey("elsewhere", "", 0)] = Settled.FINISHED
    known.loops[NodeKey("l")] = LoopFact(1)
    known.nodes[NodeKey("other", "", 7)] = Settled.FINISHED
    play = Play(loop("l", par(task("a", "own"), task("b", "around"), task("c", "other"))), known)
    assert play.starts() == ["a[1]", "b[1]"]


def test_a_target_that_moves_into_a_loop_is_waited_for_there() -> None:
    bodies: list[PlanNode] = [par("u", "slow"), par(loop("l", "u"), "slow")]
    play = Play(par(HolePlan("h", lambda _: bodies[0]), task("d", "u")), limit=2)
    assert play.starts() == ["u", "slow"]
    play.settle("u")
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.next() == Judge((NodeKey("l"),))
    assert play.state("d") == "blocked"
    play.judge("l", until=True)
    assert play.starts() == ["d"]


def test_a_target_that_is_unmounted_still_counts_by_what_it_left() -> None:
    bodies: list[PlanNode] = [par("u", "slow"), task("slow")]
    play = Play(par(HolePlan("h", lambda _: bodies[0]), task("d", "u")), limit=2)
    assert play.starts() == ["u", "slow"]
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert waits(play.next())
    play.settle("u")
    assert waits(play.next())
    play.settle("slow")
    assert play.starts() == ["d"]


def test_an_edge_into_a_loop_is_unmet_when_a_later_pass_no_longer_has_its_target() -> None:
    def body(place: NodeKey) -> PlanNode:
        return task("v" if place.iteration else "u")

    play = Play(par(loop("l", HolePlan("h", body)), "slow", task("d", "u")))
    assert play.starts() == ["u", "slow"]
    play.settle("u")
    play.next()
    play.judge("l", until=False)
    assert play.starts() == ["v[1]"]
    play.settle(NodeKey("v", iteration=1))
    play.next()
    play.judge("l", until=True)
    assert waits(play.next())
    assert play.state("d") == "blocked"
    play.settle("slow")
    assert play.starts() == ["d"]


def test_a_callable_that_reads_what_is_not_there_waits_for_it() -> None:
    play = Play(par("a", seq("slow", "b")))
    play.next()
    play.settle("a", Blocked("b"))
    play.settle("slow")
    assert play.starts() == ["b"]
    assert play.state("a") == "blocked"
    play.settle("b")
    assert play.starts() == ["a"]


# --- What has ended ---------------------------------------------------------------------------------


def ended(how: Settled = Settled.FAILED, **nodes: NodeFact) -> Facts:
    """Facts of a run in which the block `b` has ended."""
    known = facts(**nodes)
    known.blocks[NodeKey("b")] = ended_by(how)
    return known


HOWS = [Settled.FINISHED, Settled.FAILED]


@pytest.mark.parametrize("how", HOWS)
def test_a_failure_in_an_ended_block_has_settled_without_an_output(how: Settled) -> None:
    tree = par(block("b", "a"), task("after", "a"), task("reader", needs=("a",)))
    play = Play(tree, ended(how, a=Settled.FAILED))
    assert play.skips() == {"reader": "upstream failed: a"}
    assert play.state("a") == "failed"
    assert play.state("after") == "running"


@pytest.mark.parametrize("how", HOWS)
def test_a_task_that_fails_after_its_block_has_ended_counts_in_the_same_way(how: Settled) -> None:
    tree = par(block("b", "a"), task("after", "a"), task("reader", needs=("a",)))
    play = Play(tree, ended(how, a=Running()))
    assert waits(play.next())
    play.settle("a", Settled.FAILED)
    assert play.skips() == {"reader": "upstream failed: a"}
    assert play.state("after") == "running"


@pytest.mark.parametrize("how", HOWS)
def test_a_failed_loop_in_an_ended_block_has_settled_without_an_output(how: Settled) -> None:
    known = ended(how, a=Settled.FINISHED)
    known.loops[NodeKey("l")] = LoopFact(0, done=True, failed=True)
    tree = par(block("b", loop("l", "a", 1, fails=True)), task("after", "l"), task("reader", needs=("l",)))
    play = Play(tree, known)
    assert play.skips() == {"reader": "upstream failed: l"}
    assert play.state("after") == "running"


@pytest.mark.parametrize("how", HOWS)
def test_a_failure_in_an_ended_block_unwinds_nothing(how: Settled) -> None:
    play = Play(block("outer", seq(block("b", "a"), "c")), ended(how, a=Settled.FAILED))
    assert play.starts() == ["c"]
    play.settle("c")
    assert play.next() == Finish(is_partial=False)
    assert ends(play)[NodeKey("outer")] is Settled.FINISHED


def test_what_a_failed_block_did_not_reach_makes_no_run_partial() -> None:
    play = Play(block("b", seq("a", "c")))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.next() == Finish(is_partial=False)
    assert play.state("c") == "not_reached"


def test_what_needs_the_output_of_a_task_that_was_not_reached_is_skipped() -> None:
    play = Play(par(block("b", seq("a", "c")), task("d", needs=("c",))))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.skips() == {"c": "not reached", "d": "upstream skipped: c"}


def test_everything_in_a_failed_block_has_settled_for_those_who_wait() -> None:
    group = SequencePlan((task("c"),), "g")
    inside = seq("a", group, loop("l", "e"), HolePlan("h", lambda _: task("f")), block("inner", "k"))
    play = Play(par(block("b", inside), task("d", "g", "l", "h", "inner")))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.starts() == ["d"]
    assert NodeKey("f") not in play.schedule.snapshot()


def test_the_end_of_a_failed_block_reaches_nothing_more_in_it() -> None:
    asked: list[NodeKey] = []

    def expand(place: NodeKey) -> PlanNode:
        asked.append(place)
        return task("c")

    play = Play(block("b", par("a", seq("x", HolePlan("late", expand)))), limit=1)
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.skips() == {"x": "not reached"}
    assert play.schedule.snapshot() == {NodeKey("a"): "failed", NodeKey("x"): "not_reached"}
    assert asked == []


def block_with_holes(asked: list[NodeKey]) -> TryPlan:
    """`a` beside a hole with `c` and, in a hole of its own, `d`; expansions are noted in `asked`."""

    def inner(place: NodeKey) -> PlanNode:
        asked.append(place)
        return task("d")

    def outer(place: NodeKey) -> PlanNode:
        asked.append(place)
        return seq("c", HolePlan("inner", inner))

    return block("b", par("a", HolePlan("outer", outer)))


def test_the_end_of_a_failed_block_unmounts_the_bodies_of_its_holes() -> None:
    asked: list[NodeKey] = []
    play = Play(seq(block_with_holes(asked), "after"))
    assert play.starts() == ["a", "c"]
    play.settle("c")
    assert play.starts() == ["d"]
    play.settle("a", Settled.FAILED)
    assert waits(play.next())
    assert {str(name) for name in play.schedule.snapshot()} == {"a", "c", "d", "after"}
    play.settle("d", Due(5))
    assert play.starts() == ["after"]
    assert play.schedule.snapshot() == {NodeKey("a"): "failed", NodeKey("after"): "running"}
    assert play.facts.nodes[NodeKey("c")] is Settled.FINISHED
    assert play.facts.nodes[NodeKey("d")] == Due(5)
    assert asked == [NodeKey("outer"), NodeKey("inner")]


def test_a_hole_in_a_failed_block_stays_empty_when_the_run_is_loaded_again_or_the_hole_refilled() -> None:
    asked: list[NodeKey] = []
    play = Play(seq(block_with_holes(asked), "after"), ended(a=Settled.FAILED, c=Settled.FINISHED))
    assert play.starts() == ["after"]
    play.schedule.refill(NodeKey("outer"))
    assert waits(play.next())
    assert play.schedule.snapshot() == {NodeKey("a"): "failed", NodeKey("after"): "running"}
    assert asked == []


def test_a_failure_that_the_end_of_its_block_unmounts_is_handled() -> None:
    play = Play(seq(block_with_holes([]), "after"))
    play.next()
    play.settle("c", Settled.FAILED)
    play.settle("a")
    assert play.starts() == ["after"]
    assert ends(play) == {NodeKey("b"): Settled.FAILED}
    play.settle("after")
    assert play.next() == Finish(is_partial=False)


def test_what_a_failed_block_has_unmounted_counts_by_what_it_left_when_nothing_else_can_happen() -> None:
    play = Play(par(block_with_holes([]), "slow", task("order", "c", "slow"), task("reader", needs=("c",))))
    assert play.starts() == ["a", "c", "slow"]
    play.settle("c", Settled.SKIPPED)
    play.settle("a", Settled.FAILED)
    assert waits(play.next())
    assert play.state("reader") == "blocked"
    play.settle("slow")
    assert play.skips() == {"reader": "upstream skipped: c"}
    assert play.state("order") == "running"


def test_what_an_edit_mounts_in_a_failed_block_is_not_reached() -> None:
    play = Play(seq(block("b", seq("a", "new")), "after"), ended(a=Settled.FAILED))
    assert play.skips() == {"new": "not reached"}
    assert play.state("after") == "running"


def test_what_an_edit_mounts_in_a_failed_block_settles_before_the_block_is_reached() -> None:
    play = Play(seq(task("a", "new"), block("b", "new")), ended())
    assert play.skips() == {"new": "not reached"}
    assert play.state("a") == "running"


@pytest.mark.parametrize("outcome", UNSETTLED)
def test_a_task_that_is_open_again_in_a_failed_block_is_not_reached(outcome: Due | Blocked | None) -> None:
    play = Play(block("b", "a"), ended(a=Running()))
    assert waits(play.next())
    play.settle("a", outcome)
    assert play.skips() == {"a": "not reached"}
    assert play.next() == Finish(is_partial=False)


def test_an_edge_to_what_a_failed_block_has_unmounted_is_unmet_where_it_waited_for_a_loop() -> None:
    inside = loop("l", HolePlan("h", lambda _: task("c")))
    play = Play(par(block("b", par("a", inside)), task("d", "c")))
    assert play.starts() == ["a", "c"]
    play.settle("a", Settled.FAILED)
    play.settle("c", None)
    assert play.next() == Deadlock(((NodeKey("d"), ("c",)),))


def test_an_edge_that_was_met_is_unmet_again_when_the_end_of_a_block_unmounts_its_target() -> None:
    play = Play(par(block_with_holes([]), "slow", "slower", task("order", "c", "slow")))
    assert play.starts() == ["a", "c", "slow", "slower"]
    play.settle("c")
    assert play.starts() == ["d"]
    play.settle("d")
    play.settle("a", Settled.FAILED)
    play.next()
    play.settle("slow")
    assert waits(play.next())
    assert play.state("order") == "blocked"
    play.settle("slower")
    assert play.starts() == ["order"]


def test_what_is_not_reached_is_reported_even_if_a_hole_is_refilled_first() -> None:
    play = Play(par(block("b", "a"), HolePlan("h", lambda _: task("c"))), ended(a=Running()))
    assert play.starts() == ["c"]
    play.settle("a", None)
    play.schedule.refill(NodeKey("h"))
    assert play.skips() == {"a": "not reached"}


def test_the_end_of_a_last_attempt_in_a_failed_block_reaches_nothing_more() -> None:
    tree = block("b", seq("a", HolePlan("h", lambda _: task("c"))))
    play = Play(tree, ended(a=Running()))
    assert waits(play.next())
    play.settle("a")
    assert play.decide() == Finish(is_partial=False)
    assert play.schedule.snapshot() == {NodeKey("a"): "finished"}


def test_an_attempt_in_a_failed_block_is_waited_for_by_those_who_need_it() -> None:
    play = Play(par(block("b", "a"), task("reader", needs=("a",))), ended(a=Running()))
    assert waits(play.next())
    assert play.state("reader") == "blocked"
    play.settle("a")
    assert play.starts() == ["reader"]


@pytest.mark.parametrize("how", ["block", "loop"])
def test_a_failed_block_is_sealed_even_where_all_is_over(how: str) -> None:
    known = ended(Settled.FINISHED, a=Settled.FAILED)
    known.loops[NodeKey("b")] = LoopFact(done=True)
    known.blocks[NodeKey("inner")] = ended_by(Settled.FAILED)
    over = block("inner", seq("a", "new"))
    play = Play(block("b", over) if how == "block" else loop("b", over), known)
    assert play.skips() == {"new": "not reached"}
    assert play.next() == Finish(is_partial=False)


def test_what_is_over_in_a_failed_block_is_sealed_with_it() -> None:
    known = ended(a=Settled.FINISHED)
    known.loops[NodeKey("l")] = LoopFact(done=True)
    known.blocks[NodeKey("inner")] = ended_by(Settled.FINISHED)
    hole = HolePlan("h", lambda _: task("never"))
    play = Play(block("b", par("a", loop("l", par("x", hole)), block("inner", "y"))), known)
    assert play.skips() == {"x": "not reached", "y": "not reached"}
    assert NodeKey("never") not in play.schedule.snapshot()


def test_a_failure_in_a_done_loop_unwinds_the_part_around_it_all_the_same() -> None:
    known = facts(a=Running(), c=Running())
    known.loops[NodeKey("l")] = LoopFact(done=True)
    play = Play(block("b", par(loop("l", "a"), "c")), known)
    play.next()
    play.settle("a", Settled.FAILED)
    assert waits(play.next())
    assert ends(play) == {}
    play.settle("c")
    assert play.next() == Finish(is_partial=False)
    assert ends(play) == {NodeKey("b"): Settled.FAILED}


def test_a_part_whose_body_has_settled_is_not_over_while_anything_in_it_runs() -> None:
    known = facts(a=Running())
    known.loops[NodeKey("l")] = LoopFact(done=True)
    play = Play(block("b", loop("l", "a")), known)
    assert waits(play.next())
    assert ends(play) == {}
    play.settle("a", Settled.FAILED)
    assert play.next() == Finish(is_partial=False)
    assert ends(play) == {NodeKey("b"): Settled.FAILED}


def unwinding_round_a_done_loop(body: PlanNode, **running: NodeFact) -> Play:
    """A block in which `a` has failed in a loop that was done, and whose last task then finishes."""
    known = facts(a=Running(), c=Running(), **running)
    known.loops[NodeKey("l")] = LoopFact(done=True)
    play = Play(block("b", par(loop("l", body), "c")), known)
    assert waits(play.next())
    play.settle("a", Settled.FAILED)
    play.settle("c")
    return play


def test_what_stands_after_a_failure_in_a_done_loop_is_gone_with_the_part() -> None:
    play = unwinding_round_a_done_loop(seq("a", HolePlan("h", lambda _: task("x"))))
    assert play.next() == Finish(is_partial=False)
    assert NodeKey("x") not in play.schedule.snapshot()


def test_what_runs_beside_a_failure_in_a_done_loop_is_cancelled_there() -> None:
    play = unwinding_round_a_done_loop(par("a", "d", cancel=True), d=Running())
    assert play.next() == Cancel((NodeKey("d"),))
    play.settle("d", Settled.CANCELLED)
    assert play.next() == Finish(is_partial=False)


# --- Try blocks -------------------------------------------------------------------------------------


def run(play: Play, *failing: str, stop_before: str | None = None) -> list[str]:
    """Run to the end, one task at a time; what started, in order. Those in `failing` fail."""
    order: list[str] = []
    while not isinstance(decision := play.next(), Finish | Fail | Stop | Deadlock):
        match decision:
            case Execute(starts=starts):
                for started in starts:
                    if str(started) == stop_before:
                        return order
                    order.append(started.node)
                    play.settle(started, Settled.FAILED if started.node in failing else Settled.FINISHED)
            case Cancel(keys=keys):
                for cancelled in keys:
                    play.settle(cancelled, Settled.CANCELLED)
            case Judge(loops=loops):
                for one in loops:
                    play.schedule.judge(one, True)
            case other:
                raise AssertionError(f"unexpected {other}")
    return order


def test_a_body_that_settles_skips_its_catch_and_runs_its_finally() -> None:
    play = Play(seq(attempt("a", catch="c", last="f"), "after"))
    assert play.starts() == ["a"]
    play.settle("a")
    assert play.skips() == {"c": "not reached"}
    assert play.state("f") == "running"
    play.settle("f")
    assert run(play) == ["after"]


def test_a_body_that_fails_goes_on_with_its_catch_its_finally_and_what_stands_after() -> None:
    play = Play(seq(attempt(seq("a", "b"), catch="c", last="f"), "after"))
    assert run(play, "a") == ["a", "c", "f", "after"]
    assert play.decide() == Finish(is_partial=False)
    assert play.state("b") == "not_reached"


def test_a_body_that_fails_without_a_catch_runs_its_finally_and_fails_its_block() -> None:
    play = Play(seq(attempt("a", last="f"), "after"))
    assert run(play, "a") == ["a", "f"]
    assert play.decide() == Fail(NodeKey("a"))


@pytest.mark.parametrize(("codes", "order"), [(("ONE", "X"), ["a", "c", "f"]), (("TWO",), ["a", "f"])])
def test_a_catch_takes_the_failures_it_names(codes: tuple[str, ...], order: list[str]) -> None:
    known = Facts(names={NodeKey("a"): ("ONE", "crash")})
    assert run(Play(attempt("a", catch="c", last="f", codes=codes), known), "a") == order


def test_a_loop_that_must_not_reach_its_last_pass_can_be_caught_by_its_code() -> None:
    play = Play(attempt(loop("l", "a", most=1, fails=True), catch="c", codes=("LOOP_MAX_REACHED",)))
    assert play.starts() == ["a"]
    play.settle("a")
    play.next()
    play.judge("l", until=False)
    assert play.starts() == ["c"]


@pytest.mark.parametrize("failing", ["c", "f"])
def test_a_catch_or_a_finally_that_fails_fails_its_block(failing: str) -> None:
    play = Play(seq(attempt("a", catch="c", last="f"), "after"))
    assert run(play, "a", failing) == ["a", "c", "f"]
    assert play.decide() == Fail(NodeKey(failing))


def test_a_finally_that_fails_fails_a_body_that_had_settled() -> None:
    play = Play(attempt("a", last="f"))
    assert run(play, "f") == ["a", "f"]
    assert play.decide() == Fail(NodeKey("f"))


def test_a_failure_around_a_block_that_has_begun_skips_its_catch_and_runs_its_finally() -> None:
    play = Play(par("x", attempt(seq("a", "b"), catch="c", last=seq("f", "g"))))
    assert play.starts() == ["x", "a"]
    play.settle("x", Settled.FAILED)
    play.settle("a")
    assert run(play) == ["f", "g"]
    assert play.decide() == Fail(NodeKey("x"))


def test_a_failure_around_a_block_that_has_not_begun_runs_nothing_of_it() -> None:
    play = Play(par("x", attempt("a", catch="c", last="f")), limit=1)
    assert run(play, "x") == ["x"]
    assert play.decide() == Fail(NodeKey("x"))


def test_a_failure_around_a_block_waits_for_its_catch_and_does_not_go_on_with_it() -> None:
    play = Play(par("x", attempt("a", catch=seq("c", "d"), last="f")))
    play.next()
    play.settle("a", Settled.FAILED)
    assert play.starts() == ["c"]
    play.settle("x", Settled.FAILED)
    assert waits(play.next())
    play.settle("c")
    assert run(play) == ["f"]


def test_a_finally_is_shielded_from_what_cancels_around_it() -> None:
    play = Play(par("x", attempt("a", last="f"), "y", cancel=True))
    play.next()
    play.settle("a")
    assert play.starts() == ["f"]
    play.settle("x", Settled.FAILED)
    assert play.next() == Cancel((NodeKey("y"),))
    play.settle("y", Settled.CANCELLED)
    assert waits(play.next())
    play.settle("f")
    assert play.next() == Fail(NodeKey("x"))


def test_loops_and_retries_go_on_in_a_shielded_part() -> None:
    play = Play(par("x", attempt("a", last=seq(loop("l", "f"), "g"))))
    play.next()
    play.settle("x", Settled.FAILED)
    play.settle("a")
    assert play.starts() == ["f"]
    play.settle("f", Due(5))
    assert play.next() == Wait(5, has_running=False)
    play.now_ms = 5
    assert play.starts() == ["f"]
    play.settle("f")
    assert play.next() == Judge((NodeKey("l"),))
    play.judge("l", until=True)
    assert run(play) == ["g"]


def test_a_run_that_is_told_to_stop_cancels_what_runs_and_runs_every_finally() -> None:
    play = Play(par(attempt(seq("a", "b"), catch="c", last="f"), seq("x", "y")))
    assert play.starts() == ["a", "x"]
    play.schedule.cancel()
    assert play.next() == Cancel((NodeKey("a"), NodeKey("x")))
    play.settle("a", Settled.CANCELLED)
    play.settle("x", Settled.CANCELLED)
    assert run(play) == ["f"]
    assert play.decide() == Stop()
    assert play.facts.blocks[NodeKey("t")].then is Settled.CANCELLED


def test_a_body_that_a_stop_has_cut_short_has_not_settled() -> None:
    play = Play(attempt("a", last="f"))
    play.next()
    play.schedule.cancel()
    play.next()
    play.settle("a", Settled.CANCELLED)
    assert run(play) == ["f"]
    assert play.facts.blocks == {NodeKey("t"): BlockFact("", Settled.CANCELLED, done=("finally",))}


def test_a_step_that_a_stop_has_cut_short_is_not_done_and_not_undone() -> None:
    play = Play(saga(("a", "ua"), ("b", "ub"), ("c", None)))
    play.next()
    play.settle("a")
    assert play.starts() == ["b"]
    play.schedule.cancel()
    play.next()
    play.settle("b", Settled.CANCELLED)
    assert run(play) == ["ua"]
    assert play.decide() == Stop()


def test_blocks_in_blocks_end_from_the_inside() -> None:
    inner = attempt("a", last="f1", name="inner")
    play = Play(attempt(seq(inner, "b"), catch="c", last="f2"))
    assert run(play, "a") == ["a", "f1", "c", "f2"]


def test_a_part_is_not_over_while_a_block_in_it_has_a_last_part_to_come() -> None:
    inner = attempt("a", last="f1", name="inner")
    play = Play(attempt(par(inner, "x"), last="f2"))
    play.next()
    play.settle("x", Settled.FAILED)
    play.settle("a")
    assert play.starts() == ["f1"]
    play.settle("f1", Due(5))
    assert play.next() == Wait(5, has_running=False)
    play.now_ms = 5
    assert play.starts() == ["f1"]
    play.settle("f1")
    assert run(play) == ["f2"]
    assert play.decide() == Fail(NodeKey("x"))


def test_a_block_that_has_begun_is_carried_through_when_it_is_loaded_again() -> None:
    tree = attempt(seq("a", "b"), catch=seq("c", "d"), last="f")
    play = Play(tree)
    assert run(play, "a", stop_before="d") == ["a", "c"]
    play.settle("d", None)
    again = Play(tree, play.facts.copy())
    assert run(again) == ["d", "f"]
    assert again.decide() == Finish(is_partial=False)


def test_a_block_does_not_step_backwards_when_its_body_changes() -> None:
    play = Play(attempt("a", catch="c", last="f"))
    assert run(play, "a", stop_before="f") == ["a", "c"]
    play.settle("f", None)
    again = Play(attempt(seq("a", "new"), catch=seq("c", "new2"), last="f"), play.facts.copy())
    assert run(again) == ["f"]


def test_what_a_tolerating_block_lacks_is_skipped_for_those_who_need_it_and_the_rest_goes_on() -> None:
    branch = TryPlan("q", seq("a", "a2"), tolerates=True)
    play = Play(par(branch, "x", task("y", needs=("a",)), task("z", "a")))
    assert run(play, "a") == ["a", "x", "z"]
    assert play.state("y") == "upstream"
    assert play.decide() == Finish(is_partial=True)


def test_a_tolerated_failure_makes_the_run_partial_even_if_nobody_needed_it() -> None:
    play = Play(par(TryPlan("q", node("a"), tolerates=True), "x"))
    run(play, "a")
    assert play.decide() == Finish(is_partial=True)


# --- Sagas ------------------------------------------------------------------------------------------


def test_the_steps_of_a_saga_run_in_order_and_its_compensations_are_not_reached() -> None:
    play = Play(seq(saga(("a", "ua"), ("b", "ub")), "after"))
    assert run(play) == ["a", "b", "after"]
    assert play.state("ua") == play.state("ub") == "not_reached"


@pytest.mark.parametrize(
    ("how", "after"),
    [
        ("compensate", Finish(is_partial=True)),
        ("compensate-and-fail", Fail(NodeKey("c"))),
        ("fail", Fail(NodeKey("c"))),
    ],
)
def test_a_failed_step_undoes_those_before_it_last_first(how: str, after: Decision) -> None:
    play = Play(saga(("a", "ua"), ("b", "ub"), ("c", "uc"), ("d", "ud"), how=how))
    assert run(play, "c") == ["a", "b", "c", *(() if how == "fail" else ("ub", "ua"))]
    assert play.decide() == after


def test_a_step_without_a_compensation_is_passed_over() -> None:
    assert run(Play(saga(("a", "ua"), ("b", None), ("c", None))), "c") == ["a", "b", "c", "ua"]


def test_a_compensation_that_fails_is_recorded_and_the_rest_still_run_and_the_saga_fails() -> None:
    play = Play(saga(("a", "ua"), ("b", "ub"), ("c", None)))
    assert run(play, "c", "ub") == ["a", "b", "c", "ub", "ua"]
    assert play.decide() == Fail(NodeKey("c"))
    assert play.facts.blocks[NodeKey("s")].broken == (NodeKey("ub"),)


def test_a_saga_that_has_begun_is_undone_when_the_region_around_it_unwinds() -> None:
    play = Play(par("x", saga(("a", "ua"), (seq("b", "b2"), "ub"), ("c", None))))
    play.next()
    play.settle("a")
    assert play.starts() == ["b"]
    play.settle("x", Settled.FAILED)
    assert waits(play.next())
    play.settle("b")
    assert run(play) == ["ua"]
    assert play.decide() == Fail(NodeKey("x"))


def test_a_saga_that_has_ended_is_not_undone_by_what_fails_after_it() -> None:
    assert run(Play(seq(saga(("a", "ua")), "x")), "x") == ["a", "x"]


def test_a_saga_goes_on_with_its_compensations_when_it_is_loaded_again() -> None:
    tree = saga(("a", "ua"), ("b", "ub"), ("c", None))
    play = Play(tree)
    assert run(play, "c", stop_before="ua") == ["a", "b", "c", "ub"]
    play.settle("ua", None)
    assert run(Play(tree, play.facts.copy())) == ["ua"]


def test_a_loop_in_a_saga_in_a_try_in_a_parallel_in_a_loop() -> None:
    inner = saga((loop("in", "a"), "ua"), ("b", None), how="compensate-and-fail")
    tree = loop("out", par(attempt(inner, catch="c", last="f"), "x"))
    play = Play(tree)
    assert run(play, "b") == ["a", "x", "b", "ua", "c", "f"]
    assert play.decide() == Finish(is_partial=False)
    assert NodeKey("in", "", 0) in play.facts.loops
    assert play.facts.nodes[NodeKey("a", "out=0", 0)] is Settled.FINISHED


def open_inside(how: str) -> tuple[PlanNode, Facts]:
    """A hole with an open task, in a loop that is done or a block whose body had settled."""
    body = seq("a", HolePlan("h", lambda _: par(task("c"), loop("inner", "x"), task("e", needs=("a",)))))
    if how == "block":
        return block("b", body), ended(Settled.FINISHED, a=Settled.SKIPPED, x=Settled.FINISHED)
    known = facts(a=Settled.SKIPPED)
    known.nodes[NodeKey("x", "b=0")] = Settled.FINISHED
    known.loops[NodeKey("b")] = LoopFact(done=True)
    return loop("b", body), known


@pytest.mark.parametrize("how", ["block", "loop"])
def test_where_all_is_over_nothing_starts_is_judged_or_is_skipped(how: str) -> None:
    play = Play(*open_inside(how))
    assert play.decide() == Finish(is_partial=False)
    assert play.state("c") == "idle"
    assert play.state("e") == "idle"


def test_a_failure_in_a_finished_block_has_settled_for_what_comes_after_it_there() -> None:
    tree = block("b", seq("a", HolePlan("h", lambda _: task("c"))))
    play = Play(tree, ended(Settled.FINISHED, a=Settled.FAILED))
    assert play.decide() == Finish(is_partial=False)
    assert play.schedule.snapshot() == {NodeKey("a"): "failed", NodeKey("c"): "idle"}


def test_a_failed_loop_in_a_finished_block_has_settled_for_what_comes_after_it_there() -> None:
    known = ended(Settled.FINISHED, a=Settled.FINISHED)
    known.loops[NodeKey("l")] = LoopFact(done=True, failed=True)
    tree = block("b", seq(loop("l", "a", 1, fails=True), HolePlan("h", lambda _: task("c"))))
    assert Play(tree, known).state("c") == "idle"


def test_a_task_that_fails_after_its_block_has_finished_has_settled_for_what_comes_after_it_there() -> None:
    tree = block("b", seq("a", HolePlan("h", lambda _: task("c"))))
    play = Play(tree, ended(Settled.FINISHED, a=Running()))
    assert waits(play.next())
    assert NodeKey("c") not in play.schedule.snapshot()
    play.settle("a", Settled.FAILED)
    assert play.decide() == Finish(is_partial=False)
    assert play.state("c") == "idle"


# --- Caps -------------------------------------------------------------------------------------------


def test_a_child_of_a_capped_container_is_in_flight_while_an_attempt_below_it_runs() -> None:
    play = Play(par(par("a", "b"), seq("c", "d"), "e", cap=2))
    assert play.starts() == ["a", "b", "c"]
    play.settle("a")
    assert waits(play.next())
    play.settle("b")
    assert play.starts() == ["e"]


def test_a_back_off_holds_no_slot() -> None:
    play = Play(par("a", "b", cap=1))
    play.next()
    play.settle("a", Due(50))
    assert play.starts() == ["b"]


def test_a_wait_and_an_unmet_edge_hold_no_slot() -> None:
    play = Play(par(task("a", "c"), "b", "c", cap=1))
    assert play.starts() == ["b"]
    play.settle("b", Blocked("c"))
    assert play.starts() == ["c"]


def test_caps_nest() -> None:
    play = Play(par(par("a", "b", cap=1), par("c", "d", cap=1), "e", cap=2))
    assert play.starts() == ["a", "c"]
    play.settle("c")
    assert play.starts() == ["d"]
    play.settle("a")
    assert play.starts() == ["b"]
    play.settle("d")
    assert play.starts() == ["e"]


def test_among_candidates_document_order_decides() -> None:
    play = Play(par("a", seq("b", "c"), "d"), limit=1)
    assert play.starts() == ["a"]
    play.settle("a")
    assert play.starts() == ["b"]
    play.settle("b")
    assert play.starts() == ["c"]
    play.settle("c")
    assert play.starts() == ["d"]


def test_a_freed_limit_wakes_one() -> None:
    play = Play(par("a", "b", "c", "d", cap=2))
    assert play.starts() == ["a", "b"]
    play.settle("b")
    assert play.starts() == ["c"]
    assert waits(play.next())


def test_per_run_the_default_cap_is_sixteen() -> None:
    schedule = Schedule(par(*(f"t{number}" for number in range(20))), Facts())
    decision = schedule.decide(0)
    assert isinstance(decision, Execute)
    assert len(decision.starts) == 16


def test_an_unmounted_running_task_counts_for_the_runs_limit_only() -> None:
    play = Play(par("a", "b", cap=1), facts(gone=Running()), limit=2)
    assert play.starts() == ["a"]
    play.settle("a")
    assert play.starts() == ["b"]
    assert not isinstance(play.next(), Finish)


def test_an_attempt_that_outlives_its_pass_holds_no_slot_in_the_next() -> None:
    known = facts(t=Running())
    known.blocks[NodeKey("b")] = ended_by(Settled.FINISHED)
    play = Play(par("u", loop("l", block("b", "t")), cap=1), known)
    assert play.next() == Judge((NodeKey("l"),))
    play.judge("l", until=False)
    assert play.starts() == ["u"]


def test_a_back_off_behind_an_unmet_edge_is_not_waited_for() -> None:
    play = Play(task("a", "nowhere"), facts(a=Due(50)))
    assert play.state("a") == "blocked"
    assert play.next() == Deadlock(((NodeKey("a"), ("nowhere",)),))


def test_a_back_off_ends_at_its_instant_and_not_before() -> None:
    play = Play(task("a"), facts(a=Due(50)))
    assert play.next() == Wait(50, has_running=False)
    play.now_ms = 49
    assert play.next() == Wait(50, has_running=False)
    play.now_ms = 50
    assert play.starts() == ["a"]


# --- Unmounting -------------------------------------------------------------------------------------


def test_a_pending_task_that_is_unmounted_is_forgotten() -> None:
    play = Play(seq("a"), facts(a=Settled.FINISHED))
    assert play.next() == Finish(is_partial=False)
    assert play.schedule.snapshot() == {NodeKey("a"): "finished"}


def test_a_waiting_task_that_returns_keeps_its_first_due_time() -> None:
    play = Play(seq("a"), facts(a=Settled.FINISHED, b=Due(50)))
    assert play.next() == Finish(is_partial=False)
    again = Play(seq("a", "b"), play.facts)
    assert again.next() == Wait(50, has_running=False)


def test_a_running_task_that_is_unmounted_goes_on_and_its_output_is_kept() -> None:
    play = Play(seq("a"), facts(a=Settled.FINISHED, gone=Running()))
    assert waits(play.next())
    play.settle("gone")
    assert play.next() == Finish(is_partial=False)
    assert Play(seq("gone", "b"), play.facts).starts() == ["b"]


def test_the_failure_of_an_unmounted_task_fails_nothing() -> None:
    play = Play(seq("a"), facts(gone=Running()))
    play.next()
    play.settle("gone", Settled.FAILED)
    play.settle("a")
    assert play.next() == Finish(is_partial=False)


def test_a_failure_that_a_refill_unmounts_fails_nothing() -> None:
    bodies = [task("a"), task("c")]
    play = Play(HolePlan("h", lambda _: bodies[0]))
    play.next()
    play.settle("a", Settled.FAILED)
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.starts() == ["c"]


def test_finished_and_failed_nodes_that_are_unmounted_are_kept_and_do_not_count() -> None:
    known = facts(a=Settled.FINISHED, gone=Settled.TOLERATED, lost=Settled.FAILED)
    play = Play(task("a"), known)
    assert play.next() == Finish(is_partial=False)
    assert play.facts.nodes[NodeKey("lost")] is Settled.FAILED


def test_a_run_is_not_finished_while_an_unmounted_task_runs() -> None:
    play = Play(SequencePlan(), facts(gone=Running()))
    assert play.next() == Wait(None, has_running=True)


@pytest.mark.parametrize("outcome", [Settled.TOLERATED, Settled.UPSTREAM])
def test_a_run_is_partial_when_a_mounted_task_was_tolerated_or_skipped_for_one(outcome: Settled) -> None:
    known = facts(a=outcome)
    known.nodes[NodeKey("a", "", 1)] = Settled.FINISHED
    known.loops[NodeKey("l")] = LoopFact(1, done=True)
    assert Play(loop("l", "a"), known).next() == Finish(is_partial=True)


# --- Holes ------------------------------------------------------------------------------------------


def test_a_hole_is_expanded_when_it_is_reached_and_once_per_pass() -> None:
    asked: list[NodeKey] = []

    def expand(place: NodeKey) -> PlanNode:
        asked.append(place)
        return task("b")

    play = Play(loop("l", seq("a", HolePlan("h", expand))))
    for number in (0, 1):
        play.next()
        assert len(asked) == number
        play.settle(NodeKey("a", iteration=number))
        assert play.starts() == [str(NodeKey("b", iteration=number))]
        play.settle(NodeKey("b", iteration=number))
        play.next()
        play.judge("l", until=False)
    assert asked == [NodeKey("h"), NodeKey("h", iteration=1)]


def test_a_refilled_hole_keeps_what_has_finished_and_runs_what_is_new() -> None:
    bodies: list[PlanNode] = [seq("a", "b"), seq("new", "a", "c")]
    play = Play(seq(HolePlan("h", lambda _: bodies[0]), "after"))
    play.next()
    play.settle("a")
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.starts() == ["new"]
    play.settle("new")
    assert play.starts() == ["c"]
    play.settle("c")
    assert play.starts() == ["after"]


def test_what_stands_after_a_hole_waits_again_when_a_refill_brings_new_work() -> None:
    bodies: list[PlanNode] = [task("a"), seq("a", "b")]
    play = Play(seq(HolePlan("h", lambda _: bodies[0]), par("c", "d", cap=1)))
    play.next()
    play.settle("a")
    assert play.starts() == ["c"]
    bodies.pop(0)
    play.schedule.refill(NodeKey("h"))
    assert play.starts() == ["b"]
    play.settle("c")
    assert waits(play.next())
    play.settle("b")
    assert play.starts() == ["d"]


def test_a_refill_expands_no_other_hole_again() -> None:
    asked: list[str] = []

    def expand(place: NodeKey) -> PlanNode:
        asked.append(place.node)
        bodies = {"first": par("a", "b") if asked.count("first") > 1 else task("a"), "second": task("c")}
        return bodies[place.node]

    play = Play(seq(HolePlan("first", expand), HolePlan("second", expand)))
    play.next()
    play.settle("a")
    assert play.starts() == ["c"]
    play.schedule.refill(NodeKey("first"))
    assert play.starts() == ["b"]
    play.settle("b")
    play.next()
    assert play.state("c") == "running"
    assert asked == ["first", "second", "first"]


def test_a_refill_makes_the_holes_below_anew() -> None:
    asked: list[str] = []

    def inner(place: NodeKey) -> PlanNode:
        asked.append(place.node)
        return task(f"a{asked.count('inner')}")

    def outer(place: NodeKey) -> PlanNode:
        asked.append(place.node)
        return HolePlan("inner", inner)

    play = Play(HolePlan("outer", outer))
    assert play.starts() == ["a1"]
    play.schedule.refill(NodeKey("outer"))
    assert play.starts() == ["a2"]
    assert asked == ["outer", "inner", "outer", "inner"]


def test_a_hole_that_has_its_turn_again_has_the_body_it_had() -> None:
    bodies: list[PlanNode] = [task("a"), par("a", "b")]
    asked: list[NodeKey] = []

    def second(place: NodeKey) -> PlanNode:
        asked.append(place)
        return task("c")

    play = Play(seq(HolePlan("first", lambda _: bodies[0]), HolePlan("second", second)), limit=1)
    play.next()
    play.settle("a")
    assert play.starts() == ["c"]
    play.settle("c", None)
    bodies.pop(0)
    play.schedule.refill(NodeKey("first"))
    assert play.starts() == ["b"]
    assert NodeKey("c") not in play.schedule.snapshot()
    play.settle("b")
    assert play.starts() == ["c"]
    assert asked == [NodeKey("second")]


def test_a_hole_in_a_done_loop_is_still_there_when_the_run_is_loaded_again() -> None:
    tree = seq(loop("l", HolePlan("h", lambda _: task("a"))), task("b", needs=("a",)))
    play = Play(tree)
    play.next()
    play.settle("a")
    play.next()
    play.judge("l", until=False)
    play.next()
    play.settle(NodeKey("a", iteration=1))
    play.next()
    play.judge("l", until=True)
    again = Play(tree, play.facts.copy())
    assert again.starts() == play.starts() == ["b"]
    assert again.schedule.snapshot() == play.schedule.snapshot()


# --- Depth ------------------------------------------------------------------------------------------


def test_nesting_above_the_limit_is_an_error() -> None:
    tree: PlanNode = task("a")
    for _ in range(MAX_DEPTH + 1):
        tree = seq(tree)
    with pytest.raises(TooDeep, match=str(MAX_DEPTH)):
        Schedule(tree, Facts())


def test_nesting_up_to_the_limit_runs() -> None:
    tree: PlanNode = task("a")
    for _ in range(MAX_DEPTH):
        tree = seq(tree)
    play = Play(tree)
    assert play.starts() == ["a"]
    play.settle("a")
    assert play.next() == Finish(is_partial=False)


@pytest.mark.parametrize(
    "child",
    [
        lambda number: block(f"b{number}", SequencePlan()),
        lambda number: HolePlan(f"h{number}", lambda _: SequencePlan()),
    ],
)
def test_ten_thousand_siblings_that_settle_at_once_need_no_recursion(
    child: Callable[[int], PlanNode],
) -> None:
    play = Play(seq(*(child(number) for number in range(10_000)), "end"))
    assert play.starts() == ["end"]


# --- Draining -----------------------------------------------------------------------------------


def test_where_nothing_may_start_what_would_begin_is_a_wait_and_the_end_is_the_end() -> None:
    schedule = Schedule(seq("a", "b"), Facts())
    assert schedule.decide(0, may_start=False) == Wait(None, has_running=False)
    assert schedule.decide(0) == Execute((NodeKey("a"),))
    assert schedule.decide(0, may_start=False) == Wait(None, has_running=True)
    schedule.settle(NodeKey("a"), Settled.FINISHED)
    assert schedule.decide(0, may_start=False) == Wait(None, has_running=False)
    assert schedule.decide(0) == Execute((NodeKey("b"),))
    schedule.settle(NodeKey("b"), Settled.FINISHED)
    assert schedule.decide(0, may_start=False) == Finish(False)
