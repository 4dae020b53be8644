"""What must hold of a run, whatever was done to its processes: read from the file with plain `sqlite3`.

Imports nothing of ours: what the tables mean is written down here a second time, on purpose, so that a
mistake in one place cannot hide in the other. Every check returns sentences, one a violation.

The invariants, by the names that the report goes by:

    I1  one final row a key and generation          I7  the run's state agrees with its nodes
    I2  final rows never change                     I8  events and frames are gap-free and ordered
    I3  what was acknowledged is there              I10 no process is left
    I4  no execution after the completion           I11 the file is sound
    I5  fences grow                                 I12 outputs are those of an undisturbed run
    I6  nothing ran before its inputs               I13 the cache names what is finished, and all of it
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, TypeAlias

# The numbers of the stored states, as migration 0001 and the records document them.
RUN_FINISHED, RUN_PARTIAL, RUN_FAILED, RUN_CANCELLED = 4, 5, 6, 7
FINISHED, FAILED, SKIPPED, CANCELLED, LOST, RUNNING = 3, 4, 5, 6, 7, 1
EVENT_STARTED, EVENT_FINISHED, EVENT_LOST = 20, 21, 26
RUN_STARTED, RUN_RESUMED = 1, 2
LOST_CLASS = 11


HANDLERS = ("try", "saga", "quarantine", "script")
"""Kinds of nodes that take failures of what stands in them."""
BLOB = "blob:"
"""Stands before the SHA-256 of an output that is kept in a file of its own."""


class Key(NamedTuple):
    """A node in one pass of the loops around it."""

    node: str
    scope: str
    iteration: int

    def __str__(self) -> str:
        inner = f"[{self.iteration}]" if self.iteration or self.scope else ""
        return f"{self.node}{inner}" + (f"@{self.scope}" if self.scope else "")

    def passes(self, loops: tuple[str, ...]) -> tuple[int, ...]:
        """The pass of each loop around the node, outermost first."""
        if not loops:
            return ()
        outer = [int(part.rpartition("=")[2]) for part in self.scope.split(",") if part]
        return (*outer, self.iteration)


Slot: TypeAlias = tuple[Key, int]
"""A key and its generation."""


class NodeRow(NamedTuple):
    state: int
    frame: int
    attempt: int
    reason: str | None


class AttemptRow(NamedTuple):
    state: int
    from_frame: int
    to_frame: int | None
    start_seq: int
    failure: int | None
    counted: int


class OutputRow(NamedTuple):
    seq: int
    frame: int
    model: str
    body: str


class FrameRow(NamedTuple):
    frame: int
    parent: int
    seq: int
    at_ms: int


class EventRow(NamedTuple):
    seq: int
    type: int
    key: Key
    attempt: int
    at_ms: int
    data: str | None


class RunRow(NamedTuple):
    state: int
    fence: int
    seq: int
    frame: int
    owner: int | None
    created_ms: int
    error: str | None


class Line(NamedTuple):
    """What a task's body left in the journal."""

    key: str
    attempt: int
    what: str
    pid: int
    at_ns: int
    """Monotonic clock of the machine."""


@dataclass(frozen=True)
class Rows:
    """One run as it stood at one moment."""

    run: RunRow
    nodes: dict[Slot, NodeRow]
    attempts: dict[tuple[Key, int, int], AttemptRow]
    outputs: dict[Slot, OutputRow]
    frames: list[FrameRow]
    events: list[EventRow]
    parents: dict[str, str | None]
    specs: dict[str, dict[str, object]]
    owners: int
    integrity: str
    cached: list[Slot]
    """Whose outputs the cache names."""

    @property
    def running(self) -> set[tuple[Key, int, int]]:
        return {slot for slot, row in self.attempts.items() if row.state == RUNNING}

    @cached_property
    def finished_slots(self) -> list[Slot]:
        return [slot for slot, row in self.nodes.items() if row.state == FINISHED]

    @property
    def finished(self) -> dict[Slot, OutputRow]:
        """Outputs of what has finished."""
        return {slot: self.outputs[slot] for slot in self.finished_slots if slot in self.outputs}

    def loops(self, node: str) -> tuple[str, ...]:
        """Loops around a node, outermost first."""
        return tuple(step for step in self.around(node) if self.specs[step].get("kind") == "loop")

    def around(self, node: str) -> list[str]:
        """What a node stands in, outermost first."""
        found: list[str] = []
        step = self.parents.get(node)
        while step is not None:
            found.insert(0, step)
            step = self.parents.get(step)
        return found

    def has_handler(self, node: str) -> bool:
        """Whether something around it takes its failure: a block, or a script."""
        return any(self.specs[step].get("kind") in HANDLERS for step in self.around(node))


