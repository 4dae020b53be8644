"""What every store must do. A backend's test class inherits `StoreContract` and says how to open one.

Nothing here knows SQL: whatever is claimed is looked at through the protocols, from a second connection.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smithers.errors import (
    BugError,
    CommitUnknown,
    LeaseLost,
    MessagesWaiting,
    RunAmbiguous,
    RunExists,
    RunNotFound,
    RunOwned,
    StoreCorrupt,
    StoreFull,
)
from smithers.ids import NodeKey
from smithers.records import (
    BLOB_LIMIT_BYTES,
    AttemptEnd,
    AttemptStart,
    AttemptState,
    BlockMove,
    EventRow,
    EventType,
    FailureClass,
    FrameWrite,
    HeartbeatRow,
    InboxKind,
    Mount,
    NewRun,
    NodeEnd,
    NodeState,
    OutputRef,
    OutputRow,
    OwnerHealth,
    PassEnd,
    ProcessStart,
    RunChange,
    RunFilter,
    RunRow,
    RunState,
    Verdict,
    Wakeup,
)
from smithers.store import Identity, Store, this_process
from smithers.store.inbox import SqliteOutsider
from smithers.store.lease import SqliteLeases
from smithers.store.process import SqliteLedger
from smithers.store.reader import SqliteReader
from smithers.store.writer import SqliteWriter
from tests.contract.kin_contract import KinContract
from tests.contract.notice_contract import NoticeContract
from tests.contract.spending_contract import SpendingContract

if TYPE_CHECKING:
    from smithers.ports import Leases, Ledger, Outsider, Reader, Writer

TTL_MS = 15_000
SPEC = '{"kind":"task"}'


class Crash(BaseException):
    """The process ends here."""


@dataclass
class FakeClock:
    """Stands still until it is told to move."""

    wall_ms: int = 1_750_000_000_000
    uptime_ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.uptime_ms

    def advance(self, span_ms: int) -> None:
        self.wall_ms += span_ms
        self.uptime_ms += span_ms


@dataclass
class Fault:
    """What goes wrong on a connection, and when.

    `statement` is called with the text and the values of each statement before it runs; what it raises is
    raised instead. `after_commit` is raised once a commit has been carried out.
    """

    statement: Callable[[str, object], None] = lambda sql, values: None
    after_commit: BaseException | None = None


def create_run(writer: Writer, new: NewRun, first: FrameWrite) -> None:
    """Store a run with its first frame."""
    first.creates = new
    (refused,) = writer.commit([first])
    if refused is not None:
        raise refused


class World:
    """One store, a clock, and connections that are closed at the end."""

    def __init__(self, open_it: Callable[[FakeClock], Store]) -> None:
        self.clock = FakeClock()
        self.store = open_it(self.clock)
        self._closing = ExitStack()
        self.writer = self.another_writer()
        self.leases = self.leases_of()
        self.reader: SqliteReader = self._closing.enter_context(closing(self.store.reader()))
        self.outsider: SqliteOutsider = self._closing.enter_context(closing(self.store.outsider()))

    def another_writer(self) -> SqliteWriter:
        return self._closing.enter_context(closing(self.store.writer()))

    def leases_of(self, here: Identity | None = None) -> SqliteLeases:
        return self._closing.enter_context(closing(self.store.leases(here)))

    def close(self) -> None:
        self._closing.close()

    def create(self, name: str = "r1", *, ids: tuple[str, ...] = ("plan", "draft")) -> Drive:
        owner = self.leases.register_owner(TTL_MS).id
        first = FrameWrite(0, 0, 1, 0, 0, 1, self.clock.now_ms(), rendered=True)
        first.events.append(EventRow(1, EventType.RUN_STARTED, self.clock.now_ms()))
        first.mounted = [Mount(node, None, at, SPEC) for at, node in enumerate(ids)]
        new = NewRun(
            name, "flow", "flow.py:flow", '{"goal":"x"}', {"max_concurrency": 16}, self.clock.now_ms(), owner
        )
        create_run(self.writer, new, first)
        return Drive(self, first.run, owner, fence=first.fence, frame=1, seq=1)

    def facts(self, run: int) -> list[object]:
        """All that can be read of a run."""
        look = self.reader
        row = replace(self.row(run), owner=None, health=OwnerHealth.NONE)
        return [row, look.nodes(run), look.attempts(run), look.outputs(run), look.passes(run),
                look.frames(run), look.mounts(run), look.wakeups(run), look.events(run)]  # fmt: skip

    def row(self, run: int) -> RunRow:
        return next(row for row in self.reader.runs(RunFilter()) if row.id == run)


@dataclass
class Drive:
    """An owner's memory of a run: makes the frames that an engine would."""

    world: World
    run: int
    owner: int
    fence: int
    frame: int
    seq: int
    stored: list[FrameWrite] = field(default_factory=list)

    def next(self, **rows: object) -> FrameWrite:
        """The next frame, with one event; it counts only once `done` is called with it."""
        at_ms = self.world.clock.now_ms()
        frame = FrameWrite(self.run, self.fence, self.frame + 1, self.frame, self.seq, 2, at_ms)
        frame.events.append(EventRow(self.seq + 1, EventType.RUN_WARNING, at_ms, data='{"n":1}'))
        for name, value in rows.items():
            setattr(frame, name, value)
        return frame

    def done(self, frame: FrameWrite) -> None:
        self.frame, self.seq = frame.frame, frame.seq + frame.used

    def commit(self, **rows: object) -> None:
        """Commit the next frame with these rows."""
        frame = self.next(**rows)
        assert self.world.writer.commit([frame]) == [None]
        self.done(frame)

    def start(self, node: str | NodeKey, *, attempt: int = 1, generation: int = 0) -> AttemptStart:
        key = NodeKey(node) if isinstance(node, str) else node
        at_ms = self.world.clock.now_ms()
        return AttemptStart(key, generation, attempt, self.seq, at_ms, "rehearsal", b"f" * 16)

    def finish(
        self, node: str | NodeKey, body: str, *, attempt: int = 1, generation: int = 0
    ) -> dict[str, object]:
        """Rows of a frame that finishes a task."""
        key = NodeKey(node) if isinstance(node, str) else node
        at_ms = self.world.clock.now_ms()
        return {
            "ended": [AttemptEnd(key, generation, attempt, AttemptState.FINISHED, at_ms)],
            "settled": [NodeEnd(key, generation, NodeState.FINISHED, attempt)],
            "outputs": [OutputRow(key, generation, self.seq + 1, "Draft", body)],
        }

    def program(self, node: str) -> ProcessStart:
        """A program for the first attempt of a task."""
        return ProcessStart(self.run, self.fence, NodeKey(node), 0, 1, 4711, 5, f"store:r1:{node}", "sh")

    def run_task(self, node: str | NodeKey, body: str, *, generation: int = 0) -> None:
        """Start and finish a task, in two frames."""
        self.commit(started=[self.start(node, generation=generation)])
        self.commit(**self.finish(node, body, generation=generation))


