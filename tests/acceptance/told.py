"""Runs written into a real store through its writer, as an engine would, at any time and with any outcome."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from smithers.clock import SystemClock
from smithers.ids import NodeKey
from smithers.records import (
    AttemptEnd,
    AttemptStart,
    AttemptState,
    EventRow,
    EventType,
    FailureClass,
    FrameWrite,
    HeartbeatRow,
    Mount,
    NewRun,
    NodeEnd,
    NodeState,
    OutputRef,
    OutputRow,
    PassEnd,
    RunChange,
    RunRow,
    RunState,
    Verdict,
    Wakeup,
)
from smithers.store import Store, open_store, this_process
from smithers.store.connection import open_writable
from smithers.store.lease import SqliteLeases


class Teller:
    """A store, and an owner that writes runs into it."""

    def __init__(self, store: Store, owner_pid: int | None = None) -> None:
        """Args: owner_pid: of a process that is not there, to leave orphans behind."""
        self.store = store
        self.writer = store.writer()
        here = this_process()
        if owner_pid is not None:
            here = replace(here, pid=owner_pid)
        connection = open_writable(store.path, store.clock, create=False, busy_timeout_ms=0)
        self._leases = SqliteLeases(connection, store.path, store.clock, here=here)
        self.owner = self._leases.register_owner(3_600_000)

    def close(self) -> None:
        self.writer.close()
        self._leases.close()


@contextmanager
def teller(path: Path, owner_pid: int | None = None) -> Iterator[Teller]:
    """A teller at a database file, which is made if it is not there."""
    found = Teller(open_store(path, clock=SystemClock()), owner_pid)
    try:
        yield found
    finally:
        found.close()


class Told:
    """One run. Times are seconds ago."""

    def __init__(
        self,
        teller: Teller,
        name: str,
        *,
        ago: float = 60,
        tree: dict[str, Any] | None = None,
        given: Any = None,
    ) -> None:
        self._teller = teller
        self._now_ms = SystemClock().now_ms()
        self.name = name
        self._frame = self._blank(1, 0)
        self._attempts: dict[NodeKey, int] = {}
        self._frame.at_ms = self._at(ago)
        self._frame.rendered = True
        for node, spec in (tree or {}).items():
            self._mount(node, **spec)
        self.event(EventType.RUN_STARTED)
        new = NewRun(
            name,
            "ship_it",
            "flows/ship.py:ship_it",
            json.dumps(given or {"goal": "ship it"}),
            {},
            self._at(ago),
            teller.owner.id,
        )
        self._frame.used = 2
        self._frame.creates = new
        assert teller.writer.commit([self._frame]) == [None]
        self.row: RunRow = teller.writer.load(self._frame.run).run
        self._seq = 2
        self._frame = self._blank(2, self._seq)

    def _at(self, ago: float) -> int:
        return self._now_ms - round(ago * 1000)

    def _blank(self, frame: int, seq: int) -> FrameWrite:
        run = self.row if frame > 1 else None
        return FrameWrite(
            run=run.id if run else 0, fence=run.fence if run else 0, frame=frame, parent=frame - 1, seq=seq,
            used=0, at_ms=self._now_ms,
        )  # fmt: skip

    def _mount(self, node: str, parent: str | None = None, kind: str = "task", **spec: Any) -> None:
        position = sum(1 for row in self._frame.mounted if row.parent == parent)
        self._frame.mounted.append(Mount(node, parent, position, json.dumps({"kind": kind, **spec})))

    def event(self, type_: EventType, key: NodeKey | None = None, attempt: int = 0, data: Any = None) -> None:
        self._frame.used += 1
        seq = self._frame.seq + self._frame.used
        text = None if data is None else json.dumps(data)
        self._frame.events.append(EventRow(seq, type_, self._frame.at_ms, key, attempt, text))

    def start(self, node: str, *, ago: float, iteration: int = 0, agent: str | None = "claude-code") -> None:
        key = NodeKey(node, "", iteration)
        number = self._attempts[key] = self._attempts.get(key, 0) + 1
        self._frame.at_ms = self._at(ago)
        self._frame.started.append(AttemptStart(key, 0, number, self._frame.seq, self._at(ago), agent))
        self.event(EventType.NODE_STARTED, key, number)
        self.commit()

    def finish(
        self, node: str, output: Any = None, *, ago: float, took: float = 3, iteration: int = 0
    ) -> None:
        self.start(node, ago=ago + took, iteration=iteration)
        key = NodeKey(node, "", iteration)
        number = self._attempts[key]
        self._frame.at_ms = self._at(ago)
        self._frame.ended.append(AttemptEnd(key, 0, number, AttemptState.FINISHED, self._at(ago)))
        self._frame.settled.append(NodeEnd(key, 0, NodeState.FINISHED, number))
        self.event(EventType.NODE_FINISHED, key, number)
        self._frame.used += 1
        body = output if isinstance(output, str) else json.dumps(output or {"summary": f"{node} is done"})
        seq = self._frame.seq + self._frame.used
        self._frame.outputs.append(OutputRow(key, 0, seq, "Draft", body))
        self.commit()

    def fail(
        self,
        node: str,
        message: str,
        *,
        ago: float,
        took: float = 3,
        iteration: int = 0,
        due: float | None = None,
        code: str = "TASK_FAILED",
        reason: str | None = None,
    ) -> None:
        """An attempt that fails: for good, or with a retry `due` seconds from now."""
        self.start(node, ago=ago + took, iteration=iteration)
        key = NodeKey(node, "", iteration)
        number = self._attempts[key]
        error = {
            "code": code,
            "message": message,
            "hint": "see what happened with `smithers logs RUN`; resume retries what failed",
            "place": "flows/ship.py:12",
        }
        self._frame.at_ms = self._at(ago)
        self._frame.ended.append(
            AttemptEnd(
                key,
                0,
                number,
                AttemptState.FAILED,
                self._at(ago),
                FailureClass.CRASH,
                error=json.dumps(error),
            )
        )
        if due is None:
            self._frame.settled.append(NodeEnd(key, 0, NodeState.FAILED, number, reason))
            self.event(EventType.NODE_FAILED, key, number, {"error": error})
        else:
            self._frame.wakeups.append(Wakeup(key, "retry", self._now_ms + round(due * 1000)))
            self.event(EventType.NODE_RETRYING, key, number, {"error": error, "due_ms": self._frame.at_ms})
        self.commit()

    def skip(self, node: str, reason: str, *, ago: float) -> None:
        key = NodeKey(node)
        self._frame.at_ms = self._at(ago)
        self._frame.settled.append(NodeEnd(key, 0, NodeState.SKIPPED, 0, reason))
        self.event(EventType.NODE_SKIPPED, key, data={"reason": reason})
        self.commit()

    def judge(self, loop: str, pass_: int, verdict: Verdict = Verdict.NEXT, *, ago: float) -> None:
        key = NodeKey(loop)
        self._frame.at_ms = self._at(ago)
        self._frame.passes.append(PassEnd(key, pass_, verdict))
        self.event(EventType.PASS_ENDED, key, data={"pass": pass_, "verdict": verdict.name.lower()})
        self.commit()

    def heartbeat(self, node: str, data: Any) -> None:
        key = NodeKey(node)
        row = HeartbeatRow(key, 0, self._attempts[key], json.dumps(data))
        self._teller.writer.heartbeats([(self.row.id, self.row.fence, row)])

    def wait(self) -> None:
        self._frame.run_change = RunChange(RunState.WAITING)
        self.event(EventType.RUN_WAITING)
        self.commit()

    def end(
        self,
        state: RunState,
        *,
        ago: float = 0,
        error: Any = None,
        output: str | None = None,
        iteration: int = 0,
    ) -> None:
        self._frame.at_ms = self._at(ago)
        ref = OutputRef(NodeKey(output, "", iteration), 0) if output else None
        text = None if error is None else json.dumps(error)
        self._frame.run_change = RunChange(state, error=text, output=ref, release=True)
        self.event(EventType[f"RUN_{state.name}"])
        self.commit()

    def commit(self) -> None:
        [error] = self._teller.writer.commit([self._frame])
        if error is not None:
            raise error
        self._seq += self._frame.used
        self._frame = self._blank(self._frame.frame + 1, self._seq)


LOOP_TREE: dict[str, Any] = {
    "main": {"kind": "sequence"},
    "plan": {"parent": "main", "label": "Plan the work"},
    "loop:draft": {"parent": "main", "kind": "loop", "max_iterations": 5},
    "draft": {"parent": "loop:draft"},
    "review": {"parent": "loop:draft"},
    "checks": {"parent": "main", "kind": "parallel"},
    "lint": {"parent": "checks"},
    "tests": {"parent": "checks"},
    "publish": {"parent": "main"},
}
"""A tree with one of each kind."""


def dead_pid() -> int:
    """A pid that no process has."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def tell_all(path: Path) -> None:
    """One run of each status in a store at `path`; oldest first."""
    with teller(path) as here, teller(path, dead_pid()) as gone:
        run = Told(here, "bold-fox-1f3", ago=7200, tree=LOOP_TREE)
        run.finish("plan", ago=7100)
        run.finish("draft", ago=7000)
        run.finish("review", {"approved": True}, ago=6900)
        run.judge("loop:draft", 0, Verdict.UNTIL, ago=6899)
        run.finish("lint", ago=6800)
        run.finish("tests", ago=6800)
        run.finish("publish", {"url": "https://example.test/1", "cost": 1.50}, ago=6700)
        run.end(RunState.FINISHED, ago=6700, output="publish")

        run = Told(here, "red-owl-0aa", ago=5000, tree=LOOP_TREE)
        run.finish("plan", ago=4990)
        run.end(RunState.CANCELLED, ago=4900)

        run = Told(here, "calm-newt-77b", ago=4000, tree={"lint": {}, "publish": {}, "tidy": {}})
        run.fail("lint", "no linter here", ago=3990, reason="continued")
        run.skip("publish", "upstream failed: lint", ago=3989)
        run.finish("tidy", ago=3980)
        run.end(RunState.PARTIAL, ago=3980)

        run = Told(here, "eager-yak-04b", ago=3000, tree=LOOP_TREE, given={"goal": "ship " * 40})
        run.finish("plan", ago=2990)
        run.fail(
            "draft",
            "connection refused by api.example.test:443 while the model answered\n  more",
            ago=2980,
            due=0,
        )
        run.fail(
            "draft", "connection refused by api.example.test:443 while the model answered\n  more", ago=2970
        )
        run.end(
            RunState.FAILED,
            ago=2970,
            error={"code": "TASK_FAILED", "message": "draft failed", "details": {"node": "draft"}},
        )

        run = Told(here, "neat-crow-9d1", ago=900, tree=LOOP_TREE)
        run.finish("plan", ago=890)
        run.end(RunState.PAUSED, ago=880)

        run = Told(gone, "warm-pike-2c0", ago=600, tree=LOOP_TREE)
        run.finish("plan", ago=590)
        run.start("draft", ago=580)

        run = Told(here, "shy-seal-5e5", ago=300, tree=LOOP_TREE)
        run.finish("plan", ago=290)
        run.fail("draft", "overloaded", ago=10, due=47, code="AGENT_THROTTLED")
        run.wait()

        run = Told(here, "swift-otter-3f2", ago=200, tree=LOOP_TREE)
        run.finish("plan", ago=190)
        run.finish("draft", ago=150, took=30)
        run.finish("review", {"approved": False}, ago=130)
        run.judge("loop:draft", 0, ago=130)
        run.fail("draft", "the model went away", ago=110, due=0, iteration=1)
        run.start("draft", ago=100, iteration=1)
