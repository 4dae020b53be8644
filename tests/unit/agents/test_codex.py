from __future__ import annotations

import json
import os
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers.agents import Codex
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
    InvalidNode,
)
from smithers.ports import (
    AgentTools,
    NoticeEvent,
    RetryEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.records import Usage
from tests.agents.case import UNKNOWN_SESSION
from tests.agents.transcript import load
from tests.unit.agents.folded import FOLDER, NOW_MS, called, endured, folded, replayed, request
from tests.unit.agents.oddities import odd_events

THREAD = "00000000-0000-4000-8000-000000000001"


class Answer(BaseModel):
    ok: bool
    note: str = "none"


class Free(BaseModel):
    counts: dict[str, int]


def settings(agent: Codex, **more: Any) -> dict[str, Any]:
    """What it is told by `-c`, as the program would read it."""
    argv = called(agent, **more).argv
    text = "\n".join(word for flag, word in pairwise(argv) if flag == "-c")
    return tomllib.loads(text)


def lines(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(event)}\n" for event in events)


BEGUN: tuple[dict[str, Any], ...] = (
    {"type": "thread.started", "thread_id": THREAD},
    {"type": "turn.started"},
)
DONE: dict[str, Any] = {"type": "turn.completed", "usage": {"input_tokens": 10, "output_tokens": 2}}


def item(**members: Any) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"id": "item_1", **members}}


# --- How it is called ---------------------------------------------------------------------------


def test_by_default_it_may_write_where_it_works_and_reads_its_prompt_from_stdin() -> None:
    how = called(Codex(), prompt="-v is a flag")
    assert how.argv[:6] == ("codex", "exec", "--json", "--skip-git-repo-check", "-s", "workspace-write")
    assert how.argv[-1] == "-"
    assert how.stdin == "-v is a flag"
    assert settings(Codex()) == {"features": {"unbounded_connection_retries": False}}


def test_its_options_are_said_in_its_own_words() -> None:
    agent = Codex(
        binary="/opt/codex",
        model="gpt-5.5",
        profile="work",
        sandbox="read-only",
        add_dirs=(Path("/data"), "/more"),
        skip_git_repo_check=False,
        args=("--ephemeral",),
    )
    argv = " ".join(called(agent).argv)
    assert argv.startswith(
        "/opt/codex exec --json -s read-only --add-dir /data --add-dir /more -m gpt-5.5 -p work"
    )
    assert argv.endswith(" --ephemeral -")
    assert "--skip-git-repo-check" not in argv


def test_settings_are_toml_whatever_is_in_them() -> None:
    server = {"command": "docs", "args": ["--all", 'a "b"'], "env": {"A.B": "1"}, "startup_timeout_sec": 2.5}
    instructions = 'Say "Arr".\nAlways \\ and \x7f.'
    agent = Codex(
        effort="high",
        developer_instructions=instructions,
        mcp_servers={"docs": server},
        config={"web_search": "disabled", "tools.view_image": False},
    )
    found = settings(agent)
    assert found["model_reasoning_effort"] == "high"
    assert found["developer_instructions"] == instructions
    assert found["mcp_servers"] == {"docs": server}
    assert (found["web_search"], found["tools"]) == ("disabled", {"view_image": False})


def test_a_setting_that_toml_has_no_word_for_is_refused() -> None:
    with pytest.raises(InvalidNode):
        called(Codex(config={"a": object()}))


def test_without_a_sandbox_it_is_not_given_one() -> None:
    bypass = called(Codex(dangerously_bypass_approvals_and_sandbox=True)).argv
    assert "--dangerously-bypass-approvals-and-sandbox" in bypass
    assert "-s" not in bypass
    assert "-s" not in called(Codex(sandbox=None)).argv


@pytest.mark.parametrize(("forks", "verb"), [(False, "resume"), (True, "fork")])
def test_a_conversation_is_continued_under_the_same_flags(forks: bool, verb: str) -> None:
    argv = called(Codex(add_dirs=("/data",)), session=THREAD, forks=forks).argv
    assert argv[-3:] == (verb, THREAD, "-")
    assert argv[: argv.index(verb)] == called(Codex(add_dirs=("/data",))).argv[:-1]


