"""The process spawner of a simulation: its stories start no programs."""

from __future__ import annotations

from collections.abc import Sequence

from smithers.errors import SpawnFailed
from smithers.ports import Ledger, Program, Trace, WaitingChild
from smithers.process import Processes


class NoPrograms:
    """Implements `ports.Spawner`: refuses to start anything, and so has nothing to end."""

    def spawn(self, program: Program, mark: str) -> WaitingChild:
        raise SpawnFailed(f"{program.argv[0]}: there are no programs in a simulation")

    def survivors(self, traces: Sequence[Trace]) -> list[int]:
        return []

    def end(self, traces: Sequence[Trace], grace_s: float) -> list[int]:
        return []

    def close(self) -> None:
        """Nothing was opened."""


def no_programs() -> Processes:
    """What attempts of a simulation start programs with."""
    return Processes(NoPrograms(), _no_ledger)


def _no_ledger() -> Ledger:
    raise SpawnFailed("there is no ledger in a simulation")
