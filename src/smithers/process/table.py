"""The system's table of processes, and signals that cannot hit the wrong one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
HAS_PROC: Final = (_PROC / "self" / "stat").exists()


class Seen(NamedTuple):
    """One process, as it was looked at."""

    pid: int
    parent: int
    group: int
    session: int
    ticks: int
    """Kernel start time: with the pid, it tells one process from every other of this boot."""
    is_over: bool
    """A zombie: it does nothing any more; its pid stays its own until its exit status is fetched."""


def all_processes() -> dict[int, Seen]:
    """Every process that can be seen from here, by pid."""
    if not HAS_PROC:
        return {seen.pid: seen for seen in _by_psutil()}
    found = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - a thousand paths a look would cost more than the look
        if name.isdigit():
            seen = look(int(name))
            if seen is not None:
                found[seen.pid] = seen
    return found


def look(pid: int) -> Seen | None:
    """One process; None: there is none, or it cannot be seen."""
    if not HAS_PROC:
        return _look_by_psutil(pid)
    try:
        # No file object, which asks the kernel four times more: a look at all processes costs a third less.
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        text = os.read(file, 4096)
    except OSError:
        return None
    finally:
        os.close(file)
    # The command's name stands in brackets and may hold spaces and brackets itself. Field 3 comes next.
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    return Seen(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0] in b"ZX")


def carries(seen: Seen, entries: frozenset[bytes]) -> bool:
    """Whether one of `entries` (`NAME=value`) stood in a process's environment when its program began.

    False for processes of other users: anybody may write anything into an environment of their own.
    """
    if not HAS_PROC:
        return _carries_by_psutil(seen, entries)
    try:
        if os.stat(f"/proc/{seen.pid}").st_uid != os.geteuid():  # noqa: PTH116 - as above
            return False
        with open(f"/proc/{seen.pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            return not entries.isdisjoint(file.read().split(b"\0"))
    except OSError:
        return False


def send(seen: Seen, number: signal.Signals) -> bool:
    """Signal a process, unless its pid belongs to another one by now; False: we are not allowed to."""
    handle = None
    with suppress(OSError, AttributeError):  # an old kernel, another system, or no descriptor left
        handle = os.pidfd_open(seen.pid)
    try:
        # Behind the handle: from here on the pid cannot come to mean another process to us.
        now = look(seen.pid)
        if now is None or now.ticks != seen.ticks:
            return True
        if handle is not None:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(seen.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


# --- Where there is no /proc --------------------------------------------------------------------


def _by_psutil() -> Iterator[Seen]:
    import psutil

    for pid in psutil.pids():
        seen = _look_by_psutil(pid)
        if seen is not None:
            yield seen


def _look_by_psutil(pid: int) -> Seen | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            ticks = int(process.create_time() * 100)
            is_over = process.status() == psutil.STATUS_ZOMBIE
            return Seen(pid, process.ppid(), os.getpgid(pid), os.getsid(pid), ticks, is_over)
    except (psutil.Error, OSError):
        return None


def _carries_by_psutil(seen: Seen, entries: frozenset[bytes]) -> bool:
    import psutil

    try:
        process = psutil.Process(seen.pid)
        if process.uids().effective != os.geteuid():
            return False
        return any(f"{name}={value}".encode() in entries for name, value in process.environ().items())
    except (psutil.Error, OSError):
        return False
