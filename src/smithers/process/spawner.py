"""Real processes: the one thread that starts them, and the handles it gives out."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from smithers.errors import ProgramNotFound, SpawnFailed
from smithers.ports import Program, Trace
from smithers.workers import Workers

from . import tree
from .child import RunningChild
from .table import look

_STUB: Final = str(Path(__file__).with_name("stub.py"))


class ProcessSpawner:
    """Implements `ports.Spawner`.

    All programs are forked by one thread that lives as long as this object: the parent-death signal follows
    the thread, not the process. Each is then watched on a thread that is used again for a later one; there is
    no watcher of SIGCHLD and no event loop, so it works from any thread.
    """

    def __init__(self, python: str | None = None) -> None:
        self._python = python or sys.executable
        self._workers = Workers("smithers-watch")
        self._requests: SimpleQueue[tuple[Program, str, Future[RunningChild]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._children: dict[int, RunningChild] = {}
        """By pid; until their trees are gone."""

    def spawn(self, program: Program, mark: str) -> RunningChild:
        """Make a process that waits for its go; see `ports.Spawner.spawn`."""
        answer: Future[RunningChild] = Future()
        self._ensure_thread()
        self._requests.put((program, mark, answer))
        return answer.result()

    def survivors(self, traces: Sequence[Trace]) -> list[int]:
        """Pids of what is there of these trees, whoever started them."""
        return [seen.pid for seen in tree.members(traces)]

    def end(self, traces: Sequence[Trace], grace_s: float) -> list[int]:
        """End these trees, whoever started them; returns the pids of what could not be ended."""
        return tree.end(traces, grace_s)

    def close(self) -> None:
        """End every tree that was started here, at once, and the thread that started them."""
        children = list(self._children.values())
        tree.end([child.trace for child in children], 0)
        for child in children:
            child.end(0)
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._requests.put(None)
        if thread is not None:
            thread.join()
        self._workers.close()

    # --- On the spawning thread -----------------------------------------------------------------

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._serve, name="smithers-spawn", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise SpawnFailed(f"no thread to start programs from: {error}") from error
            self._thread = thread

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            program, mark, answer = request
            try:
                answer.set_result(self._start(program, mark))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)
            del request, answer  # the child's handle must not live until the next one is asked for

    def _start(self, program: Program, mark: str) -> RunningChild:
        environment = dict(program.env if program.env is not None else os.environ)
        environment[tree.VARIABLE] = mark
        path = _find(program, environment)
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            go, go_end, fault_end, fault = pipes
            locale = environment.get("LC_CTYPE")
            words = [str(go), str(fault), str(os.getpid()), "-" if locale is None else f"={locale}", path]
            process = self._fork([*words, *program.argv], program, environment, (go, fault))
        except OSError as error:
            _close(pipes)
            raise _refused(error, program) from error
        except BaseException:
            _close(pipes)
            raise
        _close([go, fault])
        return self._watched(process, mark, program, go_end, fault_end)

    def _fork(
        self, words: list[str], program: Program, environment: dict[str, str], kept: tuple[int, int]
    ) -> subprocess.Popen[bytes]:
        log = 2 if _is_open(2) else subprocess.DEVNULL
        streams = {"pipe": subprocess.PIPE, "log": log, "null": subprocess.DEVNULL}
        return subprocess.Popen(
            [self._python, "-I", "-S", _STUB, *words],
            stdin=streams[program.stdin],
            stdout=streams[program.stdout],
            stderr=streams[program.stderr],
            cwd=program.cwd,
            env=environment,
            pass_fds=kept,
            # A session, and with it a process group, of its own: Ctrl+C is for us to pass on.
            start_new_session=True,
        )

    def _watched(
        self, process: subprocess.Popen[bytes], mark: str, program: Program, go: int, fault: int
    ) -> RunningChild:
        seen = look(process.pid)  # it cannot be gone: nobody has fetched its exit status
        trace = Trace(process.pid, seen.ticks if seen is not None else 0, mark)
        child = RunningChild(process, trace, program, go, fault)
        self._children[process.pid] = child
        try:
            self._workers.submit(lambda: self._watch(child))
        except RuntimeError as error:
            child.discard()
            del self._children[process.pid]
            raise SpawnFailed(f"no thread to watch {program.argv[0]} from: {error}") from error
        return child

    def _watch(self, child: RunningChild) -> None:
        child.watch()
        self._children.pop(child.trace.pid, None)


def _find(program: Program, environment: dict[str, str]) -> str:
    name = program.argv[0]
    # A relative path with a slash is meant from where the program will stand.
    if "/" in name and program.cwd is not None:
        name = str(program.cwd / name)
    path = shutil.which(name, path=environment.get("PATH", os.defpath))
    if path is None:
        raise ProgramNotFound(f"no program {program.argv[0]}")
    return str(Path(path).absolute())


def _refused(error: OSError, program: Program) -> SpawnFailed | ProgramNotFound:
    what = error.strerror or str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and program.cwd is not None and not program.cwd.is_dir():
        return ProgramNotFound(
            f"{program.argv[0]} cannot be started in {program.cwd}: {what}",
            hint="make the folder, or choose another",
        )
    name = errno.errorcode.get(error.errno or 0, "")
    hint = None
    if error.errno == errno.E2BIG:
        hint = (
            "its arguments and environment are too large together: pass the long ones on its standard input"
        )
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "too many open files: raise `ulimit -n`, or lower --max-concurrency"
    return SpawnFailed(f"{program.argv[0]} could not be started: {what}", hint=hint, errno=name)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
