"""`smithers ask-human`: called by an agent, or any program, that works for a task."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.options import SpanType, json_option, store_option
from smithers.clock import SystemClock
from smithers.errors import NotWaiting, UsageRefused
from smithers.records import InboxKind, WaitState
from smithers.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.ports import Reader
    from smithers.records import ProcessRow, WaitRow
    from smithers.store import Store

LOOK_S = 0.2
"""Between two looks for the answer."""
HEARD_S = 30.0
"""How long the owner of the run may take to hear of the question."""
UNANSWERED = 1


@click.command()
@click.argument("question")
@click.option("--choices", metavar="A,B,…", help="What can be answered; default: any text.")
@click.option("--context", metavar="TEXT", help="What there is to know before one answers.")
@click.option(
    "--timeout", "timeout_ms", type=SpanType(), metavar="SPAN", help="How long to wait; default: for ever."
)
@json_option
@store_option
def ask_human(
    question: str,
    choices: str | None,
    context: str | None,
    timeout_ms: int | None,
    is_json: bool,
    store: str | None,
) -> int:
    """Ask a person QUESTION in the middle of a task, and print the answer.

    It is for programs that a task has started, such as an agent: it finds its run by their environment. The
    question stands in `smithers inbox` until somebody answers it with `smithers answer`; meanwhile the task's
    clocks of silence stand still. Asked once more, by a later attempt of the same task, what was answered is
    not asked again.

    Exit code 1: nobody has answered in time, or the task has ended.
    """
    mark, path = os.environ.get("SMITHERS_ATTEMPT"), store or os.environ.get("SMITHERS_STORE")
    if not mark or not path:
        raise UsageRefused(
            "ask-human is called by a program that a task has started",
            hint="a workflow itself asks by `HumanTask`",
        )
    opened = open_store(Path(path), clock=SystemClock(), create=False)
    with closing(opened.reader()) as reader:
        own = reader.attempt_marked(mark)
        if own is None:
            raise NotWaiting(
                "the attempt that this program was started for has ended", hint="nobody is asked"
            )
        spec = _spec(question, choices, context)
        known = _answered(reader, own, spec)
        if known is not None:
            return _print(known, is_json)
        name = _post(opened, own, spec, timeout_ms)
        return _await(reader, own, name, is_json)


def _spec(question: str, choices: str | None, context: str | None) -> dict[str, Any]:
    words = [word.strip() for word in choices.split(",") if word.strip()] if choices else []
    schema: dict[str, Any] = {"type": "string"}
    if words:
        schema["enum"] = words
    return {
        "title": question.strip().splitlines()[0][:200] if question.strip() else "a question",
        "prompt": question,
        "context": context,
        "schema": schema,
        "example": words[0] if words else "…",
        "on_timeout": "fail",
    }


def _answered(reader: Reader, own: ProcessRow, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was answered to the same question, to this attempt or to one before it."""
    for row in reader.waits(own.run):
        if row.key == own.key and row.ref.generation == own.generation and row.ref.number:
            is_same = all(row.spec.get(name) == spec[name] for name in ("prompt", "schema", "context"))
            if is_same and row.result is not None and "value" in row.result:
                return row.result
    return None


def _post(store: Store, own: ProcessRow, spec: dict[str, Any], timeout_ms: int | None) -> str:
    """Leave the question for the owner of the run; returns what it is known by."""
    name = os.urandom(8).hex()
    data = {
        "key": list(own.key),
        "generation": own.generation,
        "attempt": own.attempt,
        "spec": {**spec, "ask": name},
        "timeout_ms": timeout_ms,
    }
    with closing(store.outsider()) as outsider:
        outsider.post(own.run, InboxKind.ASK, "agent", json.dumps(data, ensure_ascii=False))
    return name


def _await(reader: Reader, own: ProcessRow, name: str, is_json: bool) -> int:
    """Wait for the answer; SIGTERM, by which an attempt is ended, ends this too."""
    until = time.monotonic() + HEARD_S
    told = False
    while True:
        row = _row(reader, own, name)
        if row is None and time.monotonic() > until:
            terminal.note("the run has not taken the question: its task has ended, or its owner is gone")
            return UNANSWERED
        if row is not None and not told:
            told = True
            terminal.note(f"asked: {reader.run_at(own.run).name} {row.ref}; waiting for a person")
        if row is not None and row.result is not None and "value" in row.result:
            return _print(row.result, is_json)
        if row is not None and row.state in (WaitState.SETTLED, WaitState.WITHDRAWN):
            terminal.note("nobody has answered in time" if row.result else "the task has ended")
            return UNANSWERED
        time.sleep(LOOK_S)


def _row(reader: Reader, own: ProcessRow, name: str) -> WaitRow | None:
    return next((row for row in reader.waits(own.run) if row.spec.get("ask") == name), None)


def _print(result: Mapping[str, Any], is_json: bool) -> int:
    if is_json:
        print(
            json.dumps(
                {"status": "answered", "value": result["value"], "by": result.get("by")}, ensure_ascii=False
            )
        )
    else:
        value = result["value"]
        print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return 0
