"""OpenCode: how it is called, and what its stream and its log come to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents import OpenCode
from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentMissing,
    AgentQuota,
    AgentRefusal,
    AgentSessionLost,
    AgentThrottled,
    AgentUnfit,
)
from smithers.ports import AgentTools, NoticeEvent, RetryEvent, SessionEvent, ToolCallEvent, ToolResultEvent
from tests.agents.transcript import load
from tests.unit.agents.folded import FOLDER, endured, folded, replayed, request, stream
from tests.unit.agents.oddities import odd_events
from tests.unit.agents.watched import Watched

UNKNOWN = "0d15ea5e-0000-4000-8000-000000000000"
BASE = ("opencode", "run", "--format", "json", "--thinking", "--print-logs", "--log-level", "ERROR")


def words(agent: OpenCode, **more: Any) -> tuple[str, ...]:
    return agent.invocation(request(**more), FOLDER).argv


def environment(agent: OpenCode, **more: Any) -> dict[str, str]:
    return dict(agent.invocation(request(**more), FOLDER).env)


def failed(why: str, *, small: bool = False, session: str = "ses_1") -> str:
    """A line of its log, as it writes one for each request that has failed."""
    return (
        f'timestamp=2026-11-20T14:00:52.220Z level=ERROR run=979793c9 message="stream error" providerID=fake '
        f"modelID=fake-model session.id={session} small={str(small).lower()} agent=build mode=primary "
        f'error.error="{why}"'
    )


STEP = {"type": "step_start", "sessionID": "ses_1", "part": {"type": "step-start"}}


def finish(reason: str = "stop", **part: Any) -> dict[str, Any]:
    return {"type": "step_finish", "sessionID": "ses_1", "part": {"reason": reason, **part}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "sessionID": "ses_1", "part": {"type": "text", "text": said}}


def error(name: str, **data: Any) -> dict[str, Any]:
    return {"type": "error", "sessionID": "ses_1", "error": {"name": name, "data": data}}


# --- How it is called ---------------------------------------------------------------------------


def test_it_is_called_with_its_own_words() -> None:
    agent = OpenCode(model="p/m", agent="plan", variant="high", files=["/a b"], cwd="/work", args=["--pure"])
    how = agent.invocation(request(prompt="- hello"), FOLDER)
    options = (
        "--model",
        "p/m",
        "--agent",
        "plan",
        "--variant",
        "high",
        "--dir",
        "/work",
        "--file=/a b",
        "--pure",
    )
    assert how.argv == BASE + options
    assert (how.stdin, how.cwd, how.hears_stderr) == ("- hello", Path("/work"), True)


def test_a_conversation_is_continued_or_forked() -> None:
    assert words(OpenCode(), session="ses_1") == (*BASE, "--session", "ses_1")
    assert words(OpenCode(), session="ses_1", forks=True) == (*BASE, "--session", "ses_1", "--fork")


def test_a_private_folder_is_four_of_its_own() -> None:
    env = environment(OpenCode(config_dir="/accounts/a"))
    assert {name: env[name] for name in env if name.startswith("XDG_") and "/accounts" in env[name]} == {
        "XDG_CONFIG_HOME": "/accounts/a/config",
        "XDG_DATA_HOME": "/accounts/a/data",
        "XDG_STATE_HOME": "/accounts/a/state",
        "XDG_CACHE_HOME": "/accounts/a/cache",
    }


def test_its_environment_is_quiet_and_free_of_other_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "OPENCODE_PERMISSION", "OPENCODE_CONFIG", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "x")
    env = environment(OpenCode())
    assert env["OPENCODE_DISABLE_AUTOUPDATE"] == "1"
    assert env["OPENCODE_CONFIG"] == env["OPENAI_API_KEY"] == "x"
    assert json.loads(env["OPENCODE_PERMISSION"]) == {"question": "deny"}
    assert "CLAUDECODE" not in env
    assert "OPENAI_API_KEY" not in environment(OpenCode(config_dir="/accounts/a"))


def test_tools_are_limited_by_an_agent_of_ours_whose_rules_are_the_last_word() -> None:
    agent = OpenCode(
        allow_tools=["bash", "read"], permission={"bash": {"*": "deny", "git *": "allow"}, "task": "allow"}
    )
    rules = {"*": "deny", "bash": {"*": "deny", "git *": "allow"}, "read": "allow"}
    env = environment(agent, env={"OPENCODE_PERMISSION": '{"edit": "allow"}'})
    assert json.loads(env["OPENCODE_PERMISSION"]) == rules
    assert [*json.loads(env["OPENCODE_PERMISSION"])] == [*rules]  # their order counts
    assert json.loads(env["OPENCODE_CONFIG_CONTENT"]) == {
        "agent": {"smithers": {"mode": "primary", "permission": rules}}
    }
    assert words(agent)[-2:] == ("--agent", "smithers")


def test_a_chosen_agent_is_limited_itself_and_keeps_what_else_it_is() -> None:
    content = json.dumps(
        {"model": "p/m", "agent": {"mine": {"prompt": "x", "permission": {"bash": "allow"}}}}
    )
    agent = OpenCode(agent="mine", env={"OPENCODE_CONFIG_CONTENT": content})
    env = environment(agent, tools=AgentTools(()))
    assert json.loads(env["OPENCODE_CONFIG_CONTENT"]) == {
        "model": "p/m",
        "agent": {"mine": {"prompt": "x", "permission": {"*": "deny"}}},
    }
    assert words(agent, tools=AgentTools(()))[-2:] == ("--agent", "mine")


def test_tools_that_have_no_permission_of_their_own_are_refused() -> None:
    with pytest.raises(AgentUnfit, match="write"):
        OpenCode().check(AgentTools(("read", "write")))
    OpenCode().check(AgentTools(("read", "edit")))


def test_a_configuration_that_cannot_be_read_limits_no_tools() -> None:
    with pytest.raises(AgentUnfit):
        environment(OpenCode(allow_tools=[], env={"OPENCODE_CONFIG_CONTENT": "// a comment\n{}"}))


# --- Before it is called ------------------------------------------------------------------------


@pytest.fixture
def calls() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


def stand_in(folder: Path, database: Path | str) -> OpenCode:
    """An agent whose program answers, and says where its database is."""
    file = folder / "opencode"
    answer = stream([STEP, text("done"), finish()])
    (folder / "answer").write_text(answer)
    file.write_text(f"""#!/bin/sh
