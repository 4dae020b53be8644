"""How hollow a text of an answer is: a filler, an echo of the schema, an excuse, or something said. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from . import wording
from .translated import english
from .wording import stem, words

_FAMILY: Final = 6
"""Letters that words of one family share."""
_EXCUSE_LIMIT: Final = 160
"""Characters; what is longer says more than that it could not be done."""

_POINTER: Final = 14
"""Words; the same for what tells where the answer is."""
_BLANK: Final = 3
"""Words of the name of a place that is to be filled in."""
_OUTLINE: Final = 9
"""Words of what begins with the name of what should stand there."""
_SAMPLE: Final = 4
"""Words of what is called an example."""
_SCHEMA_LIMIT: Final = 1_000
"""Characters; the schema of one place is shorter."""

_NAME: Final = re.compile(r"(?<=[a-z])[_ -]?[Nn]ame\b")
_PADDING: Final = frozenset(["a", "of", "for", "the", "number", "string", "example", "another", "other"])
"""Words that change nothing in a pair of names."""

POINTING: Final = "only points elsewhere"
ANNOUNCING: Final = "only announces an answer"
ASKED: Final = "speaks of how it was asked for"


class Hollow(IntEnum):
    """How sure it is that a text stands only where one had to stand."""

    SAYS = 0
    """It says something, as far as one can tell without knowing the question."""
    NEUTRAL = 1
    """A number, a code, a date: neither."""
    ABSENT = 2
    """Nothing, or a word for it: true where there was nothing to say."""
    VAGUE = 3
    """Words for things of any kind: `title`, `Option B`, `New feature`. Often meant."""
    FILLER = 4
    """What is written for want of anything else: `test`, `x`, `foo`. Now and then meant."""
    EXCUSE = 5
    """That it could not be done, or that it was said before."""
    ECHO = 6
    """What the schema calls it, or a word for an empty place: `string`, `TODO`, `Step 1` in `steps`."""
    TEMPLATE = 7
    """A place that was to be filled in: `<answer>`, `your title here`."""
    COPY = 8
    """The schema's own description of the field, or the printer's: lorem ipsum."""


class Judged(NamedTuple):
    """One text with what was found."""

    hollow: Hollow
    why: str = ""
    """In words that follow the field's name: `is a filler: 'foo'`."""

    @property
    def is_about_answers(self) -> bool:
        return self.why.startswith((ASKED, POINTING))


class Names(NamedTuple):
    """What the schema says around a text. Words are stems."""

    own: frozenset[str]
    """Of the nearest field's name."""
    around: Collection[str]
    """Of the names of its model, and of the fields beside it."""
    descriptions: Collection[str]
    is_entry: bool = False
    """It stands in a mapping, which may be one of a word to its translation."""

    def has(self, word: str) -> bool:
        """Whether a word is one of the names, or of their family: `translated` for `Translation`."""
        names = (*self.own, *self.around)
        return stem(word) in names or any(
            len(name) > _FAMILY and word.startswith(name[:_FAMILY]) for name in names if len(word) > _FAMILY
        )


def judge(text: str, names: Names) -> Judged:
    """How hollow a text is."""
    plain = wording.LIMITED.sub("", " ".join(text.split()))
    found = words(wording.SUFFIX.sub("", plain))
    found = found if names.is_entry else english(found)
    quoted = repr(plain[:40])
    if not plain or (found and plain.lower().strip(" .()") in wording.ABSENT):
        return Judged(Hollow.ABSENT, f"is {quoted}" if plain else "is empty")
    if wording.LOREM.match(plain):
        return Judged(Hollow.COPY, "is filled with lorem ipsum")
    if len(found) > 2 and any(found == english(words(description)) for description in names.descriptions):
        return Judged(Hollow.COPY, "repeats the schema's description")
    if _is_template(plain, names):
        return Judged(Hollow.TEMPLATE, f"is a template: {quoted}")
    if wording.PATTERN.match(plain) and wording.SHOWN.isdisjoint(names.own):
        return Judged(Hollow.ECHO, f"shows how it is written: {quoted}")
    if not found:
        has_digit = any(char.isdigit() for char in plain)
        return Judged(Hollow.NEUTRAL) if has_digit else Judged(Hollow.ECHO, f"holds no word: {quoted}")
    if _is_neutral(plain, found):
        return Judged(Hollow.NEUTRAL)
    hollow, why = _excuse(plain, found, names) or _words(plain, found, names)
    if hollow > Hollow.VAGUE and _is_code(plain) and wording.BLANKS.isdisjoint(found):
        hollow = Hollow.VAGUE  # in code and in names of files any word may stand
    return Judged(hollow, f"{why}: {quoted}" if why else "")


