"""What earlier answers held and an answer has lost: entries of a list, numbers, all it was about. Pure.

Whoever had nothing to tell has said so: that there is *no* finding, that all is *fine*. One such word in any
earlier answer, and an empty list is believed, unless entries, lines or a sentence that deny nothing have told
something. Without it there must be something that counts as told: entries in JSON, numbers beside the name of
their field, lines of a list, places in files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from .earlier import SENTENCE, Past, content, leaves, mostly_denies
from .wording import DENIAL, ZERO, stem, words

_ENTRIES: Final = 2
_WORDS: Final = 5
"""Words from which on one entry is enough."""
_RICH: Final = 8
"""Words from which on an answer in prose says enough to be missed."""
_PARTS: Final = 4
"""Parts from which on a text of nothing else is a list."""
_SHORT: Final = 6
"""Words that such a part has at most."""
_CLAIM_LIMIT: Final = 20_000
"""Characters of prose that are looked at."""
_VALUES: Final = 500

_PLACE = re.compile(r"\b[\w/.-]{0,60}\w\.[a-z]{1,5}:\d|\b\w{1,40}\s?==\s?\d")
_BULLET = re.compile(
    r"^[ \t]*(?:[-*+!]|\d+[.)])[ \t]+"
    r"(?!(?:i|we|read|ran|run|check|look|review|open|verif|inspect|search|went)\w*\b)\S",
    re.MULTILINE | re.IGNORECASE,
)
"""Lines of a list, unless they tell what was done."""
_HEADING = re.compile(r"^#+ ", re.MULTILINE)
"""Under which lists belong to different fields."""
_PATH = re.compile(r"\b[\w/-]{1,60}\.[a-z]{1,4}\b(?!\()")
_TIMES: Final = frozenset(["event", "timeline", "time", "moment", "log"])
_CLOCK = re.compile(r"\b\d\d?:\d\d\b")
_PAIR = re.compile(r"\b[^\W\d_]\w{0,40}:?\s\d")
_LOOKED = re.compile(
    r"\b(?:read|ran|checked|looked|reviewed|opened|verified|inspected|searched|went|compared|scanned|gelesen"
    r"|gepr[uü]ft|angesehen|lu|v[eé]rifi[eé])\b",
    re.IGNORECASE,
)
_VERSION = re.compile(r"\b[A-Za-z][\w-]{0,40} v?\d{1,4}\.\d")
_SPECIFIC = re.compile(
    r"`[^`\n]{1,80}`|(?<![@\w/.-])[\w/.-]{0,60}\w\.[a-z]{1,5}\b(?::\d+)?|\b[a-z\d]{1,40}(?:_[a-z\d]{1,40}){1,8}\b|\b\w{1,40}::\w"
    r"|[\"«“][^\"«»“”\n]{2,80}\"|\b[A-Z]{2,20}-\d+|\b[a-z]{1,40}[A-Z]\w"
)
"""What names a thing: code, files, quotations."""
_NAMED: Final = 2
_PATHS: Final = frozenset(["file", "path", "module", "source"])
_ROW = re.compile(r"^\s*\|.*\w.*\|.*\w.*\|", re.MULTILINE)
"""Of a table; the first is its head."""
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
_COUNTED = re.compile(r"\b(\d[\d.,]{0,15})\s(?:\w{1,20}\s)?(\w{1,40})|\b(\w{1,40})\s?[:=]\s?(\d[\d.,]{0,15})")


class Gap(NamedTuple):
    """A field whose list or mapping is empty now."""

    name: str
    is_sole: bool
    """Whether no other field's is."""
    is_beside: bool
    """Whether any other field holds something."""
    is_mapping: bool
    is_counted: bool
    """Whether a number beside it is 0, and will tell more."""


