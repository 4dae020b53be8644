"""Pi: how it is called, and what its stream comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers.agents import Pi
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import AgentTools, RetryEvent, SessionEvent, TextEvent, ToolCallEvent, ToolResultEvent
from tests.agents.transcript import load
from tests.unit.agents.folded import FOLDER, NOW_MS, endured, folded, replayed, request, stream
from tests.unit.agents.oddities import odd_events

UNKNOWN = "0d15ea5e-0000-4000-8000-000000000000"


def words(agent: Pi, **more: Any) -> tuple[str, ...]:
    return agent.invocation(request(**more), FOLDER).argv


def answer(text: str = "done", **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    return {
        "type": "message_end",
        "message": {"role": "assistant", "content": content, "stopReason": "stop", **more},
    }


SETTLED = {"type": "agent_settled"}


def test_it_is_called_with_its_own_words() -> None:
    agent = Pi(
        model="m", provider="p", thinking="high", system_prompt="s", append_system_prompt="a",
        deny_tools=["edit", "write"], args=["--no-skills"],
    )  # fmt: skip
    assert words(agent) == (
        "pi", "-p", "--mode", "json", "--provider", "p", "--model", "m", "--thinking", "high",
        "--system-prompt", "s", "--append-system-prompt", "a", "--exclude-tools", "edit,write", "--no-skills",
    )  # fmt: skip


def test_the_prompt_comes_on_its_input_and_names_the_schema() -> None:
    class Out(BaseModel):
        colour: str

    how = Pi(cwd="/work").invocation(request(prompt="-p is no option", schema=Out), FOLDER)
    assert how.stdin is not None
    assert how.stdin.startswith("-p is no option")
    assert '"colour"' in how.stdin
    assert how.cwd == Path("/work")


def test_a_conversation_is_continued_or_forked() -> None:
    assert words(Pi(), session="s1")[-2:] == ("--session", "s1")
    assert words(Pi(), session="s1", forks=True)[-2:] == ("--fork", "s1")


@pytest.mark.parametrize(
    ("own", "task", "expected"),
    [
        (None, AgentTools(), ()),
        (["read"], AgentTools(), ("--tools", "read")),
        (["read"], AgentTools(("bash", "edit")), ("--tools", "bash,edit")),
        (None, AgentTools(()), ("--no-tools",)),
        (None, AgentTools(None, explicit_only=True), ("--no-tools",)),
    ],
)
def test_tools_are_limited(own: list[str] | None, task: AgentTools, expected: tuple[str, ...]) -> None:
    agent = Pi(allow_tools=own)
    agent.check(task)
    assert words(agent, tools=task)[4:] == expected


def test_its_environment_is_quiet_and_free_of_other_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "CODEX_HOME", "PI_MODEL", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, "x")
    env = Pi(env={"PI_OFFLINE": "0"}).invocation(request(env={"MINE": "1"}), FOLDER).env
    assert (env["PI_TELEMETRY"], env["PI_OFFLINE"], env["MINE"]) == ("0", "0", "1")
    assert env["ANTHROPIC_API_KEY"] == env["DEEPSEEK_API_KEY"] == "x"
    assert not {"CLAUDECODE", "CODEX_HOME", "PI_MODEL"} & set(env)
    private = Pi(config_dir="/accounts/a").invocation(request(), FOLDER).env
    assert private["PI_CODING_AGENT_DIR"] == "/accounts/a"
    assert "ANTHROPIC_API_KEY" not in private


# --- Its stream ---------------------------------------------------------------------------------


def test_a_recorded_call_tells_what_it_does_and_sums_up_what_it_cost() -> None:
    heard = replayed(Pi(), load("pi", "write"))
    assert heard.answer.text == '{"ok": true}'
    assert heard.told(SessionEvent) == [SessionEvent(heard.answer.session or "")]
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.input) == ("write", {"path": "hello.txt", "content": "hi\n"})
    assert (result.id, result.text) == (call.id, "Successfully wrote to hello.txt")
    usage = heard.answer.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (2400, 200, 68)
    assert (usage.model, usage.cost_usd) == ("fake-model", None)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("401", AgentAuth),
        ("403", AgentAuth),
        ("429", AgentThrottled),
        ("429-retry-after", AgentThrottled),
        ("429-quota", AgentQuota),
        ("429-usage-limit", AgentQuota),
        ("500", AgentThrottled),
        ("529", AgentThrottled),
        ("cut", AgentThrottled),
        ("garbage", AgentThrottled),
        ("hang", AgentError),
        ("hang-after-first-event", AgentError),
        ("length", AgentError),
    ],
)
def test_a_recorded_failure_has_its_class(case: str, kind: type[AgentError]) -> None:
    assert type(replayed(Pi(), load("pi", case)).failure) is kind


def test_a_limit_says_when_it_resets() -> None:
    error = replayed(Pi(), load("pi", "429-usage-limit")).failure
    assert isinstance(error, AgentQuota)
    assert error.resets_ms == NOW_MS + 7_200_000


def test_a_recorded_recovery_is_a_success_and_tells_of_its_retry() -> None:
    heard = replayed(Pi(), load("pi", "flaky-529"))
    assert heard.answer.text == '{"ok": true}'
    assert [retry.reason for retry in heard.told(RetryEvent)] == ["server"]


def test_a_conversation_that_is_not_there_is_lost() -> None:
    assert isinstance(
        replayed(Pi(), load("pi", "unknown-session"), session=UNKNOWN).failure, AgentSessionLost
    )
    elsewhere = "Session found in different project: /a\nFork this session into current directory? [y/N] "
    assert isinstance(folded(Pi(), "", stderr=elsewhere, session="s1").failure, AgentSessionLost)


def test_another_conversation_than_the_one_asked_for_is_none_of_ours() -> None:
    begun = {"type": "session", "id": "s2"}
    assert isinstance(folded(Pi(), stream([begun]), session="s1").failure, AgentSessionLost)
    assert folded(Pi(), stream([begun, answer(), SETTLED]), session="s1", forks=True).answer.session == "s2"


def test_an_end_of_one_try_is_not_the_end() -> None:
    ended = {"type": "agent_end", "messages": [], "willRetry": True}
    assert type(folded(Pi(), stream([answer(), ended])).failure) is AgentError


def test_the_last_message_counts_and_not_one_before() -> None:
    failed = answer("", stopReason="error", errorMessage="503: {}")
    assert folded(Pi(), stream([failed, answer("at last"), SETTLED])).answer.text == "at last"
    assert isinstance(folded(Pi(), stream([answer("early"), failed, SETTLED])).failure, AgentThrottled)


def test_a_cost_is_taken_over_where_there_is_one() -> None:
    usage = {"input": 10, "output": 5, "cacheRead": 3, "cacheWrite": 2, "cost": {"total": 0.25}}
    found = folded(Pi(), stream([answer(usage=usage), answer(usage=usage), SETTLED])).answer.usage
    assert found is not None
    assert (found.input_tokens, found.cache_write_tokens, found.cost_usd) == (30, 4, 0.5)
    assert found.cost_source == "cli"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('401 {"type":"error","error":{"type":"authentication_error"}}', AgentAuth),
        ('402: {"message":"Insufficient balance"}', AgentQuota),
        ('404: {"message":"The model does not exist"}', AgentUnfit),
        ('400: {"message":"maximum context length"}', AgentUnfit),
        ("Provider finish_reason: content_filter", AgentRefusal),
        ("fetch failed", AgentThrottled),
        ("something else", AgentError),
    ],
)
def test_a_message_in_place_of_an_answer_has_its_class(message: str, kind: type[AgentError]) -> None:
    events = [answer("", stopReason="error", errorMessage=message), SETTLED]
    assert type(folded(Pi(), stream(events)).failure) is kind


@pytest.mark.parametrize("why", ["aborted", "toolUse", "pending", "error", ""])
def test_a_message_that_did_not_stop_by_itself_is_no_answer(why: str) -> None:
    assert type(folded(Pi(), stream([answer(stopReason=why), SETTLED])).failure) is AgentError


def test_a_retry_that_is_far_away_is_left_to_the_run() -> None:
    soon = {"type": "auto_retry_start", "attempt": 1, "delayMs": 2000, "errorMessage": "429: slow"}
    late = {**soon, "delayMs": 300_000}
    heard = folded(Pi(), stream([soon, late, answer(), SETTLED]))
    assert [retry.delay_s for retry in heard.told(RetryEvent)] == [2.0, 300.0]
    assert isinstance(heard.failure, AgentThrottled)
    assert heard.failure.retry_after_s == 300.0


def test_thoughts_are_told_apart() -> None:
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]
    heard = folded(Pi(), stream([answer(content=content), SETTLED]))
    assert heard.told(TextEvent) == [TextEvent("hm", is_reasoning=True), TextEvent("yes")]
    assert heard.answer.text == "yes"


def test_nobody_signed_in_and_bad_options_are_told_on_standard_error() -> None:
    assert type(folded(Pi(), "", stderr="No API key found for the selected model.").failure) is AgentAuth
    assert type(folded(Pi(), "", stderr="Error: Unknown option: --x", status=1).failure) is AgentUnfit


KINDS = "session message_end tool_execution_start tool_execution_end auto_retry_start agent_settled".split()
WORDS = (
    "id message role assistant content text thinking stopReason stop error errorMessage usage input cost "
    "total toolCallId result delayMs attempt"
).split()


@given(odd_events(KINDS, WORDS), st.sampled_from([0, 1, 143, None]), st.text(), st.booleans())
def test_whatever_it_is_sent_it_ends_well_or_with_an_agents_error(
    events: list[dict[str, Any]], status: int | None, stderr: str, resumes: bool
) -> None:
    endured(Pi().fold(request(session="s1" if resumes else None)), events, status, stderr)
