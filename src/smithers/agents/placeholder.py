"""How hollow a text of an answer is: a filler, an echo of the schema, an excuse, or something said. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final, NamedTuple


class Hollow(IntEnum):
    """How sure it is that a text stands only where one had to stand."""

    SAYS = 0
    """It says something, as far as one can tell without knowing the question."""
    NEUTRAL = 1
    """A number, a code, a date: neither."""
    ABSENT = 2
    """Nothing, or a word for it: true where there was nothing to say."""
    FILLER = 3
    """What is written for want of anything else, yet is now and then meant: `test`, `x`, `foo`."""
    EXCUSE = 4
    """That it could not be done, or that it was said before."""
    ECHO = 5
    """What the schema calls this field, or a word for an empty place: `string`, `TODO`, `Step 1`."""
    TEMPLATE = 6
    """A place that was to be filled in: `<answer>`, `your title here`."""
    COPY = 7
    """The schema's own description of the field, or the printer's: lorem ipsum."""


class Judged(NamedTuple):
    """One text with what was found."""

    hollow: Hollow
    why: str = ""
    """In words that follow the field's name: `only repeats its own name`."""


FUNCTION_WORDS: Final = frozenset(
    """a an the this that these it its is are was were be been being of for to in on at by with from as and or
    no not any some all each one first second third next last another other new my your our their his her here
    there goes go what which who how why when where do does made given provided i you we they just only also
    if then so than about into out up""".split()
)
"""Words that say nothing without others."""

