"""What all agents that are programs share: an adapter says how its program is called, and what it says."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from smithers.agents.environment import environment_for
from smithers.errors import AgentError, AgentMissing, AgentUnfit, InvalidNode, ProgramNotFound
from smithers.ids import NodeKey
from smithers.ports import AgentReply, AgentRequest, AgentTools, Child, Program
from smithers.prompt import json_schema
from smithers.span import span_of
from smithers.workers import Workers, on_thread

from .conversation import Clocks, Conversation
from .errand import Answer, errand
from .fold import Ending, Fold, Invocation
from .scratch import scratch

_workers = Workers("smithers-cli")

_APART = frozenset(
    {"name", "account", "pool", "binary", "config_dir", "start_timeout", "idle_timeout", "timeout"}
)
"""Options that do not change what is answered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CliAgent(ABC):
    """An agent that is a program. Each option is by the program's own word where it has one."""

    kind: ClassVar[str]
    """`claude-code`: stored, shown, and the default of `name` and `pool`."""
    program: ClassVar[str]
    """Looked up on PATH."""
    install: ClassVar[str]
    """The command that installs it; empty: there is no such command."""
    sign_in: ClassVar[str]
    """The command that signs in; empty: there is no such command."""
    credentials: ClassVar[tuple[str, ...]] = ()
    """Variables that it signs in by, taken over from our environment."""
    config_variable: ClassVar[str | None] = None
    """Variable that names its private folder; None: it has no single one."""
    limits_tools: ClassVar[bool] = False
    """It can be limited to certain tools."""
    provider: ClassVar[str | None] = None
    """Whose price list its models stand in; None: their names say so."""
    takes_schema: ClassVar[bool] = False
    """It can be held to a JSON schema by itself: the prompt need not say so."""

    name: str = ""
    """Shown to people and stored with each attempt."""
    model: str | None = None
    """None: as it is set up."""
    args: Sequence[str] = ()
    """Further words of its command line, as they are."""
    binary: str | None = None
    """The program itself: a name that is looked up on PATH, or a path."""
    config_dir: str | Path | None = None
    """Its private folder, with its settings, sessions and sign-in: one for each account."""
    cwd: str | Path | None = None
    """Where it works; None: where this process stands. A task's own folder wins."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of its program, beside ours without those of other agents."""
    account: str = ""
    """Whose limits it uses up: agents of one account are parked together. By default its `config_dir`."""
    pool: str | None = ""
    """Which agents share places; None: none. Default: `kind`."""
    start_timeout: float | str | None = "3m"
    """Longest time until its first event."""
    idle_timeout: float | str | None = "15m"
    """Longest silence between events."""
    timeout: float | str | None = None
    """Longest time of one call; a task's own `timeout` counts beside it."""

    def __post_init__(self) -> None:
        config = f":{Path(self.config_dir).expanduser()}" if self.config_dir is not None else ""
        for option, default in (
            ("name", self.kind),
            ("account", f"{self.kind}{config}"),
            ("pool", self.kind),
        ):
            if getattr(self, option) == "":
                object.__setattr__(self, option, default)
        self.clocks  # noqa: B018 - a span that is none is refused where it is written

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            _seconds(self.start_timeout, "start_timeout"),
            _seconds(self.idle_timeout, "idle_timeout"),
            _seconds(self.timeout, "timeout"),
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its answers depend on: its kind and options."""
        options = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _APART}
        return {"kind": self.kind, **{name: _plain(value) for name, value in options.items()}}

    @abstractmethod
    def invocation(self, request: AgentRequest, folder: Path) -> Invocation:
        """How the program is called for a request. Pure.

        Args:
            folder: exists for this call only; its files may be named in the command line.
        Raises:
            AgentUnfit: it cannot do what is asked.
        """

    @abstractmethod
    def fold(self, request: AgentRequest) -> Fold:
        """What sums up its stream for a request."""

    def interactive(self, session: str) -> Invocation:
        """How a person goes on with a conversation in a terminal.

        Raises:
            AgentUnfit: this program cannot.
        """
        words = self.resume_words(session)
        if not words:
            raise self.cannot("be taken into a terminal")
        request = AgentRequest("", None, NodeKey("hijack"), "", 1, session=session)
        return Invocation(words, self.environment(request, {}), cwd=self.folder(request))

    def resume_words(self, session: str) -> tuple[str, ...]:
        """The command line that opens a conversation in a terminal; empty: there is none."""
        return ()

    def check(self, tools: AgentTools) -> None:
        """Refuse what a task says of its tools, if this program cannot keep to it.

        Raises:
            AgentUnfit: it cannot.
        """
        if not self.limits_tools and self.tools_for(tools, None) is not None:
            raise self.cannot("be limited to certain tools")

    async def prepare(self, request: AgentRequest) -> tuple[Self, AgentRequest]:
        """What is called, and what is asked of it, once that is known which only this machine can say.

        For what `invocation` cannot know by itself: which of two programs is installed, whether a session
        is there. By default nothing is looked at.

        Raises:
            AgentError: the call would be in vain.
        """
        return self, request

    # --- For adapters ---------------------------------------------------------------------------

    def environment(self, request: AgentRequest, own: Mapping[str, str]) -> dict[str, str]:
        """The program's environment: `own` variables first, then the author's, then the task's."""
        config = {}
        if self.config_dir is not None and self.config_variable is not None:
            config[self.config_variable] = str(Path(self.config_dir).expanduser())
        # A private folder is an account of its own: a key of ours would sign in somebody else.
        credentials = self.credentials if self.config_dir is None else ()
        return environment_for(credentials, {**own, **config, **self.env, **request.env})

    def folder(self, request: AgentRequest) -> Path | None:
        """Where it works."""
        found = request.cwd if request.cwd is not None else self.cwd
        return None if found is None else Path(found).expanduser()

    def tools_for(self, tools: AgentTools, own: Sequence[str] | None) -> tuple[str, ...] | None:
        """Which tools it may use: the task's list, else its own; None: as it is set up."""
        allow = tools.allow if tools.allow is not None else own
        if allow is None:
            return () if tools.explicit_only else None
        return tuple(allow)

    def prompt(self, request: AgentRequest) -> str:
        """What it is told; what shape the answer must have too, where it cannot be held to that."""
        if request.schema is None or self.takes_schema:
            return request.prompt
        shape = json.dumps(json_schema(request.schema), ensure_ascii=False)
        return (
            f"{request.prompt}\n\nEnd with your answer as one JSON value that fits this JSON schema, "
            f"and write nothing after it:\n\n```json\n{shape}\n```"
        )

    async def asked(self, request: AgentRequest, words: Sequence[str], env: Mapping[str, str]) -> Answer:
        """What its program says to a small question, such as its version: asked beside the call.

        Args:
            words: after the name of the program.
        Raises:
            AgentMissing: it is not there.
        """
        where = self.folder(request)
        argv = (self.binary or self.program, *words)
        try:
            return await errand(request.spawn, Program(argv, where, env, stdout="pipe", stderr="pipe"))
        except ProgramNotFound as error:
            raise self._missing(error, where) from error

    def _missing(self, error: ProgramNotFound, where: Path | None) -> Exception:
        if where is not None and not where.is_dir():
            return error  # it is the folder that is not there
        hint = f"install it: `{self.install}`" if self.install else None
        return AgentMissing(error.message, hint=hint)

    def cannot(self, what: str) -> AgentUnfit:
        """The refusal of an option that the program has no word for."""
        return AgentUnfit(f"{self.name} cannot {what}")

    def with_clue(self, error: AgentError) -> AgentError:
        """The same error, with the next thing to do where the class has only a general one."""
        if self.sign_in and error.hint == type(error).default_hint and error.code == "AGENT_AUTH":
            error.hint = f"sign in: `{self.sign_in}`"
        error.details.setdefault("account", self.account)
        return error

    # --- The call -------------------------------------------------------------------------------

    async def call(self, request: AgentRequest) -> AgentReply:
        """Start the program, hear it out, and end all of it.

        Raises:
            AgentError: classified.
        """
        self.check(request.tools)
        try:
            agent, request = await self.prepare(request)
            return await agent._converse(request)
        except AgentError as error:
            raise self.with_clue(error) from error.__cause__

    async def _converse(self, request: AgentRequest) -> AgentReply:
        fold = self.fold(request)
        talk = Conversation(fold, self.clocks, request.emit, is_asking=request.is_asking)
        reply = fold.finish(await on_thread(_workers, partial(self._hear, request, talk), talk.stop))
        if request.schema is None and reply.output is None and not reply.text.strip():
            raise AgentError(f"{self.name} answered nothing")
        return reply

    def _hear(self, request: AgentRequest, talk: Conversation) -> Ending:
        """All that blocks, on one thread: a folder, the program in it, and its end."""
        with scratch() as folder:
            how = self.invocation(request, folder)
            for name, text in how.files.items():
                (folder / name).write_text(text, encoding="utf-8", errors="replace")
            return talk.run(self._start(request, how), how)

    def _start(self, request: AgentRequest, how: Invocation) -> Child:
        self._refuse_untold(how)
        stdin: Literal["pipe", "null"] = "pipe" if how.stdin is not None else "null"
        program = Program(how.argv, how.cwd, how.env, stdin=stdin, stdout="pipe", stderr="pipe")
        try:
            return request.spawn(program)
        except ProgramNotFound as error:
            raise self._missing(error, how.cwd) from error

    def _refuse_untold(self, how: Invocation) -> None:
        """Refuse what no program can be told: NUL, or half a character."""
        for word in (*how.argv, str(how.cwd)):
            if not _can_be_told(word):
                raise self.cannot(f"be told {word[:100]!r}")
        for name, value in how.env.items():
            if not (_can_be_told(name) and _can_be_told(value)):
                raise self.cannot(f"be told the variable {name[:100]!r}")  # its value may be a secret


def _can_be_told(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _seconds(span: float | str | None, name: str) -> float | None:
    if span is None:
        return None
    ms = span_of(span) if isinstance(span, str) else float(span) * 1000
    if ms is None or not ms > 0:  # NaN is not, either
        raise InvalidNode(f"{name}={span!r} is not a positive span of time", hint='write 30, "30s" or "5m"')
    return ms / 1000


def _plain(value: Any) -> Any:
    """An option as JSON."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(one) for one in value), key=str)  # their own order differs between processes
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
