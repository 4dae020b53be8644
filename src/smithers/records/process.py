"""Programs of attempts, as the ledger of processes has them."""

from __future__ import annotations

from typing import NamedTuple

from smithers.ids import NodeKey


class ProcessStart(NamedTuple):
    """A program that is about to be started for an attempt."""

    run: int
    fence: int
    key: NodeKey
    generation: int
    attempt: int
    pid: int
    ticks: int
    """Kernel start time of the process, in clock ticks."""
    mark: str
    """Value of `SMITHERS_ATTEMPT` in the environment of its whole tree."""
    program: str
    """Name of the program, for people."""


class ProcessRow(NamedTuple):
    """A program that was started for an attempt."""

    id: int
    run: int
    key: NodeKey
    generation: int
    attempt: int
    owner: int
    boot: str
    namespace: str
    pid: int
    ticks: int
    mark: str
    program: str
    started_ms: int
    """Wall clock."""
    ended_ms: int | None
    """When its whole tree was gone; None: as far as is known it is not."""
    status: int | None
    """Exit status, or the negative number of the signal that ended it; None: nobody of ours saw it end."""
