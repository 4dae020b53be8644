"""A workflow made at random, and what must come of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pydantic import BaseModel

from smithers.context import current
from smithers.engine.definition import Definition
from smithers.engine.terms import Terms
from smithers.ids import NodeKey
from smithers.nodes import (
    Branch,
    Loop,
    Node,
    Parallel,
    RetryPolicy,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TryCatchFinally,
)
from smithers.records import RunState
from smithers.testing.tape import CutOff

from .ending import Ending
from .script_story import Heard, Teller

QUICK = RetryPolicy(initial_delay=1.0, max_delay=4.0)
NEVER = RetryPolicy(retries=0)


class Text(BaseModel):
    """What every task of a story answers."""

    text: str


class Broken(Exception):
    """A failure that the script asks for."""


@dataclass(slots=True)
class RandomStory:
    """One random workflow. Implements `Story`."""

    random: Random
    expected: dict[str, str] = field(default_factory=dict)
    """Text of each output, by key."""
    state: RunState = RunState.FINISHED
    """How the run ends when nobody ends it."""
    has_blocks: bool = False
    failures: Counter[NodeKey] = field(default_factory=Counter)
    """How often each task has failed so far: the world's memory, not the run's."""
    heard: list[Heard] = field(default_factory=list)
    """By each process that the story was told in as a script."""
    _tasks: int = 0
    _definition: Definition | None = None

    @property
    def definition(self) -> Definition:
        if self._definition is None:
            self._definition = self._define(self._sequence(2, (0,), loops=()))
        return self._definition

    def _define(self, tree: Node) -> Definition:
        # A script would have to catch what a block lets through.
        if self.has_blocks or self.random.random() < 0.5:
            return Definition("story", lambda ctx: tree, None, None, None)
        self.expected["script"] = "told"
        teller = Teller(tree, self.random, self._hears)
        return Definition("story", teller.tell, None, None, None, is_script=True, returns=str)

    def _hears(self) -> Heard:
        self.heard.append([])
        return self.heard[-1]

    def _out_of_order(self) -> str | None:
        """How two processes' scripts disagree on the order of what they heard; None: they do not."""
        longest: Heard = []
        for heard in self.heard:
            common = min(len(heard), len(longest))
            if heard[:common] != longest[:common]:
                return f"a script heard {heard}, another process' {longest}"
            longest = max(heard, longest, key=len)
        return None

    @property
    def input(self) -> str:
        return "{}"

    def terms(self, random: Random) -> Terms:
        return Terms("story.py:story", random.choice((16, 16, 2)), None, lambda task: ())

    def begin(self, is_cut_off: CutOff) -> None:
        Stage.story = self

    def end(self) -> None:
        """Nothing is left of it."""

    def wrong_with(self, ending: Ending) -> str | None:
        if self.has_blocks and ending.is_worlds_doing:
            return None  # a block went another way
        if ending.state is not self.state:
            return f"the run is {ending.state.word}, not {self.state.word}: {ending.error}"
        outputs = {str(key): body for key, body in ending.outputs.items()}
        expected = {key: f'{{"text":"{text}"}}' for key, text in self.expected.items()}
        return f"outputs {outputs}, expected {expected}" if outputs != expected else self._out_of_order()

    # --- The tree, and beside it what it comes to ------------------------------------------------------

    def _node(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        kind = self.random.random()
        if depth == 0 or kind < 0.42:
            return self._task(passes, loops)
        if kind < 0.60:
            return self._sequence(depth, passes, loops)
        if kind < 0.77:
            return self._parallel(depth, passes, loops)
        if kind < 0.83:
            # The other side is made as well, so that both forms of a condition are met.
            chosen = self._node(depth - 1, passes, loops)
            return Branch((lambda: True) if self.random.random() < 0.5 else True, chosen)
        if kind < 0.89:
            return self._loop(depth, passes, loops)
        return (self._try if kind < 0.95 else self._saga)(depth, passes, loops)

    def _parallel(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        cap = self.random.choice((None, None, 1, 2))
        children = [self._node(depth - 1, passes, loops) for _ in range(self.random.randint(2, 4))]
        if self.random.random() < 0.8:
            return Parallel(*children, max_concurrency=cap)
        children.insert(self.random.randrange(len(children) + 1), self._broken())
        self.has_blocks, self.state = True, RunState.PARTIAL
        return Parallel(*children, max_concurrency=cap, failure_policy="quarantine")

    def _try(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        self.has_blocks = True
        body = [self._node(depth - 1, passes, loops)]
        is_broken = self.random.random() < 0.6
        if is_broken:
            body.append(self._broken())
        catch = self._maybe(is_broken, depth, passes, loops)
        last = self._node(depth - 1, passes, loops) if self.random.random() < 0.7 else None
        return TryCatchFinally(*body, catch=catch, finally_=last)

    def _saga(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        self.has_blocks = True
        count = self.random.randint(2, 3)
        broken = self.random.choice((None, *range(count)))
        steps = []
        for number in range(count):
            is_done = broken is None or number < broken
            action = self._broken() if number == broken else self._maybe(is_done, depth, passes, loops)
            undo = self._maybe(broken is not None and is_done, 1, passes, loops)
            steps.append(SagaStep(action, undo))
        if broken is not None:
            self.state = RunState.PARTIAL
        return Saga(*steps)

    def _maybe(self, is_reached: bool, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        """A part of a block; of one that is never reached nothing is expected."""
        expected, state = dict(self.expected), self.state
        made = self._node(depth - 1, passes, loops)
        if not is_reached:
            self.expected, self.state = expected, state
        return made

    def _broken(self) -> Task[Any]:
        """A task that always fails, at once and for good."""
        self._tasks += 1
        name = f"t{self._tasks}"
        work = _waiting(name, 10_000, self.random.choice((0.0, 0.1, 7.0)))
        return Task(name, Text, run=work, retry_policy=NEVER)

    def _sequence(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        children: list[Node] = []
        for _ in range(self.random.randint(2, 3)):
            last = children[-1] if children else None
            if isinstance(last, Task) and last.retry_policy is not NEVER and self.random.random() < 0.5:
                children.append(self._task(passes, loops, last))
            else:
                children.append(self._node(depth - 1, passes, loops))
        return Sequence(*children)

    def _loop(self, depth: int, passes: tuple[int, ...], loops: tuple[str, ...]) -> Node:
        if loops:
            return self._task(passes, loops)
        count = self.random.randint(1, 3)
        name = f"loop-{self._tasks}"
        body = [
            self._node(max(depth - 1, 0), tuple(range(count)), (*loops, name))
            for _ in range(self.random.randint(1, 2))
        ]
        return Loop(*body, max_iterations=count, id=name)

    def _task(
        self, passes: tuple[int, ...], loops: tuple[str, ...], before: Task[Any] | None = None
    ) -> Task[Any]:
        self._tasks += 1
        name = f"t{self._tasks}"
        fails = self.random.choice((0, 0, 0, 1, 2))
        delay_s = self.random.choice((0.0, 0.0, 0.1, 1.0, 7.0))
        tolerated = before is None and self.random.random() < 0.08
        text = name if before is None else f"{name}<{before.id}"
        if tolerated:
            self.state = RunState.PARTIAL
            return Task(
                name, Text, run=_waiting(text, 10_000, delay_s), retry_policy=NEVER, continue_on_fail=True
            )
        for number in passes:
            self.expected[str(NodeKey(name, "", number))] = text
        if before is None and self.random.random() < 0.15:
            return Task(name, Text, value=Text(text=text))
        work = _blocking(text, fails) if self.random.random() < 0.3 else _waiting(text, fails, delay_s)
        if before is None:
            return Task(name, Text, run=work, retry_policy=QUICK)
        return Task(name, Text, run=work, retry_policy=QUICK, deps=before)


class Stage:
    """Where tasks play: the story that is told. Apart, so that a task's code holds only words."""

    story: RandomStory


def _waiting(text: str, fails: int, delay_s: float) -> Callable[..., Any]:
    """A coroutine function that takes a while."""

    async def work(*deps: Text) -> Text:  # noqa: ARG001 - the output of the task before it
        await asyncio.sleep(delay_s)
        return _leave(text, fails)

    return work


def _blocking(text: str, fails: int) -> Callable[..., Any]:
    """A plain function, for a worker."""

    def work(*deps: Text) -> Text:  # noqa: ARG001 - the output of the task before it
        return _leave(text, fails)

    return work


def _leave(text: str, fails: int) -> Text:
    key, failures = current().key, Stage.story.failures
    if failures[key] < fails:
        failures[key] += 1
        raise Broken(f"{key} was told to fail")
    return Text(text=text)
