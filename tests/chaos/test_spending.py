"""Budgets under SIGKILL (R19): what is spent beyond a limit is no more than what was in flight once."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.process import SMITHERS, environment

FLOW = Path(__file__).parent / "flows" / "spending.py"
PATIENCE_S = 60


@dataclass(frozen=True)
class Spent:
    """One case, and what came of it."""

    seed: int
    kills: int
    limit: float
    slots: int
    largest: float
    total: float
    stored: float
    """As the store says."""
    status: str

    @property
    def overshoot(self) -> float:
        return self.total - self.limit

    @property
    def is_wrong(self) -> bool:
        return self.overshoot > self.slots * self.largest + 1e-6

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.kills} kills, {self.slots} slots, {self.status}; "
            f"spent {self.total:.2f} of {self.limit:.2f}, stored {self.stored:.2f}, "
            f"largest call {self.largest:.2f}"
        )


def case(folder: Path, seed: int) -> Spent:
    """Run one workflow to its end, killed a few times on the way."""
    folder.mkdir()
    chance = random.Random(seed)
    plan = {
        "seed": seed,
        "usd": round(chance.uniform(2, 12), 2),
        "slots": 16,
        "has_children": seed % 2 == 1,
        "cost": [0.01, chance.choice([0.1, 1.0])],
        "takes": [0.005, chance.choice([0.02, 0.1])],
        "on_exceeded": chance.choice(["ask", "skip-remaining", "fail"]),
    }
    shutil.copy(FLOW, folder / "flow.py")
    (folder / "plan.json").write_text(json.dumps(plan))
    kills, words = 0, [SMITHERS, "up", "flow.py", "--run-id", "r", "--store", str(folder / "s.db")]
    for strike in range(chance.randrange(4) + 1):
        is_last = strike > 2 or chance.random() < 0.3
        process = subprocess.Popen(
            [*words, *(["--resume"] if (folder / "s.db").exists() and begun(folder) else [])],
            cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(PATIENCE_S if is_last else chance.uniform(0.2, 0.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        break
    if kills and begun(folder):
        subprocess.run(
            [*words, "--resume"], cwd=folder, env=environment(), check=False, timeout=PATIENCE_S,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    return _look(folder, plan["usd"], seed, kills)


def begun(folder: Path) -> bool:
    try:
        with closing(sqlite3.connect(folder / "s.db")) as plain:
            return bool(plain.execute("SELECT count(*) FROM smithers_runs").fetchone()[0])
    except sqlite3.Error:
        return False


def _look(folder: Path, limit: float, seed: int, kills: int) -> Spent:
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    costs = [json.loads(line)["cost"] for line in lines]
    stored, status = 0.0, "none"
    if begun(folder):
        with closing(sqlite3.connect(folder / "s.db")) as plain:
            # Of the budget itself, and of the whole runs below it, which are stored with these alone.
            top = "SELECT min(id) FROM smithers_runs"
            where = f"(node = 0) = (run != ({top}))"
            (micros,) = plain.execute(
                f"SELECT sum(cost_micros) FROM smithers_budgets WHERE {where}"
            ).fetchone()
            stored = (micros or 0) / 1e6
            (status,) = plain.execute(f"SELECT state FROM smithers_runs WHERE id = ({top})").fetchone()
    return Spent(seed, kills, limit, 16, max(costs, default=0.0), sum(costs), stored, f"state {status}")


def test_what_is_spent_beyond_a_limit_is_at_most_one_call_a_slot_however_often_we_die(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    count = 12 if pytestconfig.getoption("--quick") else 200
    first = int(pytestconfig.getoption("--first-seed"))
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: case(tmp_path / str(seed), seed), range(first, first + count)))
    kills = sum(one.kills for one in found)
    worst = max(found, key=lambda one: one.overshoot / max(one.largest, 0.01))
    print(f"\n{count} budgets, {kills} kills in {time.monotonic() - began:.0f} s; the worst: {worst}")
    wrong = [one for one in found if one.is_wrong]
    print(*wrong, sep="\n")
    assert wrong == []
    assert kills >= count // 3
    assert sum(one.overshoot > -1.0 for one in found) >= count // 3, "too few came near their limit"
