"""Exit codes: what each means, in one place. Commands return them, help and the documentation list them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from smithers.records import RunState


class ExitCode(IntEnum):
    """How a command ended."""

    FINISHED = 0
    FAILED = 1
    CANCELLED = 2
    PARKED = 3
    REFUSED = 4
    PARTIAL = 5
    INTERRUPTED = 130
    CLOSED = 141
    TERMINATED = 143


MEANINGS: Final[Mapping[ExitCode, tuple[str, str]]] = {
    ExitCode.FINISHED: (
        "finished",
        """also a run in the background that has begun, a command that finds its work done already, and a look
        at a project without runs""",
    ),
    ExitCode.FAILED: (
        "failed",
        """the run has failed, the store cannot be used, `doctor` has found something wrong, `agents doctor`
        nothing that can be used, an agent that `agents test` asked has not answered, `notify test` or
        `notify send` could not deliver, what `pause`, `down` or `cancel` asked for is not done yet, or what
        `supervise --once` has found was not taken over""",
    ),
    ExitCode.CANCELLED: ("cancelled", "somebody ended the run"),
    ExitCode.PARKED: (
        "paused or waiting",
        """the run was paused, or waits for a person, a message, or a time that is further away than
        `--linger` allows; an answer or a resume continues it""",
    ),
    ExitCode.REFUSED: (
        "refused (nothing was changed)",
        """usage, input, a mistake in the first frame, an unknown or ambiguous run, a run that exists already
        or that another process drives, an output that is not there, a service that cannot be installed""",
    ),
    ExitCode.PARTIAL: ("partial", "a failure was tolerated, or a task was skipped because of one"),
    ExitCode.INTERRUPTED: ("interrupted", "Ctrl+C; a run is paused"),
    ExitCode.CLOSED: ("output closed", "whoever read the output has left"),
    ExitCode.TERMINATED: ("terminated", "SIGTERM; a run is paused"),
}
"""Each code in short, and what it stands for besides."""

OF_A_RUN: Final[Mapping[RunState, ExitCode]] = {
    RunState.FINISHED: ExitCode.FINISHED,
    RunState.FAILED: ExitCode.FAILED,
    RunState.CANCELLED: ExitCode.CANCELLED,
    RunState.WAITING: ExitCode.PARKED,
    RunState.PAUSED: ExitCode.PARKED,
    RunState.PARTIAL: ExitCode.PARTIAL,
}
"""What `up` leaves with, by how its run stands then."""


def in_short() -> str:
    """All codes in a sentence, as `smithers up --help` lists them."""
    return "Exit codes: " + ", ".join(f"{int(code)} {short}" for code, (short, _) in MEANINGS.items()) + "."


def table() -> str:
    """All codes as a table in Markdown."""
    head = "| Code | Means | That is |\n|---|---|---|\n"
    rows = (
        f"| {int(code)} | {short} | {' '.join(long.split())} |\n" for code, (short, long) in MEANINGS.items()
    )
    return head + "".join(rows)
