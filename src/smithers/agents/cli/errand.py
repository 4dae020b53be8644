"""What a program is asked beside a call: it says a line or two, and leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import IO, Final, Generic, TypeVar

from smithers.ports import Child, Exit, Program
from smithers.workers import Workers, on_thread

T = TypeVar("T")

ERRAND_S: Final = 60.0
"""How long an errand may take; some programs need ten seconds to wake up on a busy machine."""
_workers = Workers("smithers-errand")


@dataclass(frozen=True, slots=True)
class Answer:
    """What it came to."""

    exit: Exit
    stdout: str
    stderr: str


async def errand(spawn: Callable[[Program], Child], program: Program, limit_s: float = ERRAND_S) -> Answer:
    """Start a program that has little to say, and hear it out.

    Args:
        program: its standard output and error are pipes; what it writes is kept in memory.
        limit_s: seconds until its tree is ended.
    Raises:
        TaskError: it could not be started.
    """
    asking = _Asking(spawn, program, limit_s)
    return await on_thread(_workers, asking.run, partial(_workers.submit, asking.stop))


class _Asking:
    """One errand: `run` blocks for as long; `stop` is safe from any thread, and at any time."""

    def __init__(self, spawn: Callable[[Program], Child], program: Program, limit_s: float) -> None:
        self._spawn, self._program, self._limit_s = spawn, program, limit_s
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._is_stopped = False

    def run(self) -> Answer:
        child = self._spawn(self._program)
        with self._lock:
            self._child = child
            limit_s = 0 if self._is_stopped else self._limit_s
        late = threading.Timer(limit_s, child.end, (0,))
        late.start()
        try:
            stdout, stderr = (_all(stream) for stream in (child.stdout, child.stderr))
            return Answer(child.ended.result(), stdout, stderr)
        finally:
            late.cancel()
            child.close_streams()

    def stop(self) -> None:
        with self._lock:
            self._is_stopped, child = True, self._child
        if child is not None:
            child.end(0)


def _all(stream: IO[bytes] | None) -> str:
    return stream.read().decode(errors="replace") if stream is not None else ""


class Once(Generic[T]):
    """What is found out once in this process for each key; those who ask meanwhile wait for the answer.

    Whoever asks first finds out; if that fails, the next one tries. Safe from any thread and event loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, Future[tuple[T] | None]] = {}
        """None: whoever was to find out has failed."""

    async def get(self, key: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """The answer for `key`.

        Raises:
            Whatever `find` raises, if it was ours.
        """
        while True:
            with self._lock:
                found = self._found.get(key)
                if found is None:
                    ours = self._found[key] = Future[tuple[T] | None]()
                    break
            # Shielded: that we are cancelled must not cancel what others wait for.
            answer = await asyncio.shield(asyncio.wrap_future(found))
            if answer is not None:
                return answer[0]
        try:
            ours_is = await find()
        except BaseException:
            with self._lock:
                del self._found[key]
            ours.set_result(None)
            raise
        ours.set_result((ours_is,))
        return ours_is
