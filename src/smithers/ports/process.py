"""Programs of attempts: what starts them, what is recorded of them, and what ends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from smithers.records import OwnerHealth, ProcessRow, ProcessStart


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start for an attempt."""

    argv: Sequence[str]
    """The first word is looked up on the `PATH` of `env`."""
    cwd: Path | None = None
    """None: where this process stands."""
    env: Mapping[str, str] | None = None
    """All of its environment; None: ours. `SMITHERS_ATTEMPT` is added."""
    stdin: Literal["null", "pipe"] = "null"
    stdout: Literal["pipe", "log", "null"] = "pipe"
    """`log`: our own standard error, which is a detached run's log file."""
    stderr: Literal["pipe", "log", "null"] = "log"


class Exit(NamedTuple):
    """How a program left."""

    status: int | None
    """Exit status, or the negative number of the signal that ended it; None: nobody saw it."""

    def __str__(self) -> str:
        if self.status is None:
            return "left without a trace"
        if self.status < 0:
            return f"was ended by {_signal_name(-self.status)}"
        return f"left with status {self.status}"


def _signal_name(number: int) -> str:
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


class Trace(NamedTuple):
    """What tells one process tree from every other."""

    pid: int
    """Of its root, which leads a session of its own."""
    ticks: int
    """Kernel start time of the root, in clock ticks."""
    mark: str
    """Value of `SMITHERS_ATTEMPT` in the environment of the whole tree."""


class Child(Protocol):
    """A program of ours, in a session of its own. Safe from any thread; nothing here needs an event loop.

    Async code awaits `asyncio.wrap_future(child.ended)`; it reads streams on threads, or as its loop does.
    """

    @property
    def trace(self) -> Trace: ...

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    @property
    def ended(self) -> Future[Exit]:
        """Set once the program has left and nothing of its tree is there any more."""
        ...

    def end(self, grace_s: float) -> None:
        """End the whole tree and wait until it is gone: SIGTERM, and after `grace_s` seconds SIGKILL.

        Stopped processes, and those that have left the session, are ended too.
        """
        ...

    def close_streams(self) -> None:
        """Give the descriptors back, once the tree is gone."""
        ...


class WaitingChild(Child, Protocol):
    """A process that waits for its go; no line of its program has run."""

    def go(self, gone: Callable[[Exit], None]) -> None:
        """Let the program begin.

        Args:
            gone: called once, from any thread, before `ended` is set.
        Raises:
            TaskError: the system could not start it; nothing is left of it.
        """
        ...

    def drop(self) -> None:
        """End it instead: its program never runs."""
        ...


class Spawner(Protocol):
    """Where all processes come from; a simulator replaces it. Safe from any thread."""

    def spawn(self, program: Program, mark: str) -> WaitingChild:
        """Make a process that waits for its go.

        It ends by itself if this process dies before the go; after it too, where the system can do that.

        Raises:
            TaskError: there is no such program, or the system has no room for another process.
        """
        ...

    def survivors(self, traces: Sequence[Trace]) -> list[int]:
        """Pids of what is there of these trees, whoever started them; what cannot be proven is left out."""
        ...

    def end(self, traces: Sequence[Trace], grace_s: float) -> list[int]:
        """End these trees, whoever started them; returns the pids of what could not be ended."""
        ...

    def close(self) -> None:
        """End every tree that was started here, at once."""
        ...


class Ledger(Protocol):
    """Which programs were started for which attempts. From any thread; each method is one transaction."""

    @property
    def store_id(self) -> str:
        """Names the store: the same wherever it is moved to, another one for a copy."""
        ...

    def open(self, start: ProcessStart) -> int:
        """Record a program that waits for its go; returns the number of its row.

        Raises:
            LeaseLost: a newer owner drives the run, or the attempt has ended: it must not start.
            StoreError: nothing was recorded: it must not start either.
        """
        ...

    def close_row(self, row: int, status: int | None) -> None:
        """Record that a tree is gone."""
        ...

    def open_rows(self, run: int | None = None) -> list[tuple[ProcessRow, OwnerHealth]]:
        """Programs that may still be there, of one run or of all, and what can be said of their owners."""
        ...

    def close(self) -> None: ...
