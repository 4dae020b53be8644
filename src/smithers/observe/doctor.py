"""What is wrong with a store, its owners and its runs, and what to do about each: a list of checks.

A check is a function from an examination to findings. To add one, write it and put it into `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from smithers.observe import moment, next_step
from smithers.observe.snapshot import shown_status
from smithers.observe.summary import named, owner_name, silence
from smithers.records import OwnerHealth, RunState

if TYPE_CHECKING:
    from smithers.records.examination import Examination, OwnerExamination

LITTLE_BYTES: Final = 200 << 20
"""With less free disk space than this, runs may stop at any commit."""

_NAMED: Final = 10
"""Runs that are listed one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw."""

    check: str
    """What was looked at: `store`, `file system`, `disk`, `integrity`, `owners`, `processes`, `runs`."""
    is_wrong: bool
    text: str
    command: str | None = None
    """What to type, or to do, when it is wrong."""
    run: str | None = None

    def document(self) -> dict[str, Any]:
        """One of `findings` in the JSON of `smithers doctor --json`."""
        return {
            "check": self.check,
            "level": "wrong" if self.is_wrong else "ok",
            "text": self.text,
            "command": self.command,
            "run": self.run,
        }


Check = Callable[["Examination"], Iterator[Finding]]


def _store(seen: Examination) -> Iterator[Finding]:
    if seen.problem is not None:
        text = f"[{seen.problem['code']}] {seen.problem['message']}"
        yield Finding("store", True, text, str(seen.problem["hint"]))
        return
    log = f", and {size(seen.log_bytes)} of log" if seen.log_bytes else ""
    older = f" (the next run brings it to {seen.newest_schema})" if seen.schema != seen.newest_schema else ""
    text = f"{seen.path}: {size(seen.size_bytes)}{log}, schema {seen.schema}{older}"
    yield Finding("store", False, text)
    if not seen.is_writable:
        yield Finding("store", True, "it cannot be written", f"chmod u+w {quote(seen.path)}")
    if seen.mode & 0o077:
        text = f"others may read it (mode {seen.mode:04o}), and it holds prompts and answers"
        yield Finding("store", True, text, f"chmod 600 {quote(seen.path)}")


def _file_system(seen: Examination) -> Iterator[Finding]:
    if seen.is_network:
        text = f"{seen.file_system} is a network file system, where SQLite cannot share a database safely"
        yield Finding("file system", True, text, "pass --store PATH on a local disk")
    else:
        yield Finding("file system", False, seen.file_system or "unknown; taken as local")


def _disk(seen: Examination) -> Iterator[Finding]:
    is_little = seen.free_bytes < LITTLE_BYTES
    todo = f"free disk space, then resume what has stopped; look with `df -h {quote(seen.path)}`"
    yield Finding("disk", is_little, f"{size(seen.free_bytes)} free", todo if is_little else None)


def _integrity(seen: Examination) -> Iterator[Finding]:
    if seen.problem is not None:
        return
    if not seen.damage:
        yield Finding("integrity", False, "SQLite's quick check finds no damage")
        return
    save = f"restore it from a backup, or save what can be read: sqlite3 {quote(seen.path)} .recover"
    yield Finding("integrity", True, f"the file is damaged: {named(seen.damage)}", save)


def _owners(seen: Examination) -> Iterator[Finding]:
    if seen.problem is not None or seen.damage:
        return
    held = [one for one in seen.owners if one.runs]
    if not held:
        yield Finding("owners", False, "no process drives a run")
    for one in held:
        yield _owner(one, seen.now_ms)


def _owner(one: OwnerExamination, now_ms: int) -> Finding:
    who, what = owner_name(one.owner), named(one.runs)
    if one.is_stopped:
        return Finding("owners", True, f"{who} is stopped, and holds {what}", f"kill -CONT {one.owner.pid}")
    match one.health:
        case OwnerHealth.ALIVE:
            return Finding("owners", False, f"{who} drives {what}")
        case OwnerHealth.EXPIRED:
            ended = moment.ago(one.owner.expires_wall_ms, now_ms)
            text = f"{who} is silent, its lease ended {ended}; it held {what}"
            return Finding("owners", True, text, next_step.resume(one.runs[0]))
        case OwnerHealth.DEAD | OwnerHealth.NONE:
            return Finding("owners", True, f"{who} has died, and held {what}", "smithers down")


def _runs(seen: Examination) -> Iterator[Finding]:
    if seen.problem is not None or seen.damage:
        return
    wrong = list(_left_behind(seen))
    if not wrong:
        count = len(seen.runs)
        text = "none is left behind" + (f"; {count} unfinished" if count else "")
        yield Finding("runs", False, text)
    yield from wrong[:_NAMED]
    if len(wrong) > _NAMED:
        yield Finding("runs", True, f"{len(wrong) - _NAMED} more like these", "smithers ps -a")


def _left_behind(seen: Examination) -> Iterator[Finding]:
    """Runs that nobody drives although they should go on."""
    for one in seen.runs:
        run, name = one.run, one.run.name
        status = shown_status(run)
        if status in ("orphaned", "stalled"):
            text = f"{name} is {status}: {silence(run, seen.now_ms)}"
            yield Finding("runs", True, text, next_step.resume(name), name)
        elif (
            run.state is RunState.WAITING
            and run.owner is None
            and one.due_ms is not None
            and one.due_ms <= seen.now_ms
        ):
            text = f"{name} was due {moment.ago(one.due_ms, seen.now_ms)}, and nobody wakes it"
            yield Finding("runs", True, text, next_step.resume(name), name)


def _processes(seen: Examination) -> Iterator[Finding]:
    if seen.problem is not None or seen.damage:
        return
    if not seen.orphans:
        yield Finding("processes", False, "none was left behind by a process that died")
    for one in seen.orphans:
        pids = ", ".join(map(str, one.pids))
        text = f"{one.program} (process {pids}) of {one.node} in {one.run} runs on, its owner is gone"
        yield Finding("processes", True, text, "smithers down", one.run)


CHECKS: Final[tuple[Check, ...]] = (_store, _file_system, _disk, _integrity, _owners, _processes, _runs)
"""In the order they are shown."""


def diagnose(seen: Examination) -> list[Finding]:
    """What all checks find."""
    return [finding for check in CHECKS for finding in check(seen)]


def size(count: int) -> str:
    """Bytes as people read them: `812 B`, `5.8 MB`."""
    if count < 1000:
        return f"{count} B"
    amount, units = float(count), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while amount >= 999.5:
        amount, unit = amount / 1000, next(units, "PB")
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
