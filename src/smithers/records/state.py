"""The words that are stored as numbers: where runs, nodes and attempts stand, what failed, what happened."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RunState(IntEnum):
    """Where a run stands. The numbers are stored and never change meaning."""

    RUNNING = 1
    WAITING = 2
    PAUSED = 3
    FINISHED = 4
    PARTIAL = 5
    FAILED = 6
    CANCELLED = 7
    CONTINUED = 8

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def has_ended(self) -> bool:
        return self >= RunState.FINISHED


class NodeState(IntEnum):
    """Where a node stands. The numbers are stored and never change meaning."""

    PENDING = 0
    RUNNING = 1
    WAITING = 2
    FINISHED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6

    @property
    def word(self) -> str:
        return self.name.lower()


class AttemptState(IntEnum):
    """Where an attempt stands; words as for nodes, and `lost`: cut off by our own death."""

    RUNNING = 1
    FINISHED = 3
    FAILED = 4
    CANCELLED = 6
    LOST = 7

    @property
    def word(self) -> str:
        return self.name.lower()


class FailureClass(IntEnum):
    """What kind of failure ended an attempt: decided once, stored, used everywhere."""

    QUOTA = 1
    THROTTLE = 2
    AUTH = 3
    MISSING_BINARY = 4
    BAD_OUTPUT = 5
    TIMEOUT = 6
    STALLED = 7
    CRASH = 8
    REFUSAL = 9
    LOGIC = 10
    LOST = 11
    FATAL = 12

    @property
    def word(self) -> str:
        return self.name.lower()


class EventType(IntEnum):
    """What happened. The numbers are stored and never change meaning."""

    RUN_STARTED = 1
    RUN_RESUMED = 2
    RUN_WAITING = 3
    RUN_PAUSED = 4
    RUN_FINISHED = 5
    RUN_PARTIAL = 6
    RUN_FAILED = 7
    RUN_CANCELLED = 8
    RUN_WARNING = 9
    CANCEL_REQUESTED = 10
    PAUSE_REQUESTED = 11
    RUN_RELOADED = 12
    RUN_CONTINUED = 13
    RUN_LOG = 15
    """A line that the workflow wrote for people."""
    NODE_STARTED = 20
    NODE_FINISHED = 21
    NODE_FAILED = 22
    NODE_RETRYING = 23
    NODE_SKIPPED = 24
    NODE_CANCELLED = 25
    NODE_LOST = 26
    NODE_BLOCKED = 27
    NODE_REOPENED = 28
    CHILD_STARTED = 29
    PASS_ENDED = 40
    LOOP_DONE = 41
    BLOCK_MOVED = 50
    BLOCK_ENDED = 51
    BLOCK_REOPENED = 52
    WAIT_OPENED = 60
    WAIT_DECIDED = 61
    """Somebody has approved, denied, answered or skipped it; a signal was taken; its time has come."""
    WAIT_WITHDRAWN = 62
    SIGNAL_SENT = 63
    """To the run; whether anybody waits for it or not."""
    WAIT_REMINDED = 64
    """It still waits for somebody."""

    @property
    def word(self) -> str:
        """`NODE_STARTED` reads as `node-started`."""
        return self.name.lower().replace("_", "-")


class Verdict(IntEnum):
    """How a pass of a loop ended."""

    NEXT = 0
    UNTIL = 1
    MAX_REACHED = 2


class InboxKind(IntEnum):
    """What an outsider asks of a run's owner."""

    CANCEL = 1
    PAUSE = 2
    SIGNAL = 3
    """A message by name, for whoever waits for it now or later; kept for good."""
    DECIDED = 4
    """A wait of the run was decided."""
    WAKE = 5
    """A run that is what a node does can go on."""
    ASK = 6
    """An agent at work asks a person."""

    @property
    def is_order(self) -> bool:
        """Whether it is about the whole run: pause, or cancel."""
        return self <= InboxKind.PAUSE


TOLERATED: Final = "continued"
"""Stored reason of a node that failed for good, and whose failure its `continue_on_fail` tolerated."""

SUSPECT: Final = "suspect"
"""Begins the reason of a finished node whose answer looks like a placeholder."""
IN_PART: Final = "in part"
"""Stored reason of a node that finished, and whose own run tolerated a failure."""

STATE_LIMIT_BYTES: Final = 10_000_000
"""What one run hands over to the next may have so many bytes."""

INPUT_LIMIT_BYTES: Final = 1 << 20
"""Inputs above this are refused."""

BLOB_LIMIT_BYTES: Final = 1 << 20
"""Outputs above this live in a file named by their hash, not in the row."""
