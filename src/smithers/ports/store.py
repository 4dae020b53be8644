"""Where all facts are kept: one protocol for each of its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.records import (
        AttemptRow,
        BlockRow,
        BudgetRow,
        CachePlace,
        CacheRow,
        CallRow,
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
        NoticeRow,
        OutputRow,
        Owner,
        OwnerHealth,
        ParkedAccount,
        PassRow,
        PlaceRow,
        PlaceWanted,
        ProcessRow,
        RunFilter,
        RunRow,
        SignalRow,
        Spending,
        StoredRun,
        UserTable,
        Vote,
        Voted,
        VoteRow,
        WaitRow,
        Wakeup,
    )

    from .process import Ledger


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

    def places(self) -> Places:
        """What gives places to agents that are at work."""
        ...

    def calls(self) -> Calls:
        """What is known of the agents that are asked."""
        ...


class Calls(Protocol):
    """What agents were asked, and whose limits are used up. From any thread; each method is one
    transaction."""

    def note(self, run: int, fence: int, call: CallRow) -> None:
        """Store what is known of a call by now; nothing, if a newer owner drives the run."""
        ...

    def of_node(self, run: int, key: NodeKey, generation: int | None) -> list[CallRow]:
        """Calls of one node's generation, or of all, the newest first, with how their attempts ended."""
        ...

    def park(self, account: str, until_ms: int | None, reason: str, *, first_ms: int, cap_ms: int) -> int:
        """Let nothing of an account be asked for a while; returns the end of that, in wall-clock ms.

        Args:
            until_ms: wall clock of the reset; None: nobody knows, and then it is `first_ms` from now, and
                twice as long each time in a row, at most `cap_ms`.
        """
        ...

    def accounts(self) -> list[ParkedAccount]:
        """Accounts that have met a limit, those whose time has passed too."""
        ...

    def release(self, account: str) -> bool:
        """Let an account be asked again at once; False: nothing is known of it."""
        ...

    def close(self) -> None: ...


class Places(Protocol):
    """Places of agents that are at work, over all processes. From any thread; each method is one
    transaction."""

    def take(self, owner: int, wanted: PlaceWanted, default: int) -> int | None:
        """Take a place in a pool and of an account; None: there is none free.

        Args:
            default: how many a pool has of which nobody has said it; an account has as many as you like.
        Returns:
            The number of the place. It is free again when it is given back, or its owner is gone.
        """
        ...

    def free(self, places: Sequence[int]) -> None:
        """Give places back."""
        ...

    def resize(self, name: str, size: int | None) -> None:
        """Say how many places a pool, or an account, has; None: as many as by default."""
        ...

    def close(self) -> None: ...


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

    def waits(self, run: int) -> list[WaitRow]:
        """Waits of a run, those that are over too, the oldest first."""
        ...

    def open_waits(self) -> list[WaitRow]:
        """Open waits of all runs that have not ended, the oldest first."""
        ...

    def votes(self, run: int) -> list[VoteRow]:
        """What was said to the waits of a run, the oldest first."""
        ...

    def signals(self, run: int) -> list[SignalRow]:
        """Signals that were sent to a run, taken or not, the oldest first."""
        ...

    def below(self, run: int) -> list[int]:
        """Numbers of the runs that belong to a run, however far down."""
        ...

    def attempt_marked(self, mark: str) -> ProcessRow | None:
        """The program of an attempt that this mark is in the environment of; None: there is none."""
        ...

    def run_at(self, number: int) -> RunRow:
        """A run by its number. Raises `RunNotFound`."""
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

    def calls(self, run: int) -> list[CallRow]:
        """What the attempts of a run have asked of agents, a node's in the order they were made."""
        ...

    def spent(self, runs: Sequence[int]) -> Mapping[int, Mapping[str, Spending]]:
        """What runs have cost in all: they, their children, and the runs before them in their lineages.

        Returns:
            By run, and by the agents' names; runs of which no agent has told anything are left out.
        """
        ...

    def budgets(self, run: int) -> list[BudgetRow]:
        """What has been spent under the budgets of a run, and under `WHOLE_RUN` by all of it."""
        ...

    def places(self) -> tuple[list[PlaceRow], Mapping[str, int]]:
        """Places of agents that are at work, and the sizes of pools and accounts of which somebody has said
        it."""
        ...

    def accounts(self) -> list[ParkedAccount]:
        """Accounts of agents that have met a limit, those whose time has passed too."""
        ...

    def notices(self, run: int | None, limit: int) -> list[NoticeRow]:
        """Notices of one run, or of all, the newest first."""
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

    def vote(self, vote: Vote) -> Voted:
        """Say something to an open wait; the word that decides it wakes its run, and those it belongs to."""
        ...

    def signal(self, run: int, name: str, payload: Any, correlation: str | None, by: str) -> int:
        """Send a signal to a run, and wake those it belongs to; returns its id."""
        ...

    def clear_cache(self, workflow: str | None = None, node: str | None = None) -> int:
        """Forget entries of the cache, of one workflow or task or of all; returns how many."""
        ...

    def close(self) -> None: ...
