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
from tests.agents.calling import Caller, caller
from tests.agents.transcript import load
from tests.unit.agents.hearing import NOW_MS, TWO_HOURS_MS, asked, hear, recorded, spoiled

FOLDER = Path("/call")
UNKNOWN = "0d15ea5e-0000-4000-8000-000000000000"
HINT = {"role": "meta", "type": "session.resume_hint", "session_id": "session_1"}
DONE = {"role": "assistant", "content": "done"}


def code(request: Any) -> Any:
    return Kimi(generation="code").fold(request)


def python(request: Any) -> Any:
    return Kimi(generation="python").fold(request)


# --- How each is called -------------------------------------------------------------------------


def test_kimi_code_is_called_with_its_own_words() -> None:
    agent = Kimi(
        generation="code", model="m", agent="coder", add_dirs=["/a"], args=["--skills-dir", "/s"], cwd="/w"
    )
    how = agent.invocation(asked(prompt="- hello"), FOLDER)
    assert how.argv == (
        "kimi", "--output-format", "stream-json", "--model", "m", "--agent", "coder", "--add-dir", "/a",
        "--skills-dir", "/s", "--prompt=- hello",
    )  # fmt: skip
    assert (how.stdin, how.cwd) == (None, Path("/w"))


def test_kimi_code_keeps_the_agent_of_a_conversation_that_is_continued() -> None:
    argv = Kimi(generation="code", agent="coder").invocation(asked(session="session_1"), FOLDER).argv
    assert argv[3:] == ("--session", "session_1", "--prompt=hello")


def test_python_is_called_with_its_own_words() -> None:
    agent = Kimi(
        generation="python", model="m", agent_file="/a.yaml", thinking=False, max_steps_per_turn=9,
        mcp_config={"mcpServers": {}},
    )  # fmt: skip
    how = agent.invocation(asked(session="id"), FOLDER)
    assert how.argv == (
        "kimi", "--output-format", "stream-json", "--model", "m", "--session", "id",
        "--agent-file", "/a.yaml", "--print", "--input-format", "text", "--no-thinking",
        "--max-steps-per-turn", "9", "--mcp-config", '{"mcpServers": {}}',
    )  # fmt: skip
    assert how.stdin == "hello"


@pytest.mark.parametrize("options", [{"thinking": True}, {"mcp_config": "/mcp.json"}])
def test_kimi_code_refuses_what_it_has_no_word_for(options: dict[str, Any]) -> None:
    with pytest.raises(AgentUnfit):
        Kimi(generation="code", **options).invocation(asked(), FOLDER)


def test_kimi_code_refuses_a_prompt_that_no_command_line_takes() -> None:
    with pytest.raises(AgentUnfit, match="bytes"):
        Kimi(generation="code").invocation(asked(prompt="ä" * 70_000), FOLDER)
    assert Kimi(generation="python").invocation(asked(prompt="ä" * 70_000, session="x"), FOLDER).stdin


def test_neither_can_be_limited_to_certain_tools() -> None:
    with pytest.raises(AgentUnfit):
        Kimi().check(AgentTools(()))


def test_each_has_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "KIMI_CODE_INFINITE_RETRY", "KIMI_MODEL_API_KEY"):
        monkeypatch.setenv(name, "x")
    env = Kimi(generation="code", max_steps_per_turn=9).invocation(asked(), FOLDER).env
    assert (env["KIMI_LOOP_MAX_ATTEMPTS_PER_STEP"], env["KIMI_LOOP_MAX_STEPS_PER_TURN"]) == ("4", "9")
    assert (env["KIMI_DISABLE_TELEMETRY"], env["KIMI_MODEL_API_KEY"]) == ("1", "x")
    assert not {"CLAUDECODE", "KIMI_CODE_INFINITE_RETRY"} & set(env)
    own = Kimi(generation="code", config_dir="/a").invocation(asked(), FOLDER).env
    assert (own["KIMI_CODE_HOME"], "KIMI_MODEL_API_KEY" in own) == ("/a", False)
    own = dict(Kimi(generation="python", config_dir="/a").invocation(asked(session="x"), FOLDER).env)
    assert (own["KIMI_SHARE_DIR"], own["COLUMNS"], "KIMI_CODE_HOME" in own) == ("/a", "500", False)


# --- Which one it is ----------------------------------------------------------------------------


@pytest.fixture
def calls() -> Iterator[Caller]:
    with caller() as found:
        yield found


def program(folder: Path, text: str, name: str = "kimi") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