# --- Reading ------------------------------------------------------------------------------------


def read_rows(database: Path, name: str) -> Rows | None:
    """Read a run; None without a database, or without that run in it."""
    if not database.exists():
        return None
    connection = sqlite3.connect(database)
    try:
        return _read(connection, name)
    finally:
        connection.close()


def _read(connection: sqlite3.Connection, name: str) -> Rows | None:
    query = connection.execute
    if query("SELECT 1 FROM sqlite_master WHERE name = 'smithers_runs'").fetchone() is None:
        return None
    found = query(
        "SELECT id, state, fence, seq, frame, owner, created_ms, error FROM smithers_runs WHERE name = ?",
        (name,),
    ).fetchone()
    if found is None:
        return None
    run = found[0]
    words: dict[int, str] = dict(query("SELECT id, text FROM smithers_names"))

    def key(node: int, scope: int, iteration: int) -> Key:
        return Key(words[node], words[scope], iteration)

    nodes = {
        (key(n, s, i), g): NodeRow(*rest)
        for n, s, i, g, *rest in query(
            "SELECT node, scope, iteration, generation, state, frame, attempt, reason"
            " FROM smithers_nodes WHERE run = ?", (run,)
        )
    }  # fmt: skip
    attempts = {
        (key(n, s, i), g, a): AttemptRow(*rest)
        for n, s, i, g, a, *rest in query(
            "SELECT node, scope, iteration, generation, attempt, state, from_frame, to_frame, start_seq,"
            " failure, counted FROM smithers_attempts WHERE run = ?", (run,)
        )
    }  # fmt: skip
    outputs = {
        (key(n, s, i), g): OutputRow(seq, frame, words[model], f"{BLOB}{blob.hex()}" if blob else body)
        for n, s, i, g, seq, frame, model, body, blob in query(
            "SELECT node, scope, iteration, generation, seq, frame, model, body, blob"
            " FROM smithers_outputs WHERE run = ?", (run,)
        )
    }  # fmt: skip
    frames = [
        FrameRow(*row)
        for row in query(
            "SELECT frame, parent, seq, at_ms FROM smithers_frames WHERE run = ? ORDER BY frame", (run,)
        )
    ]
    events = [
        EventRow(seq, kind, key(n, s, i), attempt, at_ms, data)
        for seq, kind, n, s, i, attempt, at_ms, data in query(
            "SELECT seq, type, node, scope, iteration, attempt, at_ms, data"
            " FROM smithers_events WHERE run = ? ORDER BY seq", (run,)
        )
    ]  # fmt: skip
    parents: dict[str, str | None] = {}
    specs: dict[str, dict[str, object]] = {}
    for node, parent, body in query(
        "SELECT m.node, m.parent, s.body FROM smithers_mounts m JOIN smithers_specs s ON s.id = m.spec"
        " WHERE m.run = ? ORDER BY m.from_frame", (run,)
    ):  # fmt: skip
        parents[words[node]] = words[parent] or None
        specs[words[node]] = json.loads(body)
    return Rows(
        RunRow(*found[1:]), nodes, attempts, outputs, frames, events, parents, specs,
        query("SELECT count(*) FROM smithers_owners").fetchone()[0],
        query("PRAGMA integrity_check").fetchone()[0],
        [
            (key(n, s, i), g)
            for n, s, i, g in query(
                "SELECT node, scope, iteration, generation FROM smithers_cache WHERE run = ?", (run,)
            )
        ],
    )  # fmt: skip


