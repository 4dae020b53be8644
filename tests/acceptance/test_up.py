"""`up` as a user runs it: start, watch, stop, resume."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import suppress

import pytest

from tests.acceptance.process import SMITHERS, STEPS, Project, environment, wait_until


def ended(process: subprocess.Popen[str], within_s: float = 30) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that has to end."""
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


# --- Output ---------------------------------------------------------------------------------------


def test_the_output_alone_is_on_stdout_and_progress_on_stderr(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    done = project.run("up", "flow.py", "-r", "r1")
    assert (done.returncode, done.stdout) == (0, '{"text": "built"}\n')
    lines = done.stderr.splitlines()
    assert [re.sub(r"^[\d:]{8} | [\d.]+ s$", "", line) for line in lines] == [
        "◐ plan", "✓ plan", "◐ build", "✓ build", "finished r1",
    ]  # fmt: skip


def test_json_has_status_run_output_and_error(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    assert project.document("up", "flow.py", "-r", "r1") == {
        "status": "finished", "run": "r1", "output": {"text": "built"}, "error": None, "cost": None,
    }  # fmt: skip


def test_a_failed_run_says_what_failed_where_and_what_to_type(project: Project) -> None:
    project.write("""
        def fail():
            raise ValueError("no such thing")  # raised

        @workflow
        def flow(ctx):
            return Task("build", Text, run=fail, retries=0)  # task
    """)
    done = project.run("up", "flow.py", "-r", "r1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "✗ build failed: no such thing" in done.stderr
    assert "[TASK_FAILED] build failed: no such thing" in done.stderr
    assert f"flow.py:{project.line('# task')}" in done.stderr
    assert "resume: smithers up flow.py --run-id r1 --resume" in done.stderr
    found = project.document("up", "flow.py", "-r", "r2")
    assert (found["status"], found["error"]["code"], found["output"]) == ("failed", "TASK_FAILED", None)


def test_retries_skips_and_passes_are_told(project: Project) -> None:
    project.write("""
        def flaky():
            note("try")
            if len((HERE / "executed").read_text().split()) < 2:
                raise ConnectionError("refused")
            return Text()

        @workflow
        def flow(ctx):
            return Loop(
                Task("fetch", Text, run=flaky, retry_policy=RetryPolicy(retries=3, initial_delay=0.2)),
                Task("extra", Text, value=Text(), skip_if=True),
                until=lambda: ctx.iteration_count("fetch") == 2,
                max_iterations=4,
            )
    """)
    done = project.run("up", "flow.py")
    said = re.sub(r"^[\d:]{8} ", "", done.stderr, flags=re.MULTILINE)
    assert done.returncode == 0
    assert "◷ fetch[0] attempt 1 failed, next in 0.2 s: refused\n◐ fetch[0] attempt 2\n" in said
    assert "» extra[0] skipped: skip_if\n↻ loop:fetch pass 1 of 4 ended\n◐ fetch[1]\n" in said
    assert "↻ loop:fetch done after pass 2 of 4" in said


def test_what_tasks_print_does_not_mix_with_the_result(project: Project) -> None:
    noise = 'note("build"); print("by a task"); os.system("echo by a child")'
    project.write(STEPS.replace('note("build")', noise))
    project.touch("go")
    done = project.run("up", "flow.py", "--json")
    assert json.loads(done.stdout)["status"] == "finished"
    assert "by a task" in done.stderr
    assert "by a child" in done.stderr


def test_up_survives_a_closed_stdout_and_a_reader_that_leaves(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    script = f'"{SMITHERS}" up flow.py -r r1 >&-; echo $?; "{SMITHERS}" up flow.py -r r2 2>&1 >/dev/null | :'
    done = subprocess.run(
        ["/bin/sh", "-c", script], check=False, cwd=project.folder, capture_output=True, text=True,
        timeout=60, env=environment(),
    )  # fmt: skip
    assert done.stdout == "0\n"
    assert "Traceback" not in done.stderr
    assert {run.name: run.state.word for run in project.runs()} == {"r1": "finished", "r2": "finished"}


def test_a_reader_of_stdout_that_leaves_does_not_undo_the_run(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("long", Text, run=lambda: Text(text="x" * 500_000))
    """)
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{SMITHERS}" up flow.py -r r1 | head -c 10'], check=False, cwd=project.folder,
        capture_output=True, text=True, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.stdout == '{"text": "'
    assert "Traceback" not in done.stderr
    assert project.runs()[0].state.word == "finished"


def test_a_rehearsal_needs_no_agent(project: Project) -> None:
    project.write("""
        def agent(prompt):
            raise RuntimeError("was called")

        class Report(BaseModel):
            title: str
            score: int

        @workflow
        def flow(ctx):
            return Task("report", Report, agent=agent, prompt="Report.", retries=0)
    """)
    found = project.document("up", "flow.py", "--rehearse")
    assert found["status"] == "finished"
    assert found["output"].keys() == {"title", "score"}


def test_max_concurrency_limits_what_runs_at_once(project: Project) -> None:
    project.write("""
        lock, running, most = threading.Lock(), 0, 0

        def work():
            global running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return Text(text=str(most))

        @workflow
        def flow(ctx):
            return Parallel(Task(f"w{i}", Text, run=work) for i in range(12))
    """)
    for limit in ("1", "3"):
        assert project.document("up", "flow.py", "-c", limit)["output"] == {"text": limit}


# --- Resume ---------------------------------------------------------------------------------------


def test_a_killed_run_is_resumed_at_once_and_does_nothing_twice(project: Project) -> None:
    project.die_in_build()
    project.touch("go")
    began = time.monotonic()
    done = project.run("up", "flow.py", "-r", "r1", "--resume", "true")
    assert (done.returncode, done.stdout) == (0, '{"text": "built"}\n')
    assert time.monotonic() - began < 10
    assert "build attempt 1 was cut off" in done.stderr
    assert project.executed() == ["plan", "build", "build"]
    nodes = {node["node"]: node for node in project.document("inspect", "r1")["nodes"]}
    assert [len(nodes[name]["attempts"]) for name in ("plan", "build")] == [1, 2]


@pytest.mark.parametrize(
    "words",
    [
        ["flow.py", "--resume"],
        ["flow.py", "--resume", "true"],
        ["flow.py", "--resume", "r1"],
        ["flow.py", "--resume", "r"],
        ["flow.py", "-r", "r1", "--resume"],
        ["--resume", "r1"],
        ["--resume", "@last"],
    ],
)
def test_every_way_to_say_resume_means_the_same_run(project: Project, words: list[str]) -> None:
    project.die_in_build()
    project.touch("go")
    assert project.document("up", *words)["run"] == "r1"
    assert [(run.name, run.state.word) for run in project.runs()] == [("r1", "finished")]


def test_resume_false_starts_a_run(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    assert project.document("up", "flow.py", "-r", "r1", "--resume", "false")["run"] == "r1"
    assert project.document("up", "flow.py", "-r", "r2", "--resume", "false")["run"] == "r2"


def test_resume_of_a_finished_run_says_so_runs_nothing_and_prints_its_output(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py", "-r", "r1")
    (project.folder / "flow.py").write_text("raise SystemExit('imported')")
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert (done.returncode, done.stdout) == (0, '{"text": "built"}\n')
    assert "r1 is finished already; nothing was run" in done.stderr
    assert project.document("up", "--resume", "r1")["status"] == "finished"
    assert project.executed() == ["plan", "build"]


def test_a_run_that_somebody_drives_is_not_taken_and_its_owner_is_named(project: Project) -> None:
    process = project.reach_build()
    began = time.monotonic()
    done = project.run("up", "flow.py", "-r", "r1", "--resume")
    assert time.monotonic() - began < 5
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("[RUN_OWNED]")
    assert str(process.pid) in done.stderr
    project.touch("go")
    assert ended(process)[0] == 0


def test_a_failed_run_is_tried_again_by_a_resume_when_the_file_was_fixed(project: Project) -> None:
    project.write(STEPS.replace('wait_for("go")', 'raise ValueError("no")'))
    assert project.run("up", "flow.py", "-r", "r1").returncode == 1
    project.write(STEPS)
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1").stdout == '{"text": "built"}\n'
    assert project.executed().count("plan") == 1


def test_a_broken_file_does_not_keep_a_run_claimed(project: Project) -> None:
    project.die_in_build()
    project.write("raise ValueError('broken')\n")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 4
    project.write(STEPS)
    project.touch("go")
    assert project.run("up", "flow.py", "--resume", "r1").returncode == 0


# --- In the background ----------------------------------------------------------------------------


def test_detached_proves_that_it_runs_and_names_pid_and_log(project: Project) -> None:
    project.write(STEPS)
    found = project.document("up", "flow.py", "-d", "-r", "r1")
    try:
        assert (found["status"], found["run"]) == ("running", "r1")
        (run,) = project.runs()
        assert run.owner is not None
        assert run.owner.pid == found["pid"]
    finally:
        project.touch("go")
    wait_until(lambda: project.runs()[0].state.word == "finished", "the background run")
    log = project.folder / found["log"]
    wait_until(lambda: "finished r1" in log.read_text(), "the log's end")
    assert "✓ plan" in log.read_text()


@pytest.mark.parametrize("words", [("-dr", "r1"), ("-d", "-rr1"), ("--detach", "--run-id=r1")])
def test_detached_is_started_once_however_its_options_are_written(
    project: Project, words: tuple[str, ...]
) -> None:
    project.write(STEPS)
    project.touch("go")
    assert project.document("up", "flow.py", *words)["run"] == "r1"
    wait_until(lambda: project.runs()[0].state.word == "finished", "the background run")
    assert len(project.runs()) == 1


def test_detached_takes_its_input_from_standard_input_too(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("greet", Text, value={"text": f"Hello, {ctx.input.name}"})
    """)
    project.run("up", "flow.py", "-d", "-r", "r1", "-i", "-", given='{"name": "world"}')
    wait_until(lambda: project.runs()[0].state.word == "finished", "the background run")
    assert "Hello, world" in project.run("output", "r1").stdout


def test_detached_that_dies_early_shows_the_end_of_its_log_and_leaves_with_its_code(project: Project) -> None:
    project.write(
        "for n in range(50):\n    print('line', n, file=sys.stderr)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = project.run("up", "flow.py", "-d", "-r", "r1")
    assert (done.returncode, done.stdout) == (137, "")
    assert done.stderr.startswith("… 30 lines more in .smithers/logs/r1.log\nline 30\n")
    assert done.stderr.endswith("line 49\n")
    assert project.runs() == []


def test_detached_that_is_refused_says_so_in_json_too(project: Project) -> None:
    project.write("raise RuntimeError('broken')")
    done = project.run("up", "flow.py", "-d", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (4, "error")
    assert found["error"]["code"] == "WORKFLOW_LOAD_FAILED"


def test_detached_has_begun_however_short_it_was(project: Project) -> None:
    project.write("""
        def work():
            raise ValueError("broken")

        @workflow
        def flow(ctx):
            return Task("work", Text, run=work, retries=0)
    """)
    done = project.run("up", "flow.py", "-d", "-r", "r1")
    assert done.returncode == 0
    assert done.stdout.startswith(("r1 ran in the background as process ", "r1 runs in the background as "))
    wait_until(lambda: project.runs()[0].state.word == "failed", "the background run")
    # Refused is refused, also where the run of that name moves on by somebody else.
    assert project.run("up", "flow.py", "-d", "-r", "r1").returncode == 4


def test_detached_names_the_store_that_was_named_in_what_to_type_next(project: Project) -> None:
    project.write(STEPS)
    store = str(project.folder / "other.db")
    done = project.run("up", "flow.py", "-d", "-r", "r1", "--store", store)
    assert f"smithers logs r1 -f --store {store}" in done.stdout
    project.run("cancel", "r1", "--store", store)


def test_detached_says_how_to_follow_and_how_to_end_it(project: Project) -> None:
    project.write(STEPS)
    done = project.run("up", "flow.py", "-d", "-r", "r1")
    assert done.returncode == 0
    assert done.stdout.startswith("r1 runs in the background as process ")
    assert "smithers logs r1 -f" in done.stdout
    assert project.run("cancel", "r1").returncode == 0
    assert project.runs()[0].state.word == "cancelled"


# --- Signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_a_paused_run_that_resumes(
    project: Project, number: signal.Signals, code: int
) -> None:
    process = project.reach_build()
    process.send_signal(number)
    returned, out, err = ended(process)
    assert (returned, out) == (code, "")
    assert "paused r1" in err
    assert "resume: smithers up flow.py --run-id r1 --resume" in err
    (run,) = project.runs()
    assert (run.state.word, run.owner) == ("paused", None)
    project.touch("go")
    assert project.run("up", "flow.py", "--resume").stdout == '{"text": "built"}\n'
    assert project.executed() == ["plan", "build", "build"]


def test_an_interrupt_in_the_first_moment_of_a_run_leaves_it_paused_too(project: Project) -> None:
    project.write("""
        def work():
            os.kill(os.getpid(), signal.SIGINT)
            wait_for("go")
            return Text(text="done")

        @workflow
        def flow(ctx):
            return Task("work", Text, run=work)
    """)
    done = project.run("up", "flow.py", "-r", "r1", "--json")
    assert done.returncode == 130
    assert json.loads(done.stdout)["status"] == "paused"
    assert project.runs()[0].state.word == "paused"


def test_an_interrupted_attempt_does_not_count_as_a_failure(project: Project) -> None:
    process = project.reach_build(STEPS.replace("run=build,", "run=build, retries=0,"))
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    project.touch("go")
    assert project.run("up", "flow.py", "--resume").returncode == 0


@pytest.mark.parametrize(
    "body",
    [
        "    while True:\n        time.sleep(0.1)",
        "    with open(os.pipe()[0]) as never:\n        never.read()",
    ],
)
def test_an_interrupt_does_not_wait_for_a_thread_that_hangs(project: Project, body: str) -> None:
    project.write(f"""
def hang():
    note("hang")
{body}

@workflow
def flow(ctx):
    return Task("hang", Text, run=hang)
""")
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("hang")
    process.send_signal(signal.SIGINT)
    assert ended(process, 5)[0] == 130
    assert project.runs()[0].state.word == "paused"


IGNORES = """
async def stubborn():
    note("stubborn")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            note("asked")

@workflow
def flow(ctx):
    return Task("stubborn", Text, run=stubborn)
"""


def test_a_second_signal_leaves_at_once_although_a_task_ignores_the_first(project: Project) -> None:
    project.write(IGNORES)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("stubborn")
    process.send_signal(signal.SIGINT)
    project.await_executed("asked")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert ended(process, 5)[0] == 130
    assert time.monotonic() - began < 2


def test_a_task_that_ignores_being_cancelled_is_given_up_after_a_while(project: Project) -> None:
    project.write(IGNORES)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("stubborn")
    process.send_signal(signal.SIGTERM)
    assert ended(process, 20)[0] == 143
    assert project.runs()[0].state.word == "paused"


# --- Tasks that do not end ------------------------------------------------------------------------


def test_up_leaves_although_a_thread_hangs(project: Project) -> None:
    project.write("""
        def hang():
            while True:
                time.sleep(0.1)

        @workflow
        def flow(ctx):
            return Sequence(
                Task("hang", Text, run=hang, timeout=0.3, retries=0, continue_on_fail=True),
                Task("after", Text, value=Text(text="after")),
            )
    """)
    began = time.monotonic()
    done = project.run("up", "flow.py", "-r", "r1")
    assert (done.returncode, done.stdout) == (5, '{"text": "after"}\n')
    assert time.monotonic() - began < 10
    assert "hang took longer than 300 ms" in done.stderr
    assert project.states("r1") == {"hang": "failed", "after": "finished"}


@pytest.mark.parametrize("word", ["def", "async def"])
def test_a_timeout_holds_for_functions_of_both_kinds(project: Project, word: str) -> None:
    nap = "await asyncio.sleep(60)" if word == "async def" else "time.sleep(60)"
    project.write(f"""
        {word} slow():
            {nap}
            return Text()

        @workflow
        def flow(ctx):
            return Task("slow", Text, run=slow, timeout="200ms", retries=0)
    """)
    began = time.monotonic()
    done = project.run("up", "flow.py", "-r", "r1")
    assert done.returncode == 1
    assert time.monotonic() - began < 10
    assert "slow took longer than 200 ms" in done.stderr
    (node,) = project.document("inspect", "r1")["nodes"]
    assert node["error"]["code"] == "TASK_TIMEOUT"


def test_a_coroutine_that_blocks_the_loop_is_named_and_holds_no_other_task_back(project: Project) -> None:
    project.write("""
        async def blocks():
            note("blocks")
            wait_for("go")  # without an await
            return Text()

        async def polite(name):
            await asyncio.sleep(0.01)
            note(name)
            return Text()

        def one():
            time.sleep(1.6)  # long enough for the blocked loop to be noticed
            return Text()

        @workflow
        def flow(ctx):
            return Parallel(
                Task("blocks", Text, run=blocks),
                Sequence(Task("one", Text, run=one), Task("two", Text, run=lambda: polite("two"))),
                Sequence(Task("third", Text, run=one), Task("four", Text, run=polite_four)),
            )

        async def polite_four():
            return await polite("four")
    """)
    process = project.start("up", "flow.py", "-r", "r1")
    project.await_executed("two")
    project.await_executed("four")
    project.touch("go")
    code, _, err = ended(process)
    assert code == 0
    assert "blocks" in err
    line = project.line('Task("blocks"')
    assert f"flow.py:{line}" in err
    assert "into a task with a plain `def`" in err


# --- On a terminal --------------------------------------------------------------------------------


class Screen:
    """`up` on a terminal of its own."""

    def __init__(self, project: Project, *words: str, columns: int = 80, **more: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Whoever wants to see it outlive its terminal must let it survive the hang-up.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.chdir(project.folder)
            settings = {"TERM": "xterm", **more}
            os.execve(SMITHERS, [str(SMITHERS), *words], environment(**settings))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.text = ""

    def read_until(self, text: str) -> None:
        until = time.monotonic() + 30
        while text not in self.text:
            if time.monotonic() > until:
                pytest.fail(f"the screen never showed {text!r}: {self.text[-2000:]!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")

    def end(self) -> int:
        """Exit code, once it has left."""
        with suppress(OSError):  # the terminal's other end is closed
            while data := os.read(self.fd, 65536):
                self.text += data.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)


def test_a_terminal_shows_a_tree_and_what_tasks_print_stands_above_it(project: Project) -> None:
    project.write(
        STEPS.replace(
            'note("build")', 'note("build"); print("printed by a task"); os.system("echo by a child")'
        )
    )
    screen = Screen(project, "up", "flow.py", "-r", "r1")
    screen.read_until("by a child")
    screen.read_until("1/2 settled · 1 running")
    project.touch("go")
    assert screen.end() == 0
    assert "✓ build  finished" in screen.plain
    last = screen.plain[screen.plain.rindex("✓ plan") :]
    assert "printed by a task" not in last
    assert re.search(r"2/2 settled · 00:\d\d\r\nfinished r1\r\n\{\r\n  \"text\": \"built\"", last)


def test_the_cursor_is_never_hidden_and_an_interrupt_leaves_the_tree_behind(project: Project) -> None:
    project.write(STEPS)
    screen = Screen(project, "up", "flow.py", "-r", "r1")
    project.await_executed("build")
    screen.read_until("1 running")
    os.write(screen.fd, b"\x03")
    assert screen.end() == 130
    assert "\x1b[?25l" not in screen.text
    assert re.search(r"○ build +pending +interrupted\r\n1/2 settled · 00:\d\d\r\npaused r1", screen.plain)


def test_a_second_interrupt_on_a_terminal_leaves_at_once(project: Project) -> None:
    project.write(IGNORES)
    screen = Screen(project, "up", "flow.py", "-r", "r1")
    project.await_executed("stubborn")
    os.write(screen.fd, b"\x03")
    project.await_executed("asked")
    screen.read_until("once more leaves at once")
    os.write(screen.fd, b"\x03")
    assert screen.end() == 130


def test_no_colour_is_drawn_where_none_is_wanted(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    screen = Screen(project, "up", "flow.py", NO_COLOR="1")
    assert screen.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.text)


def test_a_dumb_terminal_gets_plain_lines(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    screen = Screen(project, "up", "flow.py", TERM="dumb")
    assert screen.end() == 0
    assert "◐ plan\r\n" in screen.plain
    assert "\x1b[1A" not in screen.text


def test_a_terminal_that_goes_away_does_not_end_the_run(project: Project) -> None:
    project.write(STEPS)
    screen = Screen(project, "up", "flow.py", "-r", "r1")
    project.await_executed("build")
    screen.read_until("1 running")
    os.close(screen.fd)
    time.sleep(0.5)  # some redraws of a terminal that is not there
    project.touch("go")
    os.waitpid(screen.pid, 0)
    assert project.runs()[0].state.word == "finished"


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal_is_not_overrun(project: Project, columns: int) -> None:
    project.write(STEPS)
    project.touch("go")
    screen = Screen(project, "up", "flow.py", "-r", "r1", columns=columns)
    assert screen.end() == 0
    tree = screen.plain[: screen.plain.index("finished r1")]
    assert max(map(len, re.split(r"[\r\n]+", tree))) <= columns


def test_a_resume_on_a_terminal_shows_what_was_finished_before(project: Project) -> None:
    project.die_in_build()
    screen = Screen(project, "up", "--resume", "r1")
    screen.read_until("1/2 settled · 1 running")
    assert "✓ plan   finished" in screen.plain
    assert "attempt 2" in screen.plain
    project.touch("go")
    assert screen.end() == 0
