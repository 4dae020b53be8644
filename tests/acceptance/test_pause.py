"""`pause`: whoever drives the run, and whatever it does."""

from __future__ import annotations

import json
import signal
import subprocess

from smithers.records import RunState
from tests.acceptance.process import STEPS, Project, wait_until

RETRIES = """
def fetch():
    note("fetch")
    if (HERE / "up").exists():
        return Text(text="fetched")
    raise ConnectionError("refused")

@workflow
def flow(ctx):
    return Task("fetch", Text, run=fetch, retry_policy=RetryPolicy(initial_delay="1h", max_delay="1h"))
"""


def state(project: Project) -> RunState:
    (run,) = project.runs()
    return run.state


def events(project: Project) -> list[str]:
    out = project.run("logs", "r1", "--json").stdout
    return [json.loads(line)["event"] for line in out.splitlines()]


def kill(process: subprocess.Popen[str]) -> None:
    """End an owner as a crash does."""
    process.kill()
    process.wait()


def test_what_runs_ends_by_itself_is_kept_and_nothing_new_starts(project: Project) -> None:
    owner = project.reach_build(
        STEPS.replace("@workflow", "def last():\n    note('last')\n\n@workflow").replace(
            "run=build, depends_on=first))", "run=build, depends_on=first), Task('last', Text, run=last))"
        )
    )
    pause = project.start("pause", "r1", "--wait", "60s")
    wait_until(lambda: "pause-requested" in events(project), "the owner to hear it")
    project.touch("go")
    out, err = pause.communicate(timeout=30)
    assert (pause.returncode, out) == (0, f"r1 was paused by its owner, process {owner.pid}\n")
    assert err == "  resume:  smithers up --resume r1\n"
    _, told = owner.communicate(timeout=20)
    assert owner.returncode == 3
    assert "paused r1: " in told
    assert project.executed() == ["plan", "build"]
    assert project.states("r1") == {"plan": "finished", "build": "finished", "last": "pending"}


def test_a_pause_in_the_instant_the_run_ends_finds_it_finished(project: Project) -> None:
    owner = project.reach_build()
    pause = project.start("pause", "r1", "--wait", "60s")
    wait_until(lambda: "pause-requested" in events(project), "the owner to hear it")
    project.touch("go")
    out, _ = pause.communicate(timeout=30)
    # Its last task was the one that ran: there is nothing left to come back for.
    assert (pause.returncode, out) == (0, "r1 is finished: it ended before it could be paused\n")
    assert owner.wait(timeout=20) == 0
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["plan", "build"]


def test_a_task_that_never_ends_is_named_and_how_to_cut_it_off(project: Project) -> None:
    owner = project.reach_build()
    done = project.run("pause", "r1", "--wait", "0.3s")
    assert done.returncode == 1
    assert done.stdout.startswith("r1 is draining: nothing new starts, build (")
    assert "cut off: smithers pause r1 --now" in done.stderr
    found = project.document("pause", "r1", "--wait", "0.3s")
    assert (found["status"], found["did"], found["running"]) == ("running", "draining", ["build"])
    # The second one cuts it off.
    done = project.run("pause", "r1", "--now")
    assert (done.returncode, done.stdout) == (0, f"r1 was paused by its owner, process {owner.pid}\n")
    assert owner.wait(timeout=20) == 3
    assert project.states("r1") == {"plan": "finished", "build": "pending"}
    project.touch("go")
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["plan", "build", "build"]
    attempts = [a for node in project.document("inspect", "r1")["nodes"] for a in node["attempts"]]
    assert [a["state"] for a in attempts] == ["finished", "cancelled", "finished"]
    assert not any(a["counted"] for a in attempts if a["state"] == "cancelled")


def test_whoever_looks_meanwhile_is_told_that_it_is_being_paused_and_by_whom(project: Project) -> None:
    owner = project.reach_build()
    project.run("pause", "r1", "--wait", "0s")
    assert "pausing: build " in project.run("ps").stdout
    why = project.document("why", "r1")
    assert why["blockers"][0]["kind"] == "asked"
    assert "asked to pause it: nothing new starts" in why["blockers"][0]["text"]
    assert why["commands"][0] == "smithers pause r1 --now"
    kill(owner)
    why = project.document("why", "r1")
    assert why["blockers"][0]["text"].endswith("its owner died over that: a resume pauses it first")
    assert owner.stderr is not None
    assert "asked to pause it: nothing new starts, what runs ends by itself" in owner.stderr.read()


def test_a_cancel_overtakes_a_pause_that_drains(project: Project) -> None:
    owner = project.reach_build()
    project.run("pause", "r1", "--wait", "0s")
    assert project.run("cancel", "r1").stdout == f"r1 was cancelled by its owner, process {owner.pid}\n"
    assert owner.wait(timeout=20) == 2
    assert state(project) is RunState.CANCELLED


