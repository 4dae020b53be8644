"""Races: several processes resume the same run at the same instant, after its owner was killed."""

from __future__ import annotations

import re
import resource
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.chaos import checker
from tests.chaos.harness import PATIENCE_S, Place, Up

REFUSED = 4
_OWNED = re.compile(r"\[RUN_OWNED\] r1 is driven by process (\d+) on \S+ since [\d:]+ \(\d+ s\)")
"""What a loser is told: who, and since when."""


@dataclass
class Finish:
    """How a number of races went."""

    racers: int
    races: int = 0
    loser_s: list[float] = field(default_factory=list)
    """How long losers took, from the start of their process to its end."""
    loser_cpu_ms: list[float] = field(default_factory=list)
    """Mean over the losers of one race: what being refused costs, however busy the machine is."""
    takeover_ms: list[float] = field(default_factory=list)
    """From the start of the winner's process until the task that was cut off ran again."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.races} races of {self.racers}: {len(self.loser_s)} losers, "
            f"s to be refused p50 {median(self.loser_s):.2f} max {max(self.loser_s):.2f}, "
            f"CPU ms {median(self.loser_cpu_ms):.0f}, "
            f"ms to take over p50 {median(self.takeover_ms):.0f} max {max(self.takeover_ms):.0f}, "
            f"wrong {len(self.violations)}"
        )


def race(folder: Path, racers: int, finish: Finish) -> None:
    """Kill an owner, let so many others resume its run at once, and check that exactly one did."""
    finish.races += 1
    place = Place(folder / f"race{racers}-{finish.races}", "gate")
    before = len(finish.violations)
    try:
        _race(place, racers, finish)
    finally:
        place.close()
    if len(finish.violations) == before:
        shutil.rmtree(place.folder)


def _race(place: Place, racers: int, finish: Finish) -> None:
    first = place.start()
    place.wait_for("hold")
    first.kill()
    dead = place.look()
    assert dead is not None
    spent_s = _spent_s()
    ups = [place.resume() for _ in range(racers)]
    wait_all_but_one(ups)
    finish.loser_cpu_ms.append((_spent_s() - spent_s) * 1000 / (racers - 1))
    began = place.wait_for("hold", attempt=2)
    winner = next((up for up in ups if up.pid == began.pid), None)
    if winner is None:
        finish.violations.append(f"{began} ran in none of the processes {[up.pid for up in ups]}")
        return
    finish.takeover_ms.append((began.at_ns - winner.began_ns) / 1e6)
    losers = [up for up in ups if up is not winner]
    found = [text for up in losers for text in _check_loser(up, winner, finish)]
    driven = place.look()
    assert driven is not None
    if driven.run.fence != dead.run.fence + 1:
        found.append(f"I5 the fence went from {dead.run.fence} to {driven.run.fence}")
    (place.folder / "open").touch()
    if (code := winner.wait()) != 0:
        found.append(f"the winner exited with {code}: {winner.said()}")
    found += _check_end(place, dead, winner)
    finish.violations += [f"race {finish.races} of {racers}: {text} [{place.folder}]" for text in found]


def _spent_s() -> float:
    """CPU time of the children that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def wait_all_but_one(ups: list[Up]) -> None:
    """Wait for the losers; who has won shows in who is left."""
    give_up_at = time.monotonic() + PATIENCE_S
    # A list: each of them is asked, and the time of its end noted.
    while sum([up.has_ended() for up in ups]) < len(ups) - 1:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"of {[up.pid for up in ups]} more than one goes on after {PATIENCE_S} s")
        time.sleep(0.002)


def _check_loser(up: Up, winner: Up, finish: Finish) -> list[str]:
    code = up.wait()
    finish.loser_s.append(up.took_s)
    if code != REFUSED:
        return [f"a loser exited with {code}: {up.said()}"]
    named = _OWNED.search(up.said())
    if named is None or int(named[1]) != winner.pid:
        return [f"a loser was told {up.said()!r}, and process {winner.pid} had won"]
    return []


def _check_end(place: Place, dead: checker.Rows, winner: Up) -> list[str]:
    rows, lines = place.look(), place.lines()
    assert rows is not None
    found = [
        *checker.check_rows(rows),
        *checker.check_history(dead, rows),
        *checker.check_process_death(dead, rows),
        *checker.check_journal(rows, lines),
        *(f"I10 process {pid} is left" for pid in place.leftovers()),
    ]
    ran = [(line.key, line.attempt, line.pid) for line in lines if line.what == "start"][2:]
    if ran != [("hold", 2, winner.pid), ("behind", 1, winner.pid)]:
        found.append(f"I4 after the kill there ran {ran}")
    if rows.run.state != checker.RUN_FINISHED:
        found.append(f"I7 the run ended in state {rows.run.state}")
    return found
