"""What `ctx` calls in a script: one per coroutine, filled in by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol

from smithers.errors import OutsideScript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from smithers.nodes import AgentLike, Node

OnMaxReached = Literal["return-last", "fail"]


class Script(Protocol):
    """The script that a coroutine belongs to."""

    def run(self, node: Node) -> Awaitable[Any]:
        """Mount a node where the caller stands, and wait until it has settled."""
        ...

    def gather(
        self, nodes: Sequence[Node], *, return_failures: bool, max_concurrency: int | None
    ) -> Awaitable[tuple[Any, ...]]:
        """The same for several at once; ends when all have settled."""
        ...

    def race(self, nodes: Sequence[Node]) -> Awaitable[Any]:
        """The same; ends when one has finished, and the others are cancelled."""
        ...

    def loop(self, id: str, max_iterations: int | None, on_max_reached: OnMaxReached) -> AsyncIterator[int]:
        """Passes of a loop; what is called in one of them stands in it."""
        ...

    def finally_(self, node: Node) -> AbstractAsyncContextManager[None]:
        """A block of calls, after which `node` runs, however it ends."""
        ...

    def once(self, kind: str, id: str | None, make: Callable[[], Any]) -> Awaitable[Any]:
        """A JSON value that is made once and stored.

        Args:
            kind: names it where `id` is None: the first is `now`, the second `now:2`.
        """
        ...

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        ...

    def random(self) -> float:
        """From 0 up to 1."""
        ...

    def spent_usd(self) -> float:
        """What the run's agents have spent so far, as far as anybody says."""
        ...

    @property
    def limit_usd(self) -> float | None:
        """What they may spend; None: any amount."""
        ...

    @property
    def input(self) -> Any:
        """The run's input."""
        ...

    @property
    def agents(self) -> Mapping[str, AgentLike]:
        """Those that the workflow names."""
        ...

    phase: str
    """What `dynamic.phase` said last."""

    def name_of(self, kind: str) -> str:
        """`kind`, and from its second use in a scope on `kind:2`, `kind:3`, …"""
        ...

    def say(self, text: str) -> None:
        """Write a line into the run's log, unless the script only goes through it again."""
        ...

    def queue(self) -> None:
        """Internal: a callback of the script was queued on its loop."""
        ...

    def adopt(self, task: Any) -> None:
        """Internal: the script has begun an `asyncio.Task`."""
        ...


script_of: ContextVar[Script | None] = ContextVar("smithers_script", default=None)
"""The script that this coroutine belongs to."""


def the_script(call: str) -> Script:
    """The script that the caller belongs to.

    Raises:
        OutsideScript: it belongs to none.
    """
    found = script_of.get()
    if found is None:
        raise OutsideScript(f"ctx.{call} was called outside a script")
    return found