def test_a_schema_of_the_strict_kind_goes_into_a_file() -> None:
    how = called(Codex(), prompt="Do it.", schema=Answer)
    assert how.stdin == "Do it."
    assert how.argv[how.argv.index("--output-schema") + 1] == str(FOLDER / "answer.json")
    sent = json.loads(how.files["answer.json"])
    assert sent["required"] == ["ok", "note"]
    assert sent["additionalProperties"] is False


def test_any_other_schema_goes_into_the_prompt() -> None:
    how = called(Codex(), prompt="Do it.", schema=Free)
    assert "--output-schema" not in how.argv
    assert not how.files
    assert how.stdin is not None
    assert '"counts"' in how.stdin


def test_it_gets_its_own_keys_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CODEX_API_KEY", "CODEX_SANDBOX", "ANTHROPIC_API_KEY", "CLAUDECODE", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "x")
    env = called(Codex(env={"A": "1"})).env
    assert env.keys() - {"A"} <= os.environ.keys()
    assert (env["CODEX_API_KEY"], env["A"]) == ("x", "1")
    assert not {"CODEX_SANDBOX", "ANTHROPIC_API_KEY", "CLAUDECODE", "GEMINI_API_KEY"} & env.keys()


def test_a_private_folder_is_an_account_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_API_KEY", "x")
    agent = Codex(config_dir="/accounts/two")
    env = called(agent).env
    assert env["CODEX_HOME"] == "/accounts/two"
    assert "CODEX_API_KEY" not in env
    assert agent.account == "codex:/accounts/two"


def test_it_cannot_be_limited_to_certain_tools() -> None:
    with pytest.raises(AgentUnfit, match="certain tools"):
        Codex().check(AgentTools(("shell",)))
    with pytest.raises(AgentUnfit):
        Codex().check(AgentTools(explicit_only=True))
    Codex().check(AgentTools())


# --- What it says -------------------------------------------------------------------------------


def test_a_recorded_run_that_writes_a_file() -> None:
    heard = replayed(Codex(model="gpt-5.5"), load("codex", "write"))
    assert heard.answer.text == '{"ok": true}'
    assert heard.answer.session == THREAD
    assert heard.answer.usage == Usage(2400, 68, 200, model="gpt-5.5")
    assert heard.events[0] == SessionEvent(THREAD)
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.id, result.is_error) == ("file_change", result.id, False)
    assert heard.told(UsageEvent) == [UsageEvent(Usage(2400, 68, 200, model="gpt-5.5"))]


def test_its_counters_run_over_the_conversation() -> None:
    before = Usage(1200, 34, 100)
    heard = replayed(Codex(), load("codex", "resume"), session=THREAD, counted=before)
    assert heard.answer.usage == Usage(1200, 34, 100)
    assert heard.answer.counted == Usage(2400, 68, 200)


@pytest.mark.parametrize(
    ("case", "kind", "details"),
    [
        ("401", AgentAuth, {"status": 401}),
        ("403", AgentAuth, {"status": 403}),
        ("429", AgentThrottled, {"status": 429}),
        ("429-retry-after", AgentThrottled, {"status": 429}),
        ("429-quota", AgentQuota, {"resets_ms": None}),
        ("500", AgentThrottled, {}),
        ("529", AgentThrottled, {"status": 529}),
        ("cut", AgentThrottled, {}),
        ("garbage", AgentThrottled, {}),
        ("length", AgentError, {}),
        ("hang", AgentError, {}),
        ("hang-after-first-event", AgentError, {}),
    ],
)
def test_recorded_failures_have_their_class(
    case: str, kind: type[AgentError], details: dict[str, Any]
) -> None:
    error = replayed(Codex(), load("codex", case)).failure
    assert type(error) is kind
    assert details.items() <= error.details.items()


def test_a_limit_that_is_used_up_says_when_it_resets() -> None:
    error = replayed(Codex(), load("codex", "429-usage-limit")).failure
    assert isinstance(error, AgentQuota)
    assert error.resets_ms is not None
    assert NOW_MS < error.resets_ms <= NOW_MS + 86_400_000


def test_a_conversation_that_is_not_there_is_lost() -> None:
    kept = load("codex", "unknown-session")
    assert isinstance(replayed(Codex(), kept, session=UNKNOWN_SESSION).failure, AgentSessionLost)


def test_a_name_that_it_takes_for_a_new_conversation_is_a_lost_one() -> None:
    heard = folded(Codex(), lines(*BEGUN, DONE), session="no-such-name")
    assert isinstance(heard.failure, AgentSessionLost)
    assert not heard.told(SessionEvent)


