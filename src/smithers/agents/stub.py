"""Answers that validate and say nothing: what an agent sends when only the schema is left to satisfy. Pure.

Whether an answer is true cannot be seen from it; whether it was made up to end a row of corrections often
can. Everything hangs on the turn. A first answer is believed unless it is the schema itself in another form
(`"string"` in every field, `<your title here>`, lorem ipsum), because short answers are mostly true ones:
`C`, `42`, `LGTM`, an empty list of findings; even `string`, where it is the only text: that may be a type.
After corrections weaker signs do, and that what was told before is gone, unless the first answer said
the same already: an agent that is corrected keeps what it knows, and one that is stuck forgets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal

from pydantic import BaseModel

from .answer import Answer
from .contradiction import contradicted
from .earlier import Past, content
from .first_answer import counts_up, first_answer
from .kept import Kept
from .loss import emptied, lost
from .placeholder import Hollow
from .slot import Around, slots, stems
from .weighed import Text, told, weigh
from .wording import (
    ACKNOWLEDGED,
    BLANKS,
    DOTS,
    EMPTY,
    FUNCTION,
    LETTERS,
    NO_CODE,
    NOTHING,
    TASKS,
    stem,
    words,
)

Policy = Literal["fail", "flag", "accept"]
"""What to do with an answer that is probably a stub: refuse it as if it had not validated; take it, and say
so; take it."""

_SAID: Final = 5
"""Words in a field of an earlier answer from which on it is missed when that field is empty."""
_RICH: Final = 8
"""Words from which on an answer says enough that some of them must come back."""
_LONG: Final = 15
"""The same for answers in prose, which also tell how they were arrived at."""
_LITTLE: Final = 3
"""Words from which on an answer says anything."""
_TEXTS: Final = 500
"""Texts of an answer that are looked at; what has more is none that was made up."""
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_VERDICTS: Final = frozenset(map(stem, "verdict status state result outcome label decision".split()))
"""Fields for which a word of assent is an answer."""
_ACCOUNTS: Final = frozenset(
    """summary description explanation body text content detail analysis report rationale notes
    conclusion""".split()
)
"""Fields that give an account of something, in its own words; others may hold a label for it."""


def stub_reason(
    output: BaseModel, schema: type[BaseModel] | None, *, turn: int, earlier: Sequence[str]
) -> str | None:
    """Why an answer that validates is probably a stub; None: it is believed.

    Args:
        output: the answer.
        schema: the model it was asked to fit; None: its own.
        turn: corrections before it, from 0. The higher, the weaker the signs that suffice.
        earlier: texts (or JSON) of the answers in this attempt that were corrected, the first one first.
    """
    try:
        found = list(islice(slots(output, Around.of(schema or type(output), output)), _TEXTS))
    except RecursionError:
        return None  # nobody makes up what nests that deeply
    past = Past.of(earlier)
    texts = weigh([slot for slot in found if slot.text or slot.is_required], past)
    answer = Answer.of(output)
    if turn < 1:
        return first_answer(texts, answer)
    return _corrected(texts, past, answer, turn) or _forgetful(texts, past, answer, turn, earlier)


# --- Judging --------------------------------------------------------------------------------------


def _corrected(texts: Sequence[Text], past: Past, answer: Answer, turn: int) -> str | None:
    hollow = [text for text in texts if text.hollow > Hollow.NEUTRAL]
    says = [text for text in texts if text.hollow is Hollow.SAYS]
    lost_texts = [
        text
        for text in hollow
        if text.hollow in (Hollow.EXCUSE, Hollow.ECHO, Hollow.TEMPLATE) and _has_held(text, past)
    ]
    if lost_texts:
        return f"{told(lost_texts)}, where more was said before"
    if pointing := [text for text in hollow if text.is_pointer and text.slot.is_required]:
        return told(pointing)
    if (same := _all_same(texts, past)) is not None:
        return same
    if not hollow:
        return _all_empty(texts, turn)
    fields = {text.slot.around.field for text in hollow}
    worst = max(text.hollow for text in hollow)
    if says:
        is_stub = _outweighs(hollow, says, past, turn)
    elif worst >= Hollow.EXCUSE or _is_emptied(texts, past):
        is_stub = True
    elif _keeps_a_number(answer, past):
        is_stub = False
    elif worst is Hollow.FILLER:
        # A letter may name a language or a choice; more than one answer of them is none.
        letters = all(LETTERS.fullmatch(text.slot.text) for text in hollow)
        is_stub = turn > 1 or len(fields) > 1 or not letters or len(past.richest) >= _LITTLE
    elif worst is Hollow.VAGUE:
        is_new = not any(past.has_word(word) for text in hollow for word in words(text.slot.text))
        is_stub = turn > 1 and (len(fields) > 1 or len(past.said) >= _LITTLE)
        is_stub = is_stub or (len(hollow) > 1 and len(past.said) >= _RICH and is_new)
    elif any(not text.slot.text for text in hollow):
        is_stub = turn > 1 or bool(past.said)
    else:
        is_known = len(past.said) > 1 or fields <= _ACCOUNTS - {"notes"}
        is_stub = is_known or len(hollow) > 2 or (turn > 1 and len(fields) > 1)
    return told(hollow) if is_stub else None


def _is_emptied(texts: Sequence[Text], past: Past) -> bool:
    """Whether several texts are empty, and no other stands there, after JSON that said much."""
    return len(texts) > 1 and len(past.richest) >= _RICH and not any(text.slot.text for text in texts)


def _has_held(text: Text, past: Past) -> bool:
    """Whether its field held a text of some length before, and not this one."""
    if past.has(text.slot.text, in_first=False):
        return False
    names = {text.slot.around.field, re.split(r"[.\[]", text.slot.around.path)[0]}
    held = max(past.words_at.get((name, is_text), 0) for name in names for is_text in (True, False))
    return text.slot.is_required and held >= _SAID


def _outweighs(hollow: Sequence[Text], says: Sequence[Text], past: Past, turn: int) -> bool:
    """Whether hollow texts make a stub of an answer that says something in others."""
    sure = sum(text.hollow >= Hollow.FILLER for text in hollow)
    surest = sum(text.hollow >= Hollow.EXCUSE for text in hollow)
    has_blank = any(EMPTY.issuperset(words(text.slot.text) or [""]) for text in hollow)
    more = len({text.slot.around.field for text in hollow}) - len({text.slot.around.field for text in says})
    blanks = {text.slot.around.field for text in hollow if BLANKS.issuperset(words(text.slot.text) or ["-"])}
    absent = {text.slot.around.field for text in hollow if text.hollow is Hollow.ABSENT}
    if len(blanks) > 1 or (len(absent) > 1 and more > 0 and len(past.said) >= _RICH):
        return True
    if turn > 1:
        return (more > 0 and sure > 1) or (more >= 0 and has_blank)
    return (more > 0 and surest > 1) or (more > 1 and sure > 1)


def _all_same(texts: Sequence[Text], past: Past) -> str | None:
    required = {text.slot.around.path: text.slot.text.lower() for text in texts if text.slot.is_required}
    if past.nulls.issuperset(text.slot.around.field for text in texts if text.slot.is_required):
        return None  # that they hold nothing was said before
    fields = {text.slot.around.field for text in texts if text.slot.is_required}
    if len(set(required.values())) != 1 or len(fields) < 2:
        return None
    same = next(iter(required.values()))
    is_new = len(past.richest) >= _LITTLE and same and not past.has(same, in_first=False)
    return f"all its texts are the same: {same[:40]!r}" if len(fields) > 2 or is_new else None


def _all_empty(texts: Sequence[Text], turn: int) -> str | None:
    """Every required text is empty, and was before; that makes a stub all the same."""
    empty = [text for text in texts if text.slot.is_required and not text.slot.text]
    is_account = any(text.slot.around.field in _ACCOUNTS - {"notes"} for text in empty)
    is_stub = turn > 1 and len(empty) == len(texts) and (len(empty) > 1 or is_account)
    return "all its texts are empty" if is_stub else None


def _keeps_a_number(answer: Answer, past: Past) -> bool:
    """Whether a number other than 0 and 1 is in the output that was in an earlier answer."""
    numbers = {value for value in answer.values if value.strip("-.0").isdigit()} - {"1", "1.0"}
    return any(number in value.split() for number in numbers for value in past.values)


def _forgetful(
    texts: Sequence[Text], past: Past, answer: Answer, turn: int, earlier: Sequence[str]
) -> str | None:
    """Whether it leaves out what earlier answers said, and says nothing in its place."""
    enough = _SAID if turn > 1 else 2 * _SAID
    for name, value, is_required in _fields(answer):
        if value not in (None, "", [], {}, ()) or (not value and value not in ([], {}) and not is_required):
            continue
        held = max(past.words_at.get((name, is_text), 0) for is_text in {False, value == ""})
        if held >= enough:
            return f"{name} is empty, and held {held} words before"
    if counts_up(answer, has_letters=True) and not _keeps_a_number(answer, past):
        return "only counts up"
    is_cut = any(text.slot.text in DOTS and text.slot.is_required for text in texts)
    if is_cut and past.values.isdisjoint(DOTS):
        return "an ellipsis stands for a text"
    if gone := emptied(answer.fields, past, type(answer.output).__name__):
        return gone
    if past.last_announces:
        return "was announced as made up"
    if not any(text.hollow is Hollow.SAYS and not _is_assent(text) for text in texts):
        is_vague = bool(texts) and all(text.hollow >= Hollow.VAGUE for text in texts)
        if why := lost(answer.fields, past, turn=turn, is_vague=is_vague):
            return why
    zeros = [text.slot for text in texts if NO_CODE.fullmatch(text.slot.text)]
    if zeros and past.numerals and not any(past.has(slot.text, in_first=False) for slot in zeros):
        return f"{zeros[0].around.path or 'it'} stands for none: {zeros[0].text[:40]!r}"
    if why := _foreign(texts, past, answer):
        return why
    if turn > 1 and (assent := _only_assents(texts, past)):
        return assent
    if turn > 1 and past.numbers > 1 and answer.is_zero and not texts:
        return f"all its numbers are 0, and {past.numbers} were not before"
    if other := contradicted(answer.output, past, earlier):
        return other
    why = _unrooted(texts, past, answer) if turn > 1 else None
    return why or _not_kept(texts, past, answer, earlier)


def _not_kept(texts: Sequence[Text], past: Past, answer: Answer, earlier: Sequence[str]) -> str | None:
    """Whether it is made up, as far as nothing of it was said before."""
    if past.knows_nothing:
        return None
    open_texts = {text.slot.text for text in texts}
    said = [text for text in open_texts if NOTHING.fullmatch(text) is None]
    numbers = [value for value in answer.values if value not in open_texts and _NUMBER.fullmatch(value)]
    chosen = {value for value in answer.values if value not in open_texts and value[:1].isalpha()}
    is_chosen = any(past.has(value, in_first=False) for value in chosen)
    kept = Kept.of(said, numbers, past, earlier)
    has_gap = _has_gap(answer, past)
    is_hollow = has_gap or any(text.hollow > Hollow.NEUTRAL for text in texts)
    if kept.is_nothing and (kept.was_shaped or is_hollow):
        return f"nothing of what was said before is left, which was {kept.told} words and numbers"
    if kept.is_next_to_nothing:
        return f"next to nothing of what was said before is left, which was {kept.told} words and numbers"
    if has_gap and kept.is_silent:
        return f"it holds nothing, after {kept.told} words and numbers"
    if kept.has_made_up_numbers and not is_chosen and not any(text.hollow is Hollow.SAYS for text in texts):
        return f"its numbers stand for none: {', '.join(sorted(kept.new_numbers)[:3])}"
    return None


def _has_gap(answer: Answer, past: Past) -> bool:
    """Whether a list or a mapping of it is empty, and all are that, and none of them was before."""
    held = answer.holders
    return bool(held) and not any(held.values()) and past.nulls.isdisjoint(held)


def _foreign(texts: Sequence[Text], past: Past, answer: Answer) -> str | None:
    """Whether it speaks of other things than the earlier answers, as far as it speaks of any."""
    required = [text for text in texts if text.slot.is_required and text.slot.text]
    hollow = [text for text in required if text.hollow >= Hollow.VAGUE]
    enough = _LITTLE if len(hollow) == len(required) else _SAID
    said = content([text.slot.text for text in required])
    if (
        not hollow
        or len({text.slot.around.field for text in required}) < 2
        or 2 * len(hollow) < len(required)
    ):
        return None
    is_rooted = any(past.has_word(word) for word in said) or _keeps_a_number(answer, past)
    if len(hollow) < len(required) and max(text.hollow for text in hollow) < Hollow.FILLER:
        return None  # one word for a thing of any kind, such as a translated one
    if len(past.said) < enough or len(said) > _RICH or is_rooted:
        return None
    return f"{told(hollow)}; and nothing of what was said before is left"


def _is_assent(text: Text) -> bool:
    found = words(text.slot.text)
    return not ACKNOWLEDGED.isdisjoint(found) and all(
        word in ACKNOWLEDGED or word in FUNCTION or word in TASKS for word in found
    )


def _only_assents(texts: Sequence[Text], past: Past) -> str | None:
    """Whether it is but a word of assent where an earlier answer said something."""
    for text in texts if all(map(_is_assent, texts)) else ():
        field = text.slot.around.field
        held = max(past.words_at.get((field, is_text), 0) for is_text in (False, True))
        is_new = past.said.isdisjoint(stems(text.slot.text) - FUNCTION)
        if held >= _LITTLE and is_new and _VERDICTS.isdisjoint(stems(field)):
            return f"{field} only assents, and held {held} words before"
    return None


def _unrooted(texts: Sequence[Text], past: Past, answer: Answer) -> str | None:
    """Whether it shares no word and no number with answers that said much."""
    said = content([text.slot.text for text in texts])
    fields = {text.slot.around.field for text in texts if text.slot.text}
    is_account = bool(fields & _ACCOUNTS)
    before = past.richest if len(past.richest) >= (_LITTLE if is_account else _RICH) else frozenset[str]()
    if is_account and len(past.said) >= _LONG:
        before = past.said  # prose counts too if there is much of it
    if not before or not said or len(said) > _RICH or not (is_account or len(fields) > 1):
        return None
    if _keeps_a_number(answer, past) or any(past.has_word(word) for word in said):
        return None
    return f"none of its words stands among the {len(before)} of earlier answers"


def _fields(answer: Answer) -> Iterator[tuple[str, Any, bool]]:
    for name, info in type(answer.output).model_fields.items():
        yield info.alias or name, getattr(answer.output, name), info.is_required()
