"""Whether a first answer is a stub: only what nobody would write who had anything to say. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from .answer import Answer
from .placeholder import Hollow
from .weighed import Text, told
from .wording import COUNTING, DOTS, NEVER_EMPTY, ZERO, words

_ALPHABET: Final = "abcdefgh"
_COUNT: Final = re.compile(r"(\D{2,})(\d+)")


def first_answer(texts: Sequence[Text], answer: Answer) -> str | None:
    """Only what nobody would write who had anything to say."""
    copied = [text for text in texts if text.hollow is Hollow.COPY]
    hollow = [text for text in texts if text.hollow >= Hollow.ECHO]
    if copied:
        return told(copied)
    if any(text.hollow is Hollow.TEMPLATE for text in hollow):
        says = sum(text.hollow is Hollow.SAYS for text in texts)
        return told(hollow) if says < len(hollow) else None
    if [text.slot.text for text in texts] in ([dots] for dots in DOTS):
        return "an ellipsis stands for a text"
    if (to_come := [text for text in texts if text.is_to_come]) and all(
        text.hollow > Hollow.NEUTRAL for text in texts
    ):
        return told(to_come)
    fields = {(text.slot.around.field, text.slot.is_key) for text in hollow}
    if counts_up(answer, has_letters=False):
        return "only counts up"
    if _goes_on(texts):
        return told(sorted(texts, key=lambda text: -text.hollow)[:3])
    if hollow and all(text.hollow >= Hollow.FILLER for text in texts):
        fields = {(text.slot.around.field, text.slot.is_key) for text in texts}
    required = [text for text in texts if text.slot.is_required]
    if hollow and all(text.hollow >= Hollow.VAGUE for text in required) and not any(map(_is_mapped, texts)):
        fields |= {(text.slot.around.field, False) for text in required}
    is_all = all(text.hollow is not Hollow.SAYS for text in texts)
    has_zeros = answer.has_only_zeros
    is_many = len(required) > 1 or len(answer.values) > 2 + len(required)
    if has_zeros and required and is_many and not any(text.slot.text for text in required):
        return "all its texts are empty, and all its numbers are 0"
    if _is_empty(required, answer):
        return "all its texts and lists are empty"
    is_blank = has_zeros or any(map(ZERO.match, answer.values))
    if len(hollow) == 1 and hollow[0].slot.text[-1:] in "23456789":
        return None  # one of several, by its number
    return told(hollow) if hollow and is_all and (len(fields) > 1 or is_blank) else None


def _is_empty(required: Sequence[Text], answer: Answer) -> bool:
    """Whether nothing stands in it where several texts had to, or an account of something."""
    is_account = not NEVER_EMPTY.isdisjoint(text.slot.around.field for text in required)
    lists = answer.holders.values()
    is_bare = len(lists) > 1 and answer.has_only_zeros
    return (
        len(required) > (0 if is_bare else 1 if is_account else 2)
        and not any(text.slot.text for text in required)
        and not any(lists)
    )


def _is_mapped(text: Text) -> bool:
    """Whether it stands in a mapping, whose keys may have been given."""
    return text.slot.is_key or bool(text.slot.around.key)


def counts_up(answer: Answer, *, has_letters: bool) -> bool:
    """Whether a mapping of it is but `{"GENE1": 1, "GENE2": 2, "GENE3": 3}`, or letters to such numbers."""
    mappings = [value for value in answer.fields.values() if isinstance(value, dict) and len(value) > 1]
    return any(_is_counted(value, has_letters=has_letters) for value in mappings)


def _is_counted(value: dict[str, Any], *, has_letters: bool) -> bool:
    numbers = list(value.values())
    if has_letters and "".join(value).lower() in _ALPHABET and numbers == list(range(1, len(value) + 1)):
        return True
    found = [_COUNT.fullmatch(key) for key in value]
    is_named = all(found) and len(found) > 2 and len({match[1] for match in found if match}) == 1
    return is_named and [match[2] for match in found if match] == list(map(str, numbers))


def _has_number(text: str) -> bool:
    found = words(text)
    return text[-1:].isdigit() or bool(found and {found[0], found[-1]} & COUNTING)


def _goes_on(texts: Sequence[Text]) -> bool:
    """Whether all its texts say nothing, and count up, or one of them is an ellipsis: `tag1, tag2, ...`."""
    is_all = all(text.hollow >= Hollow.VAGUE for text in texts)
    counted = [text for text in texts if text.hollow is Hollow.ECHO and _has_number(text.slot.text)]
    is_text = all(text.slot.is_key_of_text or not text.slot.is_key for text in texts)
    if is_all and is_text and len(counted) == len(texts) > 2:
        return True
    return len(texts) > 1 and is_all and any(text.slot.text in DOTS for text in texts)
