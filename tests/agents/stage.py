"""Puts a program into a case: a repository, a home, a model server; and plays it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from tests.agents.case import SCHEMA, UNKNOWN_SESSION, Case, case, tries_for_ever
from tests.agents.home import Account, environment
from tests.agents.installed import ROOT
from tests.agents.invocation import Ended, Invocation, end_group, run
from tests.agents.model_server import ModelServer


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one program plays; what it leaves stays for the next play, so a session can go on."""

    name: str
    """The program."""
    repository: Path
    home: Path
    server: ModelServer

    def play(self, of: Case) -> tuple[Invocation, Ended]:
        """Run the program to its end, or to the end that the case makes.

        Raises:
            subprocess.TimeoutExpired: it did not end, though it should have.
        """
        call = Invocation(
            self.name,
            of.prompt,
            session=self._session(of),
            is_fork=of.session == "forked",
            schema=self._schema() if of.has_schema else None,
        )
        self.server.script = of.script
        account = Account(
            self.server.url,
            retries=of.retries,
            model=of.model,
            wire=of.wire,
            is_subscription=of.is_subscription,
        )
        env = environment(self.name, self.home, account)
        return call, run(call, self.repository, env, meanwhile=self._ending(of))

    def _session(self, of: Case) -> str | None:
        match of.session:
            case "new":
                return None
            case "unknown":
                return UNKNOWN_SESSION
            case "resumed" | "forked":
                return session_of(self.name, self.play(case("text"))[1])
            case _:
                assert_never(of.session)

    def _ending(self, of: Case) -> Callable[[subprocess.Popen[str]], None] | None:
        """What ends a program that would not: after the next step of this play, or the one after that."""
        is_endless = tries_for_ever(self.name, of)
        by = signal.SIGTERM if is_endless else of.ended_by
        if by is None:
            return None
        # Told to wait for minutes it does, and there is no second try to see.
        tries = 2 if is_endless and of.name != "429-retry-after" else 1
        before = len(self.server.log.steps)

        def end(process: subprocess.Popen[str]) -> None:
            self.server.log.wait_for(lambda request: request.is_step, before + tries)
            end_group(process, by)

        return end

    def _schema(self) -> Path:
        file = self.home / "schema.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(SCHEMA))
        return file


@contextmanager
def home_outside_tmp() -> Iterator[Path]:
    """A new folder below the checkout: in the system's temporary one, Codex makes no helpers and cannot work.

    Repositories, on the other hand, belong outside: Pi reads the `AGENTS.md` of every folder above.
    """
    (ROOT / ".cache").mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="home-", dir=ROOT / ".cache"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def make_repository(folder: Path) -> Path:
    """An empty git repository there."""
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    return folder


def session_of(name: str, ended: Ended) -> str:
    """The id to resume by, from wherever the program tells it.

    Raises:
        LookupError: it told none.
    """
    if name == "kimi-py":  # its stream has none
        _, _, rest = ended.stderr.partition("kimi -r ")
        if rest:
            return rest.split()[0]
    key = {"codex": "thread_id", "pi": "id", "opencode": "sessionID"}.get(name, "session_id")
    for event in ended.events:
        if isinstance(event.get(key), str):
            return str(event[key])
    raise LookupError(f"{name} told no session: {ended.stdout[-500:]} {ended.stderr[-500:]}")
