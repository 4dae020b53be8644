"""Programs of agents that misbehave: the right class, in bounded time and memory, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from smithers.agents import ClaudeCode
from smithers.agents.cli import conversation
from smithers.errors import AgentError
from smithers.ports import AgentReply
from tests.chaos.rogue import DRAIN_S, GRACE_S, LEAVE_S, ROGUES, Rogue
from tests.contract import claude_words as claude
from tests.contract.stage import Stage
from tests.unit.process.family import lives

CALLS = 200
BUSY = 3.0
"""How many times as long things may take where other work goes on."""


@pytest.fixture(name="stage")
def _stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.close()


def agent(path: Path, rogue: Rogue | None = None) -> ClaudeCode:
    if rogue is None:
        return ClaudeCode(binary=str(path), start_timeout=30, idle_timeout=30)
    return ClaudeCode(
        binary=str(path), start_timeout=rogue.silence, idle_timeout=rogue.silence, timeout=rogue.timeout
    )


class Peak:
    """How much memory this process takes more than before, at the worst, in MB."""

    def __init__(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._field("VmRSS")

    def more(self) -> float:
        return self._field("VmHWM") - self._before

    def _field(self, name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def test_the_clocks_are_those_that_these_tests_wait_for() -> None:
    assert (conversation.GRACE_S, conversation.LEAVE_S, conversation.DRAIN_S) == (GRACE_S, LEAVE_S, DRAIN_S)


@pytest.mark.parametrize("rogue", ROGUES, ids=str)
def test_a_program_that_misbehaves_comes_to_its_class_in_time_and_leaves_nothing(
    stage: Stage, tmp_path: Path, quick: bool, rogue: Rogue
) -> None:
    if quick and rogue.within_s > LEAVE_S:
        pytest.skip("it takes its time")
    asked = agent(rogue.install(tmp_path), rogue)
    peak, begun = Peak(), time.monotonic()
    outcome: AgentReply | AgentError
    try:
        # Asserts that nothing of its tree is left. Its events are forgotten: a flood of them would be ours.
        outcome = stage.ask(asked, "x" * rogue.prompt_bytes, emit=lambda event: None)
    except AgentError as error:
        outcome = error
    took, more = time.monotonic() - begun, peak.more()
    print(f"\n{rogue}: {took:.1f} s, {more:.0f} MB more: {outcome!r:.120}")
    left = [path.stem for path in tmp_path.glob("*.pid") if lives(int(path.stem))]
    assert left == []
    if rogue.error is None:
        assert isinstance(outcome, AgentReply)
        assert outcome.text.strip("x") in ("done", "")
    else:
        assert type(outcome) is rogue.error
        assert rogue.says in str(outcome)
    assert took < rogue.within_s * BUSY
    assert rogue.more_mb is None or more < rogue.more_mb


def test_what_gets_away_from_every_proof_does_not_keep_the_call(stage: Stage, tmp_path: Path) -> None:
    """In a session of its own, its parents gone and its environment empty: nobody can know whose it is."""
    rogue = Rogue(
        "escapes",
        "child(os.setsid, fork_away, note, lambda: os.execve('/bin/sleep', ['sleep', '100'], {}))\n"
        "time.sleep(0.5)\nsay(SUCCESS)",
    )
    begun = time.monotonic()
    reply = stage.ask(agent(rogue.install(tmp_path)))
    took = time.monotonic() - begun
    for path in tmp_path.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(path.stem), signal.SIGKILL)
    assert reply.text == "done"
    assert took < (DRAIN_S + 2) * BUSY


@pytest.mark.parametrize("result", ["none", "success", "failure"])
def test_every_exit_status_counts_for_nothing_beside_what_was_said(
    stage: Stage, tmp_path: Path, quick: bool, result: str
) -> None:
    said = {
        "none": claude.lines(claude.init(), claude.said("I am done.")),
        "success": claude.lines(claude.said("done"), claude.result("done")),
        "failure": claude.refused("API Error: 529 Overloaded.", "server_error", 529),
    }[result]
    (tmp_path / "said").write_text(said)
    path = tmp_path / "says"
    path.write_text(f"#!/bin/sh\ncat {tmp_path}/said; exit $STATUS\n")
    path.chmod(0o755)
    found = set()
    for status in range(0, 256, 16 if quick else 1):
        asked = ClaudeCode(binary=str(path), env={"STATUS": str(status)})
        try:
            found.add(stage.ask(asked).text)
        except AgentError as error:
            found.add(error.code)
    assert found == {{"none": "AGENT_FAILED", "success": "done", "failure": "AGENT_THROTTLED"}[result]}


def test_hundreds_of_calls_leave_no_descriptor_no_thread_and_no_file(
    stage: Stage, tmp_path: Path, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all kinds, four at a time: read out, refused, ended, cancelled, and not begun."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    codes = {
        "good": "say(SUCCESS)",
        "mute": "pass",
        "bad": "say(b'\\xff\\x00\\n' * 100)",
        "stalls": "say(INIT); child(note); hang()",
        "cancelled": "say(INIT); child(os.setsid, note); hang()",
    }
    paths = {}
    for name, code in codes.items():
        (tmp_path / name).mkdir()
        paths[name] = Rogue(name, code).install(tmp_path / name)
    paths["missing"] = tmp_path / "missing"
    silence = {"stalls": 0.2}

    async def call(name: str) -> None:
        asked = ClaudeCode(binary=str(paths[name]), idle_timeout=silence.get(name, 60))
        calling = asyncio.ensure_future(asked.call(stage.request()))
        if name == "cancelled":
            await asyncio.sleep(0.1 * (len(stage.children) % 4))  # at any moment, before its start too
            calling.cancel()
        with suppress(AgentError, asyncio.CancelledError):
            await calling

    async def lane(names: list[str]) -> None:
        for name in names:
            await call(name)

    async def some(count: int) -> None:
        names = [list(paths)[number % len(paths)] for number in range(count)]
        await asyncio.gather(*(lane(names[start::4]) for start in range(4)))

    asyncio.run(some(24))  # what is opened once, and the threads that stay
    before = _held()
    asyncio.run(some(40 if quick else CALLS))
    stage.events.clear()
    after = _held()
    print(f"\ndescriptors and threads before and after: {before}, {after}")
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 4  # as many at once as ever were
    assert stage.survivors() == []
    assert list(temporary.iterdir()) == []


def _held() -> tuple[int, int]:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_a_cancel_at_any_moment_leaves_nothing(stage: Stage, tmp_path: Path, quick: bool) -> None:
    path = Rogue("busy", "child(note); say(INIT); time.sleep(0.05); say(SUCCESS)").install(tmp_path)

    async def cancelled(after_s: float) -> None:
        calling = asyncio.ensure_future(agent(path).call(stage.request()))
        await asyncio.sleep(after_s)
        calling.cancel()
        await asyncio.sleep(0)
        calling.cancel()  # by two at once
        with suppress(asyncio.CancelledError):
            await calling
        assert stage.survivors() == []

    for number in range(0, 150, 10 if quick else 1):
        asyncio.run(cancelled(number / 1000))
