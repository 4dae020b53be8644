"""Daemon threads of ours for functions that block.

Not `concurrent.futures`: its threads are joined at exit, so one hanging function would keep the process
alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def is_async(function: Any) -> bool:
    """Whether calling it gives a coroutine."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is looked at
    )


async def on_thread(
    workers: Workers, function: Callable[[], T], stop: Callable[[], object] | None = None
) -> T:
    """Call a function that blocks on a thread of `workers`, in the caller's context, and await its answer.

    When the caller is cancelled the thread goes on and its answer is dropped; the cancel is raised when the
    thread has ended, so that whoever waits for the caller's end knows that nothing runs any more.

    Args:
        stop: called once when the caller is cancelled, on its thread, to have the function end soon.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def work() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except BaseException as raised:  # noqa: BLE001 - handed over to whoever awaits
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits any more

    workers.submit(work)
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        if stop is not None:
            stop()
        while not answer.done():
            try:
                await asyncio.wait((answer,))
            except asyncio.CancelledError:
                continue  # asked again: the thread is no nearer to its end
        if not answer.cancelled():
            answer.exception()  # seen, so that nobody logs it as forgotten
        raise


class Workers:
    """Runs functions on threads, reusing idle ones. A function that hangs keeps its thread, no other."""

    def __init__(self, name: str = "smithers-work") -> None:
        self._name = name
        self._idle: deque[SimpleQueue[Callable[[], None] | None]] = deque()
        self._pid = os.getpid()
        self._count = 0
        self._is_closed = False

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread of its own for as long as it takes. It must not raise."""
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()  # a fork has none of its parent's threads
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue[Callable[[], None] | None]()
            self._count += 1
            thread = threading.Thread(
                target=self._serve, args=(inbox,), name=f"{self._name}-{self._count}", daemon=True
            )
            thread.start()
        inbox.put(work)

    def close(self) -> None:
        """End the threads that are idle, and each other one with the function that it is in."""
        self._is_closed = True
        while self._idle:
            try:
                self._idle.pop().put(None)
            except IndexError:
                break  # another thread took it meanwhile

    def _serve(self, inbox: SimpleQueue[Callable[[], None] | None]) -> None:
        while (work := inbox.get()) is not None:
            work()
            del work  # an idle thread holds nothing
            self._idle.append(inbox)
            if self._is_closed:
                self.close()
