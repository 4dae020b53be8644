"""The protocols that travel between rooms: agents, stores, and the rim's view of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

from smithers.errors import OutsideTask

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from pydantic import BaseModel

    from smithers.ids import NodeKey
    from smithers.records import (
        AttemptRow,
        BlockRow,
        CachePlace,
        CacheRow,
        ChildRow,
        EventRow,
        FrameRow,
        FrameWrite,
        HeartbeatRow,
        History,
        InboxKind,
        InboxRow,
        MountRow,
        NodeRow,
        OutputRow,
        Owner,
        OwnerHealth,
        PassRow,
        ProcessRow,
        ProcessStart,
        RunFilter,
        RunRow,
        StoredRun,
        UserTable,
        Wakeup,
    )


# --- Processes ----------------------------------------------------------------------------------


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


# --- Agents -------------------------------------------------------------------------------------


def _no_programs(program: Program) -> Child:
    raise OutsideTask(f"{program.argv[0]} was asked for outside a running attempt")


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What one call asks of an agent."""

    prompt: str
    schema: type[BaseModel] | None
    """Model the answer must validate against; None: plain text."""
    task: NodeKey
    run_id: str
    attempt: int
    """Counts from 1."""
    session: str | None = None
    """Conversation to continue, as an earlier reply named it."""
    emit: Callable[[AgentEvent], None] = lambda event: None
    """Called for every sign of life; any event counts as a heartbeat. Safe from any thread."""
    options: Mapping[str, Any] = field(default_factory=dict)
    spawn: Callable[[Program], Child] = _no_programs
    """Start a program for this attempt. It blocks for some milliseconds: call it on a thread.

    Its whole tree ends with the attempt at the latest. Safe from any thread.
    """


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One sign of life of a working agent."""

    kind: str
    """`text`, `tool-call`, `tool-result`, `usage`, `session` or `retry`."""
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentReply:
    """One call's answer: `output` (structured) if the agent has it, else `text`."""

    text: str = ""
    output: Any = None
    """The model, or anything it validates; None: look into `text`."""
    session: str | None = None
    """Name by which this conversation can be continued."""
    usage: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Agent(Protocol):
    """Anything that answers prompts. Add one by writing a class with these two members."""

    @property
    def name(self) -> str:
        """Short, stable, shown to people and stored with each attempt: `claude-code`, `rehearsal`."""
        ...

    def call(self, request: AgentRequest) -> Awaitable[AgentReply]:
        """Answer one request.

        Raises:
            AgentError: classified; any other exception counts as a crash of the agent.
        """
        ...


# --- Store --------------------------------------------------------------------------------------


class Store(Protocol):
    """Where all facts are kept; a simulator puts it into memory. Each part is on a connection of its own."""

    def writer(self) -> Writer:
        """What one engine writes with, from one thread."""
        ...

    def reader(self) -> Reader:
        """What people and programs look with."""
        ...

    def leases(self) -> Leases:
        """What this process owns runs by."""
        ...

    def ledger(self) -> Ledger:
        """What records the programs of attempts."""
        ...

    def outsider(self) -> Outsider:
        """What others leave messages with."""
        ...


class Leases(Protocol):
    """Who drives what. Each method is one transaction."""

    def register_owner(self, ttl_ms: int) -> Owner:
        """Insert this process as an owner whose lease ends in `ttl_ms`."""
        ...

    def renew_owner(self, owner: int, ttl_ms: int) -> bool:
        """Move the lease's end; False: the row is gone, and so is everything it held."""
        ...

    def end_owner(self, owner: int) -> None:
        """Forget an owner that leaves cleanly; runs it still held have no owner then."""
        ...

    def claim(self, run: int, owner: int) -> int:
        """Take a run over and return its new fence.

        Raises:
            RunOwned: a live owner's lease has not ended; says which and since when.
        """
        ...

    def release(self, run: int, fence: int) -> None:
        """Give a claimed run back, unchanged; silently nothing if a newer owner has it."""
        ...

    def close(self) -> None:
        """What is held stays held until its lease ends."""
        ...


