"""Secrets in texts: found, and replaced. Pure.

Two kinds are known: values that were given (`credentials` finds those of an environment), and what looks like
a secret. A text that comes in pieces is divided where no secret is cut in two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from .secret_form import forms, may_have_form, open_form

MARK: Final = "[redacted]"
"""Stands where a secret stood."""

SHORTEST: Final = 8
"""A value with fewer characters is too common to be looked for."""

WINDOW: Final = 16 << 10
"""Characters of a text that are kept waiting at most, because they may be the beginning of a secret."""

LOOK_BACK: Final = 6
"""Characters before a text that say whether a word begins with it."""

_LONG: Final = 128
"""Beginnings of values are listed up to this length."""

_NAME: Final = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(?![A-Z])|AUTH$", re.IGNORECASE
)
_NO_NAME: Final = re.compile(r"_(?:FILE|PATH|DIR|URL|URI)$|^GIT_CONFIG_KEY_\d+$", re.IGNORECASE)


def credentials(environment: Mapping[str, str]) -> frozenset[str]:
    """Values of variables whose names look like those of credentials: `API_KEY`, `GH_TOKEN`, `PGPASSWORD`."""
    found = {
        value.strip()
        for name, value in environment.items()
        if len(value) >= SHORTEST and _NAME.search(name) and not _NO_NAME.search(name)
    }
    return frozenset(value for value in found if len(value) >= SHORTEST)


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """The text with `MARK` in the place of each of `secrets`, and of all that looks like one."""
    return redactor(frozenset(secrets)).clean(text)


@lru_cache(maxsize=64)
def redactor(secrets: frozenset[str]) -> Redactor:
    """What finds these secrets; the same one for the same secrets."""
    return Redactor(secrets)


class Redactor:
    """Finds secrets. It changes nothing of itself, and is used from any thread.

    Args:
        secrets: values; those with less than `SHORTEST` characters are left alone.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        values = {value for value in secrets if len(value) >= SHORTEST and value not in MARK}
        values |= {json.dumps(value, ensure_ascii=False)[1:-1] for value in values}  # as they stand in JSON
        self._values = tuple(sorted(values))
        self._long = [value for value in self._values if len(value) > _LONG]
        ends: dict[str, set[str]] = {}
        for value in values:
            for length in range(1, min(len(value), _LONG)):
                ends.setdefault(value[length - 1], set()).add(value[:length])
        self._ends = {last: tuple(sorted(found, key=len, reverse=True)) for last, found in ends.items()}
        """Beginnings of the values, by their last character, the longest first."""

    def suspects(self, text: str) -> bool:
        """Whether there may be secrets in a text, or in texts that it is the JSON of; False is certain."""
        return any(value in text for value in self._values) or may_have_form(text)

    def clean(self, text: str, before: str = "", behind: str = "") -> str:
        """The text with `MARK` in the place of each secret.

        Args:
            before: what stands before it, the last `LOOK_BACK` characters.
            behind: what stands behind the place where `divide` has cut it.
        """
        if not self.suspects(text):
            return text
        whole, parts, done = f"{before}{text}{behind}", [], len(before)
        end_of_text = done + len(text)
        for start, end in _joined(self._spans(whole, done)):
            if start >= end_of_text:
                break
            parts += [whole[done:start], MARK]
            done = end
        return "".join((*parts, whole[done:end_of_text]))

    def _spans(self, text: str, begin: int) -> Iterator[tuple[int, int]]:
        for value in self._values:
            at = text.find(value, begin)
            while at >= 0:
                yield at, at + len(value)
                at = text.find(value, at + 1)
        for match in forms().finditer(text, begin):
            yield match.span(match.lastindex or 0)

    def clean_json(self, value: Any) -> Any:
        """JSON with all its texts cleaned."""
        match value:
            case str():
                return self.clean(value)
            case Mapping():
                return {self.clean_json(name): self.clean_json(one) for name, one in value.items()}
            case list() | tuple():
                return [self.clean_json(one) for one in value]
            case _:
                return value

    def divide(self, text: str, before: str = "") -> int:
        """Up to where a text can be cleaned by itself, whatever comes behind it.

        What is left may be the beginning of a secret; it is at most `WINDOW` characters.

        Args:
            before: what stands before it, the last `LOOK_BACK` characters.
        """
        whole = before + text
        low = max(len(before), len(whole) - WINDOW)
        found = min(open_form(whole, low), self._open_value(whole, low))
        near = max(len(before), len(whole) - 4 * WINDOW)
        if found < len(whole) and self.suspects(whole[near:]):
            # What may be a beginning may stand within what is a secret already.
            for start, end in sorted(self._spans(whole, near), reverse=True):
                found = start if start < found < end else found
        return found - len(before)

    def _open_value(self, text: str, low: int) -> int:
        """Where the first value begins that may go on behind the end of a text; its length: nowhere."""
        found = len(text)
        for value in self._long:
            head = value[: _LONG - 1]
            at = text.find(head, max(low, len(text) - len(value) + 1))
            while at >= 0 and not value.startswith(text[at:]):
                at = text.find(head, at + 1)
            found = min(found, at) if at >= 0 else found
        beginnings = self._ends.get(text[-1:], ())
        if text.endswith(beginnings):
            longest = next(one for one in beginnings if text.endswith(one))
            found = min(found, max(len(text) - len(longest), low))
        return found


def _joined(spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order, those that overlap as one."""
    last: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if last is not None and start < last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last
