"""What an adapter knows of its program: how it is called, and what its stream means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from smithers.ports import AgentEvent, AgentReply, Exit


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a program is called once."""

    argv: tuple[str, ...]
    """The first word is looked up on the `PATH` of `env`."""
    env: Mapping[str, str]
    """All of its environment."""
    stdin: str | None = None
    """Written to it, and then closed; None: it has none."""
    cwd: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts that must lie in the folder that `argv` was made for, by name; they go with the call."""
    is_text: bool = False
    """It does not write events: every line is one of text, empty ones too."""
    hears_stderr: bool = False
    """Lines of its standard error are told to the fold, too, by `line`; they are no sign of life."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program left."""

    exit: Exit
    stderr: str
    """The end of what it wrote there."""
    was_ended: bool = False
    """We have ended it, because it did not leave after its last word: its exit says nothing."""
    dropped: int = 0
    """Lines that were too long to be kept."""


class Fold(Protocol):
    """Takes in what a program says, and sums it up. Pure; one for each call.

    Nothing is promised of what it is given but its types: look with `json_value`, and let pass what is not
    known. It may raise an `AgentError` as soon as it knows that the call is lost: the program is ended then.
    """

    @property
    def is_over(self) -> bool:
        """The last word has come: nothing that the program does from here on changes its answer."""
        ...

    def event(self, event: Mapping[str, Any]) -> Iterable[AgentEvent]:
        """Take in a line that is a JSON object."""
        ...

    def line(self, text: str) -> Iterable[AgentEvent]:
        """Take in any other line of its standard output."""
        ...

    def finish(self, ending: Ending) -> AgentReply:
        """What the call comes to, once the program has left.

        Raises:
            AgentError: classified; also when there was no word of success.
        """
        ...
