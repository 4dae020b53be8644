"""Runs whose tasks are done by the real programs, one after another and in place of each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from smithers import Context, Node, Sequence, Task, Workflow
from smithers.agents import ClaudeCode, Codex, Gemini, Kimi, OpenCode, Pi
from smithers.agents.cli import CliAgent
from smithers.clock import SystemClock
from smithers.engine.hosts import close_hosts
from smithers.records import CallRow
from smithers.store import Store
from tests.agents import model_server as model
from tests.agents.caller import own
from tests.agents.home import Account, environment
from tests.agents.installed import is_installed, launcher, program
from tests.agents.model_server import ModelServer, Output, Say, says, text, writes
from tests.agents.stage import make_repository

pytestmark = pytest.mark.slow

KINDS: dict[str, tuple[type[CliAgent], str]] = {
    "claude": (ClaudeCode, "claude-sonnet-4-5"),
    "codex": (Codex, "gpt-5.5"),
    "gemini": (Gemini, "gemini-2.5-pro"),
    "pi": (Pi, "fake/fake-model"),
    "opencode": (OpenCode, "fake/fake-model"),
    "kimi": (Kimi, "fake"),
}
"""Program, adapter and model."""


class Greeting(BaseModel):
    ok: bool
    note: str


class Crew:
    """Agents, one of each kind, in one repository; each has a key of its own at the model server."""

    def __init__(self, server: ModelServer, repository: Path, home: Path) -> None:
        self.server, self.repository, self._home = server, repository, home

    def agent(self, name: str, **options: Any) -> CliAgent:
        kind, asked = KINDS[name]
        account = Account(self.server.url, key=f"sk-{name}")
        env = own(environment(name, self._home / name, account))
        given = {"binary": str(launcher(program(name))), "cwd": self.repository, "env": env, "model": asked}
        return kind(**{**given, "start_timeout": 60, "idle_timeout": 60, **options})


@pytest.fixture
def crew(server: ModelServer, tmp_path: Path, private_home: Path) -> Iterator[Crew]:
    missing = [name for name in KINDS if not is_installed(program(name))]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (scripts/agents install)")
    yield Crew(server, make_repository(tmp_path / "repo"), private_home)
    close_hosts()


def calls_of(store: Path, run: str = "r") -> list[CallRow]:
    with closing(Store(store, durability="full", clock=SystemClock()).reader()) as reader:
        return reader.calls(reader.run(run).id)


def left_of(mark: str) -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if mark in _environment(one).get("SMITHERS_ATTEMPT", "")]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def test_each_task_of_a_run_is_done_by_another_program(crew: Crew, tmp_path: Path) -> None:
    for name in KINDS:
        written = writes(f"{name}.txt", "hi\n", then=Output({"ok": True, "note": name}))
        crew.server.give(f"sk-{name}", written)
    agents = {name: crew.agent(name) for name in KINDS}

    def flow(ctx: Context) -> Node:
        return Sequence(
            Task(name, Greeting, agent=agent, prompt=f"Write {name}.txt.") for name, agent in agents.items()
        )

    store = tmp_path / "s.db"
    result = Workflow(flow, name="flow").run_sync({}, run_id="r", store=store)
    assert result.status == "finished", result.error
    assert {file.name for file in crew.repository.glob("*.txt")} == {f"{name}.txt" for name in KINDS}
    calls = {call.key.node: call for call in calls_of(store)}
    for name in KINDS:
        asked = [request for request in crew.server.log.steps if request.key == f"sk-{name}"]
        assert asked, name
        assert f"Write {name}.txt." in "\n".join(asked[0].texts("user")), name
        assert calls[name].session, name
    for name in ("claude", "codex", "gemini", "pi", "opencode"):
        assert calls[name].usage.tokens > 0, name


@pytest.mark.parametrize("name", list(KINDS))
def test_a_program_that_nobody_has_signed_in_to_is_stood_in_for_by_the_next(
    crew: Crew, tmp_path: Path, name: str
) -> None:
    spare = "claude" if name != "claude" else "codex"
    crew.server.give(f"sk-{name}", model.UNAUTHORIZED)
    crew.server.give(f"sk-{spare}", writes("spare.txt", then=Output({"ok": True, "note": spare})))
    chain = [crew.agent(name), crew.agent(spare)]
    made = Workflow(lambda ctx: Task("a", Greeting, agent=chain, prompt="Write.", retries=0), name="flow")
    result = made.run_sync({}, run_id="r", store=tmp_path / "s.db")
    assert result.status == "finished", result.error
    assert result.output["note"] == spare
    assert (crew.repository / "spare.txt").exists()
    assert {request.key for request in crew.server.log.steps} == {f"sk-{name}", f"sk-{spare}"}


KILLED = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from smithers import Task, Workflow
from tests.agents.test_workflow_real import Crew, Greeting
from types import SimpleNamespace

crew = Crew(SimpleNamespace(url={url!r}), Path({repository!r}), Path({home!r}))
agent = crew.agent({name!r})
ask = "The question of questions."
flow = Workflow(lambda ctx: Task("a", Greeting, agent=agent, prompt=ask), name="flow")
result = flow.run_sync(run_id={run!r}, resume={resume}, store={store!r})
print(result.status, result.output)
"""


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "pi"])
def test_a_run_that_is_killed_in_mid_agent_goes_on_in_the_same_conversation(
    crew: Crew, tmp_path: Path, name: str
) -> None:
    store, run = tmp_path / "s.db", f"killed-{name}"
    crew.server.give(f"sk-{name}", says(model.Write("half.txt", "half\n", Say()), model.Hang()))

    def start(*, resume: bool) -> subprocess.Popen[str]:
        code = KILLED.format(
            root=str(Path(__file__).parents[2]), url=crew.server.url, repository=str(crew.repository),
            home=str(crew._home), name=name, run=run, store=str(store), resume=resume,
        )  # fmt: skip
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    killed = start(resume=False)
    steps = [request for request in crew.server.log.steps if request.key == f"sk-{name}"]
    crew.server.log.wait_for(lambda request: request.is_step, len(steps) + 2)
    until_session(store, run)
    _until(lambda: is_written(crew, "The question of questions."))
    killed.kill()
    killed.communicate()
    crew.server.give(f"sk-{name}", text('{"ok": true, "note": "went on"}'))
    output, _ = start(resume=True).communicate(timeout=120)
    assert "finished" in output, output
    assert "went on" in output
    assert left_of(f":{run}:a:") == []
    last = crew.server.log.steps[-1]
    said = "\n".join(last.texts("user", "assistant"))
    assert said.count("The question of questions.") == 2
    assert "You were interrupted" in said
    assert len({call.session for call in calls_of(store, run)}) == 1


def is_written(crew: Crew, text: str) -> bool:
    """Whether a program has stored what it was asked: some do so well after they have named the session."""
    files = crew._home.rglob("*.json*")
    return any(text in file.read_text(errors="replace") for file in files if file.is_file())


def until_session(store: Path, run: str) -> None:
    def has_one() -> bool:
        try:
            return any(call.session for call in calls_of(store, run))
        except Exception:  # noqa: BLE001 - the store is being made
            return False

    _until(has_one)


def _until(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
