"""One classifier: what kind of failure an exception is. Stored with the attempt and used everywhere."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smithers.errors import (
    AgentAuth,
    AgentMissing,
    AgentQuota,
    AgentRefusal,
    AgentStalled,
    AgentThrottled,
    AgentTimeout,
    AgentUnfit,
    AuthoringError,
    BudgetExceeded,
    CacheByFailed,
    HeartbeatTimeout,
    InvalidOutput,
    Place,
    PolicyDenied,
    ProgramNotFound,
    SmithersError,
    TaskTimeout,
)
from smithers.records import FailureClass

from .library import is_library_file

_OURS = Path(__file__).parents[1]

_CLASSES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (AgentQuota, FailureClass.QUOTA),
    (AgentThrottled, FailureClass.THROTTLE),
    (AgentAuth, FailureClass.AUTH),
    (AgentMissing, FailureClass.MISSING_BINARY),
    (ProgramNotFound, FailureClass.MISSING_BINARY),
    (AgentRefusal, FailureClass.REFUSAL),
    (AgentStalled, FailureClass.STALLED),
    (HeartbeatTimeout, FailureClass.STALLED),
    (InvalidOutput, FailureClass.BAD_OUTPUT),
    (TaskTimeout, FailureClass.TIMEOUT),
    (AgentTimeout, FailureClass.TIMEOUT),
    (AgentUnfit, FailureClass.FATAL),
    (PolicyDenied, FailureClass.FATAL),
    (BudgetExceeded, FailureClass.FATAL),
    (AuthoringError, FailureClass.FATAL),
    # A bug in the author's code: the second equal one ends the task.
    (TypeError, FailureClass.LOGIC),
    (NameError, FailureClass.LOGIC),
    (AttributeError, FailureClass.LOGIC),
    (ImportError, FailureClass.LOGIC),
    (SyntaxError, FailureClass.LOGIC),
    (NotImplementedError, FailureClass.LOGIC),
)


def classify(error: BaseException) -> FailureClass:
    """The class of what an attempt raised; what nobody knows is a crash, and worth another try."""
    if isinstance(error, CacheByFailed):
        # What `by` raised says whether another try can help; what it returns, it returns again.
        cause = error.__cause__
        return FailureClass.LOGIC if cause is None else classify(cause)
    for kind, failure in _CLASSES:
        if isinstance(error, kind):
            return failure
    return FailureClass.CRASH


def describe(error: BaseException) -> dict[str, Any]:
    """The error as stored: `code`, `message`, `hint`, and where in the author's code it was raised."""
    if isinstance(error, SmithersError):
        return error.payload()
    found: dict[str, Any] = {
        "code": type(error).__name__,
        "message": _first_lines(text_of(error)) or type(error).__name__,
    }
    place = author_place(error)
    if place is not None:
        found["place"] = str(place)
        found["traceback"] = [f"{f.filename}:{f.lineno} {f.name}" for f in _not_ours(error)[-8:]]
    return found


def author_place(error: BaseException) -> Place | None:
    """The deepest line of the traceback in the author's files, else in code that is not ours.

    An edit of `json/decoder.py`, or of what a dataclass compiled, helps nobody.
    """
    frames = _not_ours(error)
    own = [f for f in frames if not f.filename.startswith("<") and not is_library_file(f.filename)]
    for frame in (own or frames)[-1:]:
        return Place(frame.filename, frame.lineno or 0)
    return None


def _not_ours(error: BaseException) -> list[traceback.FrameSummary]:
    return [
        f for f in traceback.extract_tb(error.__traceback__) if not Path(f.filename).is_relative_to(_OURS)
    ]


def text_of(error: BaseException) -> str:
    """What an author's exception says, as text that can be stored; whatever its `__str__` does."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - the author's code may raise anything, here too
        return f"its text cannot be made: __str__ raised {type(broken).__name__}"
    return text.encode(errors="backslashreplace").decode()


def _first_lines(text: str) -> str:
    return text if len(text) <= 2000 else text[:2000] + "…"


def message_of(error: Mapping[str, Any]) -> str:
    """A stored error's message; empty without one."""
    return str(error.get("message", ""))
