"""What runs are called that nobody names: after the run that they belong to."""

from __future__ import annotations

import re
from hashlib import blake2b

from smithers.ids import NodeKey, passes_of

LONGEST = 90
"""Characters of a name, which leaves some of the hundred for a number."""


def child_name(parent: str, key: NodeKey, generation: int) -> str:
    """`release.notes`: the parent and the node; `release.notes.2` in the third pass of a loop, and
    `release.notes.again-1` where the node is executed again from the start."""
    words = [parent, re.sub(r"[^A-Za-z0-9._-]", "-", key.node)]
    if key.iteration or key.scope:
        words.append("-".join(map(str, passes_of(key))))
    if generation:
        words.append(f"again-{generation}")
    name = ".".join(words)
    if len(name) <= LONGEST:
        return name
    mark = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{name[: LONGEST - len(mark) - 1]}-{mark}"


def numbered(name: str, number: int) -> str:
    """`name-2`, `name-3`, …; the first is the name itself."""
    return name if number <= 1 else f"{name[:LONGEST]}-{number}"
