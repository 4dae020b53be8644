"""The project a command works on: its store, opened for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.cli import terminal
from smithers.cli.options import with_store
from smithers.clock import SystemClock
from smithers.errors import StoreNotFound
from smithers.observe import lookup

if TYPE_CHECKING:
    from smithers.observe.snapshot import Snapshot
    from smithers.ports import Reader


@dataclass(frozen=True, slots=True)
class Project:
    """An open store."""

    reader: Reader
    named: str | None
    """What `--store` said."""
    now_ms: int
    """Wall clock at the start of the command: all times on one screen count from it."""

    def take(self, run: str) -> Snapshot:
        """The rows of the run that a person's word means.

        Raises:
            RunNotFound, RunAmbiguous: with the names that were perhaps meant.
        """
        from smithers.observe import snapshot

        return snapshot.take(self.reader, lookup.run_name(self.reader, run))

    def command(self, text: str) -> str:
        """A command to type next, for this same store."""
        return with_store(text, self.named)


@contextmanager
def open_project(named: str | None) -> Iterator[Project | None]:
    """Open the project's store to read it; None where there is none yet.

    Args:
        named: what `--store` said.

    Raises:
        StoreError: the file cannot be used, or the one that was named is not there.
    """
    from smithers.store import Store, find_store
    from smithers.store.refusal import NONSENSE

    path = find_store(Path.cwd(), named)
    if path is None:
        yield None
        return
    clock = SystemClock()
    # Not `open_store`: it writes (it brings the schema up to date), and whoever only looks must not.
    try:
        opened = Store(path, durability="full", clock=clock).reader()
    except StoreNotFound:
        if named is not None:
            raise
        # A first run that was cut off before it began has left an empty file; so has whoever truncated it.
        terminal.note(f"{path} is empty; if runs were stored in it, put it back from a backup")
        yield None
        return
    with closing(opened) as reader:
        try:
            yield Project(reader, named, clock.now_ms())
        except NONSENSE:
            reader.check()  # rows that no code of ours has written make any of it stumble
            raise


@contextmanager
def open_run(named: str | None, run: str) -> Iterator[tuple[Project, Snapshot]]:
    """Open the project's store and read one run of it.

    Raises:
        RunNotFound, RunAmbiguous: with the names that were perhaps meant.
        StoreError: the file cannot be used.
    """
    with open_project(named) as project:
        if project is None:
            raise lookup.no_runs(run)
        yield project, project.take(run)
