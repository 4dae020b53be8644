"""The real Claude Code, against the fake model; as it was at version 2.1.328."""

from __future__ import annotations

import pytest

from smithers.agents import ClaudeCode
from smithers.agents.cli import CliAgent
from smithers.errors import AgentError, AgentQuota
from smithers.ports import AgentTools, SessionEvent
from tests.agents import model_server as model
from tests.agents.caller import own
from tests.agents.home import Account, environment
from tests.agents.model_server import Call, Output, Say, says, text, writes
from tests.agents.real_agent import Bench, Greeting, RealAgentTests

pytestmark = pytest.mark.slow


class TestClaudeCode(RealAgentTests):
    program = "claude"
    model = "claude-sonnet-4-5"
    kind: type[CliAgent] = ClaudeCode

    def test_it_is_offered_what_it_is_allowed_and_nothing_else(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(allow_tools=("Read", "Bash(git *)")))
        assert set(bench.server.log.steps[-1].tools) == {"Read", "Bash"}
        bench.ask(tools=AgentTools(("Glob",)))
        assert set(bench.server.log.steps[-1].tools) == {"Glob"}
        bench.ask(tools=AgentTools(()))
        assert bench.server.log.steps[-1].tools == ()
        bench.ask(tools=AgentTools(None, explicit_only=True))
        assert bench.server.log.steps[-1].tools == ()

    def test_what_is_denied_is_not_offered(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(deny_tools=("Write", "Edit")))
        assert {"Write", "Edit"}.isdisjoint(bench.server.log.steps[-1].tools)

    def test_by_default_it_may_edit_files_and_run_no_command(self, bench: Bench) -> None:
        script = says(Call("Bash", {"command": 'python3 -c \'open("made-by-bash", "w")\''}), Say("Tried."))
        assert bench.ask(script=script).answer.text == "Tried."
        assert not (bench.repository / "made-by-bash").exists()

    def test_a_copy_of_a_conversation_leaves_it_as_it_is(self, bench: Bench) -> None:
        first = bench.ask("First question.", text("First answer.")).answer
        copy = bench.ask("Another way?", text("Yes."), session=first.session, forks=True)
        assert copy.answer.session not in (None, first.session)
        assert copy.told(SessionEvent)[-1].session == copy.answer.session
        bench.ask("Second question.", text("Second."), session=first.session)
        said = "\n".join(bench.server.log.steps[-1].texts("user", "assistant"))
        assert "First answer." in said
        assert "Another way?" not in said

    def test_its_money_is_that_of_the_call_and_not_of_the_conversation(self, bench: Bench) -> None:
        first = bench.ask(script=text("a")).answer
        assert first.usage is not None
        assert first.counted is not None
        second = bench.ask(script=text("b"), session=first.session, counted=first.counted).answer
        assert second.usage is not None
        assert second.usage.cost_usd == pytest.approx(first.usage.cost_usd)

    def test_its_system_prompt_is_added_to_or_replaced(self, bench: Bench) -> None:
        bench.ask(agent=bench.agent(append_system_prompt="Speak like a pirate."))
        system = "\n".join(bench.server.log.steps[-1].texts("system"))
        assert "Speak like a pirate." in system
        bench.ask(agent=bench.agent(system_prompt="You are a pirate."))
        assert "You are a pirate." in "\n".join(bench.server.log.steps[-1].texts("system"))

    def test_a_structured_answer_comes_with_a_file_that_was_written(self, bench: Bench) -> None:
        answer = {"ok": True, "words": ["hi"], "note": "none"}
        heard = bench.ask(script=writes(then=Output(answer)), schema=Greeting)
        assert heard.answer.output == answer
        assert (bench.repository / "hello.txt").exists()

    def test_a_limit_that_is_used_up_says_when_it_resets(self, bench: Bench) -> None:
        account = Account(bench.server.url, is_subscription=True)
        env = own(environment("claude", bench.stage.home, account))
        error = bench.ask(script=model.usage_limit(7200), agent=bench.agent(env=env)).failure
        assert isinstance(error, AgentQuota)
        assert error.resets_ms is not None

    def test_a_turn_limit_ends_it(self, bench: Bench) -> None:
        script = says(*[Call("Read", {"file_path": "README.md"})] * 5, Say())
        error = bench.ask(script=script, agent=bench.agent(max_turns=2)).failure
        assert type(error) is AgentError
        assert error.details["reason"] == "error_max_turns"
