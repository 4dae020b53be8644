"""Supervisors and hosts killed at random: every run ends, and nothing that has finished is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from smithers.records import EventType, RunState
from tests.acceptance.process import Project
from tests.acceptance.test_supervise import hosts

RUNS = 40
TASKS = 6
FLOW = f"""
def does(name):
    def run():
        time.sleep(0.3)
        note(current().run_id + ":" + name)
        return Text(text=name)
    return Task(name, Text, run=run)

@workflow
def flow(ctx):
    return Sequence(does(f"t{{n}}") for n in range({TASKS}))
"""
BEGIN = """
import sys
import flow
from pathlib import Path
from smithers.engine.hosts import host_for
host = host_for(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    flow.flow.start(host, run_id=f"r{n}")
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
SUPERVISORS = 2
LONGEST_S = 300.0


def finished_events(project: Project) -> Counter[tuple[int, int]]:
    """How often each task of each run was stored as finished."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(project.store, timeout=10)) as connection:
        sql = "SELECT run, node FROM smithers_events WHERE type = ?"
        return Counter(connection.execute(sql, (int(EventType.NODE_FINISHED),)).fetchall())


@pytest.mark.timeout(600)
def test_runs_go_on_whoever_is_killed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    seed = int(pytestconfig.getoption("--first-seed"))
    kills = 12 if pytestconfig.getoption("--quick") else 30
    print(f"\nseed {seed}")
    random = Random(seed)
    project = Project(tmp_path)
    project.write(FLOW)
    words = [sys.executable, "-c", BEGIN, str(project.store), str(RUNS)]
    subprocess.run(words, cwd=project.folder, check=False, timeout=60)
    supervisors = [project.start("supervise") for _ in range(SUPERVISORS)]
    most, done = 0, 0
    until = time.monotonic() + LONGEST_S
    try:
        while time.monotonic() < until:
            time.sleep(random.uniform(0.2, 1.5))
            found = hosts(project)
            most = max(most, len(found))
            if done < kills:
                done += 1
                if found and random.random() < 0.5:
                    with suppress(ProcessLookupError):
                        os.kill(random.choice(found), signal.SIGKILL)
                else:
                    number = random.randrange(SUPERVISORS)
                    supervisors[number].kill()
                    supervisors[number].wait()
                    supervisors[number] = project.start("supervise")
            elif all(run.state.has_ended for run in project.runs()):
                break
        states = Counter(run.state for run in project.runs())
        again = {key: count for key, count in finished_events(project).items() if count > 1}
        print(f"{done} kills, at most {most} hosts, {dict(states)}")
        assert again == {}
        assert most <= 2
        # A task that was cut off three times in a row has failed, and says so: that is no loss of a run.
        assert set(states) <= {RunState.FINISHED, RunState.FAILED}
        assert sum(states.values()) == RUNS
    finally:
        project.close()
        for pid in hosts(project):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
