"""What all nodes share that wait for people, messages or times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypedDict

from typing_extensions import TypeVar

from smithers.errors import InvalidNode, Place
from smithers.records import WaitKind

from .node import Node, here
from .span import Span, span_ms
from .table import SqlTable
from .task import Deps, Task

T_co = TypeVar("T_co", covariant=True, default=Any)
Text: TypeAlias = str | Callable[..., str]
"""A text; or a function of the `deps` that returns one, called when the turn of the node has come."""
LONGEST_MS: Final = 1000 * 365 * 86_400_000
"""A thousand years: nothing that is added to a time of today passes the year 9999 by that."""
OnTimeout: TypeAlias = Literal["fail", "skip"]


@dataclass(frozen=True, slots=True)
class Question:
    """What one wait asks for, as it is stored. Made when the turn of its node has come."""

    kind: WaitKind
    spec: Mapping[str, Any]
    """JSON: what people and programs are shown, and what an answer has to fit."""
    after_ms: int | None = None
    """Its deadline, counted from when it is opened."""
    at_ms: int | None = None
    """Its deadline, wall clock."""
    decided: Mapping[str, Any] | None = None
    """What it comes to at once, by a rule of its workflow: nobody is asked."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the event says of that."""


class WaitOptions(TypedDict, total=False):
    """Properties that every wait takes."""

    deps: Deps
    """Tasks whose outputs are handed to the functions that were given for texts, by position."""
    needs: Mapping[str, str]
    """Name to task id: dependencies whose outputs are read under a name of one's own."""
    depends_on: str | Node | SequenceOf[str | Node]
    """Ids or nodes that must have settled before, however they settled."""
    skip_if: bool | Callable[[], bool]
    """Skip it; a function is asked when its turn comes."""
    continue_on_fail: bool
    """Go on if it fails; its output is missing then."""
    async_: bool
    """The sequence around it goes on at once; what reads it, and the end of all around it, waits."""
    label: str
    """Shown instead of the id."""
    meta: Mapping[str, Any]
    """JSON facts of your own, kept with the node and shown with it."""
    key: str
    """No effect: taken for those who come from trees that want one."""


class WaitNode(Task[T_co]):
    """A node that does nothing but wait: a row of the store, for which nothing runs."""

    __slots__ = ()

    def __init__(self, id: str, output: type[Any] | SqlTable[Any] | str, options: WaitOptions) -> None:
        unknown = options.keys() - WaitOptions.__annotations__.keys()
        if unknown:
            word = type(self).__name__
            raise InvalidNode(f"{word} {id} does not take {', '.join(sorted(unknown))}", place=here())
        is_async = options.pop("async_", False)
        given: Any = options
        super().__init__(id, output, value=None, **given)
        self.is_async = is_async
        self.mode = "wait"

    @property
    def enters(self) -> bool:
        return True

    @property
    def title(self) -> str:
        """What it is called where nothing else was said."""
        return self.label or self.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


def permission(task: Task[Any]) -> Question:
    """What a person is asked before a task begins."""
    asked = task.needs_approval if isinstance(task.needs_approval, str) else f"Run {task.label or task.id}?"
    prompt = task.prompt if isinstance(task.prompt, str) else None
    spec = {
        "title": asked,
        "summary": prompt,
        "mode": "approve",
        "on_deny": "fail",
        "on_expire": "deny",
        "quorum": 1,
    }
    return Question(WaitKind.APPROVAL, spec)


def said(value: Text | None, args: tuple[Any, ...], name: str, place: Place | None) -> str | None:
    """A text, or what the author's function says.

    Raises:
        InvalidNode: it is none.
    """
    found = value(*args) if callable(value) else value
    if found is not None and not isinstance(found, str):
        raise InvalidNode(f"{name}= gave {found!r}, which is not a text", place=place)
    return found


def check_text(value: object, name: str, place: Place | None) -> None:
    """Refuse what is neither a text, nor a function, nor left out."""
    if value is not None and not isinstance(value, str) and not callable(value):
        raise InvalidNode(f"{name}={value!r} is neither a text nor a function", place=place)


def check_word(value: object, name: str, words: SequenceOf[str], place: Place | None) -> None:
    """Refuse what is none of these words."""
    if value not in words:
        shown = ", ".join(f'"{word}"' for word in words)
        raise InvalidNode(f"{name}={value!r} is none of {shown}", place=place)


def wait_ms(value: Span | None, name: str, place: Place | None) -> int | None:
    """A span to wait for at most, in ms; None: for ever.

    Raises:
        InvalidNode: it is not positive, or longer than a thousand years.
    """
    if value is None:
        return None
    found = span_ms(value, name, place)
    if found > LONGEST_MS:
        raise InvalidNode(
            f"{name}={value!r} is longer than a thousand years, and may end after the year 9999", place=place
        )
    return found
