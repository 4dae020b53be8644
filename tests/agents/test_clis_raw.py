"""The real programs, as they are, against the fake model: they do what their recordings say they did."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from tests.agents.case import CASES, SCHEMA, UNKNOWN_SESSION, Case, case, tries_for_ever
from tests.agents.home import Wire
from tests.agents.invocation import Ended
from tests.agents.record import cleaned_play
from tests.agents.stage import Stage, session_of
from tests.agents.transcript import load

pytestmark = pytest.mark.slow

Prepare = Callable[[str], Stage]
EVERY = ("claude", "codex", "pi", "opencode", "kimi", "gemini", "kimi-py")
PLAYS = [(name, each) for name in EVERY for each in CASES if name in each.programs]
TO_THE_END = [
    (name, each) for name, each in PLAYS if each.ended_by is None and not tries_for_ever(name, each)
]


def named(plays: list[tuple[str, Case]]) -> list[str]:
    return [f"{name}-{each.name}" for name, each in plays]


@pytest.mark.parametrize(("name", "of"), TO_THE_END, ids=named(TO_THE_END))
def test_a_program_still_does_what_was_recorded(name: str, of: Case, stage: Prepare) -> None:
    seen, recorded = cleaned_play(stage(name), of), load(name, of.name)
    assert (seen.exit, seen.kinds) == (recorded.exit, recorded.kinds)


@pytest.mark.parametrize("name", EVERY)
def test_a_tool_call_writes_the_file_and_its_result_goes_back_to_the_model(name: str, stage: Prepare) -> None:
    on = stage(name)
    assert on.play(case("write"))[1].exit == 0
    assert (on.repository / "hello.txt").read_text() == "hi\n"
    asked, answered = on.server.log.steps
    assert (asked.reply, answered.reply) == ("Write", "Output")
    assert [message.role for message in answered.messages][-2:] == ["assistant", "tool"]


@pytest.mark.parametrize("name", EVERY)
def test_a_resumed_session_brings_its_earlier_turns(name: str, stage: Prepare) -> None:
    on = stage(name)
    assert on.play(case("resume"))[1].exit == 0
    said = "\n".join(on.server.log.steps[-1].texts("user", "assistant"))
    assert said.index(case("text").prompt) < said.index("All done.") < said.index("And once more.")


@pytest.mark.parametrize("name", EVERY)
def test_a_group_that_waits_for_the_model_ends_at_sigterm(name: str, stage: Prepare) -> None:
    ended = stage(name).play(case("hang"))[1]
    assert ended.exit in (-signal.SIGTERM, 128 + signal.SIGTERM, 0, 1)
    assert not has_succeeded(name, ended)


@pytest.mark.parametrize("name", EVERY)
def test_a_group_that_waits_for_the_rest_of_an_answer_ends_at_sigkill(name: str, stage: Prepare) -> None:
    ended = stage(name).play(case("hang-after-first-event"))[1]
    assert ended.exit == -signal.SIGKILL
    assert not has_succeeded(name, ended)


@pytest.mark.parametrize("which", ["429", "529", "cut", "garbage"])
def test_opencode_asks_again_whatever_is_wrong(which: str, stage: Prepare) -> None:
    on = stage("opencode")
    assert on.play(case(which))[1].exit in (-signal.SIGTERM, -signal.SIGKILL)
    assert len(on.server.log.steps) >= 2


@pytest.mark.parametrize("name", EVERY)
def test_the_key_of_the_account_is_the_one_that_asks(name: str, stage: Prepare) -> None:
    on = stage(name)
    on.play(case("text"))
    assert {request.key for request in on.server.log.all if request.is_step} == {"sk-fake-0000000000"}


@pytest.mark.parametrize("name", case("fork").programs)
def test_a_forked_session_is_a_new_one_that_brings_the_earlier_turns(name: str, stage: Prepare) -> None:
    on = stage(name)
    before = session_of(name, on.play(case("text"))[1])
    forked = on.play(case("fork"))[1]
    assert session_of(name, forked) != before
    assert "All done." in on.server.log.steps[-1].texts("assistant")


@pytest.mark.parametrize("wire", get_args(Wire))
def test_pi_writes_over_every_wire(wire: Wire, stage: Prepare) -> None:
    on = stage("pi")
    on.play(replace(case("write"), wire=wire))
    assert (on.repository / "hello.txt").read_text() == "hi\n"
    assert {request.wire for request in on.server.log.steps} == {wire}


def test_codex_with_its_newest_model_writes_by_the_shell_in_its_script(stage: Prepare) -> None:
    on = stage("codex")
    on.play(case("write-by-shell"))
    assert (on.repository / "hello.txt").read_text() == "hi\n"


def test_claude_lists_a_tool_that_it_was_not_allowed_and_ends_well(stage: Prepare) -> None:
    on = stage("claude")
    ended = on.play(case("denied"))[1]
    assert [denied["tool_name"] for denied in ended.events[-1]["permission_denials"]] == ["Bash"]
    assert not (on.repository / "denied.txt").exists()


def test_claude_has_its_model_correct_an_output_that_does_not_fit(stage: Prepare) -> None:
    on = stage("claude")
    ended = on.play(case("structured-wrong-once"))[1]
    assert ended.events[-1]["structured_output"] == {"ok": True, "n": 1}
    assert "does not match required schema" in on.server.log.steps[1].texts("tool")[-1]


def test_codex_sends_the_schema_and_hands_over_what_does_not_fit_it(stage: Prepare) -> None:
    on = stage("codex")
    ended = on.play(case("structured-wrong-once"))[1]
    assert on.server.log.steps[0].schema == SCHEMA
    assert "perhaps" in ended.stdout
    assert len(on.server.log.steps) == 1


def test_claude_signed_in_by_token_tells_when_its_limit_resets(stage: Prepare) -> None:
    ended = stage("claude").play(case("429-usage-limit"))[1]
    limits = [event["rate_limit_info"] for event in ended.events if event["type"] == "rate_limit_event"]
    assert [limit["status"] for limit in limits] == ["rejected"]
    assert limits[0]["resetsAt"] > 0


def test_kimi_py_makes_a_new_session_of_an_unknown_one(stage: Prepare) -> None:
    ended = stage("kimi-py").play(case("unknown-session"))[1]
    assert (ended.exit, UNKNOWN_SESSION in ended.stderr) == (0, True)


def has_succeeded(name: str, ended: Ended) -> bool:
    """Whether the stream ends as that of a run that went well."""
    match name:
        case "claude":
            return any(event["type"] == "result" and not event["is_error"] for event in ended.events)
        case "codex":
            return any(event["type"] == "turn.completed" for event in ended.events)
        case "gemini":
            return any(event["type"] == "result" and event["status"] == "success" for event in ended.events)
        case "pi":
            return any(event["type"] == "agent_settled" for event in ended.events)
        case "opencode":
            return any(event["type"] == "step_finish" for event in ended.events)
        case _:
            return any(event["role"] == "assistant" for event in ended.events)
