#!/usr/bin/env python3
"""Plays Claude Code: the same stream, sessions that are kept, and a lock that tells of two in one place.

It works in small steps, and each step is written to a file of the place, so that a session that is gone on
with begins where it stood. Whoever finds the lock held by a living process writes down a clash.
"""

import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path

STEPS = 12
PLACE = Path.cwd()


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def lock() -> None:
    for _ in range(2):
        try:
            file = os.open(PLACE / "agent.lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            holder = int((PLACE / "agent.lock").read_text() or 0)
            if holder and lives(holder):
                with (PLACE / "clashes").open("a") as clashes:
                    clashes.write(f"{os.getpid()} met {holder}\n")
                raise SystemExit(9) from None
            (PLACE / "agent.lock").unlink()
            continue
        os.write(file, str(os.getpid()).encode())
        os.close(file)
        return


def main() -> None:
    words = sys.argv[1:]
    sys.stdin.read()
    session = words[words.index("--resume") + 1] if "--resume" in words else str(uuid.uuid4())
    kept = PLACE / f"session-{session}"
    if "--resume" in words and not kept.exists():
        print(f"No conversation found with session ID: {session}", file=sys.stderr)
        raise SystemExit(1)
    lock()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # the lock stays: its holder is dead
    kept.touch()
    say(type="system", subtype="init", session_id=session, tools=[], model="stand-in")
    with (PLACE / "begun").open("a") as begun:
        begun.write(f"{session} {'resumed' if '--resume' in words else 'new'}\n")
    if os.fork() == 0:  # a tool that goes on by itself, in a session of its own
        os.setsid()
        time.sleep(30)
        os._exit(0)
    done = len(kept.read_text().splitlines())
    for step in range(done, STEPS):
        time.sleep(0.05)
        with kept.open("a") as file:
            file.write(f"step {step}\n")
        say(
            type="assistant",
            message={"model": "stand-in", "content": [{"type": "text", "text": f"step {step}"}]},
        )
    (PLACE / "agent.lock").unlink()
    usage = {"input_tokens": 100, "output_tokens": 10}
    say(
        type="result", subtype="success", is_error=False, session_id=session, usage=usage,
        total_cost_usd=0.01, result=json.dumps({"text": session}),
    )  # fmt: skip


main()
