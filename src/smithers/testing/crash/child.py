"""A child that is a copy of this process: what is called in it is over when it is, however that happens."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.01


def in_child(act: Callable[[], object], log: Path, patience_s: float) -> int | None:
    """Call a function in a fork of this process, and wait for its end.

    A fork, because a workflow of a test is a closure that no new process could import; and because all that
    it changes in memory, such as what a scripted agent was asked, is gone with it.

    Args:
        log: gets what it prints, and the traceback of what it raises.
        patience_s: how long it may take; then it is killed.
    Returns:
        Its exit code, 0 if the function returned and 1 if it raised; None: it took too long.
    """
    with warnings.catch_warnings():
        # Later Pythons warn of threads that hold locks. Ours for this store have ended; a child that hangs
        # all the same is killed and says so.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _live(act, log)
    is_over = False
    try:
        code = _wait(pid, patience_s)
        is_over = code is not None
    finally:
        if not is_over:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return code


def _live(act: Callable[[], object], log: Path) -> None:
    """All that the child ever does."""
    code = 1
    try:
        gc.freeze()  # what the parent would have collected is not ours to finalize
        _redirect(log)
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's frames
        with suppress(BaseException):
            log.write_text(traceback.format_exc())
    finally:
        os._exit(code)


def _redirect(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # New objects: the parent's may hold text that it has not written yet.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _wait(pid: int, patience_s: float) -> int | None:
    give_up_at, pause_s = time.monotonic() + patience_s, _PAUSE_S
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > give_up_at:
            return None
        threading.Event().wait(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
