"""Ways to damage a database file, drawn from a seed."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

PAGE = 4096
KINDS = ("flip", "burst", "zero", "copy", "truncate", "header")


def damage(file: Path, random: Random) -> str:
    """Damage a file, and say how."""
    kind = random.choice(KINDS)
    data = bytearray(file.read_bytes())
    pages = len(data) // PAGE
    match kind:
        case "flip":
            for _ in range(random.choice((1, 2, 10, 100, 2000))):
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case "burst":
            at = random.randrange(len(data))
            data[at : at + 64] = random.randbytes(len(data[at : at + 64]))
        case "zero":
            at = random.randrange(1, pages) * PAGE
            data[at : at + PAGE] = bytes(PAGE)
        case "copy":
            source, target = (random.randrange(1, pages) * PAGE for _ in range(2))
            data[target : target + PAGE] = data[source : source + PAGE]
        case "header":
            data[random.randrange(100)] ^= 0xFF
        case _:
            os.truncate(file, random.randrange(1, len(data)))
            return kind
    file.write_bytes(bytes(data))
    return kind
