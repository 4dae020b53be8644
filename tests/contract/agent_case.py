"""What a program said once, and what a call that hears it must come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from smithers.errors import AgentError
from smithers.ports import AgentReply
from tests.agents.transcript import load

RECORDED_MS = 1_767_225_600_000
"""Now, as far as recordings know: 2026 has just begun, in UTC. A limit resets two hours later."""


class Answer(BaseModel):
    """What recorded programs were asked for where an answer has a shape."""

    ok: bool
    n: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call of a program, and its outcome: `reply` or `error`."""

    name: str
    stdout: str
    stderr: str = ""
    status: int = 0
    """Negative: the signal that ends it."""
    asks: Mapping[str, Any] = field(default_factory=dict)
    """What else is asked than the prompt, by the fields of `AgentRequest`."""
    reply: AgentReply | None = None
    error: type[AgentError] | None = None
    """This very class, and none below it."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Of the error; others may stand beside them."""

    def __str__(self) -> str:
        return self.name


def recorded(program: str, case: str, **expected: Any) -> Case:
    """A case that the real program was recorded in.

    Args:
        expected: `reply` or `error`, and what else `Case` has.
    """
    found = load(program, case)
    return Case(name=case, stdout=found.stdout, stderr=found.stderr, status=found.exit, **expected)
