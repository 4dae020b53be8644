"""One question to a real agent, through its real adapter, beside any run: does it answer, at what cost?"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.agents.price import priced
from smithers.agents.registry import KnownAgent, adapter
from smithers.errors import AgentError, AgentMissing, AgentTimeout, SmithersError
from smithers.ids import NodeKey
from smithers.ports import AgentEvent, AgentRequest, Child, Program, SessionEvent, Spawner, UsageEvent
from smithers.process import ProcessSpawner
from smithers.records import NOTHING, Usage

if TYPE_CHECKING:
    from smithers.agents.cli import CliAgent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the question."""

    kind: str
    answer: str
    took_ms: int
    usage: Usage = NOTHING
    session: str | None = None
    error: SmithersError | None = None
    """Why there is no answer."""


@dataclass(slots=True)
class _Heard:
    """What was told on the way; it counts when the call fails, too."""

    usage: Usage = NOTHING
    session: str | None = None

    def __call__(self, event: AgentEvent) -> None:
        if isinstance(event, UsageEvent):
            self.usage = event.usage
        elif isinstance(event, SessionEvent):
            self.session = event.session


def run_trials(
    wanted: Sequence[KnownAgent], prompt: str, model: str | None, timeout_s: float
) -> list[Outcome]:
    """Ask all of them at once, each in an empty folder of its own. Nothing of them is left behind.

    It spends tokens. What is asked is in no run and in no store.
    """
    spawner = ProcessSpawner()

    async def ask_all() -> list[Outcome]:
        trials = [_Trial(spawner, known, prompt, model, timeout_s) for known in wanted]
        return list(await asyncio.gather(*(trial.run() for trial in trials)))

    try:
        return asyncio.run(ask_all())
    finally:
        spawner.close()


@dataclass(frozen=True, slots=True)
class _Trial:
    spawner: Spawner
    known: KnownAgent
    prompt: str
    model: str | None
    timeout_s: float
    count: itertools.count[int] = field(default_factory=itertools.count)
    """Of programs started; what tells their trees apart."""

    async def run(self) -> Outcome:
        heard, began = _Heard(), time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix="smithers-trial-"))
        text, error = "", None
        try:
            reply = await self._agent().call(self._request(folder, heard))
            text = reply.text.strip()
            heard.usage, heard.session = reply.usage or heard.usage, reply.session or heard.session
        except SmithersError as raised:
            error = self._with_clue(raised)
        except Exception as raised:  # noqa: BLE001 - one broken adapter must not hide what the others have answered
            error = AgentError(f"its adapter broke: {type(raised).__name__}: {raised}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        took_ms = round(1000 * (time.monotonic() - began))
        usage = priced(heard.usage, self.model, self.known.provider)
        return Outcome(self.known.kind, text, took_ms, usage, heard.session, error)

    def _agent(self) -> CliAgent:
        found = adapter(self.known)
        if found is None:
            raise AgentMissing(f"there is no adapter for {self.known.kind} in this version of Smithers")
        return found(model=self.model, timeout=self.timeout_s)

    def _with_clue(self, error: SmithersError) -> SmithersError:
        """There is no run to inspect here."""
        if isinstance(error, AgentTimeout):
            error.hint = "give it longer with --timeout, or see what the program itself says"
        elif error.hint == AgentError.default_hint:
            error.hint = f"see `smithers agents doctor {self.known.kind}`"
        return error

    def _request(self, folder: Path, heard: _Heard) -> AgentRequest:
        return AgentRequest(
            self.prompt, None, NodeKey("trial"), "trial", 1, cwd=folder, emit=heard, spawn=self._spawn
        )

    def _spawn(self, program: Program) -> Child:
        mark = f"trial:{os.getpid()}:{self.known.kind}:{next(self.count)}"
        child = self.spawner.spawn(program, mark)
        child.go(
            lambda gone: None
        )  # in no ledger: it ends with this process, or with its parent-death signal
        return child
