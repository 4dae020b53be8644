"""What a resume will do to each task, and why: worked out before anything runs, and then what runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from smithers.errors import NodeNotFound, NodeSettled, PassEnded, PlanChanged
from smithers.ids import NodeKey, passes_of
from smithers.nodes import Subflow
from smithers.records import (
    IN_PART,
    TOLERATED,
    AttemptState,
    History,
    NodeRow,
    NodeState,
    RunState,
    WaitState,
)
from smithers.scheduler import Settled
from smithers.scheduler.vertex import Leaf, is_call

from .compare import EARLIER, Comparison, Finding
from .definition import Definition
from .dependants import Dependants, is_open
from .prospect import Prospect
from .rechecking import marks_of
from .scope import SCRIPT_KEY
from .terms import Terms
from .verdict import PlannedNode, ResumePlan, Wish

RETRY = "--retry names it"


def plan_resume(
    history: History, definition: Definition, terms: Terms, wish: Wish | None = None
) -> ResumePlan:
    """Work out a resume. The author's render and prompts are called; agents, `run` and `value` are not.

    Raises:
        NodeNotFound, NodeSettled, PassEnded: the wish names what cannot be executed again.
        PlanChanged: the wish is strict, and something is changed.
        SmithersError: the resume itself would be refused in its first frame.
    """
    return _Planner(history, definition, terms, wish or Wish()).plan()


class _Planner:
    def __init__(self, history: History, definition: Definition, terms: Terms, wish: Wish) -> None:
        self._history = history
        self._stored = history.stored
        self._wish = wish
        self._is_script = definition.is_script
        self._now = Prospect(self._stored, definition, terms)
        self._rows = {row.key: row for row in self._stored.nodes}
        self._going_on = {key for key in self._rows if self._now.memory.is_going_on(key)}
        """Settled tasks in passes that go on, as of before anything is played."""
        self._ahead = self._now
        if self._now.has_more:
            # Something that is new, or tried again, stands before a body: what is in there may have finished
            # all the same, and is met by playing on.
            self._ahead = Prospect(self._stored, definition, terms)
            self._ahead.play()
            for key, leaf in self._ahead.leaves.items():
                if key in self._now.memory.facts.nodes:
                    self._now.leaves.setdefault(key, leaf)
        comparison = Comparison(history, definition, terms, self._now)
        self._ids = {key.node for key in self._rows}
        self._mounted = {mount.node for mount in self._stored.mounts}
        """Ids in the tree of the last frame."""
        self._last = {row.key: row for row in self._stored.attempts}
        self._findings: dict[NodeKey, Finding] = {
            key: comparison.find(leaf)
            for key, leaf in self._now.leaves.items()
            if key in self._rows and self._rows[key].state is NodeState.FINISHED
        }
        dependants = Dependants(history, definition, terms, self._now, self._ahead, comparison)
        self._stays: dict[NodeKey, str] = {}
        """Tasks that were to be executed again, and could not begin: their results stand."""
        self._choose(definition, terms, dependants)

    def plan(self) -> ResumePlan:
        nodes = [node for node in self._nodes() if not self._is_script or node.key != SCRIPT_KEY]
        if self._stored.run.state is RunState.FINISHED and not self._again:
            nodes = [_closed(node) for node in nodes]
        if self._wish.strict:
            changed = [str(node.key) for node in nodes if node.verdict == "changed"]
            if changed:
                raise PlanChanged(
                    f"{len(changed)} finished tasks are not what the file asks for now: {_some(changed)}",
                    nodes=changed,
                )
        return ResumePlan(
            self._stored.run.name,
            self._stored.run.state,
            tuple(nodes),
            tuple(self._again),
            tuple(self._notes(nodes)),
            marks_of(self._history) if self._is_script and self._again else {},
            frozenset(key for key, reason in self._again.items() if reason != RETRY),
        )

    def _choose(self, definition: Definition, terms: Terms, dependants: Dependants) -> None:
        """Find what is executed again, and play on from there."""
        chosen = dict(self._chosen())
        while True:
            self._again = dependants.add_to(chosen, self._stays)
            self._then = Prospect(self._stored, definition, terms, self._again) if self._again else self._now
            self._first = dict(self._then.leaves)
            self._then.play()
            stays = {key: self._then.skips[key] for key in self._again if key in self._then.skips}
            if not stays:
                return
            self._stays |= stays

    # --- What is asked for ------------------------------------------------------------------------

    def _chosen(self) -> Iterator[tuple[NodeKey, str]]:
        if self._wish.changed:
            for key, finding in self._findings.items():
                if finding.kind in ("changed", "unfit") and not self._now.leaves[key].zone.is_closed:
                    yield key, finding.reason
        for name in self._wish.rerun:
            leaf = self._named(name)
            # A resume goes on with the run of a sub-workflow that failed; named here it is to begin anew.
            has_failed = leaf.key in self._rows and isinstance(leaf.plan.payload, Subflow)
            if is_open(leaf, self._now) or (has_failed and not leaf.zone.is_closed):
                yield leaf.key, "--rerun names it"
        for name in self._wish.retry:
            leaf = self._named(name)
            is_whole = self._now.memory.reasons.get(leaf.key) != IN_PART
            if self._now.memory.facts.nodes.get(leaf.key) is Settled.FINISHED and is_whole:
                raise NodeSettled(
                    f"{leaf.key} has finished: there is no failure to retry", node=str(leaf.key)
                )
            if is_open(leaf, self._now):
                yield leaf.key, RETRY

    def _named(self, name: str) -> Leaf:
        """The task that a wish names, in the pass that goes on."""
        node, bracket, pass_ = name.removesuffix("]").partition("[")
        vertex = self._now.schedule.vertex(node)
        if vertex is None:
            hidden = [leaf for key, leaf in sorted(self._now.leaves.items()) if key.node == node]
            vertex = hidden[-1] if hidden else None
        if not isinstance(vertex, Leaf):
            raise self._unknown(node, is_container=vertex is not None)
        ended = bool(bracket) and pass_ != str(vertex.key.iteration)
        if ended or (vertex.zone.is_closed and vertex.loop is not None):
            raise PassEnded(f"{name} is of a pass that has ended", node=name)
        return vertex

    def _unknown(self, node: str, *, is_container: bool) -> NodeNotFound:
        run = self._stored.run.name
        if is_container:
            return NodeNotFound(f"{node} is no task: only tasks are executed again", node=node)
        if any(row.key.node == node for row in self._stored.nodes):
            text = f"{node} is not in the tree of {run} any more: nothing can execute it"
            return NodeNotFound(text, hint=f"see `smithers up --resume {run} --plan`", node=node)
        near = get_close_matches(node, [key.node for key in self._now.leaves], n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"see `smithers up --resume {run} --plan`"
        return NodeNotFound(f"{run} has no task {node}", hint=hint, node=node)

    # --- Verdicts ---------------------------------------------------------------------------------

    def _nodes(self) -> list[PlannedNode]:
        found: list[PlannedNode] = []
        seen: set[NodeKey] = set()
        earlier: dict[str, list[NodeKey]] = {}
        for key in self._rows:
            earlier.setdefault(key.node, []).append(key)
        mounted = {**self._first, **self._now.leaves, **self._then.runs}
        for leaf in [*mounted.values(), *self._late()]:
            for key in (*sorted(earlier.pop(leaf.key.node, [])), leaf.key):
                if key not in seen:
                    seen.add(key)
                    found.append(self._node(key, leaf))
        found += [self._gone(self._rows[key]) for keys in earlier.values() for key in sorted(keys)]
        running = {row.key for row in self._stored.attempts if row.state is AttemptState.RUNNING}
        found += [
            PlannedNode(key, "gone", f"{self._cut_off()}, and is not in the file any more")
            for key in sorted(running - seen)
        ]
        return found

    def _late(self) -> Iterator[Leaf]:
        """Tasks that came into the tree while it was played on, and that did not run."""
        return (leaf for leaf in self._then.schedule.leaves() if leaf.key not in self._then.runs)

    def _node(self, key: NodeKey, leaf: Leaf) -> PlannedNode:
        row = self._rows.get(key)
        if key in self._then.runs:
            return PlannedNode(key, "run", self._why_run(key, row, leaf))
        if key in self._again and self._then.schedule.vertex(key.node) is None:
            return PlannedNode(key, "run", self._again[key])
        if row is None and self._then.goes_on and key not in self._then.skips and not leaf.region.is_stopped:
            return PlannedNode(key, "run", "when the script has left the block that it ends")
        if row is None or key in self._again:
            return PlannedNode(key, "blocked", self._why_blocked(key, row))
        if key not in self._now.leaves:
            return self._elsewhere(row, leaf)
        if self._then.goes_on and key not in self._then.leaves:
            return self._behind(row)
        if row.state is NodeState.FAILED and row.reason != TOLERATED and is_call(leaf):
            return PlannedNode(key, "keep", "failed, and the script took care of it")
        if leaf.zone.is_closed and row.state is not NodeState.FINISHED:
            return PlannedNode(key, "keep", EARLIER if leaf.loop is not None else row.state.word)
        if key in self._stays:
            return PlannedNode(key, "blocked", f"would be skipped, so its result stands: {self._stays[key]}")
        match row.state:
            case NodeState.FINISHED:
                return self._finished(key, leaf)
            case NodeState.FAILED if row.reason != TOLERATED:
                return PlannedNode(
                    key, "blocked", "it failed, and the run fails with it; the next resume retries it"
                )
            case NodeState.SKIPPED:
                return PlannedNode(key, "keep", f"skipped: {row.reason or 'not reached'}")
            case _:
                return PlannedNode(key, "keep", f"{row.state.word}, and that was tolerated")

    def _behind(self, row: NodeRow) -> PlannedNode:
        """What a script asks for behind something that runs again."""
        if row.state is NodeState.FINISHED:
            return PlannedNode(row.key, "keep", "finished; runs again if it is asked something else then")
        mark = self._then.memory.facts.blocks.get(row.key)
        if row.state is NodeState.FAILED and row.reason != TOLERATED and mark is None:
            return PlannedNode(row.key, "keep", "failed, and the script took care of it")
        return PlannedNode(
            row.key, "run", f"{_TRIED.get(row.state, row.state.word)}; the script gets there again"
        )

    def _finished(self, key: NodeKey, leaf: Leaf) -> PlannedNode:
        finding = self._findings.get(key)
        if finding is None:
            return PlannedNode(key, "keep", EARLIER)
        match finding.kind:
            case "changed":
                return PlannedNode(key, "changed", finding.reason)
            case "unfit":
                return PlannedNode(key, "blocked", finding.reason)
            case "unknown":
                return PlannedNode(key, "keep", f"unknown: {finding.reason}")
            case "same" if finding.reason == EARLIER:
                return PlannedNode(key, "keep", EARLIER)
            case "same":
                new = self._new_loops(leaf)
                part = " in part" if self._rows[key].reason == IN_PART else ""
                return PlannedNode(key, "keep", f"counts as pass 0 of {new}" if new else f"finished{part}")

    def _elsewhere(self, row: NodeRow, leaf: Leaf) -> PlannedNode:
        """A stored pass of a task that stands in another one now, or in other loops."""
        loops = [loop.key.node for loop in leaf.loops()]
        stood = [part.rpartition("=")[0] for part in row.key.scope.split(",") if part]
        if loops and len(passes_of(row.key)) == len(loops) and stood == loops[:-1]:
            return PlannedNode(row.key, "keep", EARLIER)
        return PlannedNode(row.key, "gone", "it stands in other loops now; its output is kept")

    def _gone(self, row: NodeRow) -> PlannedNode:
        if self._then.goes_on:
            return PlannedNode(row.key, "keep", "unknown: the script has not got there yet")
        unknown = [*self._ahead.unknown, *self._then.unknown]
        if unknown and row.key in self._going_on:
            return PlannedNode(row.key, "keep", f"unknown: {unknown[0]} is made when the run gets there")
        if row.key.node in self._mounted:
            return PlannedNode(row.key, "gone", f"not in the file's tree any more; {_kept(row)}")
        return PlannedNode(row.key, "gone", f"had left the tree before; {_kept(row)}")

    def _why_run(self, key: NodeKey, row: NodeRow | None, leaf: Leaf) -> str:
        if key in self._again:
            return self._again[key]
        if row is not None:
            return f"{_TRIED.get(row.state, row.state.word)}; a resume tries it again"
        if leaf.plan.payload.mode == "wait":
            return self._why_waits(key)
        last = self._last.get(key)
        if last is not None and last.state is AttemptState.RUNNING:
            return self._cut_off()
        if last is not None and last.state is AttemptState.FAILED:
            return f"attempt {last.attempt} failed; this is its next try"
        if last is not None:
            return "was interrupted"
        if key.node not in self._mounted:
            return "new"
        if key.node in self._ids:
            return "another pass" if leaf.loop is not None else "it stands in other loops now"
        return "not reached yet"

    def _why_waits(self, key: NodeKey) -> str:
        states = {row.state for row in self._stored.waits if row.key == key and not row.ref.number}
        if WaitState.DECIDED in states:
            return "it was decided; the run goes on by that"
        return "it waits, and goes on waiting" if WaitState.OPEN in states else "its turn comes to wait"

    def _cut_off(self) -> str:
        owner = self._stored.run.owner
        return "runs now" if owner is not None and self._stored.run.health.name == "ALIVE" else "was cut off"

    def _why_blocked(self, key: NodeKey, row: NodeRow | None) -> str:
        if (reason := self._then.skips.get(key)) is not None:
            return f"will be skipped: {reason}"
        leaf = self._then.schedule.leaf(key)
        if leaf is None:
            return "not known before what it is made of has finished"
        if leaf.region.is_stopped:
            return "something before it failed, and the run fails with it"
        for edge in leaf.plan.edges:
            if self._then.schedule.vertex(edge.target) is None:
                return f"waits for {edge.target}, which is not in the tree"
        return "waits for what does not come" if leaf.unmet else "its turn does not come"

    def _new_loops(self, leaf: Leaf) -> str:
        """Loops around a task that were not there when it finished."""
        return ", ".join(loop.key.node for loop in leaf.loops() if loop.key.node not in self._mounted)

    # --- Notes ------------------------------------------------------------------------------------

    def _notes(self, nodes: list[PlannedNode]) -> Iterator[str]:
        wrapped = Counter(
            node.reason.removeprefix("counts as pass 0 of ")
            for node in nodes
            if node.reason.startswith("counts as pass 0 of ")
        )
        for loop, count in wrapped.items():
            yield f"{loop} is new around {count} finished tasks: they are its first pass; the next run anew"
        orders = [row for row in self._stored.inbox if row.kind.is_order]
        if orders:
            yield f"{len(orders)} messages wait for it, a pause or a cancel: they come first"
        for loop in self._then.loops:
            yield f"{loop} is judged when its pass has ended: more passes may follow"
        for hole in self._then.unknown:
            yield f"{hole} is a function: what it makes is known when the run gets there"
        if self._then.goes_on:
            yield "it is a script: what it asks for after these is known when it gets there"
        if self._then.may_change:
            yield "the workflow reads what is yet to run: its tree may become another"


_TRIED = {
    NodeState.FAILED: "failed",
    NodeState.CANCELLED: "cancelled",
    NodeState.SKIPPED: "skipped for a failure",
}


def _closed(node: PlannedNode) -> PlannedNode:
    """In a run that has finished, and in which nothing is executed again."""
    if node.verdict != "run":
        return node
    return PlannedNode(node.key, "blocked", f"the run has finished; {node.reason}")


def _kept(row: NodeRow) -> str:
    return "its output is kept" if row.state is NodeState.FINISHED else f"it was {row.state.word}"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
