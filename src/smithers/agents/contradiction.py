"""Whether an answer chooses another of a few values than the answers before it did. Pure.

Corrected for `Option D`, one says `D`; who says `A` has stopped reading. Only a value that was given in so
many words counts, and none that is found anywhere in what was said before: there was a reason for it then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel

from .earlier import READ_LIMIT, Past
from .slot import closed

_MARKS: Final = " \t\n.,;:!?()[]\"'`*"
_CALLED: Final = re.compile(r"(?:option|answer|choice|letter|candidate|variant)\s+", re.IGNORECASE)
_CAPITALS: Final = 3
"""Letters of a value in capitals from which on prose means it by that word."""


class Choice(NamedTuple):
    """A field that holds one of a few texts."""

    name: str
    """`root`: the answer is nothing else."""
    value: str
    others: frozenset[str]


def contradicted(output: BaseModel, past: Past, earlier: Sequence[str]) -> str | None:
    """What was chosen before, in words, if the answer chooses another without a word."""
    for choice in _choices(output):
        if any(_mentions(text[:READ_LIMIT], choice.value) for text in earlier):
            continue
        if past.objects:
            chosen = {_plain(text) for value in past.objects for text in _held(value, choice.name)}
            before = [other for other in choice.others if other.lower() in chosen]
        else:
            prose = [text[:READ_LIMIT] for text in past.prose]
            before = [other for other in choice.others if any(_is_meant(text, other) for text in prose)]
        if len(before) == 1:
            return f"{choice.name} is {choice.value!r}, and was {before[0]!r} before"
    return None


def _choices(output: BaseModel) -> Iterator[Choice]:
    for name, info in type(output).model_fields.items():
        value = getattr(output, name)
        members = {member for member in closed(info.annotation) if isinstance(member, str)}
        if isinstance(value, str) and value in members:
            yield Choice(
                "root" if name == "root" else info.alias or name, value, frozenset(members - {value})
            )


def _held(value: object, name: str) -> Iterator[str]:
    """Texts in a field of earlier JSON; for an answer that is one value, of its first field."""
    if isinstance(value, dict) and value:
        value = next(iter(value.values())) if name == "root" else value.get(name)
        if isinstance(value, str):
            yield value
    elif isinstance(value, str) and name == "root":
        yield value


def _plain(text: str) -> str:
    return _CALLED.sub("", text.strip(_MARKS)).strip(_MARKS).lower()


def _mentions(text: str, value: str) -> bool:
    return _word(value, re.IGNORECASE if len(value) > 1 else re.NOFLAG).search(text) is not None


def _is_meant(text: str, value: str) -> bool:
    """Whether prose names a value as what was chosen."""
    if not value.isupper():
        return False
    is_called = re.search(rf"{_CALLED.pattern}{re.escape(value)}\b", text, re.IGNORECASE) is not None
    return is_called or (len(value) >= _CAPITALS and _word(value, re.NOFLAG).search(text) is not None)


def _word(value: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(value)}(?![\w-])", flags)
