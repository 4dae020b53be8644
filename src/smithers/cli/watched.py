"""A run that this process drives and shows: begun so that no frame is missed, followed until it leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from queue import Empty
from typing import TYPE_CHECKING, Any

from smithers.cli.interrupt import Interrupt

if TYPE_CHECKING:
    from smithers.authoring import Workflow
    from smithers.cli.display import Display
    from smithers.cli.hot import Hot
    from smithers.cli.load import Target
    from smithers.cli.parting import Parting
    from smithers.cli.wanted import Wanted
    from smithers.engine.handle import Handle
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


def hot_for(target: Target, workflow: Workflow[Any, Any], host: Host, wanted: Wanted) -> Hot | None:
    """What takes over edits of a workflow that was just loaded, if that is wanted."""
    if not wanted.hot:
        return None
    from smithers.cli.hot import Hot

    return Hot(target, workflow.definition, host.project)


def follow(
    handle: Handle,
    frames: Mailbox[FrameWrite],
    interrupt: Interrupt,
    resumed: RunRow | None,
    host: Host,
    hot: Hot | None = None,
) -> Parting:
    """Show the run until it leaves this process.

    Args:
        hot: takes over edits of the run's files meanwhile.
    """
    from smithers.cli.display import display_for
    from smithers.cli.parting import parting

    name = handle.started.result()
    try:
        with hot.watching(handle, host.engine.post) if hot is not None else nullcontext():
            display = display_for(name, resumed, host)
            _show(handle, frames, display)
    finally:
        interrupt.restore()
    return parting(handle.ended.result(), host.store)


def _show(handle: Handle, frames: Mailbox[FrameWrite], display: Display) -> None:
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
