"""Kimi: which one it is, how each is called, and what they come to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents import Kimi
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
from smithers.ports import AgentTools, RetryEvent, SessionEvent, TextEvent, ToolCallEvent, ToolResultEvent
from tests.agents.transcript import load
from tests.unit.agents.folded import FOLDER, NOW_MS, endured, folded, replayed, request, stream
from tests.unit.agents.oddities import odd_events
from tests.unit.agents.watched import Watched

UNKNOWN = "0d15ea5e-0000-4000-8000-000000000000"
HINT = {"role": "meta", "type": "session.resume_hint", "session_id": "session_1"}
DONE = {"role": "assistant", "content": "done"}


CODE = Kimi(generation="code")
PYTHON = Kimi(generation="python")


# --- How each is called -------------------------------------------------------------------------


def test_kimi_code_is_called_with_its_own_words() -> None:
    agent = Kimi(
        generation="code", model="m", agent="coder", add_dirs=["/a"], args=["--skills-dir", "/s"], cwd="/w"
    )
    how = agent.invocation(request(prompt="- hello"), FOLDER)
    assert how.argv == (
        "kimi", "--output-format", "stream-json", "--model", "m", "--agent", "coder", "--add-dir", "/a",
        "--skills-dir", "/s", "--prompt=- hello",
    )  # fmt: skip
    assert (how.stdin, how.cwd) == (None, Path("/w"))


def test_kimi_code_keeps_the_agent_of_a_conversation_that_is_continued() -> None:
    argv = Kimi(generation="code", agent="coder").invocation(request(session="session_1"), FOLDER).argv
    assert argv[3:] == ("--session", "session_1", "--prompt=Do it.")


def test_python_is_called_with_its_own_words() -> None:
    agent = Kimi(
        generation="python", model="m", agent_file="/a.yaml", thinking=False, max_steps_per_turn=9,
        mcp_config={"mcpServers": {}},
    )  # fmt: skip
    how = agent.invocation(request(session="id"), FOLDER)
    assert how.argv == (
        "kimi", "--output-format", "stream-json", "--model", "m", "--session", "id",
        "--agent-file", "/a.yaml", "--print", "--input-format", "text", "--no-thinking",
        "--max-steps-per-turn", "9", "--mcp-config", '{"mcpServers": {}}',
    )  # fmt: skip
    assert how.stdin == "Do it."


@pytest.mark.parametrize("options", [{"thinking": True}, {"mcp_config": "/mcp.json"}])
def test_kimi_code_refuses_what_it_has_no_word_for(options: dict[str, Any]) -> None:
    with pytest.raises(AgentUnfit):
        Kimi(generation="code", **options).invocation(request(), FOLDER)


def test_kimi_code_refuses_a_prompt_that_no_command_line_takes() -> None:
    with pytest.raises(AgentUnfit, match="bytes"):
        Kimi(generation="code").invocation(request(prompt="ä" * 70_000), FOLDER)
    assert Kimi(generation="python").invocation(request(prompt="ä" * 70_000, session="x"), FOLDER).stdin


def test_neither_can_be_limited_to_certain_tools() -> None:
    with pytest.raises(AgentUnfit):
        Kimi().check(AgentTools(()))


def test_each_has_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "KIMI_CODE_INFINITE_RETRY", "KIMI_MODEL_API_KEY"):
        monkeypatch.setenv(name, "x")
    env = Kimi(generation="code", max_steps_per_turn=9).invocation(request(), FOLDER).env
    assert (env["KIMI_LOOP_MAX_ATTEMPTS_PER_STEP"], env["KIMI_LOOP_MAX_STEPS_PER_TURN"]) == ("4", "9")
    assert (env["KIMI_DISABLE_TELEMETRY"], env["KIMI_MODEL_API_KEY"]) == ("1", "x")
    assert not {"CLAUDECODE", "KIMI_CODE_INFINITE_RETRY"} & set(env)
    own = Kimi(generation="code", config_dir="/a").invocation(request(), FOLDER).env
    assert (own["KIMI_CODE_HOME"], "KIMI_MODEL_API_KEY" in own) == ("/a", False)
    own = dict(Kimi(generation="python", config_dir="/a").invocation(request(session="x"), FOLDER).env)
    assert (own["KIMI_SHARE_DIR"], own["COLUMNS"], "KIMI_CODE_HOME" in own) == ("/a", "500", False)


# --- Which one it is ----------------------------------------------------------------------------


@pytest.fixture
def calls() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


def program(folder: Path, text: str, name: str = "kimi") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


SAYS = """#!/bin/sh
case "$1" in --version) echo asked >> "${0%/*}/asked"; echo "$VERSION"; exit;; esac
"""
CODE_SAYS = SAYS + f"printf '%s\\n' '{json.dumps(DONE)}' '{json.dumps(HINT)}'\n"
PYTHON_SAYS = (
    SAYS
    + f"""case "$*" in *--print*) cat >/dev/null; printf '%s\\n' '{json.dumps(DONE)}';; *) exit 3;; esac
