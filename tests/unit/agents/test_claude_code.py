"""Claude Code: how it is called, and what its stream means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smithers.agents import ClaudeCode
from smithers.agents.cli import Ending
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ids import NodeKey
from smithers.ports import (
    AgentReply,
    AgentRequest,
    AgentTools,
    Exit,
    NoticeEvent,
    RetryEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.records import Usage
from tests.contract import claude_words as claude
from tests.contract.agent_case import RECORDED_MS, Answer, recorded
from tests.property.hearing import folded

IN_TWO_HOURS_MS = RECORDED_MS + 7_200_000
BANNER = "You've hit your session limit · resets 2am (UTC)"


def heard(*events: dict[str, Any], status: int | None = 0, stderr: str = "", **asks: Any) -> Any:
    """What a stream comes to, and its events."""
    return folded(ClaudeCode(), [claude.lines(*events).encode()], status, stderr, **asks)


def reply(*events: dict[str, Any], **asks: Any) -> AgentReply:
    found, _ = heard(*events, **asks)
    assert isinstance(found, AgentReply)
    return found


def error(*events: dict[str, Any], **asks: Any) -> AgentError:
    found, _ = heard(*events, **asks)
    assert isinstance(found, AgentError)
    return found


def words(agent: ClaudeCode, **asks: Any) -> list[str]:
    """Its command line, without what every call has."""
    request = AgentRequest("p", asks.pop("schema", None), NodeKey("t"), "r", 1, **asks)
    argv = agent.invocation(request, Path("/folder")).argv
    always = (
        "claude",
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--permission-mode",
        "acceptEdits",
    )
    assert argv[: len(always)] == always
    return list(argv[len(always) :])


# --- How it is called ---------------------------------------------------------------------------


def test_a_plain_call_has_no_word_too_many() -> None:
    assert words(ClaudeCode()) == []


def test_each_option_is_passed_on_by_its_own_name() -> None:
    agent = ClaudeCode(
        model="opus", effort="high", system_prompt="be", append_system_prompt="and", max_turns=3,
        max_budget_usd=0.5, fallback_model="haiku", add_dirs=["/a", Path("/b")], deny_tools=["X", "Y"],
        args=["--last"],
    )  # fmt: skip
    assert words(agent) == [
        "--model", "opus", "--effort", "high", "--system-prompt", "be", "--append-system-prompt", "and",
        "--max-turns", "3", "--max-budget-usd", "0.5", "--fallback-model", "haiku",
        "--disallowedTools", "X,Y", "--add-dir", "/a", "--add-dir", "/b", "--last",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "tools", "found"),
    [
        ([], AgentTools(), ["--tools", "", "--strict-mcp-config"]),
        (
            ["Bash(git *)", "Bash(ls)", "Read"],
            AgentTools(),
            ["--tools", "Bash,Read", "--allowedTools", "Bash(git *),Bash(ls),Read", "--strict-mcp-config"],
        ),
        (["mcp__a__b"], AgentTools(), ["--tools", "", "--allowedTools", "mcp__a__b"]),
        (
            ["Read"],
            AgentTools(("Grep",)),
            ["--tools", "Grep", "--allowedTools", "Grep", "--strict-mcp-config"],
        ),
        (["Read"], AgentTools(()), ["--tools", "", "--strict-mcp-config"]),
        (None, AgentTools(None, explicit_only=True), ["--tools", "", "--strict-mcp-config"]),
        (None, AgentTools(), []),
    ],
)
def test_a_list_of_tools_restricts_what_there_is_and_lets_it_be_used(
    own: list[str] | None, tools: AgentTools, found: list[str]
) -> None:
    assert words(ClaudeCode(allow_tools=own), tools=tools) == found


def test_servers_are_those_that_are_named_and_no_others() -> None:
    servers = {"mcpServers": {"a": {"command": "x"}}}
    given = words(ClaudeCode(mcp_config=servers))
    assert given == ["--mcp-config", json.dumps(servers), "--strict-mcp-config"]
    assert words(ClaudeCode(mcp_config=Path("/m.json"))) == ["--mcp-config", "/m.json", "--strict-mcp-config"]


def test_a_shape_is_passed_on_as_its_schema() -> None:
    flag, schema = words(ClaudeCode(), schema=Answer)
    assert flag == "--json-schema"
    assert set(json.loads(schema)["properties"]) == {"ok", "n"}


def test_it_tries_a_refused_request_a_few_times_by_itself_unless_it_is_told_otherwise() -> None:
    request = AgentRequest("p", None, NodeKey("t"), "r", 1)
    assert ClaudeCode().invocation(request, Path()).env["CLAUDE_CODE_MAX_RETRIES"] == "3"
    env = {"CLAUDE_CODE_MAX_RETRIES": "9"}
    assert ClaudeCode(env=env).invocation(request, Path()).env["CLAUDE_CODE_MAX_RETRIES"] == "9"


# --- What it says -------------------------------------------------------------------------------


def test_its_stream_is_told_as_it_comes() -> None:
    _, events = heard(
        claude.init(),
        claude.thought("Hm."),
        claude.called("Write", file_path="/x"),
        claude.returned("no such folder", is_error=True),
        claude.denied("Bash"),
        claude.retry("rate_limit", 429, attempt=2, delay_ms=1500),
        claude.said("done"),
        claude.result("done"),
    )
    usage = Usage(2650, 68, 200, 50, 0.00828, "cli", claude.MODEL)
    assert events == [
        SessionEvent(claude.SESSION),
        TextEvent("Hm.", is_reasoning=True),
        ToolCallEvent("toolu_1", "Write", {"file_path": "/x"}),
        ToolResultEvent("toolu_1", "no such folder", is_error=True),
        NoticeEvent("denied: Claude requested permissions to use Bash, but you haven't granted it yet."),
        RetryEvent("throttle", "rate_limit 429", 2, 1.5),
        TextEvent("done"),
        UsageEvent(usage),
    ]


def test_a_recorded_run_of_several_requests_is_told_whole() -> None:
    outcome, events = folded(ClaudeCode(), [recorded("claude", "flaky-529").stdout.encode()])
    assert isinstance(outcome, AgentReply)
    kinds = [type(event) for event in events]
    assert kinds[:3] == [SessionEvent, RetryEvent, ToolCallEvent]
    assert [event.reason for event in events if isinstance(event, RetryEvent)] == ["server"]


def test_what_it_does_not_know_is_let_pass() -> None:
    noise = [{"type": "stream_event"}, {"type": "system", "subtype": "hook"}, {"type": None}, {}]
    assert reply(claude.init(), *noise, claude.said("done"), *noise, claude.result("done")).text == "done"


def test_success_needs_no_order_of_keys_and_no_good_exit() -> None:
    last = dict(reversed(claude.result("done").items()))
    for status in (0, 1, 137, -9, None):
        assert reply(claude.said("done"), last, status=status).text == "done"


@pytest.mark.parametrize(
    "change",
    [{"is_error": True}, {"is_error": None}, {"is_error": "false"}, {"is_error": 0},
     {"subtype": "error_max_turns"}, {"subtype": "error_during_execution"}, {"type": "results"},
     {"type": ["result"]}],
    ids=str,
)  # fmt: skip
def test_no_success_without_every_sign_of_it(change: dict[str, Any]) -> None:
    assert type(error(claude.said("done"), {**claude.result("done"), **change})) is AgentError


def test_a_result_without_its_error_flag_is_no_success() -> None:
    last = claude.result("done")
    del last["is_error"]
    assert type(error(last)) is AgentError


def test_of_several_results_the_last_one_counts() -> None:
    assert reply(claude.result("first"), claude.result("second")).text == "second"
    assert error(claude.result("first"), claude.result("second", is_error=True)).message == "second"


def test_words_that_an_answer_quotes_are_no_failure() -> None:
    said = f"The log says: {BANNER}. Invalid API key. API Error: 529 Overloaded. No conversation found."
    assert reply(claude.init(), claude.said(said), claude.result(said), session="s").text == said


@pytest.mark.parametrize("said", ["", "I was about to"])
def test_an_answer_that_quotes_a_limit_and_is_then_cut_off_is_a_crash(said: str) -> None:
    assert type(error(claude.init(), claude.said(f"{said} {BANNER}"), status=1)) is AgentError


# --- Limits of the account ----------------------------------------------------------------------


def test_a_limit_that_is_used_up_is_told_with_its_reset() -> None:
    rejected = claude.limit("rejected", resetsAt=IN_TWO_HOURS_MS // 1000, rateLimitType="five_hour")
    for stream in (
        (
            rejected,
            claude.own(BANNER, "rate_limit"),
            claude.result(BANNER, is_error=True, api_error_status=429),
        ),
        (rejected, claude.result("", is_error=False)),
        (rejected,),
        (claude.own(BANNER), claude.result(BANNER)),
        (claude.own(BANNER, "rate_limit"), claude.result(BANNER, is_error=True)),
        (claude.own(BANNER),),
    ):
        found, events = heard(claude.init(), *stream)
        assert type(found) is AgentQuota
        assert found.resets_ms == IN_TWO_HOURS_MS
        assert any(isinstance(event, NoticeEvent) for event in events)


def test_the_latest_of_several_limits_is_waited_for() -> None:
    found = error(
        claude.limit("rejected", resetsAt=IN_TWO_HOURS_MS // 1000 + 60, rateLimitType="seven_day"),
        claude.limit("rejected", resetsAt=IN_TWO_HOURS_MS // 1000, rateLimitType="five_hour"),
    )
    assert isinstance(found, AgentQuota)
    assert found.resets_ms == IN_TWO_HOURS_MS + 60_000


@pytest.mark.parametrize("resets", [None, 0, 1, -1, 1e308, "soon", RECORDED_MS / 1000 - 5, 10**12, True])
def test_a_limit_without_a_reset_that_can_be_is_a_limit_all_the_same(resets: object) -> None:
    found = error(claude.limit("rejected", resetsAt=resets))
    assert isinstance(found, AgentQuota)
    assert found.resets_ms is None


@pytest.mark.parametrize("status", ["allowed", "allowed_warning", "from_the_future", ""])
def test_where_the_account_stands_is_no_limit_by_itself(status: str) -> None:
    stand = claude.limit(status, resetsAt=IN_TWO_HOURS_MS // 1000, rateLimitType="five_hour")
    found, events = heard(stand, claude.said("done"), claude.result("done"))
    assert isinstance(found, AgentReply)
    assert any(isinstance(event, NoticeEvent) for event in events) is (status not in ("allowed", ""))
    assert type(error(stand, status=1)) is AgentError


def test_a_limit_that_did_not_keep_it_from_answering_is_none() -> None:
    rejected = claude.limit("rejected", rateLimitType="five_hour")
    assert reply(rejected, claude.said("done"), claude.result("done")).text == "done"
    assert reply(rejected, claude.result("", structured_output={"ok": True})).output == {"ok": True}


def test_a_limit_that_is_over_or_paid_for_is_none() -> None:
    rejected = claude.limit("rejected", rateLimitType="five_hour")
    assert type(error(rejected, claude.limit("allowed", rateLimitType="five_hour"))) is AgentError
    assert type(error(rejected, claude.limit("allowed", rateLimitType="seven_day"))) is AgentQuota
    assert type(error(claude.limit("rejected", isUsingOverage=True))) is AgentError


def test_a_limit_without_a_time_is_known_by_its_class() -> None:
    said = {**claude.own("You've hit your limit", "rate_limit"), "api_error": "usage_limit_reached"}
    found = error(said, claude.result("You've hit your limit", is_error=True, api_error_status=429))
    assert type(found) is AgentQuota
    assert found.resets_ms is None


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("Request rejected (429) · Too many requests", AgentThrottled),
        ("Request rejected (429) · try again in 20s", AgentThrottled),
        ("Request rejected (429) · 50,000 tokens per minute", AgentThrottled),
        ("Request rejected (429) · resets in 3 hours", AgentQuota),
        ("Request rejected (429) · You exceeded your current quota, check your plan and billing", AgentQuota),
    ],
)
def test_too_much_at_once_is_told_from_a_limit_of_the_account(text: str, becomes: type[AgentError]) -> None:
    stream = claude.own(text, "rate_limit"), claude.result(text, is_error=True, api_error_status=429)
    assert type(error(*stream)) is becomes
    # An older version gives no status.
    assert type(error(stream[0], claude.result(text, is_error=True))) is becomes


def test_how_long_it_is_to_be_left_alone_is_told() -> None:
    text = "API Error: Request rejected (429) · try again in 20s"
    found = error(claude.own(text, "rate_limit"), claude.result(text, is_error=True, api_error_status=429))
    assert isinstance(found, AgentThrottled)
    assert found.retry_after_s == 20


# --- Other failures -----------------------------------------------------------------------------


def test_a_refused_request_that_it_got_over_does_not_name_a_later_failure() -> None:
    found = error(
        claude.own("API Error: 529", "server_error"),
        claude.said("Going on."),
        claude.result("It broke.", is_error=True),
    )
    assert type(found) is AgentError


def test_its_own_words_with_a_class_are_no_answer_whatever_its_flags_say() -> None:
    text = "API Error: 500 Internal server error"
    assert type(error(claude.own(text, "server_error"), claude.result(text))) is AgentThrottled
    assert reply(claude.own("No response requested."), claude.result("No response requested.")).text


def test_a_key_that_is_refused_is_not_tried_for_minutes() -> None:
    found, events = heard(claude.init(), claude.retry("authentication_failed", 401))
    assert isinstance(found, AgentAuth)
    assert events[-1] == RetryEvent("auth", "authentication_failed 401", 1, 0.542)


def test_a_conversation_is_lost_only_if_one_was_asked_for() -> None:
    gone = "No conversation found with session ID: s"
    assert type(error(status=1, stderr=gone, session="s")) is AgentSessionLost
    assert type(error(status=1, stderr=gone)) is AgentError
    lost = claude.result(None, subtype="error_during_execution", is_error=True, errors=[gone])
    assert type(error(lost, session="s")) is AgentSessionLost
    assert type(error(lost)) is AgentError


@pytest.mark.parametrize(
    ("name", "status", "becomes"),
    [
        ("model_not_found", 404, AgentUnfit),
        ("invalid_request", 400, AgentUnfit),
        ("invalid_request", 413, AgentUnfit),
        ("billing_error", 400, AgentQuota),
        ("billing_error", None, AgentQuota),
        ("server_error", None, AgentThrottled),
        ("overloaded", None, AgentThrottled),
        ("unknown", None, AgentThrottled),
        ("max_output_tokens", None, AgentError),
        ("from_the_future", None, AgentError),
        ("from_the_future", 503, AgentThrottled),
    ],
)
def test_a_refused_request_is_known_by_its_class_and_status(
    name: str, status: int | None, becomes: type[AgentError]
) -> None:
    found = error(claude.own("x", name), claude.result("x", is_error=True, api_error_status=status))
    assert type(found) is becomes


def test_what_it_wrote_last_is_told_of_a_crash() -> None:
    found, _ = folded(ClaudeCode(), [b"at x.js:1\nTypeError: y\n"], 1, "segfault")
    assert isinstance(found, AgentError)
    assert "segfault at x.js:1 TypeError: y" in found.message
    silent = ClaudeCode().fold(AgentRequest("p", None, NodeKey("t"), "r", 1))
    with pytest.raises(AgentError, match="was ended by us"):
        silent.finish(Ending(Exit(143), "", was_ended=True))


# --- What it costs ------------------------------------------------------------------------------


def test_tokens_are_of_the_call_and_money_of_the_conversation() -> None:
    first = reply(claude.result("a", total_cost_usd=0.25))
    second = reply(claude.result("b", total_cost_usd=0.75), session="s", counted=first.counted)
    third = reply(claude.result("c", total_cost_usd=1.0), session="s", counted=second.counted)
    assert [one.usage and one.usage.cost_usd for one in (first, second, third)] == [0.25, 0.5, 0.25]
    assert third.counted is not None
    assert third.counted.cost_usd == 1.0
    assert {one.usage and one.usage.tokens for one in (first, second, third)} == {2718}


def test_a_call_of_several_models_names_none() -> None:
    usage = reply(claude.result("a", modelUsage={"a": {}, "b": {}})).usage
    assert usage is not None
    assert usage.model == ""


def test_without_figures_it_costs_nothing_known() -> None:
    found = reply(claude.result("a", usage=None, total_cost_usd=None, modelUsage=None))
    assert found.usage == Usage()
    assert found.counted == Usage()


def test_figures_that_cannot_be_are_none() -> None:
    usage = {"input_tokens": 10**400, "output_tokens": -5, "cache_read_input_tokens": True}
    found = reply(claude.result("a", usage=usage, total_cost_usd=10**400, modelUsage={})).usage
    assert found == Usage()
