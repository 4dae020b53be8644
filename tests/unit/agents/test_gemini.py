from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers.agents import Gemini
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import (
    AgentTools,
    NoticeEvent,
    RetryEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
)
from smithers.records import Usage
from tests.agents.case import UNKNOWN_SESSION
from tests.agents.transcript import load
from tests.unit.agents.folded import FOLDER, NOW_MS, Folded, called, endured, folded, replayed, request
from tests.unit.agents.oddities import odd_events

SESSION = "00000000-0000-4000-8000-000000000001"


class Answer(BaseModel):
    ok: bool


def lines(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(event)}\n" for event in events)


def says(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text, "delta": True}


INIT = {"type": "init", "session_id": SESSION, "model": "gemini-2.5-pro"}
STATS = {"total_tokens": 12, "input_tokens": 10, "output_tokens": 2, "cached": 4, "models": {}}
DONE = {"type": "result", "status": "success", "stats": STATS}


def refused(message: str, kind: str = "unknown") -> dict[str, Any]:
    return {"type": "result", "status": "error", "error": {"type": kind, "message": message}, "stats": {}}


# --- How it is called ---------------------------------------------------------------------------


def test_by_default_it_may_edit_and_reads_its_prompt_from_stdin() -> None:
    how = called(Gemini())
    assert how.argv == ("gemini", "-o", "stream-json", "--approval-mode", "auto_edit")
    assert how.stdin == "Do it."
    assert how.env["GEMINI_CLI_NO_RELAUNCH"] == how.env["GEMINI_CLI_TRUST_WORKSPACE"] == "true"
    assert not how.files


def test_its_options_are_said_in_its_own_words() -> None:
    agent = Gemini(
        model="gemini-2.5-pro",
        approval_mode="yolo",
        include_directories=("/a", "/b"),
        system_prompt="Be brief.",
        args=("--debug",),
    )
    how = called(agent, session=SESSION)
    words = "--approval-mode yolo -m gemini-2.5-pro --include-directories /a --include-directories /b"
    assert " ".join(how.argv[3:]) == f"{words} --resume {SESSION} --debug"
    assert how.env["GEMINI_SYSTEM_MD"] == str(FOLDER / "system.md")
    assert how.files == {"system.md": "Be brief."}


def test_the_shape_of_the_answer_is_said_in_the_prompt() -> None:
    how = called(Gemini(), schema=Answer)
    assert how.stdin is not None
    assert how.stdin.startswith("Do it.\n")
    assert '"ok"' in how.stdin


def test_it_cannot_fork_a_conversation() -> None:
    with pytest.raises(AgentUnfit, match="fork"):
        called(Gemini(), session=SESSION, forks=True)


@pytest.mark.parametrize(
    ("agent", "tools", "allowed"),
    [
        (Gemini(allow_tools=("read_file",)), AgentTools(), [{"toolName": "read_file"}]),
        (Gemini(allow_tools=("read_file",)), AgentTools(("glob",)), [{"toolName": "glob"}]),
        (Gemini(), AgentTools(()), []),
        (Gemini(), AgentTools(explicit_only=True), []),
        (
            Gemini(allow_tools=('run_shell_command(git "log" *)',)),
            AgentTools(),
            [{"toolName": "run_shell_command", "commandPrefix": 'git "log"'}],
        ),
    ],
)
def test_it_is_limited_to_tools_by_rules_of_its_own(
    agent: Gemini, tools: AgentTools, allowed: list[dict[str, str]]
) -> None:
    how = called(agent, tools=tools)
    assert how.argv[-2:] == ("--policy", str(FOLDER / "tools.toml"))
    deny, *allow = tomllib.loads(how.files["tools.toml"])["rule"]
    assert deny == {"toolName": "*", "decision": "deny", "priority": 998}
    assert allow == [{**rule, "decision": "allow", "priority": 999} for rule in allowed]


def test_it_cannot_limit_what_other_tools_do() -> None:
    with pytest.raises(AgentUnfit, match="read_file"):
        called(Gemini(allow_tools=("read_file(/etc)",)))


