"""A script at work: the author's coroutine, what it awaits, and the order in which it gets it.

Everything here runs on the loop that the coroutine runs on, but for what says otherwise. What the script does
is told to the engine in moves; what the engine stores comes back in answers, and is delivered one at a time:
the next when the script has come to rest after the last. So a script that runs again from the top sees the
same things in the same order, however many coroutines of it wait at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context as Variables
from contextvars import ContextVar
from heapq import heappop, heappush
from typing import Any, Protocol

from smithers.context import Context, Standing, View, ambient, decode, model_of, script_of
from smithers.context.script import OnMaxReached
from smithers.errors import Place, RunSuspended, TaskFailed
from smithers.ids import NodeKey, check_node_id
from smithers.nodes import AgentLike, Node, Subflow, Task
from smithers.nodes.node import here
from smithers.scheduler import Settled

from .author_loop import name_blocker
from .definition import Definition
from .returned import encode_returned
from .scope import (
    SCRIPT_ID,
    Answer,
    Ask,
    BlockScope,
    Call,
    CloseScope,
    End,
    EndPass,
    LoopScope,
    Move,
    OpenBlock,
    OpenLoop,
    Raised,
    Returned,
    Say,
    Scope,
    Withdraw,
)
from .script_failure import failure_of, passed_by, task_failed, twice
from .script_passes import Mark, Passes, key_inside

_MOST_REFUSALS = 100
"""How often a script that is being closed is told so; then it waits for ever."""

_scope: ContextVar[Scope] = ContextVar("smithers_scope")
"""Where in its script a coroutine stands."""


class Source(Protocol):
    """What a script finds out for itself, on its own loop."""

    def stored(self, key: NodeKey) -> End | None:
        """How a task had finished before the script began."""
        ...

    def seq_at(self, frame: int) -> int:
        """The newest output that was there when a frame was stored that was there when the script began."""
        ...

    @property
    def is_resumed(self) -> bool:
        """Whether anything was stored before the script began."""
        ...

    def now_ms(self) -> int: ...

    def random(self) -> float: ...


class ScriptView(View):
    """Reads of a script: what has been delivered to it is there, and nothing else."""

    __slots__ = ("script",)

    def __init__(self, script: LiveScript, at: Standing) -> None:
        super().__init__(script.ctx._state, at)
        self.script = script

    @property
    def seq(self) -> int | None:
        return self.script.seq

    @seq.setter
    def seq(self, _: int | None) -> None:
        """`View` sets it; it moves with the script."""


class LiveScript:
    """One script in one process. Implements `smithers.context.Script`.

    Args:
        post: called on the script's loop when it has come to rest and there are moves to take.
    """

    def __init__(
        self, definition: Definition, ctx: Context[Any], source: Source, post: Callable[[LiveScript], None]
    ) -> None:
        self.definition = definition
        self.ctx = ctx
        self.seq = 0
        self.root = Scope(NodeKey(SCRIPT_ID), Standing())
        self._taken = 0
        """Answers received so far."""
        self._is_waiting = False
        """It only waits for its calls: nothing of it goes on by itself."""
        self._source = source
        self._post = post
        self._moves: deque[Move] = deque()
        """Written on the script's loop, taken on the engine's thread."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        """All its coroutines that have not ended: asyncio alone forgets one that nobody holds."""
        self._waiting: dict[Ask, asyncio.Future[Answer]] = {}
        self._answers: list[tuple[int, int, Answer]] = []
        self._known: dict[NodeKey, Call] = {}
        self._counts: dict[tuple[Scope, str], int] = {}
        self._asked = 0
        self._queued = 0
        self._is_settling = False
        self._is_closing = False
        self._is_replaying = source.is_resumed
        """So far it has only been given what was stored before it began."""
        self._refusals = 0
        self._told: set[asyncio.Task[Any]] = set()
        """Coroutines that know that their run has left."""
        self.phase = ""

    # --- From the engine's thread ---------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the coroutine on a loop."""
        self._loop = loop
        loop.call_soon_threadsafe(self._begin)

    def take(self) -> list[Move]:
        """What it has done since the last call of this."""
        # One by one: the script's loop may append meanwhile.
        moves: list[Move] = []
        while self._moves:
            moves.append(self._moves.popleft())
        return moves

    def deliver(self, answers: Sequence[Answer]) -> None:
        """Give it what has been stored."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._receive, answers)

    def rests_after(self, answers: int) -> bool:
        """Whether it has got so many answers, and since then only waits, with no move that is not taken."""
        # In this order: what is read later is no older than what was read before.
        return self._taken == answers and self._is_waiting and not self._moves

    @property
    def asks(self) -> bool:
        """Whether something of it waits for a call."""
        return bool(self._waiting)

    def close(self) -> None:
        """Its run has left: nothing of it may go on here."""
        self._is_closing = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_all)

    # --- Beginning and ending -------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._is_closing or self._loop is None:
            return
        variables = Variables()
        variables.run(script_of.set, self)
        variables.run(_scope.set, self.root)
        variables.run(ambient.set, ScriptView(self, Standing()))
        self._main = self._loop.create_task(self._live(), context=variables)
        self._settle_down()

    async def _live(self) -> None:
        """The author's function, from its first line to its last."""
        move: Move
        try:
            made: Any = self.definition.function(self.ctx)
            value = await made
            body, model = encode_returned(self.definition, value)
            move = Returned(body, model)
        except RunSuspended:
            return
        except BaseException as error:  # noqa: BLE001 - the author's code may raise anything, `sys.exit` too
            if self._is_closing:
                return
            move = Raised(failure_of(error, self.definition.name), tuple(passed_by(error)))
        for task in list(self._tasks):
            if task is not self._main:
                task.cancel()
        self._moves.append(move)
        self._settle_down()

    def _end_all(self) -> None:
        """Throw `RunSuspended` where it waits for a call, and cancel what then still waits."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(RunSuspended())
                future.exception()  # whoever waited may be gone
        self._settle_down()

    async def _check_open(self) -> None:
        if not self._is_closing:
            return
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            # It catches what is not for anybody to catch: it must not spin for ever either.
            await asyncio.get_running_loop().create_future()
        self._tell()
        raise RunSuspended

    def _tell(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._told.add(task)

    # --- Rest -----------------------------------------------------------------------------------------

    def queue(self) -> None:
        self._queued += 1

    def adopt(self, task: Any) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended, context=_NOBODY)
        name_blocker(task, f"the script of {self.definition.name} ({self.definition.place})")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._told.discard(task)
        if self._is_closing and not task.cancelled():
            task.exception()  # nobody has to retrieve what ended it
        self._settle_down()  # what it leaves may only wait

    def _settle_down(self) -> None:
        """Something of it was set going: wait until it rests."""
        if not self._is_settling and self._loop is not None:
            self._is_settling = True
            self._loop.call_soon(self._look, self._queued, context=_NOBODY)

    def _look(self, queued: int) -> None:
        """Queued behind all that was ready: whatever that has queued in turn comes behind this."""
        if self._queued != queued and self._loop is not None:
            self._loop.call_soon(self._look, self._queued, context=_NOBODY)
            return
        self._is_settling = False
        if self._is_closing:
            self._cut_off()
        elif self._answers:
            self._deliver(heappop(self._answers)[2])
        else:
            self._rest()

    def _cut_off(self) -> None:
        """Its run has left, and what waited for a call knows: the rest waits for something of its own."""
        for task in self._tasks - self._told:
            self._told.add(task)
            task.cancel()

    def _rest(self) -> None:
        self._is_waiting = bool(self._waiting) and self._tasks == {self._main}
        if self._moves or self._is_waiting:
            self._post(self)

    def _receive(self, answers: Sequence[Answer]) -> None:
        self._is_waiting = False
        for answer in answers:
            heappush(self._answers, (answer.frame, answer.ask.number, answer))
        self._taken += len(answers)
        self._settle_down()

    def _deliver(self, answer: Answer) -> None:
        future = self._waiting.pop(answer.ask, None)
        self.seq = max(self.seq, answer.seq)
        if future is not None and not future.done():
            answer.ask.is_heard = True
            future.set_result(answer)
        self._settle_down()

    # --- Calls ----------------------------------------------------------------------------------------

    async def run(self, node: Node) -> Any:
        answer = await self._ask((node,), "all")
        return self._value(answer.ask.calls[0], answer.ends[0])

    async def gather(
        self, nodes: Sequence[Node], *, return_failures: bool, max_concurrency: int | None
    ) -> tuple[Any, ...]:
        if not nodes:
            return ()
        answer = await self._ask(nodes, "all", max_concurrency)
        return tuple(self._values(answer, return_failures=return_failures))

    async def race(self, nodes: Sequence[Node]) -> Any:
        answer = await self._ask(nodes, "first")
        ends = answer.ends
        if len(ends) == 1 and ends[0].how is Settled.FINISHED:
            winner = next(call for call in answer.ask.calls if call.end is ends[0])
            return self._value(winner, ends[0])
        self._values(answer)
        return None

    async def _ask(self, nodes: Sequence[Node], mode: Any, cap: int | None = None) -> Answer:
        await self._check_open()
        scope = _scope.get()
        ask = Ask(self._asked, scope, tuple(self._call(node, scope) for node in nodes), mode, cap)
        return await self._wait(ask)

    async def _wait(self, ask: Ask, *, is_new: bool = True) -> Answer:
        """Make a move of it, and wait for its answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._asked += 1
        self._waiting[ask] = future
        if is_new:
            ask.is_answered = self._answer(ask)
            self._is_replaying = self._is_replaying and ask.is_answered
            self._moves.append(ask)
        self._is_waiting = False
        self._settle_down()
        try:
            answer = await future
        except asyncio.CancelledError:
            self._waiting.pop(ask, None)
            if not self._is_closing:
                self._moves.append(Withdraw(ask))
                self._settle_down()
            raise
        except RunSuspended:
            self._tell()
            raise
        if answer.refused is not None:
            raise answer.refused
        return answer

    def _answer(self, ask: Ask) -> bool:
        """Whether all that it asks for had finished before this process began."""
        if ask.mode == "first":
            return False
        ends: list[End] = []
        for call in ask.calls:
            end = self._source.stored(call.key) if call.is_task else None
            if end is None:
                return False
            ends.append(end)
        frame = max((end.frame for end in ends), default=0)
        answer = Answer(ask, frame, self._source.seq_at(frame), tuple(ends))
        heappush(self._answers, (frame, ask.number, answer))
        return True

    def _call(self, node: Node, scope: Scope) -> Call:
        # An inline workflow is one task to who reads it, and a tree to who plans it.
        is_task = isinstance(node, Task) and not (isinstance(node, Subflow) and node.is_inline)
        name = (
            node.id
            if is_task and isinstance(node, Task)
            else f"call:{node.first_id() or type(node).__name__.lower()}"
        )
        key = scope.key_of(name)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Call(node, scope, key, is_task)
        elif known.node is not node:
            raise twice(name, known.node.place, node.place)
        return known

    def _value(self, call: Call, end: End) -> Any:
        """What a call gives its caller.

        Raises:
            TaskFailed: it failed, or was skipped for want of what it needs.
        """
        if end.error is not None and end.cause is not None:
            raise task_failed(call, end.cause, end.error)
        match end.how:
            case Settled.FINISHED if isinstance(call.node, Task) and end.row is not None:
                return decode(end.row, model_of(call.node, self.definition.outputs))
            case Settled.UPSTREAM | Settled.CANCELLED:
                why = end.reason or "it was cancelled"
                raise task_failed(call, call.key, {"code": end.how.name, "message": why})
            case _:
                return None

    def _values(self, answer: Answer, *, return_failures: bool = False) -> list[Any]:
        """What all calls of an answer give; with `return_failures`, a failure stands in its call's place.

        Raises:
            TaskFailed: the first failure in time; it stands for all of them.
        """
        found: list[Any] = []
        failures: list[tuple[int, int, TaskFailed]] = []
        for index, (call, end) in enumerate(zip(answer.ask.calls, answer.ends, strict=True)):
            try:
                found.append(self._value(call, end))
            except TaskFailed as failure:
                found.append(failure)
                failures.append((end.frame, index, failure))
        if failures and not return_failures:
            first = min(failures, key=lambda one: one[:2])[2]
            first.calls = tuple(key for _, _, failure in failures for key in failure.calls)
            raise first
        return found

    # --- Loops and blocks -----------------------------------------------------------------------------

    def loop(self, id: str, max_iterations: int | None, on_max_reached: OnMaxReached) -> AsyncIterator[int]:
        place = here()
        check_node_id(id, place)
        return Passes(self, id, max_iterations, on_max_reached, place)

    def open_loop(self, id: str, max_iterations: int | None, place: Place | None) -> LoopScope:
        """Stand in the first pass of a loop."""
        outer = _scope.get()
        key = outer.key_of(id)
        if key in self._known:
            raise twice(id, self._known[key].node.place, place)
        at = Standing((*outer.at.loops, id), (*outer.at.passes, 0))
        first = Scope(key_inside(key, outer, f"{id}:pass", 0), at)
        loop = LoopScope(id, outer, key, first, first, max_iterations)
        self._known[key] = Call(Mark(place), outer, key, is_task=False)
        self._moves.append(OpenLoop(loop))
        self.enter(loop.now)
        return loop

    async def next_pass(self, loop: LoopScope, *, is_last: bool) -> None:
        """End a pass, and stand in the next one, or behind the loop."""
        await self._check_open()
        ask = Ask(self._asked, loop.outer, (), "all")
        then = None
        if not is_last:
            number = loop.now.at.passes[-1] + 1
            at = Standing(loop.now.at.loops, (*loop.outer.at.passes, number))
            then = Scope(key_inside(loop.key, loop.outer, f"{loop.id}:pass", number), at)
        self._moves.append(EndPass(loop, "max" if is_last else "next", ask, then))
        await self._wait(ask, is_new=False)
        self.enter(loop.outer if then is None else then)
        if then is not None:
            loop.now = then

    def leave_loop(self, loop: LoopScope) -> None:
        """It was left by `break`, `return` or an error."""
        if self._is_closing or self._main is None or self._main.done():
            return
        self._moves.append(EndPass(loop, "until", None, None))
        if _scope.get(None) is loop.now:
            self.enter(loop.outer)
        self._settle_down()

    def enter(self, scope: Scope) -> None:
        """Stand there from now on."""
        _scope.set(scope)
        ambient.set(ScriptView(self, scope.at))

    @asynccontextmanager
    async def finally_(self, node: Node) -> AsyncIterator[None]:
        await self._check_open()
        outer = _scope.get()
        name = f"finally:{node.first_id() or 'node'}"
        key = outer.key_of(f"call:{name}")
        if key in self._known:
            raise twice(name, self._known[key].node.place, node.place)
        call = self._known[key] = Call(node, outer, key, is_task=False)
        block = BlockScope(outer, Scope(outer.key_of(f"{name}:body"), outer.at), call)
        self._moves.append(OpenBlock(block))
        self.enter(block.body)
        try:
            yield
        except RunSuspended:
            raise
        except BaseException:
            if self._is_closing:
                raise
            await self._leave_block(block)
            raise
        await self._leave_block(block)

    async def _leave_block(self, block: BlockScope) -> None:
        self._moves.append(CloseScope(block.body))
        self.enter(block.outer)
        answer = await self._wait(Ask(self._asked, block.outer, (block.call,), "all"))
        self._value(block.call, answer.ends[0])

    # --- Values ---------------------------------------------------------------------------------------

    async def once(self, kind: str, id: str | None, make: Callable[[], Any]) -> Any:
        name = id if id is not None else self.name_of(kind)

        def make_once() -> Any:  # on a thread, as any function: it may block
            value = make()
            return _kept_later(value) if inspect.isawaitable(value) else _kept(value)

        found = await self.run(Task(name, "value", run=make_once))
        return found["value"]

    def name_of(self, kind: str) -> str:
        scope = _scope.get()
        count = self._counts[scope, kind] = self._counts.get((scope, kind), 0) + 1
        return kind if count == 1 else f"{kind}:{count}"

    # --- For `smithers.dynamic` -----------------------------------------------------------------------

    @property
    def input(self) -> Any:
        return self.ctx.input

    @property
    def agents(self) -> Mapping[str, AgentLike]:
        return self.definition.agents

    def say(self, text: str) -> None:
        if not self._is_replaying:
            self._moves.append(Say(text))
            self._settle_down()

    def spent_usd(self) -> float:
        budgets = self.ctx._state.budgets
        return 0.0 if budgets is None else budgets.spent_usd()

    @property
    def limit_usd(self) -> float | None:
        budgets = self.ctx._state.budgets
        return None if budgets is None else budgets.limit_usd

    # --- The seams ------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._source.now_ms()

    def random(self) -> float:
        return self._source.random()


_NOBODY = Variables()
"""Variables of callbacks that belong to no script."""


def _kept(value: Any) -> dict[str, Any]:
    from pydantic_core import to_jsonable_python

    return {"value": to_jsonable_python(value)}


async def _kept_later(value: Awaitable[Any]) -> dict[str, Any]:
    return _kept(await value)