SAYS = """#!/bin/sh
case "$1" in --version) echo asked >> "${0%/*}/asked"; echo "$VERSION"; exit;; esac
"""
CODE = SAYS + f"printf '%s\\n' '{json.dumps(DONE)}' '{json.dumps(HINT)}'\n"
PYTHON = (
    SAYS
    + f"""case "$*" in *--print*) cat >/dev/null; printf '%s\\n' '{json.dumps(DONE)}';; *) exit 3;; esac
"""
)


@pytest.mark.parametrize(("version", "text"), [("2.1.0", CODE), ("kimi, version 1.49.0", PYTHON)])
def test_what_its_file_does_not_show_it_is_asked_once(
    calls: Caller, tmp_path: Path, version: str, text: str
) -> None:
    agent = Kimi(binary=program(tmp_path, text), env={"VERSION": version}, cwd=tmp_path)
    for _ in range(3):
        assert calls.call(agent).good.text == "done"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_one_that_was_installed_anew_is_asked_anew(calls: Caller, tmp_path: Path) -> None:
    binary = program(tmp_path, CODE)
    assert calls.call(Kimi(binary=binary, env={"VERSION": "2.1.0"}, cwd=tmp_path)).good.text == "done"
    program(tmp_path, PYTHON)
    os.utime(binary, ns=(1, 1))
    again = Kimi(binary=binary, env={"VERSION": "kimi, version 1.49.0"}, cwd=tmp_path)
    assert calls.call(again).good.text == "done"


def test_one_that_says_no_version_is_asked_again(calls: Caller, tmp_path: Path) -> None:
    binary = program(tmp_path, CODE)
    assert "version" in calls.call(Kimi(binary=binary, env={"VERSION": ""}, cwd=tmp_path)).bad.message
    assert calls.call(Kimi(binary=binary, env={"VERSION": "2.1.0"}, cwd=tmp_path)).good.text == "done"


@pytest.mark.parametrize(
    ("head", "words"),
    [("#!/bin/true node\n", "--prompt=hello"), ("#!/bin/true\nfrom kimi_cli import main\n", "--print")],
)
def test_the_head_of_its_file_is_enough(calls: Caller, tmp_path: Path, head: str, words: str) -> None:
    binary = program(tmp_path, head)
    assert calls.call(Kimi(binary=binary, cwd=tmp_path), "hello").error is not None  # it says nothing
    assert [words in argv for argv in calls.programs] == [True]


def test_one_that_is_not_there_is_missing(calls: Caller, tmp_path: Path) -> None:
    error = calls.call(Kimi(env={"PATH": str(tmp_path)}, cwd=tmp_path)).bad
    assert isinstance(error, AgentMissing)
    assert "npm install" in (error.hint or "")


# --- Conversations ------------------------------------------------------------------------------


def test_python_is_given_the_name_of_a_new_conversation(calls: Caller, tmp_path: Path) -> None:
    agent = Kimi(generation="python", binary=program(tmp_path, PYTHON), cwd=tmp_path)
    first, second = calls.call(agent), calls.call(agent)
    assert first.session == first.good.session != second.session
    assert [argv[argv.index("--session") + 1] for argv in calls.programs] == [first.session, second.session]


def test_python_is_not_let_begin_a_conversation_anew(calls: Caller, tmp_path: Path) -> None:
    share, here = tmp_path / "share", str(tmp_path.resolve())
    agent = Kimi(generation="python", binary=program(tmp_path, PYTHON), cwd=tmp_path, config_dir=share)
    assert isinstance(calls.call(agent, session="s1").bad, AgentSessionLost)
    kept = share / "sessions" / md5(here.encode(), usedforsecurity=False).hexdigest() / "s1/context.jsonl"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert isinstance(calls.call(agent, session="s1").bad, AgentSessionLost)
    (share / "kimi.json").write_text(json.dumps({"work_dirs": [{"path": here}]}))
    assert calls.call(agent, session="s1").good.session == "s1"
    assert isinstance(calls.call(agent, session="s1", forks=True).bad, AgentUnfit)


FORKS = CODE + 'case "$1" in fork) echo "Forked to session_2 (\\"Fork: $3\\") in 3ms"; exit;; esac\n'


def test_kimi_code_forks_by_a_command_of_its_own(calls: Caller, tmp_path: Path) -> None:
    text = FORKS.replace(
        "#!/bin/sh\n",
        '#!/bin/sh\n[ "$3" = lost ] && { echo "Session \\"lost\\" was not found" >&2; exit 1; }\n',
    )
    agent = Kimi(generation="code", binary=program(tmp_path, text), cwd=tmp_path)
    assert calls.call(agent, session="session_1", forks=True).good.text == "done"
    assert calls.programs[0][1:] == ["fork", "--yes", "session_1"]
    assert "session_2" in calls.programs[1]
    assert isinstance(calls.call(agent, session="lost", forks=True).bad, AgentSessionLost)


