"""One classifier: what kind of failure an exception is. Stored with the attempt and used everywhere."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from smithers.errors import (
    AgentAuth,
    AgentMissing,
    AgentQuota,
    AgentRefusal,
    AgentStalled,
    AgentThrottled,
    AuthoringError,
    HeartbeatTimeout,
    InvalidOutput,
    SmithersError,
    TaskTimeout,
)
from smithers.records import FailureClass

from .library import is_library_file

_CLASSES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (AgentQuota, FailureClass.QUOTA),
    (AgentThrottled, FailureClass.THROTTLE),
    (AgentAuth, FailureClass.AUTH),
    (AgentMissing, FailureClass.MISSING_BINARY),
    (AgentRefusal, FailureClass.REFUSAL),
    (AgentStalled, FailureClass.STALLED),
    (HeartbeatTimeout, FailureClass.STALLED),
    (InvalidOutput, FailureClass.BAD_OUTPUT),
    (TaskTimeout, FailureClass.TIMEOUT),
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
    for kind, failure in _CLASSES:
        if isinstance(error, kind):
            return failure
    return FailureClass.CRASH


def describe(error: BaseException) -> dict[str, Any]:
    """The error as stored: `code`, `message`, `hint`, and where in the author's code it was raised."""
    if isinstance(error, SmithersError):
        return error.payload()
    last = traceback.extract_tb(error.__traceback__)
    found: dict[str, Any] = {
        "code": type(error).__name__,
        "message": _first_lines(text_of(error)) or type(error).__name__,
    }
    own = [frame for frame in last if "/smithers/engine/" not in frame.filename.replace("\\", "/")]
    if own:
        # The author's own line, where there is one: an edit of json/decoder.py helps nobody.
        at = next((f for f in reversed(own) if not is_library_file(f.filename)), own[-1])
        found["place"] = f"{at.filename}:{at.lineno}"
        found["traceback"] = [f"{f.filename}:{f.lineno} {f.name}" for f in own[-8:]]
    return found


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
