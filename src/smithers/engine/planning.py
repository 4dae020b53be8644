"""The plan of one run, kept in step with its state: render what is stale, judge passes, tell what moved."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeVar, runtime_checkable

from smithers.context import Context, Standing, View, ambient
from smithers.errors import (
    BugError,
    DependencyDeadlock,
    LoopMaxReached,
    RenderFailed,
    SmithersError,
    TaskFailed,
)
from smithers.ids import NodeKey
from smithers.nodes import Loop, Task
from smithers.records import BlockMove, EventType, MountRow, NodeState, PassEnd, Verdict
from smithers.scheduler import Blocked, BlockFact, Deadlock, Due, Schedule, Settled
from smithers.scheduler.block import CATCH, turn_of
from smithers.scheduler.vertex import BlockVertex, HoleVertex, Leaf, LoopVertex, ScopeVertex

from .definition import Definition
from .draft import Draft
from .failure import author_place, text_of
from .memory import Memory
from .render import Renderer
from .reopening import Reopening
from .table import FindTable, Tables
from .tree import MountedRows

T = TypeVar("T")


@runtime_checkable
class LoopOwner(Protocol):
    """Who decides what follows a pass, where no `Loop` does."""

    def judge(self, draft: Draft, vertex: LoopVertex) -> None:
        """A pass of it has settled: say what follows, to the schedule too."""
        ...


class Planning:
    """Renders and plans. `memory.schedule` is its result."""

    def __init__(
        self,
        definition: Definition,
        ctx: Context[Any],
        memory: Memory,
        limit: int | None,
        find_table: FindTable | None = None,
    ) -> None:
        self._definition = definition
        self._memory = memory
        self._limit = limit
        self.renderer = Renderer(definition, ctx, memory)
        self.tables = Tables(find_table)
        self._reopening = Reopening(memory, self._plan_anew)
        self._mounts = MountedRows()
        self._mount_version = -1
        self._is_fresh = False
        """Nothing has settled, and no pass ended, since the last render."""
        self._checked_edges: tuple[Any, ...] = ()
        self._warned: set[tuple[NodeKey, str]] = set()
        self.reopens = False
        """The next render tries again what failed."""
        self.is_cancelled = False
        """The run was told to stop."""
        self.is_whole: Callable[[], bool] = lambda: True
        """Whether all that stands in the tree is known: a script that goes on has more to mount."""
        self.gone_through: dict[NodeKey, BlockFact] = {}
        """What blocks had come to that a script goes through again: until then there is nothing to say."""
        self.script_error: SmithersError | None = None
        """What a script ended by."""

    @property
    def schedule(self) -> Schedule:
        if self._memory.schedule is None:
            raise BugError("there is no plan yet")
        return self._memory.schedule

    def output_names(self, model: str) -> set[str]:
        """The words that a model's outputs are stored under: its own, registered ones, its tables'."""
        found = {name for name, one in self._definition.outputs.items() if one.__name__ == model}
        leaves = self._memory.schedule.leaves() if self._memory.schedule is not None else ()
        for leaf in leaves:
            task: Task[Any] = leaf.plan.payload
            if task.table is not None and task.model is not None and task.model.__name__ == model:
                found.add(task.model_name)
        return {model, *found}

    def restore(self, mounts: list[MountRow]) -> None:
        """Take the open mount rows as they are stored."""
        self._mounts.restore(mounts)

    # --- What moved -----------------------------------------------------------------------------

    def settle(self, key: NodeKey, outcome: Settled | Due | Blocked | None, model: str | None = None) -> None:
        """An attempt ended, or a node settled: plan on, and note which renders have read it.

        Args:
            model: of the output it left, if any.
        """
        self.moved(key.node, model)
        schedule = self._memory.schedule
        if schedule is not None:
            schedule.settle(key, outcome)
        elif outcome is None:
            self._memory.facts.nodes.pop(key, None)
        else:
            self._memory.facts.nodes[key] = outcome

    def moved(self, node: str, model: str | None = None) -> None:
        self._is_fresh = False
        self.renderer.moved(("node", node))
        self.renderer.moved(("state", node))
        if model is not None:
            self.renderer.moved(("model", model))

    def skip(self, draft: Draft, key: NodeKey, reason: str) -> None:
        """Write that a node was skipped; the schedule knows it already."""
        draft.settle_node(key, NodeState.SKIPPED, 0, reason)
        self._memory.reasons[key] = reason
        draft.event(EventType.NODE_SKIPPED, key, 0, {"reason": reason})
        self.moved(key.node)

    # --- Rendering ------------------------------------------------------------------------------

    def refresh(self, draft: Draft) -> None:
        """Render what is stale. An unwinding run is not rendered: nothing new may start in it.

        Raises:
            AuthoringError: the tree cannot be made; there is no plan any more then.
        """
        schedule = self._memory.schedule
        if schedule is not None and not self.renderer.stale:
            return
        if schedule is not None and schedule.is_unwinding and not schedule.has_last_parts:
            return
        self.write_blocks(draft)
        draft.write.rendered = True
        try:
            if schedule is None or None in self.renderer.stale:
                self._render_all(draft, schedule)
            else:
                for key in [key for key in self.renderer.stale if key is not None]:
                    self._refill(schedule, key)
        except BaseException:
            # A half-made plan is worse than none.
            self._memory.schedule = None
            raise
        self._is_fresh = True

    def _render_all(self, draft: Draft, old: Schedule | None) -> None:
        tree = self.renderer.render_tree()
        version = old.version + 1 if old is not None else 0
        schedule = Schedule(
            tree,
            self._memory.facts,
            limit=self._limit,
            version=version,
            running=old.running if old is not None else None,
            waiting=old.waiting if old is not None else None,
            on_mount=self._attach,
            is_cancelled=self.is_cancelled,
        )
        self._check_edges(schedule)
        self.tables.check(schedule.leaves())
        if self.reopens:
            self.reopens = False
            self._reopening.open_failed(draft, schedule)

    def extend(self, draft: Draft, scope: NodeKey) -> None:
        """Mount what a script has asked for in a scope since it was last looked at.

        Raises:
            SmithersError: it cannot stand there; the plan is spoiled, and is to be made again.
        """
        draft.write.rendered = True
        schedule = self.schedule
        vertex = schedule.vertex(scope.node)
        first = len(vertex.children) if isinstance(vertex, ScopeVertex) else 0
        schedule.extend(scope)
        fresh = vertex.children[first:] if isinstance(vertex, ScopeVertex) else []
        for top in fresh:
            leaves = [leaf for leaf in schedule.below(top) if isinstance(leaf, Leaf)]
            self.tables.check(leaves)
            if any(leaf.plan.edges for leaf in leaves):
                self._check_edges(schedule)

    def plan_again(self) -> None:
        """Plan the same tree over the same facts anew."""
        old = self.schedule
        self._memory.schedule = Schedule(
            old.tree,
            self._memory.facts,
            limit=self._limit,
            version=old.version + 1,
            running=old.running,
            waiting=old.waiting,
            on_mount=self._attach,
            is_cancelled=self.is_cancelled,
        )

    def open_again(self, draft: Draft, call: NodeKey) -> None:
        """Open again what failed, or was cut off, in a tree that a script waits for."""
        self._reopening.open_failed(draft, self.schedule, call)

    def open_ends(self, draft: Draft, blocks: Collection[BlockVertex]) -> None:
        """In the bodies of these blocks a script executes something again: what ends them comes again."""
        for block in blocks:
            self.gone_through.pop(block.key, None)
        self._reopening.open_ends(draft, self.schedule, blocks)
        self.plan_again()

    def _attach(self, schedule: Schedule) -> None:
        """Reads of body functions go by the tree that is being planned."""
        self._memory.schedule = schedule

    def _check_edges(self, schedule: Schedule) -> None:
        """Look for cycles when edges are other than at the last look."""
        edges = tuple((leaf.path, leaf.plan.edges) for leaf in schedule.leaves() if leaf.plan.edges)
        if edges != self._checked_edges:
            schedule.check_edges()
            self._checked_edges = edges

    def _refill(self, schedule: Schedule, key: NodeKey) -> None:
        vertex = schedule.vertex(key.node)
        if vertex is None or vertex.key != key:
            self.renderer.forget([key])
            return
        # Bodies below are made by functions that this one makes: theirs are not what they were.
        self.renderer.forget([v.key for v in schedule.below(vertex) if isinstance(v, HoleVertex)])
        schedule.refill(key)

    def _plan_anew(self, schedule: Schedule) -> Schedule:
        return Schedule(
            schedule.tree,
            self._memory.facts,
            limit=self._limit,
            version=schedule.version + 1,
            on_mount=self._attach,
        )

    def write_blocks(self, draft: Draft) -> None:
        """Write what blocks have come to remember since they were last asked."""
        schedule = self._memory.schedule
        for key, fact in (schedule.take_changed() if schedule is not None else {}).items():
            known = self.gone_through.get(key)
            if known is not None and (fact == known or turn_of(fact.at) < turn_of(known.at)):
                continue
            # One row a frame: the newest stands.
            older = [move for move in draft.write.blocks if move.block == key]
            again = tuple(one for move in older for one in move.again)
            draft.write.blocks = [move for move in draft.write.blocks if move.block != key]
            draft.write.blocks.append(
                BlockMove(key, fact.at, int(fact.then), fact.cause, fact.done, fact.broken, again)
            )
            if fact.at == CATCH and fact.cause is not None:
                self._memory.caught_by[key] = fact.cause
            data: dict[str, Any] = {"part": fact.at} if fact.at else {"outcome": fact.then.name.lower()}
            if fact.cause is not None:
                data["cause"] = str(fact.cause)
            draft.event(EventType.BLOCK_MOVED if fact.at else EventType.BLOCK_ENDED, key, 0, data)
            self._memory.frames[key] = draft.write.frame
            self.renderer.moved(("node", key.node))

    def write_tree(self, draft: Draft) -> None:
        """Write how the mounted tree differs from the stored one."""
        schedule = self._memory.schedule
        if schedule is None:
            return
        grown = schedule.take_grown()
        if schedule.version != self._mount_version:
            self._mount_version = schedule.version
            self._mounts.compare(schedule.root, draft.write, closes=self.is_whole())
        elif grown:
            self._mounts.add(grown, draft.write)

    # --- Judging --------------------------------------------------------------------------------

    def judge(self, draft: Draft, loops: tuple[NodeKey, ...]) -> None:
        """Ask each loop whose pass has ended whether it is done."""
        for key in loops:
            vertex = self.schedule.vertex(key.node)
            if not isinstance(vertex, LoopVertex):
                raise BugError(f"{key} is not a loop")
            node = vertex.plan.payload
            if isinstance(node, LoopOwner):
                node.judge(draft, vertex)
                continue
            until = node.until if isinstance(node, Loop) else False
            if callable(until):
                self._judge_one(draft, vertex, self.holds(until, View(self._memory, _inside(vertex))))
                continue
            if not self._is_fresh:
                # A bool was computed by a render, and the pass has ended since: render once more, then judge.
                self.renderer.stale.add(self.schedule.unit_of(vertex))
                return
            self._judge_one(draft, vertex, until)
        # These passes ended in one state; the next ones will end in another.
        self._is_fresh = False

    def _judge_one(self, draft: Draft, vertex: LoopVertex, until: bool) -> None:
        plan, pass_, key = vertex.plan, vertex.fact.pass_, vertex.key
        is_last = plan.max_iterations is not None and pass_ + 1 >= plan.max_iterations
        verdict = Verdict.UNTIL if until else Verdict.MAX_REACHED if is_last else Verdict.NEXT
        if until or not (is_last and plan.fail_on_max):
            # Without a row the pass is judged again by the next resume, when the limit may be another.
            draft.write.passes.append(PassEnd(key, pass_, verdict))
        kind = EventType.PASS_ENDED if verdict is Verdict.NEXT else EventType.LOOP_DONE
        draft.event(kind, key, 0, {"pass": pass_, "verdict": verdict.name.lower()})
        self.renderer.moved(("node", key.node))
        if verdict is Verdict.NEXT:
            self.renderer.moved(("loop", key.node))
            self.renderer.moved(("loop", ""))
        self.schedule.judge(key, until)

    def holds(self, condition: Callable[[], object], view: View) -> bool:
        """Ask an author's condition, on the engine's own thread; its truth is the author's code too.

        Raises:
            RenderFailed: it raised; with its line.
        """
        return self.asked(lambda: bool(condition()), view)

    def asked(self, make: Callable[[], T], view: View) -> T:
        """Call quick functions of the author's, on the engine's own thread.

        Raises:
            RenderFailed: one raised; with its line.
        """
        token = ambient.set(view)
        try:
            return make()
        except SmithersError:
            raise
        except BaseException as error:  # the author's code may raise anything, `sys.exit` too
            raise RenderFailed(
                f"{self._definition.name} raised {type(error).__name__}: {text_of(error)}",
                place=author_place(error),
            ) from error
        finally:
            ambient.reset(token)

    # --- Saying why -----------------------------------------------------------------------------

    def cause(self, key: NodeKey) -> SmithersError:
        """Why the run fails: `key` did, and nothing handled it."""
        vertex = self.schedule.vertex(key.node)
        place = vertex.plan.place if vertex is not None else None
        if isinstance(vertex, ScopeVertex) and self.script_error is not None:
            return self.script_error
        if isinstance(vertex, LoopVertex):
            return LoopMaxReached(
                f"{key} made {vertex.plan.max_iterations} passes and is not done", place=place, node=key.node
            )
        if isinstance(vertex, BlockVertex):
            return TaskFailed(
                f"{key} was cut short by a cancel",
                hint=f"a resume does it again: `smithers up --resume {self._memory.name}`",
                place=place,
                node=str(key),
            )
        error = dict(self._memory.failure(key) or {})
        return TaskFailed(
            f"{key} failed: {error.get('message', 'no message')}",
            hint=f"see its attempts: `smithers why {self._memory.name} {key.node}`; a resume tries it again",
            place=place,
            node=str(key),
            error=error,
        )

    def deadlock(self, decision: Deadlock) -> DependencyDeadlock:
        """Why nothing can run any more: who waits for whom, and where that is written."""
        found = []
        places = []
        for key, missing in decision.blocked:
            leaf = self.schedule.leaf(key)
            place = leaf.plan.place if leaf else None
            places.append(place)
            found.append(f"{key} waits for {', '.join(missing)}" + (f" ({place})" if place else ""))
        return DependencyDeadlock(
            "nothing can run any more: " + "; ".join(found[:5]),
            place=places[0] if places else None,
            blocked=[{"node": str(key), "waits_for": list(missing)} for key, missing in decision.blocked],
        )

    def warn_missing(self, draft: Draft) -> None:
        """Say once of each edge that its target is not mounted (yet)."""
        for key, target in self.schedule.missing():
            if (key, target) not in self._warned and " " not in target:  # a run is no node that may come
                self._warned.add((key, target))
                message = f"waits for {target}, which is not mounted"
                draft.event(EventType.RUN_WARNING, key, 0, {"message": message})


def standing_of(leaf: Leaf) -> Standing:
    """Where a task stands: the loops around it and their passes."""
    if leaf.loop is None:
        return Standing()
    loops = leaf.loops()
    return Standing(tuple(loop.key.node for loop in loops), tuple(loop.fact.pass_ for loop in loops))


def _inside(loop: LoopVertex) -> Standing:
    """Where the body of a loop stands."""
    loops = [*loop.loops(), loop]
    return Standing(tuple(one.key.node for one in loops), tuple(one.fact.pass_ for one in loops))