# --- Shapes -------------------------------------------------------------------------------------


def _is_template(text: str, names: Names) -> bool:
    if wording.TEMPLATE.match(text) or _is_schema(text, names) or is_pair(text):
        return True
    if wording.BLANK.fullmatch(text):
        return True
    blanks = [blank for blank in wording.BRACKETED.findall(text) if _is_blank(blank, names)]
    is_own = any(not names.own.isdisjoint(map(stem, words(blank))) for blank in blanks)
    return bool(blanks) and (is_own or len(blanks) > 1 or blanks[0] == text)


def _is_schema(text: str, names: Names) -> bool:
    """Whether it is the JSON schema of the place it stands in; others may have been asked for."""
    if not (text.startswith("{") and text.endswith("}") and len(text) <= _SCHEMA_LIMIT):
        return False
    described = {word for description in names.descriptions for word in words(description)}
    found = words(text)
    return not {"type", "ref"}.isdisjoint(found) and all(
        word in wording.SCHEMA or word in described or names.has(word) for word in found
    )


def is_pair(text: str) -> bool:
    """Whether it is a mapping of a name to what mappings are said to map it to: `{'term': 'definition'}`."""
    found = [word for word in words(_NAME.sub("", text[:_SCHEMA_LIMIT])) if word not in _PADDING]
    names, values = found[::2], found[1::2]
    return (
        text.startswith("{")
        and bool(values)
        and len(names) == len(values)
        and all(
            stem(value) in wording.PAIRS.get(stem(name), ())
            for name, value in zip(names, values, strict=True)
        )
    )


def _is_blank(blank: str, names: Names) -> bool:
    """Whether what stands in brackets is named like a place to be filled in."""
    inner = english(words(blank))
    is_named = len(inner) <= _BLANK and any(stem(word) in names.own for word in inner)
    return bool(inner) and (
        is_named
        or inner[-1] == "here"
        or _is_idle(inner, names)
        or wording.TEMPLATE.match(blank[1:-1]) is not None
    )


def _is_neutral(text: str, found: Sequence[str]) -> bool:
    is_code = wording.CODE.match(text) and (not wording.COUNTED.match(text) or text.isupper())
    is_code = is_code and wording.ACKNOWLEDGED.isdisjoint(found)
    return bool(is_code) and wording.EMPTY.isdisjoint(found)


def _is_code(text: str) -> bool:
    is_file = " " not in text and "@" not in text and wording.SUFFIX.search(text)
    return bool(is_file or wording.SYNTAX.search(text))


def _excuse(text: str, found: Sequence[str], names: Names) -> tuple[Hollow, str] | None:
    if len(found) <= _POINTER and wording.ABOVE.search(text):
        return Hollow.EXCUSE, POINTING
    if (wording.ELSEWHERE.match(text) and len(found) <= 8) or (
        len(found) <= _POINTER and len(text) <= _EXCUSE_LIMIT and wording.ANSWERED.match(text)
    ):
        return Hollow.EXCUSE, POINTING
    if len(text) <= _EXCUSE_LIMIT and _is_of_asking(text, names):
        return Hollow.EXCUSE, ASKED
    if len(text) <= _EXCUSE_LIMIT and wording.INTENT.match(text):
        is_sure = wording.ASKING.search(text) is not None
        return Hollow.TEMPLATE if is_sure else Hollow.EXCUSE, ANNOUNCING
    if len(text) <= _EXCUSE_LIMIT and wording.EXCUSE.match(text):
        return Hollow.EXCUSE, "is an excuse"
    return None


def _is_of_asking(text: str, names: Names) -> bool:
    """Whether nothing is said besides how the answer was asked for."""
    rest, count = wording.ASKING.subn(" ", text)
    return bool(count) and all(
        word in wording.IDLE | wording.HANDLED | wording.EMPTY
        or stem(word) in wording.THINGS
        or names.has(word)
        for word in words(rest)
    )


# --- Words --------------------------------------------------------------------------------------


