"""Which lines of a run's tree a screen shows.

The whole tree where it fits; else what runs, what failed, the last that finished and the next to come, and
lines that count the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from smithers.observe import moment
from smithers.observe.tree import LOOP

from . import terminal
from .progress import Progress
from .spot import Bucket, Group, Leaf, Spot, Standing, container_glyph, loop_state
from .table import one_line

_FEW: Final = 3
"""Finished and pending siblings that are named where not all fit."""


class Line(NamedTuple):
    """One line of the tree."""

    depth: int
    glyph: str
    name: str
    """Alone: a remark that spans the columns."""
    state: str = ""
    time: str = ""
    note: str = ""
    colour: str | None = None


class Layout:
    """Chooses the lines worth showing.

    Looks at as many children as there are lines, however many a container has.
    """

    def __init__(self, progress: Progress, now_ms: int, *, is_over: bool = False) -> None:
        """Args: is_over: nothing goes on any more; times stand still."""
        self._progress = progress
        self._now_ms = now_ms
        self._is_over = is_over

    def lines(self, room: int) -> list[Line]:
        """At most `room` lines, in document order; running tasks that have left the tree come last."""
        gone = list(islice(self._progress.gone(), max(room // 4, 1)))
        lines, _ = self._children(self._progress.root, max(room - len(gone), 1), 0)
        return lines + [self._leaf(leaf, 0, is_gone=True) for leaf in gone]

    def _spot(self, spot: Spot, room: int, depth: int) -> tuple[list[Line], list[int]]:
        """A node's lines, and the tasks by standing that they account for."""
        if isinstance(spot, Leaf):
            counts = [0] * len(Standing)
            counts[spot.standing] = 1
            return [self._leaf(spot, depth)], counts
        if spot.is_hidden:
            return self._children(spot, room, depth)
        inside = self._children(spot, room - 1, depth + 1)[0] if room > 1 else []
        return [_header(spot, depth, is_folded=not inside), *inside], spot.counts

    def _children(self, group: Group, room: int, depth: int) -> tuple[list[Line], list[int]]:
        size = group.size - (not group.is_hidden)
        if size <= room:
            granted = {child: child.size for child in group.children.values()}
            folds = 0
        elif len(group.children) == 1:
            granted, folds = dict.fromkeys(group.children.values(), room), 0
        else:
            is_whole = len(group.children) <= room // 2
            folds = 0 if is_whole or room < 3 else 1 if room < 5 else 2
            granted = _grant(group, room - folds)
        lines: list[Line] = []
        covered = [0] * len(Standing)
        for child, lent in sorted(granted.items(), key=lambda item: item[0].position):
            inside, counts = self._spot(child, lent, depth)
            lines += inside
            covered = [one + other for one, other in zip(covered, counts, strict=True)]
        if not folds:
            return lines, covered
        hidden = [one - other for one, other in zip(group.counts, covered, strict=True)]
        return _folded(lines, hidden, depth, folds), group.counts

    def _leaf(self, leaf: Leaf, depth: int, *, is_gone: bool = False) -> Line:
        word = leaf.standing.word
        name = one_line(leaf.label) + (" (left the tree)" if is_gone else "")
        took = self._took(leaf)
        return Line(
            depth, terminal.GLYPHS[word], name, word,
            "" if took is None else moment.span(took),
            one_line(self._note(leaf)), terminal.STATE_COLOURS.get(word),
        )  # fmt: skip

    def _took(self, leaf: Leaf) -> int | None:
        if leaf.standing is Standing.RUNNING:
            # To the tenth of a second: thousandths would only flicker.
            return (self._now_ms - (leaf.started_ms or self._now_ms)) // 100 * 100
        if leaf.bucket in (Bucket.DONE, Bucket.FAILED) and leaf.ended_ms is not None:
            return leaf.ended_ms - (leaf.first_ms if leaf.first_ms is not None else leaf.ended_ms)
        return None

    def _note(self, leaf: Leaf) -> str:
        message = leaf.message or ""
        match leaf.standing:
            case Standing.RUNNING:
                again = f"attempt {leaf.attempt}" if leaf.attempt > 1 else ""
                return ", ".join(part for part in (leaf.agent, again) if part)
            case Standing.WAITING if leaf.limit is not None:
                until = moment.until(leaf.limit.until_ms, self._now_ms)
                due = "" if self._is_over else f", {moment.due(leaf.limit.until_ms, self._now_ms)}"
                return f"{leaf.limit.name} until {until}{due}" + (f": {message}" if message else "")
            case Standing.WAITING:
                due = moment.due(leaf.due_ms, self._now_ms) if leaf.due_ms is not None else "later"
                when = "when resumed" if self._is_over else due
                return f"attempt {leaf.attempt + 1} {when}" + (f": {message}" if message else "")
            case Standing.TOLERATED:
                return f"tolerated: {message}" if message else "tolerated"
            case _:
                return message


