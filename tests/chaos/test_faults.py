"""The disk fails under the engine, at every statement in turn: nothing is lost, nothing is run twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from smithers import Context, Loop, Node, Parallel, RetryPolicy, Sequence, Task, current, workflow
from smithers.engine.handle import Handle, RunEnd
from smithers.engine.host import Host, find_resumable
from smithers.errors import BugError, SmithersError, StoreError
from smithers.records import RunState
from tests.chaos import checker
from tests.chaos.checker import Line, Rows
from tests.chaos.fault import host_with
from tests.chaos.strike import Fault

RUNS = ("r1", "r2")
"""Two runs in one engine: their frames share commits."""
HUNG_S = 10


class Value(BaseModel):
    text: str


journal: list[tuple[str, Line]] = []
"""Executions, and the run they belong to."""


def note(what: str) -> str:
    me = current()
    journal.append((me.run_id, Line(str(me.key), me.attempt, what, 0, time.monotonic_ns())))
    return str(me.key)


def blocking() -> Value:
    key = note("start")
    time.sleep(0.002)
    note("end")
    return Value(text=key)


async def at_once() -> Value:
    key = note("start")
    note("end")
    return Value(text=key)


def flaky() -> Value:
    key = note("start")
    note("end")
    if current().attempt == 1:
        raise RuntimeError("not yet")
    return Value(text=key)


@workflow
def small(ctx: Context) -> Node:
    again = Task("again", Value, run=at_once)
    return Sequence(
        Task("first", Value, run=at_once),
        Parallel(
            [Task(f"part:{n}", Value, run=blocking) for n in range(3)],
            Task("flaky", Value, run=flaky, retry_policy=RetryPolicy(retries=2, initial_delay=0.001)),
        ),
        Loop(again, until=lambda: ctx.iteration_count(again) >= 2),
        Task("last", Value, run=blocking),
    )


@pytest.fixture(autouse=True)
def _empty_journal() -> Iterator[None]:
    journal.clear()
    yield
    journal.clear()


# --- One fault ----------------------------------------------------------------------------------


class Trial:
    """Two runs under one fault, continued without it, and checked."""

    def __init__(self, database: Path, fault: Fault, reference: dict[str, Rows]) -> None:
        self._database = database
        self._fault = fault
        self._reference = reference
        self.found: list[str] = []
        self.ended_with: Counter[str] = Counter()

    def run(self) -> None:
        journal.clear()
        with host_with(self._database, self._fault) as host:
            for name, handle in self._begin(host).items():
                self._await(name, handle)
        self._check_moment()
        try:
            self._continue()
        except Exception as error:  # noqa: BLE001  the disk is sound again: nothing may go wrong now
            self.found.append(f"cannot be continued: {error!r}")
        else:
            self._check_end()

    def _begin(self, host: Host) -> dict[str, Handle]:
        handles = {}
        for name in RUNS:
            try:
                handles[name] = small.start(host, run_id=name)
            except Exception as error:  # noqa: BLE001  whatever it is, it is judged
                self._name(name, error)
        return handles

    def _await(self, name: str, handle: Handle) -> None:
        try:
            end: RunEnd = handle.ended.result(HUNG_S)
        except FutureTimeout:
            self.found.append(f"{name} hangs")
        except Exception as error:  # noqa: BLE001  whatever it is, it is judged
            self._name(name, error)
        else:
            self.ended_with["finished"] += 1
            if end.state is not RunState.FINISHED:
                self.found.append(f"{name} ended as {end.state.word}: {end.error}")

    def _name(self, name: str, error: Exception) -> None:
        """A run may end by an error with a name, not by a bug of ours or somebody else's exception."""
        self.ended_with[error.code if isinstance(error, SmithersError) else type(error).__name__] += 1
        if isinstance(error, BugError) or not isinstance(error, SmithersError):
            self.found.append(f"{name} ended with {error!r}")

    def _check_moment(self) -> None:
        for name in RUNS:
            rows = checker.read_rows(self._database, name)
            if rows is not None:
                self.found += [f"{name}: {text}" for text in checker.check_rows(rows)]

    def _continue(self) -> None:
        """What a user does next: start what was refused, resume what was cut off."""
        host = Host(self._database)
        try:
            for name in RUNS:
                rows = checker.read_rows(self._database, name)
                if rows is None:
                    handle = small.start(host, run_id=name)
                elif rows.run.state == RunState.FINISHED:
                    continue
                else:
                    handle = small.resume(host, host.claim(find_resumable(host.store, name, None)))
                handle.ended.result(HUNG_S)
                after = checker.read_rows(self._database, name)
                if rows is not None and after is not None:
                    self.found += [f"{name}: {text}" for text in checker.check_history(rows, after)]
        finally:
            host.close()

    def _check_end(self) -> None:
        for name in RUNS:
            rows = checker.read_rows(self._database, name)
            if rows is None:
                self.found.append(f"{name} is not there")
                continue
            lines = [line for run, line in journal if run == name]
            problems = [
                *checker.check_rows(rows),
                *checker.check_journal(rows, lines),
                *checker.check_end(rows, self._reference[name]),
            ]
            self.found += [f"{name}: {text}" for text in problems]


