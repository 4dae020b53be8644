"""The real OpenCode, against the fake model; as it was at version 1.18.33."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from smithers.agents import OpenCode
from smithers.agents.cli import CliAgent
from smithers.errors import AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, RetryEvent
from tests.agents import model_server as model
from tests.agents.home import Account, environment
from tests.agents.model_server import text
from tests.agents.real_agent import Bench, RealAgentTests
from tests.agents.several_calls import at_once
from tests.agents.stage import home_outside_tmp

pytestmark = pytest.mark.slow

ALL = {"bash", "edit", "glob", "grep", "read", "skill", "task", "todowrite", "webfetch", "write"}


@pytest.fixture(scope="module")
def private_home() -> Iterator[Path]:
    """One for all tests: its first start takes many seconds."""
    with home_outside_tmp() as home:
        yield home


class TestOpenCode(RealAgentTests):
    program = "opencode"
    model = "fake/fake-model"
    kind: type[CliAgent] = OpenCode
    asked = "fake-model"
    names_model = False
    tells_status = False
    tells_reset = False
    tells_session = False
    names_option = False
    silence = MappingProxyType({"idle_timeout": 8, "start_timeout": 40})

    def test_a_model_that_there_is_not_makes_it_unfit(self, bench: Bench) -> None:
        error = bench.ask(agent=bench.agent(model="fake/nosuch")).failure
        assert isinstance(error, AgentUnfit)
        assert "fake/nosuch" in error.message

    def test_several_first_calls_on_one_folder_do_well(self, bench: Bench, tmp_path: Path) -> None:
        env = environment("opencode", tmp_path / "new", Account(bench.server.url))
        agent = bench.agent(env={**bench.env, **{name: env[name] for name in env if name.startswith("XDG_")}})
        assert [reply.text for reply in at_once(bench, agent, 4)] == ["All done."] * 4

    def test_a_private_folder_holds_all_that_it_keeps(self, bench: Bench, tmp_path: Path) -> None:
        env = {name: value for name, value in bench.env.items() if not name.startswith("XDG_")}
        assert bench.ask(agent=bench.agent(env=env, config_dir=tmp_path / "own")).answer.text
        assert list((tmp_path / "own/data").rglob("opencode.db"))

    def test_a_copy_of_a_conversation_leaves_it_as_it_was(self, bench: Bench) -> None:
        first = bench.ask("First question.", text("First answer.")).answer.session
        copy = bench.ask("Copied question.", text("Copied."), session=first, forks=True).answer
        assert copy.session != first
        assert said(bench) == ["First question.", "First answer.", "Copied question."]
        assert "question" not in bench.server.log.steps[-1].tools
        bench.ask("Second question.", text("Second."), session=first).answer  # noqa: B018 - it raises
        assert said(bench) == ["First question.", "First answer.", "Second question."]

    def test_a_conversation_belongs_to_its_folder(self, bench: Bench, tmp_path: Path) -> None:
        session = bench.ask(script=text("a")).answer.session
        before = len(bench.server.log.all)
        assert isinstance(bench.ask(session=session, cwd=tmp_path).failure, AgentSessionLost)
        assert len(bench.server.log.all) == before

    @pytest.mark.parametrize(
        ("allow", "offered"),
        [((), set()), (("read", "bash"), {"read", "bash"}), (("edit",), {"edit", "write"}), (None, ALL)],
        ids="none two edit all".split(),
    )
    def test_it_is_offered_what_it_is_allowed_and_nothing_else(
        self, bench: Bench, allow: tuple[str, ...] | None, offered: set[str]
    ) -> None:
        bench.ask(tools=AgentTools(allow)).answer  # noqa: B018 - it raises
        assert set(bench.server.log.steps[-1].tools) == offered

    @pytest.mark.parametrize("agent", [None, "plan"])
    def test_no_configuration_of_a_repository_brings_a_tool_back(
        self, bench: Bench, agent: str | None
    ) -> None:
        (bench.repository / "opencode.json").write_text(
            '{"permission": {"bash": "allow"}, "agent": {"build": {"permission": {"bash": "allow"}}}}'
        )
        bench.ask(agent=bench.agent(agent=agent, allow_tools=["read"])).answer  # noqa: B018 - it raises
        assert set(bench.server.log.steps[-1].tools) == {"read"}

    def test_a_permission_is_taken_over(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(permission={"bash": "deny", "task": "deny"})).answer  # noqa: B018 - it raises
        assert set(bench.server.log.steps[-1].tools) == ALL - {"bash", "task"}

    def test_an_agent_that_there_is_not_makes_it_unfit(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(agent="nosuch")).failure, AgentUnfit)

    def test_a_file_goes_with_the_prompt(self, bench: Bench) -> None:
        (bench.repository / "note.txt").write_text("the answer is 42")
        bench.ask(agent=bench.agent(files=[bench.repository / "note.txt"])).answer  # noqa: B018 - it raises
        assert "the answer is 42" in "\n".join(bench.server.log.steps[-1].texts("user"))

    def test_its_own_retries_are_told_and_few(self, bench: Bench) -> None:
        heard = bench.ask(script=model.RATE_LIMITED)
        assert isinstance(heard.failure, AgentThrottled)
        assert [retry.attempt for retry in heard.told(RetryEvent)] == [1, 2, 3, 4]
        assert "Too many requests" in heard.failure.message

    def test_it_gets_over_a_passing_failure_by_itself(self, bench: Bench) -> None:
        assert bench.ask(script=model.flaky(1, then=text("At last."))).answer.text == "At last."

    def test_answers_that_end_for_no_reason_end_the_call(self, bench: Bench) -> None:
        assert isinstance(bench.ask(script=model.GARBAGE).failure, AgentThrottled)
        assert len(bench.server.log.steps) < 20


def said(bench: Bench) -> list[str]:
    """What people and models had said when the model was asked last."""
    return bench.server.log.steps[-1].texts("user", "assistant")