class Holding(NamedTuple):
    """What earlier answers held."""

    entries: Mapping[str, int]
    """Entries of lists and mappings, and parts of a text, by the name of the field; the most. What is no
    field's own is the root's; a mapping may be the model's own, and has no name; of one key that is all,
    it is `only`."""
    empty: frozenset[str]
    """Names of fields that were empty once."""
    numbers: Mapping[str, int]
    """In how many answers a field was a number other than 0, or a list of what is to be counted; in a text,
    which a correction was about, in one more."""
    is_denied: bool
    """Whether anything says that there is nothing."""
    newest: int
    """Entries of the last of them, if that is a list, or has one under its only key."""
    is_specific: bool
    """Whether they name things, and most of their sentences say of none that it is not there."""
    prose: str
    said: frozenset[str]
    """Stems of the words in prose."""

    @classmethod
    def of(cls, past: Past) -> Holding:
        entries: dict[str, int] = {}
        numbers: dict[str, int] = {}
        empty: set[str] = set()
        for value in past.objects:
            for name, item in _named(value):
                entries[name] = max(entries.get(name, 0), _size(item))
                numbers[name] = numbers.get(name, 0) + _weight(item)
                if not isinstance(item, bool) and item in (None, "", [], {}, 0):
                    empty.add(name)
        prose = "\n".join(text[:_CLAIM_LIMIT] for text in past.prose)
        # All of it: whoever tells at length how he looked may say at the end that he found nothing.
        texts = chain(past.prose, past.around, leaves(list(past.objects)))
        is_denied = any(map(DENIAL.search, texts))
        is_specific = _is_specific(prose)
        last = dict(_named(past.objects[-1])) if past.objects else {}
        newest = max(
            (_size(last.get(key)) for key in ("root", "only") if isinstance(last.get(key), (list, dict))),
            default=0,
        )
        said = content([prose])
        return cls(entries, frozenset(empty), numbers, is_denied, newest, is_specific, prose, said)

    def has_entries(self, gap: Gap, past: Past, turn: int) -> bool:
        """Whether an empty list or mapping held something before, as far as can be seen."""
        name, is_sole = gap.name, gap.is_sole
        if name in self.empty or (is_sole and "root" in self.empty):
            return False
        roots = ["root", ""] if name == "root" and gap.is_mapping and not self.empty else ["root"]
        own = max(self.entries.get(key, 0) for key in ([name, *roots] if is_sole else [name]))
        said = max(past.words_at.get((key, False), 0) for key in ([name, "root"] if is_sole else [name]))
        if own >= _ENTRIES or (own and said >= _WORDS):
            return True
        if self.empty:
            return False
        if (
            is_sole
            and not gap.is_counted
            and (_is_list(self.prose) or len(_ROW.findall(self.prose)) > _ENTRIES)
        ):
            return True
        if (is_sole or not gap.is_beside) and self.newest >= _ENTRIES:
            return True
        if not gap.is_counted and not _HEADING.search(self.prose) and len(_undenied(self.prose)) >= _ENTRIES:
            return True
        if self.is_denied:
            return False
        others = [
            count
            for key, count in self.entries.items()
            if key in ("root", "only") or (key == "" and gap.is_mapping)
        ]
        is_rich = turn > 1 or len(past.richest) >= _RICH
        is_elsewhere = is_sole and is_rich and max(others, default=0) >= _ENTRIES
        return is_elsewhere or (not gap.is_counted and self.claims(gap))

    def held(self, name: str) -> bool:
        """Whether a list or mapping held anything before, and was never empty."""
        return self.entries.get(name, 0) > 0 and name not in self.empty

    def claims(self, gap: Gap) -> bool:
        if len(_ROW.findall(self.prose)) > _ENTRIES:
            return True
        if _PLACE.search(self.prose) or (
            len(_BULLET.findall(self.prose)) >= _ENTRIES and not _HEADING.search(self.prose)
        ):
            return True
        if gap.is_mapping and len(_PAIR.findall(self.prose)) >= _ENTRIES:
            return True
        stems = frozenset(map(stem, words(gap.name)))
        if not _TIMES.isdisjoint(stems) and len(_CLOCK.findall(self.prose)) >= _ENTRIES:
            return True
        if gap.is_mapping and len(_VERSION.findall(self.prose)) >= _ENTRIES:
            return True
        is_of_files = not _PATHS.isdisjoint(stems)
        return is_of_files and len(_PATH.findall(self.prose)) >= _ENTRIES

    def counts(self, names: Sequence[str]) -> set[str]:
        """Those of some names of fields beside which prose has a number other than 0."""
        found: set[str] = set()
        for before, after, name, number in _COUNTED.findall(self.prose):
            word = (after or name).lower()
            if (before or number).strip("0.,"):
                found |= {field for field in names if stem(word) in map(stem, words(field))}
        return found


