"""The workflows of many runs in one process: each file imported once, and again when it has changed."""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from smithers.cli.edition import drop_bytecode
from smithers.cli.load import Target, import_module_of, locate, workflow_in
from smithers.cli.sources import Sources, files_of, own_modules
from smithers.errors import SmithersError, UsageRefused, WorkflowLoadFailed, WorkflowNotFound
from smithers.nodes.importable import set_aside

if TYPE_CHECKING:
    from smithers.authoring import Workflow
    from smithers.records import RunRow

AGAIN_S: Final = 30.0
"""So long after an import that failed the file is tried again: what it lacked may stand in another one."""


@dataclass(slots=True)
class _Known:
    """What became of one file."""

    module: ModuleType | None
    error: SmithersError | None
    sources: Sources
    """All that was imported for it, as it was before that."""
    at_s: float


class Library:
    """Finds the workflow of a run as its files are now.

    Files that two folders of the project have under one name are two modules here: each import begins without
    the modules that the ones before it have left behind.

    Args:
        project: the folder that sources of runs are relative to.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._known: dict[str, _Known] = {}

    def find(self, row: RunRow) -> Workflow[Any, Any]:
        """The workflow that a run is of.

        Raises:
            WorkflowNotFound, WorkflowLoadFailed, UsageRefused: it cannot be had.
        """
        target = self._target(row)
        workflow = workflow_in(self._module(target), target)
        if workflow.name != row.workflow:
            raise UsageRefused(
                f"{row.source} is {workflow.name} now; {row.name} is a run of {row.workflow}",
                hint=f"if it has moved, resume it by its file: `smithers up FILE --resume {row.name}`",
            )
        return workflow

    def _target(self, row: RunRow) -> Target:
        file, _, name = row.source.rpartition(":")
        path = self._project / file
        if not file.endswith(".py"):
            return locate(row.source)
        if not path.is_file():
            raise WorkflowNotFound(
                f"{row.name} is a run of {file}, which is not there",
                hint=f"if the file has moved, name it: `smithers up FILE --resume {row.name}`",
            )
        return Target(path.resolve(), None, name)

    def _module(self, target: Target) -> ModuleType:
        key = str(target.file or target.module)
        known = self._known.get(key)
        changed = known.sources.changed() if known is not None else []
        if known is None or changed or (known.error is not None and time.monotonic() > known.at_s + AGAIN_S):
            known = self._known[key] = self._import(target, changed)
        if known.error is not None:
            raise known.error
        assert known.module is not None  # there is one or the other
        return known.module

    def _import(self, target: Target, changed: list[Path]) -> _Known:
        roots = {self._project, target.folder}
        before = own_modules(sys.modules, roots)
        # Runs of what was imported before may ask under which name a function of theirs is found.
        set_aside.update(before)
        for name in before:
            sys.modules.pop(name, None)
        for path in changed:
            drop_bytecode(path)
        importlib.invalidate_caches()
        first = Sources([target.file] if target.file is not None else [])  # before it is read
        try:
            module, error = import_module_of(target), None
        except (WorkflowLoadFailed, WorkflowNotFound) as failed:
            # Without its traceback, which would keep alive all that the import had made.
            module, error = None, failed.with_traceback(None)
        files = files_of(own_modules(sys.modules, roots).values(), target.folder, self._project)
        if error is not None and error.place is not None:
            files.add(Path(error.place.file).resolve())
        return _Known(module, error, first.become({*first.files, *files}), time.monotonic())
