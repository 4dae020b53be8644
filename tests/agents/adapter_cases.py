"""What every adapter keeps with its real program, against a model server."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentSessionLost, AgentStalled, AgentThrottled
from smithers.ports import TextEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from tests.agents import model_server as model
from tests.agents.calling import Called, caller
from tests.agents.home import Account
from tests.agents.model_server import ModelServer, Output, says
from tests.agents.stage import make_repository


class Verdict(BaseModel):
    """A schema that an answer is held to."""

    ok: bool
    note: str


class AdapterCases(ABC):
    """Subclass it, name it `Test…`, and say how the agent is made."""

    name: ClassVar[str]
    """Of the program, as `tests.agents.installed` has it."""
    writer: ClassVar[str]
    """Its tool that writes a file."""
    has_usage: ClassVar[bool] = True
    unknown: ClassVar[str]
    """A session that there never was, in the shape of one."""
    silence_s: ClassVar[float] = 4.0
    """Longer than it is silent while it works."""
    patience_s: ClassVar[float] = 45.0
    """Longer than it may try again, on a busy machine."""

    @abstractmethod
    def agent(self, env: dict[str, str], **options: Any) -> CliAgent:
        """The adapter, with these variables."""

    @abstractmethod
    def variables(self, home: Path, account: Account) -> dict[str, str]:
        """Variables by which it finds the model server."""

    # --- The scene ------------------------------------------------------------------------------

    @pytest.fixture
    def home(self, private_home: Path) -> Path:
        """Its configuration and its sessions."""
        return private_home

    @pytest.fixture(autouse=True)
    def scene(
        self, server: ModelServer, tmp_path: Path, home: Path, executable: Callable[[str], Path]
    ) -> Iterator[None]:
        self.binary = str(executable(self.name))
        self.server = server
        self.home = home
        self.repository = make_repository(tmp_path / "repo")
        with caller() as self.caller:
            yield
            assert self.caller.survivors == []

    def made(self, retries: int = 0, **options: Any) -> CliAgent:
        env = self.variables(self.home, Account(self.server.url, retries=retries))
        defaults = {"binary": self.binary, "cwd": self.repository, "idle_timeout": 60, "start_timeout": 60}
        return self.agent({**env, **options.pop("env", {})}, **{**defaults, **options})

    def call(self, script: model.Script, prompt: str = "Write hello.txt, please.", **asked: Any) -> Called:
        self.server.script = script
        return self.caller.call(asked.pop("agent", None) or self.made(), prompt, **asked)

    @property
    def asked_last(self) -> list[str]:
        """What people and models had said when the model was asked for the last time."""
        return self.server.log.steps[-1].texts("user", "assistant")

    # --- It works -------------------------------------------------------------------------------

    def test_it_writes_a_file_and_tells_of_it(self) -> None:
        called = self.call(model.writes("hello.txt", "hi\n"))
        assert called.good.text == '{"ok": true}'
        assert (self.repository / "hello.txt").read_text() == "hi\n"
        (call,) = called.of(ToolCallEvent)
        (result,) = called.of(ToolResultEvent)
        assert (call.name, call.id, result.is_error) == (self.writer, result.id, False)
        assert call.input["content"] == "hi\n"
        assert "".join(event.text for event in called.of(TextEvent)) == '{"ok": true}'
        assert called.session == called.good.session

    def test_it_says_what_the_call_has_cost(self) -> None:
        called = self.call(model.writes())
        usage = called.good.usage
        if not self.has_usage:
            assert usage is None
            assert called.of(UsageEvent) == []
            return
        assert usage is not None
        assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (2400, 200, 68)
        assert usage.cost_usd is None  # nobody knows what a fake model costs
        assert called.of(UsageEvent)[-1].usage == usage

    def test_an_answer_fits_the_schema_that_the_prompt_shows(self) -> None:
        called = self.call(says(Output({"ok": True, "note": "fine"})), schema=Verdict)
        assert Verdict.model_validate_json(called.good.text).note == "fine"
        assert '"note"' in self.server.log.steps[0].texts("user")[0]

    def test_several_calls_at_once_on_a_folder_that_nobody_has_used_yet(self, private_home: Path) -> None:
        async def all_of_them() -> list[Called]:
            agent = self.made(env=self.variables(private_home / "new", Account(self.server.url)))
            return await asyncio.gather(*(self.caller.calling(agent, f"say {n}") for n in range(3)))

        self.server.script = model.text("done")
        assert [called.good.text for called in asyncio.run(all_of_them())] == ["done"] * 3

    # --- It fails -------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("script", "kind"),
        [
            (model.UNAUTHORIZED, AgentAuth),
            (model.UNAUTHORIZED_BARE, AgentAuth),
            (model.FORBIDDEN, AgentAuth),
            (model.RATE_LIMITED, AgentThrottled),
            (model.OUT_OF_QUOTA, AgentQuota),
            (model.OVERLOADED, AgentThrottled),
            (model.SERVER_ERROR, AgentThrottled),
            (model.CUT, AgentThrottled),
            (model.GARBAGE, AgentThrottled),
        ],
        ids=lambda one: getattr(one, "name", None) or one.__name__,
    )
    def test_a_failure_has_its_class(self, script: model.Script, kind: type[AgentError]) -> None:
        called = self.call(script)
        assert type(called.bad) is kind, called.bad
        assert called.seconds < self.patience_s
        assert called.reply is None

    def test_a_used_up_plan_says_when_it_resets(self) -> None:
        error = self.call(model.usage_limit(7200)).bad
        assert isinstance(error, AgentQuota)

    def test_an_empty_answer_is_no_answer(self) -> None:
        called = self.call(model.EMPTY)
        assert isinstance(called.bad, AgentError)

    def test_a_model_that_hangs_ends_the_call_and_all_that_it_started(self) -> None:
        called = self.call(
            model.HANG, agent=self.made(idle_timeout=self.silence_s, start_timeout=self.silence_s * 4)
        )
        assert isinstance(called.bad, AgentStalled)
        assert self.server.log.steps
        assert self.caller.survivors == []

    def test_a_passing_failure_is_tried_again_by_itself(self) -> None:
        called = self.call(model.flaky(1, then=model.text("at last")), agent=self.made(retries=2))
        assert called.good.text == "at last"

    # --- Conversations --------------------------------------------------------------------------

    def test_a_conversation_goes_on(self) -> None:
        first = self.call(model.text("I am one."), "Who are you?")
        session = first.good.session
        assert session
        second = self.call(model.text("Still one."), "And now?", session=session)
        assert second.good.text == "Still one."
        assert second.good.session == session
        said = "\n".join(self.asked_last)
        assert said.index("Who are you?") < said.index("I am one.") < said.index("And now?")

    def test_a_conversation_that_is_not_there_is_lost(self) -> None:
        called = self.call(model.text(), session=self.unknown)
        assert isinstance(called.bad, AgentSessionLost)
        assert self.server.log.steps == []

    def test_a_conversation_of_another_folder_is_lost(self, tmp_path: Path) -> None:
        session = self.call(model.text("I am one.")).good.session
        before = len(self.server.log.steps)
        elsewhere = make_repository(tmp_path / "elsewhere")
        called = self.call(model.text(), agent=self.made(cwd=elsewhere), session=session)
        assert isinstance(called.bad, AgentSessionLost), (called.bad, called.events)
        assert len(self.server.log.steps) == before
