"""One call of a program, from its first byte to an empty process tree: on one thread, whatever it does.

A program is believed by what it says, never by the way it leaves. It has three clocks: until its first
event, between events, and for all of it. When it is over, or has to be, its whole tree is ended; what it
still writes meanwhile is read, so that no full pipe keeps it from leaving.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final

from smithers.errors import AgentError, AgentStalled, AgentTimeout
from smithers.ports import AgentEvent, Child, NoticeEvent
from smithers.workers import Workers

from .fold import Ending, Fold, Invocation
from .line import Lines, Tail, event_in

GRACE_S: Final = 5.0
"""How long a program may take to leave after SIGTERM, before its tree is killed."""
LEAVE_S: Final = 10.0
"""How long it may take to leave by itself after its last word, or after it has closed its output."""
DRAIN_S: Final = 1.0
"""How long its output is read on when its tree is gone and something that got away still holds the pipe."""
STDERR_BYTES: Final = 16 << 10
_CHUNK_BYTES: Final = 1 << 18
_TICK_S: Final = 0.5

_enders = Workers("smithers-agent-end")


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long a call may take, in seconds; None: any time."""

    start_s: float | None = None
    """Until its first event."""
    idle_s: float | None = None
    """Between one event and the next."""
    total_s: float | None = None


