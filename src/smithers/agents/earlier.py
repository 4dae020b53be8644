"""What the answers said that an agent gave before, within one attempt. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from pydantic_core import from_json

from .extraction import candidates
from .wording import ANNOUNCED, DENIAL, FUNCTION, stem, words

READ_LIMIT: Final = 200_000
"""Characters of an answer that are looked at."""
_QUOTABLE: Final = 120
"""Characters of a text up to which a filler in it was meant; any word stands in a long one."""
_FILE = re.compile(r"\w\.[a-z]{1,5}\b(?!\()")
_NUMERAL = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)*")
_UNKNOWING = re.compile(
    r"\b(?:can(?:['\u2019]t|not)|could(?:n['\u2019]t| not)|unable to|impossible to|nobody can)\s+(?:\w+\s+)?"
    r"(?:tell|say|know|determine|be\s+(?:told|known|determined|said))\b"
    r"|\b(?:is|are|be|stays?|remains?)\s+(?:not\s+known|unknown|empty|the\s+empty)\b",
    re.IGNORECASE,
)
_CODE_NAME = re.compile(r"\w+(?:[./_-]\w+)+")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+|;\s")
_FEW: Final = 14
"""Words that it takes at most to say that there is nothing."""
_BITS: Final = 10_000


class Past(NamedTuple):
    """The earlier answers of an attempt."""

    first: frozenset[str]
    """Values of the first answer; a text without JSON is one."""
    values: frozenset[str]
    """Values of all."""
    said: frozenset[str]
    """Stems of the words in all values that say something."""
    richest: frozenset[str]
    """The same for the JSON that says most."""
    words_at: Mapping[tuple[str, bool], int]
    """Words that fields of earlier JSON held, the most of each, by whether that was one text: a text may say
    that there is nothing."""
    numbers: int
    """Numbers other than 0 in the JSON that has most of them."""
    objects: tuple[object, ...]
    """What was JSON."""
    prose: tuple[str, ...]
    """What was none."""
    around: tuple[str, ...]
    """Texts that JSON stood in, without it."""
    numerals: frozenset[str]
    """Numbers in all of them, as they stand there, with their signs."""
    nulls: frozenset[str]
    """Names of fields that JSON had nothing in."""
    has_nothing: bool
    """Each of them says that there is nothing, and none holds anything."""
    knows_nothing: bool
    """Whether a text says that its writer cannot tell, or that what he was asked for is empty."""
    last_announces: bool
    """Whether the last one is prose that says that what follows is made up."""
    ends_shaped: bool
    """Whether the last one is JSON, and nothing around it."""
    names_files: bool
    """Whether any value has the name of a file in it."""

    @classmethod
    def of(cls, earlier: Sequence[str]) -> Past:
        read = [_read(text) for text in earlier]
        values = [frozenset(leaves(value)) for value, _ in read]
        objects = [value for value, around in read if around is not None]
        said = [content(leaves(value)) for value in objects]
        return cls(
            values[0] if values else frozenset(),
            frozenset[str]().union(*values),
            content(chain.from_iterable(values)),
            max(said, key=len, default=frozenset()),
            _words_at(objects),
            max((sum(map(_is_number, leaves(value))) for value in objects), default=0),
            tuple(objects),
            tuple(str(value) for value, around in read if around is None),
            tuple(around for _, around in read if around),
            frozenset(found for text in earlier for found in _NUMERAL.findall(text[:READ_LIMIT])),
            frozenset(name for value in objects for name in _nulls(value)),
            bool(read) and all(_is_nothing(value, around) for value, around in read),
            any(_UNKNOWING.search(str(value)) for value, around in read if around is None),
            bool(read) and ANNOUNCED.search(_prose(read[-1])) is not None,
            bool(read) and read[-1][1] is not None and not read[-1][1].strip(),
            any(_FILE.search(text) for value in values for text in value),
        )

    def has(self, text: str, *, in_first: bool) -> bool:
        """Whether a text was an answer's value before, or stood in a short one."""
        values = self.first if in_first else self.values
        plain = _plain(text)
        return any(_plain(value) == plain or _stands_in(plain, value, text) for value in values)

    def is_only(self, text: str) -> bool:
        """Whether the first answer was nothing else."""
        return {_plain(value) for value in self.first} == {_plain(text)}

    def has_word(self, word: str) -> bool:
        """Whether a word stands in any value, as a part of another too: languages bend their words, and some
        write without spaces."""
        return any(word in value.lower() for value in self.values)


