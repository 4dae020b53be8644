"""What secrets look like whose values nobody has told us: keys of well-known services, headers, private keys.

Everything here is compiled when it is first used: commands that only look never need it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_WORD: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~+/=-"
"""What keys are made of."""

_OPENINGS: Final = tuple(
    "sk- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- hf_ npm_ AKIA ASIA AIza xox eyJ".split()
)
_PEM: Final = "-----BEGIN "

# A word begins here: nothing before it belongs to it, unless that is an escape of JSON or of a URL.
_BEGIN: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"

# What is looked for ahead has a limit: a text made for it must not take the square of its length.
_KEYS: Final = (
    r"sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}",
    r"sk-(?=[A-Za-z_-]{0,64}+[0-9])[A-Za-z0-9_-]{20,}",  # a digit: `sk-learn-compatible-estimators` is no key
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{36,}",
    r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"xox[a-z]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{8,2048}+\.eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*)?",
)
_HEADER: Final = r"(?i:authorization)[\"'\\]{0,2}\s{0,8}[:=]\s{0,8}[\"'\\]{0,2}"
_HEADERS: Final = (
    rf"{_HEADER}(?i:bearer|token)\s{{1,8}}([A-Za-z0-9_.~+/=-]{{8,}})",
    rf"{_HEADER}(?i:basic)\s{{1,8}}([A-Za-z0-9+/]{{8,}}=*)",
    r"(?i:bearer)\s{1,8}((?=[A-Za-z_.~+/-]{0,128}+[0-9])[A-Za-z0-9_.~+/=-]{16,})",
)
# Up to its end; of one without an end, the lines that look like it.
_PRIVATE_KEY: Final = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]*+(?:-(?!----)[^-]*+)*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"|(?:[\s\\rn]{0,8}[A-Za-z0-9+/=]{20,})+)"
)

# Each begins with a letter that the search can leap to; what stands before it is looked at then.
_PROBES: Final = (
    *(r"-(?:(?<=sk-)|(?<=glpat-))", r"_(?:(?<=gh[pousr]_)|(?<=hf_)|(?<=npm_)|(?<=github_pat_))", r"xox"),
    *(r"J(?<=eyJ)", r"A(?:[KS]IA|Iza)", r"PRIVATE KEY"),
    *(r"earer", r"R(?<=EARER)", r"z(?<=uthoriz)", r"Z(?<=UTHORIZ)"),
)


@lru_cache(maxsize=1)
def forms() -> re.Pattern[str]:
    """Finds whatever looks like a secret; where only a part of what is found is one, that is its group."""
    return re.compile(f"{_BEGIN}(?:{'|'.join((*_KEYS, *_HEADERS))})|{_PRIVATE_KEY}")


@lru_cache(maxsize=1)
def _probes() -> tuple[re.Pattern[str], ...]:
    return tuple(map(re.compile, _PROBES))


def may_have_form(text: str) -> bool:
    """Whether `forms` may find anything; False is certain, and much quicker."""
    return any(probe.search(text) for probe in _probes())


# --- Beginnings ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _openings() -> re.Pattern[str]:
    """Where something begins that goes on as long as its word does."""
    return re.compile(f"{_BEGIN}(?:{'|'.join(_OPENINGS)})")


@lru_cache(maxsize=1)
def _headers() -> re.Pattern[str]:
    """A header that goes on to the end of a text."""
    return re.compile(
        rf"{_BEGIN}(?i:authorization|bearer)[\"'\s:=\\]{{0,24}}(?i:(?:bearer|basic|token)\s{{1,8}})?"
        rf"[A-Za-z0-9_.~+/=-]*\s{{0,8}}\Z"
    )


@lru_cache(maxsize=1)
def _pieces() -> tuple[dict[str, tuple[str, ...]], re.Pattern[str]]:
    """Beginnings of openings by their last letter; and what finds them at the end of a text."""
    words = _heads(*_OPENINGS)
    headers = _heads("authorization", "bearer")
    words |= headers | {form for piece in headers for form in (piece.upper(), piece.capitalize())}
    keys = _heads(_PEM)
    by_last = {
        last: tuple(one for one in words | keys if one[-1] == last)
        for last in {one[-1] for one in words | keys}
    }
    return by_last, re.compile(rf"(?:{_BEGIN}(?:{_any(words)})|{_any(keys)})\Z")


def _heads(*words: str) -> set[str]:
    """All that they begin with."""
    return {word[:length] for word in words for length in range(1, len(word))}


def _any(words: set[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def open_form(text: str, low: int) -> int:
    """Where the first thing begins that may become a secret behind the end of a text; its length: nowhere.

    Args:
        low: it is looked for from here on.
    """
    found = len(text)
    run = low + len(text[low:].rstrip(_WORD))
    if run < found:
        by_last, pieces = _pieces()
        if opening := _openings().search(text, run):
            found = opening.start()
        elif text.endswith(by_last.get(text[-1], ())) and (
            piece := pieces.search(text, max(low, found - 16))
        ):
            found = piece.start()
    has_header = "earer" in text or "uthoriz" in text or "EARER" in text or "UTHORIZ" in text
    if has_header and (header := _headers().search(text, low)):
        found = min(found, header.start())
    key = text.rfind(_PEM, low)
    return min(found, key) if key >= 0 and not _is_complete(text, key) else found


def _is_complete(text: str, key: int) -> bool:
    """Whether a private key that begins at `key` has ended."""
    end = text.find("-----END ", key)
    return end >= 0 and text.find("-----", end + 9) >= 0