def test_a_copy_of_a_conversation_has_a_name_of_its_own() -> None:
    heard = folded(
        Codex(), lines(*BEGUN, item(type="agent_message", text="a"), DONE), session="x", forks=True
    )
    assert heard.answer.session == THREAD


def test_the_last_of_its_messages_is_the_answer() -> None:
    said = [item(type="agent_message", text=text) for text in ("Let me see.", "42")]
    heard = folded(Codex(), lines(*BEGUN, item(type="reasoning", text="hm"), *said, DONE))
    assert heard.answer.text == "42"
    assert heard.told(TextEvent) == [
        TextEvent("hm", is_reasoning=True),
        TextEvent("Let me see."),
        TextEvent("42"),
    ]


def test_nulls_of_what_may_be_left_out_are_taken_out_again() -> None:
    said = item(type="agent_message", text='{"ok": true, "note": null}')
    assert folded(Codex(), lines(*BEGUN, said, DONE), schema=Answer).answer.output == {"ok": True}


def test_an_answer_that_is_no_json_is_left_to_whoever_reads_it() -> None:
    said = item(type="agent_message", text="I would rather talk.")
    reply = folded(Codex(), lines(*BEGUN, said, DONE), schema=Answer).answer
    assert (reply.output, reply.text) == (None, "I would rather talk.")


def test_an_item_that_is_an_error_is_a_warning() -> None:
    warning = item(type="error", message="Model metadata not found.")
    heard = folded(Codex(), lines(*BEGUN, warning, item(type="agent_message", text="a"), DONE))
    assert heard.answer.text == "a"
    assert heard.told(NoticeEvent) == [NoticeEvent("Model metadata not found.")]


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("exceeded retry limit, last status: 429 Too Many Requests", "throttle"),
        ("We\u2019re currently experiencing high demand, which may cause temporary errors.", "server"),
        ("unexpected status 529 <unknown status code>: Overloaded, url: http://x/v1", "server"),
        ("stream disconnected before completion: Transport error", "network"),
    ],
)
def test_another_try_is_no_failure(why: str, reason: str) -> None:
    again = {"type": "error", "message": f"Reconnecting... 2/5 ({why})"}
    heard = folded(Codex(), lines(*BEGUN, again, item(type="agent_message", text="a"), DONE))
    assert heard.answer.text == "a"
    (told,) = heard.told(RetryEvent)
    assert (told.reason, told.attempt) == (reason, 2)


def test_it_does_not_try_again_with_a_key_that_was_refused() -> None:
    again = {
        "type": "error",
        "message": "Reconnecting... 1/5 (unexpected status 401 Unauthorized: no, url: http://x)",
    }
    heard = folded(Codex(), lines(*BEGUN, again))
    assert isinstance(heard.failure, AgentAuth)
    assert [told.reason for told in heard.told(RetryEvent)] == ["auth"]


def test_a_proxy_that_bars_its_web_socket_does_not_refuse_its_key() -> None:
    barred = "Reconnecting... 2/5 (unexpected status 403 Forbidden: no, url: wss://x/v1/responses)"
    said = [{"type": "error", "message": barred}, item(type="agent_message", text="a"), DONE]
    assert folded(Codex(), lines(*BEGUN, *said)).answer.text == "a"


def test_it_does_not_wait_for_ever_for_a_network() -> None:
    waits = {"type": "error", "message": "Reconnecting... waiting for network (Connection failed: error)"}
    assert isinstance(folded(Codex(), lines(*BEGUN, waits, waits, waits)).failure, AgentThrottled)
    assert folded(Codex(), lines(*BEGUN, waits, waits, DONE)).answer.text == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("unexpected status 404 Not Found: no such model, url: http://x", AgentUnfit),
        ("unexpected status 413 Payload Too Large: too long", AgentUnfit),
        ("The model `nope` does not exist", AgentUnfit),
        ('{"error": {"message": "Invalid", "type": "invalid_request_error"}}', AgentUnfit),
        ("Codex ran out of room in the model's context window. Start a new thread.", AgentUnfit),
        (
            "stream disconnected before completion: Incomplete response returned, reason: content_filter",
            AgentRefusal,
        ),
        ("This content was flagged for possible biological risk.", AgentRefusal),
        ("Missing environment variable: `KEY`.", AgentAuth),
        ("Your access token could not be refreshed. Please log out and sign in again.", AgentAuth),
        ("Selected model is at capacity. Please try a different model.", AgentThrottled),
        ("unexpected status 429 Too Many Requests: insufficient_quota", AgentQuota),
        ("turn aborted", AgentError),
        ("", AgentError),
    ],
)
def test_its_words_for_its_troubles(text: str, kind: type[AgentError]) -> None:
    failed = {"type": "turn.failed", "error": {"message": text}}
    error = folded(Codex(), lines(*BEGUN, failed), status=1).failure
    assert type(error) is kind
    assert error.message