def lost(values: Mapping[str, Any], past: Past, *, turn: int, is_vague: bool) -> str | None:
    """What is gone from an answer none of whose texts says anything.

    Args:
        values: its fields, without those that have no value of their own.
        past: the earlier answers.
        turn: corrections before it.
        is_vague: whether its texts only repeat the names of the schema.
    """
    if not past.values or _keeps(values, past):
        return None
    holding = Holding.of(past)
    emptied = [name for name, value in values.items() if isinstance(value, (list, dict)) and _is_bare(value)]
    zeros = [name for name, value in values.items() if type(value) in (int, float) and value in (0, -1)]
    for name in emptied:
        gap = Gap(
            name, len(emptied) == 1, len(emptied) < len(values), isinstance(values[name], dict), bool(zeros)
        )
        if holding.has_entries(gap, past, turn):
            return f"{name} is empty, and held entries before"
        if zeros and not holding.is_denied and holding.counts(zeros) and holding.claims(gap):
            return f"{name} and {zeros[0]} hold nothing, and did before"
    if len(emptied) > 1 and all(map(holding.held, emptied)):
        return f"{emptied[0]} and others are empty, and were not before"
    if emptied and holding.is_specific:
        return f"{emptied[0]} is empty, and nothing of what was told before is left"
    if emptied and is_vague and len(holding.said) >= _RICH and not holding.is_denied:
        return f"{emptied[0]} is empty, and nothing of what was said before is left"
    is_denied = holding.is_denied and (not holding.prose or mostly_denies(holding.prose))
    if (blank := _blank(values)) and len(past.said) >= _WORDS and not is_denied:
        return f"{blank!r} stands for nothing, and nothing of what was said before is left"
    return _zeroed(values, zeros, holding, past)


def emptied(values: Mapping[str, Any], past: Past, name_of_model: str) -> str | None:
    """Which list is empty, as all of them are, after answers that were lists under other names.

    Its texts may say something all the same. What was a list of texts may have been one of anything, such as
    the files that were looked at, unless it went by a name of these.
    """
    held = {name: value for name, value in values.items() if isinstance(value, (list, dict))}
    if not held or not all(map(_is_bare, held.values())):
        return None
    name = next(iter(held))
    if not past.objects:
        if any(map(_tells, past.prose)):
            return f"{name} is empty, and several things were told before"
        prose = "\n".join(text[:_CLAIM_LIMIT] for text in past.prose)
        is_list = not _HEADING.search(prose) and len(_undenied(prose)) >= _ENTRIES
        return f"{name} is empty, and was a list before" if is_list else None
    last = past.objects[-1]
    if isinstance(last, dict) and past.ends_shaped:
        kept = [key for key in held if _size(last.get(key)) >= _ENTRIES and not isinstance(last[key], str)]
        if len(kept) == len(held) and not any(map(_is_denial, leaves([last[key] for key in kept]))):
            return f"{kept[0]} is empty, and held entries before"
    names = frozenset(map(stem, words(f"{name_of_model} {name}")))
    others = (
        [(key, item) for key, item in last.items() if key not in values] if isinstance(last, dict) else []
    )
    for key, item in [("", last)] if isinstance(last, list) else others:
        if not isinstance(item, list) or len(item) < _ENTRIES:
            continue
        is_named = not names.isdisjoint(map(stem, words(key)))
        is_of_entries = all(entry and (isinstance(entry, dict) or is_named) for entry in item)
        if is_of_entries and not any(map(_is_denial, leaves(item))):
            return f"{name} is empty, and held {len(item)} entries before"
    return None


