"""A storm over runs that wait: kills, and people who answer, signal, pause and cancel all the while.

What must hold is read with plain `sqlite3`, as in `checker`; the names are those of the invariants in the
reference's engine.md, section 8: 6 each parked run names its waker, 12 signals are taken once and never lost,
13 a cancel leaves nothing that waits.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.checker import Line
from tests.chaos.harness import Place

ACTOR = Path(__file__).parent / "waiting_actor.py"
ACTORS = 2
OPEN, DECIDED, SETTLED = 1, 2, 3
RUNNING, WAITING, FINISHED, CANCELLED, ENDED = 1, 2, 4, 7, 4
WAIT_DECIDED, NODE_FINISHED = 61, 21
LOST = 7
LONGEST_S = 90.0
CANCELS = 0.25
"""So many runs are cancelled by everybody at once, at some moment."""


@dataclass
class Tally:
    """What a storm did, and what was found."""

    seed: int
    kills: int = 0
    runs: int = 0
    cancelled: int = 0
    ups: int = 0
    votes: int = 0
    refused: int = 0
    """Votes and signals with exit 4."""
    signals: int = 0
    taken: int = 0
    """Signals that a wait has taken."""
    expired: int = 0
    pauses: int = 0
    looks: int = 0
    parked: int = 0
    """Looks that found the run parked."""
    lost: int = 0
    """Attempts that were cut off."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        words = ", ".join(f"{getattr(self, name)} {name}" for name in self.__dataclass_fields__ if name not in
                          ("seed", "violations"))  # fmt: skip
        return f"seed {self.seed}: {words}, wrong {len(self.violations)}"


def storm(folder: Path, flow: str, seed: int, kills: int) -> Tally:
    """Kill and resume runs until so many kills are spent, while others answer."""
    random, tally = Random(seed), Tally(seed)
    while tally.kills < kills and not tally.violations:
        tally.runs += 1
        place = Place(folder / f"{flow}-{seed}-{tally.runs}", flow)
        actors: list[subprocess.Popen[bytes]] = []
        try:
            actors = [_actor(place, random.randrange(2**31), number) for number in range(ACTORS)]
            found = _drive(place, random, tally, kills)
            (place.folder / "stop").touch()
            for actor in actors:
                actor.wait(30)
            found += _settle(place, tally)
        finally:
            for actor in actors:
                actor.kill()
                actor.wait()
            place.close()
        tally.violations += [f"seed {seed}, run {tally.runs}: {text} [{place.folder}]" for text in found]
        if not found:
            shutil.rmtree(place.folder)
    return tally


def _actor(place: Place, seed: int, number: int) -> subprocess.Popen[bytes]:
    with (place.folder / f"actor.{number}").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, str(ACTOR), str(place.database), str(seed), str(place.folder / "log")],
            stdout=said, stderr=said, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def _drive(place: Place, random: Random, tally: Tally, kills: int) -> list[str]:
    """Start and resume the run until it has ended."""
    until = time.monotonic() + LONGEST_S
    cancel_after = random.randint(2, 8) if random.random() < CANCELS else None
    found: list[str] = []
    while not found and time.monotonic() < until:
        state = look(place.database).state
        if state is not None and state >= ENDED:
            return found
        up = place.start() if state is None else place.resume()
        tally.ups += 1
        if tally.ups and cancel_after is not None and len(place.started) > cancel_after:
            (place.folder / "cancel").touch()
        if tally.kills < kills:
            # Some before the first frame of a resume, most in the midst of the work.
            code = up.kill_at(random.uniform(0.1, 0.7) if random.random() < 0.3 else random.uniform(0.5, 2.0))
            tally.kills += code is None
        else:
            up.wait()
        rows = look(place.database)
        tally.looks += 1
        found += check_now(rows)
        if rows.state == WAITING:
            tally.parked += 1
            time.sleep(0.1)  # until somebody has answered, or a time has come
    return found or ([] if time.monotonic() < until else [f"no end after {LONGEST_S} s"])