def test_a_rate_limit_says_how_long_to_wait() -> None:
    text = "stream disconnected before completion: Rate limit reached. Please try again in 11.5s."
    error = folded(
        Codex(), lines(*BEGUN, {"type": "turn.failed", "error": {"message": text}}), status=1
    ).failure
    assert isinstance(error, AgentThrottled)
    assert error.retry_after_s == 11.5


def test_words_of_the_model_have_no_class() -> None:
    said = item(type="agent_message", text="Quota exceeded. unexpected status 401. Please sign in again.")
    assert folded(Codex(), lines(*BEGUN, said, DONE)).answer.text.startswith("Quota exceeded")


@pytest.mark.parametrize(
    ("stderr", "status", "kind"),
    [
        ("error: unexpected argument '--bogus' found\n\nUsage: codex exec [OPTIONS]\n", 2, AgentUnfit),
        ("Error loading config.toml: unknown variant `nope`\nin `sandbox_mode`\n", 1, AgentUnfit),
        ("Error: Model provider `nope` not found\n\nStack backtrace:\n   0: <unknown>\n", 1, AgentUnfit),
        ("Not inside a trusted directory and --skip-git-repo-check was not specified.\n", 1, AgentUnfit),
        ("Error: it broke\n\nStack backtrace:\n   0: <unknown>\n", 1, AgentError),
        ("", 0, AgentError),
        ("", -9, AgentError),
    ],
)
def test_leaving_without_a_word_is_a_failure(stderr: str, status: int, kind: type[AgentError]) -> None:
    error = folded(Codex(), "", stderr=stderr, status=status).failure
    assert type(error) is kind
    assert "<unknown>" not in error.message
    assert "Usage" not in error.message


def test_a_command_and_its_output() -> None:
    command = {
        "type": "command_execution",
        "command": "make",
        "aggregated_output": "",
        "status": "in_progress",
    }
    started = {"type": "item.started", "item": {"id": "item_1", **command}}
    done = item(**{**command, "aggregated_output": "no rule\n", "exit_code": 2, "status": "failed"})
    heard = folded(Codex(), lines(*BEGUN, started, done, DONE))
    assert heard.told(ToolCallEvent) == [ToolCallEvent("item_1", "command_execution", {"command": "make"})]
    assert heard.told(ToolResultEvent) == [ToolResultEvent("item_1", "no rule\n", is_error=True)]


def test_a_tool_of_a_server() -> None:
    call = item(
        type="mcp_tool_call",
        server="docs",
        tool="find",
        arguments={"q": "a"},
        result={"content": [{"type": "text", "text": "found"}]},
        status="completed",
    )
    heard = folded(Codex(), lines(*BEGUN, call, DONE))
    assert heard.told(ToolCallEvent) == [ToolCallEvent("item_1", "docs.find", {"q": "a"})]
    assert heard.told(ToolResultEvent) == [ToolResultEvent("item_1", "found")]


KINDS = "thread.started turn.started item.started item.completed turn.completed turn.failed error".split()
WORDS = [
    *"type item id error message usage input_tokens text command_execution mcp_tool_call".split(),
    *"agent_message reasoning tool arguments result content status failed thread_id".split(),
    "Reconnecting... 1/5 (x)",
]


@given(odd_events(KINDS, WORDS), st.none() | st.integers(-15, 255), st.text(max_size=20), st.booleans())
def test_whatever_it_says_comes_to_a_reply_or_a_classified_failure(
    events: list[dict[str, Any]], status: int | None, stderr: str, has_schema: bool
) -> None:
    endured(Codex().fold(request(schema=Answer if has_schema else None)), events, status, stderr)
