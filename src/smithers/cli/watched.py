"""A run that this process drives and shows: begun so that no frame is missed, followed until it leaves."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty
from typing import TYPE_CHECKING

from smithers.cli.interrupt import Interrupt

if TYPE_CHECKING:
    from smithers.engine.handle import Handle, RunEnd
    from smithers.engine.host import Host
    from smithers.engine.mailbox import Mailbox
    from smithers.records import FrameWrite, RunRow

TICK_S = 0.1


def watched(
    begin: Callable[[Callable[[FrameWrite], None]], Handle],
) -> tuple[Handle, Mailbox[FrameWrite], Interrupt]:
    """Begin a run whose committed frames arrive in a queue, from the first on.

    Signals are caught from here on: a task may run before `begin` has returned.
    """
    from smithers.engine.mailbox import Mailbox

    frames: Mailbox[FrameWrite] = Mailbox()
    interrupt = Interrupt()
    try:
        handle = begin(frames.put)
    except BaseException:
        interrupt.restore()
        raise
    interrupt.stops(handle)
    return handle, frames, interrupt


def follow(
    handle: Handle,
    frames: Mailbox[FrameWrite],
    interrupt: Interrupt,
    resumed: RunRow | None,
    host: Host,
) -> RunEnd:
    """Show the run until it leaves this process."""
    from smithers.cli.display import display_for

    name = handle.started.result()
    display = display_for(name, resumed, host)
    try:
        while not handle.ended.done():
            try:
                display.frame(frames.get(timeout=TICK_S))
                while not frames.empty():
                    display.frame(frames.get_nowait())
            except Empty:
                pass
            display.tick()
        while not frames.empty():
            display.frame(frames.get_nowait())
    finally:
        display.close()
        interrupt.restore()
    return handle.ended.result()