def _words(text: str, found: Sequence[str], names: Names) -> tuple[Hollow, str]:
    """What the words of a text come to, and why."""
    if wording.ADDRESS.match(text):
        return Hollow.FILLER, "is an address of examples"
    if "@" in text and " " not in text:
        return Hollow.SAYS, ""
    if wording.PERSON.match(text):
        return Hollow.FILLER, "is a name of examples"
    if wording.QUERY.match(text):
        return Hollow.FILLER, "is a query of examples"
    fillers = wording.FILLERS.intersection(found)
    if found[0] in wording.EMPTY and re.match(rf"{found[0]}(?::|\s+[\u2013\u2014-])\s", text, re.IGNORECASE):
        return Hollow.ECHO, "is a placeholder"
    if fillers and all(word in fillers or word in wording.FUNCTION for word in found):
        return Hollow.FILLER, "is a filler"
    if _is_idle(found, names):
        return _idle(text, found, names)
    if found[0] in ("your", "my") and len(found) <= 4 and stem(found[-1]) in names.own:
        return Hollow.ECHO, "only names what should stand there"
    is_blank = (found[0] in wording.BLANKS or wording.LEFT.match(text) is not None) and len(found) <= _POINTER
    if is_blank or (len(found) <= 4 and not wording.BLANKS.isdisjoint(found)):
        return Hollow.FILLER, "is a placeholder"
    if wording.LETTERS.fullmatch(text):
        return Hollow.FILLER, "is a letter"
    if len(found) <= _SAMPLE and wording.SAMPLE.search(text):
        return Hollow.FILLER, "is an example"
    if len(found) <= _OUTLINE and wording.OUTLINED.match(text):
        return Hollow.VAGUE, "may mean anything"
    is_named = len(found) <= _BLANK and stem(found[-1]) in names.own & wording.THINGS
    is_named = is_named or (len(found) == 2 and not names.own.isdisjoint(map(stem, found)))
    if is_named or wording.FIRST.fullmatch(text):
        return Hollow.VAGUE, "may mean anything"
    if wording.REPEATED.fullmatch(text) or (len(found) > 3 and len(set(found)) == 1):
        return Hollow.ECHO, "repeats itself"
    is_idle = wording.IDLE.issuperset(found) and not wording.SIGNS.search(text)
    return (Hollow.NEUTRAL if is_idle else Hollow.SAYS), ""


def _is_idle(found: Sequence[str], names: Names) -> bool:
    """Whether there are only idle words and words for anything, of the latter at least one."""
    things = {
        word for word in found if word in wording.EMPTY or stem(word) in wording.THINGS or names.has(word)
    }
    return bool(things) and all(
        word in things or word in wording.IDLE or word in wording.FILLERS or len(word) == 1 for word in found
    )


def _idle(text: str, found: Sequence[str], names: Names) -> tuple[Hollow, str]:
    """How sure it is of words that make up no statement."""
    vague, echo = (Hollow.VAGUE, "may mean anything"), (Hollow.ECHO, "only names what should stand there")
    if found[0] == "no":
        # That there is nothing is mostly said because it is so.
        if found[-1] in wording.GIVEN:
            return Hollow.ABSENT, "is not given"
        is_name = all(stem(word) in names.own for word in found[1:])
        return (Hollow.NEUTRAL if is_name else Hollow.SAYS), ""
    if found[0] == "not":
        return Hollow.SAYS, ""  # `Not a bug`
    if not wording.EMPTY.isdisjoint(found):
        return echo
    stems = {stem(word) for word in found}
    is_own = not stems.isdisjoint(names.own)
    if text.isidentifier() and not wording.ENUMERATED.search(text) and not is_own:
        return vague  # one word for a thing of any kind may well be what was asked for
    has_others = any(stem(word) in wording.THINGS - wording.SAMPLES and not names.has(word) for word in found)
    ends = {stem(found[0]), stem(found[-1])}
    is_of_own = is_own and found[-1] == "name" and len(found) > 1
    if is_of_own or not wording.SAMPLES.isdisjoint(stems if is_own else ends) or (is_own and not has_others):
        return echo
    if len(found) > 2 and not wording.FORMS.isdisjoint(found):
        return Hollow.ECHO, "speaks of the answer's form"
    is_linked = not wording.LINKS.isdisjoint(found)  # `Reason for the score` is none
    is_named = any(map(names.has, found)) and wording.ORDINALS.isdisjoint(found)
    return echo if is_named and (is_linked or not has_others) else vague
