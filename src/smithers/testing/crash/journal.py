"""What a trial's processes leave behind of themselves: line by line, in a file that survives them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from smithers.ids import NodeKey
from smithers.testing.tape import Call

What: TypeAlias = Literal["begun", "told", "call", "death", "count"]


class Line(NamedTuple):
    """One thing that happened, in the order it did."""

    what: What
    """`begun`: an attempt's code is about to run; `told`: a task was said to be finished, after its commit;
    `call`: of a scripted agent; `death`: at an operation; `count`: operations of a process that ended well.
    """
    key: NodeKey = NodeKey("")
    generation: int = 0
    attempt: int = 0
    operation: int = 0
    text: str = ""
    data: tuple[Any, ...] = ()


class Journal:
    """A file of lines. Each is one `write` to a file opened for appending: a death leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        """Forget what is in it."""
        self.path.write_bytes(b"")

    def add(self, line: Line) -> None:
        """Add a line; from any thread of any process."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    def call(self, call: Call) -> None:
        """Add a scripted agent's call."""
        self.add(Line("call", call.key, attempt=call.attempt, data=(call.agent, call.place, call.number)))

    def lines(self) -> list[Line]:
        """All of them, oldest first."""
        found = []
        for text in self.path.read_bytes().splitlines():
            what, key, generation, attempt, operation, words, data = json.loads(text)
            found.append(Line(what, NodeKey(*key), generation, attempt, operation, words, tuple(data)))
        return found


def calls_in(lines: list[Line]) -> list[Call]:
    """What scripted agents were asked."""
    return [
        Call(line.data[0], line.data[1], line.key, line.attempt, line.data[2])
        for line in lines
        if line.what == "call"
    ]
