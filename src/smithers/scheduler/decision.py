"""What to do now: the closed set of answers the scheduler gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from smithers.ids import NodeKey


@dataclass(frozen=True, slots=True)
class Execute:
    """Start these tasks, in this order. Each is *running* for the scheduler from now on.

    The driver may settle one at once instead (`skip_if`, a static value).
    """

    starts: tuple[NodeKey, ...]


@dataclass(frozen=True, slots=True)
class Enter:
    """The turn of these has come to wait, in this order. They hold no slot.

    Answer each with `Schedule.opened`, or with `Schedule.settle` if there is nothing to wait for.
    """

    keys: tuple[NodeKey, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """These nodes settled without running; the scheduler has recorded it, the driver stores it."""

    skipped: tuple[tuple[NodeKey, str], ...]
    """Key and reason: `upstream failed: x`, `upstream skipped: x`, `not reached`."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the running attempts of these nodes and settle each as cancelled."""

    keys: tuple[NodeKey, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """These passes have ended. Answer each with `Schedule.judge(loop, until)`."""

    loops: tuple[NodeKey, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start. `due_ms` (wall clock) is the earliest back-off, None without one."""

    due_ms: int | None
    has_running: bool
    """Whether attempts run, whose ends there is to wait for."""
    has_open: bool = False
    """Whether something waits that was entered."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Every mounted node has settled and nothing runs."""

    is_partial: bool
    """A failure was tolerated, or someone was skipped because of one."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The run's own region has unwound: `cause` failed and nothing handled it."""

    cause: NodeKey


@dataclass(frozen=True, slots=True)
class Stop:
    """The run was told to stop (`Schedule.cancel`), and has unwound."""


@dataclass(frozen=True, slots=True)
class Deadlock:
    """Nothing runs and nothing can: each blocked node with the ids it waits for."""

    blocked: tuple[tuple[NodeKey, tuple[str, ...]], ...]


Decision: TypeAlias = Execute | Enter | Skip | Cancel | Judge | Wait | Finish | Fail | Stop | Deadlock
