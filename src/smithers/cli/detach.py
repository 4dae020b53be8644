"""`up -d`: the same command in a process of its own, left when it has proved that it owns the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from smithers.cli import terminal
from smithers.clock import SystemClock
from smithers.errors import RunFailed, StoreNotFound
from smithers.ids import short_run_id
from smithers.observe import next_step
from smithers.records import OwnerHealth, RunFilter, RunRow
from smithers.store import open_store

PROOF_S = 30.0
"""How long the new process may take to own the run."""
POLL_S = 0.05


def start_detached(path: Path, is_json: bool) -> int:
    """Start this process' own command line again, in the background.

    Returns:
        0 once the new process owns the run (or has ended it already); its own exit code if it left before.
    """
    words = [word for word in sys.argv[1:] if word not in ("-d", "--detach")]
    run_id = _option(words, "--run-id", "-r") or _resumed(words)
    if run_id is None:
        run_id = short_run_id(Random())
        words += ["--run-id", run_id]
    log = path.parent / "logs" / f"{run_id}.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        began = log.stat().st_size
        child = subprocess.Popen(
            [sys.executable, "-m", "smithers", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
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
        reader = open_store(path, clock=SystemClock(), create=False).reader()
    except StoreNotFound:
        return None
    with closing(reader):
        return next((row for row in reader.runs(RunFilter()) if row.name == run_id), None)


def _option(words: list[str], *names: str) -> str | None:
    for index, word in enumerate(words):
        if word in names and index + 1 < len(words):
            return words[index + 1]
        for name in names:
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
    return None


def _resumed(words: list[str]) -> str | None:
    value = _option(words, "--resume")
    return value if value not in (None, "true", "false") else None