@pytest.fixture(name="reference", scope="module")
def _reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Rows], int]:
    """Both runs undisturbed, and how many statements the writer executed for them."""
    database, fault = tmp_path_factory.mktemp("sound") / "smithers.db", Fault()
    with host_with(database, fault) as host:
        for handle in [small.start(host, run_id=name) for name in RUNS]:
            assert handle.ended.result(HUNG_S).state is RunState.FINISHED
    found = {}
    for name in RUNS:
        rows = checker.read_rows(database, name)
        assert rows is not None
        assert checker.check_rows(rows) == []
        found[name] = rows
    return found, fault.count


def every_statement(
    folder: Path, reference: tuple[dict[str, Rows], int], fault: Fault, *, quick: bool
) -> None:
    """Let the fault hit each statement in turn, or each tenth, and print where the runs ended."""
    rows, count = reference
    wrong: list[str] = []
    ended: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    for at in range(1, count + 1, 10 if quick else 1):
        one = replace(fault, at=at)
        trial = Trial(folder / str(at) / "smithers.db", one, rows)
        trial.run()
        ended += trial.ended_with
        sites[one.hit or "(over before)"] += 1
        wrong += [f"{one.moment} statement {at} ({one.hit}): {text}" for text in trial.found]
    print(f"\n{count} statements, {fault.name} {fault.moment}, lasting: {fault.lasts}: ended {dict(ended)}")
    assert len(sites) > (5 if quick else 10), sites
    for text in wrong:
        print(text)
    assert wrong == [], f"{len(wrong)} violations"


# --- Tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_disk_error_at_any_statement_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, reference: tuple[dict[str, Rows], int], moment: Literal["before", "after"], quick: bool
) -> None:
    every_statement(tmp_path, reference, Fault(moment=moment), quick=quick)


def test_a_disk_that_is_full_from_any_statement_on_ends_the_run_by_name_and_loses_nothing(
    tmp_path: Path, reference: tuple[dict[str, Rows], int], quick: bool
) -> None:
    every_statement(tmp_path, reference, Fault(name="SQLITE_FULL", lasts=True), quick=quick)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
def test_commits_that_fail_one_after_another_end_the_run_by_name_and_lose_nothing(
    tmp_path: Path, reference: tuple[dict[str, Rows], int], moment: Literal["before", "after"], at: int
) -> None:
    fault = Fault(at, "COMMIT", moment, "SQLITE_FULL", lasts=True)
    trial = Trial(tmp_path / "smithers.db", fault, reference[0])
    trial.run()
    assert trial.found == []
    assert fault.hit == "COMMIT"


def test_a_checkpoint_that_fails_does_not_keep_a_finished_run_from_ending(
    tmp_path: Path, reference: tuple[dict[str, Rows], int]
) -> None:
    fault = Fault(1, "PRAGMA wal_checkpoint", lasts=True)
    trial = Trial(tmp_path / "smithers.db", fault, reference[0])
    trial.run()
    assert trial.found == []
    assert trial.ended_with == {"finished": 2}


def test_a_statement_that_fails_before_the_engine_stands_has_a_name(tmp_path: Path) -> None:
    fault = Fault(1, "PRAGMA data_version")
    with host_with(tmp_path / "smithers.db", fault) as host, pytest.raises(StoreError):
        small.start(host, run_id="r1")
