"""A caller that remembers which programs it has started, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers.ports import Child, Program
from tests.agents.caller import Caller


@dataclass
class Watched(Caller):
    programs: list[list[str]] = field(default_factory=list)
    """The words of each."""

    def spawn(self, program: Program) -> Child:
        """Start one that no adapter has asked for."""
        return self._spawn(program)

    def _spawn(self, program: Program) -> Child:
        self.programs.append([*program.argv])
        return super()._spawn(program)
