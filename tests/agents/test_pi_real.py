"""Pi, the real one, as its adapter drives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from smithers.agents import Pi
from smithers.errors import AgentUnfit
from smithers.ports import AgentTools
from tests.agents import model_server as model
from tests.agents.adapter_cases import AdapterCases
from tests.agents.calling import variables
from tests.agents.home import Account

pytestmark = pytest.mark.slow


class TestPi(AdapterCases):
    name: ClassVar[str] = "pi"
    writer: ClassVar[str] = "write"
    unknown: ClassVar[str] = "0d15ea5e-0000-4000-8000-000000000000"

    def agent(self, env: dict[str, str], **options: Any) -> Pi:
        return Pi(**{"env": env, "provider": "fake", "model": "fake-model", **options})

    def variables(self, home: Path, account: Account) -> dict[str, str]:
        return variables("pi", home, account)

    def test_it_asks_the_model_that_it_was_told(self) -> None:
        self.call(model.text(), agent=self.made(provider=None, model="fake/other"))
        assert {request.model for request in self.server.log.steps} == {"other"}

    def test_a_private_folder_holds_its_sessions(self) -> None:
        env = {name: value for name, value in self.made().env.items() if name != "PI_CODING_AGENT_DIR"}
        agent = Pi(
            env=env, binary=self.binary, cwd=self.repository, config_dir=self.home, model="fake/fake-model"
        )
        assert self.call(model.text("done"), agent=agent).good.text == "done"
        assert list((self.home / "sessions").rglob("*.jsonl"))

    def test_a_fork_leaves_the_conversation_as_it_is(self) -> None:
        session = self.call(model.text("I am one."), "Who are you?").good.session
        fork = self.call(model.text("I am two."), "And you?", session=session, forks=True).good.session
        assert fork
        assert fork != session
        assert self.asked_last == ["Who are you?", "I am one.", "And you?"]
        self.call(model.text("Still one."), "And now?", session=session)
        assert self.asked_last == ["Who are you?", "I am one.", "And now?"]

    @pytest.mark.parametrize(
        ("allow", "offered"),
        [((), set()), (("read", "bash"), {"read", "bash"}), (None, {"read", "bash", "edit", "write"})],
    )
    def test_it_is_offered_the_tools_that_are_allowed(
        self, allow: tuple[str, ...] | None, offered: set[str]
    ) -> None:
        self.call(model.text(), tools=AgentTools(allow))
        assert set(self.server.log.steps[0].tools) == offered

    def test_denied_tools_are_not_offered(self) -> None:
        self.call(model.text(), agent=self.made(deny_tools=["bash"]))
        assert set(self.server.log.steps[0].tools) == {"read", "edit", "write"}

    def test_what_is_appended_to_the_system_prompt_is_there(self) -> None:
        self.call(model.text(), agent=self.made(append_system_prompt="Speak as a pirate."))
        assert "Speak as a pirate." in self.server.log.steps[0].texts("system")[0]

    def test_its_retries_are_told(self) -> None:
        called = self.call(model.OVERLOADED, agent=self.made(retries=1))
        (retry,) = called.retries
        assert (retry.reason, retry.attempt, retry.delay_s) == ("server", 1, 2.0)

    def test_an_option_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(args=["--nosuch"])).bad, AgentUnfit)
        assert isinstance(self.call(model.text(), agent=self.made(provider="nosuch")).bad, AgentUnfit)

    def test_an_answer_that_was_cut_short_is_none(self) -> None:
        called = self.call(model.says(model.Say("This is only the beginn", "length")))
        assert called.bad.details["reason"] == "length"
