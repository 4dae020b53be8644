"""Kimi Code and the last Kimi CLI in Python, the real ones, as their adapter drives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from smithers.agents import Kimi
from smithers.errors import AgentMissing, AgentQuota, AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools
from tests.agents import model_server as model
from tests.agents.adapter_cases import AdapterCases
from tests.agents.calling import variables
from tests.agents.home import Account

pytestmark = pytest.mark.slow


class TestKimiCode(AdapterCases):
    name: ClassVar[str] = "kimi"
    writer: ClassVar[str] = "Write"
    has_usage: ClassVar[bool] = False
    unknown: ClassVar[str] = "session_0d15ea5e-0000-4000-8000-000000000000"

    def agent(self, env: dict[str, str], **options: Any) -> Kimi:
        return Kimi(**{"env": env, **options})

    def variables(self, home: Path, account: Account) -> dict[str, str]:
        return variables("kimi", home, account)

    def test_it_finds_out_once_which_generation_is_installed(self) -> None:
        for _ in range(2):
            assert self.call(model.text("done")).good.text == "done"
        versions = [child for child in self.caller.programs if "--version" in child]
        assert len(versions) <= 1

    def test_it_asks_the_model_that_it_was_told(self) -> None:
        (self.home / "config.toml").unlink(missing_ok=True)
        agent = self.made(model="other")
        config = self.home / "config.toml"
        config.write_text(
            config.read_text()
            + '[models.other]\nprovider = "fake"\nmodel = "another"\nmax_context_size = 200000\n'
        )
        self.call(model.text(), agent=agent)
        assert {request.model for request in self.server.log.steps} == {"another"}

    def test_a_model_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(model="nosuch")).bad, AgentUnfit)

    def test_a_private_folder_is_its_home(self, tmp_path: Path) -> None:
        env = {name: value for name, value in self.made().env.items() if name != "KIMI_CODE_HOME"}
        agent = Kimi(env=env, binary=self.binary, cwd=self.repository, config_dir=self.home)
        assert self.call(model.text("done"), agent=agent).good.text == "done"
        assert list((self.home / "sessions").iterdir())

    def test_a_fork_leaves_the_conversation_as_it_is(self) -> None:
        session = self.call(model.text("I am one."), "Who are you?").good.session
        fork = self.call(model.text("I am two."), "And you?", session=session, forks=True).good.session
        assert fork
        assert fork != session
        said = "\n".join(self.asked_last)
        assert said.index("Who are you?") < said.index("I am one.") < said.index("And you?")
        self.call(model.text("Still one."), "And now?", session=session)
        assert "And you?" not in "\n".join(self.asked_last)

    def test_a_fork_of_a_conversation_that_is_not_there_is_lost(self) -> None:
        called = self.call(model.text(), session=self.unknown, forks=True)
        assert isinstance(called.bad, AgentSessionLost)

    def test_tools_are_not_limited_but_refused(self) -> None:
        assert isinstance(self.call(model.text(), tools=AgentTools(())).bad, AgentUnfit)
        assert self.server.log.steps == []

    def test_its_retries_are_told(self) -> None:
        called = self.call(model.OVERLOADED, agent=self.made(retries=1))
        (retry,) = called.retries
        assert (retry.reason, retry.attempt) == ("server", 1)

    def test_a_wait_that_is_too_long_is_left_to_the_run(self) -> None:
        called = self.call(model.retry_after(120), agent=self.made(retries=3))
        assert isinstance(called.bad, AgentThrottled)
        assert called.bad.retry_after_s == 120
        assert called.seconds < 30

    def test_a_prompt_that_does_not_fit_the_command_line_is_unfit(self) -> None:
        called = self.call(model.text(), "x" * 200_000)
        assert isinstance(called.bad, AgentUnfit)

    def test_a_long_prompt_arrives_whole(self) -> None:
        prompt = "--" + "ä" * 50_000
        assert self.call(model.text("done"), prompt).good.text == "done"
        assert prompt in self.server.log.steps[0].texts("user")

    def test_an_option_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(args=["--nosuch"])).bad, AgentUnfit)
        assert isinstance(self.call(model.text(), agent=self.made(agent="nosuch")).bad, AgentUnfit)

    def test_a_program_that_is_not_there_is_missing(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(binary="nosuch-kimi")).bad, AgentMissing)


class TestKimiPython(AdapterCases):
    name: ClassVar[str] = "kimi-py"
    writer: ClassVar[str] = "WriteFile"
    has_usage: ClassVar[bool] = False
    unknown: ClassVar[str] = "0d15ea5e-0000-4000-8000-000000000000"
    silence_s: ClassVar[float] = 3.0

    def agent(self, env: dict[str, str], **options: Any) -> Kimi:
        return Kimi(**{"env": env, **options})

    def variables(self, home: Path, account: Account) -> dict[str, str]:
        return variables("kimi-py", home, account)

    def test_its_session_is_told_before_it_has_answered(self) -> None:
        called = self.call(model.UNAUTHORIZED)
        assert called.bad
        assert called.session

    def test_a_model_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(model="nosuch")).bad, AgentUnfit)

    def test_a_conversation_that_it_would_empty_is_lost_and_left_alone(self) -> None:
        session = self.call(model.text("I am one."), "Who are you?").good.session
        assert session
        (self.home / "kimi.json").unlink()  # as two first calls at once may leave it
        assert isinstance(self.call(model.text(), session=session).bad, AgentSessionLost)
        (kept,) = (self.home / "sessions").rglob(f"{session}/context.jsonl")
        assert "Who are you?" in kept.read_text()

    def test_it_cannot_fork(self) -> None:
        session = self.call(model.text("I am one.")).good.session
        assert isinstance(self.call(model.text(), session=session, forks=True).bad, AgentUnfit)

    def test_a_long_error_is_read_though_it_is_broken_into_lines(self) -> None:
        long = model.Refuse(429, "quota", "You exceeded your current quota. " + "Please see your plan. " * 60)
        assert isinstance(self.call(model.says(long)).bad, AgentQuota)

    def test_a_private_folder_is_its_home(self) -> None:
        env = {name: value for name, value in self.made().env.items() if name != "KIMI_SHARE_DIR"}
        agent = Kimi(env=env, binary=self.binary, cwd=self.repository, config_dir=self.home)
        assert self.call(model.text("done"), agent=agent).good.text == "done"
        assert list((self.home / "sessions").iterdir())

    def test_no_model_at_all_is_not_signed_in(self, tmp_path: Path) -> None:
        called = self.call(model.text(), agent=self.made(env={"KIMI_SHARE_DIR": str(tmp_path / "empty")}))
        assert called.bad.code == "AGENT_AUTH"

    def test_an_option_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(args=["--nosuch"])).bad, AgentUnfit)
