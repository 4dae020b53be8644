"""The real Codex, against the fake model; as it was at version 0.169.0."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smithers.agents import Codex
from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentRefusal, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, NoticeEvent, RetryEvent, SessionEvent
from smithers.records import Usage
from tests.agents import model_server as model
from tests.agents.home import Account, environment
from tests.agents.model_server import Call, Output, Refuse, Say, flaky, says, text, writes
from tests.agents.real_agent import Bench, Greeting, Prepare, RealAgentTests

pytestmark = pytest.mark.slow

SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    tool = {"name": "ping", "description": "Pings.", "inputSchema": {"type": "object", "properties": {}}}
    answers = {
        "initialize": {
            "protocolVersion": "2025-03-26",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "demo", "version": "1"},
        },
        "tools/list": {"tools": [tool]},
    }
    result = answers.get(asked["method"], {})
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
"""Speaks just enough of the protocol to be listed."""


class TestCodex(RealAgentTests):
    program = "codex"
    model = "gpt-5.5"
    kind: type[CliAgent] = Codex

    def test_the_schema_it_sends_is_strict_and_its_nulls_do_not_come_back(self, bench: Bench) -> None:
        heard = bench.ask(script=says(Output({"ok": True, "words": [], "note": None})), schema=Greeting)
        assert heard.answer.output == {"ok": True, "words": []}
        asked = bench.server.log.steps[-1]
        assert "JSON schema" not in "\n".join(asked.texts("user"))

    def test_a_copy_of_a_conversation_leaves_it_as_it_was(self, bench: Bench) -> None:
        first = bench.ask("First question.", text("First answer.")).answer
        begun = {"session": first.session, "counted": first.counted}
        copy = bench.ask("Copied question.", text("Copied."), forks=True, **begun)
        assert copy.answer.session != first.session
        assert copy.told(SessionEvent) == [SessionEvent(copy.answer.session)]
        assert copy.answer.usage == Usage(1200, 34, 100, model=self.model)
        assert "First answer." in bench.server.log.steps[-1].texts("assistant")
        bench.ask("Second question.", text("Second."), **begun).answer  # noqa: B018 - it raises if there is none
        assert "Copied question." not in bench.server.log.steps[-1].texts("user")

    def test_a_conversation_that_goes_on_keeps_its_options(self, bench: Bench, tmp_path: Path) -> None:
        agent = bench.agent(sandbox="read-only", add_dirs=(tmp_path,))
        session = bench.ask(agent=agent).answer.session
        more = tmp_path / "more"
        more.mkdir()
        bench.ask(agent=bench.agent(add_dirs=(more,)), session=session).answer  # noqa: B018 - it raises if there is none
        assert any(str(more) in said for said in bench.server.log.steps[-1].texts())

    def test_what_it_may_not_write_it_does_not(self, bench: Bench) -> None:
        bench.ask(script=writes(then=Say()), agent=bench.agent(sandbox="read-only"))
        assert not (bench.repository / "hello.txt").exists()

    def test_its_commands_run_in_its_sandbox(self, bench: Bench) -> None:
        outside = bench.stage.home / "outside.txt"
        run = says(Call("exec_command", {"cmd": f"echo made > made.txt; echo out > {outside}"}), Say())
        bench.ask(script=run)
        assert (bench.repository / "made.txt").read_text() == "made\n"
        assert not outside.exists()
        bench.ask(script=run, agent=bench.agent(dangerously_bypass_approvals_and_sandbox=True))
        assert outside.read_text() == "out\n"

    def test_it_is_told_what_its_author_wants_and_offered_his_servers(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        (tmp_path / "server.py").write_text(SERVER)
        server = {"command": sys.executable, "args": [str(tmp_path / "server.py")], "env": {"A.B": "1"}}
        agent = bench.agent(
            developer_instructions='Speak like a "pirate".\nAlways.',
            mcp_servers={"demo": server},
            config={"web_search": "disabled"},
            effort="high",
        )
        bench.ask(agent=agent).answer  # noqa: B018 - it raises if there is none
        asked = bench.server.log.steps[-1]
        assert 'Speak like a "pirate".\nAlways.' in "\n".join(asked.texts("system"))
        assert "list_mcp_resources" in asked.tools
        assert "web_search" not in asked.tools

    def test_a_tool_list_is_refused(self, bench: Bench) -> None:
        assert isinstance(bench.ask(tools=AgentTools(("apply_patch",))).failure, AgentUnfit)
        assert not bench.server.log.all

    def test_a_model_that_it_does_not_know_is_a_notice(self, bench: Bench) -> None:
        heard = bench.ask(agent=bench.agent(model="some-model"))
        assert heard.answer.text
        assert any("some-model" in told.text for told in heard.told(NoticeEvent))

    def test_a_refusal_of_content_is_one(self, bench: Bench) -> None:
        assert isinstance(bench.ask(script=says(Say("I", stop="refusal"))).failure, AgentRefusal)

    def test_a_configuration_that_it_cannot_read_makes_it_unfit(self, bench: Bench) -> None:
        agent = bench.agent(config={"sandbox_mode": "nope"})
        assert isinstance(bench.ask(agent=agent).failure, AgentUnfit)

    def test_a_key_that_is_not_there_is_an_account_that_is_not_signed_in(self, bench: Bench) -> None:
        env = {name: value for name, value in bench.env.items() if name != "FAKE_MODEL_KEY"}
        error = bench.ask(agent=bench.agent(env=env)).failure
        assert isinstance(error, AgentAuth)
        assert "codex login" in error.hint

    def test_it_works_by_a_private_folder_alone(self, bench: Bench) -> None:
        env = {name: value for name, value in bench.env.items() if name != "CODEX_HOME"}
        agent = bench.agent(env=env, config_dir=bench.stage.home)
        assert bench.ask(agent=agent).answer.text == "All done."
        assert agent.account == f"codex:{bench.stage.home}"


class TestCodexTryingAgain:
    @pytest.fixture
    def bench(self, stage: Prepare) -> Iterator[Bench]:
        with Bench(Codex, stage("codex"), retries=2) as found:
            yield found

    def test_it_gets_over_a_provider_that_is_busy_for_a_while(self, bench: Bench) -> None:
        heard = bench.ask(script=flaky(2, Refuse(500, "server", "Internal server error")))
        assert heard.answer.text == "All done."
        assert {told.reason for told in heard.told(RetryEvent)} <= {"server"}

    def test_its_tries_come_to_an_end(self, bench: Bench) -> None:
        heard = bench.ask(script=model.CUT)
        assert isinstance(heard.failure, AgentThrottled)
        assert [(told.attempt, told.reason) for told in heard.told(RetryEvent)] == [
            (1, "network"),
            (2, "network"),
        ]

    def test_a_refused_key_is_not_tried_again(self, bench: Bench) -> None:
        assert isinstance(bench.ask(script=model.UNAUTHORIZED).failure, AgentAuth)

    def test_it_does_not_wait_for_a_network_that_is_away(self, bench: Bench) -> None:
        environment("codex", bench.stage.home, Account("http://127.0.0.1:9", retries=2))
        heard = bench.ask()
        assert isinstance(heard.failure, AgentThrottled)
        assert len(heard.told(RetryEvent)) == 2
