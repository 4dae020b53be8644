"""What every adapter does with its real program, against the fake model: subclassed, a program a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

import pytest
from pydantic import BaseModel

from smithers.agents.cli import CliAgent
from smithers.agents.correction import parse_reply
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentSessionLost,
    AgentStalled,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import SessionEvent, TextEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from tests.agents import model_server as model
from tests.agents.caller import Caller, own
from tests.agents.case import UNKNOWN_SESSION
from tests.agents.home import KEY, Account, environment
from tests.agents.installed import launcher, program
from tests.agents.model_server import Output, Refuse, Say, Script, says, text, writes
from tests.agents.stage import Stage

Prepare = Callable[[str], Stage]


class Greeting(BaseModel):
    ok: bool
    words: list[str]
    note: str = "none"


class Bench:
    """An agent, where it works, and whom it talks to: while it is entered; nothing is left of it then."""

    def __init__(self, make: Callable[..., CliAgent], stage: Stage, retries: int = 0) -> None:
        self.make = make
        self.stage = stage
        self.server = stage.server
        self.repository = stage.repository
        self.caller = Caller()
        account = Account(stage.server.url, retries=retries)
        self.env = own(environment(stage.name, stage.home, account))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        left = self.caller.survivors
        self.caller.close()
        assert left == []

    def agent(self, **options: Any) -> CliAgent:
        base = {
            "binary": str(launcher(program(self.stage.name))),
            "cwd": self.repository,
            "env": self.env,
            # OpenCode tries a request that was cut off again for 68 s, up to 30 s of them in silence.
            "start_timeout": 120,
            "idle_timeout": 120,
        }
        return self.make(**{**base, **options})

    def ask(self, prompt: str = "Do it.", script: Script | None = None, **more: Any) -> Any:
        """One call of it. Args: more: members of the request; `agent`: another one."""
        if script is not None:
            self.server.script = script
        agent = more.pop("agent", None) or self.agent()
        return self.caller.ask(agent, prompt, **more)


class RealAgentTests:
    """Set the first three, and what else is not so."""

    program: str
    model: str
    kind: type[CliAgent]

    asked: str = ""
    """The model as its provider is asked for it; empty: as the agent is."""
    counts: bool = True
    """It says what a call has used."""
    names_model: bool = True
    """… and of which model."""
    tells_status: bool = True
    """It tells the status that a provider has answered with."""
    tells_reset: bool = True
    """It tells when a limit resets."""
    tells_session: bool = True
    """It tells its session before the model has said anything."""
    empty: type[AgentError] = AgentError
    """What an empty answer is; some programs cannot tell it from a web page."""
    names_option: bool = True
    """It names an option that it does not know."""
    longest_prompt: int = 300_000
    silence: Mapping[str, float] = MappingProxyType({"idle_timeout": 4})
    """The clocks that end it when it is silent."""

    def make(self, **options: Any) -> CliAgent:
        return self.kind(**{"model": self.model, **options})

    @pytest.fixture
    def bench(self, stage: Prepare) -> Iterator[Bench]:
        with Bench(self.make, stage(self.program)) as found:
            yield found

    # --- What goes well -------------------------------------------------------------------------

    def test_it_writes_a_file_and_says_so(self, bench: Bench) -> None:
        heard = bench.ask("Write hello.txt.", writes(then=Say("It is written.")))
        assert heard.answer.text == "It is written."
        assert (bench.repository / "hello.txt").read_text() == "hi\n"
        call, result = heard.told(ToolCallEvent)[0], heard.told(ToolResultEvent)[0]
        assert (call.id, result.is_error) == (result.id, False)
        assert call.id
        assert call.name
        assert "".join(told.text for told in heard.told(TextEvent)) == "It is written."

    def test_its_model_and_its_key_are_the_ones_it_was_given(self, bench: Bench) -> None:
        usage = bench.ask().answer.usage
        assert not self.names_model or usage.model == (self.asked or self.model)
        assert {request.model for request in bench.server.log.steps} == {self.asked or self.model}
        assert {request.key for request in bench.server.log.steps} == {KEY}

    def test_its_usage_is_what_the_model_counted(self, bench: Bench) -> None:
        heard = bench.ask(script=writes(then=Say()))
        usage = heard.answer.usage
        if not self.counts:
            assert (usage, heard.told(UsageEvent)) == (None, [])
            return
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (2400, 68, 200)
        assert heard.told(UsageEvent)[-1].usage == usage

    def test_a_structured_answer_fits_its_model(self, bench: Bench) -> None:
        answer = {"ok": True, "words": ["hi"], "note": "none"}
        heard = bench.ask(script=says(Output(answer)), schema=Greeting)
        assert parse_reply(heard.answer, Greeting) == Greeting(ok=True, words=["hi"])

    def test_a_prompt_may_be_long_and_begin_with_anything(self, bench: Bench) -> None:
        prompt = "--help is a flag. “Grüße” " + "x" * (self.longest_prompt - 40)
        # Not at once: Gemini CLI repeats the prompt, and leaves without waiting until that has been read.
        assert bench.ask(prompt, text("Read.").slowly(0.2)).answer.text == "Read."
        assert prompt in "\n".join(bench.server.log.steps[-1].texts("user"))

    def test_a_conversation_goes_on(self, bench: Bench) -> None:
        first = bench.ask("First question.", text("First answer."))
        assert first.told(SessionEvent) == [SessionEvent(first.answer.session)]
        counted = {"counted": first.answer.counted} if first.answer.counted is not None else {}
        second = bench.ask("Second question.", text("Second."), session=first.answer.session, **counted)
        assert (second.answer.text, second.answer.session) == ("Second.", first.answer.session)
        assert not self.counts or second.answer.usage.input_tokens == 1200
        said = "\n".join(bench.server.log.steps[-1].texts("user", "assistant"))
        places = [said.index(part) for part in ("First question.", "First answer.", "Second question.")]
        assert places == sorted(places)

    # --- What goes wrong ------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("script", "kind", "status"),
        [
            (model.UNAUTHORIZED, AgentAuth, 401),
            (model.UNAUTHORIZED_BARE, AgentAuth, 401),
            (model.FORBIDDEN, AgentAuth, 403),
            (model.RATE_LIMITED, AgentThrottled, 429),
            (model.OUT_OF_QUOTA, AgentQuota, None),
            (model.SERVER_ERROR, AgentThrottled, None),
            (model.OVERLOADED, AgentThrottled, 529),
            (model.CUT, AgentThrottled, None),
            (model.GARBAGE, AgentThrottled, None),
            (model.EMPTY, AgentError, None),
            (says(Refuse(404, "not_found", "The model `nope` does not exist")), AgentUnfit, None),
            (says(Refuse(400, "invalid", "Invalid request")), AgentUnfit, None),
            (says(Refuse(413, "invalid", "Prompt is too long")), AgentUnfit, None),
        ],
        ids="401 bare-401 403 429 quota 500 529 cut garbage empty 404 400 413".split(),
    )
    def test_a_failure_has_its_class(
        self, bench: Bench, script: Script, kind: type[AgentError], status: int | None
    ) -> None:
        error = bench.ask(script=script).failure
        assert type(error) is (self.empty if script is model.EMPTY else kind), repr(error)
        assert status is None or not self.tells_status or error.details["status"] == status

    def test_a_limit_that_is_used_up_says_when_it_resets(self, bench: Bench) -> None:
        error = bench.ask(script=model.usage_limit(7200)).failure
        assert isinstance(error, AgentQuota)
        assert (error.resets_ms is not None) == self.tells_reset

    @pytest.mark.parametrize("script", [model.HANG, model.HANG_AFTER_FIRST], ids=["at-once", "midway"])
    def test_silence_is_ended_and_nothing_is_left_of_it(self, bench: Bench, script: Script) -> None:
        heard = bench.ask(script=script, agent=bench.agent(**self.silence))
        assert isinstance(heard.failure, AgentStalled)
        assert bench.caller.survivors == []
        # Whoever is cut off here can be gone on with.
        assert heard.told(SessionEvent) or not self.tells_session

    def test_a_call_that_nobody_waits_for_any_more_is_ended(self, bench: Bench) -> None:
        bench.server.script = model.HANG

        async def give_up() -> None:
            call = asyncio.ensure_future(bench.agent().call(bench.caller.request("Do it.", [])))
            await asyncio.to_thread(bench.server.log.wait_for, lambda request: request.is_step)
            call.cancel()
            await asyncio.wait((call,))

        asyncio.run(give_up())
        assert bench.caller.traces
        assert bench.caller.survivors == []

    @pytest.mark.parametrize("session", [UNKNOWN_SESSION, "no-such-name"])
    def test_a_conversation_that_is_not_there_is_lost(self, bench: Bench, session: str) -> None:
        assert isinstance(bench.ask(session=session).failure, AgentSessionLost)

    def test_an_option_that_it_does_not_know_makes_it_unfit(self, bench: Bench) -> None:
        error = bench.ask(agent=bench.agent(args=("--bogus-option",))).failure
        assert isinstance(error, AgentUnfit)
        assert "bogus-option" in error.message or not self.names_option

    def test_a_program_that_is_not_installed_is_missing(self, bench: Bench) -> None:
        assert isinstance(bench.ask(agent=bench.agent(binary="/no/such/program")).failure, AgentMissing)