def _grant(group: Group, room: int) -> dict[Spot, int]:
    """Which children get how many of `room` lines."""
    buckets = group.buckets
    chosen: dict[Spot, None] = {}
    few = (
        buckets[Bucket.ACTIVE],
        buckets[Bucket.FAILED],
        islice(reversed(buckets[Bucket.DONE]), _FEW),
        islice(buckets[Bucket.PENDING], _FEW),
    )
    _choose(chosen, few, room)
    if len(group.children) <= room // 2:
        # All of them in a line each, and half of the room is left for what is in them.
        _choose(chosen, (group.children.values(),), room)
    granted = dict.fromkeys(chosen, 1)
    left = room - len(granted)
    for bucket in (Bucket.ACTIVE, Bucket.FAILED, Bucket.PENDING, Bucket.DONE):
        big = [spot for spot in granted if spot.bucket is bucket and spot.size > 1]
        if bucket in (Bucket.PENDING, Bucket.DONE):
            # Worth its lines only as a whole.
            big = [spot for spot in big if spot.size - 1 <= left // len(big)]
        big.sort(key=lambda spot: spot.size)  # what a small one leaves goes to the next
        for index, spot in enumerate(big):
            lent = min(spot.size - 1, left // (len(big) - index))
            granted[spot] += lent
            left -= lent
    return granted


def _choose(chosen: dict[Spot, None], sources: Iterable[Iterable[Spot]], room: int) -> None:
    for source in sources:
        for spot in source:
            if len(chosen) >= room:
                return
            if spot.size:
                chosen[spot] = None


def _header(group: Group, depth: int, *, is_folded: bool) -> Line:
    state = f"{group.settled}/{group.total}"
    if group.kind == LOOP:
        limit = group.spec.get("max_iterations")
        state = loop_state(group.pass_, limit if isinstance(limit, int) else None, group.verdict)
    note = ""
    if is_folded:
        shown = (Standing.RUNNING, Standing.WAITING, Standing.FAILED, Standing.TOLERATED)
        note = ", ".join(_counted(group.counts, shown))
    return Line(depth, container_glyph(group.kind), one_line(group.node), state, "", note)


def _folded(lines: list[Line], hidden: list[int], depth: int, folds: int) -> list[Line]:
    """The lines, with those that count what they leave out."""
    before = list(
        _counted(
            hidden,
            (
                Standing.FINISHED,
                Standing.FAILED,
                Standing.TOLERATED,
                Standing.SKIPPED,
                Standing.CANCELLED,
            ),
        )
    )
    after = list(_counted(hidden, (Standing.RUNNING, Standing.WAITING, Standing.PENDING)))
    if folds == 1:
        before, after = before + after, []
    top = [Line(depth, "", f"… {', '.join(before)}")] if before else []
    bottom = [Line(depth, "", f"… {', '.join(after)}")] if after else []
    return [*top, *lines, *bottom]


def _counted(counts: list[int], standings: Iterable[Standing]) -> Iterator[str]:
    """`940 finished`, one text a word."""
    words: dict[str, int] = {}
    for standing in standings:
        words[standing.word] = words.get(standing.word, 0) + counts[standing]
    return (f"{count} {word}" for word, count in words.items() if count)
