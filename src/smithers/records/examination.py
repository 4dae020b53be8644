"""What `smithers doctor` looks at: facts of a store, its owners and its unfinished runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .row import Owner, OwnerHealth, RunRow


@dataclass(frozen=True, slots=True)
class OwnerExamination:
    """An owner on record, and how its process stands."""

    owner: Owner
    health: OwnerHealth
    is_stopped: bool
    """Its process is there and does nothing: SIGSTOP, Ctrl+Z, a debugger."""
    runs: tuple[str, ...]
    """Names of the runs it holds."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended."""

    run: RunRow
    due_ms: int | None
    """Wall clock of its earliest deadline."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A program of an attempt, with something of it still there although its owner is gone."""

    program: str
    run: str
    node: str
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at a store, from outside and, where it opens, from inside."""

    now_ms: int
    """Wall clock of the look."""
    path: str
    size_bytes: int
    log_bytes: int
    """Of the `-wal` file beside it."""
    mode: int
    """Permission bits of the file."""
    is_writable: bool
    """The file and its folder can be written by this user."""
    file_system: str | None
    """`ext4`, `nfs4`, …; None: unknown."""
    is_network: bool
    free_bytes: int
    """Left for this user on its disk."""
    problem: Mapping[str, Any] | None
    """The error with which it does not open; nothing below is known then."""
    schema: int | None
    newest_schema: int
    """What this version writes."""
    damage: tuple[str, ...]
    """What SQLite's quick check found wrong."""
    owners: tuple[OwnerExamination, ...]
    runs: tuple[OpenRun, ...]
    """Unfinished ones, newest first."""
    orphans: tuple[Orphan, ...] = ()