def test_it_gets_its_own_keys_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GEMINI_PTY_INFO", "OPENAI_API_KEY", "CODEX_HOME"):
        monkeypatch.setenv(name, "x")
    env = called(Gemini()).env
    assert env["GEMINI_API_KEY"] == env["GOOGLE_CLOUD_PROJECT"] == "x"
    assert not {"GEMINI_PTY_INFO", "OPENAI_API_KEY", "CODEX_HOME"} & env.keys()
    private = called(Gemini(config_dir="/accounts/two")).env
    assert private["GEMINI_CLI_HOME"] == "/accounts/two"
    assert "GEMINI_API_KEY" not in private


# --- What it says -------------------------------------------------------------------------------


def test_a_recorded_run_that_writes_a_file() -> None:
    heard = replayed(Gemini(), load("gemini", "write"))
    assert heard.answer.text == '{"ok": true}'
    assert heard.answer.session == SESSION
    assert heard.answer.usage == Usage(2400, 68, 200, model="gemini-2.5-pro")
    assert heard.answer.counted is None
    assert heard.events[0] == SessionEvent(SESSION)
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.id, result.is_error) == ("write_file", result.id, False)


def test_a_conversation_that_goes_on_counts_anew() -> None:
    heard = replayed(Gemini(), load("gemini", "resume"), session=SESSION, counted=Usage(1200, 34))
    assert heard.answer.usage == Usage(1200, 34, 100, model="gemini-2.5-pro")


@pytest.mark.parametrize(
    ("case", "kind", "details"),
    [
        ("401", AgentAuth, {"status": 401}),
        ("403", AgentAuth, {"status": 403}),
        ("429", AgentThrottled, {"status": 429}),
        ("429-quota", AgentQuota, {"status": 429, "resets_ms": None}),
        ("429-usage-limit", AgentQuota, {"status": 429, "resets_ms": NOW_MS + 7_200_000}),
        ("500", AgentThrottled, {"status": 500}),
        ("529", AgentThrottled, {"status": 529}),
        ("cut", AgentThrottled, {}),
        ("garbage", AgentThrottled, {}),
        ("empty", AgentError, {}),
        ("hang", AgentError, {}),
        ("hang-after-first-event", AgentError, {}),
    ],
)
def test_recorded_failures_have_their_class(
    case: str, kind: type[AgentError], details: dict[str, Any]
) -> None:
    error = replayed(Gemini(), load("gemini", case)).failure
    assert type(error) is kind
    assert details.items() <= error.details.items()


def test_a_conversation_that_is_not_there_is_lost() -> None:
    kept = load("gemini", "unknown-session")
    assert isinstance(replayed(Gemini(), kept, session=UNKNOWN_SESSION).failure, AgentSessionLost)


def test_pieces_are_joined_and_what_was_said_before_a_tool_is_no_answer() -> None:
    tool = {"type": "tool_use", "tool_name": "glob", "tool_id": "1", "parameters": {}}
    heard = folded(Gemini(), lines(INIT, says("Let me "), says("see."), tool, says("4"), says("2"), DONE))
    assert heard.answer.text == "42"
    assert [told.text for told in heard.told(TextEvent)] == ["Let me ", "see.", "4", "2"]


def test_what_was_said_before_the_last_tool_is_the_answer_if_nothing_comes_after() -> None:
    tool = {"type": "tool_use", "tool_name": "update_topic", "tool_id": "1", "parameters": {}}
    assert folded(Gemini(), lines(INIT, says("42"), tool, tool, DONE)).answer.text == "42"


def test_what_it_thought_counts_as_written() -> None:
    done = {**DONE, "stats": {**STATS, "total_tokens": 60}}
    assert folded(Gemini(), lines(INIT, done)).answer.usage == Usage(10, 50, 4, model="gemini-2.5-pro")


def test_a_denied_tool_is_told() -> None:
    result = {"type": "tool_result", "tool_id": "1", "status": "error", "error": {"message": "denied"}}
    heard = folded(Gemini(), lines(INIT, result, says("a"), DONE))
    assert heard.told(ToolResultEvent) == [ToolResultEvent("1", "denied", is_error=True)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The model response was blocked due to safety settings.", AgentRefusal),
        ("The model response was blocked due to recitation/copyright filters.", AgentRefusal),
        ("The model returned an empty response with no text or thoughts.", AgentError),
    ],
)
def test_an_answer_that_was_none_is_a_failure(text: str, kind: type[AgentError]) -> None:
    error = {"type": "error", "severity": "error", "message": text}
    heard = folded(Gemini(), lines(INIT, error, {**DONE, "status": "error"}))
    assert type(heard.failure) is kind
    assert heard.told(NoticeEvent) == [NoticeEvent(text)]