case "$1" in db) echo "{database}"; exit;; esac
cat > /dev/null; cat "{folder}/answer"
""")
    file.chmod(0o755)
    return OpenCode(binary=str(file), cwd=folder, env={"XDG_DATA_HOME": str(folder / "data")})


def known(folder: Path, directory: Path) -> Path:
    """A database that knows the conversation ses_1, begun in that directory."""
    file = folder / "opencode.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE session (id TEXT, directory TEXT)")
        db.execute("INSERT INTO session VALUES ('ses_1', ?)", (str(directory),))
    return file


def test_its_folder_is_made_ready_once_before_anything_is_asked(calls: Watched, tmp_path: Path) -> None:
    agent = stand_in(tmp_path, "")

    async def all_of_them() -> list[str]:
        requests = [calls.request("hello", []) for _ in range(4)]
        return [reply.text for reply in await asyncio.gather(*(agent.call(one) for one in requests))]

    assert asyncio.run(all_of_them()) == ["done"] * 4
    verbs = [argv[1] for argv in calls.programs]
    assert verbs == ["db", "run", "run", "run", "run"]


def test_a_conversation_goes_on_where_it_began_and_nowhere_else(calls: Watched, tmp_path: Path) -> None:
    agent = stand_in(tmp_path, known(tmp_path, tmp_path))
    assert calls.ask(agent, "hello", session="ses_1").answer.text == "done"
    assert isinstance(calls.ask(agent, "hello", session="ses_2").failure, AgentSessionLost)
    (tmp_path / "other").mkdir()
    elsewhere = calls.ask(agent, "hello", session="ses_1", cwd=tmp_path / "other").failure
    assert isinstance(elsewhere, AgentSessionLost)
    assert str(tmp_path) in elsewhere.message
    assert [argv[1] for argv in calls.programs] == ["db", "run"]


@pytest.mark.parametrize("database", ["", "relative.db", "/no/such/file.db", "Usage: opencode"])
def test_a_database_that_nobody_knows_says_nothing_of_conversations(
    calls: Watched, tmp_path: Path, database: str
) -> None:
    assert calls.ask(stand_in(tmp_path, database), "hello", session="ses_1").answer.text == "done"


def test_a_program_that_is_not_there_is_missing(calls: Watched, tmp_path: Path) -> None:
    agent = OpenCode(binary="no-such-opencode", cwd=tmp_path, env={"XDG_DATA_HOME": str(tmp_path)})
    assert isinstance(calls.ask(agent, "hello").failure, AgentMissing)


# --- Its stream ---------------------------------------------------------------------------------


def test_a_recorded_call_tells_what_it_does_and_sums_up_what_it_cost() -> None:
    heard = replayed(OpenCode(), load("opencode", "write"))
    assert heard.answer.text == '{"ok": true}'
    assert heard.told(SessionEvent) == [SessionEvent(heard.answer.session or "")]
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.input) == ("write", {"filePath": "hello.txt", "content": "hi\n"})
    assert (result.id, result.text, result.is_error) == (call.id, "Wrote file successfully.", False)
    usage = heard.answer.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (2400, 200, 68)
    assert usage.cost_usd is None


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("401", AgentAuth),
        ("403", AgentAuth),
        ("hang", AgentError),
        ("429", AgentError),
        ("length", AgentError),
    ],
)
def test_a_recorded_failure_has_its_class(case: str, kind: type[AgentError]) -> None:
    assert type(replayed(OpenCode(), load("opencode", case)).failure) is kind


def test_a_conversation_that_is_not_there_is_lost() -> None:
    assert isinstance(
        replayed(OpenCode(), load("opencode", "unknown-session"), session=UNKNOWN).failure, AgentSessionLost
    )


def test_only_the_last_step_is_the_answer() -> None:
    events = [STEP, text("let me see"), finish("tool-calls"), STEP, text("a"), text("b"), finish()]
    assert folded(OpenCode(), stream(events)).answer.text == "ab"
    assert type(folded(OpenCode(), stream(events[:3])).failure) is AgentError


def test_a_failed_tool_is_told() -> None:
    state = {"status": "error", "input": {"command": "x"}, "error": "rejected"}
    call = {"type": "tool_use", "sessionID": "ses_1", "part": {"callID": "c", "tool": "bash", "state": state}}
    heard = folded(OpenCode(), stream([STEP, call, finish()]))
    assert heard.told(ToolResultEvent) == [ToolResultEvent("c", "rejected", is_error=True)]


def test_reasoning_counts_as_output_and_caches_as_input() -> None:
    tokens = {"total": 165, "input": 100, "output": 20, "reasoning": 10, "cache": {"read": 30, "write": 5}}
    usage = folded(OpenCode(), stream([STEP, text("x"), finish(tokens=tokens, cost=0.5)])).answer.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_write_tokens) == (135, 30, 5)
    assert (usage.cost_usd, usage.cost_source) == (0.5, "cli")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (error("APIError", statusCode=401, message="no"), AgentAuth),
        (error("APIError", statusCode=402, message="Insufficient balance"), AgentQuota),
        (error("APIError", statusCode=404, message="no such model"), AgentUnfit),
        (error("APIError", statusCode=503, message="busy"), AgentThrottled),
        (error("APIError", message="Cannot connect"), AgentThrottled),
        (error("APIError", statusCode=429, message="slow"), AgentThrottled),
        (error("APIError", statusCode=429, message="x", responseBody='"FreeUsageLimitError"'), AgentQuota),
        (error("ProviderAuthError", message="no"), AgentAuth),
        (error("ContextOverflowError", message="too much"), AgentUnfit),
        (error("ContentFilterError", message="blocked"), AgentRefusal),
        (error("MessageAbortedError", message="aborted"), AgentError),
        (
            error("UnknownError", message="Unexpected server error. Check server logs for details."),
            AgentThrottled,
        ),
    ],
)
def test_an_error_has_its_class(event: dict[str, Any], kind: type[AgentError]) -> None:
    assert type(folded(OpenCode(), stream([STEP, event]), status=1).failure) is kind


def test_a_wait_that_a_provider_asks_for_is_kept() -> None:
    headers = {"retry-after": "17"}
    failure = folded(
        OpenCode(), stream([error("APIError", statusCode=429, message="x", responseHeaders=headers)])
    ).failure
    assert isinstance(failure, AgentThrottled)
    assert failure.retry_after_s == 17


def test_an_error_that_it_has_got_over_is_none() -> None:
    overflow = error("ContextOverflowError", message="too much")
    assert (
        folded(OpenCode(), stream([STEP, overflow, STEP, text("after all"), finish()])).answer.text
        == "after all"
    )
    assert folded(OpenCode(), stream([STEP, text("x"), finish(), overflow])).error is not None


def test_a_model_that_there_is_not_is_known_by_the_log_only() -> None:
    why = "ProviderModelNotFoundError: Model not found: fake/nosuch."
    log = f'timestamp=x level=ERROR run=y message=failed ref=err_1 error="{why}" cause="{why}\\n    at x"'
    event = error(
        "UnknownError", message="Unexpected server error. Check server logs for details.", ref="err_1"
    )
    found = folded(OpenCode(), stream([log, event]), status=1).failure
    assert type(found) is AgentUnfit
    assert "fake/nosuch" in found.message


def test_an_answer_that_ends_for_no_reason_is_not_awaited_for_ever() -> None:
    heard = folded(OpenCode(), stream([STEP, finish("unknown")] * 10))
    assert isinstance(heard.failure, AgentThrottled)
    assert (
        folded(OpenCode(), stream([*[STEP, finish("unknown")] * 3, STEP, text("x"), finish()])).answer.text
        == "x"
    )


# --- Its log ------------------------------------------------------------------------------------


def test_each_failed_request_is_a_retry_and_the_fourth_is_the_end() -> None:
    line = failed("AI_APICallError: Too many requests")
    heard = folded(OpenCode(), "", stderr=stream([line] * 6))
    assert [(retry.attempt, retry.reason) for retry in heard.told(RetryEvent)] == [
        (1, "throttle"), (2, "throttle"), (3, "throttle"), (4, "throttle"),
    ]  # fmt: skip
    assert isinstance(heard.failure, AgentThrottled)
    assert "Too many requests" in heard.failure.message


def test_what_gets_on_again_has_failed_never() -> None:
    line = failed("AI_APICallError: Overloaded")
    events = [*[line] * 3, STEP, finish("tool-calls"), *[line] * 3, STEP, text("done"), finish()]
    assert folded(OpenCode(), stream(events)).answer.text == "done"


def test_a_used_up_quota_is_not_tried_again() -> None:
    line = failed("AI_APICallError: You exceeded your current quota, check your plan and billing")
    heard = folded(OpenCode(), "", stderr=line)
    assert isinstance(heard.failure, AgentQuota)
    assert [retry.reason for retry in heard.told(RetryEvent)] == ["quota"]


def test_a_failure_of_its_titles_is_not_one_of_ours() -> None:
    line = failed(
        "AI_RetryError: Failed after 3 attempts. Last error: You exceeded your current quota", small=True
    )
    assert folded(OpenCode(), stream([line, STEP, text("done"), finish()])).told(RetryEvent) == []


def test_an_agent_that_it_replaces_by_another_ends_the_call() -> None:
    note = '\x1b[93m\x1b[1m! \x1b[0m agent "smithers" not found. Falling back to default agent'
    assert isinstance(folded(OpenCode(), "", stderr=note).failure, AgentUnfit)


def test_any_other_line_is_a_notice() -> None:
    heard = folded(
        OpenCode(),
        stream(["hello", 'timestamp=x level=ERROR message="what else"', STEP, text("x"), finish()]),
    )
    assert len(heard.told(NoticeEvent)) == 2


KINDS = "step_start text reasoning tool_use step_finish error".split()
WORDS = (
    "sessionID part text callID tool state status output input reason stop unknown tokens cache total cost "
    "error name data APIError UnknownError message statusCode responseBody responseHeaders ref"
).split()


@given(odd_events(KINDS, WORDS), st.sampled_from([0, 1, -15, None]), st.text())
def test_whatever_it_is_sent_it_ends_well_or_with_an_agents_error(
    events: list[dict[str, Any]], status: int | None, stderr: str
) -> None:
    endured(OpenCode().fold(request(session="ses_1")), events, status, stderr)
