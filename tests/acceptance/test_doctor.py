"""`doctor`: what is wrong, and what to do."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.process import STEPS, Project


def findings(project: Project) -> dict[str, dict[str, Any]]:
    """The last finding of each check, wrong ones before others."""
    found = project.document("doctor")["findings"]
    return {one["check"]: one for one in sorted(found, key=lambda one: one["level"])}


@pytest.fixture
def ended(project: Project) -> Project:
    project.write(STEPS)
    project.touch("go")
    project.run("up", "flow.py", "-r", "r1")
    return project


def test_a_well_store_is_told_check_by_check(ended: Project) -> None:
    done = ended.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["✓"] * 7
    found = ended.document("doctor")
    assert found["status"] == "ok"
    store = found["store"]
    assert store["path"] == str(ended.store)
    assert (store["mode"], store["writable"], store["damage"], store["owners"]) == ("0600", True, [], [])
    assert store["schema"] == store["newest_schema"]
    assert store["size_bytes"] == ended.store.stat().st_size
    assert store["free_bytes"] > 0


def test_a_project_without_runs_is_well(project: Project) -> None:
    assert project.run("doctor").returncode == 0
    assert project.document("doctor") == {"status": "ok", "store": None, "findings": []}
    assert not project.store.exists()


def test_a_run_that_its_process_left_behind_comes_with_the_command_that_continues_it(
    project: Project,
) -> None:
    project.die_in_build()
    done = project.run("doctor")
    assert done.returncode == 1
    assert "✗ runs        r1 is orphaned: its owner, process " in done.stdout
    assert "next: smithers up --resume r1" in done.stdout
    found = findings(project)
    assert (found["runs"]["command"], found["runs"]["run"]) == ("smithers up --resume r1", "r1")
    assert (found["owners"]["level"], found["owners"]["command"]) == ("wrong", "smithers down")
    project.run("down")
    assert project.run("doctor").returncode == 0


def test_a_process_that_drives_a_run_is_named_and_one_that_is_stopped_is_wrong(project: Project) -> None:
    owner = project.reach_build()
    assert findings(project)["owners"]["text"].endswith("drives r1")
    owner.send_signal(signal.SIGSTOP)
    found = findings(project)["owners"]
    assert found["command"] == f"kill -CONT {owner.pid}"
    assert "is stopped, and holds r1" in found["text"]
    owner.send_signal(signal.SIGCONT)
    assert project.run("doctor").returncode == 0


def test_a_parked_run_that_is_due_is_wrong_and_one_that_is_not_is_well(project: Project) -> None:
    project.write("""
        def fetch():
            raise ConnectionError("refused")

        @workflow
        def flow(ctx):
            later = RetryPolicy(initial_delay="1h", max_delay="1h")
            return Task("fetch", Text, run=fetch, retry_policy=later)
    """)
    assert project.run("up", "flow.py", "-r", "r1", "--linger", "0s").returncode == 3
    assert project.run("doctor").returncode == 0
    with closing(sqlite3.connect(project.store)) as connection, connection:
        connection.execute("UPDATE smithers_wakeups SET due_ms = due_ms - 7200000")
    found = findings(project)["runs"]
    assert (found["level"], found["command"]) == ("wrong", "smithers up --resume r1")
    assert "r1 was due 1h ago, and nobody wakes it" in found["text"]


def test_a_damaged_file_is_found_and_nothing_is_written_to_it(ended: Project) -> None:
    pages = bytearray(ended.store.read_bytes())
    pages[8192:16384] = b"\xa5" * 8192
    ended.store.write_bytes(pages)
    done = ended.run("doctor")
    assert done.returncode == 1
    assert "✗ " in done.stdout
    assert "next: restore it from a backup" in done.stdout or "[STORE_CORRUPT]" in done.stdout
    assert ended.store.read_bytes() == bytes(pages)


def test_a_file_that_others_may_read_is_wrong(ended: Project) -> None:
    ended.store.chmod(0o644)
    found = findings(ended)["store"]
    assert found["command"] == f"chmod 600 {ended.store}"
    ended.store.chmod(0o600)
    assert ended.run("doctor").returncode == 0


def test_a_store_that_does_not_open_says_why_and_what_helps(ended: Project) -> None:
    with closing(sqlite3.connect(ended.store)) as connection:
        connection.execute("PRAGMA user_version = 999999")
    done = ended.run("doctor", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (1, "unhealthy")
    (store,) = [one for one in found["findings"] if one["check"] == "store"]
    assert "[STORE_TOO_NEW]" in store["text"]
    assert store["command"] == "upgrade smithers-orchestrator"


def test_the_next_commands_name_the_store_that_was_named(project: Project) -> None:
    project.die_in_build()
    done = project.run("doctor", "--store", str(project.store))
    assert f"next: smithers up --resume r1 --store {project.store}" in done.stdout