def read_journal(journal: Path) -> list[Line]:
    """Every whole line of the journal, in the order they were written.

    Each is written by one `write` to a file opened for appending, so a killed process leaves whole lines.
    """
    if not journal.exists():
        return []
    lines = []
    for text in journal.read_text().splitlines():
        key, attempt, what, pid, at_ns = text.split(" ")
        lines.append(Line(key, int(attempt), what, int(pid), int(at_ns)))
    return lines


# --- One moment ---------------------------------------------------------------------------------


def check_rows(rows: Rows) -> list[str]:
    """What holds of a run at any moment, also in the middle of its work."""
    return [
        *_check_frames(rows),
        *_check_attempts(rows),
        *_check_nodes(rows),
        *_check_inputs(rows),
        *(
            f"I13 the cache names {key}, which has not finished"
            for key, g in rows.cached
            if (key, g) not in rows.finished
        ),
        *([] if rows.integrity == "ok" else [f"I11 integrity_check says {rows.integrity!r}"]),
    ]


def _check_frames(rows: Rows) -> list[str]:
    found = []
    numbers = [frame.frame for frame in rows.frames]
    if numbers != list(range(1, rows.run.frame + 1)):
        found.append(f"I8 frames are not 1 to {rows.run.frame}: {numbers[:5]} … {numbers[-3:]}")
    if any(frame.parent != frame.frame - 1 for frame in rows.frames):
        found.append("I8 a frame's parent is not the frame before it")
    if any(later.at_ms < earlier.at_ms for earlier, later in zip(rows.frames, rows.frames[1:], strict=False)):
        found.append("I8 a frame is older than its parent")
    ends = [0, *(frame.seq for frame in rows.frames)]
    if ends != sorted(set(ends)):
        found.append("I8 a frame uses no seq of its own")
    seqs = [event.seq for event in rows.events]
    if seqs != list(range(1, rows.run.seq + 1)):
        found.append(f"I8 events are not 1 to {rows.run.seq}: {len(seqs)} of them, last {seqs[-1:]}")
    if ends[-1] != rows.run.seq:
        found.append(f"I8 the last frame ends at seq {ends[-1]}, the run at {rows.run.seq}")
    begun = [event.type for event in rows.events if event.type in (RUN_STARTED, RUN_RESUMED)]
    if begun != [RUN_STARTED] + [RUN_RESUMED] * (len(begun) - 1):
        found.append(f"I8 a run begins once and is resumed after that, not {begun}")
    if len(begun) > rows.run.fence:
        found.append(f"I5 {len(begun)} owners have begun under {rows.run.fence} fences")
    return found


def _check_attempts(rows: Rows) -> list[str]:
    found = []
    numbers: dict[Slot, list[int]] = {}
    for (key, generation, attempt), row in rows.attempts.items():
        numbers.setdefault((key, generation), []).append(attempt)
        if (row.state == RUNNING) != (row.to_frame is None):
            found.append(f"I8 attempt {attempt} of {key} is in state {row.state}, its end {row.to_frame}")
        if row.state == LOST and row.counted:
            found.append(f"I4 attempt {attempt} of {key} was lost and counted as a retry")
    for (key, generation), all_of_it in numbers.items():
        if sorted(all_of_it) != list(range(1, len(all_of_it) + 1)):
            found.append(f"I8 attempts of {key} are {sorted(all_of_it)}")
        for attempt in all_of_it:
            state = rows.attempts[key, generation, attempt].state
            if attempt < len(all_of_it) and state in (FINISHED, RUNNING):
                found.append(f"I4 attempt {attempt} of {key} has state {state}, and there is one after it")
    found.extend(_miscounted(rows, EVENT_STARTED, set(rows.attempts), "started"))
    lost = {slot for slot, row in rows.attempts.items() if row.state == LOST}
    found.extend(_miscounted(rows, EVENT_LOST, lost, "lost"))
    return found


