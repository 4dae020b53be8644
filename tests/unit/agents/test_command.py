from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers.agents import CommandAgent
from smithers.agents.correction import parse_reply
from smithers.errors import AgentAuth, AgentError, AgentMissing, AgentThrottled, AgentUnfit, InvalidNode
from smithers.ports import AgentEvent, AgentTools, SessionEvent, TextEvent, ToolCallEvent, UsageEvent
from smithers.records import Usage
from tests.agents.caller import Caller
from tests.unit.agents.folded import called, endured, folded, request
from tests.unit.agents.oddities import odd_events


class Answer(BaseModel):
    ok: bool


@pytest.fixture
def caller() -> Iterator[Caller]:
    found = Caller()
    yield found
    assert found.survivors == []
    found.close()


def shell(script: str, **options: Any) -> CommandAgent:
    return CommandAgent(["sh", "-c", script, "sh"], **options)


def read(event: dict[str, Any]) -> list[AgentEvent]:
    """What the events of a made-up program mean."""
    match event["kind"]:
        case "say":
            return [TextEvent(event["text"])]
        case "call":
            return [ToolCallEvent("1", event["tool"])]
        case "end":
            return [SessionEvent(event["id"]), UsageEvent(Usage(event["tokens"], 1))]
        case _:
            return []


# --- How it is called ---------------------------------------------------------------------------


def test_the_prompt_goes_to_stdin_unless_there_is_a_place_for_it() -> None:
    how = called(CommandAgent(["llm", "-m", "mini"]))
    assert (how.argv, how.stdin) == (("llm", "-m", "mini"), "Do it.")
    how = called(CommandAgent(["llm", "--prompt={prompt}", "-m", "{model}"], model="mini", args=("-v",)))
    assert (how.argv, how.stdin) == (("llm", "--prompt=Do it.", "-m", "mini", "-v"), None)


def test_placeholders_in_a_prompt_are_left_alone() -> None:
    agent = CommandAgent(["llm", "{prompt}"], session=("-c", "{session}"))
    how = called(agent, prompt="Explain {session} and {prompt}.", session="s-1")
    assert how.argv == ("llm", "Explain {session} and {prompt}.", "-c", "s-1")


def test_the_shape_of_the_answer_is_said_in_the_prompt() -> None:
    stdin = called(CommandAgent(["llm"]), schema=Answer).stdin
    assert stdin is not None
    assert '"ok"' in stdin


def test_it_is_named_after_its_program() -> None:
    agent = CommandAgent(["/opt/bin/llm"])
    assert (agent.name, agent.account, agent.pool) == ("llm", "llm", "llm")
    assert CommandAgent(["llm"], name="writer", pool=None).pool is None
    assert agent.identity["argv"] == ["/opt/bin/llm"]


