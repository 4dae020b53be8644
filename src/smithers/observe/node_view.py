"""One node in one pass, as people look at it: state, attempts, time, error."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from smithers.ids import NodeKey
from smithers.observe.tree import LOOP, Place, Tree, pass_order
from smithers.records import TOLERATED, UNSPENT, AttemptState, NodeState, RunState, Spending, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.observe.snapshot import Snapshot
    from smithers.records import AttemptRow, CallRow, ChildRow, NodeRow, WaitRow, Wakeup

SETTLED = frozenset({NodeState.FINISHED, NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELLED})

HANDLERS = frozenset({"try", "saga", "quarantine", "script"})
"""Kinds of nodes that take failures of what stands in them."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A task in one pass."""

    key: NodeKey
    shown: str
    """Its name on a screen: with the pass in brackets where a loop stands around it."""
    place: Place | None
    """None: it is not in the tree any more."""
    state: NodeState
    reason: str | None
    generation: int
    attempts: tuple[AttemptRow, ...]
    """Of every generation, in order."""
    due_ms: int | None
    """When the next attempt may start; None without a back-off."""
    settled_frame: int | None
    is_handled: bool = False
    """It failed, and a block or a script around it took care of that."""
    child: ChildRow | None = None
    """The run that it is, if it is one of its own."""
    due_kind: str | None = None
    """What it waits for until then: `retry`, `quota` or `child`."""
    calls: tuple[CallRow, ...] = ()
    """Agents that its attempts have asked, of every generation."""
    spent: Spending = UNSPENT
    """What these have cost, or the runs that it was."""
    wait: WaitRow | None = None
    """What it waits for, or what has ended the wait that came last; None: it has not waited."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for somebody, a message or a time that it asked for."""
        return self.wait is not None and self.wait.is_open and self.state is NodeState.WAITING

    @property
    def tries(self) -> int:
        """Attempts in the newest generation."""
        return sum(1 for row in self.attempts if row.generation == self.generation)

    @property
    def last(self) -> AttemptRow | None:
        """The newest attempt of the newest generation."""
        return next((row for row in reversed(self.attempts) if row.generation == self.generation), None)

    @property
    def agent(self) -> str | None:
        """Who made, or makes, its newest attempt; None: nobody, or it was found in the cache."""
        return self.last.agent if self.last and not self.last.is_cached else None

    @property
    def waits_for_quota(self) -> bool:
        """Whether it waits for the limit of an account to be reset."""
        return self.due_ms is not None and self.due_kind == "quota"

    def calls_of(self, attempt: AttemptRow) -> list[CallRow]:
        """Agents that one of its attempts has asked."""
        wanted = (attempt.generation, attempt.attempt)
        return [call for call in self.calls if (call.generation, call.attempt) == wanted]

    @property
    def waits_in_child(self) -> bool:
        """Whether it waits for a time because its own run does, and not for a retry of its own."""
        is_open = self.last is not None and self.last.state is AttemptState.CANCELLED
        return self.child is not None and self.due_ms is not None and is_open

    @property
    def error(self) -> Mapping[str, Any] | None:
        """What its newest attempt died of, or its wait came to; None once it has succeeded."""
        if self.state is NodeState.FINISHED:
            return None
        if self.last is not None:
            return self.last.error
        is_its_own = self.wait is not None and self.wait.ref.generation == self.generation
        error = (self.wait.result or {}).get("error") if self.wait is not None and is_its_own else None
        return error if isinstance(error, dict) else None

    @property
    def is_tolerated(self) -> bool:
        """Whether it failed for good and the run went on."""
        return self.state is NodeState.FAILED and self.reason == TOLERATED

    @property
    def started_ms(self) -> int | None:
        """Start of the first attempt of the newest generation."""
        return next((row.started_ms for row in self.attempts if row.generation == self.generation), None)

    def took_ms(self, now_ms: int, *, is_driven: bool) -> int | None:
        """From its first start to its end, or to now while it really runs; None where that is unknown."""
        if self.started_ms is None or self.last is None:
            return None
        if self.last.ended_ms is not None:
            return self.last.ended_ms - self.started_ms
        return now_ms - self.started_ms if is_driven else None


@dataclass(frozen=True, slots=True)
class LoopView:
    """A loop in one pass of the loops around it."""

    key: NodeKey
    place: Place
    pass_: int
    max_iterations: int | None
    verdict: Verdict | None
    """How it ended; None while it goes on."""