def _miscounted(rows: Rows, kind: int, attempts: set[tuple[Key, int, int]], word: str) -> list[str]:
    """Rows and events of one kind that do not match. Events do not say the generation."""
    told = Counter((event.key, event.attempt) for event in rows.events if event.type == kind)
    stored = Counter((key, attempt) for key, _, attempt in attempts)
    return [
        f"I8 attempt {attempt} of {key}: {word} by {told[key, attempt]} events, {stored[key, attempt]} rows"
        for key, attempt in told.keys() | stored.keys()
        if told[key, attempt] != stored[key, attempt]
    ]


def _check_nodes(rows: Rows) -> list[str]:
    """Final rows against attempts, outputs and events. That a slot has one row is the table's primary key."""
    found = []
    told = Counter(event.key for event in rows.events if event.type == EVENT_FINISHED)
    finished = Counter(key for key, _ in rows.finished_slots)
    if told != finished:
        odd = (told - finished) + (finished - told)
        found.append(f"I1 completions by events and by rows differ: {', '.join(map(str, odd))}")
    at = {event.seq: event for event in rows.events}
    early = rows.outputs.keys() - set(rows.finished_slots)
    found.extend(f"I1 {key} has an output and has not finished" for key, _ in early)
    for (key, generation), row in rows.nodes.items():
        last = rows.attempts.get((key, generation, row.attempt))
        if rows.specs[key.node].get("kind") == "script":
            continue  # it runs again in every process, and makes no attempts
        if row.state in (FINISHED, FAILED) and (last is None or last.state not in (row.state, LOST)):
            found.append(f"I1 {key} settled by attempt {row.attempt}, which is {last}")
        if (key, generation, row.attempt + 1) in rows.attempts:
            found.append(f"I4 {key} settled in attempt {row.attempt}, and was tried again")
        if row.state != FINISHED:
            continue
        output = rows.outputs.get((key, generation))
        if output is None:
            found.append(f"I1 {key} has finished without an output")
        elif (event := at.get(output.seq)) is None or (event.type, event.key) != (EVENT_FINISHED, key):
            found.append(f"I8 the output of {key} stands at seq {output.seq}, and its completion elsewhere")
        elif output.frame != row.frame or last is None or last.to_frame != row.frame:
            found.append(f"I8 the completion of {key} is spread over several frames")
    return found


def _check_inputs(rows: Rows) -> list[str]:
    """Each attempt against the inputs that its task declares in `meta`: `{"after": [ids]}`."""
    found: list[str] = []
    by_node: dict[str, list[tuple[Slot, OutputRow]]] = {}
    for slot, output in rows.outputs.items():
        by_node.setdefault(slot[0].node, []).append((slot, output))
    for (key, _, attempt), row in rows.attempts.items():
        meta = rows.specs[key.node].get("meta")
        found.extend(
            f"I6 attempt {attempt} of {key} began before {source} had finished"
            for source in (meta.get("after", []) if isinstance(meta, dict) else [])
            if not _was_there(rows, key, row, source, by_node.get(source, []))
        )
    return found


def _was_there(
    rows: Rows, key: Key, attempt: AttemptRow, source: str, outputs: list[tuple[Slot, OutputRow]]
) -> bool:
    """Whether the input existed when the attempt began, in the same pass of the loops that both stand in."""
    own, other = rows.loops(key.node), rows.loops(source)
    both = takewhile(lambda pair: pair[0] == pair[1], zip(own, other, strict=False))
    shared = sum(1 for _ in both)
    here = key.passes(own)[:shared]
    return any(
        output.seq <= attempt.start_seq and output.frame <= attempt.from_frame
        for (one, _), output in outputs
        if one.passes(other)[:shared] == here
    )


# --- Two moments --------------------------------------------------------------------------------


