"""Answers that validate and say nothing: what an agent sends when only the schema is left to satisfy. Pure.

Whether an answer is true cannot be seen from it; whether it was made up to end a row of corrections often
can. Everything hangs on the turn. A first answer is believed unless it is the schema itself in another form
(`"string"` in every field, `<your title here>`, lorem ipsum), because short answers are mostly true ones:
`C`, `42`, `LGTM`, an empty list of findings. After corrections weaker signs do, unless the first answer said
the same already: an agent that is corrected keeps what it knows, and one that is stuck forgets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import from_json

from .extraction import candidates
from .placeholder import Hollow, Names, judge
from .wording import FUNCTION, IDLE, LETTERS, stem, words

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
_QUOTABLE: Final = 80
"""Characters of an earlier text up to which a filler in it was meant; any word stands in a long one."""
_READ: Final = 200_000
"""Characters of an earlier answer that are looked at."""
_TEXTS: Final = 500
"""Texts of an answer that are looked at; what has more is none that was made up."""
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
    slots = islice(_slots(output, _Around.of(schema or type(output), output)), _TEXTS)
    past = _Past.of(earlier)
    texts = [_weigh(slot, past) for slot in slots if slot.text or slot.is_required]
    reason = _first_answer(texts) if turn < 1 else _corrected(texts, past, output, turn)
    return reason or (_forgetful(texts, past, output, turn) if turn > 0 else None)


# --- The texts of an answer -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Around:
    """What the schema says around a value."""

    field: str
    """Name of the nearest field; of the model at the root."""
    path: str
    names: AbstractSet[str]
    """Stems of the words in the names around it."""
    descriptions: tuple[str, ...]
    closed: AbstractSet[Any]
    """Values of which it may only be one."""
    is_required: bool

    @classmethod
    def of(cls, schema: type[BaseModel], output: BaseModel) -> _Around:
        names = _stems(schema.__name__) | {"".join(filter(str.isupper, schema.__name__)).lower()}
        return cls(schema.__name__, "", names, _documentation(type(output)), frozenset(), True)

    def field_of(self, model: type[BaseModel], name: str, info: FieldInfo) -> _Around:
        if name == "root":
            return _Around(
                self.field, self.path, self.names, self.descriptions, _closed(info.annotation), True
            )
        siblings = frozenset[str]().union(*map(_stems, model.model_fields))
        descriptions = (*self.descriptions, *([info.description] if info.description else []))
        return _Around(
            name,
            f"{self.path}.{name}" if self.path else name,
            self.names | _stems(model.__name__) | siblings,
            descriptions,
            _closed(info.annotation),
            info.is_required(),
        )

    def entry(self, key: object) -> _Around:
        """Of a mapping, in which `key` and `value` name nothing but themselves."""
        return replace(self.item(key), field=f"{self.field} key value")

    def item(self, key: object) -> _Around:
        return _Around(self.field, f"{self.path}[{key!r}]", self.names, self.descriptions, self.closed, True)


class _Slot(NamedTuple):
    """A text in an answer, where any text may stand."""

    around: _Around
    text: str

    @property
    def is_required(self) -> bool:
        return self.around.is_required


class _Text(NamedTuple):
    slot: _Slot
    hollow: Hollow
    why: str


def _slots(value: object, around: _Around) -> Iterator[_Slot]:
    if isinstance(value, BaseModel):
        model = type(value)
        for name, info in model.model_fields.items():
            yield from _slots(getattr(value, name), around.field_of(model, name, info))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _slots(key, around.entry(key))
            yield from _slots(item, around.entry(key))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from _slots(item, around.item(index))
    elif isinstance(value, str) and not isinstance(value, Enum) and value not in around.closed:
        yield _Slot(around, value.strip())


def _stems(name: str) -> frozenset[str]:
    return frozenset(map(stem, words(name)))


def _documentation(model: type[BaseModel]) -> tuple[str, ...]:
    return (model.__doc__,) if model.__doc__ else ()


def _closed(annotation: object) -> frozenset[Any]:
    """The members of all literals in an annotation."""
    arguments = get_args(annotation)
    found = frozenset(arguments) if getattr(annotation, "__origin__", None) is Literal else frozenset[Any]()
    return found.union(*map(_closed, arguments)) if arguments and not found else found


# --- What was said before -------------------------------------------------------------------------


class _Past(NamedTuple):
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

    @classmethod
    def of(cls, earlier: Sequence[str]) -> _Past:
        read = [_read(text) for text in earlier]
        values = [frozenset(_leaves(value)) for value, _ in read]
        objects = [value for value, is_json in read if is_json]
        said = [_content(list(_leaves(value))) for value in objects]
        return cls(
            values[0] if values else frozenset(),
            frozenset[str]().union(*values),
            _content([leaf for leaves in values for leaf in leaves]),
            max(said, key=len, default=frozenset()),
            _words_at(objects),
            max((sum(map(_is_number, _leaves(value))) for value in objects), default=0),
        )

    def has(self, text: str, *, in_first: bool) -> bool:
        """Whether a text was an answer's value before, or stood in a short one."""
        values = self.first if in_first else self.values
        plain = _plain(text)
        return any(_plain(value) == plain or _stands_in(plain, value) for value in values)

    def is_only(self, text: str) -> bool:
        """Whether the first answer was nothing else."""
        return {_plain(value) for value in self.first} == {_plain(text)}