def test_keys_of_agents_are_kept_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "y")
    assert not {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"} & called(CommandAgent(["llm"])).env.keys()
    kept = called(CommandAgent(["llm"], keep_env=("OPENAI_API_KEY", "NOT_SET"))).env
    assert kept["OPENAI_API_KEY"] == "x"
    assert not {"ANTHROPIC_API_KEY", "NOT_SET"} & kept.keys()


def test_what_it_has_no_words_for_is_refused() -> None:
    agent = CommandAgent(["llm"])
    with pytest.raises(AgentUnfit, match="continue"):
        called(agent, session="s-1")
    with pytest.raises(AgentUnfit, match="fork"):
        called(CommandAgent(["llm"], session=("-c", "{session}")), session="s-1", forks=True)
    with pytest.raises(AgentUnfit, match="tools"):
        agent.check(AgentTools(()))


@pytest.mark.parametrize(
    "options",
    [
        {"argv": []},
        {"argv": "llm -m mini"},
        {"argv": ["llm"], "format": "yaml"},
        {"argv": ["llm"], "parse": read},
        {"argv": ["llm"], "session": ("-c",)},
        {"argv": ["llm"], "model": "mini"},
    ],
)
def test_a_command_that_cannot_work_is_refused_where_it_is_written(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode):
        CommandAgent(**options)


# --- What it writes -----------------------------------------------------------------------------


def test_text_is_the_answer_as_it_was_written(caller: Caller) -> None:
    text = '# A\n\n    {"x": 1}\n\n{"y":   2}\n'
    heard = caller.ask(shell("cat"), text)
    assert heard.answer.text == text.strip()
    assert "".join(told.text for told in heard.told(TextEvent)) == text


def test_an_answer_in_text_may_hold_what_was_asked_for(caller: Caller) -> None:
    heard = caller.ask(shell("""echo 'Here: {"ok": true}'"""), "?", schema=Answer)
    assert parse_reply(heard.answer, Answer) == Answer(ok=True)


def test_any_other_exit_is_a_failure(caller: Caller) -> None:
    error = caller.ask(shell("echo all is well; echo but not here >&2; exit 3"), "?").failure
    assert type(error) is AgentError
    assert "status 3" in error.message
    assert "but not here" in error.message
    assert type(caller.ask(shell("kill -9 $$"), "?").failure) is AgentError


def test_nothing_is_no_answer(caller: Caller) -> None:
    assert "answered nothing" in caller.ask(shell("cat > /dev/null"), "?").failure.message


def test_a_program_that_is_not_there_is_missing(caller: Caller) -> None:
    error = caller.ask(CommandAgent(["no-such-program"]), "?").failure
    assert isinstance(error, AgentMissing)
    assert error.hint == AgentMissing.default_hint


def test_a_failure_can_be_classified(caller: Caller) -> None:
    def classify(status: int | None, stderr: str) -> AgentError | None:
        if "log in" in stderr:
            return AgentAuth("it is not signed in")
        return AgentThrottled("later") if status == 75 else None

    assert isinstance(caller.ask(shell("echo log in >&2", classify=classify), "?").failure, AgentAuth)
    assert isinstance(caller.ask(shell("exit 75", classify=classify), "?").failure, AgentThrottled)
    assert caller.ask(shell("echo a", classify=classify), "?").answer.text == "a"
    assert type(caller.ask(shell("exit 1", classify=classify), "?").failure) is AgentError


def test_it_works_where_the_task_says(caller: Caller, tmp_path: Path) -> None:
    assert caller.ask(shell("pwd"), "?", cwd=tmp_path).answer.text == str(tmp_path)


def test_json_over_several_lines_is_the_answer(caller: Caller) -> None:
    heard = caller.ask(shell("cat", format="json"), '{\n  "ok":\n  true\n}\n', schema=Answer)
    assert heard.reply is None  # the schema stands in what it was asked, and `cat` repeats it
    written = shell("""printf '{\n  "ok":\n  true\n}\n'""", format="json")
    assert caller.ask(written, "?", schema=Answer).answer.output == {"ok": True}
    assert json.loads(caller.ask(written, "?").answer.text) == {"ok": True}


@pytest.mark.parametrize("written", ['"a"', "[1]", "3"])
def test_json_need_not_be_an_object(caller: Caller, written: str) -> None:
    assert caller.ask(shell(f"echo '{written}'", format="json"), "?").answer.output == json.loads(written)


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_what_is_no_json_is_a_failure(caller: Caller, format: Any) -> None:
    assert "JSON" in caller.ask(shell("echo oh no", format=format), "?").failure.message


def test_the_last_event_is_the_answer_if_nobody_reads_them(caller: Caller) -> None:
    script = """echo '{"step": 1}'; echo noise; echo '{"ok": true}'"""
    assert caller.ask(shell(script, format="jsonl"), "?", schema=Answer).answer.output == {"ok": True}


STREAM = """echo '{"kind": "say", "text": "4"}'; echo '{"kind": "call", "tool": "ls"}'
echo noise; echo '{"kind": "say", "text": "2"}'; echo '{"kind": "end", "id": "s-1", "tokens": 7}'"""


def test_events_are_read_by_the_authors_own_function(caller: Caller) -> None:
    heard = caller.ask(shell(STREAM, format="jsonl", parse=read), "?")
    assert (heard.answer.text, heard.answer.session, heard.answer.usage) == ("42", "s-1", Usage(7, 1))
    assert heard.told(ToolCallEvent) == [ToolCallEvent("1", "ls")]
    assert heard.told(SessionEvent) == [SessionEvent("s-1")]


def test_one_json_value_can_be_read_by_it_too(caller: Caller) -> None:
    script = """printf '{\n"kind": "say", "text": "42"}\n'"""
    assert caller.ask(shell(script, format="json", parse=read), "?").answer.text == "42"


def test_a_conversation_is_continued_by_the_words_given(caller: Caller) -> None:
    agent = shell('echo "$@"', session=("--resume={session}",))
    assert caller.ask(agent, "?", session="s-1").answer.text == "--resume=s-1"


def test_a_line_that_the_authors_function_did_not_foresee_is_a_failure(caller: Caller) -> None:
    script = """echo '{"other": 1}'; sleep 60"""
    error = caller.ask(shell(script, format="jsonl", parse=read), "?").failure
    assert "KeyError" in error.message


WORDS = "kind say text call end id tokens tool".split()


@given(
    odd_events(["say", "call", "end"], WORDS),
    st.sampled_from(["json", "jsonl", "text"]),
    st.none() | st.integers(-15, 255),
    st.booleans(),
)
def test_whatever_it_says_comes_to_a_reply_or_a_classified_failure(
    events: list[dict[str, Any]], format: Any, status: int | None, reads: bool
) -> None:
    agent = CommandAgent(["x"], format=format, parse=read if reads and format != "text" else None)
    endured(agent.fold(request()), events, status, "")


def test_a_stream_without_an_end_is_what_its_exit_says() -> None:
    stream = '{"kind": "say", "text": "a"}\n'
    assert folded(CommandAgent(["x"], format="jsonl", parse=read), stream).answer.text == "a"
    assert folded(CommandAgent(["x"], format="jsonl", parse=read), stream, status=1).failure
