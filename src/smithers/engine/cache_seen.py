"""What a task's code has read by itself, and whether it would read the same now.

It is known only once the code has run, and so it is no part of the key: it is stored with the output, and an
entry is taken only by an attempt that would read the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .cache_key import canonical, mark_of

if TYPE_CHECKING:
    from .job import Job


def seen_by(job: Job) -> Mapping[str, str] | None:
    """Hashes of what an attempt's code has read beside what `deps` hands to it, by the words for it.

    Returns:
        None: there is something among it that cannot be compared later, such as where a task stands.
    """
    given = set(job.task.dep_names)
    found: dict[str, str] = {}
    # Sorted in one step: a thread that the function has left behind may still read.
    for kind, name in sorted(job.view.reads or ()):
        if kind == "node" and name in given:
            continue
        about = _WORDS.get(kind)
        if about is None:
            return None
        word = about.format(name)
        mark = _mark(job, word)
        if mark is None:
            return None
        found[word] = mark
    return found


def unlike(job: Job, seen: Mapping[str, str]) -> tuple[str, ...]:
    """The words for what this attempt would read otherwise."""
    return tuple(word for word, mark in seen.items() if _mark(job, word) != mark)


_WORDS: Mapping[str, str] = {
    "given": "ctx.{}",
    "node": "output of {}",
    "model": "all outputs {}",
}
"""How people are told of a read, by its kind; no two reads have the same words, for ids hold no blanks."""


def _mark(job: Job, word: str) -> str | None:
    """Hash of what stands for a word in this attempt; None: it cannot be said."""
    first, _, name = word.partition(" ")
    try:
        if first == "output":
            return mark_of(canonical(_rows(job, name.removeprefix("of ")))).hex()
        if first == "all":
            read = job.view.state.rows.of_output(name.removeprefix("outputs "))
            rows = [row.body for row in read if row.seq <= (job.view.seq or 0)]
            return mark_of(canonical(rows)).hex()
        return mark_of(canonical(_GIVEN[first](job))).hex()
    except Exception:  # noqa: BLE001 - an author's input may refuse to be JSON: then nothing is compared
        return None


def _rows(job: Job, node: str) -> list[tuple[tuple[int, ...], str]]:
    """All rows of a node that are there for this attempt: whichever way it reads, it reads among these."""
    rows = list(job.view.state.rows.of(node).items())
    return sorted((passes, row.body) for passes, row in rows if row.seq <= (job.view.seq or 0))


_GIVEN: Mapping[str, Callable[[Job], Any]] = {
    "ctx.input": lambda job: job.view.state.input,
    "ctx.run_id": lambda job: job.ctx.run_id,
    "ctx.iteration": lambda job: job.key.iteration,
}
