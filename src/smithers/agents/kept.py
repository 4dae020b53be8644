"""How much of an answer stands in the answers before it: its words and its numbers. Pure.

Whoever is corrected says the same in another form. An answer of which no word and no number was said before,
after answers that said much, is mostly none; unless the one before it ended with a reason for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from .earlier import Past, mostly_denies
from .wording import DENIAL, FUNCTION, stem, words

_READ: Final = 20_000
"""Characters of the earlier answers that are looked at."""
_TOLD: Final = 6
"""Words and numbers from which on answers have told anything."""
_MUCH: Final = 8
"""The same for much."""
_VERY_MUCH: Final = 14
_SENTENCE_END: Final = re.compile(r"[.!?](?:\s|$)|\n|;\s")
_SEVERAL: Final = 2
_FEW: Final = 1 / 3
"""Less than so much of what an answer says is next to nothing."""
_MADE_UP: Final = frozenset(["0", "1", "-1", "99", "100", "123", "999", "9999", "12345"])
"""Numbers that stand for none."""
_ROUND: Final = _MADE_UP | frozenset(
    """2 3 4 5 10 20 30 42 50 60 128 200 256 500 512 1000 1024 0.1 0.5 0.9 0.95""".split()
)
"""Those, and others that come to mind first."""
_SEQUENCE: Final = frozenset(["1", "2", "3", "4", "5"])
_ONE: Final = re.compile(r"\b(?:one|single|once|eine?[rnms]?|einzige[rns]?|une?|una|uno|seule?)\b")
_NUMBER: Final = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*")
_COUNTED: Final = re.compile(
    r"\W*(?:there\s+are|(?:i|we)\s+(?:counted|found|see)|found|counted|total:?|es\s+sind|il\s+y\s+a|hay|ci\s+sono)"
    r"\s+(?:\w+\s+)?(\d[\d.,]*)",
    re.IGNORECASE,
)
_SUMMED: Final = re.compile(
    r"(?<![\w.,])(\d[\d.,]*)\s+(?:in\s+total|altogether|in\s+all|insgesamt|en\s+tout|en\s+total|in\s+totale)\b",
    re.IGNORECASE,
)


class Kept(NamedTuple):
    """What an answer says, by whether it was said before."""

    words: int
    """That were said before."""
    new_words: int
    numbers: int
    new_numbers: frozenset[str]
    told: int
    """Words and numbers of the earlier answers."""
    told_numbers: int
    values: int
    """Numbers of its own."""
    is_alike: bool
    """They are several, all 0 or all 1."""
    was_denied: bool
    """Any of the answers before says that something is not so."""
    is_denied: bool
    """The last one does, in prose."""
    is_all_denied: bool
    """Each of them does."""
    is_rich: bool
    """They said much, in sentences of which most deny nothing."""
    is_counted: bool
    """The first one tells a number of what there is: `There are 37 …`, `49 in total`."""
    was_shaped: bool
    """One of the earlier answers was JSON: its words are those of an answer."""

    @classmethod
    def of(cls, texts: Iterable[str], numbers: Iterable[str], past: Past, earlier: Sequence[str]) -> Kept:
        """Args: texts: of the answer, where any text may stand; numbers: of its other values."""
        before = " ".join(text[:_READ] for text in earlier).lower()
        told = past.said
        told_numbers = set(map(_plain, _NUMBER.findall(before)))
        said: set[str] = set()
        own = list(map(_plain, numbers))
        counted, values = set(own), len(own)
        for text in texts:
            said |= {stem(word) for word in words(text) if _says(word)}
            counted |= set(map(_plain, _NUMBER.findall(text)))
        kept = {word for word in said if word in told or (len(word) > 2 and word in before)}
        if "1" in counted and _ONE.search(before):
            told_numbers.add("one")
            counted.add("one")
        return cls(
            len(kept),
            len(said) - len(kept),
            len((counted & told_numbers) - {"0", "1"}),
            frozenset(counted - told_numbers),
            len(told) + len(told_numbers - {"0", "1"}),
            len(told_numbers - {"0", "1"}),
            values,
            values > _SEVERAL and (counted == {"0"} or counted == {"1"}),
            any(map(DENIAL.search, earlier)),
            bool(earlier) and earlier[-1].lstrip()[:1] not in "{[" and DENIAL.search(earlier[-1]) is not None,
            bool(earlier) and all(map(DENIAL.search, earlier)),
            _is_rich(past),
            _is_counted(past),
            bool(past.objects),
        )

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of what was told is in what it says, as far as it says anything in words."""
        if not self.new_words or self.words or self.numbers or self.is_denied:
            return False
        return (
            (self.was_shaped and self.told >= _TOLD)
            or (self.new_words > 1 and self.told >= _MUCH)
            or self.is_rich
        )

    @property
    def is_next_to_nothing(self) -> bool:
        said = self.words + self.new_words
        return (
            self.was_shaped
            and self.told >= _MUCH
            and self.new_words > 1
            and not self.numbers
            and self.words < _FEW * said
        )

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing at all, after answers that said much and denied little of it."""
        says = self.words or self.new_words or self.numbers or self.new_numbers - {"0"}
        return not says and self.is_rich and not self.is_denied

    @property
    def has_made_up_numbers(self) -> bool:
        """Whether its numbers stand for none, after others were told, or that there are none to tell."""
        if self.numbers:
            return False
        if self.is_alike and self.told_numbers >= 2 * _SEVERAL:
            return True
        return self._has_lost_numbers() if self.new_numbers == {"0"} else self._has_round_numbers()

    def _has_lost_numbers(self) -> bool:
        """Whether there is nothing but 0. That may be what was found at last, but hardly of many things."""
        if self.values > _SEVERAL and self.told_numbers > _SEVERAL and self.words <= 1:
            return not self.was_denied or self.told_numbers > 2 * _SEVERAL
        if self.words or self.new_words:
            return False
        if self.is_counted and self.values == 1:
            return True
        return self.told_numbers > 1 and not self.was_denied

    def _has_round_numbers(self) -> bool:
        """Whether there are but numbers that come to mind first, and no word that was said before."""
        if self.words or not self.new_numbers:
            return False
        if self.is_all_denied and self.values > _SEVERAL and self.new_numbers <= _ROUND:
            return True
        if len(self.new_numbers & _SEQUENCE) > 2 and self.new_numbers <= _SEQUENCE | _MADE_UP:
            return self.told_numbers > 0
        if self.values > 1 and self.told_numbers > _SEVERAL and "0" not in self.new_numbers:
            return self.new_numbers <= _ROUND
        return self.told_numbers > 0 and self.new_numbers <= _MADE_UP


def _is_rich(past: Past) -> bool:
    prose = "\n".join(text[:_READ] for text in past.prose)
    has_more = len(past.prose) > 1 or len(_SENTENCE_END.findall(prose)) > 1
    return len(past.said) >= _VERY_MUCH and has_more and not mostly_denies(prose)


def _is_counted(past: Past) -> bool:
    prose = past.prose[0][:_READ] if past.prose else ""
    found = _COUNTED.match(prose) or _SUMMED.search(prose)
    return found is not None and _plain(found[1].rstrip(".,")) not in ("0", "1")


def _says(word: str) -> bool:
    return word not in FUNCTION and len(word) > 1


def _plain(number: str) -> str:
    """A number without what does not matter: `1,284`, `1.284` and `1284` are one, and `0.50` and `0.5`."""
    whole = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    return whole.rstrip("0").rstrip(".") or "0" if "." in whole else whole