def check_history(before: Rows, after: Rows, *, has_new_owner: bool = True) -> list[str]:
    """What no later moment may take back.

    Args:
        has_new_owner: whoever drove the run at the first moment does not any more.
    """
    found = []
    for slot, row in before.nodes.items():
        if after.nodes.get(slot) != row:
            found.append(f"I2 {slot[0]} had settled as {row}, and is {after.nodes.get(slot)}")
    for slot, output in before.outputs.items():
        if after.outputs.get(slot) != output:
            found.append(f"I2 the output of {slot[0]} was {output}, and is {after.outputs.get(slot)}")
    for attempt, old in before.attempts.items():
        new = after.attempts.get(attempt)
        if new is None or (old.state != RUNNING and new != old):
            found.append(f"I2 attempt {attempt[2]} of {attempt[0]} was {old}, and is {new}")
    if after.frames[: len(before.frames)] != before.frames:
        found.append("I8 frames that were stored have changed")
    if after.events[: len(before.events)] != before.events:
        found.append("I8 events that were stored have changed")
    if after.run.fence < before.run.fence:
        found.append(f"I5 the fence fell from {before.run.fence} to {after.run.fence}")
    if has_new_owner and after.run.fence == before.run.fence and after.run.frame != before.run.frame:
        found.append(f"I5 frames were written under fence {before.run.fence}, whose owner was gone")
    return found


def check_process_death(dead: Rows, after: Rows) -> list[str]:
    """What becomes of the attempts that a dead process had in flight."""
    if after.run.frame == dead.run.frame:
        return []  # nobody has taken over yet
    states = {slot: after.attempts[slot].state for slot in dead.running & after.attempts.keys()}
    return [
        f"I4 attempt {attempt} of {key} was cut off, and is in state {state}"
        for (key, _, attempt), state in states.items()
        if state != LOST
    ]


# --- The journal --------------------------------------------------------------------------------


def executions(lines: list[Line]) -> Counter[tuple[str, int]]:
    """How often each attempt of each key was executed."""
    return Counter((line.key, line.attempt) for line in lines if line.what == "start")


def run_twice(rows: Rows, lines: list[Line]) -> list[str]:
    """Executions that no attempt stands for: after a completion, or a second one of the same attempt.

    A completion belongs to the last attempt of its key (`check_rows`), so an execution after it would have a
    number that no row has, or one that was used already.
    """
    stored = Counter((str(key), attempt) for key, _, attempt in rows.attempts)
    return [
        f"I4 attempt {attempt} of {key} was executed {count} times, and stored {stored[key, attempt]} times"
        for (key, attempt), count in executions(lines).items()
        if count > stored[key, attempt]
    ]


def run_after_completion(
    rows: Rows, lines: list[Line], offset_ms: float, slack_ms: float = 20.0
) -> list[str]:
    """Executions that began after the frame that settled their key was made, by the machine's clocks.

    Args:
        offset_ms: wall clock minus monotonic clock.
        slack_ms: how far the wall clock may have been slewed meanwhile.
    """
    at = {event.seq: event.at_ms + rows.run.created_ms for event in rows.events}
    settled = {str(key): at[output.seq] for (key, _), output in rows.finished.items() if output.seq in at}
    return [
        f"I4 {line.key} had finished, and was started again"
        for line in lines
        if line.what == "start"
        and line.key in settled
        and line.at_ns / 1e6 + offset_ms > settled[line.key] + 1 + slack_ms
    ]


def check_journal(rows: Rows, lines: list[Line], unjournalled: Collection[str] = ()) -> list[str]:
    """Rows against what the tasks themselves say; for a run whose processes have all ended.

    Args:
        unjournalled: ids of tasks that leave no lines, such as values.
    """
    found = run_twice(rows, lines)
    starts = executions(lines)
    ends = Counter((line.key, line.attempt) for line in lines if line.what == "end")
    for (key, _, attempt), row in rows.attempts.items():
        if key.node in unjournalled:
            continue
        name = (str(key), attempt)
        if row.state in (FINISHED, FAILED) and not starts[name]:
            found.append(f"I3 attempt {attempt} of {key} has ended and was never executed")
        if row.state == FINISHED and not ends[name]:
            found.append(f"I3 attempt {attempt} of {key} has finished, and its function had not")
    # A key may be executed once, once more for each kill that hit it, and once more for each counted failure.
    allowed: Counter[str] = Counter()
    for (key, _, _), row in rows.attempts.items():
        allowed[str(key)] += row.state in (FINISHED, LOST) or bool(row.state == FAILED and row.counted)
    total: Counter[str] = Counter()
    for (name_, _), count in starts.items():
        total[name_] += count
    for name_, count in total.items():
        if count > max(1, allowed[name_]):
            found.append(f"I4 {name_} was executed {count} times, and {allowed[name_]} would do")
    return found


