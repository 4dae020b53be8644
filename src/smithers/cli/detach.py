"""`up -d`: the same command in a process of its own, left when it has proved that it owns the run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from smithers.cli import terminal
from smithers.clock import SystemClock
from smithers.errors import RunFailed, StoreNotFound
from smithers.observe import lookup, next_step
from smithers.records import OwnerHealth, RunRow
from smithers.store import open_store

PROOF_S = 30.0
"""How long the new process may take to own the run."""
POLL_S = 0.05


def start_detached(path: Path, run_id: str, words: list[str], given: Any, is_json: bool) -> int:
    """Start `smithers` in the background, and leave when it owns the run.

    Args:
        words: its command line, without `-d`, and without `--input`.
        given: its input, which it reads from its standard input; None: it has none.
    Returns:
        0 once the new process owns the run (or has ended it already); its own exit code if it left before.
    """
    if given is not None:
        words = [*words, "--input", "-"]
    log = path.parent / "logs" / f"{run_id}.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        began = log.stat().st_size
        child = subprocess.Popen(
            [sys.executable, "-m", "smithers", *words],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    if child.stdin is not None:
        # It may have left already, with a reason that stands in its log.
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            if given is not None:
                stdin.write(json.dumps(given).encode())
    row = _await_owner(path, run_id, child)
    if row is None:
        code = child.wait()
        tail = log.read_bytes()[began:].decode(errors="replace")
        if code == 0:
            print(tail, end="")
            return 0
        sys.stderr.write(tail)
        return code
    if is_json:
        print(json.dumps({"status": row.state.word, "run": row.name, "pid": child.pid, "log": str(log)}))
    else:
        print(f"{row.name} runs in the background as process {child.pid}")
        print(f"  log:    {os.path.relpath(log)}")
        print(f"  follow: {next_step.follow(row.name)}")
        print(f"  end:    {next_step.cancel(row.name)}")
    return 0


def _await_owner(path: Path, run_id: str, child: subprocess.Popen[bytes]) -> RunRow | None:
    """The run's row once `child` owns it; None: the child left first."""
    until = time.monotonic() + PROOF_S
    while time.monotonic() < until:
        gone = child.poll() is not None
        row = _row(path, run_id)
        if row is not None and row.owner is not None and row.owner.pid == child.pid:
            return row
        if gone:
            ended = row is not None and row.health is OwnerHealth.NONE and row.state.has_ended
            return row if ended and child.returncode == 0 else None
        time.sleep(POLL_S)
    terminal.note(f"process {child.pid} has not begun within {PROOF_S:.0f} s; it goes on trying")
    raise RunFailed(
        f"{run_id} has no owner yet", hint=f"look again with `smithers ps`; its pid is {child.pid}"
    )


def _row(path: Path, run_id: str) -> RunRow | None:
    try:
        # Not `open_project`: the child may be just about to make the file, which this finishes.
        reader = open_store(path, clock=SystemClock(), create=False).reader()
    except StoreNotFound:
        return None
    with closing(reader):
        return lookup.exact_run(reader, run_id)
