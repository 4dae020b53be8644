"""A process that carries a cancel out: `smithers up --resume` of a run that nobody drives."""

from __future__ import annotations

import os
from pathlib import Path

from smithers.cli.detach import Background, spawn
from smithers.errors import RunOwned
from smithers.records import RunRow


class Starting:
    """Starts owners for runs of one store."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def __call__(self, run: RunRow) -> Carrier:
        return Carrier(self._store, run)


class Carrier:
    """An owner that was started in the background; it goes on when we have left."""

    def __init__(self, store: Path, run: RunRow) -> None:
        words = ["up", "--resume", run.name, "--store", str(store)]
        self._wanted = Background(store, run.name, words, None, None, is_json=False)
        self._child, self._began = spawn(self._wanted)

    def left(self) -> str | None:
        """Why it has left: the first line of what it said of that; None: it is still there."""
        code = self._child.poll()
        if code is None:
            return None
        log = self._wanted.log
        lines = self._lines()
        said = [line for line in lines if line.startswith("[")] or lines[-1:]
        why = f": {said[0]}" if said else ""
        return (
            f"process {self._child.pid}, which was to run that, left{why} (its log: {os.path.relpath(log)})"
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> str:
        """Where it writes, as it is shown."""
        return os.path.relpath(self._wanted.log)

    @property
    def lost_race(self) -> bool:
        """It has left because somebody else held the run at that moment."""
        return any(line.startswith(f"[{RunOwned.code}]") for line in self._lines())

    def _lines(self) -> list[str]:
        return self._wanted.log.read_bytes()[self._began :].decode(errors="replace").splitlines()
