"""The smallest adapter there can be: its program is a shell that is told what to do by the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from smithers.agents.cli import CliAgent, Ending, Invocation, text_at, without_result
from smithers.errors import AgentAuth
from smithers.ports import AgentEvent, AgentReply, AgentRequest, NoticeEvent, TextEvent

DONE = """echo '{"done":"yes"}'"""


class ParrotFold:
    """`{"say": TEXT}` is a word of it, `{"done": TEXT}` the last one, `{"denied": TEXT}` the end of all."""

    def __init__(self) -> None:
        self._done: str | None = None
        self.ending: Ending | None = None

    @property
    def is_over(self) -> bool:
        return self._done is not None

    def line(self, text: str) -> Iterator[AgentEvent]:
        yield NoticeEvent(text)

    def event(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        if "denied" in event:
            raise AgentAuth(text_at(event, "denied"))
        if "done" in event:
            self._done = text_at(event, "done")
        yield TextEvent(text_at(event, "say"))

    def finish(self, ending: Ending) -> AgentReply:
        self.ending = ending
        if self._done is None:
            raise without_result("parrot", ending)
        return AgentReply(self._done)


@dataclass(frozen=True, kw_only=True, eq=False)
class Parrot(CliAgent):
    kind: ClassVar[str] = "parrot"
    program: ClassVar[str] = "sh"
    install: ClassVar[str] = "cage open"
    sign_in: ClassVar[str] = "cage key"
    credentials: ClassVar[tuple[str, ...]] = ("PI_KEY",)
    config_variable: ClassVar[str | None] = "PARROT_HOME"

    files: Mapping[str, str] = field(default_factory=dict)
    words: Any = ()
    before: Callable[[], None] = lambda: None

    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        self.before()
        argv = (self.binary or self.program, "-c", self.prompt(request), str(folder), *self.args)
        env = self.environment(request, {"OWN": "1"})
        return Invocation(argv, env, None, self.folder(request), self.files)

    def fold(self, request: AgentRequest) -> ParrotFold:
        return ParrotFold()
