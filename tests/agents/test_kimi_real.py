"""The real Kimi Code (at version 2.1.0) and the last Kimi CLI in Python (1.49.0), against the fake model."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

from smithers.agents import Kimi
from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentQuota, AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, RetryEvent, SessionEvent
from tests.agents import model_server as model
from tests.agents.model_server import Refuse, flaky, retry_after, says, text
from tests.agents.real_agent import Bench, Prepare, RealAgentTests
from tests.agents.several_calls import at_once

pytestmark = pytest.mark.slow


class KimiTests(RealAgentTests):
    """What is so of both."""

    model = "fake"
    kind: type[CliAgent] = Kimi
    asked = "fake-model"
    counts = False
    names_model = False
    empty = AgentThrottled
    home: str
    """The variable that names its folder."""

    def test_several_first_calls_on_one_folder_do_well(self, bench: Bench) -> None:
        assert [reply.text for reply in at_once(bench, bench.agent(), 4)] == ["All done."] * 4

    def test_a_private_folder_holds_its_sessions(self, bench: Bench) -> None:
        env = {name: value for name, value in bench.env.items() if name != self.home}
        assert bench.ask(agent=bench.agent(env=env, config_dir=bench.stage.home)).answer.text
        assert list((bench.stage.home / "sessions").iterdir())

    def test_a_conversation_belongs_to_its_folder(self, bench: Bench, tmp_path: Path) -> None:
        session = bench.ask(script=text("a")).answer.session
        assert isinstance(bench.ask(session=session, cwd=tmp_path).failure, AgentSessionLost)
        assert len(bench.server.log.steps) == 1

    def test_a_tool_list_is_refused(self, bench: Bench) -> None:
        assert isinstance(bench.ask(tools=AgentTools(())).failure, AgentUnfit)
        assert not bench.server.log.all

    def test_a_model_that_there_is_not_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(model="nosuch")).failure, AgentUnfit)


class TestKimiCode(KimiTests):
    program = "kimi"
    home = "KIMI_CODE_HOME"
    tells_status = False
    tells_reset = False
    tells_session = False
    longest_prompt = 119_000

    def test_a_prompt_that_is_too_long_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask("x" * 130_000).failure, AgentUnfit)

    def test_a_copy_of_a_conversation_leaves_it_as_it_was(self, bench: Bench) -> None:
        first = bench.ask("First question.", text("First answer.")).answer.session
        copy = bench.ask("Copied question.", text("Copied."), session=first, forks=True).answer
        assert copy.session != first
        told = "\n".join(bench.server.log.steps[-1].texts("user", "assistant"))
        assert told.index("First answer.") < told.index("Copied question.")
        bench.ask("Second question.", text("Second."), session=first).answer  # noqa: B018 - it raises
        assert "Copied question." not in bench.server.log.steps[-1].texts("user")
        assert isinstance(bench.ask(session="session_nosuch", forks=True).failure, AgentSessionLost)

    def test_its_own_retries_are_told(self, stage: Prepare) -> None:
        with Bench(self.make, stage("kimi"), retries=1) as bench:
            heard = bench.ask(script=flaky(1, then=text("At last.")))
        assert heard.answer.text == "At last."
        assert [(retry.reason, retry.attempt) for retry in heard.told(RetryEvent)] == [("server", 1)]

    def test_a_wait_that_is_too_long_is_left_to_the_run(self, stage: Prepare) -> None:
        with Bench(self.make, stage("kimi"), retries=3) as bench:
            error = bench.ask(script=retry_after(120)).failure
        assert isinstance(error, AgentThrottled)
        assert error.retry_after_s == 120

    def test_an_agent_that_there_is_not_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(agent="nosuch")).failure, AgentUnfit)


class TestKimiPython(KimiTests):
    program = "kimi-py"
    home = "KIMI_SHARE_DIR"
    tells_session = False
    silence = MappingProxyType({"idle_timeout": 4, "start_timeout": 15})

    def test_its_session_is_told_with_its_error(self, bench: Bench) -> None:
        heard = bench.ask(script=model.UNAUTHORIZED)
        assert isinstance(heard.failure, AgentAuth)
        assert heard.told(SessionEvent)

    def test_a_conversation_that_it_would_empty_is_lost_and_left_alone(self, bench: Bench) -> None:
        session = bench.ask("First question.", text("First answer.")).answer.session
        (bench.stage.home / "kimi.json").unlink()  # as two first calls at once may leave it
        assert isinstance(bench.ask(session=session).failure, AgentSessionLost)
        (kept,) = (bench.stage.home / "sessions").rglob(f"{session}/context.jsonl")
        assert "First question." in kept.read_text()

    def test_it_cannot_copy_a_conversation(self, bench: Bench) -> None:
        session = bench.ask(script=text("a")).answer.session
        assert isinstance(bench.ask(session=session, forks=True).failure, AgentUnfit)

    def test_a_long_error_is_read_though_it_is_broken_into_lines(self, bench: Bench) -> None:
        long = Refuse(429, "quota", "You exceeded your current quota. " + "Please see your plan. " * 60)
        assert isinstance(bench.ask(script=says(long)).failure, AgentQuota)

    def test_without_a_model_nobody_is_signed_in(self, bench: Bench, tmp_path: Path) -> None:
        agent = bench.agent(model=None, env={**bench.env, "KIMI_SHARE_DIR": str(tmp_path / "empty")})
        assert isinstance(bench.ask(agent=agent).failure, AgentAuth)