"""
)


@pytest.mark.parametrize(("version", "text"), [("2.1.0", CODE_SAYS), ("kimi, version 1.49.0", PYTHON_SAYS)])
def test_what_its_file_does_not_show_it_is_asked_once(
    calls: Watched, tmp_path: Path, version: str, text: str
) -> None:
    agent = Kimi(binary=program(tmp_path, text), env={"VERSION": version}, cwd=tmp_path)
    for _ in range(3):
        assert calls.ask(agent, "hello").answer.text == "done"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_one_that_was_installed_anew_is_asked_anew(calls: Watched, tmp_path: Path) -> None:
    binary = program(tmp_path, CODE_SAYS)
    assert (
        calls.ask(Kimi(binary=binary, env={"VERSION": "2.1.0"}, cwd=tmp_path), "hello").answer.text == "done"
    )
    program(tmp_path, PYTHON_SAYS)
    os.utime(binary, ns=(1, 1))
    again = Kimi(binary=binary, env={"VERSION": "kimi, version 1.49.0"}, cwd=tmp_path)
    assert calls.ask(again, "hello").answer.text == "done"


def test_one_that_says_no_version_is_asked_again(calls: Watched, tmp_path: Path) -> None:
    binary = program(tmp_path, CODE_SAYS)
    assert (
        "version"
        in calls.ask(Kimi(binary=binary, env={"VERSION": ""}, cwd=tmp_path), "hello").failure.message
    )
    assert (
        calls.ask(Kimi(binary=binary, env={"VERSION": "2.1.0"}, cwd=tmp_path), "hello").answer.text == "done"
    )


@pytest.mark.parametrize(
    ("head", "words"),
    [("#!/bin/true node\n", "--prompt=hello"), ("#!/bin/true\nfrom kimi_cli import main\n", "--print")],
)
def test_the_head_of_its_file_is_enough(calls: Watched, tmp_path: Path, head: str, words: str) -> None:
    binary = program(tmp_path, head)
    assert calls.ask(Kimi(binary=binary, cwd=tmp_path), "hello").error is not None  # it says nothing
    assert [words in argv for argv in calls.programs] == [True]


def test_one_that_is_not_there_is_missing(calls: Watched, tmp_path: Path) -> None:
    error = calls.ask(Kimi(env={"PATH": str(tmp_path)}, cwd=tmp_path), "hello").failure
    assert isinstance(error, AgentMissing)
    assert "npm install" in (error.hint or "")


# --- Conversations ------------------------------------------------------------------------------


def test_python_is_given_the_name_of_a_new_conversation(calls: Watched, tmp_path: Path) -> None:
    agent = Kimi(generation="python", binary=program(tmp_path, PYTHON_SAYS), cwd=tmp_path)
    first, second = calls.ask(agent, "hello"), calls.ask(agent, "hello")
    named = [argv[argv.index("--session") + 1] for argv in calls.programs]
    assert named == [first.answer.session, second.answer.session]
    assert first.told(SessionEvent) == [SessionEvent(named[0])] != second.told(SessionEvent)


def test_python_is_not_let_begin_a_conversation_anew(calls: Watched, tmp_path: Path) -> None:
    share, here = tmp_path / "share", str(tmp_path.resolve())
    agent = Kimi(generation="python", binary=program(tmp_path, PYTHON_SAYS), cwd=tmp_path, config_dir=share)
    assert isinstance(calls.ask(agent, "hello", session="s1").failure, AgentSessionLost)
    kept = share / "sessions" / md5(here.encode(), usedforsecurity=False).hexdigest() / "s1/context.jsonl"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert isinstance(calls.ask(agent, "hello", session="s1").failure, AgentSessionLost)
    (share / "kimi.json").write_text(json.dumps({"work_dirs": [{"path": here}]}))
    assert calls.ask(agent, "hello", session="s1").answer.session == "s1"
    assert isinstance(calls.ask(agent, "hello", session="s1", forks=True).failure, AgentUnfit)


FORKS = CODE_SAYS + 'case "$1" in fork) echo "Forked to session_2 (\\"Fork: $3\\") in 3ms"; exit;; esac\n'


def test_kimi_code_forks_by_a_command_of_its_own(calls: Watched, tmp_path: Path) -> None:
    text = FORKS.replace(
        "#!/bin/sh\n",
        '#!/bin/sh\n[ "$3" = lost ] && { echo "Session \\"lost\\" was not found" >&2; exit 1; }\n',
    )
    agent = Kimi(generation="code", binary=program(tmp_path, text), cwd=tmp_path)
    assert calls.ask(agent, "hello", session="session_1", forks=True).answer.text == "done"
    assert calls.programs[0][1:] == ["fork", "--yes", "session_1"]
    assert "session_2" in calls.programs[1]
    assert isinstance(calls.ask(agent, "hello", session="lost", forks=True).failure, AgentSessionLost)


# --- What Kimi Code says ------------------------------------------------------------------------


def test_a_recorded_call_of_kimi_code_tells_what_it_does() -> None:
    heard = replayed(CODE, load("kimi", "write"))
    assert heard.answer.text == '{"ok": true}'
    assert heard.told(SessionEvent) == [SessionEvent(heard.answer.session or "")]
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.input) == ("Write", {"path": "hello.txt", "content": "hi\n"})
    assert (result.id, result.text) == (call.id, "Wrote 3 bytes to hello.txt")
    assert heard.answer.usage is None


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("401", AgentAuth),
        ("403", AgentAuth),
        ("429", AgentThrottled),
        ("429-quota", AgentQuota),
        ("429-usage-limit", AgentQuota),
        ("500", AgentThrottled),
        ("529", AgentThrottled),
        ("cut", AgentThrottled),
        ("garbage", AgentThrottled),
        ("empty", AgentThrottled),
        ("hang", AgentError),
        ("hang-after-first-event", AgentError),
    ],
)
def test_a_recorded_failure_of_kimi_code_has_its_class(case: str, kind: type[AgentError]) -> None:
    assert type(replayed(CODE, load("kimi", case)).failure) is kind


def test_a_conversation_that_kimi_code_does_not_have_is_lost() -> None:
    assert isinstance(
        replayed(CODE, load("kimi", "unknown-session"), session=UNKNOWN).failure, AgentSessionLost
    )
    elsewhere = 'error: failed to run prompt: Session "s" was created under a different directory.\n'
    assert isinstance(folded(CODE, "", stderr=elsewhere, status=1, session="s").failure, AgentSessionLost)


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("No model configured. Run `kimi` and use /login to sign in, then retry.", AgentAuth),
        ('Model "nosuch" is not configured in config.toml.', AgentUnfit),
        ('Unknown agent profile: "nosuch". Available profiles: plan', AgentUnfit),
        ("compaction.failed: APIContextOverflowError: 400 maximum context length", AgentUnfit),
        ("provider.api_error: 404 The model does not exist", AgentUnfit),
        ("provider.rate_limit: come back later", AgentThrottled),
        ("provider.overloaded: 529 Overloaded", AgentThrottled),
        ("Provider safety policy blocked the response.", AgentRefusal),
        ("something else", AgentError),
    ],
)
def test_what_kimi_code_fails_with_has_its_class(why: str, kind: type[AgentError]) -> None:
    stderr = f"Warning: x\nerror: failed to run prompt: {why}\nSee log: /x/y.log\n"
    found = folded(CODE, "", stderr=stderr, status=1).failure
    assert type(found) is kind
    assert "See log" not in found.message


def test_an_answer_of_kimi_code_needs_all_three_signs_of_success() -> None:
    calls = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{"}}]}
    assert folded(CODE, stream([DONE, HINT])).answer.session == "session_1"
    assert folded(CODE, stream([DONE, HINT]), status=-15, was_ended=True).answer.text == "done"
    for events, status in (([DONE], 0), ([DONE, HINT], 1), ([DONE, calls, HINT], 0), ([HINT], 0)):
        assert type(folded(CODE, stream(events), status=status).failure) is AgentError


def test_retries_are_told_and_one_that_is_far_away_is_left_to_the_run() -> None:
    soon = {
        "role": "meta", "type": "turn.step.retrying", "failed_attempt": 1, "delay_ms": 500,
        "error_message": "429 Too many requests", "status_code": 429,
    }  # fmt: skip
    heard = folded(CODE, stream([soon, {**soon, "delay_ms": 120_000}, DONE, HINT]))
    assert [(retry.reason, retry.delay_s) for retry in heard.told(RetryEvent)] == [
        ("throttle", 0.5),
        ("throttle", 120.0),
    ]
    assert isinstance(heard.failure, AgentThrottled)
    assert heard.failure.retry_after_s == 120


# --- What Python says ---------------------------------------------------------------------------


def test_a_recorded_call_of_python_tells_what_it_does() -> None:
    heard = replayed(PYTHON, load("kimi-py", "write"), session="s1")
    assert heard.answer.text == '{"ok": true}'
    assert heard.told(SessionEvent) == [SessionEvent("s1")]
    (call,), (result,) = heard.told(ToolCallEvent), heard.told(ToolResultEvent)
    assert (call.name, call.id, result.is_error) == ("WriteFile", result.id, False)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("401", AgentAuth),
        ("403", AgentAuth),
        ("429", AgentThrottled),
        ("429-quota", AgentQuota),
        ("429-usage-limit", AgentQuota),
        ("500", AgentThrottled),
        ("529", AgentThrottled),
        ("cut", AgentThrottled),
        ("garbage", AgentThrottled),
        ("empty", AgentThrottled),
        ("hang", AgentError),
    ],
)
def test_a_recorded_failure_of_python_has_its_class(case: str, kind: type[AgentError]) -> None:
    assert type(replayed(PYTHON, load("kimi-py", case), session="s1").failure) is kind


def test_what_is_broken_at_80_columns_is_put_together_again() -> None:
    error = replayed(PYTHON, load("kimi-py", "429-usage-limit"), session="s1").failure
    assert isinstance(error, AgentQuota)
    assert error.resets_ms == NOW_MS + 7_200_000
    assert "'type': 'usage_limit_reached'" in error.message


@pytest.mark.parametrize(
    ("lines", "status", "kind"),
    [
        (["LLM not set"], 1, AgentAuth),
        (["Max number of steps reached: 2"], 1, AgentError),
        (["Connection error."], 75, AgentThrottled),
        (["Interrupted by user"], 1, AgentError),
        (["kimi-cli is no longer maintained, use Kimi Code"], 0, AgentUnfit),
        ([], 2, AgentUnfit),
        ([], 0, AgentError),
    ],
)
def test_what_python_fails_with_has_its_class(lines: list[str], status: int, kind: type[AgentError]) -> None:
    assert type(folded(PYTHON, stream(lines), status=status, session="s1").failure) is kind


def test_what_python_says_of_its_command_line_is_taken_out_of_its_frame() -> None:
    frame = "Usage: kimi [OPTIONS]\n╭─ Error ───╮\n│ No such option '--bogus'.      │\n╰───────────╯\n"
    error = folded(PYTHON, "", stderr=frame, status=2, session="s1").failure
    assert (type(error), error.message) == (AgentUnfit, "No such option '--bogus'.")


def test_no_model_is_no_account_unless_one_was_asked_for() -> None:
    agent = Kimi(generation="python", model="m")
    assert type(folded(agent, "LLM not set", status=1, session="s1").failure) is AgentUnfit


def test_only_the_last_words_of_python_say_why_it_failed() -> None:
    heard = folded(PYTHON, stream(["LLM not set", DONE, "Connection error."]), status=75, session="s1")
    assert type(heard.failure) is AgentThrottled


def test_parts_of_a_message_are_told_apart() -> None:
    content = [{"type": "think", "think": "hm"}, {"type": "text", "text": "yes"}]
    heard = folded(PYTHON, stream([{"role": "assistant", "content": content}]), session="s1")
    assert heard.told(TextEvent) == [TextEvent("hm", is_reasoning=True), TextEvent("yes")]
    assert heard.answer.text == "yes"


KINDS = "assistant tool meta session.resume_hint turn.step.retrying".split()
WORDS = (
    "role type content text think tool_calls function arguments name id session_id status_code delay_ms "
    "error_message failed_attempt"
).split()


@given(
    odd_events(KINDS, WORDS), st.sampled_from([0, 1, 75, None]), st.text(), st.sampled_from([CODE, PYTHON])
)
def test_whatever_it_is_sent_it_ends_well_or_with_an_agents_error(
    events: list[dict[str, Any]], status: int | None, stderr: str, agent: Kimi
) -> None:
    events = [{**event, "role": event.get("role", event.get("event"))} for event in events]
    endured(agent.fold(request(session="s1")), events, status, stderr)
