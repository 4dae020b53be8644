"""The real Gemini CLI, against the fake model; as it was at version 0.61.0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smithers.agents import Gemini
from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentQuota, AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, RetryEvent, ToolResultEvent
from tests.agents import model_server as model
from tests.agents.model_server import Call, Refuse, Say, says, text, writes
from tests.agents.real_agent import Bench, Prepare, RealAgentTests

pytestmark = pytest.mark.slow


def runs(command: str) -> Call:
    return Call("run_shell_command", {"command": command, "description": "Runs it."})


class TestGemini(RealAgentTests):
    program = "gemini"
    model = "gemini-2.5-pro"
    kind: type[CliAgent] = Gemini

    def test_by_default_it_is_offered_no_shell(self, bench: Bench) -> None:
        bench.ask()
        offered = bench.server.log.steps[-1].tools
        assert "write_file" in offered
        assert "run_shell_command" not in offered

    @pytest.mark.parametrize("mode", ["auto_edit", "yolo"])
    def test_it_is_offered_what_it_is_allowed_and_nothing_else(self, bench: Bench, mode: str) -> None:
        allowed = ("read_file", "run_shell_command(echo)")
        bench.ask(agent=bench.agent(allow_tools=allowed, approval_mode=mode))
        assert set(bench.server.log.all[-1].tools) == {"read_file", "run_shell_command"}
        bench.ask(tools=AgentTools(("glob",)), agent=bench.agent(approval_mode=mode))
        assert bench.server.log.all[-1].tools == ("glob",)
        bench.ask(tools=AgentTools(()), agent=bench.agent(approval_mode=mode))
        assert bench.server.log.all[-1].tools == ()

    def test_a_command_that_it_is_not_allowed_does_not_run(self, bench: Bench) -> None:
        script = says(runs("echo a > allowed.txt"), runs("touch denied.txt"), Say("Tried."))
        heard = bench.ask(script=script, agent=bench.agent(allow_tools=("run_shell_command(echo *)",)))
        assert heard.answer.text == "Tried."
        assert [told.is_error for told in heard.told(ToolResultEvent)] == [False, True]
        assert {file.name for file in bench.repository.glob("*.txt")} == {"allowed.txt"}

    def test_in_plan_mode_it_writes_nothing(self, bench: Bench) -> None:
        bench.ask(
            script=says(Call("write_file", {"file_path": "a.txt", "content": "a"}), Say()),
            agent=bench.agent(approval_mode="plan"),
        )
        assert not (bench.repository / "a.txt").exists()

    def test_its_system_prompt_is_replaced(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(system_prompt="You are a pirate."))
        assert bench.server.log.all[-1].texts("system") == ["You are a pirate."]

    def test_it_works_in_further_folders(self, bench: Bench, tmp_path: Path) -> None:
        more = tmp_path / "more"
        more.mkdir()
        script = writes(str(more / "hello.txt"), then=Say())
        assert bench.ask(script=script, agent=bench.agent(include_directories=(more,))).answer.text
        assert (more / "hello.txt").read_text() == "hi\n"

    def test_a_conversation_belongs_to_its_folder(self, bench: Bench, tmp_path: Path) -> None:
        session = bench.ask(script=text("a")).answer.session
        other = tmp_path / "other"
        other.mkdir()
        assert isinstance(bench.ask(session=session, cwd=other).failure, AgentSessionLost)

    def test_it_cannot_fork_a_conversation(self, bench: Bench) -> None:
        assert isinstance(bench.ask(session="x", forks=True).failure, AgentUnfit)
        assert not bench.server.log.all

    def test_a_key_that_its_provider_calls_invalid_is_a_matter_of_signing_in(self, bench: Bench) -> None:
        invalid = Refuse(400, "invalid", "API key not valid. Please pass a valid API key.")
        assert isinstance(bench.ask(script=says(invalid)).failure, AgentAuth)

    def test_a_key_that_is_not_there_is_an_account_that_is_not_signed_in(self, bench: Bench) -> None:
        env = {name: value for name, value in bench.env.items() if name != "GEMINI_API_KEY"}
        error = bench.ask(agent=bench.agent(env=env)).failure
        assert isinstance(error, AgentAuth)
        assert "GEMINI_API_KEY" in error.message

    def test_a_mode_that_it_does_not_know_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(approval_mode="nope")).failure, AgentUnfit)


class TestGeminiTryingAgain:
    @pytest.fixture
    def bench(self, stage: Prepare) -> Iterator[Bench]:
        def make(**options: Any) -> CliAgent:
            return Gemini(model="gemini-2.5-pro", **options)

        with Bench(make, stage("gemini"), retries=9) as found:
            yield found

    def test_it_is_ended_before_a_long_wait(self, bench: Bench) -> None:
        heard = bench.ask(script=model.usage_limit(100))
        error = heard.failure
        assert isinstance(error, AgentThrottled)
        assert error.retry_after_s is not None
        assert error.retry_after_s >= 100
        assert len(bench.server.log.steps) == 1
        assert heard.told(RetryEvent)[-1].delay_s == error.retry_after_s

    def test_a_limit_that_lasts_is_used_up(self, bench: Bench) -> None:
        assert isinstance(bench.ask(script=model.usage_limit(7200)).failure, AgentQuota)
        assert len(bench.server.log.steps) == 1

    def test_it_is_ended_after_its_third_try(self, bench: Bench) -> None:
        heard = bench.ask(script=model.OVERLOADED)
        assert isinstance(heard.failure, AgentThrottled)
        assert [told.attempt for told in heard.told(RetryEvent)] == [1, 2, 3]
        assert len(bench.server.log.steps) == 3