def _plain(text: str) -> str:
    """A text without what does not matter: case, white space, a full stop, a plural."""
    plain = " ".join(text.lower().split())
    return stem(plain.rstrip(".!") or plain)


def _stands_in(plain: str, value: str) -> bool:
    """Whether a short text is part of another short one, by whole words."""
    return bool(plain) and len(value) <= _QUOTABLE and f" {plain} " in f" {' '.join(words(value))} "


def _read(text: str) -> tuple[object, bool]:
    """The JSON in an earlier answer; else its text, and False."""
    text = text[:_READ]
    for candidate in candidates(text, None):
        try:
            return from_json(candidate.text), True
        except (ValueError, TypeError):
            continue
    return text, False


def _words_at(objects: Sequence[object]) -> dict[tuple[str, bool], int]:
    counts: dict[tuple[str, bool], int] = {}
    for value in objects:
        items = value.items() if isinstance(value, dict) else [("root", value)]
        for name, item in items:
            key = (name, isinstance(item, str))
            counts[key] = max(counts.get(key, 0), len(_content(list(_leaves(item)))))
    return counts


def _is_number(leaf: str) -> bool:
    return leaf.strip("-.0").replace(".", "").isdigit()


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif not isinstance(value, bool):
        yield "" if value is None else str(value)


