"""A run's outputs in memory: JSON texts by node and pass. Models are built anew by each read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from smithers.ids import NodeKey, passes_of

Passes: TypeAlias = tuple[int, ...]
"""Passes of the loops around a node, outermost first; `(0,)` outside any loop."""


class OutputText:
    """One stored output. Bodies that live in a blob are fetched when they are first read."""

    __slots__ = ("_body", "key", "model", "seq")

    def __init__(self, key: NodeKey, seq: int, model: str, body: str | Callable[[], str]) -> None:
        self.key = key
        self.seq = seq
        self.model = model
        self._body = body

    @property
    def body(self) -> str:
        """The stored JSON text."""
        if not isinstance(self._body, str):
            self._body = self._body()
        return self._body


class Rows:
    """All outputs of a run's newest generations."""

    def __init__(self) -> None:
        self._by_node: dict[str, dict[Passes, OutputText]] = {}

    def add(self, row: OutputText) -> None:
        """Take in a row, in place of an older one of the same node and pass."""
        self._by_node.setdefault(row.key.node, {})[passes_of(row.key)] = row

    def drop(self, key: NodeKey) -> None:
        """Forget the row of a node that is open again."""
        self._by_node.get(key.node, {}).pop(passes_of(key), None)

    def of(self, node: str) -> dict[Passes, OutputText]:
        """A node's rows by pass. Do not change it."""
        return self._by_node.get(node, {})

    def get(self, key: NodeKey) -> OutputText | None:
        """The row of a node in one pass."""
        return self._by_node.get(key.node, {}).get(passes_of(key))

    def of_output(self, *names: str) -> Iterator[OutputText]:
        """Every row of these models or named outputs, or of all where none is named, in `seq` order."""
        found = [
            row for rows in self._by_node.values() for row in rows.values() if not names or row.model in names
        ]
        found.sort(key=lambda row: row.seq)
        return iter(found)
