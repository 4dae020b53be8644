"""Short runs on a store of their own, and what their rows say afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from smithers import RetryPolicy, RunResult, Workflow
from smithers.context import Context
from smithers.engine.hosts import close_hosts, host_for
from smithers.ports import Reader
from smithers.records import AttemptRow, EventType, FrameRow, NodeRow

QUICK = RetryPolicy(initial_delay=0.01, max_delay=0.02)
"""Retries without end, and without waiting for them."""


def quick(retries: int) -> RetryPolicy:
    return RetryPolicy(retries=retries, initial_delay=0.01, max_delay=0.02)


class Number(BaseModel):
    n: int


class Word(BaseModel):
    text: str


@dataclass
class Play:
    """A store, and what was called on the way. Counters may be used from any thread."""

    store: Path
    calls: Counter[str] = field(default_factory=Counter)
    seen: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, function: Callable[[Context[Any]], object], given: Any = None, **options: Any
    ) -> RunResult[Any]:
        """Run a workflow function to its end, or resume with `resume=True`; the run is called `r`."""
        return Workflow(function).run_sync(given, **{"run_id": "r", "store": self.store, **options})

    def resume(self, function: Callable[[Context[Any]], object], **options: Any) -> RunResult[Any]:
        return self.run(function, resume=True, **options)

    def call(self, name: str) -> int:
        """Count a call; which one it was, from 1."""
        with self.lock:
            self.calls[name] += 1
            return self.calls[name]

    def see(self, value: Any) -> None:
        with self.lock:
            self.seen.append(value)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        reader = host_for(self.store).store.reader()
        try:
            yield reader
        finally:
            reader.close()

    def attempts(self, node: str | None = None, run: str = "r") -> list[AttemptRow]:
        """Attempts of all generations, in the order they were made."""
        with self.reader() as reader:
            rows = reader.attempts(reader.run(run).id)
        found = [row for row in rows if node is None or row.key.node == node]
        return sorted(found, key=lambda row: (row.from_frame, row.key, row.generation, row.attempt))

    def states(self, run: str = "r") -> dict[str, str]:
        """Settled nodes by key, with the word for how."""
        with self.reader() as reader:
            return {str(row.key): row.state.word for row in reader.nodes(reader.run(run).id)}

    def node(self, name: str, run: str = "r") -> NodeRow:
        with self.reader() as reader:
            return next(row for row in reader.nodes(reader.run(run).id) if str(row.key) == name)

    def frames(self, run: str = "r") -> list[FrameRow]:
        with self.reader() as reader:
            return reader.frames(reader.run(run).id)

    def events(self, kind: EventType, run: str = "r") -> list[str]:
        """Keys of the nodes that such an event is about, in order."""
        with self.reader() as reader:
            rows = reader.events(reader.run(run).id, limit=100_000)
        return [str(row.key) for row in rows if row.type is kind]

    def close(self) -> None:
        close_hosts()


class Overlap:
    """How many of something run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    @contextmanager
    def inside(self, *groups: str) -> Iterator[None]:
        with self._lock:
            for group in groups:
                self._now[group] += 1
                self.most[group] = max(self.most[group], self._now[group])
        try:
            yield
        finally:
            with self._lock:
                for group in groups:
                    self._now[group] -= 1


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.002)