def _content(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(stem(word) for text in texts for word in words(text) if word not in FUNCTION)


# --- Judging --------------------------------------------------------------------------------------


def _weigh(slot: _Slot, past: _Past) -> _Text:
    around = slot.around
    found = judge(slot.text, Names(_stems(around.field), around.names, around.descriptions))
    hollow = found.hollow
    if hollow is Hollow.ABSENT and (not slot.is_required or past.has(slot.text, in_first=False)):
        hollow = Hollow.NEUTRAL
    elif hollow in (Hollow.VAGUE, Hollow.FILLER, Hollow.ECHO, Hollow.TEMPLATE) and past.has(
        slot.text, in_first=True
    ):
        hollow = Hollow.SAYS
    elif hollow is Hollow.EXCUSE and past.has(slot.text, in_first=True) and not past.is_only(slot.text):
        hollow = Hollow.SAYS  # it was part of an answer then, such as a quotation
    if hollow is Hollow.VAGUE and all(_is_rooted(word, past) for word in _content([slot.text]) - IDLE):
        hollow = Hollow.SAYS
    return _Text(slot, hollow, found.why)


def _first_answer(texts: Sequence[_Text]) -> str | None:
    """Only what nobody would write who had anything to say."""
    copied = [text for text in texts if text.hollow is Hollow.COPY]
    hollow = [text for text in texts if text.hollow >= Hollow.ECHO]
    if copied:
        return _told(copied)
    if any(text.hollow is Hollow.TEMPLATE for text in hollow):
        says = sum(text.hollow is Hollow.SAYS for text in texts)
        return _told(hollow) if says < len(hollow) else None
    fields = {text.slot.around.field for text in hollow}
    is_all = all(text.hollow is not Hollow.SAYS for text in texts)
    return _told(hollow) if is_all and len(fields) > 1 else None


def _corrected(texts: Sequence[_Text], past: _Past, output: BaseModel, turn: int) -> str | None:
    hollow = [text for text in texts if text.hollow > Hollow.NEUTRAL]
    says = [text for text in texts if text.hollow is Hollow.SAYS]
    if (same := _all_same(texts)) is not None:
        return same
    if not hollow:
        return _all_empty(texts, turn)
    fields = {text.slot.around.field for text in hollow}
    worst = max(text.hollow for text in hollow)
    if says:
        sure = sum(text.hollow >= Hollow.FILLER for text in hollow)
        excuses = sum(text.hollow is Hollow.EXCUSE for text in hollow)
        is_stub = (turn > 1 or excuses > 1) and sure > 1 and len(hollow) > len(says)
    elif worst >= Hollow.EXCUSE:
        is_stub = True
    elif _keeps_a_number(output, past):
        is_stub = False
    elif worst is Hollow.FILLER:
        # A letter may name a language or a choice; more than one answer of them is none.
        letters = all(LETTERS.fullmatch(text.slot.text) for text in hollow)
        is_stub = turn > 1 or len(fields) > 1 or not letters or len(past.richest) >= _LITTLE
    elif worst is Hollow.VAGUE:
        is_stub = turn > 1 and (len(fields) > 1 or len(past.said) >= _LITTLE)
    elif any(not text.slot.text for text in hollow):
        is_stub = turn > 1 or bool(past.said)
    else:
        is_known = len(past.said) >= _LITTLE or fields <= _ACCOUNTS - {"notes"}
        is_stub = is_known or (turn > 1 and len(fields) > 1)
    return _told(hollow) if is_stub else None


def _all_same(texts: Sequence[_Text]) -> str | None:
    required = {text.slot.around.path: text.slot.text.lower() for text in texts if text.slot.is_required}
    fields = {text.slot.around.field for text in texts if text.slot.is_required}
    if len(fields) > 2 and len(set(required.values())) == 1:
        return f"all its texts are the same: {next(iter(required.values()))[:40]!r}"
    return None


def _all_empty(texts: Sequence[_Text], turn: int) -> str | None:
    """Every required text is empty, and was before; two of them make a stub all the same."""
    empty = [text for text in texts if text.slot.is_required and not text.slot.text]
    return "all its texts are empty" if turn > 1 and len(empty) > 1 and len(empty) == len(texts) else None


def _keeps_a_number(output: BaseModel, past: _Past) -> bool:
    """Whether a number other than 0 and 1 is in the output that was in an earlier answer."""
    leaves = _leaves(output.model_dump(mode="json"))
    numbers = {value for value in leaves if value.strip("-.0").isdigit()} - {"1", "1.0"}
    return any(number in value.split() for number in numbers for value in past.values)


def _forgetful(texts: Sequence[_Text], past: _Past, output: BaseModel, turn: int) -> str | None:
    """Whether it leaves out what earlier answers said, and says nothing in its place."""
    enough = _SAID if turn > 1 else 2 * _SAID
    for name, value in _fields(output):
        if value not in (None, "", [], {}, ()):
            continue
        held = max(past.words_at.get((name, is_text), 0) for is_text in {False, value == ""})
        if held >= enough:
            return f"{name} is empty, and held {held} words before"
    if turn > 1 and past.numbers > 1 and _is_zero(output) and not texts:
        return f"all its numbers are 0, and {past.numbers} were not before"
    return _unrooted(texts, past, output) if turn > 1 else None


def _unrooted(texts: Sequence[_Text], past: _Past, output: BaseModel) -> str | None:
    """Whether it shares no word and no number with answers that said much."""
    said = _content([text.slot.text for text in texts])
    fields = {text.slot.around.field for text in texts if text.slot.text}
    is_account = bool(fields & _ACCOUNTS)
    before = past.richest if len(past.richest) >= (_LITTLE if is_account else _RICH) else frozenset[str]()
    if is_account and len(past.said) >= _LONG:
        before = past.said  # prose counts too if there is much of it
    if not before or not said or len(said) > _RICH or not (is_account or len(fields) > 1):
        return None
    if _keeps_a_number(output, past) or any(_is_rooted(word, past) for word in said):
        return None
    return f"none of its words stands among the {len(before)} of earlier answers"


def _is_rooted(word: str, past: _Past) -> bool:
    # As a part of any word, too: languages bend their words, and some write without spaces.
    return any(word in value.lower() for value in past.values)


def _fields(output: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, info in type(output).model_fields.items():
        yield info.alias or name, getattr(output, name)


def _is_zero(output: BaseModel) -> bool:
    leaves = list(_leaves(output.model_dump(mode="json")))
    return bool(leaves) and all(value in ("0", "0.0", "") for value in leaves)


def _told(texts: Sequence[_Text]) -> str:
    worst = sorted(texts, key=lambda text: -text.hollow)[:3]
    more = f", and {len(texts) - len(worst)} more" if len(texts) > len(worst) else ""
    return "; ".join(f"{text.slot.around.path or 'it'} {text.why}" for text in worst) + more
