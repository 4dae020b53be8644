"""Which process this is, and whether the process behind an owner still lives."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from smithers.clock import Clock
from smithers.records import Owner, OwnerHealth
from smithers.store.refusal import os_error

SKEW_MS: Final = 5_000
"""How much longer a lease counts when only wall clocks can be compared: other machines' may differ."""

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told from every other one: pids come back, the pair of pid and start time does not."""

    host: str
    boot: str
    """Changes with each start of the machine."""
    namespace: str
    """Pids mean the same only within one pid namespace; empty where the system has none."""
    pid: int
    ticks: int
    """Kernel start time of the process, in clock ticks."""

    def sees(self, owner: Owner) -> bool | None:
        """Whether an owner's process lives; None: it cannot be looked at from here."""
        if (owner.boot, owner.namespace) != (self.boot, self.namespace):
            return None
        return _is_alive(owner.pid, owner.ticks)


def this_process() -> Identity:
    """The identity of the calling process."""
    return _identity(os.getpid())


@lru_cache(maxsize=4)
def _identity(pid: int) -> Identity:
    # By pid, so that a forked child does not take itself for its parent.
    host = os.uname().nodename
    boot = namespace = ""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
        started = _stat(pid)
    except OSError as error:
        _refuse_without_resources(error, _PROC)
        started = None
    if started is None:
        import psutil

        return Identity(host, f"{host}:{int(psutil.boot_time())}", "", pid, _started_by_psutil(pid))
    return Identity(host, boot, namespace, pid, started[1])


def health(owner: Owner | None, clock: Clock, here: Identity | None = None) -> OwnerHealth:
    """What can be said of an owner from where we stand.

    An owner of the same boot and pid namespace can be looked at: it is dead as soon as its process is, and
    its lease is compared on the clock that both processes share. Of any other only the lease's wall-clock
    end is known, and it counts `SKEW_MS` longer.

    Args:
        here: the looking process; the default is this one.
    """
    if owner is None:
        return OwnerHealth.NONE
    lives = (here or this_process()).sees(owner)
    if lives is None:
        has_expired = clock.now_ms() >= owner.expires_wall_ms + SKEW_MS
    elif not lives:
        return OwnerHealth.DEAD
    else:
        has_expired = clock.monotonic_ms() >= owner.expires_monotonic_ms
    return OwnerHealth.EXPIRED if has_expired else OwnerHealth.ALIVE


def is_stopped(owner: Owner, here: Identity | None = None) -> bool:
    """Whether an owner's process is stopped (SIGSTOP, Ctrl+Z, a debugger), as far as can be seen from here.

    Args:
        here: the looking process; the default is this one.
    """
    here = here or this_process()
    if (owner.boot, owner.namespace) != (here.boot, here.namespace):
        return False
    found = _stat(owner.pid)
    return found is not None and found[1] == owner.ticks and found[0] in "Tt"


def _is_alive(pid: int, ticks: int) -> bool:
    if not (_PROC / "self/stat").exists():
        return _is_alive_by_psutil(pid, ticks)
    found = _stat(pid)
    if found is None:
        return _exists(pid)
    state, started = found
    # A zombie has done its last work: only its exit code has not been fetched yet.
    return started == ticks and state not in "ZX"


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process from its `stat` file; None if that cannot be read."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        _refuse_without_resources(error, _PROC / str(pid))
        return None
    # The command's name stands in brackets and may hold spaces and brackets itself. Field 3 comes next.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _refuse_without_resources(error: OSError, path: Path) -> None:
    """A file that could not be opened for want of descriptors says nothing of the process behind it.

    Raises:
        OutOfResources: a dead owner must not be taken for a living one, nor ourselves for somebody else.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise os_error(error, path, "read") from error


def _exists(pid: int) -> bool:
    """Whether there is such a process: `hidepid` hides the files of other users', not their pids."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started_by_psutil(pid: int) -> int:
    """Start time in hundredths of a second, where there is no `/proc`."""
    import psutil  # 15 ms: not for those who have /proc

    return int(psutil.Process(pid).create_time() * 100)


def _is_alive_by_psutil(pid: int, ticks: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and _started_by_psutil(pid) == ticks
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # somebody's; the lease decides
