"""What a fold is told of a program's standard error, where it wants to hear it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from smithers.agents.cli import CliAgent, Ending, Invocation
from smithers.errors import AgentQuota, AgentStalled
from smithers.ports import AgentEvent, AgentReply, AgentRequest, NoticeEvent
from tests.unit.agents.watched import Watched


class Listening:
    """Raises at a word that means that nothing will come of it."""

    is_over = False

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        yield NoticeEvent("event")

    def line(self, text: str) -> Iterator[AgentEvent]:
        if text == "quota":
            raise AgentQuota("used up")
        yield NoticeEvent(text)

    def finish(self, ending: Ending) -> AgentReply:
        return AgentReply(f"stderr: {ending.stderr.strip()}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Shell(CliAgent):
    kind: ClassVar[str] = "shell"
    program: ClassVar[str] = "sh"
    install: ClassVar[str] = "none"
    sign_in: ClassVar[str] = "none"

    hears_stderr: bool = True

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        env = self.environment(request, {})
        return Invocation(("sh", "-c", request.prompt), env, hears_stderr=self.hears_stderr)

    def fold(self, request: AgentRequest) -> Listening:
        return Listening()


@pytest.fixture
def calls() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


def test_its_lines_are_told_the_last_one_too(calls: Watched) -> None:
    called = calls.ask(Shell(), "printf 'one\\n{\"a\": 1}\\ntwo' >&2")
    assert [event.text for event in called.told(NoticeEvent)] == ["one", '{"a": 1}', "two"]
    assert called.answer.text == 'stderr: one\n{"a": 1}\ntwo'


def test_they_are_not_told_where_nobody_wants_them(calls: Watched) -> None:
    called = calls.ask(Shell(hears_stderr=False), "echo quota >&2")
    assert (called.answer.text, called.events) == ("stderr: quota", [])


def test_a_call_that_is_lost_by_them_ends_at_once(calls: Watched) -> None:
    called = calls.ask(Shell(), "echo quota >&2; sleep 100")
    assert isinstance(called.failure, AgentQuota)
    assert calls.survivors == []


def test_they_are_no_sign_of_life(calls: Watched) -> None:
    called = calls.ask(Shell(idle_timeout=0.5), "echo begun; while :; do echo again >&2; sleep 0.1; done")
    assert isinstance(called.failure, AgentStalled)