def _is_specific(prose: str) -> bool:
    return len(_SPECIFIC.findall(prose)) >= _NAMED and not mostly_denies(prose)


def _is_bare(value: list[Any] | dict[str, Any]) -> bool:
    """Whether it is empty, or a mapping to nothing but what is: `{"ios": [], "android": []}`."""
    return not value or (
        isinstance(value, dict) and all(item in ([], {}, "", None) for item in value.values())
    )


def _tells(prose: str) -> bool:
    """Whether a sentence names several things, not as looked at, and says of none that it is not there."""
    return any(
        len(_SPECIFIC.findall(sentence)) > _NAMED
        and DENIAL.search(sentence) is None
        and _LOOKED.search(sentence) is None
        for sentence in SENTENCE.split(prose[:_CLAIM_LIMIT])
    )


def _undenied(prose: str) -> list[str]:
    """Lines of a list that do not say that something is not so."""
    lines = [line for line in prose.split("\n") if _BULLET.match(line)]
    return [line for line in lines if DENIAL.search(line) is None]


def _is_list(prose: str) -> bool:
    """Whether a text is but short parts, one after another: words such as `no` are some of theirs then."""
    parts = {part.strip() for part in re.split(r"[,;\n]", prose.strip().rstrip("."))}
    return len(parts) >= _PARTS and all(
        0 < len(words(part)) <= _SHORT and part[0] not in "#-*0123456789" and part[-1] != "."
        for part in parts
    )


def _zeroed(values: Mapping[str, Any], zeros: Sequence[str], holding: Holding, past: Past) -> str | None:
    zeros = [name for name in zeros if values[name] == 0 or "-1" not in past.numerals]
    held = {name for name in zeros if holding.numbers.get(name)}
    told = holding.counts(zeros)
    # One number may have been thought over; not where only its form was at fault, or where it stood twice.
    is_sure = len(held | told) > 1 or any(holding.numbers[name] > 1 for name in held)
    if len(values) == 1 and zeros and holding.numbers.get("only", 0) + holding.numbers.get("root", 0) > 1:
        return f"{zeros[0]} is {values[zeros[0]]:g}, and was not before"
    if is_sure or (len(zeros) > 1 and told and not holding.is_denied):
        name = min(held | told)
        return f"{name} is {values[name]:g}, and was not before"
    return None


def _blank(values: Mapping[str, Any]) -> str | None:
    few = islice(leaves(list(values.values())), _VALUES)
    return next((leaf for leaf in few if ZERO.match(leaf)), None)


def _keeps(values: Mapping[str, Any], past: Past) -> bool:
    """Whether a word or a number of it was in an earlier answer."""
    for count, leaf in enumerate(leaves(list(values.values()))):
        if count > _VALUES:
            return True  # nobody makes up that much
        if leaf.strip("-.0") not in ("", "1") and past.has(leaf, in_first=False):
            return True
    return False


def _named(value: object) -> Iterator[tuple[str, object]]:
    yield "" if isinstance(value, dict) else "root", value
    if isinstance(value, dict) and len(value) == 1:
        yield "only", next(iter(value.values()))
    if isinstance(value, dict):
        for name, item in value.items():
            yield str(name), item


def _size(item: object) -> int:
    """Entries; a text counts for less, since it may say in any language that there are none."""
    if isinstance(item, (list, dict)):
        held = item.values() if isinstance(item, dict) else item
        return 0 if all(map(_is_denial, held)) else len(item)
    if isinstance(item, str) and not _is_denial(item):
        return len([part for part in re.split(r"[,;\n]", item[:_CLAIM_LIMIT]) if part.strip()]) - 1
    return 0


def _is_denial(item: object) -> bool:
    return item in (None, "", 0) or (isinstance(item, str) and bool(DENIAL.search(item[:_CLAIM_LIMIT])))


def _weight(item: object) -> int:
    if isinstance(item, str):
        number = _NUMBER.search(item[:_RICH])
        return 2 if number and number.group().strip("-0.,") else 0
    return int(type(item) in (int, float, list, dict) and bool(item))