class Conversation:
    """One call of a program. `run` blocks for as long; `stop` is safe from any thread, and at any time.

    Args:
        emit: told of every event.
        grace_s: how long the program may take to leave when it is told to.
        leave_s: how long it may take to leave when it has said all.
    """

    def __init__(
        self,
        fold: Fold,
        clocks: Clocks,
        emit: Callable[[AgentEvent], None],
        *,
        grace_s: float = GRACE_S,
        leave_s: float = LEAVE_S,
        is_asking: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_asking = is_asking
        self._fold = fold
        self._clocks = clocks
        self._emit = emit
        self._grace_s = grace_s
        self._leave_s = leave_s
        self._stderr = Tail(STDERR_BYTES)
        self._lock = threading.Lock()
        self._wake = -1
        """Written to by whoever has news for the thread of `run`; -1: there is none, or not any more."""
        self._has_begun = False
        self._is_stopped = False
        self._is_ending = False
        self._error: AgentError | None = None
        """Why it was ended before it was over."""
        self._closed_at: float | None = None
        """Since when its output is closed, or its last word is there."""
        self._gone_at: float | None = None
        # Of `run`: nothing is opened before there is something to close it.
        self._child: Child
        self._is_text: bool
        self._lines: Lines
        self._notes: Lines | None
        self._stdin: memoryview
        self._selector: selectors.BaseSelector
        self._began: float
        self._heard: float

    def run(self, child: Child, how: Invocation) -> Ending:
        """Hear it out.

        Args:
            child: just started so; its standard output and error are pipes, its input too if it is told
                something by it.
        Raises:
            AgentStalled, AgentTimeout: a clock ran out; nothing of it is left.
            AgentError: the fold knew before the end that the call is lost; nothing of it is left.
        """
        self._child, self._stdin = child, memoryview((how.stdin or "").encode(errors="replace"))
        self._is_text, self._lines = how.is_text, Lines(keeps_empty=how.is_text)
        self._notes = Lines() if how.hears_stderr else None
        self._began = self._heard = time.monotonic()
        with ExitStack() as opened:
            opened.callback(child.close_streams)
            try:
                self._open(opened)
                while not self._is_done():
                    for key, _ in self._selector.select(self._patience_s()):
                        key.data()
                    self._look_at_clocks()
                self._take(self._lines.end())
                self._take_notes(self._notes.end() if self._notes is not None else ())
            except BaseException:
                child.end(0)
                raise
        if self._error is not None:
            raise self._error
        return Ending(child.ended.result(), str(self._stderr), self._is_ending, self._lines.dropped)

    def stop(self) -> None:
        """End it: nobody wants its answer any more."""
        self._is_stopped = True
        self._nudge()

    def _nudge(self) -> None:
        # Under the lock: a number that is closed meanwhile may be a file of somebody else's already.
        with self._lock:
            if self._wake != -1:
                with suppress(BlockingIOError):  # enough has been written
                    os.write(self._wake, b"!")

    # --- Streams --------------------------------------------------------------------------------

    def _open(self, opened: ExitStack) -> None:
        child, read = self._child, selectors.EVENT_READ
        self._selector = opened.enter_context(selectors.DefaultSelector())
        wake_end, self._wake = os.pipe()
        opened.callback(os.close, wake_end)
        opened.callback(self._close_wake)
        os.set_blocking(self._wake, False)
        self._selector.register(wake_end, read, partial(os.read, wake_end, 4096))
        child.ended.add_done_callback(lambda _: self._nudge())
        if child.stdout is not None:
            self._watch(child.stdout, read, partial(self._read, child.stdout, self._hear))
        if child.stderr is not None:
            self._watch(child.stderr, read, partial(self._read, child.stderr, self._note))
        if child.stdin is not None:
            self._watch(child.stdin, selectors.EVENT_WRITE, partial(self._write, child.stdin))

    def _close_wake(self) -> None:
        with self._lock:
            wake, self._wake = self._wake, -1
            os.close(wake)

    def _watch(self, stream: IO[bytes], events: int, serve: Callable[[], object]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, events, serve)

    def _read(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        try:
            chunk = os.read(stream.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return
        if chunk:
            take(chunk)
            return
        self._selector.unregister(stream)
        if stream is self._child.stdout and self._closed_at is None:
            self._closed_at = time.monotonic()

    def _write(self, stream: IO[bytes]) -> None:
        try:
            if self._stdin:
                self._stdin = self._stdin[os.write(stream.fileno(), self._stdin[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:
            self._stdin = self._stdin[:0]  # it does not want to hear it, and will say why
        if not self._stdin:
            self._selector.unregister(stream)
            with suppress(OSError):
                stream.close()

    # --- What it says ---------------------------------------------------------------------------

    def _hear(self, chunk: bytes) -> None:
        self._take(self._lines.feed(chunk))

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._is_stopped or self._error is not None:
                return
            self._has_begun, self._heard = True, time.monotonic()
            self._tell(line, None if self._is_text else event_in(line))
            if self._fold.is_over and self._closed_at is None:
                self._closed_at = time.monotonic()

    def _note(self, chunk: bytes) -> None:
        self._stderr.feed(chunk)
        if self._notes is not None:
            self._take_notes(self._notes.feed(chunk))

    def _take_notes(self, lines: Iterable[str]) -> None:
        # No sign of life: a program that tells of nothing but trouble is as silent as one that hangs.
        for line in lines:
            if self._is_stopped or self._error is not None:
                return
            self._tell(line)

    def _tell(self, line: str, event: Mapping[str, Any] | None = None) -> None:
        try:
            for told in self._fold.event(event) if event is not None else self._fold.line(line):
                self._emit(told)
        except AgentError as error:
            self._give_up(error)

    # --- Time -----------------------------------------------------------------------------------

    def _is_done(self) -> bool:
        if self._gone_at is None:
            return False
        is_open = self._child.stdout is not None and self._child.stdout in self._selector.get_map()
        return not is_open or time.monotonic() - self._gone_at >= DRAIN_S

    def _patience_s(self) -> float:
        now = time.monotonic()
        return max(0.0, min([_TICK_S, *(due - now for due in self._deadlines())]))

    def _deadlines(self) -> list[float]:
        clocks = self._clocks
        if self._gone_at is not None:
            return [self._gone_at + DRAIN_S]
        if self._is_ending:
            return []
        if self._closed_at is not None:
            return [self._closed_at + self._leave_s]
        silent_s = clocks.idle_s if self._has_begun else clocks.start_s
        due = [self._heard + silent_s] if silent_s is not None else []
        return due if clocks.total_s is None else [*due, self._began + clocks.total_s]

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        if self._gone_at is None and self._child.ended.done():
            self._gone_at = now
        if self._gone_at is not None or self._is_ending:
            return
        if self._is_stopped:
            self._end()
        elif self._closed_at is not None:
            if now >= self._closed_at + self._leave_s:
                self._end()
        elif (error := self._late(now)) is not None:
            self._give_up(error)

    def _late(self, now: float) -> AgentError | None:
        clocks = self._clocks
        if clocks.total_s is not None and now >= self._began + clocks.total_s:
            return AgentTimeout(f"it took longer than {clocks.total_s:g} s")
        if not self._has_begun and clocks.start_s is not None and now >= self._began + clocks.start_s:
            return AgentStalled(f"it did not begin within {clocks.start_s:g} s{self._said()}")
        if self._is_asking():
            self._heard = now  # it waits for a person
        if self._has_begun and clocks.idle_s is not None and now >= self._heard + clocks.idle_s:
            return AgentStalled(f"it gave no sign of life for {clocks.idle_s:g} s{self._said()}")
        return None

    def _said(self) -> str:
        last = str(self._stderr).strip().splitlines()
        return f"; its last words: {last[-1][:200]}" if last else ""

    def _give_up(self, error: AgentError) -> None:
        self._error = error
        self._emit(NoticeEvent(f"ended: {error.message}"))
        self._end()

    def _end(self) -> None:
        """Let its tree be ended from another thread: what it still writes is read here meanwhile."""
        if not self._is_ending:
            self._is_ending = True
            _enders.submit(partial(self._child.end, self._grace_s))
