"""The passes of a script's loop, as `async for` takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from smithers.context.script import OnMaxReached
from smithers.errors import Place, TaskFailed
from smithers.ids import NodeKey
from smithers.nodes import Node
from smithers.scheduler.block import LOOP_FAILED

from .scope import LoopScope, Scope


class Looping(Protocol):
    """The script that a loop belongs to."""

    def open_loop(self, id: str, max_iterations: int | None, place: Place | None) -> LoopScope:
        """Stand in the first pass of a loop."""
        ...

    async def next_pass(self, loop: LoopScope, *, is_last: bool) -> None:
        """End a pass, and stand in the next one, or behind the loop."""
        ...

    def leave_loop(self, loop: LoopScope) -> None:
        """It was left by `break`, `return` or an error."""
        ...


class Passes:
    """What `async for` holds while it is in a loop of a script, and drops when it leaves it."""

    def __init__(
        self, script: Looping, id: str, most: int | None, on_max: OnMaxReached, place: Place | None
    ) -> None:
        self._script = script
        self._id = id
        self._most = most
        self._on_max: OnMaxReached = on_max
        self._place = place
        self._loop: LoopScope | None = None
        self._pass = -1

    def __aiter__(self) -> AsyncIterator[int]:
        # `async for` drops this object, and nobody else holds it: that is how a `break` is noticed.
        return Passes(self._script, self._id, self._most, self._on_max, self._place)

    async def __anext__(self) -> int:
        self._pass += 1
        if self._loop is None:
            self._loop = self._script.open_loop(self._id, self._most, self._place)
            return 0
        is_last = self._most is not None and self._pass >= self._most
        loop = self._loop
        if is_last:
            self._loop = None
        await self._script.next_pass(loop, is_last=is_last)
        if not is_last:
            return self._pass
        if self._on_max == "fail":
            message = f"{loop.key} made {self._most} passes and is not done"
            raise TaskFailed(
                message, place=self._place, node=loop.id, error={"code": LOOP_FAILED, "message": message}
            )
        raise StopAsyncIteration

    def __del__(self) -> None:
        if self._loop is not None:
            self._script.leave_loop(self._loop)


class Mark(Node):
    """Stands for a loop where ids are looked up."""

    __slots__ = ()

    def __init__(self, place: Place | None) -> None:
        self.place = place

    def lower(self, lowering: Any) -> Any:
        raise NotImplementedError

    def first_id(self) -> str | None:
        return None


def key_inside(key: NodeKey, outer: Scope, name: str, pass_: int) -> NodeKey:
    """The key of what stands directly in a pass of a loop."""
    scope = key.scope
    if outer.at.loops:
        around = f"{outer.at.loops[-1]}={key.iteration}"
        scope = f"{scope},{around}" if scope else around
    return NodeKey(name, scope, pass_)
