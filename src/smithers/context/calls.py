"""What a script awaits: `ctx.run`, `ctx.gather` and their like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from smithers.errors import InvalidNode, TaskFailed

from .script import OnMaxReached, the_script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from smithers.nodes import Node, Task

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
Item = TypeVar("Item")


class Calls:
    """The half of `ctx` that only a script has: a workflow written as `async def`.

    Each of these mounts nodes where the script stands and waits until they have settled. In a new process the
    script runs again from the top, and what has finished returns at once.
    """

    __slots__ = ()

    @overload
    async def run(self, node: Task[T], /) -> T: ...  # type: ignore[overload-overlap] # a task is a node too
    @overload
    async def run(self, node: Node, /) -> None: ...
    async def run(self, node: Any, /) -> Any:
        """Run a task, or a tree; the task's output, None of a tree.

        A task with `continue_on_fail` that failed, and one that `skip_if` skipped, give None. The same node
        value may be awaited again; another one of the same id is refused.

        Raises:
            TaskFailed: it has failed, or was skipped because of what it needs.
        """
        return await the_script("run").run(node)

    @overload
    async def gather(
        self, nodes: Iterable[Task[T]], /, *, return_failures: Literal[False] = False
    ) -> tuple[T, ...]: ...
    @overload
    async def gather(
        self, nodes: Iterable[Task[T]], /, *, return_failures: Literal[True]
    ) -> tuple[T | TaskFailed, ...]: ...
    @overload
    async def gather(self, a: Task[A], b: Task[B], /) -> tuple[A, B]: ...
    @overload
    async def gather(self, a: Task[A], b: Task[B], c: Task[C], /) -> tuple[A, B, C]: ...
    @overload
    async def gather(self, a: Task[A], b: Task[B], c: Task[C], d: Task[D], /) -> tuple[A, B, C, D]: ...
    @overload
    async def gather(
        self, a: Task[A], b: Task[B], c: Task[C], d: Task[D], e: Task[E], /
    ) -> tuple[A, B, C, D, E]: ...
    @overload
    async def gather(self, *nodes: Task[T], return_failures: Literal[False] = False) -> tuple[T, ...]: ...
    @overload
    async def gather(self, *nodes: Task[T], return_failures: Literal[True]) -> tuple[T | TaskFailed, ...]: ...
    @overload
    async def gather(self, *nodes: Node, return_failures: bool = False) -> tuple[Any, ...]: ...
    async def gather(self, *nodes: Any, return_failures: bool = False) -> tuple[Any, ...]:
        """Run several at once, or one iterable of them; their outputs, in this order.

        Args:
            return_failures: give a failure in its place, as a `TaskFailed`, instead of raising it.
        Raises:
            TaskFailed: the first failure; after all have settled.
        """
        found = _nodes_of("gather", nodes)
        return await the_script("gather").gather(found, return_failures=return_failures, max_concurrency=None)

    @overload
    async def map(
        self,
        make: Callable[[Item], Task[T]],
        items: Iterable[Item],
        /,
        *,
        max_concurrency: int | None = None,
        return_failures: Literal[False] = False,
    ) -> tuple[T, ...]: ...
    @overload
    async def map(
        self,
        make: Callable[[Item], Task[T]],
        items: Iterable[Item],
        /,
        *,
        max_concurrency: int | None = None,
        return_failures: Literal[True],
    ) -> tuple[T | TaskFailed, ...]: ...
    async def map(
        self,
        make: Callable[[Any], Any],
        items: Iterable[Any],
        /,
        *,
        max_concurrency: int | None = None,
        return_failures: bool = False,
    ) -> tuple[Any, ...]:
        """Run `make(item)` for each item, side by side; their outputs, in the items' order.

        Args:
            max_concurrency: how many may be in flight at once; None: as many as the run allows.
            return_failures: as in `gather`.
        Raises:
            TaskFailed: the first failure; after all have settled.
        """
        found = _nodes_of("map", ([make(item) for item in items],))
        return await the_script("map").gather(
            found, return_failures=return_failures, max_concurrency=max_concurrency
        )

    @overload
    async def race(self, nodes: Iterable[Task[T]], /) -> T: ...
    @overload
    async def race(self, *nodes: Task[T]) -> T: ...
    async def race(self, *nodes: Any) -> Any:
        """Run several at once, or one iterable of them; the output of the first that finishes.

        The others are cancelled then; a resume knows who had won.

        Raises:
            TaskFailed: the first failure, when all have failed.
        """
        return await the_script("race").race(_nodes_of("race", nodes))

    def loop(
        self,
        id: str,
        /,
        *,
        max_iterations: int | None = 5,
        on_max_reached: OnMaxReached = "return-last",
    ) -> AsyncIterator[int]:
        """Passes of a loop, counted from 0: `async for i in ctx.loop("refine"):`.

        What is called in a pass has the keys that it would have in a `Loop`; leave with `break`. The next
        pass begins when all that was called in this one has settled.

        Args:
            max_iterations: passes at most; None: no limit.
            on_max_reached: `"fail"` raises `TaskFailed` instead of going on after the last pass.
        """
        return the_script("loop").loop(id, max_iterations, on_max_reached)

    def finally_(self, node: Node, /) -> AbstractAsyncContextManager[None]:
        """A block after which `node` runs, however it ends: `async with ctx.finally_(cleanup):`.

        It runs once, also when the run is cancelled or another process goes on with it.

        Raises:
            TaskFailed: on leaving the block: `node` has failed.
        """
        return the_script("finally_").finally_(node)

    @overload
    async def once(self, id: str, make: Callable[[], Awaitable[T]], /) -> T: ...
    @overload
    async def once(self, id: str, make: Callable[[], T], /) -> T: ...
    async def once(self, id: str, make: Callable[[], Any], /) -> Any:
        """What `make` gave the first time: JSON, stored and read like a task's output; sync or async."""
        return await the_script("once").once("once", id, make)

    async def now(self, id: str | None = None, /) -> datetime:
        """The wall clock when this line was first reached, in UTC; stored, so that a resume reads the same.

        Args:
            id: default: `now`, `now:2`, … in the order of the calls.
        """
        script = the_script("now")
        found = await script.once("now", id, script.now_ms)
        return datetime.fromtimestamp(found / 1000, UTC)

    async def random(self, id: str | None = None, /) -> float:
        """A random number from 0 up to 1; stored, so that a resume reads the same.

        Args:
            id: default: `random`, `random:2`, … in the order of the calls.
        """
        script = the_script("random")
        found: float = await script.once("random", id, script.random)
        return found


def _nodes_of(call: str, given: tuple[Any, ...]) -> tuple[Node, ...]:
    """Nodes that were given one by one, or as one iterable."""
    from smithers.nodes import Node
    from smithers.nodes.node import here

    if len(given) == 1 and not isinstance(given[0], Node) and isinstance(given[0], Iterable):
        given = tuple(given[0])
    for one in given:
        if not isinstance(one, Node):
            raise InvalidNode(f"ctx.{call} takes nodes, and was given {one!r}"[:200], place=here())
    return given
