"""The streams here are written after reports of the program: none of them was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers.agents import Antigravity
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentTimeout,
    AgentUnfit,
)
from smithers.ports import NoticeEvent, SessionEvent, TextEvent, ToolCallEvent, ToolResultEvent, UsageEvent
from smithers.records import Usage
from tests.unit.agents.folded import called, endured, folded, request
from tests.unit.agents.oddities import odd_events


class Answer(BaseModel):
    ok: bool


def lines(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(event)}\n" for event in events)


def step(index: int = 1, **members: Any) -> dict[str, Any]:
    return {"event": "step_update", "step_update": {"step_index": index, **members}}


def result(**members: Any) -> dict[str, Any]:
    return {"event": "result", "result": {"status": "SUCCESS", "response": "42", "usage": USED, **members}}


INIT = {"event": "init", "conversation_id": "c-1", "init": {"cwd": "/repo", "tools": []}}
USED = {
    "input_tokens": 100,
    "output_tokens": 10,
    "thinking_tokens": 5,
    "cache_read_tokens": 20,
    "total_tokens": 115,
}


# --- How it is called ---------------------------------------------------------------------------


def test_the_prompt_goes_to_stdin_as_an_event() -> None:
    how = called(Antigravity(), prompt="two\nlines")
    assert how.argv[0] == "agy"
    assert how.argv[-1] == "-p="
    assert how.stdin is not None
    assert how.stdin.count("\n") == 1
    assert json.loads(how.stdin) == {"event": "user", "message": {"content": "two\nlines"}}
    assert how.env["AGY_CLI_DISABLE_AUTO_UPDATE"] == "1"


def test_its_options_are_said_in_its_own_words() -> None:
    agent = Antigravity(
        model="pro", dangerously_skip_permissions=True, add_dirs=("/a",), print_timeout="1h", args=("--x",)
    )
    argv = " ".join(called(agent, session="c-1").argv)
    assert "--input-format stream-json --output-format stream-json --print-timeout 1h --model pro" in argv
    assert argv.endswith("--dangerously-skip-permissions --add-dir /a --conversation c-1 --x -p=")


def test_it_takes_a_schema() -> None:
    how = called(Antigravity(), schema=Answer)
    schema = json.loads(how.argv[how.argv.index("--json-schema") + 1])
    assert schema["properties"].keys() == {"ok"}
    assert how.stdin is not None
    assert json.loads(how.stdin)["message"]["content"] == "Do it."


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(AgentUnfit, match="fork"):
        called(Antigravity(), session="c-1", forks=True)
    with pytest.raises(AgentUnfit, match="private folder"):
        called(Antigravity(config_dir="/accounts/two"))


def test_it_gets_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "AGY_X"):
        monkeypatch.setenv(name, "x")
    assert not {"GEMINI_API_KEY", "GOOGLE_API_KEY", "AGY_X"} & called(Antigravity()).env.keys()


# --- What it says -------------------------------------------------------------------------------


def test_a_run_with_a_tool() -> None:
    info = {"name": "write_file", "parameters": {"path": "a"}}
    stream = lines(
        INIT,
        step(1, step_type="tool", state="ACTIVE", tool_name="write_file", tool_info=info),
        step(1, step_type="tool", state="DONE", tool_info={**info, "output": "written"}),
        step(2, step_type="agent_response", state="ACTIVE", text_delta="4"),
        step(2, step_type="agent_response", state="DONE", text_delta="2"),
        result(),
    )
    heard = folded(Antigravity(model="pro"), stream)
    usage = Usage(100, 15, 20, model="pro")
    assert (heard.answer.text, heard.answer.session, heard.answer.usage) == ("42", "c-1", usage)
    assert heard.events == [
        SessionEvent("c-1"),
        ToolCallEvent("1", "write_file", {"path": "a"}),
        ToolResultEvent("1", "written"),
        TextEvent("4"),
        TextEvent("2"),
        UsageEvent(usage),
    ]


def test_cached_tokens_are_part_of_the_input_whichever_way_it_counts() -> None:
    apart = {**USED, "total_tokens": 135}
    assert folded(Antigravity(), lines(INIT, result(usage=apart))).answer.usage == Usage(120, 15, 20)


def test_a_denied_action_without_an_answer_is_no_success() -> None:
    denied = result(response="", denied_actions=[{"tool": "run_command", "reason": "permission"}])
    heard = folded(Antigravity(), lines(INIT, denied))
    assert type(heard.failure) is AgentError
    assert "run_command" in heard.failure.message
    assert "dangerously_skip_permissions" in heard.failure.hint
    assert [told.text for told in heard.told(NoticeEvent)] == [
        'denied: {"tool": "run_command", "reason": "permission"}'
    ]


def test_an_answer_after_a_denied_action_is_one() -> None:
    assert folded(Antigravity(), lines(INIT, result(denied_actions=["run_command"]))).answer.text == "42"


def test_an_answer_that_cost_nothing_is_what_its_own_timeout_cut_off() -> None:
    heard = folded(Antigravity(), lines(INIT, result(response="Let me", usage={})))
    assert isinstance(heard.failure, AgentTimeout)


@pytest.mark.parametrize("stream", [lines(INIT, result(response="half")), lines(INIT), ""])
def test_its_exit_says_that_a_limit_is_used_up(stream: str) -> None:
    assert isinstance(folded(Antigravity(), stream, status=3).failure, AgentQuota)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("You are not signed in.", AgentAuth),
        ("401 Unauthorized", AgentAuth),
        ("unknown model: nope", AgentUnfit),
        ("Quota exceeded", AgentQuota),
        ("The response was blocked by safety filters", AgentRefusal),
        ("503 service unavailable", AgentThrottled),
        ("it broke", AgentError),
        ("", AgentError),
    ],
)
def test_its_words_for_its_troubles(text: str, kind: type[AgentError]) -> None:
    error = folded(Antigravity(), lines(result(status="ERROR", response="", error=text)), status=1).failure
    assert type(error) is kind


def test_a_limit_says_when_it_resets() -> None:
    text = "Quota exceeded. Your quota will reset after 1h30m."
    error = folded(Antigravity(), lines(result(status="ERROR", error=text)), status=1).failure
    assert isinstance(error, AgentQuota)
    assert error.resets_ms == request().now_ms() + 5_400_000


def test_a_conversation_that_is_not_there_is_lost() -> None:
    gone = lines(result(status="ERROR", error="conversation c-9 not found"))
    assert isinstance(folded(Antigravity(), gone, status=1, session="c-9").failure, AgentSessionLost)


def test_leaving_without_a_word_is_a_failure() -> None:
    assert type(folded(Antigravity(), lines(INIT), status=0).failure) is AgentError


KINDS = "init step_update result".split()
WORDS = (
    "event step_update result status SUCCESS response usage total_tokens input_tokens denied_actions "
    "step_type tool agent_response tool_info state DONE output conversation_id error"
).split()


@given(odd_events(KINDS, WORDS), st.none() | st.integers(-15, 255), st.text(max_size=20))
def test_whatever_it_says_comes_to_a_reply_or_a_classified_failure(
    events: list[dict[str, Any]], status: int | None, stderr: str
) -> None:
    endured(Antigravity().fold(request()), events, status, stderr)
