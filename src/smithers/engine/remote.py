"""`run_in="process"`, on our side: one function call in a process of its own.

The request goes over its standard input, as JSON; heartbeats and the answer come back over standard output,
in frames of a kind, a length and a body. What the function prints goes to our standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from smithers.context import OutputText, model_of
from smithers.errors import BugError, MissingOutput, ProcessCrashed
from smithers.nodes import reference
from smithers.ports import Child, Exit, Program
from smithers.process import AttemptProcesses
from smithers.records import FailureClass

from .cache import look_up
from .encode import encode_json
from .failure import classify, describe
from .job import Done, Failed, Job, NotYet, Outcome, Stopped
from .permission import ask_policies
from .remote_main import BEAT, BEGIN, FAILED, HEAD, MODEL

LEAVE_S: Final = 2.0
"""How long the process may take to leave by itself, once nothing more comes from it."""

_MAIN: Final = str(Path(__file__).with_name("remote_main.py"))


def work_in_process(job: Job) -> None:
    """On a worker thread: call the job's function, and report when nothing of its process is left."""
    processes = job.processes
    if processes is None:
        raise BugError(f"{job} has nothing to start programs with")
    job.tell_begun()
    try:
        ask_policies(job)
        body = look_up(job) if job.caching is not None else None
        outcome: Outcome = _call(job, processes) if body is None else Done(body)
    except MissingOutput as error:
        outcome = NotYet(str(error.details["node"]))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the attempt ends with it
        outcome = Failed(classify(error), describe(error))
    processes.end()
    if processes.was_refused and not isinstance(outcome, Done):
        outcome = Stopped()  # what an attempt says that was ended from outside says nothing about it
    job.report(job, outcome)


def _call(job: Job, processes: AttemptProcesses) -> Outcome:
    request = json.dumps(_request(job)).encode()
    child = processes.spawn(_program())
    answer = _converse(child, request, job)
    with suppress(TimeoutError):
        child.ended.result(timeout=LEAVE_S)
    processes.end()
    if answer is None:
        raise _crashed(job, child.ended.result())
    kind, body = answer
    if kind == FAILED:
        told = json.loads(body)
        return Failed(FailureClass(told["failure"]), told["error"])
    maker = None
    if kind == MODEL:
        head, _, body = body.partition(b"\n")
        maker = tuple(json.loads(head))
    return Done(encode_json(job.task, job.model, body.decode(), maker))


def _program() -> Program:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    return Program([sys.executable, *flags, "-P", _MAIN], stdin="pipe", stdout="pipe", stderr="log")


def _crashed(job: Job, found: Exit) -> ProcessCrashed:
    hint = None
    if found.status == 0:
        hint = "something in the function left the process itself, as os._exit does"
    return ProcessCrashed(
        f"{job.key}: its process {found} before it had an answer",
        hint=hint,
        place=job.task.place,
        status=found.status,
    )


# --- What is asked ------------------------------------------------------------------------------


def _request(job: Job) -> dict[str, Any]:
    key = job.key
    return {
        "path": sys.path,
        "function": reference(job.task.run),
        "arguments": _arguments(job),
        "run_id": job.ctx.run_id,
        "key": [key.node, key.scope, key.iteration],
        "attempt": job.attempt,
        "last_heartbeat": job.last_heartbeat,
    }


def _arguments(job: Job) -> Any:
    """By position, or one object with named fields."""
    task = job.task
    if task.deps is None:
        return []
    if isinstance(task.deps, Mapping):
        return {name: _stored(job, task.needs.get(name, name), model) for name, model in task.deps.items()}
    named_outputs = job.view.state.named_outputs
    return [_stored(job, dep.id, model_of(dep, named_outputs)) for dep in task.deps]


def _stored(job: Job, node: str, model: Any) -> dict[str, Any]:
    row: OutputText | None = job.view.newest(node)
    if row is None:
        raise MissingOutput(f"{node} has no output yet", node=node)
    return {
        "node": str(row.key),
        "body": row.body,
        "name": row.model,
        "model": reference(model) if isinstance(model, type) else None,
        "is_plain": model is None,
    }


# --- What is answered ---------------------------------------------------------------------------


def _converse(child: Child, request: bytes, job: Job) -> tuple[bytes, bytes] | None:
    """Ask, and pass heartbeats on until the answer comes; None: it ended without one."""
    if child.stdin is None or child.stdout is None:
        raise BugError("a process without pipes")
    with suppress(BrokenPipeError), child.stdin as stdin:
        stdin.write(request)
    for kind, body in _frames(child.stdout):
        if kind != BEAT:
            return kind, body
        job.beat(job, body.decode() or None)
    return None


def _frames(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    if not _find_beginning(stream):
        return
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        kind, length = HEAD.unpack(head)
        body = stream.read(length)
        if len(body) < length:
            return
        yield kind, body


def _find_beginning(stream: IO[bytes]) -> bool:
    """Skip what Python's own start-up printed, such as a `sitecustomize`, and pass it on."""
    before = b""
    while not before.endswith(BEGIN):
        byte = stream.read(1)
        if not byte:
            _pass_on(before)
            return False
        before += byte
    _pass_on(before.removesuffix(BEGIN))
    return True


def _pass_on(printed: bytes) -> None:
    if printed:
        with suppress(OSError):
            os.write(2, printed)
