"""Tasks and containers of a run as a screen sees them: where they stand, and which are worth a look.

A container keeps its children sorted by what becomes of them, so that a screen finds the few that are worth
showing among ten thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, TypeAlias

from smithers.ids import NodeKey
from smithers.observe.node_view import shown_name
from smithers.observe.quota import Limit
from smithers.observe.tree import LOOP
from smithers.records import Verdict

UNSHOWN: Final = frozenset({"sequence", "body"})
"""Containers that only say what follows what, or what was rendered apart: they get no line of their own."""


def container_glyph(kind: str) -> str:
    """What stands before a container's name."""
    return "↻" if kind == LOOP else "┬"


def loop_state(pass_: int, limit: int | None, verdict: Verdict | None) -> str:
    """`pass 2 of 5`, `done in 2` or `limit of 5`.

    Args:
        pass_: the pass it is in, or ended with; counts from 0.
        limit: passes at most; None: no limit.
        verdict: how it ended; None while it goes on.
    """
    match verdict:
        case Verdict.UNTIL:
            return f"done in {pass_ + 1}"
        case Verdict.MAX_REACHED:
            return f"limit of {pass_ + 1}"
        case Verdict.NEXT | None:
            return f"pass {pass_ + 1}" + (f" of {limit}" if limit is not None else "")


class Standing(IntEnum):
    """A task's state as people count it: a tolerated failure is settled, an unhandled one is not."""

    PENDING = 0
    RUNNING = 1
    WAITING = 2
    FINISHED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6
    TOLERATED = 7

    @property
    def word(self) -> str:
        """The stored word of the node's state."""
        return "failed" if self is Standing.TOLERATED else self.name.lower()


class Bucket(IntEnum):
    """Which children of a container a screen looks for."""

    ACTIVE = 0
    FAILED = 1
    DONE = 2
    PENDING = 3


class Leaf:
    """A task in its current pass."""

    __slots__ = (
        "agent",
        "attempt",
        "due_ms",
        "ended_ms",
        "first_ms",
        "is_mounted",
        "key",
        "limit",
        "message",
        "node",
        "parent",
        "position",
        "spec",
        "standing",
        "started_ms",
    )

    def __init__(self, node: str, spec: Mapping[str, Any]) -> None:
        self.node = node
        self.spec = spec
        self.parent: Group | None = None
        self.position = 0
        self.is_mounted = False
        self.reset(NodeKey(node))

    def reset(self, key: NodeKey) -> None:
        """Begin a pass: nothing is known of it yet."""
        self.key = key
        self.standing = Standing.PENDING
        self.attempt = 0
        self.agent: str | None = None
        """Who makes the last attempt."""
        self.first_ms: int | None = None
        """Start of this pass' first attempt."""
        self.started_ms: int | None = None
        """Start of the last attempt."""
        self.ended_ms: int | None = None
        self.due_ms: int | None = None
        """When the next attempt may start."""
        self.limit: Limit | None = None
        """The account whose reset it waits for; None: for another try, or for its own run."""
        self.message: str | None = None
        """Why it failed, is skipped or waits."""

    @property
    def shown(self) -> str:
        """Its name on a screen, with the pass where a loop stands around it."""
        return shown_name(self.key, is_in_loop=self.parent is not None and self.parent.is_in_loop)

    @property
    def label(self) -> str:
        """The author's own text for it, else its name."""
        label = self.spec.get("label")
        return label if isinstance(label, str) and label else self.shown

    @property
    def bucket(self) -> Bucket:
        """Where it belongs among its siblings."""
        return _BUCKETS[self.standing]

    @property
    def size(self) -> int:
        """Lines it takes."""
        return 1


_BUCKETS: Final = {
    Standing.PENDING: Bucket.PENDING,
    Standing.RUNNING: Bucket.ACTIVE,
    Standing.WAITING: Bucket.ACTIVE,
    Standing.FINISHED: Bucket.DONE,
    Standing.FAILED: Bucket.FAILED,
    Standing.SKIPPED: Bucket.DONE,
    Standing.CANCELLED: Bucket.DONE,
    Standing.TOLERATED: Bucket.FAILED,
}
_SETTLED: Final = (Standing.FINISHED, Standing.SKIPPED, Standing.CANCELLED, Standing.TOLERATED)


class Group:
    """A container: how many tasks below stand where, and which children to look at."""

    __slots__ = (
        "bucket",
        "buckets",
        "children",
        "counts",
        "is_in_loop",
        "is_mounted",
        "kind",
        "node",
        "parent",
        "pass_",
        "position",
        "size",
        "spec",
        "verdict",
    )

    def __init__(self, node: str, spec: Mapping[str, Any]) -> None:
        self.node = node
        self.spec = spec
        self.kind = str(spec.get("kind", "")).lower()
        self.parent: Group | None = None
        self.position = 0
        self.is_mounted = False
        self.is_in_loop = self.kind == LOOP
        """Whether what stands in it has passes."""
        self.children: dict[str, Spot] = {}
        self.buckets: tuple[dict[Spot, None], ...] = ({}, {}, {}, {})
        """Children by `Bucket`, in the order in which they came there."""
        self.counts = [0] * len(Standing)
        """Tasks below, by standing."""
        self.size = 0 if self.is_hidden else 1
        """Lines it takes when all of it is shown."""
        self.bucket = Bucket.PENDING
        self.pass_ = 0
        self.verdict: Verdict | None = None
        """How a loop ended; None while it goes on."""

    @property
    def is_hidden(self) -> bool:
        """Whether it gets no line of its own."""
        return self.kind in UNSHOWN

    @property
    def settled(self) -> int:
        """Tasks below that have settled."""
        return sum(self.counts[one] for one in _SETTLED)

    @property
    def total(self) -> int:
        """Tasks below."""
        return sum(self.counts)

    def find_bucket(self) -> Bucket:
        """Where it belongs among its siblings."""
        counts = self.counts
        if counts[Standing.RUNNING] or counts[Standing.WAITING]:
            return Bucket.ACTIVE
        if counts[Standing.FAILED] or counts[Standing.TOLERATED]:
            return Bucket.FAILED
        return Bucket.PENDING if counts[Standing.PENDING] or not self.total else Bucket.DONE


Spot: TypeAlias = Leaf | Group
