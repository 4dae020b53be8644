"""`up --hot`: the files of a running workflow are watched, and what they say is handed to the engine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers.cli import terminal
from smithers.cli.edition import load_anew
from smithers.cli.load import Target
from smithers.cli.sources import Sources, files_of, own_modules
from smithers.engine.message import Message, Swap, Unfit
from smithers.errors import SmithersError

if TYPE_CHECKING:
    from smithers.engine.definition import Definition
    from smithers.engine.handle import Handle

QUIET_MS: Final = 100
"""A save is over when nothing has happened for so long: editors write, rename and touch in several steps."""
LONGEST_MS: Final = 1_000
"""A stream of saves is cut here; and so often files are compared even if the system tells of nothing."""
_NAMED: Final = 4


def _may_mend(path: Path) -> bool:
    """Whether it could be a module, or a package, that an import looks for."""
    return path.suffix == ".py" or (path.name.isidentifier() and path.name != "__pycache__" and path.is_dir())


class Hot:
    """Watches the files of a workflow that this process has imported.

    Args:
        definition: what was imported from `target`.
        project: the folder that the run's paths are relative to.
    """

    def __init__(self, target: Target, definition: Definition, project: Path) -> None:
        import watchfiles  # noqa: F401 - here, so that what is missing is said before anything is started

        self._target = target
        self._project = project
        self._roots = tuple({project, target.folder})
        self._base = definition.base
        self._sources = Sources(self._files())
        self._edited: set[Path] = set()
        """Since the last import that succeeded."""
        self._unfit: str | None = None
        """What was said of the files as they are, if they cannot be imported."""
        self._stop = threading.Event()

    @contextmanager
    def watching(self, handle: Handle, post: Callable[[Message], None]) -> Iterator[None]:
        """Hand edits to the engine, from a thread, until the block is left."""
        names = sorted(map(self._shown, self._sources.files))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        terminal.note(f"hot: watching {', '.join(names[:_NAMED])}{more}")
        thread = threading.Thread(target=self._serve, args=(handle, post), name="smithers-hot", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(1.0)  # not longer: an edit may import for ever

    def look(
        self, handle: Handle, post: Callable[[Message], None], touched: AbstractSet[Path] = frozenset()
    ) -> None:
        """Compare the files with what was read last; hand on what can be made of them now.

        Args:
            touched: what the system says has happened in their folders.
        """
        changed = self._sources.changed()
        if not changed and self._unfit is not None:
            # What an import could not find may be there now, under a name that nobody has watched.
            changed = sorted(filter(_may_mend, touched))
        if not changed:
            return
        self._edited.update(changed)
        # Before the import: what is saved while it goes on differs again.
        self._sources = Sources(self._sources.files)
        try:
            edition = load_anew(self._target, self._roots, changed)
        except SmithersError as error:
            self._refuse(error, handle, post)
            return
        names = tuple(map(self._shown, sorted(self._edited)))
        self._unfit = None
        self._edited.clear()
        self._base = edition.definition.base
        files = files_of(edition.modules.values(), self._base, self._project)
        self._sources = self._sources.become(files)
        post(Swap(handle, edition.definition, names, edition.install))

    def _refuse(self, error: SmithersError, handle: Handle, post: Callable[[Message], None]) -> None:
        if error.place is not None and (file := Path(error.place.file)).is_file():
            self._sources = self._sources.become({*self._sources.files, file.resolve()})
        text = f"{error.place} {error.message}"
        if text != self._unfit:
            self._unfit = text
            post(Unfit(handle, error))

    def _files(self) -> set[Path]:
        modules = own_modules(sys.modules, self._roots)
        return files_of(modules.values(), self._base, self._project)

    def _shown(self, path: Path) -> str:
        project = self._project.resolve()
        return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)

    # --- On the thread --------------------------------------------------------------------------

    def _serve(self, handle: Handle, post: Callable[[Message], None]) -> None:
        try:
            while not self._stop.is_set():
                self._follow(handle, post)
        except OSError as error:
            # No watch to be had: a file system that does not tell, or a limit of the system's.
            terminal.note(f"hot: the system does not tell of saved files ({error}); looking every second")
            while not self._stop.wait(LONGEST_MS / 1000):
                self.look(handle, post)

    def _follow(self, handle: Handle, post: Callable[[Message], None]) -> None:
        """Look whenever something has happened in the folders, until other folders are to be watched."""
        from watchfiles import watch

        folders = self._sources.folders
        for touched in watch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=None,
            step=QUIET_MS,
            debounce=LONGEST_MS,
            rust_timeout=LONGEST_MS,
            yield_on_timeout=True,
            stop_event=self._stop,
            recursive=False,
            raise_interrupt=False,
        ):
            self.look(handle, post, {Path(path) for _, path in touched})
            if self._sources.folders != folders:
                return
