"""People are told, by the command line as a user runs it."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import Project, wait_until
from tests.unit.notify.stage import server

FLOWS = """
def work() -> Text:
    if (HERE / "broken").exists():
        raise ValueError("it is broken")
    return Text(text="done")

@workflow
def flow(ctx):
    return Task("work", Text, run=work, no_retry=True)

def slow() -> Text:
    wait_for("go")
    return Text(text="done")

@workflow
def slow_flow(ctx):
    return Task("slow", Text, run=slow)
"""
APPEND = "cat >> told; echo >> told"


def configure(project: Project, text: str) -> None:
    folder = project.folder / ".smithers"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.toml").write_text(f"[notify]\n{text}\n")


def told(project: Project) -> list[dict[str, Any]]:
    file = project.folder / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def notices(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.document("notify", "list")["notices"]
    return found


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return home


def test_a_run_that_finishes_and_one_that_fails_are_told_of_once(project: Project) -> None:
    project.write(FLOWS)
    configure(project, f'command = "{APPEND}"')
    assert project.run("up", "flow.py:flow", "-r", "good").returncode == 0
    project.touch("broken")
    assert project.run("up", "flow.py:flow", "-r", "bad").returncode == 1
    assert project.run("notify", "send").stdout == "nothing is left to deliver\n"

    good, bad = told(project)
    assert good == {
        "version": 1,
        "id": good["id"],
        "kind": "finished",
        "at": good["at"],
        "run": "good",
        "workflow": "flow",
        "title": "good finished",
        "status": "finished",
        "commands": ["smithers output good"],
    }
    assert bad == {
        "version": 1,
        "id": bad["id"],
        "kind": "failed",
        "at": bad["at"],
        "run": "bad",
        "workflow": "flow",
        "title": "bad failed",
        "summary": "[TASK_FAILED] work failed: it is broken",
        "status": "failed",
        "error": {"code": "TASK_FAILED", "message": "work failed: it is broken"},
        "commands": ["smithers why bad", "smithers up --resume bad"],
    }
    assert good["id"] != bad["id"]
    assert [(row["run"], row["state"], row["delivered_by"]) for row in notices(project)] == [
        ("bad", "sent", ["command"]),
        ("good", "sent", ["command"]),
    ]
    assert [row["run"] for row in project.document("notify", "list", "good")["notices"]] == ["good"]


def test_the_users_own_configuration_holds_where_the_project_has_none(
    project: Project, own_home: Path
) -> None:
    project.write(FLOWS)
    (own_home / "smithers").mkdir()
    (own_home / "smithers/config.toml").write_text(f'[notify]\ncommand = "{APPEND}"\n')
    project.run("up", "flow.py:flow", "-r", "r1")
    assert [one["run"] for one in told(project)] == ["r1"]


def test_killed_before_it_is_delivered_the_next_process_delivers_it(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = "touch begun; sleep 60"')
    process = project.start("up", "flow.py:flow", "-r", "r1")
    wait_until((project.folder / "begun").exists, "the command to begin")
    process.kill()
    process.wait()
    assert [row["state"] for row in notices(project)] == ["waiting"]

    configure(project, f'command = "{APPEND}"')
    assert "not delivered" not in project.run("up", "flow.py:flow", "-r", "r2").stderr
    assert "1 in the hands of another process; if that has died" in project.run("notify", "send").stdout
    # Its claim stands for as long as the command might have taken; here it is made to run out.
    assert [one["run"] for one in told(project)] == ["r2"]
    run_out_of_time(project)
    assert project.run("up", "flow.py:flow", "-r", "r3").returncode == 0
    assert sorted(one["run"] for one in told(project)) == ["r1", "r2", "r3"]
    assert {row["state"] for row in notices(project)} == {"sent"}


def run_out_of_time(project: Project) -> None:
    """Let every claim and every delay be over."""
    with closing(sqlite3.connect(project.store)) as connection, connection:
        connection.execute("UPDATE smithers_notices SET next_ms = 1 WHERE next_ms IS NOT NULL")


def test_killed_between_the_commit_and_the_delivery_nothing_is_lost(project: Project) -> None:
    # The engine calls `wake` when a commit that held notices has returned.
    project.write(
        FLOWS
        + """
import smithers.notify.courier as courier

if (HERE / "dies").exists():
    courier.Courier.wake = lambda self: os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    configure(project, f'command = "{APPEND}"')
    project.touch("dies")
    assert project.run("up", "flow.py:flow", "-r", "r1").returncode == -signal.SIGKILL
    assert told(project) == []
    (project.folder / "dies").unlink()
    assert project.run("up", "flow.py:flow", "-r", "r2").returncode == 0
    assert [one["run"] for one in told(project)] == ["r1", "r2"]


