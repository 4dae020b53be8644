"""Programs of attempts: recorded, then started; ended with their attempt, their run, or us."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smithers.errors import LeaseLost, ProcessCrashed, ProgramNotFound, StoreFull
from smithers.ids import NodeKey
from smithers.ports import Ledger, Program, Spawner
from smithers.process import Attempt, AttemptProcesses, Processes, ProcessSpawner, kill_everything
from smithers.records import OwnerHealth, ProcessRow, ProcessStart
from tests.unit.process.family import lives


@dataclass
class Book:
    """A ledger on paper."""

    refusal: Exception | None = None
    rows: dict[int, ProcessStart] = field(default_factory=dict)
    closed: dict[int, int | None] = field(default_factory=dict)
    store_id: str = "store"

    def open(self, start: ProcessStart) -> int:
        if self.refusal is not None:
            raise self.refusal
        number = len(self.rows) + 1
        self.rows[number] = start
        return number

    def close_row(self, row: int, status: int | None) -> None:
        self.closed.setdefault(row, status)

    def open_rows(self, run: int | None = None) -> list[tuple[ProcessRow, OwnerHealth]]:
        return []

    def close(self) -> None:
        pass


def as_ports(spawner: ProcessSpawner, book: Book) -> tuple[Spawner, Ledger]:
    """For the type checker: what is handed out is what the ports promise."""
    return spawner, book


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def processes(book: Book) -> Iterator[Processes]:
    found = Processes(ProcessSpawner(), lambda: book)
    yield found
    found.close()


def attempt(processes: Processes, run: int = 1, number: int = 1) -> AttemptProcesses:
    return processes.of(Attempt(run, f"r{run}", 1, NodeKey("a:b", "outer=2", 3), 0, number))


SLEEP = Program(["sleep", "100"])


def test_the_row_stands_before_the_go_and_is_closed_with_the_tree(
    processes: Processes, book: Book, tmp_path: Path
) -> None:
    one = attempt(processes)
    child = one.spawn(Program(["sh", "-c", f"echo $SMITHERS_ATTEMPT > {tmp_path}/mark; exit 4"]))
    child.ended.result(timeout=10)
    one.end()
    (row,) = book.rows.values()
    assert (row.pid, row.ticks, row.mark) == child.trace
    assert (row.key, row.attempt, row.program) == (NodeKey("a:b", "outer=2", 3), 1, "sh")
    assert (tmp_path / "mark").read_text().strip() == row.mark
    assert row.mark.startswith("store:r1:a:b:outer=2:3:0:1:")
    assert book.closed == {1: 4}


@pytest.mark.parametrize("refusal", [LeaseLost("newer owner"), StoreFull("disk full"), KeyboardInterrupt()])
def test_what_is_not_recorded_does_not_run(
    processes: Processes, book: Book, tmp_path: Path, refusal: Exception
) -> None:
    book.refusal = refusal
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(type(refusal)):
        attempt(processes).spawn(Program(["touch", str(tmp_path / "ran")]))
    assert list(tmp_path.iterdir()) == []
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_program_that_cannot_begin_is_closed_again(
    processes: Processes, book: Book, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(ProgramNotFound):
        attempt(processes).spawn(Program([str(broken)]))
    assert book.closed == {1: 127}


def test_no_two_programs_share_a_mark(processes: Processes, book: Book) -> None:
    one = attempt(processes)
    first, second = one.spawn(SLEEP), one.spawn(SLEEP)
    first.end(0)
    assert lives(second.trace.pid)
    assert len({row.mark for row in book.rows.values()}) == 2
    one.end(0)
    assert not lives(second.trace.pid)


def test_an_attempt_that_is_being_ended_starts_nothing_more(processes: Processes, book: Book) -> None:
    one = attempt(processes)
    one.refuse()
    with pytest.raises(ProcessCrashed, match="is being ended"):
        one.spawn(SLEEP)
    assert book.rows == {}


def test_the_end_of_a_run_ends_its_programs_and_no_other(processes: Processes) -> None:
    mine, other = attempt(processes, 1), attempt(processes, 2)
    ours, theirs = [mine.spawn(SLEEP), mine.spawn(SLEEP)], other.spawn(SLEEP)
    processes.end_run(1)
    assert [child.ended.result().status for child in ours] == [-signal.SIGKILL] * 2
    assert mine.was_refused
    assert lives(theirs.trace.pid)
    processes.end_all()
    assert not lives(theirs.trace.pid)


def test_everything_can_be_killed_from_a_signal_handler(processes: Processes) -> None:
    one = attempt(processes)
    child = one.spawn(SLEEP)
    with one._lock:  # whoever was interrupted may hold it
        kill_everything()
    assert not lives(child.trace.pid)
    assert one.was_refused


def test_what_was_closed_can_be_used_again(processes: Processes, book: Book) -> None:
    attempt(processes).spawn(SLEEP)
    processes.close()
    assert book.closed == {1: -signal.SIGKILL}
    child = attempt(processes).spawn(Program(["true"]))
    assert child.ended.result(timeout=10).status == 0
    processes.end_all()