# --- The end ------------------------------------------------------------------------------------


def check_end(rows: Rows, undisturbed: Rows) -> list[str]:
    """A run that has ended, against one that nobody disturbed."""
    found = []
    if rows.run.state != undisturbed.run.state:
        found.append(
            f"I12 the run is in state {rows.run.state}, not {undisturbed.run.state}: {rows.run.error}"
        )
    if rows.run.owner is not None:
        found.append("I7 the run has ended and still names an owner")
    if rows.running:
        found.append(f"I7 the run has ended and {len(rows.running)} attempts have not")
    newest = _newest(rows)
    failed = {key: row for key, row in newest.items() if row.state == FAILED}
    if rows.run.state == RUN_FINISHED and not all(rows.has_handler(key.node) for key in failed):
        found.append("I7 the run is finished, and a node failed")
    if rows.run.state == RUN_PARTIAL and not failed:
        found.append("I7 the run is partial, and no node failed")
    if any(row.reason is None and not rows.has_handler(key.node) for key, row in failed.items()):
        found.append("I7 a node failed, and nobody tolerated it")
    tasks = {node for node, spec in rows.specs.items() if spec.get("kind") == "task"}
    found.extend(f"I7 {node} never settled" for node in tasks - {key.node for key in newest})
    expected = _newest(undisturbed)
    if newest.keys() != expected.keys():
        found.append(f"I12 other keys settled: {sorted(map(str, newest.keys() ^ expected.keys()))[:5]}")
    found.extend(
        f"I12 {key} settled as {row.state} instead of {expected[key].state}"
        for key, row in newest.items()
        if key in expected and row.state != expected[key].state
    )
    if sorted(rows.cached) != sorted(undisturbed.cached):
        found.append(f"I13 the cache has {len(rows.cached)} outputs instead of {len(undisturbed.cached)}")
    bodies, wanted = _bodies(rows), _bodies(undisturbed)
    found.extend(
        f"I12 {key} answered {bodies.get(key)} instead of {body}"
        for key, body in wanted.items()
        if bodies.get(key) != body
    )
    return found


def check_blobs(rows: Rows, folder: Path) -> list[str]:
    """Outputs that are kept in files are there, and are what their rows say."""
    found = []
    for (key, _), output in rows.outputs.items():
        digest = output.body.removeprefix(BLOB)
        if digest == output.body:
            continue
        file = folder / digest[:2] / digest
        if not file.exists() or sha256(file.read_bytes()).hexdigest() != digest:
            found.append(f"I12 the file of {key}'s output is missing, or holds something else")
    return found


def check_prefix(rows: Rows, undisturbed: Rows) -> list[str]:
    """A run that was stopped by a fault: all that it has settled, an undisturbed one settles just so."""
    wanted, bodies = _newest(undisturbed), _bodies(undisturbed)
    found = [
        f"I12 {key} settled as {row.state}, and not as {wanted[key].state if key in wanted else None}"
        for key, row in _newest(rows).items()
        if key not in wanted or wanted[key].state != row.state
    ]
    found += [
        f"I12 {key} answered {body[:80]}, and not {bodies.get(key, '')[:80]}"
        for key, body in _bodies(rows).items()
        if bodies.get(key) != body
    ]
    return found


def _newest(rows: Rows) -> dict[Key, NodeRow]:
    return {key: row for (key, _), row in sorted(rows.nodes.items())}


def _bodies(rows: Rows) -> dict[Key, str]:
    return {key: output.body for (key, _), output in sorted(rows.outputs.items())}


def processes_marked(word: str) -> list[int]:
    """Pids of living processes that have `word` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # A zombie has no environment any more.
            if word.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # gone meanwhile, or not ours
    return found
