"""Ctrl+C, SIGTERM and a closed terminal while a run goes on: the first pauses it, the next leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smithers.engine.handle import Handle


class Interrupt:
    """First SIGINT, SIGTERM or SIGHUP: pause. Second: leave at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came."""
        self._handle: Handle | None = None
        from smithers.process import kill_everything  # now: a handler must not import

        self._kill = kill_everything
        self._before = {
            number: signal.signal(number, self._catch)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            # Who ignores the end of his terminal, as `nohup` does, means to go on after it.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        }

    def stops(self, handle: Handle) -> None:
        """The run to pause; at once, if a signal has come already."""
        self._handle = handle
        if self.number is not None:
            handle.pause()

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, _: object) -> None:
        if self.number is not None:
            with contextlib.suppress(Exception):
                self._kill()
            os._exit(128 + number)
        self.number = number
        # Not `print`: the handler may have interrupted one, and buffered streams refuse to be entered twice.
        with contextlib.suppress(OSError):
            os.write(2, b"pausing: what runs is being ended; once more leaves at once\n")
        if self._handle is not None:
            self._handle.pause()
