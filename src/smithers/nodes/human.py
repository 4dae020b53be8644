"""A question whose answer is a person's, and has to fit a model."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypeVar, Unpack

from smithers.errors import InvalidNode
from smithers.records import WaitKind

from .event import schema_of
from .option import check_limit
from .span import Span
from .task import OutputOf
from .wait import Question, Text, WaitNode, WaitOptions, check_text, check_word, said, wait_ms

M = TypeVar("M", default=Any)


class HumanTask(WaitNode[M]):
    """Ask a person; the answer, as JSON that fits the model, is the output.

    Args:
        id: stable and unique, as of a task.
        output: what the answer must fit; `str`: plain text.
        prompt: what is asked; a function of the `deps` is called when its turn comes.
        max_attempts: how many answers that do not fit the model are taken before it fails; what does not even
            fit its JSON schema is refused where it is given, and does not count.
        timeout: how long, from the moment its turn comes.
        on_timeout: `"fail"`, or `"skip"` it, and what needs its output.
        options: see `WaitOptions`.
    """

    __slots__ = ("after_ms", "ask", "max_attempts", "on_timeout")

    def __init__(
        self,
        id: str,
        output: OutputOf[M] | str,
        *,
        prompt: Text,
        max_attempts: int = 10,
        timeout: Span | None = None,
        on_timeout: Literal["fail", "skip"] = "fail",
        **options: Unpack[WaitOptions],
    ) -> None:
        super().__init__(id, output, options)
        check_text(prompt, "prompt", self.place)
        if isinstance(prompt, str) and not prompt.strip():
            raise InvalidNode(f"{self!r} has an empty prompt", place=self.place)
        check_limit(max_attempts, "max_attempts", self.place)
        check_word(on_timeout, "on_timeout", ("fail", "skip"), self.place)
        self.ask = prompt
        self.max_attempts = max_attempts
        self.after_ms = wait_ms(timeout, "timeout", self.place)
        self.on_timeout = on_timeout

    def question(self, args: tuple[Any, ...]) -> Question:
        spec = {
            "title": self.title,
            "prompt": said(self.ask, args, "prompt", self.place),
            "schema": schema_of(self.model),
            "on_timeout": self.on_timeout,
            "max_attempts": self.max_attempts,
        }
        return Question(WaitKind.HUMAN, spec, self.after_ms)
