"""What every agent that is a program must do, tried on a stand-in for its program.

An adapter's test file is one class: it says what the real program was seen to write, and what that comes to.

    class TestAcme(AgentContract):
        agent = Acme                                # the adapter
        options = {"provider": "acme"}              # what it cannot do without
        success = recorded("acme", "text", reply=AgentReply("All done.", session=…, usage=…))
        structured = recorded("acme", "structured", reply=AgentReply(…, output={"ok": True, "n": 1}))
        failures = (recorded("acme", "401", error=AgentAuth, details={"status": 401}), Case(…), …)
        resumes = ("--session", SESSION)            # arguments that continue SESSION
        forks = (*resumes, "--fork")                # … a copy of it; None: it cannot do that
        changes = {"effort": "high"}                # another value for each option of its own

`SESSION` is the conversation that is asked for. `recorded` is a case of the real program, below
`tests/fixtures/agents`; `Case` is one that is written by hand. What the tests want of the adapter stands in
their names. They start real processes, so that arguments, environment and standard input are those that its
program would get: `StandIn` notes them, and says the transcript. An option counts as passed on when the
program is told something else with it than without it, and a text as told wherever it stands: in an argument,
on standard input, in a file of the call, in a variable.

Not every program is like that one:

- `errands`: what it answers when it is asked something beside a call (`prepare`). What `prepare` finds out
  may also be said by one of the `options`.
- `session`, `resumed`, `forked`: for a program that tells which conversation it goes on with, its name, and
  the cases in which it does. Where the adapter makes up the name itself, replies have `unittest.mock.ANY`.
- `model = None`: it has no option for the model.
- `longest_prompt`: bytes of a prompt that it takes, if it takes none of 1 MB.
- `last_words`: lines at the end of `success` that say so, if there are several; 0: only its exit status does.
- `noise`: lines that mean nothing to it, if it takes what is no event for a word of its own.

`SMITHERS_STREAMS=20000` damages that many streams.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from smithers.agents.cli import CliAgent
from smithers.agents.environment import SCRUBBED
from smithers.errors import AgentAuth, AgentError, AgentMissing, AgentUnfit, InvalidNode, ProgramNotFound
from smithers.ports import Agent, AgentTools, SessionEvent, UsageEvent
from tests.contract.agent_case import Answer, Case
from tests.contract.stage import Stage
from tests.contract.stand_in import Call, StandIn
from tests.property.hearing import faults, folded
from tests.property.spoiling import NOISE, in_chunks, spoiled

SESSION = "5e55104e-0000-4000-8000-00000000c0de"
STATUSES = [None, *range(256), *range(-64, 0)]
"""Every way to leave: unseen, with a status, by a signal."""
PROMPTS = {
    "unicode": "Grüße, 世界 👩‍🚀 \u202e\u0301 ünïcödé",
    "leading dash": "--help",
    "one dash": "-",
    "lines": "first\nsecond\r\nthird\n\n\tfourth\n",
    "shell": "$HOME `id` $(id) \"a\" 'b' \\ ; rm -rf * & | > x",
    "blanks": "  spaced  ",
    "json": '{"type":"result"}',
    "at": "@file /command #note",
    "long": "0123456789abcdef" * (1 << 16),
}
SPOILED = int(os.environ.get("SMITHERS_STREAMS", "150"))
"""How many damaged streams to try."""


class Shape(BaseModel):
    """A shape of answers whose fields are named like nothing else."""

    walrus_count: int
    carpenter: str


class AgentContract:
    """The tests. A subclass is the table of an adapter."""

    agent: ClassVar[type[CliAgent]]
    options: ClassVar[Mapping[str, Any]] = {}
    success: ClassVar[Case]
    structured: ClassVar[Case | None] = None
    failures: ClassVar[Sequence[Case]] = ()
    session: ClassVar[str] = SESSION
    resumes: ClassVar[Sequence[str] | None] = None
    resumed: ClassVar[Case | None] = None
    """None: as `success`."""
    forks: ClassVar[Sequence[str] | None] = None
    forked: ClassVar[Case | None] = None
    """None: as `success`."""
    changes: ClassVar[Mapping[str, Any]] = {}
    model: ClassVar[str | None] = "some-model-7"
    """One that it takes; None: it has no option for it."""
    errands: ClassVar[Mapping[tuple[str, ...], str]] = {}
    """What it answers to calls that begin with these arguments."""
    longest_prompt: ClassVar[int | None] = None
    """In bytes; longer ones are refused as unfit. None: any."""
    last_words: ClassVar[int] = 1
    """Lines at the end of `success` without which it is none; 0: its exit status is all that it says."""
    noise: ClassVar[Sequence[str]] = NOISE

    # --- The scene ------------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _own_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder
        assert list(folder.iterdir()) == [], "a folder of a call is left"

    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        found = Stage()
        yield found
        found.close()

    @pytest.fixture
    def stand_in(self, tmp_path: Path, _own_folders: Path) -> StandIn:
        found = StandIn(tmp_path / "bin", self.agent.program, str(_own_folders), self.errands)
        found.plays(self.success)
        return found

    def make(self, stand_in: StandIn | None = None, **options: Any) -> CliAgent:
        """The adapter, with its stand-in for a program."""
        binary = {} if stand_in is None else {"binary": str(stand_in.path)}
        env = {**self.options.get("env", {}), **options.get("env", {})}
        return self.agent(**{**self.options, **binary, **options, "env": env})

    def told(
        self,
        stage: Stage,
        stand_in: StandIn,
        prompt: str = "Do it.",
        options: Mapping[str, Any] | None = None,
        **asks: Any,
    ) -> Call:
        """What the program is told for a request."""
        stage.ask(self.make(stand_in, **(options or {})), prompt, **asks)
        return stand_in.last()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each of an adapter's own cases and options."""
        if "failure" in metafunc.fixturenames:
            metafunc.parametrize("failure", self.failures, ids=str)
        if "option" in metafunc.fixturenames:
            changes = {**({} if self.model is None else {"model": self.model}), **self.changes}
            metafunc.parametrize(("option", "value"), list(changes.items()), ids=list(changes))

    # --- What reaches the program ---------------------------------------------------------------

    @pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
    def test_a_prompt_arrives_whole(self, stage: Stage, stand_in: StandIn, prompt: str) -> None:
        if self.longest_prompt is not None and len(prompt.encode()) > self.longest_prompt:
            assert type(stage.error(self.make(stand_in), prompt)) is AgentUnfit
            assert stand_in.calls() == []
        else:
            call = self.told(stage, stand_in, prompt)
            assert any(prompt in word for word in [*call.argv, call.stdin.decode(), *call.files.values()])

    @pytest.mark.parametrize("prompt", ["a\0b", "half \ud800 a pair"])
    def test_a_prompt_that_no_program_can_be_told_is_mended_or_refused(
        self, stage: Stage, stand_in: StandIn, prompt: str
    ) -> None:
        try:
            call = self.told(stage, stand_in, prompt)
        except AgentUnfit:
            assert stand_in.calls() == []
        else:
            assert call.holds(prompt[0])
            assert call.holds(prompt[-1])

    def test_a_program_that_reads_no_prompt_is_heard_all_the_same(
        self, stage: Stage, stand_in: StandIn
    ) -> None:
        stand_in.plays(self.success, reads=False)
        prompt = "x" * (self.longest_prompt or 1 << 20)
        assert stage.ask(self.make(stand_in), prompt) == self.success.reply

    def test_the_shape_of_an_answer_reaches_the_program(self, stage: Stage, stand_in: StandIn) -> None:
        call = self.told(stage, stand_in, schema=Shape)
        assert call.holds("walrus_count")
        assert call.holds("carpenter")

    def test_an_option_reaches_the_program(
        self, stage: Stage, stand_in: StandIn, option: str, value: object
    ) -> None:
        plain = _comparable(self.told(stage, stand_in))
        call = self.told(stage, stand_in, options={option: value})
        assert _comparable(call) != plain
        if isinstance(value, str):
            assert call.holds(value)

    def test_further_arguments_reach_the_program(self, stage: Stage, stand_in: StandIn) -> None:
        words = ("--further", "an argument", "")
        assert self.told(stage, stand_in, options={"args": words}).has_words(words)

    def test_it_works_where_its_task_says_else_where_it_says_itself(
        self, stage: Stage, stand_in: StandIn, tmp_path: Path
    ) -> None:
        own, tasks = tmp_path / "own", tmp_path / "task's"
        own.mkdir()
        tasks.mkdir()
        call = self.told(stage, stand_in, options={"cwd": own})
        assert own in (call.cwd, *map(Path, call.argv))
        call = self.told(stage, stand_in, options={"cwd": str(own)}, cwd=tasks)
        assert tasks in (call.cwd, *map(Path, call.argv))
        assert str(own) not in call.argv

    def test_variables_reach_the_program_and_the_tasks_win(self, stage: Stage, stand_in: StandIn) -> None:
        options = {"env": {"ONE": "its own", "TWO": "its own"}}
        env = self.told(stage, stand_in, options=options, env={"TWO": "task's", "THREE": "ünïcödé = 3"}).env
        assert (env["ONE"], env["TWO"], env["THREE"]) == ("its own", "task's", "ünïcödé = 3")
        assert "SMITHERS_ATTEMPT" in env

    def test_variables_of_an_agent_that_we_run_in_do_not_reach_it(
        self, stage: Stage, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in (f"{prefix.rstrip('_')}_LEAKS" for prefix in SCRUBBED):
            monkeypatch.setenv(name, "leaked")
        monkeypatch.setenv("CLAUDECODE", "leaked")
        monkeypatch.setenv("NO_AGENTS_BUSINESS", "handed on")
        env = self.told(stage, stand_in).env
        assert "leaked" not in env.values()
        assert env["NO_AGENTS_BUSINESS"] == "handed on"

    def test_what_it_signs_in_by_is_handed_on_but_not_to_a_private_folder(
        self, stage: Stage, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        secrets = {name: f"secret of {name}" for name in self.agent.credentials}
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
        env = self.told(stage, stand_in).env
        assert {**secrets, **self.options.get("env", {})}.items() <= env.items()
        if (call := self._told_of_private(stage, stand_in, str(tmp_path / "private"))) is not None:
            assert not any(value.startswith("secret of ") for value in call.env.values())
            assert call.holds(str(tmp_path / "private"))

    def test_a_tilde_in_a_folder_is_the_home(
        self, stage: Stage, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        call = self.told(stage, stand_in, options={"cwd": "~"})
        assert tmp_path in (call.cwd, *map(Path, call.argv))
        if (call := self._told_of_private(stage, stand_in, "~/private")) is not None:
            assert call.holds(str(tmp_path / "private"))

    def _told_of_private(self, stage: Stage, stand_in: StandIn, folder: str) -> Any:
        """What the program is told where it has a private folder; None: it is refused one, openly."""
        try:
            return self.told(stage, stand_in, options={"config_dir": folder})
        except AgentUnfit:
            return None

    @pytest.mark.parametrize("text", ["a\0b", "half \ud800 a pair"])
    def test_an_option_that_no_program_can_be_told_is_refused(
        self, stage: Stage, stand_in: StandIn, text: str
    ) -> None:
        for options in ({"env": {"NAME": text}}, {"args": [text]}):
            assert type(stage.error(self.make(stand_in, **options))) is AgentUnfit
        assert stand_in.calls() == []

    # --- Sessions and tools ---------------------------------------------------------------------

    def test_a_conversation_is_continued(self, stage: Stage, stand_in: StandIn) -> None:
        stand_in.plays(self.resumed or self.success)
        if self.resumes is None:
            assert type(stage.error(self.make(stand_in), session=self.session)) is AgentUnfit
            assert stand_in.calls() == []
        else:
            assert self.told(stage, stand_in, session=self.session).has_words(self.resumes)
            stand_in.plays(self.success)
            assert not self.told(stage, stand_in).has_words(self.resumes)

    def test_a_conversation_is_forked_or_it_says_that_it_cannot(
        self, stage: Stage, stand_in: StandIn
    ) -> None:
        if self.forks is None:
            assert type(stage.error(self.make(stand_in), session=self.session, forks=True)) is AgentUnfit
            assert stand_in.calls() == []
        else:
            stand_in.plays(self.forked or self.success)
            forked = self.told(stage, stand_in, session=self.session, forks=True)
            assert forked.has_words(self.forks)
            stand_in.plays(self.resumed or self.success)
            assert list(self.told(stage, stand_in, session=self.session).argv) != list(forked.argv)

    @pytest.mark.parametrize(
        "tools", [AgentTools(("Walrus",)), AgentTools(()), AgentTools(None, explicit_only=True)], ids=str
    )
    def test_a_list_of_tools_reaches_the_program_or_is_refused(
        self, stage: Stage, stand_in: StandIn, tools: AgentTools
    ) -> None:
        agent = self.make(stand_in)
        if not self.agent.limits_tools:
            with pytest.raises(AgentUnfit):
                agent.check(tools)
            assert type(stage.error(agent, tools=tools)) is AgentUnfit
            assert stand_in.calls() == []
            return
        plain = _comparable(self.told(stage, stand_in))
        call = self.told(stage, stand_in, tools=tools)
        assert _comparable(call) != plain
        assert all(call.holds(name) for name in tools.allow or ())

    def test_a_task_that_says_nothing_of_tools_is_never_refused(
        self, stage: Stage, stand_in: StandIn
    ) -> None:
        agent = self.make(stand_in)
        agent.check(AgentTools())
        assert stage.ask(agent, tools=AgentTools()) == self.success.reply

    # --- What comes of it -----------------------------------------------------------------------

    def test_a_success_gives_its_text_session_and_usage(self, stage: Stage, stand_in: StandIn) -> None:
        reply = stage.ask(self.make(stand_in), **self.success.asks)
        assert reply == self.success.reply
        assert reply.text
        if reply.session is not None:
            told = [event.session for event in stage.events if isinstance(event, SessionEvent)]
            assert told[-1] == reply.session
        if reply.usage is not None:
            assert [event.usage for event in stage.events if isinstance(event, UsageEvent)][-1] == reply.usage

    def test_a_success_with_a_shape_gives_an_output_that_fits(self, stage: Stage, stand_in: StandIn) -> None:
        case = self.structured
        if case is None:
            assert not self.agent.takes_schema, "say what its success with a schema looks like: `structured`"
            return
        stand_in.plays(case)
        reply = stage.ask(self.make(stand_in), **{**case.asks, "schema": Answer})
        assert reply == case.reply
        assert (
            Answer.model_validate(reply.output)
            if reply.output is not None
            else Answer.model_validate_json(reply.text)
        )

    def test_a_failure_has_its_class(self, stage: Stage, stand_in: StandIn, failure: Case) -> None:
        stand_in.plays(failure)
        agent = self.make(stand_in)
        error = stage.error(agent, **failure.asks)
        assert type(error) is failure.error
        assert failure.details.items() <= error.details.items()
        assert error.message
        assert error.hint
        assert error.details["account"] == agent.account
        if isinstance(error, AgentAuth):
            assert self.agent.sign_in in (error.hint or "")
        json.dumps(error.details)

    @pytest.mark.parametrize("status", [0, 1, 2, 75, 130, 255, -9, -15])
    def test_a_program_that_says_nothing_has_failed_however_it_leaves(
        self, stage: Stage, stand_in: StandIn, status: int
    ) -> None:
        stand_in.plays(Case(name="nothing", stdout=""), status=status)
        assert isinstance(stage.error(self.make(stand_in)), AgentError)

    def test_without_its_last_word_no_program_has_succeeded_however_it_leaves(self) -> None:
        lines = self.success.stdout.encode().splitlines(keepends=True)
        agent = self.make()
        statuses = STATUSES if self.last_words else [status for status in STATUSES if status != 0]
        for count in range(len(lines) - self.last_words + 1):
            for status in statuses:
                outcome, _ = folded(agent, lines[:count], status, self.success.stderr, **self.success.asks)
                assert isinstance(outcome, AgentError), f"{count} lines and {status}: {outcome}"

    @pytest.mark.parametrize("status", [0, 1, -15])
    def test_half_a_last_line_is_no_word_of_success(
        self, stage: Stage, stand_in: StandIn, status: int
    ) -> None:
        if not self.last_words:
            return
        lines = self.success.stdout.splitlines(keepends=True)
        last = len(lines) - self.last_words
        text = "".join(lines[:last]) + lines[last][: len(lines[last]) // 2]
        stand_in.plays(Case(name="half", stdout=text), status=status)
        assert isinstance(stage.error(self.make(stand_in)), AgentError)

    def test_lines_that_are_no_events_change_nothing_about_the_answer(self) -> None:
        agent, lines = self.make(), self.success.stdout.encode().splitlines(keepends=True)
        for noise in self.noise:
            noisy = [piece for line in lines for piece in (noise.encode() + b"\n", line)]
            outcome, _ = folded(agent, noisy, self.success.status, **self.success.asks)
            assert outcome == self.success.reply, noise

    def test_a_damaged_stream_gives_an_answer_or_an_agents_error(self) -> None:
        agent = self.make()
        cases = [self.success, *([self.structured] if self.structured else []), *self.failures]
        for seed in range(SPOILED):
            rng = random.Random(seed)
            case = rng.choice(cases)
            data = spoiled(case.stdout.encode(), rng)
            status = rng.choice(STATUSES)
            outcome, events = folded(agent, in_chunks(data, rng), status, case.stderr, **case.asks)
            assert faults(outcome, events) == [], f"seed {seed}"

    # --- Ends that are not its own --------------------------------------------------------------

    def test_a_cancel_ends_all_that_it_has_started(self, stage: Stage, stand_in: StandIn) -> None:
        begun = Case(name="begun", stdout=self.success.stdout.splitlines(keepends=True)[0])
        stand_in.plays(begun, "hang with children")
        stage.cancel(self.make(stand_in), lambda: stand_in.hangs)
        assert stage.survivors() == []

    def test_a_silent_program_is_ended_as_stalled(self, stage: Stage, stand_in: StandIn) -> None:
        stand_in.plays(Case(name="silent", stdout=""), "hang with children")
        error = stage.error(self.make(stand_in, start_timeout=0.5))
        assert error.code == "AGENT_STALLED"

    def test_a_missing_program_is_told_with_the_command_that_installs_it(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        error = stage.error(self.make(binary=str(tmp_path / "not-there")))
        assert type(error) is AgentMissing
        assert self.agent.install in (error.hint or "")

    def test_a_missing_folder_is_not_taken_for_a_missing_program(
        self, stage: Stage, stand_in: StandIn, tmp_path: Path
    ) -> None:
        with pytest.raises(ProgramNotFound):
            stage.ask(self.make(stand_in, cwd=tmp_path / "not-there"))
        assert stand_in.calls() == []

    # --- What it is -----------------------------------------------------------------------------

    def test_it_is_an_agent_that_says_how_to_get_it(self) -> None:
        agent = self.make()
        assert isinstance(agent, Agent)
        assert agent.name == agent.kind == agent.pool
        assert agent.kind in agent.account
        assert self.agent.program

    def test_equal_options_make_an_equal_identity_of_plain_json(self) -> None:
        options = {"model": "m", "env": {"B": "2", "A": "1"}, "cwd": "/work", "args": ["--x"]}
        one = self.make(**options).identity
        other = self.make(**{**options, "env": {"A": "1", "B": "2"}, "cwd": Path("/work"), "args": ("--x",)})
        assert json.loads(json.dumps(one)) == one == other.identity

    def test_another_option_makes_another_identity(self, option: str, value: object) -> None:
        assert self.make(**{option: value}).identity != self.make().identity
        json.dumps(self.make(**{option: value}).identity)

    def test_every_option_of_its_own_is_tried(self) -> None:
        common = {field.name for field in dataclasses.fields(CliAgent)}
        own = {field.name for field in dataclasses.fields(self.agent)} - common
        assert own - set(self.changes) == set(), "name another value for each in `changes`"

    def test_how_long_it_may_take_and_where_it_lies_are_no_part_of_its_identity(self, tmp_path: Path) -> None:
        apart = {"timeout": "1h", "idle_timeout": 5, "start_timeout": None, "binary": "/x", "name": "other"}
        apart |= {"pool": None, "account": "a", "config_dir": str(tmp_path)}
        for option, value in apart.items():
            assert self.make(**{option: value}).identity == self.make().identity

    def test_a_private_folder_is_an_account_of_its_own(self, tmp_path: Path) -> None:
        accounts = {
            self.make().account,
            self.make(config_dir=tmp_path / "a").account,
            self.make(config_dir=str(tmp_path / "b")).account,
            self.make(account="mine").account,
        }
        assert len(accounts) == 4
        assert (
            self.make(config_dir=tmp_path / "a").account == self.make(config_dir=str(tmp_path / "a")).account
        )

    @pytest.mark.parametrize("span", [0, -1, float("nan"), "soon", "0s"])
    def test_a_clock_that_is_none_is_refused_where_it_is_written(self, span: object) -> None:
        for option in ("start_timeout", "idle_timeout", "timeout"):
            with pytest.raises(InvalidNode):
                self.make(**{option: span})


def _comparable(call: Call) -> tuple[object, ...]:
    """What it was told, but for what differs from call to call."""
    env = {name: value for name, value in call.env.items() if name != "SMITHERS_ATTEMPT"}
    files = sorted(call.files.values())
    return ["@" if "smithers-" in word else word for word in call.argv], env, call.stdin, files, call.cwd
