"""One run of this engine, as the thread that asked for it holds it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smithers.records import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.records import FrameWrite, Wakeup


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run left this engine."""

    run_id: str
    state: RunState
    output: str | None
    """The run's own output, as stored JSON text."""
    output_model: str | None
    error: Mapping[str, Any] | None
    asked_by: str | None = None
    """Whose message paused or cancelled it; None: this process did it by itself."""
    waits: tuple[Wakeup, ...] = ()
    """Of a parked run: its deadlines, the earliest first."""
    due_ms: int | None = None
    """Of a parked run: as in `Ended`."""


class Handle:
    """Waits for a run, watches it, and can stop it. Safe from any thread."""

    def __init__(self, stop: Callable[[Handle, RunState], None]) -> None:
        self._stop = stop
        self.started: Future[str] = Future()
        """The run's id, once its first frame is stored; or why it was refused."""
        self.ended: Future[RunEnd] = Future()
        self.watchers: list[Callable[[FrameWrite], None]] = []
        """Called on the engine's thread after each commit, with what was stored."""
        self.run: int = 0

    def pause(self) -> None:
        """Start nothing more, end what runs without counting it, and leave the run paused."""
        self._stop(self, RunState.PAUSED)

    def cancel(self) -> None:
        """End the run."""
        self._stop(self, RunState.CANCELLED)

    def fail(self, error: BaseException) -> None:
        """The run will not go on here."""
        for future in (self.started, self.ended):
            _set_exception(future, error)


def _set_exception(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
