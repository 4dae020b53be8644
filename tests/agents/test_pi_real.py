"""The real Pi, against the fake model; as it was at version 0.87.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smithers.agents import Pi
from smithers.agents.cli import CliAgent
from smithers.errors import AgentSessionLost, AgentUnfit
from smithers.ports import AgentTools, RetryEvent
from tests.agents import model_server as model
from tests.agents.model_server import Say, flaky, says, text
from tests.agents.real_agent import Bench, Prepare, RealAgentTests
from tests.agents.several_calls import at_once

pytestmark = pytest.mark.slow

ALL = {"read", "bash", "edit", "write"}


class TestPi(RealAgentTests):
    program = "pi"
    model = "fake-model"
    kind: type[CliAgent] = Pi

    def make(self, **options: Any) -> CliAgent:
        return Pi(**{"provider": "fake", "model": self.model, **options})

    def test_its_model_may_name_the_provider(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(provider=None, model="fake/other")).answer  # noqa: B018 - it raises
        assert {request.model for request in bench.server.log.steps} == {"other"}

    def test_several_first_calls_on_one_folder_do_well(self, bench: Bench) -> None:
        assert [reply.text for reply in at_once(bench, bench.agent(), 4)] == ["All done."] * 4

    def test_a_private_folder_holds_its_sessions(self, bench: Bench) -> None:
        env = {name: value for name, value in bench.env.items() if name != "PI_CODING_AGENT_DIR"}
        assert bench.ask(agent=bench.agent(env=env, config_dir=bench.stage.home)).answer.text
        assert list((bench.stage.home / "sessions").rglob("*.jsonl"))

    def test_a_copy_of_a_conversation_leaves_it_as_it_was(self, bench: Bench, tmp_path: Path) -> None:
        first = bench.ask("First question.", text("First answer.")).answer.session
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        copy = bench.ask("Copied question.", text("Copied."), session=first, forks=True, cwd=elsewhere)
        assert copy.answer.session != first
        assert said(bench) == ["First question.", "First answer.", "Copied question."]
        bench.ask("Second question.", text("Second."), session=first).answer  # noqa: B018 - it raises
        assert said(bench) == ["First question.", "First answer.", "Second question."]

    def test_a_conversation_belongs_to_its_folder(self, bench: Bench, tmp_path: Path) -> None:
        session = bench.ask(script=text("a")).answer.session
        assert isinstance(bench.ask(session=session, cwd=tmp_path).failure, AgentSessionLost)
        assert len(bench.server.log.steps) == 1

    @pytest.mark.parametrize("allow", [(), ("read", "bash"), None])
    def test_it_is_offered_what_it_is_allowed_and_nothing_else(
        self, bench: Bench, allow: tuple[str, ...] | None
    ) -> None:
        bench.ask(tools=AgentTools(allow)).answer  # noqa: B018 - it raises
        assert set(bench.server.log.steps[-1].tools) == (ALL if allow is None else set(allow))

    def test_it_is_not_offered_what_it_is_denied(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(deny_tools=["bash"])).answer  # noqa: B018 - it raises
        assert set(bench.server.log.steps[-1].tools) == ALL - {"bash"}

    def test_its_system_prompt_is_added_to_or_replaced(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(append_system_prompt="Speak like a pirate.")).answer  # noqa: B018 - it raises
        added = bench.server.log.steps[-1].texts("system")[0]
        bench.ask(agent=bench.agent(system_prompt="You are a pirate.")).answer  # noqa: B018 - it raises
        replaced = bench.server.log.steps[-1].texts("system")[0]
        assert "Speak like a pirate." in added
        assert "You are a pirate." in replaced
        assert len(replaced) < len(added)

    def test_its_own_retries_are_told(self, stage: Prepare) -> None:
        with Bench(self.make, stage("pi"), retries=1) as bench:
            heard = bench.ask(script=flaky(1, model.OVERLOADED.replies[0], text("At last.")))  # type: ignore[arg-type]
        assert heard.answer.text == "At last."
        assert heard.told(RetryEvent) == [RetryEvent("server", OVERLOAD, 1, 2.0)]

    def test_a_provider_that_there_is_not_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(provider="nosuch")).failure, AgentUnfit)

    def test_an_answer_that_was_cut_short_is_none(self, bench: Bench) -> None:
        error = bench.ask(script=says(Say("This is only the beginn", stop="length"))).failure
        assert error.details["reason"] == "length"


OVERLOAD = '529: {"message":"Overloaded","type":"server_error","param":null,"code":"server_is_overloaded"}'


def said(bench: Bench) -> list[str]:
    """What people and models had said when the model was asked last."""
    return bench.server.log.steps[-1].texts("user", "assistant")
