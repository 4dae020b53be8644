"""A program of ours: waiting for its go, running, or gone."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Final

from smithers.errors import ProcessCrashed, ProgramNotFound, SpawnFailed
from smithers.ports import Exit, Program, Trace

from . import tree

_log = logging.getLogger("smithers")

LEFTOVER_GRACE_S: Final = 1.0
"""How long what a program leaves behind may take to end by itself, once the program has."""


class RunningChild:
    """Implements `ports.WaitingChild`; made by the spawner."""

    def __init__(
        self, process: subprocess.Popen[bytes], trace: Trace, program: Program, go: int, fault: int
    ) -> None:
        """Take over a fresh stub and our ends of its two pipes."""
        self.trace = trace
        self.ended: Future[Exit] = Future()
        self._process = process
        self._program = program
        self._lock = threading.Lock()
        self._go: int | None = go
        self._fault: int | None = fault
        self._gone: Callable[[Exit], None] | None = None
        self._grace_s = LEFTOVER_GRACE_S

    @property
    def stdin(self) -> IO[bytes] | None:
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        return self._process.stderr

    def go(self, gone: Callable[[Exit], None]) -> None:
        """Let the program begin; see `ports.WaitingChild.go`."""
        with self._lock:
            go, self._go = self._go, None
            fault, self._fault = self._fault, None
            if go is None or fault is None:
                raise ProcessCrashed(f"{self._program.argv[0]} was ended before it began")
            self._gone = gone
        try:
            with suppress(BrokenPipeError):  # the stub has been killed: `ended` says so
                os.write(go, b"G")
            os.close(go)
            found = os.read(fault, 16)  # ends with the exec, or says why there was none
        finally:
            os.close(fault)
        if found:
            self.ended.result()
            raise _not_begun(int(found), self._program)

    def drop(self) -> None:
        """End it instead of letting it begin."""
        with self._lock:
            pipes = [one for one in (self._go, self._fault) if one is not None]
            self._go = self._fault = None
        for one in pipes:
            os.close(one)

    def end(self, grace_s: float) -> None:
        """End the whole tree and wait until it is gone."""
        self.drop()
        self._grace_s = min(self._grace_s, grace_s)
        while not self.ended.done():
            # What does not obey SIGKILL yet waits for a disk, and obeys when that answers.
            left = self._end_tree(grace_s)
            grace_s = 0
            with suppress(TimeoutError):
                self.ended.result(timeout=None if not left else 1.0)

    def discard(self) -> None:
        """End a stub that nobody watches."""
        self.drop()
        self._process.kill()
        self._process.wait()
        self.close_streams()

    def watch(self) -> None:
        """Wait until the program has left, end what it left behind, and tell. Blocks for as long."""
        self._await_root()
        # Not fetched yet, its exit status keeps the pid: until `wait` it proves what belongs to the tree.
        while left := self._end_tree(self._grace_s):
            self._grace_s = 0
            if not any(map(_may_signal, left)):
                # Nothing more can be done; it stays on record, and the next owner is told.
                _log.warning("%s left processes that may not be ended by us: %s", self._program.argv[0], left)
                break
        status = self._process.wait()
        self.drop()
        found = Exit(None if self._was_stolen else status)
        try:
            if self._gone is not None and not left:
                self._gone(found)
        finally:
            self.ended.set_result(found)

    def _end_tree(self, grace_s: float) -> list[int]:
        try:
            return tree.end([self.trace], grace_s)
        except OSError:
            # No descriptor is left to look at the table with: what needs none, until there is one again.
            if self._process.returncode is None:  # not fetched: the number is still its own
                with suppress(OSError):
                    os.killpg(self.trace.pid, signal.SIGKILL)
            time.sleep(0.05)
            return [self.trace.pid]

    _was_stolen = False

    def _await_root(self) -> None:
        if not hasattr(os, "waitid"):
            self._process.wait()
            return
        try:
            os.waitid(os.P_PID, self.trace.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            self._was_stolen = True  # somebody in this process waits for any child

    def close_streams(self) -> None:
        """Give the descriptors back, once the tree is gone."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with suppress(OSError):  # what was not written any more has nobody to read it
                    stream.close()


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def _not_begun(number: int, program: Program) -> SpawnFailed | ProgramNotFound:
    what = os.strerror(number)
    name = errno.errorcode.get(number, "")
    if number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
        return ProgramNotFound(
            f"{program.argv[0]} cannot be executed: {what}",
            hint="check its first line (`#!…`), its permissions and its file format",
            errno=name,
        )
    return SpawnFailed(f"{program.argv[0]} could not be started: {what}", errno=name)
