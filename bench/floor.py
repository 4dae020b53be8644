"""The floor: what the same rows cost on this machine without a runtime.

A bare asyncio loop awaits each task and hands its rows to a writer thread with the pragmas of the store; the
next task starts when they are durable. Nothing is rendered, planned, validated or looked up. Its tables are
its own, because a floor must not move with what stands on it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

from bench.meter import Meter, Spent

BODY = json.dumps({"text": "x" * 69}, separators=(",", ":"))
"""80 bytes, as the measured tasks answer."""

_TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, fence INTEGER, seq INTEGER, frame INTEGER);
INSERT INTO runs VALUES (1, 1, 0, 0);
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE frames (run, frame, parent, seq, at_ms, rendered, PRIMARY KEY (run, frame)) WITHOUT ROWID;
CREATE TABLE attempts (run, node, scope, iteration, generation, attempt, state, from_frame, to_frame,
    start_seq, started_ms, ended_ms,
    PRIMARY KEY (run, node, scope, iteration, generation, attempt)) WITHOUT ROWID;
CREATE TABLE nodes (run, node, scope, iteration, generation, state, frame, attempt,
    PRIMARY KEY (run, node, scope, iteration, generation)) WITHOUT ROWID;
CREATE TABLE outputs (run, node, scope, iteration, generation, seq, frame, model, body,
    PRIMARY KEY (run, node, scope, iteration, generation)) WITHOUT ROWID;
CREATE TABLE events (run, seq, type, node, scope, iteration, attempt, at_ms,
    PRIMARY KEY (run, seq)) WITHOUT ROWID;
"""

Settled: TypeAlias = tuple[int, str, "asyncio.Future[None]"]


class Writer(threading.Thread):
    """Commits what has gathered since its last commit."""

    def __init__(self, database: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="floor-writer", daemon=True)
        self.inbox: SimpleQueue[Settled | None] = SimpleQueue()
        self._loop = loop
        self._connection = connect(database)
        self._connection.executescript(_TABLES)
        self._frame = self._seq = 0

    def run(self) -> None:
        execute = self._connection.execute
        while (first := self.inbox.get()) is not None:
            batch = [first]
            while not self.inbox.empty():
                item = self.inbox.get()
                if item is not None:
                    batch.append(item)
            execute("BEGIN IMMEDIATE")
            self._write(batch)
            execute("COMMIT")
            self._loop.call_soon_threadsafe(_acknowledge, batch)
        self._connection.close()

    def _write(self, batch: list[Settled]) -> None:
        execute, now_ms = self._connection.execute, time.monotonic_ns() // 1_000_000
        self._frame += 1
        frame, seq = self._frame, self._seq
        self._seq = seq + 2 * len(batch)
        execute("UPDATE runs SET seq = ?, frame = ? WHERE id = 1 AND fence = 1", (self._seq, frame))
        execute("INSERT INTO frames VALUES (1, ?, ?, ?, ?, 0)", (frame, frame - 1, self._seq, now_ms))
        for node, body, _ in batch:
            execute("INSERT INTO names VALUES (?, ?)", (node + 1, f"task-{node:07d}"))
            execute("INSERT INTO attempts VALUES (1, ?, 0, 0, 0, 1, 3, ?, ?, ?, ?, ?)",
                    (node, frame, frame, seq, now_ms, now_ms))  # fmt: skip
            execute("INSERT INTO nodes VALUES (1, ?, 0, 0, 0, 4, ?, 1)", (node, frame))
            execute("INSERT INTO outputs VALUES (1, ?, 0, 0, 0, ?, ?, 1, ?)", (node, seq + 2, frame, body))
            execute("INSERT INTO events VALUES (1, ?, 20, ?, 0, 0, 1, ?)", (seq + 1, node, now_ms))
            execute("INSERT INTO events VALUES (1, ?, 21, ?, 0, 0, 1, ?)", (seq + 2, node, now_ms))
            seq += 2


def _acknowledge(batch: list[Settled]) -> None:
    for _, _, durable in batch:
        durable.set_result(None)


def connect(database: Path) -> sqlite3.Connection:
    """Open a database as the store does with `durability="full"`."""
    connection = sqlite3.connect(
        database, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {8 << 20}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


async def _answer() -> str:
    return BODY


async def _tasks(database: Path, count: int, width: int) -> float:
    """Run `count` tasks, `width` at once; returns the seconds they took."""
    loop = asyncio.get_running_loop()
    writer = Writer(database, loop)
    writer.start()
    numbers = iter(range(count))
    started = time.perf_counter()

    async def lane() -> None:
        for node in numbers:
            body = await asyncio.create_task(_answer())
            durable: asyncio.Future[None] = loop.create_future()
            writer.inbox.put((node, body, durable))
            await durable

    await asyncio.gather(*(lane() for _ in range(width)))
    took = time.perf_counter() - started
    writer.inbox.put(None)
    writer.join()
    return took


def run_tasks(folder: Path, count: int, width: int) -> Spent:
    """The floor of a sequence (`width` 1) or of a fan-out."""
    meter = Meter.start()
    wall_s = asyncio.run(_tasks(folder / "floor.db", count, width))
    return meter.stop(wall_s)


def commits_per_s(folder: Path, seconds: float) -> float:
    """Commits of one small row, one after another, in WAL mode with `synchronous=FULL`."""
    connection = connect(folder / "raw.db")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    count, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (body) VALUES ('x')")
        connection.execute("COMMIT")
        count += 1
    connection.close()
    return count / took


def fsync_s(folder: Path, count: int = 200) -> float:
    """Median time of making 4 KiB more of a file durable, in seconds."""
    took = []
    sync = os.fsync if sys.platform == "darwin" else os.fdatasync
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            sync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took)
