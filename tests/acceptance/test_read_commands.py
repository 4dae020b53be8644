"""ps, inspect, why, output and logs as a user runs them: a real process and a real database file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smithers.records import RunState
from tests.acceptance.process import SMITHERS, environment, smithers
from tests.acceptance.told import LOOP_TREE, Told, tell_all, teller


def document(folder: Path, *words: str) -> dict[str, Any]:
    done = smithers(folder, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one run of each status; this process drives those that live."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".git").mkdir()
    tell_all(folder / ".smithers" / "smithers.db")
    (folder / "deep" / "down").mkdir(parents=True)
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


# --- ps -----------------------------------------------------------------------------------------


def test_ps_lists_every_status_newest_first(project: Path) -> None:
    done = smithers(project, "ps")
    rows = [line.split() for line in done.stdout.splitlines()[1:] if not line.startswith(" ")]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("swift-otter-3f2", "running", "1/6"),
        ("shy-seal-5e5", "waiting", "1/6"),
        ("warm-pike-2c0", "orphaned", "1/6"),
        ("neat-crow-9d1", "paused", "1/6"),
        ("eager-yak-04b", "failed", "1/6"),
        ("calm-newt-77b", "partial", "3/3"),
        ("red-owl-0aa", "cancelled", "1/6"),
        ("bold-fox-1f3", "finished", "6/6"),
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_ps_says_what_runs_what_waits_what_broke_and_how_to_resume(project: Path) -> None:
    out = smithers(project, "ps", COLUMNS="160").stdout
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "draft[1] 1m 4" in lines["swift-otter-3f2"]
    assert "retries draft[0] in " in lines["shy-seal-5e5"]
    assert lines["warm-pike-2c0"].endswith("has died; smithers up --resume warm-pike-2c0")
    assert "draft[0]: [TASK_FAILED] connection refused by api.example.test" in lines["eager-yak-04b"]


def test_ps_finds_the_project_from_a_folder_below(project: Path) -> None:
    assert "swift-otter-3f2" in smithers(project / "deep" / "down", "ps").stdout


def test_ps_filters_by_stored_and_by_shown_status(project: Path) -> None:
    orphans = document(project, "ps", "-s", "orphaned")["runs"]
    assert [(run["run"], run["status"], run["shown"]) for run in orphans] == [
        ("warm-pike-2c0", "running", "orphaned")
    ]
    both = document(project, "ps", "-s", "failed", "-s", "finished")["runs"]
    assert [run["run"] for run in both] == ["eager-yak-04b", "bold-fox-1f3"]


def test_ps_limits_what_has_ended_and_keeps_what_has_not(project: Path) -> None:
    runs = document(project, "ps", "-n", "1")["runs"]
    assert [run["shown"] for run in runs] == ["running", "waiting", "orphaned", "paused"]
    assert len(document(project, "ps", "-a", "-n", "1")["runs"]) == 8
    assert smithers(project, "ps", "-n", "1").stderr == "more runs: smithers ps -a\n"


def test_ps_json_has_times_progress_owner_and_error(project: Path) -> None:
    runs = {run["run"]: run for run in document(project, "ps")["runs"]}
    failed = runs["eager-yak-04b"]
    assert failed["progress"] == {"settled": 1, "mounted": 6}
    assert failed["error"]["details"] == {"node": "draft"}
    assert failed["owner"] is None
    assert failed["created_at"] < failed["ended_at"]
    assert failed["ended_at"].endswith("Z")
    assert runs["swift-otter-3f2"]["owner"]["pid"] == os.getpid()
    assert runs["swift-otter-3f2"]["owner"]["health"] == "alive"
    assert runs["warm-pike-2c0"]["owner"]["health"] == "dead"


def test_an_empty_project_is_friendly_and_says_how_to_start(empty: Path) -> None:
    done = smithers(empty, "ps")
    assert (done.returncode, done.stdout) == (0, "No runs yet. Start one: smithers up FILE\n")
    assert document(empty, "ps") == {"status": "ok", "runs": []}
    assert [*empty.iterdir()] == [empty / ".git"]


# --- inspect ------------------------------------------------------------------------------------


def test_inspect_shows_the_tree_with_passes_states_and_attempts(project: Path) -> None:
    lines = smithers(project, "inspect", "swift").stdout.splitlines()
    table = [line.split("  claude")[0].rstrip() for line in lines[lines.index("") + 1 :]]
    assert [" ".join(line.split()[:3]) for line in table[1:]] == [
        "✓ plan finished",
        "↻ loop:draft pass",
        "✓ draft[0] finished",
        "◐ draft[1] running",
        "✓ review[0] finished",
        "○ review[1] pending",
        "┬ checks 0/2",
        "○ lint pending",
        "○ tests pending",
        "○ publish pending",
    ]
    assert table[4].startswith("◐   draft[1]")
    assert table[4].split()[3] == "2"
    assert "Status    running, 1 of 6 tasks settled" in lines


def test_inspect_shows_a_failures_first_line_place_and_hint(project: Path) -> None:
    done = smithers(project, "inspect", "eager", COLUMNS="120")
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("✗   draft[0]"))
    assert lines[at + 1 : at + 4] == [
        "[TASK_FAILED] connection refused by api.example.test:443 while the model answered",
        "place: flows/ship.py:12",
        "hint: see what happened with `smithers logs eager-yak-04b`; resume retries what failed",
    ]
    assert lines[-1] == "next: smithers up --resume eager-yak-04b"


def test_inspect_calls_a_task_of_a_dead_process_interrupted_and_not_running(project: Path) -> None:
    out = smithers(project, "inspect", "warm").stdout
    assert "◌   draft[0]   interrupted" in out
    assert "running" not in out


def test_inspect_json_has_the_documented_shape(project: Path) -> None:
    found = document(project, "inspect", "swift")
    assert {
        "run", "status", "workflow", "source", "input", "frames", "seq", "created_at", "started_at",
        "ended_at", "owner", "error", "output", "nodes", "loops", "frames_list",
    } <= found.keys()  # fmt: skip
    assert (found["run"], found["status"], found["input"]) == (
        "swift-otter-3f2",
        "running",
        {"goal": "ship it"},
    )
    nodes = {(node["node"], node["iteration"]): node for node in found["nodes"]}
    assert nodes["draft", 0]["output"] == {"summary": "draft is done"}
    draft = nodes["draft", 1]
    assert (draft["state"], draft["scope"], draft["generation"], draft["output"]) == ("running", "", 0, None)
    assert [(attempt["attempt"], attempt["state"], attempt["failure"]) for attempt in draft["attempts"]] == [
        (1, "failed", "crash"),
        (2, "running", None),
    ]
    assert draft["attempts"][0]["error"]["message"] == "the model went away"
    assert nodes["publish", 0]["state"] == "pending"
    [loop] = found["loops"]
    assert (loop["loop"], loop["pass"], loop["done"], loop["max_iterations"]) == ("loop:draft", 1, False, 5)
    assert [frame["frame"] for frame in found["frames_list"]] == [*range(1, found["frames"] + 1)]


# --- why ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "kinds", "commands"),
    [
        ("swift", ["running"], ["smithers logs swift-otter-3f2 -f"]),
        ("shy", ["retry-backoff"], ["smithers logs shy-seal-5e5 -f"]),
        ("warm", ["owner-dead", "interrupted"], ["smithers up --resume warm-pike-2c0"]),
        ("neat", ["paused"], ["smithers up --resume neat-crow-9d1"]),
        (
            "eager",
            ["failed"],
            ["smithers up --resume eager-yak-04b", "smithers why eager-yak-04b 'draft[0]'"],
        ),
        (
            "calm",
            ["tolerated", "skipped"],
            ["smithers inspect calm-newt-77b", "smithers up --resume calm-newt-77b"],
        ),
        ("red", ["cancelled"], ["smithers up --resume red-owl-0aa"]),
        ("bold", [], ["smithers output bold-fox-1f3"]),
    ],
)
def test_why_says_what_stands_in_the_way_and_what_to_type(
    project: Path, run: str, kinds: list[str], commands: list[str]
) -> None:
    found = document(project, "why", run)
    assert [blocker["kind"] for blocker in found["blockers"]] == kinds
    assert found["commands"] == commands
    assert found["summary"].startswith(run)


def test_why_of_a_node_says_what_it_comes_after_and_lists_its_attempts(project: Path) -> None:
    done = smithers(project, "why", "swift", "publish")
    assert done.stdout.splitlines()[0] == "publish waits: it comes after loop:draft (draft[1])."
    attempts = document(project, "why", "eager", "draft")["attempts"]
    assert [line[:45] for line in attempts] == [
        "attempt 1 with claude-code failed after 3s (c",
        "attempt 2 with claude-code failed after 3s (c",
    ]


def test_why_is_wrapped_to_the_terminal_and_loses_no_word(project: Path) -> None:
    wide = smithers(project, "why", "eager", COLUMNS="300").stdout
    narrow = smithers(project, "why", "eager", COLUMNS="60").stdout
    assert narrow.split() == wide.split()
    assert max(map(len, narrow.splitlines())) <= 60


# --- output -------------------------------------------------------------------------------------


def test_output_prints_the_stored_json_as_it_is(tmp_path: Path) -> None:
    body = '{"price":1.50, "big":12345678901234567890, "text":"\\u00e9 ünï"}'
    with teller(tmp_path / ".smithers" / "smithers.db") as here:
        run = Told(here, "r1", tree={"a": {}})
        run.finish("a", body, ago=1)
        run.end(RunState.FINISHED, output="a")
    for words in (["output", "r1"], ["output", "r1", "a"]):
        raw = subprocess.run(
            [SMITHERS, *words],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            env=environment(LC_ALL="C", PYTHONUTF8="0"),
        )
        assert (raw.returncode, raw.stdout) == (0, f"{body}\n".encode())
    done = smithers(tmp_path, "output", "r1", "--json")
    assert body in done.stdout
    assert json.loads(done.stdout)["status"] == "finished"


def test_output_takes_the_latest_pass_that_has_one_or_the_pass_that_is_named(project: Path) -> None:
    assert json.loads(smithers(project, "output", "swift", "review").stdout) == {"approved": False}
    assert document(project, "output", "swift", "draft", "--iteration", "0")["iteration"] == 0


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["swift"], "swift-otter-3f2 is running and has no output yet", "smithers why swift-otter-3f2"),
        (
            ["swift", "publish"],
            "publish has no output: it is pending",
            "smithers why swift-otter-3f2 publish",
        ),
        (["swift", "draft", "--iteration", "1"], "draft[1] has no output: it is running", "'draft[1]'"),
        (
            ["eager"],
            "eager-yak-04b is failed and has no output of its own",
            "smithers output eager-yak-04b NODE",
        ),
        (["swift", "loop:draft"], "loop:draft is a loop: only tasks have an output", "smithers inspect"),
        (["swift", "nope"], "no node 'nope' in swift-otter-3f2", "smithers inspect swift-otter-3f2"),
    ],
)
def test_output_that_is_not_there_is_refused_with_the_state_and_the_command_that_helps(
    project: Path, words: list[str], message: str, hint: str
) -> None:
    done = smithers(project, "output", *words)
    assert (done.returncode, done.stdout) == (4, "")
    head, tail = done.stderr.splitlines()
    assert message in head
    assert hint in tail


# --- logs ---------------------------------------------------------------------------------------


def test_logs_print_one_line_an_event(project: Path) -> None:
    lines = smithers(project, "logs", "swift").stdout.splitlines()
    assert lines[0] == "#1 +00:00.000 run-started"
    assert lines[1] == "#3 +00:07.000 node-started plan attempt 1"
    assert lines[4] == "#7 +00:50.000 node-finished draft[0] attempt 1"
    assert "node-retrying draft[1] attempt 1  [TASK_FAILED] the model went away" in lines[-2]


def test_logs_can_be_cut_by_number_and_by_count(project: Path) -> None:
    everything = smithers(project, "logs", "swift").stdout.splitlines()
    assert smithers(project, "logs", "swift", "-n", "2").stdout.splitlines() == everything[-2:]
    assert smithers(project, "logs", "swift", "-n", "0").stdout == ""
    assert smithers(project, "logs", "swift", "-n", "99").stdout.splitlines() == everything
    assert smithers(project, "logs", "swift", "--after", "7").stdout.splitlines() == everything[5:]


def test_logs_json_is_one_object_a_line(project: Path) -> None:
    done = smithers(project, "logs", "swift", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert events[1] | {"at": None} == {
        "run": "swift-otter-3f2", "seq": 3, "at": None, "event": "node-started", "node": "plan", "scope": "",
        "iteration": 0, "attempt": 1, "data": None,
    }  # fmt: skip


def test_following_an_ended_or_an_orphaned_run_ends_and_says_so(project: Path) -> None:
    done = smithers(project, "logs", "bold", "-f", "-n", "1")
    assert (done.returncode, done.stderr) == (0, "bold-fox-1f3 finished\n")
    done = smithers(project, "logs", "warm", "-f", "-n", "0")
    assert done.stderr.endswith("nobody drives it: smithers up --resume warm-pike-2c0\n")


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Told]]:
    """`logs -f` on a run that this process drives, and that run."""
    with teller(tmp_path / ".smithers" / "smithers.db") as here:
        run = Told(here, "r1", tree=LOOP_TREE, ago=5)
        with subprocess.Popen(
            [SMITHERS, "logs", "r1", "-f"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            yield process, run
            process.kill()


def test_following_shows_events_as_they_are_committed_and_ends_with_the_run(
    follower: tuple[subprocess.Popen[str], Told],
) -> None:
    process, run = follower
    assert process.stdout is not None
    assert process.stdout.readline().endswith("run-started\n")
    run.finish("plan", ago=0)
    assert "node-started plan" in process.stdout.readline()
    assert "node-finished plan" in process.stdout.readline()
    run.end(RunState.FINISHED, output="plan")
    out, err = process.communicate(timeout=10)
    assert out.endswith("run-finished\n")
    assert (process.returncode, err) == (0, "r1 finished\n")


def test_an_interrupted_follower_leaves_quietly_with_130(
    follower: tuple[subprocess.Popen[str], Told],
) -> None:
    process, _ = follower
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "")


def test_a_follower_whose_reader_has_left_leaves_quietly(
    follower: tuple[subprocess.Popen[str], Told],
) -> None:
    process, run = follower
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    run.finish("plan", ago=0)
    assert process.wait(timeout=10) == 141
    assert process.stderr.read() == ""


# --- Everywhere ---------------------------------------------------------------------------------


def test_an_unknown_run_is_refused_with_4_and_names_the_nearest(project: Path) -> None:
    for command in ("inspect", "why", "output", "logs"):
        done = smithers(project, command, "eager-yak-04c")
        assert done.returncode == 4
        assert "no run 'eager-yak-04c'; did you mean eager-yak-04b" in done.stderr


def test_an_ambiguous_run_is_refused_with_4_and_names_those_it_could_be(project: Path) -> None:
    done = smithers(project, "why", "s", "--json")
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "RUN_AMBIGUOUS"
    assert error["details"]["runs"] == ["swift-otter-3f2", "shy-seal-5e5"]


def test_last_is_the_newest_run(project: Path) -> None:
    assert document(project, "inspect", "@last")["run"] == "swift-otter-3f2"


def test_a_store_that_was_named_is_used_and_stands_in_the_next_commands(project: Path, empty: Path) -> None:
    store = str(project / ".smithers" / "smithers.db")
    found = json.loads(smithers(empty, "why", "neat", "--store", store, "--json").stdout)
    assert found["commands"] == [f"smithers up --resume neat-crow-9d1 --store {store}"]


def test_a_store_that_is_missing_or_none_at_all_is_an_error_with_1(empty: Path) -> None:
    done = smithers(empty, "ps", "--store", "missing.db")
    assert done.returncode == 1
    assert done.stderr.startswith("[STORE_NOT_FOUND]")
    (empty / "notes.txt").write_text("not a database, but longer than its header is" * 9)
    done = smithers(empty, "ps", "--store", "notes.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("[NOT_A_STORE]")


def test_every_screen_fits_eighty_columns(project: Path) -> None:
    runs = ("swift", "eager", "calm", "warm", "shy")
    commands = [[command, run] for command in ("inspect", "tree") for run in runs]
    for words in (["ps"], ["node", "eager", "draft"], *commands):
        lines = smithers(project, *words).stdout.splitlines()
        assert max(map(len, lines)) <= 80
    assert max(map(len, smithers(project, "--help").stdout.splitlines())) <= 80


def test_output_that_cannot_be_written_is_one_line_and_1(project: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [SMITHERS, "ps"],
            check=False,
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    assert (done.returncode, done.stderr) == (1, "cannot write the output: No space left on device\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["ps"],
        ["inspect", "swift"],
        ["why", "swift"],
        ["logs", "swift"],
        ["events", "swift", "-t", "node-started"],
        ["tree", "swift"],
        ["node", "swift", "plan"],
        ["output", "bold"],
    ],
)
def test_looking_never_imports_what_only_running_needs(project: Path, words: list[str]) -> None:
    program = (
        "import sys; from smithers.cli.run import run; code = run(sys.argv[1:]); "
        "heavy = {'pydantic', 'rich', 'asyncio', 'psutil', 'jinja2'} & set(sys.modules); "
        "print(*sorted(heavy), file=sys.stderr); "
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        check=False,
        cwd=project,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, "\n")


def test_looking_changes_nothing(project: Path) -> None:
    store = project / ".smithers" / "smithers.db"
    before = {path.name: path.read_bytes() for path in store.parent.iterdir() if path.suffix == ".db"}
    commands = (
        "ps",
        "inspect swift",
        "why swift",
        "logs swift",
        "events swift",
        "tree swift",
        "node swift plan",
    )
    for command in commands:
        assert smithers(project, *command.split()).returncode == 0
    assert smithers(project, "doctor").returncode == 1  # some of these runs were left behind
    assert {path.name: path.read_bytes() for path in store.parent.iterdir() if path.suffix == ".db"} == before


@pytest.fixture
def begun(empty: Path) -> Path:
    """A project whose store's maker died before anything was in it."""
    (empty / ".smithers").mkdir()
    (empty / ".smithers" / "smithers.db").touch()
    return empty


@pytest.mark.parametrize("words", [("ps",), ("inspect", "x"), ("why", "x"), ("logs", "x"), ("output", "x")])
def test_a_store_whose_maker_died_at_once_is_a_project_without_runs(
    begun: Path, words: tuple[str, ...]
) -> None:
    done = smithers(begun, *words)
    assert "runs yet" in done.stdout + done.stderr
    assert done.returncode == (0 if words == ("ps",) else 4)


def test_a_run_begins_in_a_store_whose_maker_died_at_once(begun: Path) -> None:
    (begun / "flow.py").write_text(
        "from smithers import Task, workflow\n"
        "@workflow\n"
        "def flow(ctx):\n"
        "    return Task('a', str, value='x')\n"
    )
    assert smithers(begun, "up", "flow.py", "-r", "r1").returncode == 0
