"""Amp: how it is called, and what its stream and its failures come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents import Amp
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentSessionLost, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, SessionEvent, TextEvent, ToolCallEvent, ToolResultEvent
from tests.unit.agents.folded import FOLDER, endured, folded, request, stream
from tests.unit.agents.oddities import odd_events
from tests.unit.agents.watched import Watched

THREAD = "T-12345678-0000-4000-8000-000000000000"

# In the shape that its documentation shows; no answer of the real one was ever seen here.
INIT = {"type": "system", "subtype": "init", "session_id": THREAD, "tools": ["Bash"], "mcp_servers": []}
CALL = {
    "type": "assistant",
    "message": {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "c1", "name": "Bash", "input": {"cmd": "ls"}}],
    },
    "session_id": THREAD,
}
RESULT = {
    "type": "user",
    "message": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a", "is_error": False}],
    },
}
SAID = {"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": "done"}]}}
END = {
    "type": "result", "subtype": "success", "is_error": False, "result": "done", "session_id": THREAD,
    "num_turns": 2, "usage": {"input_tokens": 10, "output_tokens": 5},
}  # fmt: skip


def test_it_is_called_with_its_own_words() -> None:
    agent = Amp(
        mode="high", visibility="private", labels=["a", "b"], dangerously_allow_all=True, args=["--fast"],
        mcp_config={"mcpServers": {"x": {"command": "y"}}}, config_dir="/accounts/a",
    )  # fmt: skip
    how = agent.invocation(request(prompt="- hello"), FOLDER)
    assert how.argv == (
        "amp", "-x", "--stream-json", "--no-ide", "--no-notifications", "--no-color", "--mode", "high",
        "--visibility", "private", "--label", "a", "--label", "b", "--mcp-config", '{"x": {"command": "y"}}',
        "--settings-file", "/accounts/a/settings.json", "--dangerously-allow-all", "--fast",
    )  # fmt: skip
    assert how.stdin == "- hello"
    assert (how.env["AMP_SKIP_UPDATE_CHECK"], how.env["XDG_DATA_HOME"]) == ("1", "/accounts/a/data")


def test_a_thread_is_continued() -> None:
    argv = Amp().invocation(request(session=THREAD), FOLDER).argv
    assert argv[:6] == ("amp", "threads", "continue", THREAD, "-x", "--stream-json")


def test_what_it_has_no_word_for_is_refused() -> None:
    for agent, more in ((Amp(model="m"), {}), (Amp(), {"session": THREAD, "forks": True})):
        with pytest.raises(AgentUnfit):
            agent.invocation(request(**more), FOLDER)
    with pytest.raises(AgentUnfit):
        Amp().check(AgentTools(("Bash",)))


# --- Signed in or not ---------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    for name in ("AMP_API_KEY", "AMP_URL", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = Watched()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("kept", "url", "is_signed_in"),
    [
        (None, None, False),
        ({"apiKey@https://ampcode.com/": "sgamp_x"}, None, True),
        ({"apiKey@https://ampcode.com/": ""}, None, False),
        ({"apiKey@https://ampcode.com/": "sgamp_x"}, "http://other:1", False),
        ({"apiKey@http://other:1": "sgamp_x"}, "http://other:1/", True),
        ([], None, False),
    ],
)
def test_without_a_key_nothing_is_started(
    calls: Watched, tmp_path: Path, kept: Any, url: str | None, is_signed_in: bool
) -> None:
    if kept is not None:
        (tmp_path / ".local/share/amp").mkdir(parents=True)
        (tmp_path / ".local/share/amp/secrets.json").write_text(json.dumps(kept))
    env = {"HOME": str(tmp_path), **({"AMP_URL": url} if url is not None else {})}
    called = calls.ask(Amp(env=env, binary="true", cwd=tmp_path), "hello")
    assert bool(calls.programs) == is_signed_in
    assert isinstance(called.failure, AgentError if is_signed_in else AgentAuth)


def test_a_variable_is_a_key(calls: Watched, tmp_path: Path) -> None:
    calls.ask(
        Amp(env={"HOME": str(tmp_path), "AMP_API_KEY": "sgamp_x"}, binary="true", cwd=tmp_path), "hello"
    )
    assert calls.programs


# --- Its stream ---------------------------------------------------------------------------------


def test_a_stream_like_that_of_claude_code_is_summed_up() -> None:
    heard = folded(Amp(), stream([INIT, CALL, RESULT, SAID, END]))
    assert (heard.answer.text, heard.answer.session) == ("done", THREAD)
    assert heard.events[:4] == [
        SessionEvent(THREAD),
        ToolCallEvent("c1", "Bash", {"cmd": "ls"}),
        ToolResultEvent("c1", "a"),
        TextEvent("done"),
    ]
    assert heard.answer.usage is not None
    assert heard.answer.usage.tokens == 15


def test_without_a_result_there_is_no_success() -> None:
    assert type(folded(Amp(), stream([INIT, SAID])).failure) is AgentError
    failed = {
        **END,
        "is_error": True,
        "subtype": "error_during_execution",
        "errors": ["broken"],
        "result": None,
    }
    assert "broken" in folded(Amp(), stream([INIT, failed])).failure.message


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("Error: Invalid or missing API key. Run 'amp login' to authenticate.", AgentAuth),
        ("Error: Access token expired. Run 'amp login' to refresh.", AgentAuth),
        ("Error: API request for getUserInfo failed: 402", AgentQuota),
        ("Error: API request for getUserInfo failed: 429", AgentThrottled),
        ("Error: Amp server returned an error. Try again in a moment.", AgentThrottled),
        ("Error: Couldn't connect to the Amp server at http://127.0.0.1:1.", AgentThrottled),
        ("Error: Cannot reach Amp servers. Are you offline?", AgentThrottled),
        ("Error: error: unknown option '--x'", AgentUnfit),
        ("Error: Invalid MCP server configuration: mcpServers: Invalid input", AgentUnfit),
        ("Error: Invalid thread URL or ID: T-1", AgentSessionLost),
        ("Error: getUserInfo error: x", AgentError),
    ],
)
def test_what_it_says_on_standard_error_has_its_class(stderr: str, kind: type[AgentError]) -> None:
    assert type(folded(Amp(), "", stderr=stderr, status=1, session=THREAD).failure) is kind


def test_a_login_that_begins_ends_the_call() -> None:
    lines = [
        "No API key found. Starting login flow...",
        "If your browser does not open automatically, visit:",
    ]
    assert type(folded(Amp(), stream(lines)).failure) is AgentAuth


KINDS = "system assistant user result".split()
WORDS = "subtype init session_id message content text tool_use tool_result is_error result usage".split()


@given(odd_events(KINDS, WORDS), st.sampled_from([0, 1, None]), st.text())
def test_whatever_it_is_sent_it_ends_well_or_with_an_agents_error(
    events: list[dict[str, Any]], status: int | None, stderr: str
) -> None:
    endured(Amp().fold(request(session=THREAD)), events, status, stderr)