def as_ports(
    writer: SqliteWriter,
    reader: SqliteReader,
    leases: SqliteLeases,
    outsider: SqliteOutsider,
    ledger: SqliteLedger,
) -> tuple[Writer, Reader, Leases, Outsider, Ledger]:
    """For the type checker: what the store hands out is what the ports promise."""
    return writer, reader, leases, outsider, ledger


def ended_process() -> Identity:
    """A process of this machine that is no more: our pid, with another start time."""
    return replace(this_process(), ticks=1)


class StoreContract(KinContract, NoticeContract, SpendingContract, ABC):
    """The tests. A subclass says how a store is opened and how one of its connections fails."""

    @abstractmethod
    def open(self, folder: Path, clock: FakeClock) -> Store:
        """Open the store of a project, making it if there is none."""

    @abstractmethod
    def failing_writer(self, store: Store, fault: Fault) -> SqliteWriter:
        """A writer on a connection with a fault."""

    @abstractmethod
    def abandon(self, writer: SqliteWriter) -> None:
        """End a writer's connection as the death of its process would."""

    @abstractmethod
    def full_disk(self) -> Exception:
        """What the driver raises when the disk is full."""

    @abstractmethod
    def disk_error(self) -> Exception:
        """What the driver raises when the disk fails."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        found = World(lambda clock: self.open(tmp_path, clock))
        yield found
        found.close()

    # --- Runs ---

    def test_a_created_run_is_there_with_its_first_frame(self, world: World) -> None:
        drive = world.create("swift-otter-3f2")
        row = world.reader.run("swift")
        assert (row.id, row.name, row.state, row.fence, row.seq, row.frame) == (
            drive.run, "swift-otter-3f2", RunState.RUNNING, 1, 1, 1)  # fmt: skip
        assert (row.input, row.config, row.source) == (
            '{"goal":"x"}',
            {"max_concurrency": 16},
            "flow.py:flow",
        )
        assert row.health is OwnerHealth.ALIVE
        assert row.owner is not None
        assert row.owner.pid == os.getpid()
        assert [mount.node for mount in world.reader.mounts(drive.run)] == ["plan", "draft"]
        assert [event.type for event in world.reader.events(drive.run)] == [EventType.RUN_STARTED]

    def test_a_taken_name_is_refused_and_nothing_is_written(self, world: World) -> None:
        drive = world.create("r1")
        before = world.facts(drive.run)
        with pytest.raises(RunExists, match="r1"):
            world.create("r1", ids=("other",))
        assert world.facts(drive.run) == before
        assert len(world.reader.runs(RunFilter())) == 1

    def test_an_owner_whose_lease_is_gone_creates_no_run(self, world: World) -> None:
        drive = world.create("r1")
        world.leases.end_owner(drive.owner)
        first = FrameWrite(0, 0, 1, 0, 0, 0, 1)
        with pytest.raises(LeaseLost):
            create_run(world.writer, NewRun("r2", "flow", "f", "{}", {}, 1, drive.owner), first)
        assert [row.name for row in world.reader.runs(RunFilter())] == ["r1"]

    def test_a_run_is_found_by_exact_name_before_prefix_and_never_by_a_shared_one(self, world: World) -> None:
        for name in ("otter", "otter-1", "swan_1", "swan-2"):
            world.create(name)
        assert world.reader.run("otter").name == "otter"
        assert world.reader.run("otter-").name == "otter-1"
        with pytest.raises(RunAmbiguous) as caught:
            world.reader.run("swan")
        assert caught.value.details["candidates"] == ["swan-2", "swan_1"]
        for name in ("%", "", "O"):
            with pytest.raises(RunNotFound):
                world.reader.run(name)

    def test_runs_are_listed_newest_first_and_by_filter(self, world: World) -> None:
        first, _, _ = (world.create(name) for name in ("a", "b", "c"))
        first.commit(run_change=RunChange(RunState.FAILED, error='{"code":"X","message":"no"}'))
        names = [row.name for row in world.reader.runs(RunFilter())]
        assert names == ["c", "b", "a"]
        failed = world.reader.runs(RunFilter(states=[RunState.FAILED, RunState.PARTIAL]))
        assert [(row.name, row.error) for row in failed] == [("a", {"code": "X", "message": "no"})]
        assert [row.name for row in world.reader.runs(RunFilter(limit=1))] == ["c"]
        assert world.reader.runs(RunFilter(workflow="other")) == []

    def test_a_run_ends_with_its_frame_and_a_claim_opens_it_again(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        world.clock.advance(500)
        output = OutputRef(NodeKey("plan"), 0)
        change = RunChange(RunState.FINISHED, output=output, release=True)
        drive.commit(**drive.finish("plan", "{}"), run_change=change)
        row = world.row(drive.run)
        assert (row.state, row.ended_ms, row.output) == (RunState.FINISHED, world.clock.now_ms(), output)
        assert (row.owner, row.health) == (None, OwnerHealth.NONE)
        ended_ms = world.clock.now_ms()
        world.clock.advance(500)
        fence = world.leases.claim(drive.run, drive.owner)
        row = world.row(drive.run)
        assert (row.state, row.ended_ms, row.started_ms) == (RunState.FINISHED, None, world.clock.now_ms())
        world.leases.release(drive.run, fence)
        assert world.row(drive.run).ended_ms == ended_ms

    # --- The fence ---

    def test_a_stale_fence_writes_nothing(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        world.leases.end_owner(drive.owner)
        world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id)
        before = world.facts(drive.run)
        frame = drive.next(**drive.finish("plan", '{"late":true}'), mounted=[Mount("late", None, 5, SPEC)])
        (result,) = world.writer.commit([frame])
        assert isinstance(result, LeaseLost)
        world.writer.heartbeats([(drive.run, drive.fence, HeartbeatRow(NodeKey("plan"), 0, 1, '"late"'))])
        assert world.facts(drive.run) == before

    def test_of_two_writers_the_new_owner_goes_on_and_the_old_one_is_cut_off(self, world: World) -> None:
        old = world.create()
        old.commit(started=[old.start("plan")])
        world.clock.advance(TTL_MS)
        fence = world.leases.claim(old.run, world.leases.register_owner(TTL_MS).id)
        assert fence == old.fence + 1
        new = replace(old, fence=fence)
        second = world.another_writer()
        assert second.commit([new.next(**new.finish("plan", '{"by":"new"}'))]) == [None]
        (result,) = world.writer.commit([old.next(**old.finish("plan", '{"by":"old"}'))])
        assert isinstance(result, LeaseLost)
        assert [row.body for row in world.reader.outputs(old.run)] == ['{"by":"new"}']

    def test_in_a_group_a_lost_lease_stops_only_its_own_frame(self, world: World) -> None:
        drives = [world.create(name) for name in ("a", "b", "c")]
        world.leases.end_owner(drives[1].owner)
        world.leases.claim(drives[1].run, drives[0].owner)
        results = world.writer.commit([drive.next(mounted=[Mount("new", None, 9, SPEC)]) for drive in drives])
        assert [type(result) for result in results] == [type(None), LeaseLost, type(None)]
        counts = [len(world.reader.mounts(drive.run)) for drive in drives]
        assert counts == [3, 2, 3]

    def test_a_frame_whose_seq_does_not_follow_is_refused(self, world: World) -> None:
        drive, other = world.create("a"), world.create("b")
        wrong = drive.next()
        wrong.seq += 1
        before = world.facts(drive.run)
        assert isinstance(world.writer.commit([wrong])[0], BugError)
        results = world.writer.commit([other.next(), wrong])
        assert (results[0], type(results[1])) == (None, BugError)
        assert world.facts(drive.run) == before

    # --- Frames ---

    def test_what_a_frame_writes_is_read_back(self, world: World) -> None:
        drive = world.create(ids=("loop", "plan"))
        key = NodeKey("plan", "outer=2", 3)
        drive.commit(started=[drive.start(key)], wakeups=[Wakeup(key, "retry", 1_750_000_009_000)])
        world.clock.advance(1234)
        now = world.clock.now_ms()
        frame = drive.next(
            **drive.finish(key, '{"summary":"änderung"}'),
            passes=[PassEnd(NodeKey("loop"), 3, Verdict.UNTIL)],
            woken=[Wakeup(key, "retry", 1_750_000_009_000)],
            wakeups=[Wakeup(NodeKey("loop"), "retry", 7)],
            rendered=True,
        )
        frame.events = [EventRow(frame.seq + 1, EventType.NODE_FINISHED, now, key, 1, None)]
        assert world.writer.commit([frame]) == [None]
        look, run = world.reader, drive.run
        (node,) = look.nodes(run)
        assert node == (key, 0, NodeState.FINISHED, 3, 1, None)
        (attempt,) = look.attempts(run)
        assert (attempt.key, attempt.state, attempt.from_frame, attempt.to_frame) == (
            key, AttemptState.FINISHED, 2, 3)  # fmt: skip
        assert (attempt.started_ms, attempt.ended_ms, attempt.agent) == (now - 1234, now, "rehearsal")
        assert look.outputs(run) == [(key, 0, frame.seq + 1, "Draft", '{"summary":"änderung"}')]
        assert look.passes(run) == [(NodeKey("loop"), 3, Verdict.UNTIL, 3)]
        assert look.wakeups(run) == [(NodeKey("loop"), "retry", 7)]
        assert look.frames(run)[-1] == (3, 2, frame.seq + 2, now, True)
        assert look.events(run, after=frame.seq) == frame.events
        assert look.events(run, limit=1)[0].type is EventType.RUN_STARTED

    def test_the_newest_row_of_a_block_comes_last_and_says_all_of_it(self, world: World) -> None:
        drive = world.create(ids=("b", "a"))
        block, task = NodeKey("b", "outer=2", 3), NodeKey("a", "outer=2", 3)
        moves = [
            BlockMove(block, "body", 1),
            BlockMove(block, "", 5, task, ("body", "finally"), (task, block)),
            BlockMove(block, None, 5, again=(task,)),
        ]
        for move in moves:
            drive.commit(blocks=[move])
        loaded = world.writer.load(drive.run)
        assert [BlockMove(*row[:-1]) for row in loaded.blocks] == moves
        assert [row.frame for row in loaded.blocks] == [2, 3, 4]

    def test_the_last_attempt_of_a_failed_node_is_loaded(self, world: World) -> None:
        drive = world.create()
        key = NodeKey("plan")
        drive.commit(started=[drive.start(key)])
        end = AttemptEnd(
            key, 0, 1, AttemptState.FAILED, world.clock.now_ms(), FailureClass.CRASH, True, '{"code":"X"}'
        )
        drive.commit(ended=[end], settled=[NodeEnd(key, 0, NodeState.FAILED, 1)])
        (row,) = world.writer.load(drive.run).attempts
        assert (row.key, row.error) == (key, {"code": "X"})

    def test_a_failed_attempt_keeps_its_class_and_its_error(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        error = '{"code":"AGENT_QUOTA","message":"later","hint":"wait"}'
        at_ms = world.clock.now_ms()
        quota = AttemptEnd(
            NodeKey("plan"), 0, 1, AttemptState.FAILED, at_ms, FailureClass.QUOTA, False, error, b"p" * 16
        )
        drive.commit(ended=[quota], started=[drive.start("plan", attempt=2)])
        failed, running = world.reader.attempts(drive.run)
        assert (failed.state, failed.failure, failed.counted) == (
            AttemptState.FAILED,
            FailureClass.QUOTA,
            False,
        )
        assert failed.error == {"code": "AGENT_QUOTA", "message": "later", "hint": "wait"}
        assert (running.attempt, running.state, running.to_frame) == (2, AttemptState.RUNNING, None)

    def test_settling_again_changes_nothing_and_settling_otherwise_is_refused(self, world: World) -> None:
        drive = world.create()
        drive.run_task("plan", '{"n":1}')
        nodes, outputs = world.reader.nodes(drive.run), world.reader.outputs(drive.run)
        drive.commit(**drive.finish("plan", '{"n":1}'))
        other_body = drive.next(**drive.finish("plan", '{"n":2}'))
        other_attempt = drive.next(settled=[NodeEnd(NodeKey("plan"), 0, NodeState.SKIPPED)])
        other_end = drive.next(
            ended=[AttemptEnd(NodeKey("plan"), 0, 1, AttemptState.FAILED, 1, FailureClass.CRASH)]
        )
        unknown = drive.next(ended=[AttemptEnd(NodeKey("plan"), 0, 9, AttemptState.FINISHED, 1)])
        for frame in (other_body, other_attempt, other_end, unknown):
            assert isinstance(world.writer.commit([frame])[0], BugError)
        assert (world.reader.nodes(drive.run), world.reader.outputs(drive.run)) == (nodes, outputs)

    def test_one_bad_frame_of_a_group_leaves_the_others_whole(self, world: World) -> None:
        drives = [world.create(name) for name in ("a", "b", "c")]
        drives[1].run_task("plan", '{"n":1}')
        before = world.facts(drives[1].run)
        # New words in the bad frame get ids that the next frame's new words get again.
        bad = drives[1].next(
            mounted=[Mount("bad-1", None, 2, '{"bad":1}')], **drives[1].finish("plan", '{"n":2}')
        )
        good = drives[2].next(mounted=[Mount("good-1", None, 2, '{"good":1}')])
        results = world.writer.commit([drives[0].next(), bad, good])
        assert [type(result) for result in results] == [type(None), BugError, type(None)]
        assert world.facts(drives[1].run) == before
        last = world.reader.mounts(drives[2].run)[-1]
        assert (last.node, last.spec) == ("good-1", {"good": 1})
        drives[1].commit(mounted=[Mount("bad-1", None, 2, '{"bad":1}')])
        last = world.reader.mounts(drives[1].run)[-1]
        assert (last.node, last.spec) == ("bad-1", {"bad": 1})

    def test_a_value_that_cannot_be_stored_is_refused_with_its_frame_only(self, world: World) -> None:
        drive, other = world.create("a"), world.create("b")
        for one in (drive, other):
            one.commit(started=[one.start("plan")])
        frames = [drive.next(**drive.finish("plan", '"\ud800"')), other.next(**other.finish("plan", '"x"'))]
        results = world.writer.commit(frames)
        assert [type(result) for result in results] == [BugError, type(None)]
        assert world.reader.outputs(drive.run) == []

    # --- The tree ---

    def test_the_tree_at_frame_k_is_what_stood_then(self, world: World) -> None:
        drive = world.create(ids=("a", "b"))
        drive.commit(mounted=[Mount("a.2", "a", 1, SPEC), Mount("a.1", "a", 0, SPEC)])
        # b moves to the front and changes; a.1 goes.
        moved = '{"kind":"task","label":"moved"}'
        drive.commit(unmounted=["a.1", "b"], mounted=[Mount("b", None, -1, moved)])
        drive.commit(mounted=[Mount("a.1", "a", 0, SPEC)])

        def tree(frame: int | None) -> list[str]:
            return [mount.node for mount in world.reader.mounts(drive.run, frame)]

        assert tree(1) == ["a", "b"]
        assert tree(2) == ["a", "a.1", "a.2", "b"]
        assert tree(3) == ["b", "a", "a.2"]
        assert tree(4) == tree(None) == ["b", "a", "a.1", "a.2"]
        (old,) = [mount for mount in world.reader.mounts(drive.run, 2) if mount.node == "b"]
        (new,) = [mount for mount in world.reader.mounts(drive.run, 3) if mount.node == "b"]
        assert (old.from_frame, old.to_frame, old.spec) == (1, 2, {"kind": "task"})
        assert (new.from_frame, new.to_frame, new.spec["label"]) == (3, None, "moved")

    def test_many_nodes_mounted_at_once_keep_their_names(self, world: World) -> None:
        ids = tuple(f"task:{n}" for n in range(500))
        drive = world.create(ids=ids)
        assert tuple(mount.node for mount in world.reader.mounts(drive.run)) == ids
        again = world.create("r2", ids=(*ids[:20], "new", *ids[20:40]))
        assert [mount.node for mount in world.reader.mounts(again.run)] == [*ids[:20], "new", *ids[20:40]]

    # --- Generations ---

    def test_readers_see_the_newest_generation_and_attempts_of_all(self, world: World) -> None:
        drive = world.create()
        drive.run_task("plan", '{"generation":0}')
        drive.run_task("draft", '{"generation":0}')
        drive.run_task("plan", '{"generation":1}', generation=1)
        bodies = {row.key.node: row.body for row in world.reader.outputs(drive.run)}
        assert bodies == {"plan": '{"generation":1}', "draft": '{"generation":0}'}
        assert {row.key.node: row.generation for row in world.reader.nodes(drive.run)} == {
            "plan": 1,
            "draft": 0,
        }
        assert [(row.key.node, row.generation) for row in world.reader.attempts(drive.run)] == [
            ("plan", 0), ("plan", 1), ("draft", 0)]  # fmt: skip

    def test_an_open_attempt_of_a_new_generation_makes_the_old_rows_history(self, world: World) -> None:
        drive = world.create()
        drive.run_task("plan", '{"generation":0}')
        drive.commit(started=[drive.start("plan", generation=1)])
        assert world.reader.nodes(drive.run) == []
        assert world.reader.outputs(drive.run) == []
        loaded = world.writer.load(drive.run)
        assert loaded.generations == {NodeKey("plan"): 1}
        assert (loaded.nodes, loaded.outputs) == ([], [])
        assert [(row.generation, row.attempt) for row in loaded.attempts] == [(1, 1)]

    # --- Loading ---

    def test_a_load_gives_what_a_resume_needs_and_no_history(self, world: World) -> None:
        drive = world.create(ids=("plan", "draft", "review"))
        drive.run_task("plan", '{"n":1}')
        drive.commit(started=[drive.start("draft")])
        at_ms = world.clock.now_ms()
        crashed = AttemptEnd(NodeKey("draft"), 0, 1, AttemptState.FAILED, at_ms, FailureClass.CRASH)
        drive.commit(ended=[crashed], wakeups=[Wakeup(NodeKey("draft"), "retry", at_ms + 5)])
        drive.commit(unmounted=["review"], passes=[PassEnd(NodeKey("l"), 0, Verdict.NEXT)])
        world.outsider.post(drive.run, InboxKind.PAUSE, "somebody")
        loaded = world.writer.load(drive.run)
        assert (loaded.run.seq, loaded.run.frame, loaded.run.fence) == (drive.seq, drive.frame, drive.fence)
        assert [row.key.node for row in loaded.nodes] == ["plan"]
        assert [(row.key.node, row.body) for row in loaded.outputs] == [("plan", '{"n":1}')]
        assert [(row.key.node, row.failure) for row in loaded.attempts] == [("draft", FailureClass.CRASH)]
        assert loaded.generations == {}
        assert [row.pass_ for row in loaded.passes] == [0]
        assert {row.node for row in loaded.mounts} == {"plan", "draft"}
        assert loaded.wakeups == [(NodeKey("draft"), "retry", at_ms + 5)]
        assert [row.kind for row in loaded.inbox] == [InboxKind.PAUSE]
        assert world.reader.inbox(drive.run) == loaded.inbox
        with pytest.raises(RunNotFound):
            world.writer.load(99)

    def test_heartbeat_data_reaches_the_next_attempt(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        world.writer.heartbeats([(drive.run, drive.fence, HeartbeatRow(NodeKey("plan"), 0, 1, '{"at":7}'))])
        (attempt,) = world.writer.load(drive.run).attempts
        assert attempt.heartbeat == {"at": 7}
        lost = AttemptEnd(NodeKey("plan"), 0, 1, AttemptState.LOST, 1, FailureClass.LOST, counted=False)
        drive.commit(ended=[lost])
        world.writer.heartbeats([(drive.run, drive.fence, HeartbeatRow(NodeKey("plan"), 0, 1, '{"at":9}'))])
        assert world.reader.attempts(drive.run)[0].heartbeat == {"at": 7}

    # --- Large bodies ---

    def test_a_large_output_comes_back_byte_for_byte_and_a_damaged_one_is_named(
        self, world: World, tmp_path: Path
    ) -> None:
        drive = world.create()
        body = '{"text":"' + "ü" * (BLOB_LIMIT_BYTES // 2) + '"}'
        drive.run_task("plan", body)
        drive.run_task("draft", '"small"')
        assert [row.body for row in world.reader.outputs(drive.run)] == [body, '"small"']
        assert [row.body for row in world.writer.load(drive.run).outputs] == [body, '"small"']
        (blob,) = (path for path in tmp_path.rglob("blobs/*/*"))
        assert blob.stat().st_mode & 0o777 == 0o600
        blob.write_text("something else")
        with pytest.raises(StoreCorrupt, match=blob.name):
            world.reader.outputs(drive.run)

    # --- Inbox ---

    def test_a_message_waits_until_a_frame_takes_it(self, world: World) -> None:
        drive, other = world.create("a"), world.create("b")
        world.writer.has_changed()  # what came before is no news
        first = world.outsider.post(drive.run, InboxKind.PAUSE, "cli", '{"why":"lunch"}')
        second = world.outsider.post(drive.run, InboxKind.CANCEL, "cli")
        assert world.writer.has_changed()
        assert not world.writer.has_changed()
        inbox = world.writer.inbox([drive.run, other.run])
        assert {run: [(row.id, row.kind) for row in rows] for run, rows in inbox.items()} == {
            drive.run: [(first, InboxKind.PAUSE), (second, InboxKind.CANCEL)]
        }
        assert inbox[drive.run][0].data == '{"why":"lunch"}'
        drive.commit(inbox_taken=[first])
        assert [row.id for row in world.writer.inbox([drive.run])[drive.run]] == [second]
        with pytest.raises(RunNotFound):
            world.outsider.post(99, InboxKind.CANCEL, "cli")

    def test_a_run_parks_over_a_message_that_it_leaves_to_the_next_owner(self, world: World) -> None:
        drive = world.create()
        kept = world.outsider.post(drive.run, InboxKind.CANCEL, "cli")
        other = world.outsider.post(drive.run, InboxKind.PAUSE, "cli")
        change = RunChange(RunState.PAUSED, release=True)
        (result,) = world.writer.commit([drive.next(run_change=change, inbox_kept=[kept])])
        assert isinstance(result, MessagesWaiting)
        drive.commit(run_change=change, inbox_kept=[kept], inbox_taken=[other])
        assert [row.id for row in world.writer.load(drive.run).inbox] == [kept]

    def test_a_run_does_not_park_over_an_unread_message(self, world: World) -> None:
        drive = world.create()
        message = world.outsider.post(drive.run, InboxKind.CANCEL, "cli")
        before = world.facts(drive.run)
        (result,) = world.writer.commit([drive.next(run_change=RunChange(RunState.PAUSED, release=True))])
        assert isinstance(result, MessagesWaiting)
        assert world.facts(drive.run) == before
        assert world.row(drive.run).health is OwnerHealth.ALIVE
        drive.commit(run_change=RunChange(RunState.PAUSED, release=True), inbox_taken=[message])
        assert world.row(drive.run).health is OwnerHealth.NONE

    # --- Leases ---

    def test_a_living_owner_is_not_robbed_and_the_refusal_says_who_it_is(self, world: World) -> None:
        drive = world.create("r1")
        world.clock.advance(4_200)
        other = world.leases.register_owner(TTL_MS).id
        with pytest.raises(
            RunOwned, match=rf"^r1 is driven by process {os.getpid()} on .+ \(4 s\)$"
        ) as caught:
            world.leases.claim(drive.run, other)
        assert caught.value.details == {"pid": os.getpid(), "host": os.uname().nodename, "age_ms": 4_200}
        assert "smithers logs r1 -f" in caught.value.hint
        assert world.row(drive.run).fence == 1

    def test_a_dead_owner_is_taken_over_at_once(self, world: World) -> None:
        drive = world.create()
        world.leases.end_owner(drive.owner)
        gone = world.leases_of(ended_process())
        gone.claim(drive.run, gone.register_owner(TTL_MS).id)
        assert world.row(drive.run).health is OwnerHealth.DEAD
        assert world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id) == 3
        assert world.row(drive.run).health is OwnerHealth.ALIVE

    def test_an_owner_that_died_before_it_drove_anything_is_forgotten_by_the_next(self, world: World) -> None:
        gone = world.leases_of(ended_process())
        dead = gone.register_owner(TTL_MS).id
        alive = world.leases.register_owner(TTL_MS).id
        world.leases.register_owner(TTL_MS)
        assert not gone.renew_owner(dead, TTL_MS)
        assert world.leases.renew_owner(alive, TTL_MS)

    def test_an_owner_of_another_machine_is_safe_until_five_seconds_after_its_lease(
        self, world: World
    ) -> None:
        drive = world.create()
        world.leases.end_owner(drive.owner)
        far = world.leases_of(Identity("far", "another boot", "pid:[1]", 7, 7))
        far.claim(drive.run, far.register_owner(TTL_MS).id)
        here = world.leases.register_owner(TTL_MS).id
        world.clock.advance(TTL_MS + 4_999)
        with pytest.raises(RunOwned, match="process 7 on far"):
            world.leases.claim(drive.run, here)
        world.clock.advance(1)
        assert world.leases.claim(drive.run, here) == 3

    def test_renewing_keeps_a_lease_and_says_when_it_is_gone(self, world: World) -> None:
        drive = world.create()
        world.clock.advance(TTL_MS - 1)
        assert world.leases.renew_owner(drive.owner, TTL_MS)
        world.clock.advance(TTL_MS - 1)
        assert world.row(drive.run).health is OwnerHealth.ALIVE
        world.clock.advance(1)
        assert world.row(drive.run).health is OwnerHealth.EXPIRED
        world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id)
        # It held nothing else: its row went with the run.
        assert not world.leases.renew_owner(drive.owner, TTL_MS)

    def test_an_expired_owner_that_holds_another_run_stays_on_record(self, world: World) -> None:
        drive = world.create("a")
        first = FrameWrite(0, 0, 1, 0, 0, 0, world.clock.now_ms())
        create_run(world.writer, NewRun("b", "flow", "f", "{}", {}, world.clock.now_ms(), drive.owner), first)
        world.clock.advance(TTL_MS)
        world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id)
        assert world.leases.renew_owner(drive.owner, TTL_MS)
        assert world.reader.run("b").health is OwnerHealth.ALIVE

    def test_an_owner_id_is_never_given_out_again(self, world: World) -> None:
        first = world.leases.register_owner(TTL_MS)
        world.leases.end_owner(first.id)
        assert world.leases.register_owner(TTL_MS).id > first.id
        assert not world.leases.renew_owner(first.id, TTL_MS)

    def test_a_clean_leave_frees_the_runs_and_a_late_release_touches_nobody(self, world: World) -> None:
        drive = world.create()
        world.leases.end_owner(drive.owner)
        assert world.row(drive.run).health is OwnerHealth.NONE
        world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id)
        world.leases.release(drive.run, drive.fence)
        assert world.row(drive.run).health is OwnerHealth.ALIVE
        with pytest.raises(RunOwned):
            world.leases.claim(drive.run, drive.owner)

    def test_who_is_not_on_record_claims_nothing(self, world: World) -> None:
        drive = world.create()
        world.leases.end_owner(drive.owner)
        with pytest.raises(LeaseLost):
            world.leases.claim(drive.run, drive.owner)
        with pytest.raises(RunNotFound):
            world.leases.claim(99, world.leases.register_owner(TTL_MS).id)

    # --- Faults ---

    def test_a_crash_between_any_two_statements_leaves_a_prefix_and_a_retry_completes_it(
        self, tmp_path: Path
    ) -> None:
        final: list[list[list[object]]] = []
        at, has_crashed = 0, True
        while has_crashed:
            world = World(lambda clock, at=at: self.open(tmp_path / str(at), clock))  # type: ignore[misc]
            drives = [world.create(name) for name in ("a", "b")]
            for drive in drives:
                drive.commit(started=[drive.start("plan")])
            before = [world.facts(drive.run) for drive in drives]
            frames = [
                drive.next(
                    **drive.finish("plan", '{"n":1}'),
                    started=[drive.start("draft")],
                    mounted=[Mount("late", None, 7, '{"late":1}')],
                    wakeups=[Wakeup(NodeKey("late"), "retry", 9)],
                )
                for drive in drives
            ]
            countdown = iter(range(at, -1, -1))

            def fall(sql: str, values: object, countdown: Iterator[int] = countdown) -> None:
                if next(countdown, -1) <= 0:
                    raise Crash

            failing = self.failing_writer(world.store, Fault(statement=fall))
            try:
                has_crashed = failing.commit(frames) != [None, None]
            except Crash:
                has_crashed = True
            self.abandon(failing)
            after = [world.facts(drive.run) for drive in drives]
            if has_crashed:
                assert after == before, f"statement {at} was stored alone"
                assert world.writer.commit(frames) == [None, None]
                after = [world.facts(drive.run) for drive in drives]
            final.append(after)
            world.close()
            at += 1
        assert at > 20
        assert all(facts == final[-1] for facts in final)

    def test_a_commit_that_raised_but_was_stored_is_unknown_and_found_by_a_load(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        failing = self.failing_writer(world.store, Fault(after_commit=self.disk_error()))
        with pytest.raises(CommitUnknown):
            failing.commit([drive.next(**drive.finish("plan", "{}"), mounted=[Mount("n1", None, 8, SPEC)])])
        loaded = failing.load(drive.run)
        assert [row.key.node for row in loaded.nodes] == ["plan"]
        drive.frame, drive.seq = loaded.run.frame, loaded.run.seq
        assert failing.commit([drive.next(mounted=[Mount("n2", None, 9, SPEC)])]) == [None]
        assert [row.node for row in world.reader.mounts(drive.run)] == ["plan", "draft", "n1", "n2"]
        failing.close()

    def test_a_commit_that_raised_and_was_not_stored_can_be_made_again(self, world: World) -> None:
        drive = world.create()
        errors = iter([self.disk_error()])

        def fail_once(sql: str, values: object) -> None:
            if sql == "COMMIT":
                for error in errors:
                    raise error

        failing = self.failing_writer(world.store, Fault(statement=fail_once))
        frame = drive.next(mounted=[Mount("n1", None, 8, '{"n":1}')])
        with pytest.raises(CommitUnknown):
            failing.commit([frame])
        assert failing.load(drive.run).run.frame == 1
        # Another process stores other words meanwhile: remembered ids would now mean those.
        other = world.create("r2", ids=("x1", "x2", "x3"))
        assert failing.commit([frame]) == [None]
        assert [row.node for row in world.reader.mounts(drive.run)] == ["plan", "draft", "n1"]
        assert [row.node for row in world.reader.mounts(other.run)] == ["x1", "x2", "x3"]
        assert world.reader.mounts(drive.run)[-1].spec == {"n": 1}
        failing.close()

    def test_a_fault_of_the_store_in_a_group_stops_only_the_frame_that_meets_it(self, world: World) -> None:
        drives = [world.create(name) for name in ("a", "b", "c")]

        def full_for_one(sql: str, values: object) -> None:
            if "poison" in str(values):
                raise self.full_disk()

        failing = self.failing_writer(world.store, Fault(statement=full_for_one))
        frames = [drive.next(mounted=[Mount("fine", None, 3, SPEC)]) for drive in drives]
        frames[1].mounted.append(Mount("poison", None, 4, SPEC))
        results = failing.commit(frames)
        assert [type(result) for result in results] == [type(None), StoreFull, type(None)]
        assert [world.row(drive.run).frame for drive in drives] == [2, 1, 2]
        assert [row.node for row in world.reader.mounts(drives[2].run)] == ["plan", "draft", "fine"]
        failing.close()

    def test_a_passing_fault_costs_a_group_nothing(self, world: World) -> None:
        drives = [world.create(name) for name in ("a", "b")]
        errors = iter([self.full_disk()])

        def full_once(sql: str, values: object) -> None:
            if "fine-b" in str(values):
                for error in errors:
                    raise error

        failing = self.failing_writer(world.store, Fault(statement=full_once))
        frames = [
            drive.next(mounted=[Mount(f"fine-{name}", None, 3, SPEC)])
            for drive, name in zip(drives, "ab", strict=True)
        ]
        assert failing.commit(frames) == [None, None]
        assert [row.node for row in world.reader.mounts(drives[1].run)] == ["plan", "draft", "fine-b"]
        failing.close()

    # --- Processes ---

    def test_a_program_is_recorded_for_an_open_attempt_of_the_present_owner(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        with closing(world.store.ledger()) as ledger:
            row = ledger.open(drive.program("plan"))
            ((found, health),) = ledger.open_rows(drive.run)
            assert (found.id, found.key, found.attempt, found.pid, found.mark) == (
                row, NodeKey("plan"), 1, 4711, "store:r1:plan")  # fmt: skip
            assert (found.started_ms, found.ended_ms) == (world.clock.now_ms(), None)
            assert health is OwnerHealth.ALIVE
            assert world.reader.processes(drive.run) == [found]
            assert world.reader.open_processes() == [(found, health)]
            world.clock.advance(5)
            ledger.close_row(row, -9)
            ledger.close_row(row, 0)
            (closed,) = world.reader.processes(drive.run)
            assert closed == found._replace(ended_ms=world.clock.now_ms(), status=-9)
            assert ledger.open_rows() == world.reader.open_processes() == []

    def test_without_the_fence_or_an_open_attempt_no_program_is_recorded(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        with closing(world.store.ledger()) as ledger:
            for wrong in (
                drive.program("plan")._replace(fence=drive.fence + 1),
                drive.program("plan")._replace(attempt=2),
                drive.program("plan")._replace(generation=1),
                drive.program("draft"),
                drive.program("nobody"),
            ):
                with pytest.raises(LeaseLost):
                    ledger.open(wrong)
            drive.commit(**drive.finish("plan", "{}"))
            with pytest.raises(LeaseLost):
                ledger.open(drive.program("plan"))
            drive.commit(started=[drive.start("draft")])
            world.clock.advance(TTL_MS)
            world.leases.claim(drive.run, world.leases.register_owner(TTL_MS).id)
            with pytest.raises(LeaseLost):
                ledger.open(drive.program("draft"))
            assert ledger.open_rows() == []

    def test_a_program_outlives_the_record_of_its_owner(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        with closing(world.store.ledger()) as ledger:
            ledger.open(drive.program("plan"))
            world.leases.end_owner(drive.owner)
            assert [health for _, health in ledger.open_rows()] == [OwnerHealth.NONE]
            assert ledger.open_rows(drive.run + 1) == []

    def test_a_ledger_writes_while_others_do(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        with closing(world.store.ledger()) as ledger:
            for n in range(50):
                row = ledger.open(drive.program("plan"))
                drive.commit(mounted=[Mount(f"n{n}", None, n, SPEC)])
                ledger.close_row(row, 0)
        assert len(world.reader.processes(drive.run)) == 50

    # --- The end ---

    def test_what_was_acknowledged_is_there_after_a_clean_close(self, tmp_path: Path) -> None:
        world = World(lambda clock: self.open(tmp_path, clock))
        drive = world.create()
        drive.run_task("plan", '{"n":1}')
        world.writer.idle()
        before = world.facts(drive.run)
        world.close()
        again = World(lambda clock: self.open(tmp_path, clock))
        assert again.facts(drive.run) == before
        again.close()
