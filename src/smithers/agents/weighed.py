"""The texts of an answer, each with how hollow it is after what was said before. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from .earlier import Past, content
from .placeholder import ANNOUNCING, POINTING, Hollow, Names, judge
from .slot import Slot, stems
from .wording import ADMITTED, ASKING, BLANKS, HANDLED, IDLE, KINDS, SAMPLE_FILES, SUFFIX, stem, words

KEY: Final = 40
"""Characters of a text that are told."""
_LITTLE: Final = 3
"""Words from which on a text says anything."""
_REMARK: Final = 160
"""Characters of a remark; what is longer says more."""
_NAME = r"[A-Za-z][\w -]{0,40}"
_NAMED: Final = re.compile(rf"<{_NAME}>|\{{\{{? ?{_NAME} ?\}}?\}}|\[{_NAME}\]")
"""A name in brackets."""
_COUNTED: Final = re.compile(
    r"[^\W\d_]{3,}(?:[ _-][^\W\d_]{3,}){0,2}[ _-]?(?:\d{1,2}|[A-D])(?:\.[a-z]{1,5})?"
)
"""What ends in a number, or in a letter, and may be one of many."""
_MEANT: Final = frozenset({Hollow.VAGUE, Hollow.FILLER, Hollow.ECHO, Hollow.TEMPLATE, Hollow.COPY})
"""What says something after all if it was said before."""


class Text(NamedTuple):
    """One text, and why it says nothing."""

    slot: Slot
    hollow: Hollow
    why: str

    @property
    def is_pointer(self) -> bool:
        """Whether it only says where the answer is."""
        return self.hollow is Hollow.EXCUSE and self.why.startswith(POINTING)

    @property
    def is_to_come(self) -> bool:
        """Whether it announces an answer, or calls itself a placeholder for one."""
        is_blank = not BLANKS.isdisjoint(words(self.slot.text))
        return self.hollow is Hollow.EXCUSE and (is_blank or self.why.startswith(ANNOUNCING))


def weigh(slots: Sequence[Slot], past: Past) -> list[Text]:
    """The texts of an answer, in order."""
    return _blanks(_count_up([_weigh(slot, past) for slot in slots], past))


def _weigh(slot: Slot, past: Past) -> Text:
    around = slot.around
    own = stems(around.field)
    key = stems(around.key)
    if not slot.is_key and key <= stems(slot.text) and not past.has_word(around.key.lower()):
        own |= key
    found = judge(slot.text, Names(own, around.names, around.descriptions, bool(around.key)))
    hollow = found.hollow
    if _is_believed(slot, hollow, past):
        hollow = Hollow.NEUTRAL
    elif hollow in _MEANT and _was_meant(slot, past):
        hollow = Hollow.SAYS
    elif hollow is Hollow.EXCUSE and _is_rooted(slot.text, past):
        hollow = Hollow.SAYS  # what could not be done may be what was found
    elif hollow is Hollow.EXCUSE and past.has(slot.text, in_first=True) and not past.is_only(slot.text):
        hollow = Hollow.SAYS  # it was part of an answer then, such as a quotation
    elif hollow is Hollow.TEMPLATE and slot.text.startswith("{'"):
        hollow = Hollow.SAYS if content([slot.text]) <= past.said else hollow
    elif found.is_about_answers and set() < content([slot.text]) - IDLE <= past.said:
        hollow = Hollow.SAYS  # some work is about formats and schemas
    if hollow in (Hollow.SAYS, Hollow.VAGUE) and _is_made_up_path(slot.text, past):
        is_example = not {"example", "sample", "file", "filename", "foo", "path"}.isdisjoint(words(slot.text))
        hollow = Hollow.FILLER if is_example else Hollow.NEUTRAL
        return Text(slot, hollow, f"is a file that nobody named: {slot.text[:KEY]!r}")
    is_kind = hollow is Hollow.VAGUE and slot.text.isalpha() and not KINDS.isdisjoint(stems(around.field))
    if is_kind and stem(slot.text.lower()) not in around.names:
        hollow = Hollow.SAYS
    if hollow is Hollow.VAGUE and all(past.has_word(word) for word in content([slot.text]) - IDLE):
        hollow = Hollow.SAYS
    if hollow is Hollow.SAYS and past.said and (ADMITTED.search(slot.text) or _is_about_asking(slot, past)):
        return Text(slot, Hollow.EXCUSE, f"speaks of how it was asked for: {slot.text[:KEY]!r}")
    is_new_key = slot.is_key and past.values and not past.has_word(slot.text.lower())
    if hollow is Hollow.SAYS and (slot.is_key_of_text or is_new_key):
        hollow = Hollow.NEUTRAL  # it may have been given: its value has to say something
    return Text(slot, hollow, found.why)


def _is_believed(slot: Slot, hollow: Hollow, past: Past) -> bool:
    """Whether it says that there is nothing, and has reason to."""
    is_nothing = hollow is Hollow.ABSENT or not words(slot.text)
    if hollow is Hollow.ABSENT and slot.text and not slot.around.path and past.nulls:
        return True
    if is_nothing and (
        not past.nulls.isdisjoint((slot.around.field, slot.around.key)) or past.has(slot.text, in_first=False)
    ):
        return True
    return hollow is Hollow.ABSENT and (not slot.is_required or past.knows_nothing or past.has_nothing)


def _was_meant(slot: Slot, past: Past) -> bool:
    """Whether it was said before; of a key the word is enough, since keys are names."""
    if past.has(slot.text, in_first=True) or (slot.is_key and past.has_word(slot.text.lower())):
        return True
    found = words(slot.text)
    return len(found) > 1 and " " not in slot.text and past.names_files and all(map(past.has_word, found))


def _is_rooted(text: str, past: Past) -> bool:
    """Whether most of what it says was said before, and more than one word."""
    said = content([text]) - IDLE
    kept = sum(map(past.has_word, said))
    return kept > _LITTLE and 2 * kept > len(said) and not past.is_only(text)


def _is_about_asking(slot: Slot, past: Past) -> bool:
    """Whether a text speaks of the format of answers, and of nothing that an answer spoke of."""
    if len(slot.text) > _REMARK or ASKING.search(slot.text) is None:
        return False
    if content([slot.text]) - IDLE <= past.said:
        return False  # some work is about formats and schemas
    said = content([ASKING.sub(" ", slot.text)]) - slot.around.names - stems(slot.around.field)
    return past.said.isdisjoint(said - IDLE - HANDLED)


def _is_made_up_path(text: str, past: Past) -> bool:
    """Whether it is a path such as examples have, after answers that named files, and not this one."""
    found = words(SUFFIX.sub("", text))
    return (
        bool(SUFFIX.search(text))
        and SAMPLE_FILES.issuperset(found)
        and past.names_files
        and not any(map(past.has_word, words(SUFFIX.sub("", text.rsplit("/", 1)[-1]))))
    )


def _is_counted(text: Text, past: Past) -> bool:
    """Whether it is some words and a number that nobody has spoken of: `file1.py`, `Punkt 2`, `Strona A`."""
    plain = text.slot.text
    return _COUNTED.fullmatch(plain) is not None and not past.has_word(plain.lower())


def _count_up(texts: Sequence[Text], past: Past) -> list[Text]:
    """The texts, with those for sure that only count up: `item1`, `item2`."""
    distinct = {(text.slot.around.field, _uncounted(text), text.slot.text.lower()) for text in texts}
    counted = Counter((field, rest) for field, rest, _ in distinct)
    found = [
        text._replace(hollow=Hollow.ECHO, why="only counts up")
        if counted[text.slot.around.field, _uncounted(text)] > 1 and _may_count(text, past)
        else text
        for text in texts
    ]
    named = {
        text.slot.text.lower()
        for text in found
        if text.hollow is Hollow.ECHO and counted[text.slot.around.field, _uncounted(text)] > 1
    }
    return [
        text._replace(hollow=Hollow.ECHO, why="only counts up")
        if text.hollow < Hollow.ECHO and text.slot.text.lower() in named and not text.slot.is_key
        else text
        for text in found
    ]


def _may_count(text: Text, past: Past) -> bool:
    """Whether it may be one of several that only count up; keys may have been given."""
    if text.slot.is_key and any(map(past.has_word, _uncounted(text))):
        return False
    return text.hollow is Hollow.VAGUE or (text.hollow <= Hollow.NEUTRAL and _is_counted(text, past))


def _blanks(texts: Sequence[Text]) -> list[Text]:
    """The texts, with those for sure that are names in brackets: `<sha>`, `<code>`. One may be a tag."""
    found = {text.slot.around.field for text in texts if _NAMED.fullmatch(text.slot.text)}
    return [
        text._replace(hollow=Hollow.TEMPLATE, why=f"is a template: {text.slot.text[:KEY]!r}")
        if len(found) > 1 and _NAMED.fullmatch(text.slot.text)
        else text
        for text in texts
    ]


def _uncounted(text: Text) -> tuple[str, ...]:
    return tuple(word for word in words(text.slot.text) if len(word) > 1)


def told(texts: Sequence[Text]) -> str:
    """Why the worst of some texts are hollow, in words."""
    worst = sorted(texts, key=lambda text: -text.hollow)[:3]
    more = f", and {len(texts) - len(worst)} more" if len(texts) > len(worst) else ""
    return "; ".join(f"{text.slot.around.path or 'it'} {text.why}" for text in worst) + more