def test_a_run_in_back_off_is_paused_at_once_and_waits_on_when_it_goes_on(project: Project) -> None:
    project.write(RETRIES)
    owner = project.start("up", "flow.py", "-r", "r1", "--linger", "2h")
    wait_until(lambda: bool(project.runs()) and project.states("r1") == {"fetch": "waiting"}, "the back-off")
    assert project.run("pause", "r1").returncode == 0
    assert owner.wait(timeout=20) == 3
    (before,) = project.document("inspect", "r1")["nodes"]
    again = project.start("up", "--resume", "r1", "--linger", "2h")
    wait_until(lambda: state(project) is RunState.RUNNING, "the resume")
    (after,) = project.document("inspect", "r1")["nodes"]
    assert (after["state"], after["due_at"]) == ("waiting", before["due_at"])
    assert project.executed() == ["fetch"]
    again.kill()


def test_a_run_whose_owner_has_died_is_paused_by_the_command_itself(project: Project) -> None:
    project.die_in_build()
    done = project.run("pause", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is paused (its owner was dead)\n")
    assert (state(project), project.runs()[0].owner) == (RunState.PAUSED, None)
    project.touch("go")
    done = project.run("up", "--resume", "r1")
    assert (done.returncode, done.stdout) == (0, '{"text": "built"}\n')
    assert project.executed() == ["plan", "build", "build"]


def test_an_owner_that_dies_while_it_drains_leaves_a_paused_run(project: Project) -> None:
    owner = project.reach_build()
    pause = project.start("pause", "r1", "--wait", "60s")
    wait_until(lambda: "pause-requested" in events(project), "the owner to hear it")
    kill(owner)
    out, _ = pause.communicate(timeout=30)
    assert (pause.returncode, out) == (0, "r1 is paused (its owner was dead)\n")
    project.touch("go")
    assert project.run("up", "--resume", "r1").returncode == 0


def test_a_pause_that_its_owner_died_over_is_honoured_by_the_next_one(project: Project) -> None:
    owner = project.reach_build()
    project.run("pause", "r1", "--wait", "0s")
    kill(owner)
    project.touch("go")
    done = project.run("up", "--resume", "r1")
    assert done.returncode == 3
    assert "asked for it" in done.stderr
    assert project.executed() == ["plan", "build"]
    # Asked for once, it is done once.
    assert project.run("up", "--resume", "r1").returncode == 0
    assert project.executed() == ["plan", "build", "build"]


def test_pausing_twice_is_no_error_and_changes_nothing(project: Project) -> None:
    project.die_in_build()
    project.run("pause", "r1")
    seq = project.runs()[0].seq
    done = project.run("pause", "r1")
    assert (done.returncode, done.stdout) == (0, "r1 is paused already; nothing was changed\n")
    assert project.runs()[0].seq == seq


def test_a_run_that_has_ended_is_not_paused(project: Project) -> None:
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py", "-r", "r1")
    found = project.document("pause", "r1")
    assert (found["status"], found["did"]) == ("finished", "already")
    assert project.run("cancel", "r1").stdout == "r1 is finished already; nothing was changed\n"


def test_a_parked_run_is_paused(project: Project) -> None:
    project.write(RETRIES)
    project.run("up", "flow.py", "-r", "r1", "--linger", "0s")
    assert state(project) is RunState.WAITING
    assert project.run("pause", "r1").stdout == "r1 is paused\n"


def test_an_unknown_run_is_refused(project: Project) -> None:
    for words in (["pause", "nothing"], ["pause", "nothing", "--wait", "soon"]):
        done = project.run(*words)
        assert (done.returncode, done.stdout) == (4, "")


def test_runs_of_stopped_owners_are_taken_over_when_their_leases_end(project: Project) -> None:
    project.write(STEPS)
    owners = {run: project.start("up", "flow.py", "-r", run) for run in ("r1", "r2", "r3")}
    wait_until(lambda: project.executed().count("build") == 3, "three runs to build")
    for owner in owners.values():
        owner.send_signal(signal.SIGSTOP)
    pause, cancel = project.start("pause", "r1"), project.start("cancel", "r2")
    told = {"r1": pause.communicate(timeout=40), "r2": cancel.communicate(timeout=40)}
    down = project.run("down", "--json")
    (last,) = json.loads(down.stdout)["runs"]
    for run, word in (("r1", "paused"), ("r2", "cancelled")):
        out, err = told[run]
        pid = owners[run].pid
        assert out == f"{run} is {word}: taken over from process {pid}, which is stopped or silent\n"
        assert f"{run}: its owner, process {pid}, is stopped (SIGSTOP); its lease ends in " in err
    assert (last["run"], last["status"], last["did"]) == ("r3", "paused", "taken-over")
    project.touch("go")
    seqs = {run.name: run.seq for run in project.runs()}
    for owner in owners.values():
        owner.send_signal(signal.SIGCONT)
        owner.wait(timeout=30)
    # Woken after the takeover, they write nothing.
    assert {run.name: run.seq for run in project.runs()} == seqs
