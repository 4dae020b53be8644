"""An agent that is a program: what the port gives it, and what becomes of the program."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from smithers import AgentReply, AgentRequest, Context, Node, Parallel, Task
from smithers.errors import AgentAuth, OutsideTask, ProcessCrashed
from smithers.ids import NodeKey
from smithers.ports import Child, Program
from smithers.records import AttemptState, FailureClass
from tests.unit.engine.play import Play, Word
from tests.unit.process.family import lives, until


class Shell:
    """Answers with what a shell prints for its prompt. The smallest driver there can be."""

    name = "shell"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []

    async def call(self, request: AgentRequest) -> AgentReply:
        program = Program(["sh", "-c", request.prompt], cwd=self.folder, stdin="pipe")
        child = await asyncio.to_thread(request.spawn, program)
        self.children.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        text = await asyncio.to_thread(child.stdout.read)
        found = await asyncio.wrap_future(child.ended)
        assert found.status == 0
        return AgentReply(output={"text": text.decode()})


@pytest.fixture
def play(tmp_path: Path) -> Any:
    found = Play(tmp_path / "smithers.db")
    yield found
    found.close()


def test_an_agent_starts_programs_for_its_attempt(play: Play, tmp_path: Path) -> None:
    def flow(ctx: Context) -> Node:
        return Task("a", Word, agent=Shell(tmp_path), prompt="pwd; printf $SMITHERS_ATTEMPT")

    folder, mark = play.run(flow).output["text"].split("\n")
    assert folder == str(tmp_path)
    assert ":r:a::0:0:1:" in mark
    with play.reader() as reader:
        (row,) = reader.processes(reader.run("r").id)
    assert (row.mark, row.program, row.status, row.key) == (mark, "sh", 0, NodeKey("a"))


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_its_programs_end_with_the_attempt(play: Play, tmp_path: Path, how: str) -> None:
    shell = Shell(tmp_path)
    asleep = "(setsid sleep 100 &) ; echo $$ > pid; trap '' TERM; sleep 100"

    def fails() -> Word:
        until((tmp_path / "pid").exists)
        raise TypeError("enough")

    def flow(ctx: Context) -> Node:
        timeout: dict[str, Any] = {"timeout": 1.0} if how == "timeout" else {}
        works = Task("a", Word, agent=shell, prompt=asleep, retries=0, **timeout)
        if how == "timeout":
            return works
        return Parallel(works, Task("b", Word, run=fails, retries=0), on_failure="cancel")

    assert play.run(flow).status == "failed"
    (attempt,) = play.attempts("a")
    if how == "timeout":
        assert attempt.failure is FailureClass.TIMEOUT
    else:
        assert attempt.state is AttemptState.CANCELLED
    (child,) = shell.children
    assert not lives(child.trace.pid)
    with play.reader() as reader:
        assert reader.open_processes() == []
    assert _marked(child.trace.mark) == []


def test_the_next_agent_of_a_list_does_not_meet_the_programs_of_the_one_before(
    play: Play, tmp_path: Path
) -> None:
    class SignedOut(Shell):
        async def call(self, request: AgentRequest) -> AgentReply:
            child = await asyncio.to_thread(request.spawn, Program(["sleep", "100"]))
            self.children.append(child)
            raise AgentAuth("not signed in")

    first = SignedOut(tmp_path)

    class Second(Shell):
        async def call(self, request: AgentRequest) -> AgentReply:
            return AgentReply(output={"text": str(lives(first.children[0].trace.pid))})

    def flow(ctx: Context) -> Node:
        return Task("a", Word, agent=[first, Second(tmp_path)], prompt="x")

    assert play.run(flow).output == {"text": "False"}


def test_a_program_that_is_started_while_its_attempt_is_cancelled_ends_too(
    play: Play, tmp_path: Path
) -> None:
    late: list[BaseException | Child] = []

    class Hasty(Shell):
        async def call(self, request: AgentRequest) -> AgentReply:
            def spawn() -> None:
                until((tmp_path / "cancelled").exists)
                try:
                    late.append(request.spawn(Program(["sleep", "100"])))
                except BaseException as error:  # noqa: BLE001 - that is what is looked at
                    late.append(error)

            thread = threading.Thread(target=spawn)
            thread.start()
            try:
                await asyncio.sleep(100)
            finally:
                (tmp_path / "cancelled").touch()
            return AgentReply()

    def flow(ctx: Context) -> Node:
        return Task("a", Word, agent=Hasty(tmp_path), prompt="x", retries=0, timeout=0.3)

    assert play.run(flow).status == "failed"
    until(lambda: bool(late))
    (found,) = late
    if isinstance(found, BaseException):
        assert isinstance(found, ProcessCrashed)
    else:
        until(lambda: not lives(found.trace.pid))


def _marked(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SMITHERS_ATTEMPT={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if lives(pid) and pid != os.getpid()]


def test_outside_an_attempt_there_is_nothing_to_start_with() -> None:
    request = AgentRequest("x", None, NodeKey("a"), "r", 1)
    with pytest.raises(OutsideTask):
        request.spawn(Program(["true"]))