class _Costs:
    """What the tasks of a run have cost."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._calls: dict[NodeKey, list[CallRow]] = defaultdict(list)
        for call in snapshot.calls:
            self._calls[call.key].append(call)
        self._inside: dict[NodeKey, set[int]] = defaultdict(set)
        """The runs that a task was, over its generations: several of them may have gone on with one."""
        for child in snapshot.children:
            self._inside[child.key].add(child.run)
        self._snapshot = snapshot

    def put_on(self, view: NodeView) -> NodeView:
        """The same view, with its cost."""
        calls, inside = self._calls.get(view.key), self._inside.get(view.key)
        if not calls and not inside:
            return view
        spent = sum(map(self._snapshot.cost_of, inside or ()), Spending.of(calls or ()))
        return replace(view, calls=tuple(calls or ()), spent=spent)


class NodeViews:
    """All tasks of a run in document order, unmounted ones with rows last."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.tree = Tree(snapshot.mounts, snapshot.passes)
        finals: dict[NodeKey, NodeRow] = {row.key: row for row in snapshot.nodes}
        attempts: dict[NodeKey, list[AttemptRow]] = defaultdict(list)
        for row in snapshot.attempts:
            attempts[row.key].append(row)
        # They come in order: of a retry's and a reset's the later one is waited for.
        dues = {wakeup.key: wakeup for wakeup in snapshot.wakeups if wakeup.kind not in ("wait", "reminder")}
        keys: dict[str, set[NodeKey]] = defaultdict(set)
        for key in (*finals, *attempts, *dues, *(row.key for row in snapshot.waits)):
            keys[key.node].add(key)
        # Of a run that has failed nobody can say by the rows alone whose failure it was.
        handles = snapshot.run.state is not RunState.FAILED
        own = {row.key: row for row in snapshot.children}
        waits = {row.key: row for row in snapshot.waits if not row.ref.number}
        costs = _Costs(snapshot)

        def look(key: NodeKey, place: Place | None) -> NodeView:
            due, child = dues.get(key), own.get(key)
            view = _view(key, place, finals.get(key), attempts.get(key, []), due, child, handles=handles)
            return costs.put_on(_with_wait(view, waits.get(key)))

        self.by_node: dict[str, list[NodeView]] = {}
        """Views of each task, its passes in order."""
        for place in self.tree.tasks():
            found = keys.pop(place.node, set()) | {self.tree.key_now(place)}
            self.by_node[place.node] = [look(key, place) for key in sorted(found, key=pass_order)]
        for node, found in sorted(keys.items()):
            if node not in self.tree.by_id:
                self.by_node[node] = [look(key, None) for key in sorted(found, key=pass_order)]

    def all(self) -> list[NodeView]:
        """Every task in every pass."""
        return [view for views in self.by_node.values() for view in views]

    def now(self, place: Place) -> NodeView:
        """A mounted task in the current pass."""
        key = self.tree.key_now(place)
        return next(view for view in self.by_node[place.node] if view.key == key)

    def in_state(self, state: NodeState) -> list[NodeView]:
        """Those that stand like this, in whichever pass."""
        return [view for view in self.all() if view.state is state]

    def progress(self) -> tuple[int, int]:
        """How many mounted tasks have settled in their current pass, and how many there are."""
        states = [self.now(place) for place in self.tree.tasks()]
        return sum(is_settled(view) for view in states), len(states)

    def loops(self) -> list[LoopView]:
        """Every mounted loop as it stands now, in document order."""
        found = []
        for place in self.tree.places:
            if place.kind == LOOP:
                key = self.tree.key_now(place)
                limit = place.spec.get("max_iterations")
                found.append(
                    LoopView(
                        key=key,
                        place=place,
                        pass_=self.tree.current_pass(key),
                        max_iterations=limit if isinstance(limit, int) else None,
                        verdict=self.tree.verdict(key),
                    )
                )
        return found


def is_settled(view: NodeView) -> bool:
    """Whether nothing more will happen to it by itself. An unhandled failure is not settled."""
    is_over = view.state is not NodeState.FAILED or view.is_tolerated or view.is_handled
    return view.state in SETTLED and is_over


def shown_name(key: NodeKey, *, is_in_loop: bool) -> str:
    """`review`, `review[1]` inside a loop, `review[1]@outer=2` inside two."""
    if not is_in_loop and not key.scope and not key.iteration:
        return key.node
    return f"{key.node}[{key.iteration}]" + (f"@{key.scope}" if key.scope else "")


def headline(error: Mapping[str, Any] | None) -> str:
    """An error's code and first line: `[TASK_FAILED] connection refused`."""
    if not error:
        return ""
    lines = str(error.get("message", "")).strip().splitlines()
    code = error.get("code")
    return " ".join(part for part in (f"[{code}]" if code else "", lines[0] if lines else "") if part)


def _with_wait(view: NodeView, wait: WaitRow | None) -> NodeView:
    """The same view, with what it waits for."""
    if wait is None:
        return view
    if not wait.is_open or view.state is not NodeState.PENDING:
        return replace(view, wait=wait)
    return replace(view, wait=wait, state=NodeState.WAITING, due_ms=wait.due_ms, due_kind="wait")


def _view(
    key: NodeKey,
    place: Place | None,
    final: NodeRow | None,
    attempts: list[AttemptRow],
    due: Wakeup | None,
    child: ChildRow | None,
    *,
    handles: bool,
) -> NodeView:
    attempts = sorted(attempts, key=lambda row: (row.generation, row.attempt))
    last = attempts[-1] if attempts else None
    if final is not None and last is not None and last.generation > final.generation:
        final = None  # it is being run again; the older generation's end says nothing about this one
    if final is not None:
        state, generation = final.state, final.generation
    else:
        generation = last.generation if last else 0
        if last is not None and last.state is AttemptState.RUNNING:
            state = NodeState.RUNNING
        elif due is not None:
            state = NodeState.WAITING
        else:
            state = NodeState.PENDING
    return NodeView(
        key=key,
        shown=shown_name(key, is_in_loop=place is not None and bool(place.loops)),
        place=place,
        state=state,
        reason=final.reason if final else None,
        generation=generation,
        attempts=tuple(attempts),
        due_ms=due.due_ms if due is not None and final is None else None,
        settled_frame=final.frame if final else None,
        is_handled=(
            handles
            and state is NodeState.FAILED
            and place is not None
            and any(one.kind in HANDLERS for one in place.ancestors())
        ),
        child=child,
        due_kind=due.kind if due is not None else None,
    )
