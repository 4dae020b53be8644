"""What the name of a field says about its value."""

from __future__ import annotations

import re

from .part import Path

_GOOD = frozenset(
    "accept accepted approve approved clean complete completed converged correct done finished good "
    "green lgtm merge mergeable ok okay pass passed passes passing ready resolved satisfied satisfactory "
    "ship shipped succeeded success successful valid verified".split()
)
_BAD = frozenset(
    "again block blocked blocker blockers blocking broken cancelled continue dirty error errors fail failed "
    "failing failure incomplete invalid issues missing more needs no not reject rejected remaining retry "
    "wrong".split()
)


def field_name(path: Path) -> str:
    """The innermost field; an element is called after its list, a text at the top `answer`."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def words_of(name: str) -> list[str]:
    """`userID`, `user_id` and `user-id` are all `user` and `id`."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def reads_as(name: str) -> bool | None:
    """True for a verdict, False for a complaint, None for neither."""
    words = set(words_of(name))
    if words & _BAD:
        return False
    return True if words & _GOOD else None