@pytest.mark.parametrize(
    ("message", "status", "stderr", "kind"),
    [
        ('[API Error: {"error":{"code":400,"message":"API key not valid. Please"}}]', 144, "", AgentAuth),
        ('[API Error: {"error":{"code":400,"message":"Invalid"}}]', 144, "", AgentUnfit),
        ("[API Error: no such model]", 1, "ModelNotFoundError: no such model", AgentUnfit),
        ("[API Error: too long]", 157, "", AgentUnfit),
        ("[API Error: busy]\nTo increase your limits, request a quota increase", 173, "", AgentThrottled),
        ("[API Error: You have exhausted your daily quota on this model.]", 173, "", AgentQuota),
        ("[API Error: enough]", 173, "TerminalQuotaError: enough", AgentQuota),
        ("[API Error: No capacity available]", 173, "TerminalQuotaError: No capacity", AgentThrottled),
        ("[API Error: fetch failed]", 1, "", AgentThrottled),
        ("[API Error: An unknown error occurred.]", 1, "", AgentError),
        ("Reached max session turns for this session.", 53, "", AgentError),
    ],
)
def test_its_words_for_its_troubles(message: str, status: int, stderr: str, kind: type[AgentError]) -> None:
    error = folded(Gemini(), lines(INIT, refused(message)), status=status, stderr=stderr).failure
    assert type(error) is kind


@pytest.mark.parametrize(
    ("stderr", "status", "kind"),
    [
        ("When using Gemini API, you must specify the GEMINI_API_KEY environment variable.", 41, AgentAuth),
        ("Gemini CLI is not running in a trusted directory.", 55, AgentUnfit),
        ("Usage: gemini\n\nUnknown argument: bogus\n", 1, AgentUnfit),
        ("Invalid values:\n  Argument: approval-mode, Given: 'x'\n", 1, AgentUnfit),
        ("An unexpected critical error occurred:\n    at x\n", 1, AgentError),
        ("", 0, AgentError),
    ],
)
def test_leaving_without_a_word_is_a_failure(stderr: str, status: int, kind: type[AgentError]) -> None:
    assert type(folded(Gemini(), "", stderr=stderr, status=status).failure) is kind


# --- Trying again -------------------------------------------------------------------------------


def tries(*notes: str) -> Folded:
    return folded(Gemini(), lines(INIT, says("a"), DONE), stderr="\n".join(notes))


def attempt(number: int, status: int = 503) -> str:
    return (
        f'Attempt {number} failed with status {status}. Retrying with backoff... _ApiError: {{"error":{{}}}}'
    )


def test_another_try_is_no_failure() -> None:
    heard = tries(attempt(1), "    at x", "}", attempt(2, 429))
    assert heard.answer.text == "a"
    assert [(told.attempt, told.reason) for told in heard.told(RetryEvent)] == [
        (1, "server"),
        (2, "throttle"),
    ]
    assert not heard.told(NoticeEvent)


def test_it_is_ended_after_its_third_try() -> None:
    error = tries(attempt(1), attempt(2), attempt(3)).failure
    assert isinstance(error, AgentThrottled)
    assert error.details["status"] == 503


def test_a_last_try_that_failed_is_left_to_say_so_itself() -> None:
    assert tries("Attempt 3 failed: busy. Max attempts reached").answer.text == "a"


def test_it_is_ended_before_a_long_wait() -> None:
    error = tries("Attempt 1 failed: busy", "Suggested retry after 100s.. Retrying after 115647ms...").failure
    assert isinstance(error, AgentThrottled)
    assert error.retry_after_s == 115.647
    assert tries("Attempt 1 failed: busy. Retrying after 5000ms...").told(RetryEvent)[0].delay_s == 5.0


KINDS = "init message tool_use tool_result error result".split()
WORDS = (
    "type role assistant content status success stats models total_tokens error message session_id code"
).split()


@given(odd_events(KINDS, WORDS), st.none() | st.integers(-15, 255), st.text(max_size=20))
def test_whatever_it_says_comes_to_a_reply_or_a_classified_failure(
    events: list[dict[str, Any]], status: int | None, stderr: str
) -> None:
    endured(Gemini().fold(request()), events, status, stderr)
