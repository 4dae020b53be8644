"""`up -d`: the same command in a process of its own, left when it has proved that it owns the run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.options import with_store
from smithers.clock import SystemClock
from smithers.errors import RunFailed, StoreNotFound
from smithers.observe import lookup, next_step
from smithers.records import RunRow
from smithers.store import open_store

PROOF_S = 30.0
"""How long the new process may take to own the run."""
POLL_S = 0.05
TAIL = 20
"""Lines of a log that are shown when its process died early."""


@dataclass(frozen=True, slots=True)
class Background:
    """What is started in the background."""

    store: Path
    run_id: str
    words: list[str]
    """Its command line, without `-d` and `--input`."""
    given: Any
    """Its input, which it reads from its standard input; None: it has none."""
    named: str | None
    """What `--store` said."""
    is_json: bool

    @property
    def log(self) -> Path:
        return self.store.parent / "logs" / f"{self.run_id}.log"


def start_detached(wanted: Background) -> int:
    """Start `smithers` in the background, and leave when it owns the run.

    Returns:
        0 once the run has begun, whatever has become of it; the new process' own exit code if it left before.
    """
    before = _row(wanted.store, wanted.run_id)
    child, began = spawn(wanted)
    row = _await_begin(wanted, child, before)
    if row is None:
        code = child.wait()
        return _tell_refused(wanted, code if code >= 0 else 128 - code, began)  # a signal, as shells say it
    _tell_begun(wanted, row, child)
    return ExitCode.FINISHED


def spawn(wanted: Background) -> tuple[subprocess.Popen[bytes], int]:
    """Start the process; returns it, and where in the log its own lines begin."""
    wanted.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = [*wanted.words, "--json"] if wanted.is_json else wanted.words
    if wanted.given is not None:
        words = [*words, "--input", "-"]
    with wanted.log.open("ab") as output:
        began = wanted.log.stat().st_size
        child = subprocess.Popen(
            [sys.executable, "-m", "smithers", *words],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Started by a task it would count as a program of that attempt, and end with it.
            env={name: value for name, value in os.environ.items() if name != "SMITHERS_ATTEMPT"},
        )
    if child.stdin is not None:
        # It may have left already, with a reason that stands in its log.
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            if wanted.given is not None:
                stdin.write(json.dumps(wanted.given).encode())
    return child, began


def _await_begin(wanted: Background, child: subprocess.Popen[bytes], before: RunRow | None) -> RunRow | None:
    """The run's row once `child` owns it, or has left it behind; None: it left before the run had begun.

    Args:
        before: the row as it was before the process was started.
    """
    until = time.monotonic() + PROOF_S
    while time.monotonic() < until:
        gone = child.poll() is not None
        row = _row(wanted.store, wanted.run_id)
        if row is not None and row.owner is not None and row.owner.pid == child.pid:
            return row
        if gone:
            # Short runs are over sooner than they are looked at. What was refused has not moved: if the run
            # has, somebody else drives it.
            has_moved = row is not None and (before is None or row.seq > before.seq)
            return row if has_moved and child.returncode != ExitCode.REFUSED else None
        time.sleep(POLL_S)
    terminal.note(f"process {child.pid} has not begun within {PROOF_S:.0f} s; it goes on trying")
    raise RunFailed(
        f"{wanted.run_id} has no owner yet",
        hint=f"look again with `smithers ps`; its pid is {child.pid}, its log {os.path.relpath(wanted.log)}",
    )


def _tell_begun(wanted: Background, row: RunRow, child: subprocess.Popen[bytes]) -> None:
    if wanted.is_json:
        found = {"status": row.state.word, "run": row.name, "pid": child.pid, "log": str(wanted.log)}
        print(json.dumps(found, ensure_ascii=False))
        return
    if row.owner is not None:
        print(f"{row.name} runs in the background as process {child.pid}")
    else:
        print(f"{row.name} ran in the background as process {child.pid}, and is {row.state.word} already")
    print(f"  log:    {os.path.relpath(wanted.log)}")
    if row.owner is not None:
        print(f"  follow: {with_store(next_step.follow(row.name), wanted.named)}")
        print(f"  pause:  {with_store(next_step.pause(row.name), wanted.named)}")
        print(f"  end:    {with_store(next_step.cancel(row.name), wanted.named)}")
    else:
        print(f"  look:   {with_store(next_step.inspect(row.name), wanted.named)}")


def _tell_refused(wanted: Background, code: int, began: int) -> int:
    """Show why the process left before its run had begun: the end of what it wrote."""
    lines = wanted.log.read_bytes()[began:].decode(errors="replace").splitlines()
    result = lines.pop() if lines and (wanted.is_json or code == ExitCode.FINISHED) else None
    if len(lines) > TAIL:
        terminal.note(f"… {len(lines) - TAIL} lines more in {os.path.relpath(wanted.log)}")
    for line in lines[-TAIL:]:
        terminal.note(line)
    if result is not None:
        print(result)
    return code


def _row(path: Path, run_id: str) -> RunRow | None:
    try:
        # Not `open_project`: the child may be just about to make the file, which this finishes.
        reader = open_store(path, clock=SystemClock(), create=False).reader()
    except StoreNotFound:
        return None
    with closing(reader):
        row = lookup.exact_run(reader, run_id)
        return None if row is None else reader.newest(row.id)  # it may have gone on as a new run