# --- What Kimi Code says ------------------------------------------------------------------------


def test_a_recorded_call_of_kimi_code_tells_what_it_does() -> None:
    heard = recorded(code, "kimi", "write")
    assert heard.good.text == '{"ok": true}'
    assert heard.of(SessionEvent) == [SessionEvent(heard.good.session or "")]
    (call,), (result,) = heard.of(ToolCallEvent), heard.of(ToolResultEvent)
    assert (call.name, call.input) == ("Write", {"path": "hello.txt", "content": "hi\n"})
    assert (result.id, result.text) == (call.id, "Wrote 3 bytes to hello.txt")
    assert heard.good.usage is None


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
    assert type(recorded(code, "kimi", case).bad) is kind


def test_a_conversation_that_kimi_code_does_not_have_is_lost() -> None:
    assert isinstance(recorded(code, "kimi", "unknown-session", session=UNKNOWN).bad, AgentSessionLost)
    elsewhere = 'error: failed to run prompt: Session "s" was created under a different directory.\n'
    assert isinstance(hear(code(asked(session="s")), stderr=elsewhere, status=1).bad, AgentSessionLost)


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
    found = hear(code(asked()), stderr=stderr, status=1).bad
    assert type(found) is kind
    assert "See log" not in found.message


def test_an_answer_of_kimi_code_needs_all_three_signs_of_success() -> None:
    calls = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{"}}]}
    assert hear(code(asked()), [DONE, HINT]).good.session == "session_1"
    assert hear(code(asked()), [DONE, HINT], status=-15, was_ended=True).good.text == "done"
    for events, status in (([DONE], 0), ([DONE, HINT], 1), ([DONE, calls, HINT], 0), ([HINT], 0)):
        assert type(hear(code(asked()), events, status=status).bad) is AgentError


def test_retries_are_told_and_one_that_is_far_away_is_left_to_the_run() -> None:
    soon = {
        "role": "meta", "type": "turn.step.retrying", "failed_attempt": 1, "delay_ms": 500,
        "error_message": "429 Too many requests", "status_code": 429,
    }  # fmt: skip
    heard = hear(code(asked()), [soon, {**soon, "delay_ms": 120_000}, DONE, HINT])
    assert [(retry.reason, retry.delay_s) for retry in heard.of(RetryEvent)] == [
        ("throttle", 0.5),
        ("throttle", 120.0),
    ]
    assert isinstance(heard.bad, AgentThrottled)
    assert heard.bad.retry_after_s == 120


# --- What Python says ---------------------------------------------------------------------------


def test_a_recorded_call_of_python_tells_what_it_does() -> None:
    heard = recorded(python, "kimi-py", "write", session="s1")
    assert heard.good.text == '{"ok": true}'
    assert heard.of(SessionEvent) == [SessionEvent("s1")]
    (call,), (result,) = heard.of(ToolCallEvent), heard.of(ToolResultEvent)
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
    assert type(recorded(python, "kimi-py", case, session="s1").bad) is kind


def test_what_is_broken_at_80_columns_is_put_together_again() -> None:
    error = recorded(python, "kimi-py", "429-usage-limit", session="s1").bad
    assert isinstance(error, AgentQuota)
    assert error.resets_ms == NOW_MS + TWO_HOURS_MS
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
    assert type(hear(python(asked(session="s1")), lines, status=status).bad) is kind


def test_no_model_is_no_account_unless_one_was_asked_for() -> None:
    fold = Kimi(generation="python", model="m").fold(asked(session="s1"))
    assert type(hear(fold, ["LLM not set"], status=1).bad) is AgentUnfit


def test_only_the_last_words_of_python_say_why_it_failed() -> None:
    heard = hear(python(asked(session="s1")), ["LLM not set", DONE, "Connection error."], status=75)
    assert type(heard.bad) is AgentThrottled


def test_parts_of_a_message_are_told_apart() -> None:
    content = [{"type": "think", "think": "hm"}, {"type": "text", "text": "yes"}]
    heard = hear(python(asked(session="s1")), [{"role": "assistant", "content": content}])
    assert heard.of(TextEvent) == [TextEvent("hm", is_reasoning=True), TextEvent("yes")]
    assert heard.good.text == "yes"


EVENTS = [
    json.loads(line) for name in ("kimi", "kimi-py") for line in load(name, "write").stdout.splitlines()
]


@given(st.lists(spoiled([*EVENTS, HINT]), max_size=8), st.lists(st.text(), max_size=3), st.booleans())
def test_nothing_but_an_agents_error_comes_of_any_objects(
    events: list[dict[str, Any]], lines: list[str], is_code: bool
) -> None:
    hear((code if is_code else python)(asked(session="s1")), [*events, *lines])
