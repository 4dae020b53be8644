"""OpenCode, the real one, as its adapter drives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from smithers.agents import OpenCode
from smithers.errors import AgentThrottled, AgentUnfit
from smithers.ports import AgentTools
from tests.agents import model_server as model
from tests.agents.adapter_cases import AdapterCases
from tests.agents.calling import variables
from tests.agents.home import Account
from tests.agents.stage import home_outside_tmp

pytestmark = pytest.mark.slow

ALL = {"bash", "edit", "glob", "grep", "read", "skill", "task", "todowrite", "webfetch", "write"}


@pytest.fixture(scope="module")
def kept_home() -> Iterator[Path]:
    """One for all tests: its first start takes many seconds."""
    with home_outside_tmp() as home:
        yield home


class TestOpenCode(AdapterCases):
    name: ClassVar[str] = "opencode"
    writer: ClassVar[str] = "write"
    unknown: ClassVar[str] = "ses_e06bd0ec4ffera8P12eMzOQXXX"
    silence_s: ClassVar[float] = 8.0
    patience_s: ClassVar[float] = 90.0

    @pytest.fixture
    def home(self, kept_home: Path) -> Path:
        return kept_home

    def agent(self, env: dict[str, str], **options: Any) -> OpenCode:
        return OpenCode(**{"env": env, "model": "fake/fake-model", **options})

    def variables(self, home: Path, account: Account) -> dict[str, str]:
        return variables("opencode", home, account)

    def test_it_asks_the_model_that_it_was_told(self) -> None:
        env = self.variables(self.home, Account(self.server.url))
        other = env["OPENCODE_CONFIG_CONTENT"].replace(
            '"models": {', '"models": {"other": {"name": "Other"}, '
        )
        agent = self.made(model="fake/other", env={"OPENCODE_CONFIG_CONTENT": other})
        self.call(model.text(), agent=agent)
        assert {request.model for request in self.server.log.steps} == {"other"}

    def test_a_model_that_there_is_not_is_unfit(self) -> None:
        error = self.call(model.text(), agent=self.made(model="fake/nosuch")).bad
        assert isinstance(error, AgentUnfit)
        assert "fake/nosuch" in error.message

    def test_a_private_folder_holds_all_that_it_keeps(self, tmp_path: Path) -> None:
        env = {name: value for name, value in self.made().env.items() if not name.startswith("XDG_")}
        agent = OpenCode(
            env=env,
            binary=self.binary,
            cwd=self.repository,
            config_dir=tmp_path / "own",
            model="fake/fake-model",
        )
        assert self.call(model.text("done"), agent=agent).good.text == "done"
        assert list((tmp_path / "own/data").rglob("opencode.db"))

    def test_a_fork_leaves_the_conversation_as_it_is(self) -> None:
        session = self.call(model.text("I am one."), "Who are you?").good.session
        fork = self.call(model.text("I am two."), "And you?", session=session, forks=True).good.session
        assert fork
        assert fork != session
        assert self.asked_last == ["Who are you?", "I am one.", "And you?"]
        assert "question" not in self.server.log.steps[-1].tools
        self.call(model.text("Still one."), "And now?", session=session)
        assert self.asked_last == ["Who are you?", "I am one.", "And now?"]

    @pytest.mark.parametrize(
        ("allow", "offered"),
        [((), set()), (("read", "bash"), {"read", "bash"}), (("edit",), {"edit", "write"}), (None, ALL)],
    )
    def test_it_is_offered_the_tools_that_are_allowed(
        self, allow: tuple[str, ...] | None, offered: set[str]
    ) -> None:
        self.call(model.text(), tools=AgentTools(allow))
        assert set(self.server.log.steps[0].tools) == offered

    def test_no_configuration_of_a_repository_brings_a_tool_back(self) -> None:
        (self.repository / "opencode.json").write_text(
            '{"permission": {"bash": "allow"}, "agent": {"build": {"permission": {"bash": "allow"}}}}'
        )
        self.call(model.text(), tools=AgentTools(("read",)))
        assert set(self.server.log.steps[0].tools) == {"read"}

    def test_an_agent_of_its_own_keeps_to_the_allowed_tools_too(self) -> None:
        self.call(model.text(), agent=self.made(agent="plan", allow_tools=["read"]))
        assert set(self.server.log.steps[0].tools) == {"read"}

    def test_a_permission_is_taken_over(self) -> None:
        self.call(model.text(), agent=self.made(permission={"bash": "deny", "task": "deny"}))
        assert set(self.server.log.steps[0].tools) == ALL - {"bash", "task"}

    def test_an_agent_that_there_is_not_is_unfit_and_not_replaced_by_another(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(agent="nosuch")).bad, AgentUnfit)

    def test_a_file_goes_with_the_prompt(self) -> None:
        (self.repository / "note.txt").write_text("the answer is 42")
        self.call(model.text(), agent=self.made(files=[self.repository / "note.txt"]))
        assert "the answer is 42" in "\n".join(self.server.log.steps[0].texts("user"))

    def test_its_retries_are_told_and_few(self) -> None:
        called = self.call(model.RATE_LIMITED)
        assert isinstance(called.bad, AgentThrottled)
        assert [retry.attempt for retry in called.retries] == [1, 2, 3, 4]
        assert "Too many requests" in called.bad.message

    def test_answers_that_end_for_no_reason_end_the_call(self) -> None:
        called = self.call(model.GARBAGE)
        assert isinstance(called.bad, AgentThrottled)
        assert len(self.server.log.steps) < 20

    def test_an_option_that_there_is_not_is_unfit(self) -> None:
        assert isinstance(self.call(model.text(), agent=self.made(args=["--nosuch"])).bad, AgentUnfit)
