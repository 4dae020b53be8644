"""A run's result, and looks at what is stored of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVar as TypeVarWithDefault

from smithers.authoring import RunResult
from smithers.clock import SystemClock
from smithers.ids import NodeKey
from smithers.ports import Reader
from smithers.records import AttemptRow, AttemptState
from smithers.store import open_store

Out = TypeVarWithDefault("Out", default=Any)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunLook(RunResult[Out], Generic[Out]):
    """A `RunResult` with its store beside it. Each look reads what is stored by then.

    A task in a later pass of a loop goes by `draft[1]`, as everywhere; by `draft` alone its newest pass.
    """

    store: Path = field(default=Path(), kw_only=True)
    since: int = field(default=0, kw_only=True)
    """Last frame before this call."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Outputs as JSON values, by task."""
        rows = self._read(lambda reader, run: reader.outputs(run))
        found = {str(row.key): json.loads(row.body) for row in rows}
        return found | {row.key.node: found[str(row.key)] for row in rows}

    @property
    def statuses(self) -> Mapping[str, str]:
        """How tasks have settled, by task: `finished`, `failed`, `skipped` or `cancelled`."""
        rows = self._read(lambda reader, run: reader.nodes(run))
        found = {str(row.key): row.state.word for row in rows}
        newest = {row.key.node: row.state.word for row in sorted(rows, key=lambda row: row.frame)}
        return found | newest

    @property
    def attempts(self) -> Mapping[str, int]:
        """How many attempts were made, of all generations, by task; by its id alone in all passes."""
        found: dict[str, int] = {}
        for row in self._attempts():
            for name in {str(row.key), row.key.node}:
                found[name] = found.get(name, 0) + 1
        return found

    @property
    def executed(self) -> list[str]:
        """Tasks that this call has executed, in the order they began; once for each attempt."""
        rows = [row for row in self._attempts() if row.from_frame > self.since]
        return [str(row.key) for row in sorted(rows, key=lambda row: (row.from_frame, row.start_seq))]

    def _attempts(self) -> list[AttemptRow]:
        return self._read(lambda reader, run: reader.attempts(run))

    def _read(self, look: Callable[[Reader, int], T]) -> T:
        return read_run(self.store, self.run_id, look)


def read_run(store: Path, run_id: str, look: Callable[[Reader, int], T]) -> T:
    """Look at a stored run.

    Raises:
        RunNotFound, StoreError: there is none.
    """
    with closing(open_store(store, clock=SystemClock(), create=False).reader()) as reader:
        return look(reader, reader.run(run_id).id)


def assert_no_reruns(run: RunLook[Any], *, but: Iterable[str] = ()) -> None:
    """Fail if a task that had finished was executed again, by its attempts and generations.

    Args:
        but: ids of tasks that were meant to be, as by `rerun=`.
    Raises:
        AssertionError: names the tasks, their attempts and the frames of these.
    """
    __tracebackhide__ = True
    meant = frozenset(but)
    by_key: dict[NodeKey, list[AttemptRow]] = {}
    for row in read_run(run.store, run.run_id, lambda reader, number: reader.attempts(number)):
        by_key.setdefault(row.key, []).append(row)
    found = [
        text
        for key, rows in by_key.items()
        if key.node not in meant and str(key) not in meant
        for text in _reruns(key, rows)
    ]
    if found:
        raise AssertionError("\n  ".join([f"{run.run_id} executed finished work again:", *found]))


def _reruns(key: NodeKey, rows: list[AttemptRow]) -> Iterable[str]:
    in_order = sorted(rows, key=lambda row: (row.generation, row.attempt))
    for earlier, later in pairwise(in_order):
        if earlier.state is AttemptState.FINISHED:
            yield (
                f"`{key}` finished in {_named(earlier)}, in frame {earlier.to_frame}, "
                f"and began {_named(later)} in frame {later.from_frame}"
            )


def _named(row: AttemptRow) -> str:
    return f"attempt {row.attempt}" + (f" of generation {row.generation}" if row.generation else "")
