"""What a command's exit code means: one test a code, and the commands that share it."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from smithers.cli.exit_code import MEANINGS, OF_A_RUN, ExitCode
from smithers.records import RunState
from tests.acceptance.process import Project

FINISHED, FAILED, CANCELLED, PARKED, REFUSED, PARTIAL = list(ExitCode)[:6]
READS = (
    "ps",
    "inspect r1",
    "why r1",
    "output r1",
    "logs r1",
    "events r1",
    "tree r1",
    "node r1 work",
    "doctor",
)

FLOW = """
def work():
    note("work")
    if (HERE / "wait").exists():
        wait_for("go")
    if (HERE / "broken").exists():
        raise ValueError("broken")
    return Text(text="done")

@workflow
def flow(ctx):
    return Task("work", Text, run=work, retries=0)

@workflow
def tolerant(ctx):
    return Sequence(
        Task("work", Text, run=work, retries=0, continue_on_fail=True),
        Task("after", Text, value=Text(text="after")),
    )
"""


@pytest.fixture
def flow(project: Project) -> Project:
    project.write(FLOW)
    return project


def up(project: Project, *words: str) -> int:
    return project.run("up", "flow.py:flow", *words).returncode


def test_0_is_a_finished_run_and_every_repetition_of_it(flow: Project) -> None:
    assert up(flow, "-r", "r1") == FINISHED
    assert up(flow, "-r", "r1", "--resume") == FINISHED
    assert flow.run("cancel", "r1").returncode == FINISHED
    for words in READS:
        assert flow.run(*words.split()).returncode == FINISHED, words
    for words in ("pause r1", "down", "cancel r1"):
        assert flow.run(*words.split()).returncode == FINISHED, words


def test_0_is_a_look_at_a_project_without_runs(project: Project) -> None:
    for command in ("ps", "doctor", "down"):
        assert project.run(command).returncode == FINISHED
    assert not project.store.exists()


def test_0_is_a_run_in_the_background_that_has_begun_whatever_becomes_of_it(flow: Project) -> None:
    flow.touch("wait")
    flow.touch("broken")
    assert up(flow, "-d", "-r", "r1") == FINISHED
    flow.touch("go")


def test_0_is_a_graph_and_4_one_that_cannot_be_drawn(flow: Project) -> None:
    assert flow.run("graph", "flow.py:flow").returncode == FINISHED
    assert flow.run("graph", "flow.py").returncode == REFUSED
    assert flow.executed() == []
    assert not flow.store.exists()


def test_1_is_a_failed_run_also_when_a_resume_fails_again(flow: Project) -> None:
    flow.touch("broken")
    assert up(flow, "-r", "r1") == FAILED
    assert up(flow, "--resume", "r1") == FAILED
    (flow.folder / "broken").unlink()
    assert up(flow, "--resume", "r1") == FINISHED


def test_1_is_a_store_that_cannot_be_used(flow: Project) -> None:
    up(flow, "-r", "r1")
    connection = sqlite3.connect(flow.store)
    connection.execute("PRAGMA user_version = 999999")
    connection.close()
    for words in ("up flow.py:flow", *READS, "pause r1", "down", "cancel r1"):
        done = flow.run(*words.split())
        assert done.returncode == FAILED
        assert "[STORE_TOO_NEW]" in done.stderr + done.stdout
        assert done.stdout == "" or words == "doctor"


def test_1_is_what_was_asked_for_and_is_not_done_yet(flow: Project) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "-r", "r1")
    flow.await_executed("work")
    assert flow.run("pause", "r1", "--wait", "0.2s").returncode == FAILED
    assert flow.run("down", "--wait", "0.2s").returncode == FAILED
    flow.touch("go")
    assert process.wait(timeout=20) == FINISHED


def test_1_is_something_that_doctor_finds_wrong(flow: Project) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "-r", "r1")
    flow.await_executed("work")
    assert flow.run("doctor").returncode == FINISHED
    process.kill()
    process.wait()
    assert flow.run("doctor").returncode == FAILED


def test_2_is_a_run_that_was_cancelled(flow: Project) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "-r", "r1")
    flow.await_executed("work")
    flow.run("cancel", "r1")
    process.communicate(timeout=20)
    assert process.returncode == CANCELLED


def test_3_is_a_run_that_somebody_paused(flow: Project) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "-r", "r1")
    flow.await_executed("work")
    assert flow.run("pause", "r1", "--now").returncode == FINISHED
    process.communicate(timeout=20)
    assert process.returncode == PARKED
    flow.touch("go")
    assert up(flow, "--resume", "r1") == FINISHED


def test_3_is_a_run_that_waits_longer_than_it_may_linger(project: Project) -> None:
    project.write("""
        def work():
            raise ConnectionError("refused")

        @workflow
        def flow(ctx):
            return Task("work", Text, run=work, retry_policy=RetryPolicy(initial_delay="1h", max_delay="1h"))
    """)
    assert project.run("up", "flow.py", "--linger", "1m").returncode == PARKED


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["flow.py:flow", "--no-such-option"],
        ["nowhere.py"],
        ["flow.py"],
        ["flow.py:other"],
        ["flow.py:flow", "-c", "0"],
        ["flow.py:flow", "--input", "{"],
        ["flow.py:flow", "--resume", "nothing"],
        ["flow.py:flow", "-r", "no spaces"],
        ["no.such.module:flow"],
    ],
)
def test_4_is_anything_refused_before_a_run_changed(flow: Project, words: list[str]) -> None:
    done = flow.run("up", *words)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert flow.runs() == []
    assert flow.executed() == []


@pytest.mark.parametrize(
    "words",
    [
        *("inspect r2", "why r2", "output r2", "logs r2", "events r2", "tree r2", "node r2 work", "pause r2"),
        *("cancel r2", "events r1 --type nothing", "events r1 --node nothing", "node r1 nothing", "node r1"),
        *(
            "tree r1 --frame 99",
            "tree r1 --frame 0",
            "pause r1 --wait soon",
            "down r1",
            "doctor r1",
            "nothing",
        ),
        *("ps -s nothing", "logs r1 --limit 0", "output r1 nothing"),
    ],
)
def test_4_is_what_no_command_can_do(flow: Project, words: str) -> None:
    up(flow, "-r", "r1")
    done = flow.run(*words.split())
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "hint: " in done.stderr


def test_4_is_a_run_in_a_project_without_any(project: Project) -> None:
    for words in READS[1:-1]:
        assert project.run(*words.split()).returncode == REFUSED, words
    assert project.run("pause", "r1").returncode == REFUSED
    assert project.run("cancel", "r1").returncode == REFUSED


def test_4_is_a_run_that_another_process_drives(flow: Project) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "-r", "r1")
    flow.await_executed("work")
    assert up(flow, "--resume", "r1") == REFUSED
    assert up(flow, "-r", "r1") == REFUSED
    flow.touch("go")
    process.communicate(timeout=20)
    assert process.returncode == FINISHED


def test_4_says_why_in_json_when_json_was_asked_for(flow: Project) -> None:
    done = flow.run("up", "flow.py", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (REFUSED, "error")
    assert found["error"]["details"]["workflows"] == ["flow", "tolerant"]


def test_5_is_a_run_with_a_failure_that_was_only_tolerated(flow: Project) -> None:
    flow.touch("broken")
    done = flow.run("up", "flow.py:tolerant", "-r", "r1")
    assert (done.returncode, done.stdout) == (PARTIAL, '{"text": "after"}\n')
    assert flow.document("up", "flow.py:tolerant")["status"] == "partial"
    (flow.folder / "broken").unlink()
    assert flow.run("up", "flow.py:tolerant", "--resume", "r1").returncode == FINISHED


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_130_and_143_are_signals(flow: Project, number: signal.Signals, code: int) -> None:
    flow.touch("wait")
    process = flow.start("up", "flow.py:flow", "--json", "-r", "r1")
    flow.await_executed("work")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == code
    assert json.loads(out) == {"status": "paused", "run": "r1", "output": None, "error": None, "cost": None}


def test_141_is_an_output_that_nobody_reads(flow: Project) -> None:
    up(flow, "-r", "r1")
    process = flow.start("ps")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=20) == ExitCode.CLOSED


def test_every_code_stands_in_the_help_and_in_the_documentation(flow: Project) -> None:
    page = (Path(__file__).parents[2] / "docs" / "exit-codes.md").read_text()
    text = " ".join(flow.run("up", "--help").stdout.split())
    for code, (short, _) in MEANINGS.items():
        assert f"| {int(code)} | {short} |" in page
        assert f"{int(code)} {short}" in text
    assert set(MEANINGS) == set(ExitCode)
    assert {int(state) for state in RunState} - {int(state) for state in OF_A_RUN} == {
        *(RunState.RUNNING, RunState.CONTINUED)
    }
