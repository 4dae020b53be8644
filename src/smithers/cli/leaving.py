"""Leaving by a signal in an orderly way, where there is no run to pause: what was started is ended first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def orderly_leaving() -> Iterator[None]:
    """Meanwhile SIGTERM and a closed terminal raise `SystemExit`, as Ctrl+C raises `KeyboardInterrupt`."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, leave)
        for number in (signal.SIGTERM, signal.SIGHUP)
        # Who ignores the end of his terminal, as `nohup` does, means to go on after it.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
