"""`chat` as a user runs it: a real process over a real store and a real file of transcripts."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smithers.clock import SystemClock
from smithers.engine.transcript import TranscriptRecorder
from smithers.errors import AgentThrottled
from smithers.ids import NodeKey
from smithers.ports import (
    AgentReply,
    NoticeEvent,
    SessionEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from smithers.records import RunState, Usage
from smithers.store.transcript import SqliteTranscripts, transcripts_path
from tests.acceptance.process import SMITHERS, environment, smithers
from tests.acceptance.told import LOOP_TREE, Told, teller

EVIL = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x9b2J"
KEY = "sk-ant-api03-" + "a1B2" * 20


@contextmanager
def recorder(store: Path) -> Iterator[TranscriptRecorder]:
    clock = SystemClock()
    found = TranscriptRecorder(
        partial(SqliteTranscripts, transcripts_path(store), clock), clock, environment=dict
    )
    try:
        yield found
    finally:
        assert found.close(30)


def talk(run: Told, at: TranscriptRecorder) -> None:
    """The conversations of a run with `LOOP_TREE`."""
    number = run.row.id
    plan = at.attempt(number, NodeKey("plan"), 0, 1, "claude-code")
    plan.prompt("Plan it.\n" + "\n".join(f"rule {n}" for n in range(30)))
    plan.event(SessionEvent("s-1"))
    plan.event(TextEvent("I look at the fi"))
    plan.event(TextEvent("les.\n"))
    plan.event(ToolCallEvent("c1", "Bash", {"command": f"curl -H 'x: {KEY}'\nls", "note": EVIL}))
    plan.event(ToolResultEvent("c1", f"{EVIL}\nb\nc\nd\ne\nf"))
    plan.event(NoticeEvent("denied: Write"))
    plan.event(UsageEvent(Usage(12_345, 456, 10_000, cost_usd=0.0123, cost_source="cli", model="opus")))
    plan.end(AgentReply("the plan"))
    for iteration, agent in ((0, "codex"), (1, "codex")):
        draft = at.attempt(number, NodeKey("draft", "", iteration), 0, 1, agent)
        draft.prompt(f"Draft {iteration}.")
        draft.event(TextEvent(f"draft {iteration} it is"))
        draft.end(AgentThrottled("overloaded") if iteration else AgentReply(f"draft {iteration} it is"))
    again = at.attempt(number, NodeKey("draft", "", 1), 0, 2, "claude-code")
    again.prompt("Draft 1.")
    again.event(TextEvent("second try"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / ".git").mkdir()
    store = folder / ".smithers" / "smithers.db"
    with teller(store) as here:
        run = Told(here, "swift-otter-3f2", tree=LOOP_TREE, ago=60)
        run.finish("plan", ago=50)
        run.finish("draft", ago=40)
        run.judge("loop:draft", 0, ago=39)
        run.fail("draft", "overloaded", ago=30, due=0, iteration=1)
        run.start("draft", ago=20, iteration=1)
        with recorder(store) as at:
            talk(run, at)
        other = Told(here, "calm-newt-77b", tree={"lint": {}}, ago=10)
        other.start("lint", ago=9, agent=None)
    return folder


def shown(project: Path, *words: str) -> list[str]:
    done = smithers(project, "chat", "swift", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_run_is_shown_conversation_by_conversation(project: Path) -> None:
    lines = shown(project)
    assert lines[0].startswith("plan attempt 1, claude-code, 2")
    words = [line.partition(" ")[2] for line in lines if line.startswith("+")]
    assert words[:3] == ["asked", "session s-1", "says"]
    assert words[3].startswith(r"""calls Bash {"command":"curl -H 'x: [redacted]'\nls","note":""")
    assert words[4:9] == ["Bash answered", "notice", "answered", "asked", "says"]
    assert "    I look at the files." in lines
    assert "    … 21 more lines: --full" in lines
    assert "    … 2 more lines: --full" in lines
    assert "    12,345 tokens in (10,000 cached), 456 out, $0.0123, opus" in lines
    assert "    the plan" in lines
    heads = [line.rpartition(", ")[0] for line in lines if " attempt " in line]
    assert heads == [
        "plan attempt 1, claude-code",
        "draft[0] attempt 1, codex",
        "draft[1] attempt 1, codex",
        "draft[1] attempt 2, claude-code",
    ]
    assert "failed: [AGENT_THROTTLED] overloaded" in words
    assert lines[-1] == "    second try"


def test_nothing_of_a_secret_or_of_an_escape_sequence_comes_out(project: Path) -> None:
    for words in ((), ("--full",), ("--json",)):
        out = smithers(project, "chat", "swift", *words).stdout
        assert KEY not in out
        assert not set(out) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["plan"], [("plan", 0, 1)]),
        (["draft"], [("draft", 1, 1), ("draft", 1, 2)]),
        (["draft[0]"], [("draft", 0, 1)]),
        (["draft", "--attempt", "2"], [("draft", 1, 2)]),
        (["loop:draft"], [("draft", 0, 1), ("draft", 1, 1), ("draft", 1, 2)]),
        (["main", "-n", "3"], [("draft", 1, 1), ("draft", 1, 2)]),
        (["--tail", "1"], [("draft", 1, 2)]),
        (["--tail", "0"], []),
    ],
)
def test_a_node_a_pass_an_attempt_or_the_end_is_chosen(
    project: Path, words: list[str], wanted: list[tuple[str, int, int]]
) -> None:
    found = [json.loads(line) for line in shown(project, *words, "--json")]
    assert list(dict.fromkeys((one["node"], one["iteration"], one["attempt"]) for one in found)) == wanted


def test_json_is_one_object_a_line_with_its_fields_on_top(project: Path) -> None:
    found = [json.loads(line) for line in shown(project, "plan", "--json")]
    assert {tuple(one) for one in found} == {
        (
            "run", "node", "scope", "iteration", "generation", "attempt", "agent", "turn", "serial", "at",
            "kind", "text", "data",
        )
    }  # fmt: skip
    assert [one["kind"] for one in found] == [
        "prompt", "session", "text", "tool-call", "tool-result", "notice", "usage", "reply",
    ]  # fmt: skip
    call, result = found[3], found[4]
    assert call["data"] == {
        "id": "c1",
        "name": "Bash",
        "input": {"command": "curl -H 'x: [redacted]'\nls", "note": EVIL},
    }
    assert result["text"].startswith(EVIL)
    assert (found[0]["run"], found[2]["text"]) == ("swift-otter-3f2", "I look at the files.\n")


def test_all_of_a_prompt_is_shown_when_it_is_asked_for(project: Path) -> None:
    assert "    rule 29" in shown(project, "plan", "--full")


# --- Nothing to show ----------------------------------------------------------------------------


def test_a_run_that_called_no_agent_yet_says_so(project: Path) -> None:
    done = smithers(project, "chat", "calm")
    assert (done.returncode, done.stdout) == (0, "no agent has been called for calm-newt-77b yet\n")
    done = smithers(project, "chat", "calm", "--json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no agent has been called" in done.stderr


def test_a_missing_file_of_transcripts_is_said_and_not_made(tmp_path: Path) -> None:
    store = tmp_path / ".smithers" / "smithers.db"
    with teller(store) as here:
        Told(here, "r1", tree={"a": {}}).start("a", ago=1)
        done = smithers(tmp_path, "chat", "r1")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("nothing is recorded of r1: there is no file of transcripts")
        assert not transcripts_path(store).exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nope"], 4, "[RUN_NOT_FOUND] no run 'nope'"),
        (["swift", "nope"], 4, "[NODE_NOT_FOUND] no node 'nope' in swift-otter-3f2"),
        (["swift", "draft[7]"], 4, "[NODE_NOT_FOUND]"),
        (["swift", "--attempt", "1"], 4, "--attempt needs a NODE"),
    ],
)
def test_what_is_not_there_is_refused_as_other_commands_do(
    project: Path, words: list[str], code: int, message: str
) -> None:
    done = smithers(project, "chat", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_a_project_without_runs_refuses_any(tmp_path: Path) -> None:
    done = smithers(tmp_path, "chat", "x")
    assert done.returncode == 4
    assert "this project has no runs yet" in done.stderr


# --- A terminal ---------------------------------------------------------------------------------


def test_on_a_terminal_lines_fit_and_errors_are_red(project: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execve(SMITHERS, [str(SMITHERS), "chat", "swift"], environment(COLUMNS="60", TERM="xterm"))
    out = b""
    with open(master, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor
        try:
            while data := screen.read(65_536):
                out += data
        except OSError:
            pass  # how a terminal says that the other side has left
    assert os.waitpid(pid, 0)[1] == 0
    text = out.decode()
    assert "\x1b[31m+" in text
    assert "\x1b[1mplan attempt 1" in text
    plain = [line.split("\x1b[0m")[0].rpartition("m")[2] for line in text.splitlines() if "\x1b[" in line]
    assert max(len(line) for line in plain) <= 60
    assert "\x1b]0;" not in text


# --- Following ----------------------------------------------------------------------------------


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Told, TranscriptRecorder, Callable[..., subprocess.Popen[str]]]]:
    """A run that this process drives, its recorder, and what starts `chat` in its project."""
    store = tmp_path / ".smithers" / "smithers.db"
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [SMITHERS, "chat", "r1", *words],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
            )
        )
        return started[-1]

    with teller(store) as here, recorder(store) as at:
        yield Told(here, "r1", tree={"a": {}, "b": {}}, ago=5), at, start
        for process in started:
            process.kill()
            process.communicate()


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)


def test_a_follower_sees_what_is_said_as_it_is_said_and_leaves_with_the_run(live: Any) -> None:
    run, at, start = live
    process = start("-f", "--json")
    run.start("a", ago=0)
    one = at.attempt(run.row.id, NodeKey("a"), 0, 1, "codex")
    one.prompt("Do it.")
    seen = lines_of(process)
    assert next(seen)["text"] == "Do it."
    one.event(TextEvent("It is done."))
    assert next(seen)["text"] == "It is done."
    other = at.attempt(run.row.id, NodeKey("b"), 0, 1, "codex")
    other.event(NoticeEvent("also"))
    assert next(seen)["node"] == "b"
    # The last words come with the end of the run, and are written a moment later.
    run.end(RunState.FINISHED, output=None)
    one.end("yes")
    assert next(seen)["kind"] == "reply"
    assert list(seen) == []
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == "r1 is finished\n"


def test_a_follower_of_one_node_shows_nothing_of_others(live: Any, tmp_path: Path) -> None:
    run, at, start = live
    run.start("a", ago=0)
    with recorder(tmp_path / ".smithers" / "smithers.db") as before:
        before.attempt(run.row.id, NodeKey("a"), 0, 1, "codex").event(NoticeEvent("before"))
    process = start("a", "-f", "-n", "0", "--json")
    one = at.attempt(run.row.id, NodeKey("a"), 0, 1, "codex")
    other = at.attempt(run.row.id, NodeKey("b"), 0, 1, "codex")
    for number in range(1_000):  # until it follows, what is said is not shown: `-n 0`
        other.event(NoticeEvent(f"b{number}"))
        one.event(NoticeEvent(f"a{number}"))
        if select.select([process.stdout], [], [], 0.1)[0]:
            break
    run.end(RunState.PAUSED)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    seen = [json.loads(line) for line in out.splitlines()]
    assert {line["node"] for line in seen} == {"a"}
    assert "before" not in [line["text"] for line in seen]


def test_a_text_that_comes_in_pieces_is_printed_as_one(live: Any) -> None:
    run, at, start = live
    run.start("a", ago=0)
    process = start("-f")
    one = at.attempt(run.row.id, NodeKey("a"), 0, 1, "codex")
    assert process.stdout is not None
    one.event(TextEvent("Hello "))
    assert process.stdout.readline().startswith("a attempt 1, codex")
    one.event(TextEvent("world.\nAnd"))
    one.event(TextEvent(" more"))
    one.end("Hello world.\nAnd more")
    assert process.stdout.readline().endswith("says\n")
    assert process.stdout.readline() == "    Hello world.\n"
    run.end(RunState.FINISHED)
    more, answered = process.stdout.read().splitlines()
    assert more == "    And more"
    assert answered.endswith("answered")


def test_following_a_run_that_nobody_drives_or_that_ended_long_ago_ends_at_once(tmp_path: Path) -> None:
    with teller(tmp_path / ".smithers" / "smithers.db") as here:
        run = Told(here, "r1", tree={"a": {}}, ago=60)
        run.end(RunState.FINISHED, ago=50)
        done = smithers(tmp_path, "chat", "r1", "-f")
    assert (done.returncode, done.stdout) == (0, "no agent has been called for r1\n")
    assert done.stderr == "r1 is finished\n"


# --- Cheap --------------------------------------------------------------------------------------


def test_chat_imports_nothing_that_only_running_needs_and_changes_nothing(project: Path) -> None:
    folder = project / ".smithers"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".db"}
    program = (
        "import sys; from smithers.cli.run import run; code = run(['chat', 'swift']); "
        "heavy = {'pydantic', 'rich', 'asyncio', 'psutil', 'jinja2', 'smithers.records.redaction'} "
        "& set(sys.modules); print(*sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=project,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, "\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".db"} == before


# --- A file that cannot be used -----------------------------------------------------------------


def test_a_damaged_file_is_named_and_no_empty_answer(tmp_path: Path) -> None:
    store = tmp_path / ".smithers" / "smithers.db"
    with teller(store) as here:
        run = Told(here, "r1", tree={"a": {}}, ago=60)
        with recorder(store) as at:
            at.attempt(run.row.id, NodeKey("a"), 0, 1, "codex").prompt("x" * 50_000)
        path = transcripts_path(store)
        whole = path.read_bytes()
        for content, code in (
            (b"# notes\n" * 2_000, "NOT_A_STORE"),
            (whole[: len(whole) // 2], "STORE_CORRUPT"),
            (whole[:100] + b"\xff" * 4_000 + whole[4_100:], "STORE_CORRUPT"),
        ):
            path.write_bytes(content)
            done = smithers(tmp_path, "chat", "r1")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith(f"[{code}]")
            assert "hint: move the file away" in done.stderr
        path.unlink()
        assert smithers(tmp_path, "chat", "r1").returncode == 0


def test_reader_and_store_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(SqliteTranscripts(path, SystemClock())):
        assert path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["t.db"]