_EMPTY_WORDS = frozenset(
    """string str placeholder placeholders todo tbd tba fixme dummy mock lorem ipsum undefined nan untitled
    blah whatever additionalprop""".split()
)
"""Words for a place that is still empty."""
_GENERIC_WORDS = frozenset(
    """text value key item entry field name title heading body content description detail example sample
    response output input result object list array number data information info json schema event something
    thing stuff path file folder directory url link id user""".split()
)
"""Stems of words for things of any kind. With idle words and the schema's own they make up no statement."""
_IDLE_WORDS = FUNCTION_WORDS | frozenset(
    """valid format available default generic insert enter satisfy satisfies match matches conform conforms
    required requested retry retrying return returned""".split()
)
"""Words that add nothing to those, though each may be an answer by itself."""
_FILLERS = frozenset(
    """test tests testing foo bar baz qux foobar abc abcd xyz asdf asdfgh qwerty qwer xxx aaa bbb hello world
    example sample john jane doe acme""".split()
)
_ABSENT = frozenset(
    [
        "",
        "n/a",
        "na",
        "none",
        "null",
        "nil",
        "unknown",
        "undefined",
        "not available",
        "not applicable",
        "nothing",
    ]
)
_TEMPLATE = re.compile(
    r"""(?:.*\b)?(?:goes|go)\s+here[\W_]*$
      | (?:please\s+)?(?:add|insert|enter|describe|write|put|type|fill\s+in|your)\b.*\bhere[\W_]*$
      | additional[_ ]?prop\d*$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_LOREM = re.compile(r"\W*lorem\s+ipsum\b", re.IGNORECASE)
_BLANK = re.compile(r"<[^<>]{1,60}>|\[[^\[\]]{1,60}\]|\{\{?[^{}]{1,60}\}\}?")
_TASK = r"""(?:access|complet|perform|process|read|find|locat|determin|provid|generat|retriev|load|open
    |inspect|review|reproduc|evaluat|analy[sz]|translat|summari[sz]|answer|brows|run\b|apply|execut|pars|comply|fulfil
    |assist|verif)\w*"""
"""Verbs for what agents are asked to do; that others could not do something may be what is reported."""
_EXCUSE = re.compile(
    rf"""(?:(?:i['\u2019]?\s?a?m\s+|we\s+are\s+)?(?:very\s+)?sorry\b.{{0,40}}?)?
        (?:unfortunately,?\s+|apologies,?\s+|as\s+an\s+ai\b.{{0,60}}?)?
        (?:(?:i|we)(?:['\u2019]m|\s+am|\s+are|\s+was|\s+were)?\s+(?:not\s+able\s+to|unable\s+to)
         | (?:i|we)\s+(?:can\s?not|can['\u2019]t|could\s+not|couldn['\u2019]t)
         | (?:i|we)\s+(?:do|did)(?:\s+not|n['\u2019]t)\s+have\s+(?:access|permission|enough)
         | (?:unable|failed|not\s+able)\s+to\s+{_TASK}
         | (?:\w+\s+){{0,3}}(?:could\s+not|cannot|can\s+not)\s+be\s+{_TASK})""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_BACK = re.compile(
    r"(?:(?:please\s+)?see\b|as\b|same\s+as\b|refer\s+to\b).{0,30}\b(?:above|previous(?:ly)?|before|earlier)\b",
    re.IGNORECASE,
)
_MAIL = re.compile(
    r"\S+@(?:\S+\.)?(?:example|test|bar|foo|domain|email|a)\.[a-z]{1,4}$|https?://(?:www\.)?example\.\w+/?$",
    re.IGNORECASE,
)
_CODE = re.compile(r"[\W\d_]*\d[\W\d_]*$|[a-z]{2}(?:-[A-Z]{2})?$|[A-Z]{2,4}(?:-?\d+)?$|v?\d[\w.+-]*$")
_SUFFIX = re.compile(r"\.[a-z]{1,4}$")
_WORD = re.compile(r"[^\W\d_]+")
_FAMILY = 6
"""Letters that words of one family share."""
_EXCUSE_LIMIT = 160
"""Characters; what is longer says more than that it could not be done."""


def words(text: str) -> list[str]:
    """The words of a text in lower case; names in code fall into theirs, digits away."""
    return [word.lower() for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))]


def stem(word: str) -> str:
    """A word without the ending of its plural, roughly."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def judge(text: str, field: str, names: Collection[str], descriptions: Collection[str]) -> Judged:
    """How hollow a text is.

    Args:
        field: name of the nearest field.
        names: stems of the words in the names around it: its field's, its model's, those of its neighbours.
        descriptions: what the schema says about the field and the models around it.
    """
    plain = " ".join(text.split())
    found = words(_SUFFIX.sub("", plain))
    if not plain or (found and plain.lower().strip(" .()") in _ABSENT):
        return Judged(Hollow.ABSENT, f"is {plain!r}" if plain else "is empty")
    if _LOREM.match(plain):
        return Judged(Hollow.COPY, "is filled with lorem ipsum")
    if len(found) > 2 and any(found == words(description) for description in descriptions):
        return Judged(Hollow.COPY, "repeats the schema's description")
    if _is_template(plain, names):
        return Judged(Hollow.TEMPLATE, f"is a template: {plain[:40]!r}")
    if not found and not any(char.isdigit() for char in plain):
        return Judged(Hollow.ECHO, f"holds no word: {plain[:20]!r}")
    if _CODE.match(plain) and not set(found) & _EMPTY_WORDS:
        return Judged(Hollow.NEUTRAL)
    return _judge_words(plain, found, field, names)


def _is_template(text: str, names: Collection[str]) -> bool:
    if _TEMPLATE.match(text):
        return True
    blanks = [blank for blank in _BLANK.findall(text) if _is_blank(blank, names)]
    return bool(blanks) and (len(blanks) > 1 or blanks[0] == text)


def _is_blank(blank: str, names: Collection[str]) -> bool:
    """Whether what stands in brackets is named like a place to be filled in."""
    inner = words(blank)
    return bool(inner) and (
        inner[-1] == "here" or _says_nothing(inner, names) or _TEMPLATE.match(blank[1:-1]) is not None
    )


def _says_nothing(found: Sequence[str], names: Collection[str]) -> bool:
    """Only idle words and words for anything, of the latter at least one."""
    empty = {word for word in found if word in _EMPTY_WORDS or _is_generic(word, names)}
    return bool(empty) and all(
        word in empty or word in _IDLE_WORDS or word in _FILLERS or len(word) == 1 for word in found
    )


def _is_generic(word: str, names: Collection[str]) -> bool:
    return stem(word) in _GENERIC_WORDS or _is_name(word, names)


def _is_name(word: str, names: Collection[str]) -> bool:
    """Whether a word is one of the names, or of their family: `translated` for `Translation`."""
    return stem(word) in names or any(
        len(name) > _FAMILY and word.startswith(name[:_FAMILY]) for name in names if len(word) > _FAMILY
    )


def _judge_words(text: str, found: list[str], field: str, names: Collection[str]) -> Judged:
    quoted = repr(text[:40])
    if _BACK.match(text) and len(found) <= 8:
        return Judged(Hollow.EXCUSE, f"only points elsewhere: {quoted}")
    if _EXCUSE.match(text) and len(text) <= _EXCUSE_LIMIT:
        return Judged(Hollow.EXCUSE, f"is an excuse: {quoted}")
    if found[0] in _EMPTY_WORDS and text.lower().startswith(f"{found[0]}:"):
        return Judged(Hollow.ECHO, f"is a placeholder: {quoted}")
    if all(word in _FILLERS or word in FUNCTION_WORDS for word in found) and set(found) & _FILLERS:
        return Judged(Hollow.FILLER, f"is a filler: {quoted}")
    if _says_nothing(found, names):
        if text.isalpha() and stem(found[0]) not in {*map(stem, words(field)), *_EMPTY_WORDS}:
            # One word for a thing of any kind may well be what was asked for.
            return Judged(Hollow.FILLER, f"is a word for anything: {quoted}")
        return Judged(Hollow.ECHO, f"only names what should stand there: {quoted}")
    if len(found) <= 4 and set(found) & _EMPTY_WORDS:
        return Judged(Hollow.FILLER, f"is a placeholder: {quoted}")
    if all(len(word) == 1 and word.isascii() for word in found) and text.islower():
        return Judged(
            Hollow.FILLER, f"is a single letter: {quoted}" if len(found) == 1 else f"is letters: {quoted}"
        )
    if _MAIL.match(text):
        return Judged(Hollow.FILLER, f"is an address of examples: {quoted}")
    if re.fullmatch(r"(\w)\1{3,}", text) or (len(found) > 3 and len(set(found)) == 1):
        return Judged(Hollow.ECHO, f"repeats itself: {quoted}")
    return Judged(Hollow.SAYS)