def _settle(place: Place, tally: Tally) -> list[str]:
    """Everybody has left: what is stored, against what they were told."""
    rows = look(place.database)
    told = read_log(place.folder / "log")
    tally.cancelled += rows.state == CANCELLED
    tally.votes += sum(
        one["what"] in ("approve", "deny", "answer", "skip") and not one["code"] for one in told
    )
    tally.signals += sum(one["what"] == "signal" and not one["code"] for one in told)
    tally.refused += sum(one["code"] == 4 for one in told)
    tally.pauses += sum(one["what"] == "PAUSE" for one in told)
    tally.taken += sum("signal" in wait.result for wait in rows.waits)
    tally.expired += sum(wait.result.get("by") == "smithers:expired" for wait in rows.waits)
    tally.lost += sum(state == LOST for *_, state in rows.attempts)
    said = [file.read_text() for file in place.folder.glob("actor.*")]
    return [
        *check_now(rows),
        *check_votes(rows, told),
        *check_signals(rows, told),
        *check_end(rows, told),
        *check_executions(rows, place.lines()),
        *(f"an actor said {text[-600:]}" for text in said if text),
        *(f"a process is left: {pid}" for pid in place.leftovers()),
    ]


# --- What is stored -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wait:
    run: int
    key: str
    generation: int
    kind: int
    state: int
    due_ms: int | None
    spec: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """All runs of a store, as they stood at one moment; `state` is that of the first."""

    state: int | None = None
    runs: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Name and state. Who was killed as it took a run over is still its owner."""
    parents: dict[int, int] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)
    wakeups: dict[tuple[int, str, str], int] = field(default_factory=dict)
    votes: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Run, key, word and by."""
    signals: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Run and data."""
    attempts: list[tuple[int, str, int, int, int]] = field(default_factory=list)
    """Run, key, generation, number and state."""
    nodes: dict[tuple[int, str, int], int] = field(default_factory=dict)
    outputs: dict[tuple[int, str, int], Any] = field(default_factory=dict)
    events: Counter[tuple[int, str, int]] = field(default_factory=Counter)
    """How often each type was told of each key."""
    integrity: str = "ok"


def look(database: Path) -> Rows:
    """Read all there is, in one transaction."""
    if not database.exists():
        return Rows()
    with closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'smithers_waits'").fetchone() is None:
            return Rows()
        return _read(connection)


def _read(connection: sqlite3.Connection) -> Rows:
    query = connection.execute
    words: dict[int, str] = dict(query("SELECT id, text FROM smithers_names"))

    def key(node: int, scope: int, iteration: int) -> str:
        return f"{words[node]}@{words[scope]}[{iteration}]"

    runs = {run: (name, state) for run, name, state in query("SELECT id, name, state FROM smithers_runs")}
    place = "run, node, scope, iteration"
    return Rows(
        next((state for name, state in runs.values() if name == "r1"), None),
        runs,
        {child: run for run, child in query("SELECT run, child FROM smithers_children")},
        [
            Wait(run, key(n, s, i), g, kind, state, due_ms, json.loads(spec), json.loads(result or "{}"))
            for run, n, s, i, g, kind, state, due_ms, spec, result in query(
                f"SELECT {place}, generation, kind, state, due_ms, spec, result FROM smithers_waits"
            )
        ],
        {
            (run, key(n, s, i), kind): due
            for run, n, s, i, kind, due in query(f"SELECT {place}, kind, due_ms FROM smithers_wakeups")
        },
        [
            (run, key(n, s, i), word, by)
            for run, n, s, i, word, by in query(f"SELECT {place}, word, by FROM smithers_votes ORDER BY id")
        ],
        {
            number: (run, json.loads(data))
            for number, run, data in query(
                "SELECT id, run, data FROM smithers_inbox WHERE kind = 3 ORDER BY id"
            )
        },
        [
            (run, key(n, s, i), g, number, state)
            for run, n, s, i, g, number, state in query(
                f"SELECT {place}, generation, attempt, state FROM smithers_attempts"
            )
        ],
        {
            (run, key(n, s, i), g): state
            for run, n, s, i, g, state in query(f"SELECT {place}, generation, state FROM smithers_nodes")
        },
        {
            (run, key(n, s, i), g): json.loads(body)
            for run, n, s, i, g, body in query(f"SELECT {place}, generation, body FROM smithers_outputs")
        },
        Counter(
            (run, key(n, s, i), kind)
            for run, n, s, i, kind in query(f"SELECT {place}, type FROM smithers_events WHERE node > 0")
        ),
        query("PRAGMA quick_check").fetchone()[0],
    )  # fmt: skip


def read_log(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


# --- What must hold -------------------------------------------------------------------------------


def check_now(rows: Rows) -> list[str]:
    """At any moment: who waits can be woken, and what is over leaves nothing."""
    found = [] if rows.integrity == "ok" else [f"the file is damaged: {rows.integrity}"]
    waker = {wait.run for wait in rows.waits if wait.state in (OPEN, DECIDED)}
    waker |= {run for run, *_ in rows.wakeups}
    for _ in rows.parents:
        waker |= {
            parent for child, parent in rows.parents.items() if child in waker and rows.runs[child][1] < ENDED
        }
    found += [
        f"6 {name} is parked, and nothing wakes it"
        for run, (name, state) in rows.runs.items()
        if state == WAITING and run not in waker
    ]
    open_ = {(wait.run, wait.key) for wait in rows.waits if wait.state in (OPEN, DECIDED)}
    for wait in rows.waits:
        if wait.state == OPEN and rows.wakeups.get((wait.run, wait.key, "wait")) != wait.due_ms:
            found.append(f"6 {wait.key} is open until {wait.due_ms}, and its wake-up is not")
    found += [
        f"6 a {kind} of {key} is left, and nothing waits"
        for run, key, kind in rows.wakeups
        if kind in ("wait", "reminder") and (run, key) not in open_
    ]
    settled = Counter((wait.run, wait.key) for wait in rows.waits if wait.state == SETTLED)
    told = {(run, key): n for (run, key, kind), n in rows.events.items() if kind == WAIT_DECIDED}
    if dict(settled) != told:
        found.append(f"12 waits were decided {told}, and are stored as {dict(settled)}")
    finished = Counter((run, key) for (run, key, _), state in rows.nodes.items() if state == 3)
    told = {(run, key): n for (run, key, kind), n in rows.events.items() if kind == NODE_FINISHED}
    if dict(finished) != told:
        found.append("12 nodes finished by other events than rows")
    return found


def check_votes(rows: Rows, told: list[dict[str, Any]]) -> list[str]:
    """What was said is stored, once, and what was decided agrees with it."""
    found: list[str] = []
    by = Counter(vote[3] for vote in rows.votes)
    words = ("approve", "deny", "answer", "skip")
    found += [
        f"12 {one} is stored {by[one['by']]} times"
        for one in told
        if one["what"] in words and by[one["by"]] != (1 if one["code"] == 0 else 0)
    ]
    if unknown := by.keys() - {one.get("by") for one in told}:
        found.append(f"12 nobody knows of the votes of {unknown}")
    names = {run: name for run, (name, *_) in rows.runs.items()}
    for wait in rows.waits:
        votes = [vote for vote in rows.votes if vote[:2] == (wait.run, wait.key)]
        where = f"12 {wait.key} of {names[wait.run]}"
        if wait.state not in (DECIDED, SETTLED) or wait.generation:
            continue
        decider = wait.result.get("by")
        if decider == "smithers:expired" or (wait.kind in (3, 4) and not votes):
            if votes and wait.spec.get("quorum", 1) == 1:
                found.append(f"{where} expired although {votes} was taken")
            continue
        if wait.kind == 3:
            continue
        if not votes or votes[-1][3] != decider:
            found.append(f"{where} was decided by {decider}, and votes are {votes}")
        quorum = int(wait.spec.get("quorum") or 1)
        for word in {vote[2] for vote in votes}:
            need = quorum if word == "approve" else 1
            if [vote[2] for vote in votes].count(word) > need:
                found.append(f"{where} took too many votes: {votes}")
        output = rows.outputs.get((wait.run, wait.key, wait.generation))
        if wait.kind == 1 and wait.state == SETTLED:
            approved = votes[-1][2] == "approve"
            if output is None or output["approved"] is not approved or output["by"] != decider:
                found.append(f"{where} was decided {votes[-1]}, and came to {output}")
    return found


def check_signals(rows: Rows, told: list[dict[str, Any]]) -> list[str]:
    """Each that was accepted is there; each wait takes one, in order, and none is passed over."""
    found = [
        f"12 {one} was accepted, and is not stored"
        for one in told
        if one["what"] == "signal" and one["code"] == 0 and one["id"] not in rows.signals
    ]
    taken: dict[tuple[int, str, str | None], list[int]] = {}
    for wait in rows.waits:
        if "signal" in wait.result:
            about = (wait.run, wait.spec["event"], wait.spec["correlation"])
            taken.setdefault(about, []).append(wait.result["signal"])
    for (run, name, about), ids in taken.items():
        sent = [
            number
            for number, (to, data) in rows.signals.items()
            if (to, data["name"], data["correlation"]) == (run, name, about)
        ]
        if sorted(ids) != sent[: len(ids)]:
            found.append(f"12 {name} {about}: {sent} were sent, and {ids} taken")
    for wait in rows.waits:
        waits_on = wait.kind == 3 and wait.state == OPEN and rows.runs[wait.run][1] < ENDED
        about = (wait.run, wait.spec.get("event"), wait.spec.get("correlation"))
        if waits_on and any(
            (to, data["name"], data["correlation"]) == about and number not in taken.get(about, ())
            for number, (to, data) in rows.signals.items()
        ):
            found.append(f"12 {wait.key} waits for what was sent")
    return found


def check_end(rows: Rows, told: list[dict[str, Any]]) -> list[str]:
    """The run has ended: nothing of it, or of its children, is left open."""
    if rows.state not in (FINISHED, CANCELLED):
        return [f"13 the run is in state {rows.state}"]
    found = [
        f"13 {name} is in state {state}, and the run has ended"
        for name, state in rows.runs.values()
        if state < ENDED
    ]
    found += [f"13 {wait.key} waits, and the run has ended" for wait in rows.waits if wait.state == OPEN]
    found += [
        f"13 attempt {number} of {key} runs, and the run has ended"
        for _, key, _, number, state in rows.attempts
        if state == RUNNING
    ]
    found += [
        f"13 a {kind} of {key} is left, and the run has ended"
        for run, key, kind in rows.wakeups
        if kind in ("wait", "reminder")
    ]
    cancels = [one for one in told if one["what"] == "CANCEL"]
    if bad := [one for one in cancels if one["code"] or (one["state"] not in ("cancelled", "finished"))]:
        found.append(f"13 a cancel came to {bad}")
    return found


def check_executions(rows: Rows, lines: list[Line]) -> list[str]:
    """No attempt is executed twice, none after it has finished, and none that is not stored."""
    begun = Counter((_named(line.key), line.attempt) for line in lines if line.what == "start")
    stored = Counter((key, number) for _, key, _, number, _ in rows.attempts)
    found = [f"4 attempt {slot} was executed {n} times" for slot, n in begun.items() if n > stored[slot]]
    for run, key, generation, number, state in rows.attempts:
        if (run, key, generation, number + 1) in {row[:4] for row in rows.attempts} and state in (1, 3):
            found.append(f"4 attempt {number} of {key} has state {state}, and there is another after it")
    return found


def _named(key: str) -> str:
    """A key of the journal (`tick[2]`, `tick[2]@outer=1`) as it is named here."""
    inner, _, scope = key.partition("@")
    node, _, iteration = inner.removesuffix("]").partition("[")
    return f"{node}@{scope}[{iteration or 0}]"
