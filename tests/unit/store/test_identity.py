"""Who lives, judged from where we stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from smithers.records import Owner, OwnerHealth
from smithers.store import Identity, health, this_process
from smithers.store.identity import _is_alive_by_psutil, _started_by_psutil, _stat


@dataclass
class Clock:
    wall_ms: int = 50_000
    uptime_ms: int = 10_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.uptime_ms


def owner(who: Identity, *, wall_ms: int = 50_001, uptime_ms: int = 10_001) -> Owner:
    return Owner(1, who.host, who.boot, who.namespace, who.pid, who.ticks, 0, wall_ms, uptime_ms)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its input to end; its name would confuse a careless reader of `stat`."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def identity_of(process: subprocess.Popen[bytes]) -> Identity:
    found = _stat(process.pid)
    assert found is not None
    return replace(this_process(), pid=process.pid, ticks=found[1])


def test_this_process_is_alive_and_told_from_others() -> None:
    here = this_process()
    assert here.pid == os.getpid()
    assert here.host == os.uname().nodename
    assert here.boot
    assert health(owner(here), Clock()) is OwnerHealth.ALIVE
    assert health(None, Clock()) is OwnerHealth.NONE


def test_a_living_local_owner_expires_on_the_monotonic_clock_alone() -> None:
    # The wall clock may jump by years; both processes share the other one.
    held = owner(this_process(), wall_ms=0)
    assert health(held, Clock(wall_ms=10**13)) is OwnerHealth.ALIVE
    assert health(held, Clock(uptime_ms=10_001)) is OwnerHealth.EXPIRED


def test_a_reused_pid_is_not_the_old_process() -> None:
    here = this_process()
    assert health(owner(replace(here, ticks=here.ticks - 1)), Clock()) is OwnerHealth.DEAD


def test_a_process_is_alive_until_it_ends_and_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    held = owner(identity_of(child))
    assert health(held, Clock()) is OwnerHealth.ALIVE
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and left where it is
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert health(held, Clock()) is OwnerHealth.DEAD
    child.wait()
    assert health(held, Clock()) is OwnerHealth.DEAD


@pytest.mark.parametrize(
    "elsewhere", [replace(this_process(), boot="another"), replace(this_process(), namespace="pid:[1]")]
)
def test_elsewhere_only_the_wall_clock_counts_and_longer(elsewhere: Identity) -> None:
    # Not even a pid that is dead here says anything there.
    far = owner(replace(elsewhere, ticks=0), wall_ms=50_000, uptime_ms=0)
    assert health(far, Clock(wall_ms=54_999)) is OwnerHealth.ALIVE
    assert health(far, Clock(wall_ms=55_000)) is OwnerHealth.EXPIRED


def test_without_proc_the_same_is_found_by_psutil(child: subprocess.Popen[bytes]) -> None:
    started = _started_by_psutil(child.pid)
    assert _is_alive_by_psutil(child.pid, started)
    assert not _is_alive_by_psutil(child.pid, started - 1)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not _is_alive_by_psutil(child.pid, started)
    child.wait()
    assert not _is_alive_by_psutil(child.pid, started)


def test_a_command_name_with_brackets_and_spaces_does_not_shift_the_fields() -> None:
    # Flushed: where nothing says otherwise, what is printed to a pipe waits for more.
    script = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) Z (b', 0, 0, 0); "
        "print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert b"a) Z (b" in Path(f"/proc/{process.pid}/stat").read_bytes()
    assert health(owner(identity_of(process)), Clock()) is OwnerHealth.ALIVE
    process.kill()
    process.communicate()
