"""Texts for a field: what its name suggests, what its format asks for, of a length in bounds."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Final

from .name import words_of

_ID_LIKE = frozenset("branch code id identifier key name ref slug tag ticket".split())
_FILE_LIKE = frozenset("file filename filepath path".split())


def ideas_for(name: str, number: int, *, is_element: bool) -> list[str]:
    """Texts for a field: the first is the natural one, the others please unusual validators.

    Args:
        number: tells this text from others.
        is_element: of a list.
    """
    words = words_of(name) or ["answer"]
    plain = f"rehearsed {' '.join(words)} {number}"
    dashed = plain.replace(" ", "-")
    if {"url", "uri", "link"} & set(words[-1:]):
        first = f"https://example.org/rehearsed/{number}"
    elif "email" in words:
        first = f"rehearsed.{number}@example.org"
    elif _FILE_LIKE & set(words[-1:]):
        first = f"rehearsed/{words[-1]}-{number}.txt"
    else:
        # Ids are often derived from names and from the elements of lists: those hold no spaces.
        first = dashed if is_element or _ID_LIKE & set(words[-1:]) else plain
    others = [
        *(plain, dashed, plain.title(), plain.upper(), dashed.replace("-", "_"), words[0], str(number)),
        *("a", "A", "rehearsed", "Rehearsed.", f"rehearsed.{number}@example.org", "2024-01-15", "1.2.3"),
        *(f"https://example.org/{number}", "rehearsed.txt", "/rehearsed", "{}", "[]", "UTC", "en", ""),
    ]
    return [first, *(other for other in others if other != first)]


def fit(text: str, least: int, most: float) -> str:
    """`text` cut or filled up to a length, its end (the number that tells it from others) kept."""
    if len(text) < least:
        text = text + " and so on" * (least // 10 + 1)
        text = text[: int(min(max(least, 1), most))]
    if len(text) > most:
        text = text[len(text) - int(most) :]
    # A model that strips white space must not end up below the minimum.
    return re.sub(r"^\s|\s$", "-", text)


def uuid_text(number: int, version: str) -> str:
    """A UUID of a version from 1 to 8."""
    return f"{number:08d}-0000-{version}000-8000-{number:012d}"


FORMATS: Final[dict[str, Callable[[int], str]]] = {
    # By the name of the format. Long past, so that no value changes the day its date goes by.
    "date": lambda n: f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}",
    "date-time": lambda n: f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}T09:{n % 60:02d}:00Z",
    "time": lambda n: f"09:{n % 60:02d}:00",
    "duration": lambda n: f"PT{n % 50 + 1}M",
    "uuid": lambda n: uuid_text(n, "4"),
    **{f"uuid{v}": lambda n, v=v: uuid_text(n, str(v)) for v in range(1, 9)},  # type: ignore[misc]
    "uri": lambda n: f"https://example.org/rehearsed/{n}",
    "multi-host-uri": lambda n: f"https://user:secret@example.org:5432/rehearsed{n}",
    "email": lambda n: f"rehearsed.{n}@example.org",
    "name-email": lambda n: f"Rehearsed <rehearsed.{n}@example.org>",
    "ipv4": lambda n: f"192.0.2.{n % 254 + 1}",
    "ipv6": lambda n: f"2001:db8::{n:x}",
    "ipvanyaddress": lambda n: f"192.0.2.{n % 254 + 1}",
    "ipv4network": lambda n: f"10.{n % 256}.0.0/16",
    "ipv6network": lambda n: f"2001:db8:{n:x}::/48",
    "ipvanynetwork": lambda n: f"10.{n % 256}.0.0/16",
    "ipv4interface": lambda n: f"192.0.2.{n % 254 + 1}/24",
    "ipv6interface": lambda n: f"2001:db8::{n:x}/64",
    "ipvanyinterface": lambda n: f"192.0.2.{n % 254 + 1}/24",
    "regex": lambda n: f"rehearsed{n}",
    "zoneinfo": lambda _: "UTC",
    "path": lambda n: f"rehearsed/{n}.txt",
    "directory-path": lambda _: ".",
    "base64": lambda n: base64.b64encode(f"rehearsed {n}".encode()).decode(),
    "base64url": lambda n: base64.urlsafe_b64encode(f"rehearsed {n}".encode()).decode(),
    "json-string": lambda n: json.dumps({"rehearsed": n}),
    "fraction": lambda n: f"{n}/7",
}
