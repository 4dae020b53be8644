"""Agents that are programs, under SIGKILL of ours: none survives the next start, none meets another."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.process import SMITHERS, environment
from tests.chaos.checker import processes_marked

FLOWS = Path(__file__).parent / "flows"
PLACES = 6
PATIENCE_S = 60
MARK = "SMITHERS_TEST_PROJECT"


def make_project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(FLOWS / "coding.py", folder / "flow.py")
    shutil.copy(FLOWS / "stand_in.py", folder / "stand_in.py")
    for n in range(PLACES):
        (folder / f"place{n}").mkdir()
    return folder


def up(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    env = {**environment(), MARK: str(folder)}
    named = [SMITHERS, "up", "flow.py", "--run-id", "r", "--store", str(folder / "s.db"), *words]
    with (folder / "stderr").open("ab") as log:
        return subprocess.Popen(named, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=log)


def agents(folder: Path, *ours: subprocess.Popen[bytes]) -> list[int]:
    """Pids of what was started for agents, and lives."""
    return [pid for pid in processes_marked(f"{MARK}={folder}") if pid not in [one.pid for one in ours]]


def sessions(folder: Path) -> list[list[str]]:
    """What began in each place: a session, and whether it was new."""
    found = []
    for n in range(PLACES):
        begun = folder / f"place{n}" / "begun"
        found.append(begun.read_text().splitlines() if begun.exists() else [])
    return found


def begun(folder: Path) -> int:
    return sum(map(len, sessions(folder)))


def until_begun(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    while begun(folder) < count and process.poll() is None:
        assert time.monotonic() < end, "no agent began"
        time.sleep(0.01)


def test_fifty_kills_in_mid_agent_leave_nobody_behind_and_no_two_in_one_place(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wanted = 8 if pytestconfig.getoption("--quick") else 50
    first = int(pytestconfig.getoption("--first-seed"))
    kills, rounds, resumed, new = 0, 0, 0, 0
    while kills < wanted:
        chance = random.Random(first + rounds)
        folder = make_project(tmp_path / str(rounds))
        rounds += 1
        process = up(folder)
        for _ in range(chance.randrange(2, 7)):
            before = begun(folder)
            until_begun(folder, before + 1, process)
            time.sleep(chance.uniform(0, 0.5))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            left = agents(folder)
            process = up(folder, "--resume")
            until_begun(folder, begun(folder) + 1, process)
            # Whoever was there when we died is gone before anybody begins anew.
            alive = [pid for pid in agents(folder, process) if pid in left]
            assert alive == [], f"seed {first + rounds - 1}: {alive}"
        code = process.wait(PATIENCE_S)
        while code == 1 and "cut off 3 times in a row" in (folder / "stderr").read_text():
            (folder / "stderr").unlink()
            code = up(folder, "--resume").wait(PATIENCE_S)
        assert code == 0, (folder / "stderr").read_text()[-2000:]
        assert agents(folder) == []
        for n, lines in enumerate(sessions(folder)):
            assert not (folder / f"place{n}" / "clashes").exists(), f"seed {first + rounds - 1}, place {n}"
            resumed += sum(line.endswith("resumed") for line in lines)
            new += sum(line.endswith("new") for line in lines)
    print(f"\n{kills} kills in {rounds} runs; conversations: {new} begun, {resumed} gone on with")
    assert resumed >= kills // 2
    assert new == rounds * PLACES, "a conversation was begun anew"


def test_a_deploy_in_mid_agent_goes_on_in_the_same_conversation(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "deploy")
    process = up(folder)
    until_begun(folder, 3, process)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 143
    assert agents(folder) == []
    finished = [n for n in range(PLACES) if not (folder / f"place{n}" / "agent.lock").exists()]
    assert up(folder, "--resume").wait(PATIENCE_S) == 0
    for n, lines in enumerate(sessions(folder)):
        names = {line.split()[0] for line in lines}
        assert len(names) == 1, "the conversation was begun anew"
        if n not in finished:
            assert len(lines) >= 2
        steps = (folder / f"place{n}" / f"session-{names.pop()}").read_text().splitlines()
        assert steps == [f"step {step}" for step in range(12)], "a step was made twice"