def _prose(read: tuple[object, str | None]) -> str:
    value, around = read
    return str(value) if around is None else around


def _plain(text: str) -> str:
    """A text without what does not matter: case, white space, a full stop, a plural."""
    plain = " ".join(text.lower().split())
    return stem(plain.rstrip(".!") or plain)


def _stands_in(plain: str, value: str, text: str) -> bool:
    """Whether a short text is part of another short one, by whole words; a name in code, of a long one."""
    if not any(map(str.isalnum, plain)):
        return False
    if _CODE_NAME.fullmatch(plain) and re.search(rf"(?<![\w./-]){re.escape(plain)}(?![\w/-])", value.lower()):
        return True
    if not plain or len(value) > _QUOTABLE:
        return bool(plain) and len(value) > _QUOTABLE and (_ends(value, plain) or _names(value, text))
    if plain.isalpha():
        return plain in words(value)
    return plain in value.lower() or f" {plain} " in f" {' '.join(words(value))} "


def _names(value: str, text: str) -> bool:
    """Whether a long text calls something by just that: `a line named Test`."""
    return (
        re.search(rf"\b(?:named|called|titled|labelled|says|reads)\s+[\"'`«“]?{re.escape(text)}\b", value)
        is not None
    )


def _ends(value: str, plain: str) -> bool:
    """Whether a long text ends with it, behind a colon: `… Answer: N/A`."""
    _, colon, last = value.rstrip(" .!\n").lower().rpartition(":")
    return bool(colon) and last.strip(" *`\"'") == plain


def _read(text: str) -> tuple[object, str | None]:
    """The JSON in an earlier answer, and what stands around it; else its text, and None."""
    text = text[:READ_LIMIT]
    for candidate in candidates(text, None):
        try:
            value: object = from_json(candidate.text)
        except (ValueError, TypeError):
            continue
        return value, f"{candidate.source[: candidate.start]} {candidate.source[candidate.end :]}"
    return text, None


def mostly_denies(text: str) -> bool:
    """Whether half of a text's sentences, or more, say that something is not so."""
    sentences = [one for one in SENTENCE.split(text[:READ_LIMIT]) if one.strip()]
    return 2 * sum(DENIAL.search(one) is not None for one in sentences) >= len(sentences)


def _nulls(value: object) -> Iterator[str]:
    """Names of fields that hold nothing, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            if item in (None, "", [], {}) and not isinstance(item, bool):
                yield str(name)
            yield from _nulls(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nulls(item)


def _is_nothing(value: object, around: str | None) -> bool:
    if around is None:
        return mostly_denies(str(value)) and len(content([str(value)])) <= _FEW
    return value not in ({}, None) and not any(leaf not in ("", "0") for leaf in leaves(value))


def _words_at(objects: Sequence[object]) -> dict[tuple[str, bool], int]:
    counts: dict[tuple[str, bool], int] = {}
    for value in objects:
        items = value.items() if isinstance(value, dict) else [("root", value)]
        for name, item in items:
            key = (name, isinstance(item, str))
            counts[key] = max(counts.get(key, 0), len(content(leaves(item))))
    return counts


def _is_number(leaf: str) -> bool:
    return leaf.strip("-.0").replace(".", "").isdigit()


def leaves(value: object) -> Iterator[str]:
    """The values in JSON as texts, and the keys that say something; no booleans."""
    if isinstance(value, dict):
        for key, item in value.items():
            if " " in str(key):  # no name, but something said
                yield str(key)
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif not isinstance(value, bool):
        # Python refuses to write out longer integers.
        is_endless = isinstance(value, int) and value.bit_length() > _BITS
        yield "" if value is None or is_endless else str(value)


def content(texts: Iterable[str]) -> frozenset[str]:
    """Stems of the words in some texts that say something."""
    return frozenset(stem(word) for text in texts for word in words(text) if word not in FUNCTION)
