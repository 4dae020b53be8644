"""Process trees: what belongs to one, and how all of it is ended."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from smithers.ports import Trace

from .table import Seen, all_processes, carries, send

VARIABLE: Final = "SMITHERS_ATTEMPT"
"""Marks the environment of everything that an attempt starts."""

PATIENCE_S: Final = 5.0
"""How long a process may take to obey SIGKILL: one that waits for a disk obeys when the disk answers."""

_SHORTEST_S, _LONGEST_S = 0.001, 0.05
"""Between two looks at the table."""


def members(traces: Sequence[Trace]) -> list[Seen]:
    """What is there of these trees, without zombies and without ourselves.

    Proof of belonging is one of: to be the root itself (pid and start time); to be in its session or group
    while the root is there, alive or zombie, because its pid can mean nothing else then; to carry the mark in
    the environment; to descend from any of these.
    """
    if not traces:
        return []
    table = all_processes()
    roots = {
        one.pid for one in traces if (seen := table.get(one.pid)) is not None and seen.ticks == one.ticks
    }
    marks = frozenset(os.fsencode(f"{VARIABLE}={one.mark}") for one in traces)
    # Nothing of a tree is older than the oldest root: the rest of the system is not looked into.
    oldest = min(one.ticks for one in traces)
    found: dict[int, Seen] = {}
    children: defaultdict[int, list[Seen]] = defaultdict(list)
    for seen in table.values():
        children[seen.parent].append(seen)
        if seen.ticks < oldest or seen.pid == os.getpid():
            continue
        if seen.pid in roots or seen.session in roots or seen.group in roots or carries(seen, marks):
            found[seen.pid] = seen
    worklist = list(found.values())
    while worklist:
        for seen in children[worklist.pop().pid]:
            if seen.pid not in found and seen.pid != os.getpid():
                found[seen.pid] = seen
                worklist.append(seen)
    return [seen for seen in found.values() if not seen.is_over]


def end(traces: Sequence[Trace], grace_s: float, patience_s: float = PATIENCE_S) -> list[int]:
    """End trees: SIGTERM, and after the grace SIGKILL, until nothing of them is there.

    Args:
        grace_s: seconds to leave by themselves; 0: SIGKILL at once.
    Returns:
        Pids of what is still there after `patience_s`, or may not be signalled by us.
    """
    if grace_s > 0:
        asked: set[int] = set()
        until = time.monotonic() + grace_s
        pause_s = _SHORTEST_S
        while (found := members(traces)) and time.monotonic() < until:
            for seen in found:
                if seen.pid not in asked:
                    asked.add(seen.pid)
                    send(seen, signal.SIGTERM)
                    send(seen, signal.SIGCONT)  # a stopped process hears nothing else
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_S)
        if not found:
            return []
    until = time.monotonic() + patience_s
    pause_s = _SHORTEST_S
    while found := members(traces):
        refused = [seen.pid for seen in found if not send(seen, signal.SIGKILL)]
        if len(refused) == len(found) or time.monotonic() >= until:
            return [seen.pid for seen in found]
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_S)
    return []
