"""Answers that validate and say nothing: what an agent sends when only the schema is left to satisfy. Pure.

Whether an answer is true cannot be seen from it; whether it was made up to end a row of corrections often
can. Everything hangs on the turn. A first answer is believed unless it is the schema itself in another form
(`"string"` in every field, `<your title here>`, lorem ipsum), because short answers are mostly true ones:
`C`, `42`, `LGTM`, an empty list of findings. After corrections weaker signs do, unless the first answer said
the same already: an agent that is corrected keeps what it knows, and one that is stuck forgets it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .earlier import Past, content, leaves
from .placeholder import Hollow, Names, judge
from .wording import EMPTY, IDLE, LETTERS, stem, words

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
_KEY: Final = 40
"""Characters of a key that are told."""
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
        slots = list(islice(_slots(output, _Around.of(schema or type(output), output)), _TEXTS))
    except RecursionError:
        return None  # nobody makes up what nests that deeply
    past = Past.of(earlier)
    texts = _count_up([_weigh(slot, past) for slot in slots if slot.text or slot.is_required])
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
        return replace(self, path=f"{self.path}[{repr(key)[:_KEY]}]", is_required=True)


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
            item = getattr(value, name)
            if info.is_required() or not _is_default(item, info):
                yield from _slots(item, around.field_of(model, name, info))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _slots(key, around.entry(key))
            yield from _slots(item, around.entry(key))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from _slots(item, around.item(index))
    elif isinstance(value, str) and not isinstance(value, Enum) and value not in around.closed:
        yield _Slot(around, value.strip())


def _is_default(item: object, info: FieldInfo) -> bool:
    """Whether a text is its field's default, which nobody wrote."""
    return isinstance(item, str) and isinstance(info.default, str) and item == info.default


def _stems(name: str) -> frozenset[str]:
    return frozenset(map(stem, words(name)))


def _documentation(model: type[BaseModel]) -> tuple[str, ...]:
    return (model.__doc__,) if model.__doc__ else ()


def _closed(annotation: object) -> frozenset[Any]:
    """The members of all literals in an annotation."""
    annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    arguments = get_args(annotation)
    found = frozenset(arguments) if getattr(annotation, "__origin__", None) is Literal else frozenset[Any]()
    return found.union(*map(_closed, arguments)) if arguments and not found else found


# --- Judging --------------------------------------------------------------------------------------


def _weigh(slot: _Slot, past: Past) -> _Text:
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
    if hollow is Hollow.VAGUE and all(past.has_word(word) for word in content([slot.text]) - IDLE):
        hollow = Hollow.SAYS
    return _Text(slot, hollow, found.why)


def _count_up(texts: Sequence[_Text]) -> list[_Text]:
    """The texts, with those for sure that only count up: `item1`, `item2`."""
    counted = Counter((text.slot.around.field, _uncounted(text)) for text in texts)
    return [
        text._replace(hollow=Hollow.ECHO, why="only counts up")
        if text.hollow is Hollow.VAGUE and counted[text.slot.around.field, _uncounted(text)] > 1
        else text
        for text in texts
    ]


def _uncounted(text: _Text) -> tuple[str, ...]:
    return tuple(word for word in words(text.slot.text) if len(word) > 1)


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


def _corrected(texts: Sequence[_Text], past: Past, output: BaseModel, turn: int) -> str | None:
    hollow = [text for text in texts if text.hollow > Hollow.NEUTRAL]
    says = [text for text in texts if text.hollow is Hollow.SAYS]
    if (same := _all_same(texts)) is not None:
        return same
    if not hollow:
        return _all_empty(texts, turn)
    fields = {text.slot.around.field for text in hollow}
    worst = max(text.hollow for text in hollow)
    if says:
        is_stub = _outweighs(hollow, says, turn)
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
        is_known = len(past.said) > 1 or fields <= _ACCOUNTS - {"notes"}
        is_stub = is_known or len(hollow) > 2 or (turn > 1 and len(fields) > 1)
    return _told(hollow) if is_stub else None


def _outweighs(hollow: Sequence[_Text], says: Sequence[_Text], turn: int) -> bool:
    """Whether hollow texts make a stub of an answer that says something in others."""
    sure = sum(text.hollow >= Hollow.FILLER for text in hollow)
    surest = sum(text.hollow >= Hollow.EXCUSE for text in hollow)
    has_blank = any(EMPTY.issuperset(words(text.slot.text) or [""]) for text in hollow)
    more = len({text.slot.around.field for text in hollow}) - len({text.slot.around.field for text in says})
    if turn > 1:
        return (more > 0 and sure > 1) or (more >= 0 and has_blank)
    return more > 0 and surest > 1


def _all_same(texts: Sequence[_Text]) -> str | None:
    required = {text.slot.around.path: text.slot.text.lower() for text in texts if text.slot.is_required}
    fields = {text.slot.around.field for text in texts if text.slot.is_required}
    if len(fields) > 2 and len(set(required.values())) == 1:
        return f"all its texts are the same: {next(iter(required.values()))[:40]!r}"
    return None


def _all_empty(texts: Sequence[_Text], turn: int) -> str | None:
    """Every required text is empty, and was before; that makes a stub all the same."""
    empty = [text for text in texts if text.slot.is_required and not text.slot.text]
    is_account = any(text.slot.around.field in _ACCOUNTS - {"notes"} for text in empty)
    is_stub = turn > 1 and len(empty) == len(texts) and (len(empty) > 1 or is_account)
    return "all its texts are empty" if is_stub else None


def _keeps_a_number(output: BaseModel, past: Past) -> bool:
    """Whether a number other than 0 and 1 is in the output that was in an earlier answer."""
    numbers = {value for value in _dumped(output) if value.strip("-.0").isdigit()} - {"1", "1.0"}
    return any(number in value.split() for number in numbers for value in past.values)


def _forgetful(texts: Sequence[_Text], past: Past, output: BaseModel, turn: int) -> str | None:
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


def _unrooted(texts: Sequence[_Text], past: Past, output: BaseModel) -> str | None:
    """Whether it shares no word and no number with answers that said much."""
    said = content([text.slot.text for text in texts])
    fields = {text.slot.around.field for text in texts if text.slot.text}
    is_account = bool(fields & _ACCOUNTS)
    before = past.richest if len(past.richest) >= (_LITTLE if is_account else _RICH) else frozenset[str]()
    if is_account and len(past.said) >= _LONG:
        before = past.said  # prose counts too if there is much of it
    if not before or not said or len(said) > _RICH or not (is_account or len(fields) > 1):
        return None
    if _keeps_a_number(output, past) or any(past.has_word(word) for word in said):
        return None
    return f"none of its words stands among the {len(before)} of earlier answers"


def _fields(output: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, info in type(output).model_fields.items():
        yield info.alias or name, getattr(output, name)


def _is_zero(output: BaseModel) -> bool:
    values = _dumped(output)
    return bool(values) and all(value in ("0", "0.0", "") for value in values)


def _dumped(output: BaseModel) -> list[str]:
    try:
        return list(leaves(output.model_dump(mode="json", warnings=False)))
    except ValueError:  # JSON cannot hold it, as will be told where it is stored
        return []


def _told(texts: Sequence[_Text]) -> str:
    worst = sorted(texts, key=lambda text: -text.hollow)[:3]
    more = f", and {len(texts) - len(worst)} more" if len(texts) > len(worst) else ""
    return "; ".join(f"{text.slot.around.path or 'it'} {text.why}" for text in worst) + more
