"""`current()`: what a running task can ask about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.errors import HeartbeatRefused, OutsideTask

from .view import ambient

if TYPE_CHECKING:
    from smithers.ids import NodeKey

    from .context import Context

HEARTBEAT_LIMIT_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Current:
    """The attempt that this code runs in."""

    ctx: Context[Any]
    key: NodeKey
    attempt: int
    """Counts from 1."""
    last_heartbeat: Any
    """Data of the newest heartbeat of the attempts before this one; None without one."""
    beat: Callable[[str | None], None]
    """Internal: where heartbeats go."""

    @property
    def run_id(self) -> str:
        return self.ctx.run_id

    @property
    def node(self) -> str:
        return self.key.node

    @property
    def iteration(self) -> int:
        if (view := ambient.get()) is not None:
            view.note_of_attempt("iteration")
        return self.key.iteration

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this task in this pass, and different from all others."""
        return f"smithers:{self.run_id}:{self.key.node}:{self.key.scope}:{self.key.iteration}"

    def heartbeat(self, data: Any = None) -> None:
        """Say that the work goes on; from any thread, as often as you like.

        Args:
            data: JSON that the next attempt finds as `last_heartbeat` if this one is cut off. Stored at most
                once per third of `heartbeat_timeout`, the newest wins.
        """
        if data is None:
            self.beat(None)
            return
        try:
            text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise HeartbeatRefused(f"heartbeat data is not JSON: {error}") from None
        size = len(text.encode())
        if size > HEARTBEAT_LIMIT_BYTES:
            raise HeartbeatRefused(
                f"heartbeat data has {size} bytes; at most {HEARTBEAT_LIMIT_BYTES} are taken"
            )
        self.beat(text)


running_as: ContextVar[Current | None] = ContextVar("smithers_current", default=None)


def current() -> Current:
    """The attempt that this code runs in.

    Raises:
        OutsideTask: called outside a task's function.
    """
    found = running_as.get()
    if found is None:
        raise OutsideTask("current() was called outside a running task")
    return found
