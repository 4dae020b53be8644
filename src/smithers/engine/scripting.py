"""The engine's half of a script: its moves become plans, what settles becomes answers.

A script's moves are applied in a frame, in the order in which they were made. What it awaits is answered when
that frame, or a later one, has been stored. All that follows from moves stands in the scopes, so that a plan
can be made anew from them at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from smithers.clock import Clock
from smithers.context import Context, OutputText
from smithers.errors import BugError, SmithersError
from smithers.ids import NodeKey
from smithers.nodes import Lowering, Task
from smithers.plan import LoopPlan, PlanNode, ScopePlan, SequencePlan, TryPlan
from smithers.records import BlockMove, EventType, NodeState, OutputRow, PassEnd, Verdict
from smithers.scheduler import LoopFact, Settled
from smithers.scheduler.block import BODY, LOOP_FAILED
from smithers.scheduler.vertex import AnyVertex, BlockVertex, LoopVertex

from .definition import Definition
from .draft import Draft, brief
from .memory import Memory
from .planning import Planning
from .rechecking import Rechecking
from .scope import (
    SCAFFOLD,
    SCRIPT_ID,
    SCRIPT_KEY,
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
from .script import LiveScript
from .script_source import Stored
from .shape import Shapes

if TYPE_CHECKING:
    from random import Random

_VERDICTS = {"next": Verdict.NEXT, "until": Verdict.UNTIL, "max": Verdict.MAX_REACHED}
_dropped: list[LiveScript] = []
"""Kept, so that no coroutine is closed by being forgotten."""
_AGAIN = (Settled.TOLERATED, Settled.UPSTREAM)
"""What a resume of a run that has ended tries again."""
_CUT_OFF = (Settled.CANCELLED, Settled.NOT_REACHED)
"""What a script did not wait for any more; if it waits for it again, it has not been done."""


class Beginner(Protocol):
    """Whoever gives a script a loop to run on."""

    def begin(self, script: LiveScript) -> None: ...


class Scripting:
    """The script of one run.

    Args:
        moved: tells the engine, from any thread, that the script has moves for it.
    """

    def __init__(
        self,
        definition: Definition,
        ctx: Context[Any],
        memory: Memory,
        planning: Planning,
        clock: Clock,
        random: Random,
        moved: Callable[[], None],
    ) -> None:
        self._definition = definition
        self._memory = memory
        self._planning = planning
        self._source = Stored(memory, clock, random)
        self._script = LiveScript(definition, ctx, self._source, lambda _: moved())
        self._shapes = Shapes()
        self._calls: dict[NodeKey, Call] = {}
        self._loops: list[LoopScope] = []
        self._blocks: list[BlockScope] = []
        self._answers: list[tuple[Ask, tuple[End, ...], BaseException | None]] = []
        """To be delivered once the frame that is being made is stored."""
        self._sent = 0
        self._is_begun = False
        self._ended: Returned | Raised | None = None
        self._is_behind = False
        """The run was rebuilt from its rows: they may not hold all that was decided."""
        self._unwritten: list[Call] = []
        """Reopened by a frame that was not stored."""
        self.reopens = False
        """The run had ended: what failed in it, and nobody handled, is tried again."""
        self.rechecking: Rechecking | None = None
        self.only_stored = False
        """The run is being cancelled: it only has to get back to the blocks that it is in. Nothing is opened
        again on its way, and a call that was cut off has no answer: there it stops."""

    # --- Around a frame -------------------------------------------------------------------------------

    def plan(self) -> PlanNode:
        """The whole script, as the root of a tree."""
        if not self.goes_on:
            # Its owner died between its return and the end of its run: no call comes any more.
            self._script.root.is_closed = True
        return ScopePlan(SCRIPT_ID, self._root, place=self._definition.place)

    def _root(self, _: NodeKey) -> Scope:
        return self._script.root

    @property
    def is_live(self) -> bool:
        """Whether it goes on by itself, and may ask for more."""
        rests = self._is_begun and not self._answers and self._script.rests_after(self._sent)
        return self.goes_on and not rests

    @property
    def asks(self) -> bool:
        """Whether something of it waits for a call."""
        return self._script.asks

    def step(self, draft: Draft) -> None:
        """Apply what the script has done, and note which of its calls have ended."""
        if self._is_behind:
            self._catch_up(draft)
        for move in self._script.take():
            if self._ended is None:
                self._apply(draft, move)
        self.look(draft)

    def carry_out(self, author: Beginner) -> None:
        """What was decided is stored: begin the script, or give it its answers."""
        if not self._is_begun:
            self._is_begun = True
            self._source.is_open = not self.rechecking
            if self._memory.facts.nodes.get(SCRIPT_KEY) is None:
                author.begin(self._script)
            return
        answers, self._answers = self._answers, []
        if answers:
            found = [self._answer(*one) for one in answers]
            if self.rechecking:
                self.rechecking.answered(call for ask, _, _ in answers for call in ask.calls)
            self._sent += len(found)
            self._script.deliver(found)

    def _answer(self, ask: Ask, ends: tuple[End, ...], refused: BaseException | None) -> Answer:
        frame = max((end.frame for end in ends), default=self._memory.frame)
        old = frame <= self._source.last_frame
        return Answer(ask, frame, self._source.seq_at(frame) if old else self._memory.seq, ends, refused)

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self._ended is None and self._memory.facts.nodes.get(SCRIPT_KEY) is not Settled.FINISHED

    def close(self, *, drops: bool) -> None:
        """The run has left this process.

        Args:
            drops: the process ends: no line of the script runs any more.
        """
        if drops:
            _dropped.append(self._script)
        else:
            self._script.close()

    def moved_to(self, memory: Memory, planning: Planning) -> None:
        """The run was rebuilt from its rows: what had been noted and not stored is noted again."""
        self._memory, self._planning = memory, planning
        self._source.rebind(memory)
        self._is_behind = True
        # Ends of passes stand by what the script has decided: the rest is noted again from the rows.
        lost = [answer for answer in self._answers if answer[0].calls]
        self._answers = [answer for answer in self._answers if not answer[0].calls]
        for ask, _, _ in lost:
            ask.is_delivered = False
            for call in ask.calls:
                # By a race that is not decided any more; what the script withdrew is no answer.
                call.is_withdrawn = False
        for call in self._calls.values():
            if not call.asks or not all(ask.is_delivered for ask in call.asks):
                call.end = None
            if call.is_reopened and 0 < memory.frames.get(call.key, 0) <= self._source.last_frame:
                self._unwritten.append(call)
                if call.is_task:
                    memory.reopen(call.key)
        for ask in dict.fromkeys(ask for call in self._calls.values() for ask in call.asks):
            ask.left = sum(one.end is None for one in ask.calls)
        for block in self._blocks:
            if not block.body.is_closed:
                key = block.body.key
                self._go_through(block.call.key, key._replace(node=key.node.removesuffix(":body")))
        for loop in self._loops:
            is_done = bool(loop.ended) and loop.ended[-1].verdict is not Verdict.NEXT
            memory.facts.loops[loop.key] = LoopFact(loop.mounted.at.passes[-1], is_done)

    def _catch_up(self, draft: Draft) -> None:
        """Write again what a frame that was not stored had written."""
        self._is_behind = False
        memory = self._memory
        unwritten, self._unwritten = self._unwritten, []
        for call in unwritten:
            self._write_reopened(draft, call)
        for call in self._calls.values():
            if call.is_withdrawn:
                self._planning.schedule.withdraw(call.key)
        for loop in self._loops:
            for end in loop.ended:
                self._write_pass(draft, end)
        ended = self._ended
        if ended is not None and memory.facts.nodes.get(SCRIPT_KEY) is None:
            self._apply(draft, ended)

    # --- Moves ----------------------------------------------------------------------------------------

    def _apply(self, draft: Draft, move: Move) -> None:
        match move:
            case Ask():
                self._ask(draft, move)
            case Withdraw(ask):
                self._withdraw(ask)
            case OpenLoop(loop):
                self._open_loop(loop)
            case EndPass():
                self._end_pass(move)
            case OpenBlock(block):
                self._open_block(draft, block)
            case CloseScope(scope):
                scope.is_closed = True
                self._planning.schedule.close(scope.key)
            case Say(text):
                draft.event(EventType.RUN_LOG, None, 0, {"message": text})
            case Returned():
                self._return(draft, move)
            case Raised():
                self._raise(draft, move)
            case _:
                assert_never(move)

    def _lowering(self) -> Lowering:
        return Lowering(self._planning.renderer)

    def _boundary(self, call: Call, plan: PlanNode) -> PlanNode:
        """A tree as a call: a failure in it ends it, and is its caller's to handle."""
        nothing = SequencePlan()
        return TryPlan(call.key.node, plan, catch=nothing, payload=SCAFFOLD, place=call.node.place)

    def _ask(self, draft: Draft, ask: Ask) -> None:
        fresh = [call for call in dict.fromkeys(ask.calls) if not call.is_mounted]
        if ask.mode == "first" and any(self._has_finished(call) for call in ask.calls):
            for call in fresh:
                call.is_withdrawn = not self._has_finished(call)
        plans: list[tuple[Call, PlanNode]] = []
        lowering = self._lowering()
        for call in fresh:
            if not ask.is_answered and call.is_task:
                self._reopen(draft, call)
            plan = call.node.lower(lowering)
            plans.append((call, plan if call.is_task else self._boundary(call, plan)))
        for call in ask.calls:
            call.asks.append(ask)
        ask.left = sum(call.end is None for call in ask.calls)
        ask.is_delivered = ask.is_answered
        try:
            if ask.cap is not None and plans:
                self._mount_capped(draft, ask, plans)
            else:
                self._mount(draft, ask.scope, plans)
        except SmithersError as error:
            ask.is_delivered = True
            self._answers.append((ask, (), error))
            return
        for call in fresh:
            if call.is_withdrawn:
                self._planning.schedule.withdraw(call.key)
            elif not call.is_task:
                self._open_again(draft, call)
        self._open_ends(draft, fresh)
        if ask.left == 0:
            self._complete(ask)

    def _has_finished(self, call: Call) -> bool:
        return self._memory.facts.nodes.get(call.key) is Settled.FINISHED

    def _mount_capped(self, draft: Draft, ask: Ask, plans: list[tuple[Call, PlanNode]]) -> None:
        scope = ask.scope
        name = f"map:{ask.calls[0].key.node}"
        inner = Scope(scope.key_of(name), scope.at, [plan for _, plan in plans], is_closed=True)
        call = Call(ask.calls[0].node, scope, inner.key, is_task=False)
        self._mount(draft, scope, [(call, ScopePlan(name, lambda _: inner, ask.cap))])
        for one, _ in plans:
            one.is_mounted = True
            self._calls[one.key] = one
        del self._calls[call.key]

    def _mount(self, draft: Draft, scope: Scope, plans: list[tuple[Call, PlanNode]]) -> None:
        """Let calls join a scope.

        Raises:
            SmithersError: they cannot stand there; the scope is as it was.
        """
        if not plans:
            return
        before = len(scope.plans)
        for call, plan in plans:
            call.is_mounted = True
            self._calls[call.key] = call
            scope.plans.append(plan)
        try:
            self._planning.extend(draft, scope.key)
        except SmithersError:
            del scope.plans[before:]
            for call, _ in plans:
                call.is_mounted = False
                self._calls.pop(call.key, None)
            self._planning.plan_again()
            raise

    def _withdraw(self, ask: Ask) -> None:
        ask.is_delivered = True
        self._answers = [one for one in self._answers if one[0] is not ask]
        for call in ask.calls:
            if call.end is None and all(one.is_delivered for one in call.asks):
                call.is_withdrawn = True
                self._planning.schedule.withdraw(call.key)

    def _open_loop(self, loop: LoopScope) -> None:
        # It runs again from its first pass, whatever pass it had come to.
        self._memory.facts.loops[loop.key] = LoopFact()
        self._loops.append(loop)
        body = ScopePlan(loop.mounted.key.node, lambda _: loop.mounted, payload=SCAFFOLD)
        loop.outer.plans.append(LoopPlan(loop.id, body, loop.max_iterations, payload=_Judge(self, loop)))
        self._planning.schedule.extend(loop.outer.key)

    def _open_block(self, draft: Draft, block: BlockScope) -> None:
        call, key = block.call, block.body.key
        inner = key._replace(node=key.node.removesuffix(":body"))
        mark = self._memory.facts.blocks.get(call.key)
        self._go_through(call.key, inner)
        self._blocks.append(block)
        body = ScopePlan(key.node, lambda _: block.body, payload=SCAFFOLD)
        plan = TryPlan(inner.node, body, finally_=call.node.lower(self._lowering()), place=call.node.place)
        self._mount(draft, block.outer, [(call, self._boundary(call, plan))])
        if mark is not None and mark.has_failed and not self.only_stored:
            call.is_reopened = True
            self._planning.open_again(draft, call.key)

    def _go_through(self, *blocks: NodeKey) -> None:
        """The script is in the body of these blocks, whatever they had come to."""
        for key in blocks:
            fact = self._memory.facts.blocks.pop(key, None)
            if fact is not None:
                self._planning.gone_through[key] = fact

    def _end_pass(self, move: EndPass) -> None:
        loop = move.loop
        loop.ending = move
        loop.mounted.is_closed = True
        self._planning.schedule.close(loop.mounted.key)

    def judge(self, draft: Draft, vertex: LoopVertex, loop: LoopScope) -> None:
        """The pass of a loop has settled: what the script has decided happens."""
        ending = loop.ending
        if ending is None:
            raise BugError(f"{loop.key} has not been left")
        end = PassEnd(loop.key, loop.mounted.at.passes[-1], _VERDICTS[ending.verdict])
        loop.ended.append(end)
        frame = self._write_pass(draft, end)
        loop.ending = None
        if ending.then is not None:
            loop.mounted = ending.then
        self._planning.schedule.judge(vertex.key, until=ending.then is None)
        if ending.ask is not None:
            ending.ask.is_delivered = True
            self._answers.append((ending.ask, (End(frame, Settled.FINISHED),), None))

    def _write_pass(self, draft: Draft, end: PassEnd) -> int:
        """Write that a pass is over, unless that stands there already; the frame that says so."""
        known = self._memory.pass_frames.get((end.loop, end.pass_))
        if known is not None:
            return known
        self._memory.pass_frames[end.loop, end.pass_] = draft.write.frame
        draft.write.passes.append(end)
        kind = EventType.PASS_ENDED if end.verdict is Verdict.NEXT else EventType.LOOP_DONE
        draft.event(kind, end.loop, 0, {"pass": end.pass_, "verdict": end.verdict.name.lower()})
        return draft.write.frame

    # --- Ends -----------------------------------------------------------------------------------------

    def look(self, draft: Draft) -> bool:
        """Note which calls have ended; whether there were any."""
        found = False
        schedule = self._planning.schedule
        for returned in schedule.take_returned():
            call, vertex = self._calls.get(returned.key), schedule.vertex(returned.key.node)
            if call is None or call.end is not None or vertex is None or not vertex.is_settled:
                continue
            end = self._end_of(draft, call, vertex)
            if end is None or (self.only_stored and end.how in _CUT_OFF):
                continue
            call.end = end
            found = True
            if isinstance(self._ended, Raised):
                self._mark(draft, call.key)
            for ask in call.asks:
                ask.left -= 1
                if ask.left == 0 or (ask.mode == "first" and call.end.how is Settled.FINISHED):
                    self._complete(ask)
        return found

    def _complete(self, ask: Ask) -> None:
        if ask.is_delivered:
            return
        ask.is_delivered = True
        ends = tuple(call.end for call in ask.calls if call.end is not None)
        if ask.mode == "first":
            won = [end for end in ends if end.how is Settled.FINISHED]
            if won:
                ends = (min(won, key=_came),)
                for call in ask.calls:
                    if call.end is None and all(one.is_delivered for one in call.asks):
                        call.is_withdrawn = True
                        self._planning.schedule.withdraw(call.key)
        self._answers.append((ask, ends, None))

    def _end_of(self, draft: Draft, call: Call, vertex: AnyVertex) -> End | None:
        memory, key = self._memory, vertex.key
        frame = memory.frames.get(key, draft.write.frame)
        if isinstance(vertex, BlockVertex):
            block = memory.facts.blocks.get(key)
            if block is None or block.cause is None:
                row = (
                    memory.rows.get(call.scope.key_of(call.node.id)) if isinstance(call.node, Task) else None
                )
                return End(frame, block.then if block is not None else Settled.FINISHED, row)
            error = memory.failure(block.cause) or {"code": LOOP_FAILED, "message": "it made its last pass"}
            return End(frame, block.then, None, error, block.cause)
        fact = memory.facts.nodes.get(key)
        if not isinstance(fact, Settled):
            return None
        if fact is Settled.FAILED:
            return End(frame, fact, None, memory.failure(key) or {}, key)
        return End(frame, fact, memory.rows.get(key), None, None, memory.reasons.get(key))

    def _reopen(self, draft: Draft, call: Call) -> None:
        """Open again what is to be done again: what was cut off, and in a resume what failed unhandled."""
        if call.is_withdrawn or self.only_stored:
            return
        memory = self._memory
        fact, mark = memory.facts.nodes.get(call.key), memory.facts.blocks.get(call.key)
        is_marked = mark is not None and mark.has_failed
        is_another = fact is Settled.FINISHED and self.rechecking and self.rechecking.is_another(call)
        if (
            fact in _CUT_OFF
            or (self.reopens and fact in _AGAIN)
            or (fact is Settled.FAILED and is_marked)
            or is_another
        ):
            memory.facts.blocks.pop(call.key, None)
            memory.reopen(call.key)
            call.is_reopened, call.is_another = True, bool(is_another)
            self._write_reopened(draft, call)

    def _write_reopened(self, draft: Draft, call: Call) -> None:
        if not call.is_task:
            self._planning.open_again(draft, call.key)
            return
        if not call.is_another and (kept := self._memory.keep_child(call.key)) is not None:
            draft.write.children.append(kept)
        draft.write.blocks.append(BlockMove(call.key, None, 0, again=(call.key,)))
        generation = self._memory.generations.get(call.key, 0)
        draft.event(EventType.NODE_REOPENED, call.key, 0, {"generation": generation})

    def _open_ends(self, draft: Draft, calls: Iterable[Call]) -> None:
        """What is executed in the body of a block that had been left is ended by its last part once more."""
        if self.only_stored or not self._source.is_resumed:
            return
        known = self._planning.gone_through
        left: dict[NodeKey, BlockVertex] = {}
        for call in calls:
            vertex = self._planning.schedule.vertex(call.key.node)
            if vertex is None or vertex.is_settled or call.is_withdrawn:
                continue
            above = vertex.parent
            while above is not None:
                if isinstance(above, BlockVertex) and above.key in known and known[above.key].at != BODY:
                    left[above.key] = above
                above = above.parent
        if left:
            self._planning.open_ends(draft, left.values())

    def _open_again(self, draft: Draft, call: Call) -> None:
        mark = self._memory.facts.blocks.get(call.key)
        if self.only_stored:
            return
        if self.reopens or (mark is not None and mark.has_failed):
            call.is_reopened = True
            self._planning.open_again(draft, call.key)

    # --- The script's own end -------------------------------------------------------------------------

    def _return(self, draft: Draft, returned: Returned) -> None:
        self._ended = returned
        memory = self._memory
        seq = draft.event(EventType.NODE_FINISHED, SCRIPT_KEY)
        draft.settle_node(SCRIPT_KEY, NodeState.FINISHED)
        if returned.body is not None:
            generation = memory.generations.get(SCRIPT_KEY, 0)
            draft.write.outputs.append(OutputRow(SCRIPT_KEY, generation, seq, returned.model, returned.body))
            self._shapes.tell(
                draft.write, memory.workflow, returned.model, self._definition.returns, returned.body
            )
            memory.add_output(OutputText(SCRIPT_KEY, seq, returned.model, returned.body), generation)
        memory.facts.nodes[SCRIPT_KEY] = Settled.FINISHED
        self._leave(draft)

    def _raise(self, draft: Draft, raised: Raised) -> None:
        self._ended = raised
        memory = self._memory
        payload = raised.error.payload()
        self._planning.script_error = raised.error
        memory.log(SCRIPT_KEY).error = payload
        memory.name_failure(SCRIPT_KEY)
        draft.event(EventType.NODE_FAILED, SCRIPT_KEY, 0, brief(payload))
        draft.settle_node(SCRIPT_KEY, NodeState.FAILED)
        # What nobody handled is tried again by a resume; what was handled stays an outcome.
        unheard = [key for key, call in self._calls.items() if not any(ask.is_heard for ask in call.asks)]
        for key in dict.fromkeys((*raised.passed, *unheard)):
            self._mark(draft, key)
        self._planning.schedule.fail_script(SCRIPT_KEY)
        self._leave(draft)

    def _mark(self, draft: Draft, key: NodeKey) -> None:
        end = self._calls[key].end if key in self._calls else None
        if end is not None and end.cause is not None:
            done = block.done if (block := self._memory.facts.blocks.get(key)) is not None else ()
            draft.write.blocks.append(BlockMove(key, "", int(Settled.FAILED), end.cause, done))

    def _leave(self, draft: Draft) -> None:
        """Nothing more comes: what it does not wait for any more is cancelled, what is open is closed."""
        schedule = self._planning.schedule
        for call in list(self._calls.values()):
            if call.end is None and not call.is_withdrawn and isinstance(self._ended, Returned):
                call.is_withdrawn = True
                schedule.withdraw(call.key)
        self._script.root.is_closed = True
        schedule.close(SCRIPT_KEY)


class _Judge:
    """A script's loop, as the plan knows it."""

    def __init__(self, scripting: Scripting, loop: LoopScope) -> None:
        self._scripting = scripting
        self._loop = loop

    def judge(self, draft: Draft, vertex: LoopVertex) -> None:
        self._scripting.judge(draft, vertex, self._loop)


def _came(end: End) -> tuple[int, int]:
    return end.frame, end.row.seq if end.row is not None else 0