def test_a_command_that_fails_is_tried_again_and_the_result_is_the_runs(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = "echo x >> tries; test $(wc -l < tries) -gt 2"')
    assert project.run("up", "flow.py:flow", "-r", "r1").returncode == 0
    assert (project.folder / "tries").read_text() == "x\n" * 3
    assert [(row["state"], row["tries"]) for row in notices(project)] == [("sent", 2)]


def test_what_cannot_be_delivered_is_said_and_stays(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = ["./no-such-program"]')
    done = project.run("up", "flow.py:flow", "-r", "r1")
    assert (done.returncode, done.stdout) == (0, '{"text": "done"}\n')
    assert "1 notice is not delivered yet: the command could not be started" in done.stderr
    assert "`smithers notify send`" in done.stderr
    assert [row["state"] for row in notices(project)] == ["waiting"]
    listed = project.run("notify")
    assert "r1 finished" in listed.stdout
    assert "waiting" in listed.stdout


def test_a_command_that_hangs_does_not_hold_up_longer_than_it_may(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = "sleep 600"')
    begun = time.monotonic()
    done = project.run("up", "flow.py:flow", "-r", "r1")
    assert 4 < time.monotonic() - begun < 20
    assert done.returncode == 0
    assert "the command did not end, and was killed" in done.stderr


def test_a_hanging_command_holds_up_no_run(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = "sleep 600"')
    project.run("up", "flow.py:flow", "-r", "r1")  # leaves a notice
    process = project.start("up", "flow.py:slow_flow", "-r", "r2")
    wait_until(lambda: any(run.name == "r2" for run in project.runs()), "r2 to begin")
    project.touch("go")
    wait_until(lambda: project.document("inspect", "r2")["status"] == "finished", "r2 to finish")
    process.wait(30)


def test_without_a_configuration_nothing_is_written_or_imported(project: Project) -> None:
    project.write(
        FLOWS
        + """
@workflow
def looking(ctx):
    def look() -> Text:
        names = [thread.name for thread in threading.enumerate()]
        return Text(text=",".join([*names, *(name for name in sys.modules if "smithers.notify" in name)]))
    return Task("look", Text, run=look)
"""
    )
    done = project.run("up", "flow.py:looking", "-r", "r1")
    found = json.loads(done.stdout)["text"].split(",")
    assert "smithers-courier" not in found
    assert [name for name in found if name.startswith("smithers.notify")] == [
        "smithers.notify",
        "smithers.notify.setting",
    ]
    assert notices(project) == []
    assert project.run("notify").stdout.startswith("There are no notices")
    refused = project.run("notify", "test")
    assert (refused.returncode, "NOTIFY_INVALID" in refused.stderr) == (4, True)


@pytest.mark.parametrize("words", [(), ("--detach",)])
def test_a_configuration_that_cannot_be_meant_is_refused_and_no_run_loses_anything(
    project: Project, words: tuple[str, ...]
) -> None:
    project.write(FLOWS)
    project.touch("broken")
    project.run("up", "flow.py:flow", "-r", "r1")
    before = project.document("inspect", "r1")
    configure(project, 'comand = "x"')
    (project.folder / "broken").unlink()
    for more in (("-r", "r2"), ("-r", "r1", "--resume")):
        done = project.run("up", "flow.py:flow", *more, *words)
        assert done.returncode == 4
        assert "[NOTIFY_INVALID]" in done.stderr
        assert "config.toml: [notify] has no key 'comand'; did you mean 'command'?" in done.stderr
    assert project.document("inspect", "r1") == before
    assert [run.name for run in project.runs()] == ["r1"]
    configure(project, "")
    assert project.run("up", "flow.py:flow", "-r", "r1", "--resume").returncode == 0


def test_a_webhook_gets_what_the_command_gets(project: Project) -> None:
    project.write(FLOWS)
    with server([500, 200]) as found:
        configure(project, f'webhook = "{found.address}"\nsecret_env = "HOOK"')
        done = project.run("up", "flow.py:flow", "-r", "r1", HOOK="s3cret")
    assert done.returncode == 0
    (_, first, body), (_, second, again) = found.seen
    assert body == again
    assert json.loads(body)["run"] == "r1"
    assert first["idempotency-key"] == second["idempotency-key"] == json.loads(body)["id"]
    assert [(row["state"], row["tries"]) for row in notices(project)] == [("sent", 1)]
    for file in project.folder.rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes()


def test_a_test_is_sent_by_every_way_and_says_what_became_of_it(project: Project) -> None:
    with server([204, 404]) as found:
        configure(project, f'webhook = "{found.address}"\ncommand = "cat > told; echo shown"')
        done = project.run("notify", "test")
        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            "✓ webhook: delivered",
            "✓ command: delivered",
            f"configured in {project.folder}/.smithers/config.toml",
        ]
        assert done.stderr == "shown\n"
        assert told(project)[0]["kind"] == "test"
        failed = project.run("notify", "test", "--json")
    assert failed.returncode == 1
    document = json.loads(failed.stdout)
    assert document["status"] == "failed"
    assert document["ways"] == [
        {"way": "webhook", "delivered": False, "error": "the webhook answered 404"},
        {"way": "command", "delivered": True, "error": None},
    ]
    assert not project.store.exists()  # tried before there is a run


def test_what_is_left_can_be_sent_by_hand(project: Project) -> None:
    project.write(FLOWS)
    configure(project, 'command = "exit 1"')
    project.run("up", "flow.py:flow", "-r", "r1")
    failed = project.run("notify", "send", "--json")
    assert (failed.returncode, json.loads(failed.stdout)) == (
        1,
        {"status": "failed", "left": 1, "claimed": 0},
    )
    configure(project, f'command = "{APPEND}"')
    assert project.run("notify", "send").returncode == 0
    assert [one["run"] for one in told(project)] == ["r1"]