class Writer(Protocol):
    """The one connection that changes run state; used from one thread."""

    def commit(self, frames: Sequence[FrameWrite]) -> list[Exception | None]:
        """Store frames of several runs in one transaction, one savepoint each.

        Returns:
            One entry a frame: None when it is durable, else why it alone was not stored
            (`LeaseLost`, `MessagesWaiting`, `RunExists`, `RowsRefused`, or a `StoreError`). A frame that
            creates its run has `run` and `fence` filled in; `notes` hold what else there is to say.
        Raises:
            CommitUnknown: the commit itself raised; any of it may or may not be there.
            StoreNotFound: the database is gone, and with it what was written.
        """
        ...

    def load(self, run: int) -> StoredRun:
        """Everything needed to continue a run."""
        ...

    def held(self, name: str, owner: int) -> int | None:
        """The run of this name, if this owner holds it."""
        ...

    def open_children(self, run: int) -> list[int]:
        """Children of a run that have not ended."""
        ...

    def successor(self, run: int) -> int | None:
        """The run that a run went on as; None: it did not."""
        ...

    def heartbeats(self, rows: Sequence[tuple[int, int, HeartbeatRow]]) -> None:
        """Store heartbeat data of running attempts: (run, fence, row) each; stale fences are ignored."""
        ...

    def has_changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        ...

    def inbox(self, runs: Sequence[int]) -> Mapping[int, Sequence[InboxRow]]:
        """Untaken messages of these runs, oldest first; runs without any are left out."""
        ...

    def idle(self) -> None:
        """Checkpoint while nothing else wants the file."""
        ...

    def close(self) -> None:
        """Checkpoint and close; the file is complete without its `-wal` afterwards."""
        ...


class Reader(Protocol):
    """What people and programs look at. Holds no transaction between calls."""

    def runs(self, where: RunFilter) -> list[RunRow]:
        """Newest first."""
        ...

    def run(self, name: str) -> RunRow:
        """By exact id or unique prefix. Raises `RunNotFound` or `RunAmbiguous`."""
        ...

    def nodes(self, run: int) -> list[NodeRow]:
        """Settled nodes, in their newest generation."""
        ...

    def attempts(self, run: int) -> list[AttemptRow]:
        """Attempts of all generations, a node's in the order they were made."""
        ...

    def outputs(self, run: int) -> list[OutputRow]:
        """Outputs of the newest generation, in `seq` order."""
        ...

    def passes(self, run: int) -> list[PassRow]:
        """Judged passes of loops."""
        ...

    def blocks(self, run: int) -> list[BlockRow]:
        """What blocks remember, oldest first."""
        ...

    def frames(self, run: int) -> list[FrameRow]:
        """Oldest first."""
        ...

    def mounts(self, run: int, frame: int | None = None) -> list[MountRow]:
        """The tree at a frame (default: now), parents before children, siblings in order."""
        ...

    def wakeups(self, run: int) -> list[Wakeup]:
        """Deadlines, the earliest first."""
        ...

    def inbox(self, run: int) -> list[InboxRow]:
        """Messages that its owner has not obeyed yet, oldest first."""
        ...

    def events(self, run: int, after: int = 0, limit: int = 1000) -> list[EventRow]:
        """Events with `seq > after`, in order."""
        ...

    def close(self) -> None: ...

    def table(self, name: str) -> UserTable:
        """What the database has under this name: a user's own table, or anything else."""
        ...

    def cached(self, place: CachePlace, mark: bytes | None = None) -> list[CacheRow]:
        """The newest entries of a task in the cache, newest first; those under one key, if it is given."""
        ...

    def cached_value(self, place: CachePlace, row: CacheRow) -> str | None:
        """The JSON text that an entry stands for; None: the entry is gone, or its value is."""
        ...

    def cache_entries(
        self, workflow: str | None = None, node: str | None = None, limit: int | None = None
    ) -> list[CacheRow]:
        """Entries of the cache, newest first."""
        ...

    def history(self, run: int) -> History:
        """All that a look at a run's next resume needs, as of one moment."""
        ...

    def children(self, run: int) -> list[ChildRow]:
        """Runs that are what this run's nodes do: of every generation, the oldest first."""
        ...

    def newest(self, run: int) -> RunRow:
        """The newest run of a run's lineage: itself, unless it went on as another one."""
        ...

    def carried(self, run: int) -> str | None:
        """What the run before handed over, as JSON text; None: there was none before."""
        ...

    def processes(self, run: int) -> list[ProcessRow]:
        """Programs that were started for attempts of a run, oldest first."""
        ...

    def open_processes(self) -> list[tuple[ProcessRow, OwnerHealth]]:
        """Programs whose trees may still be there, of all runs, and what can be said of their owners."""
        ...


class Outsider(Protocol):
    """What a process that does not own a run may do to it."""

    def post(self, run: int, kind: InboxKind, by: str, data: str | None = None) -> int:
        """Leave a message for the owner; returns its id."""
        ...

    def clear_cache(self, workflow: str | None = None, node: str | None = None) -> int:
        """Forget entries of the cache, of one workflow or task or of all; returns how many."""
        ...

    def close(self) -> None: ...
