"""Any other program that takes a prompt and gives an answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from smithers.errors import AgentError, InvalidNode
from smithers.ports import (
    AgentEvent,
    AgentReply,
    AgentRequest,
    NoticeEvent,
    SessionEvent,
    TextEvent,
    UsageEvent,
)
from smithers.records import Usage

from .cli import CliAgent, Ending, Invocation, without_result
from .cli.line import event_in

OutputFormat: TypeAlias = Literal["text", "jsonl", "json"]
Parse: TypeAlias = Callable[[dict[str, Any]], Iterable[AgentEvent]]
"""From one JSON object that the program wrote to what happened."""
Classify: TypeAlias = Callable[[int | None, str], AgentError | None]
"""From an exit status and the end of its standard error to what is wrong; None: nothing that it knows of."""

_FORMATS = ("text", "jsonl", "json")


@dataclass(frozen=True, kw_only=True, eq=False)
class CommandAgent(CliAgent):
    """A program without an adapter of its own: `CommandAgent(["llm", "-m", "mini"])`.

    The prompt goes to its standard input, or stands where `{prompt}` does in a word of `argv`; `{model}`
    stands for `model`. Exit status 0 is success and any other is failure, unless `classify` knows better:
    programs that leave with 0 when they have failed need an adapter, or a `classify`.

    What it writes is read as `format` says:

    - `text`: all of it is the answer;
    - `json`: one JSON value, which is the answer;
    - `jsonl`: an event a line; the last one is the answer.

    With `parse`, JSON objects become events, and the texts among them, joined, are the answer.
    """

    kind: ClassVar[str] = "command"
    program: ClassVar[str] = ""
    install: ClassVar[str] = ""
    sign_in: ClassVar[str] = ""

    argv: Sequence[str] = field(kw_only=False)
    """The first word is looked up on PATH."""
    format: OutputFormat = "text"
    session: Sequence[str] = ()
    """Words that continue a conversation, put at its end: `("--resume", "{session}")`; empty: it cannot.
    `parse` tells its name by a `SessionEvent`."""
    parse: Parse | None = None
    classify: Classify | None = None
    keep_env: Sequence[str] = ()
    """Variables of other agents that it is started with all the same: `("OPENAI_API_KEY",)`."""

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv:
            raise InvalidNode(
                f"argv={self.argv!r} is no command", hint='write its words: ["llm", "-m", "mini"]'
            )
        if self.format not in _FORMATS:
            raise InvalidNode(f"format={self.format!r} is none of {', '.join(_FORMATS)}")
        if self.parse is not None and self.format == "text":
            raise InvalidNode("parse= reads JSON", hint='write format="jsonl" or format="json"')
        if self.session and not any("{session}" in word for word in self.session):
            raise InvalidNode(f"session={self.session!r} does not say where the name goes, by {{session}}")
        if self.model is not None and not any("{model}" in word for word in self.argv):
            raise InvalidNode(f"model={self.model!r} has no place in argv", hint="write {model} there")
        program = Path(self.argv[0]).name
        for option in ("name", "account", "pool"):
            if getattr(self, option) == "":
                object.__setattr__(self, option, program)
        super().__post_init__()

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        if request.forks:
            raise self.cannot("fork a conversation")
        if request.session is not None and not self.session:
            raise self.cannot("continue a conversation: it has no session=")
        prompt = self.prompt(request)
        words = [self.binary or self.argv[0], *self.argv[1:], *self.args]
        takes_word = any("{prompt}" in word for word in words)
        filled = [word.replace("{model}", self.model or "").replace("{prompt}", prompt) for word in words]
        if request.session is not None:
            filled += [word.replace("{session}", request.session) for word in self.session]
        env = {name: os.environ[name] for name in self.keep_env if name in os.environ}
        return Invocation(
            tuple(filled),
            self.environment(request, env),
            None if takes_word else prompt,
            self.folder(request),
            is_text=self.format != "jsonl",
        )

    def fold(self, request: AgentRequest) -> CommandFold:
        return CommandFold(self.format, self.parse, self.classify, Path(self.argv[0]).name)


class CommandFold:
    """Sums up what one call of a program has written."""

    def __init__(
        self, format: OutputFormat, parse: Parse | None, classify: Classify | None, program: str
    ) -> None:
        self._format = format
        self._parse = parse
        self._classify = classify
        self._program = program
        self._lines: list[str] = []
        """As they are; of a stream of events, those that are none."""
        self._last: Mapping[str, Any] | None = None
        self._texts: list[str] = []
        self._session: str | None = None
        self._usage: Usage | None = None

    @property
    def is_over(self) -> bool:
        """Only its exit says so."""
        return False

    def line(self, text: str) -> Iterator[AgentEvent]:
        if self._format == "jsonl":
            yield NoticeEvent(text[:2000])
            return
        self._lines.append(text)
        if self._format == "text":
            yield TextEvent(f"{text}\n")

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._last = event
        if self._parse is None:
            yield NoticeEvent(json.dumps(event, ensure_ascii=False)[:2000])
            return
        for told in self._parsed(dict(event)):
            match told:
                case TextEvent(text=text, is_reasoning=False):
                    self._texts.append(text)
                case SessionEvent(session=session):
                    self._session = session
                case UsageEvent(usage=usage):
                    self._usage = usage
                case _:
                    pass
            yield told

    def _parsed(self, event: dict[str, Any]) -> list[AgentEvent]:
        try:
            return list(self._parse(event)) if self._parse is not None else []
        except AgentError:
            raise
        except Exception as error:
            # The author's own function, and a line that it did not foresee: the call is lost, not the run.
            raise AgentError(f"parse= failed: {type(error).__name__}: {error}") from error

    # --- Its end --------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> AgentReply:
        known = self._classify(ending.exit.status, ending.stderr) if self._classify is not None else None
        if known is not None:
            raise known
        if ending.exit.status != 0:
            raise without_result(self._program, ending, ending.stderr or "\n".join(self._lines[-3:]))
        if ending.dropped:
            raise AgentError(f"{self._program} wrote a line that was too long to be kept")
        if self._format == "text":
            return AgentReply("\n".join(self._lines).strip("\n"))
        if self._format == "json":
            return self._whole()
        if self._parse is None:
            return self._answer(self._last)
        return self._told()

    def _whole(self) -> AgentReply:
        """Of a program that wrote one JSON value."""
        text = "\n".join(self._lines)
        event = event_in(text)
        if event is not None and self._parse is not None:
            for _ in self.event(event):
                pass
            return self._told()
        if event is not None:
            return self._answer(event)
        try:
            return self._answer(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise AgentError(f"{self._program} did not write JSON: {text[:200]}") from error

    def _told(self) -> AgentReply:
        return AgentReply("".join(self._texts), session=self._session, usage=self._usage)

    def _answer(self, value: Any) -> AgentReply:
        if value is None:
            raise AgentError(f"{self._program} wrote no JSON")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return AgentReply(text, output=value)
