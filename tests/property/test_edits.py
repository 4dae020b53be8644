"""Whatever is edited in a half-done workflow: what the plan says is what runs, and what an oracle expects."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from smithers import Workflow
from smithers.engine.hosts import close_host, host_for
from smithers.engine.verdict import ResumePlan, Wish
from smithers.testing import ScriptedAgent
from tests.property.edited import Break, Flow, edit, expected, named, random_flow

EDITS = int(os.environ.get("SMITHERS_EDITS", "300"))
"""How many edited workflows to try; by night 20,000."""
CHUNK = 50


class Stage:
    """Runs generated workflows on one store, and counts what was executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "smithers.db"
        self.ran: Counter[str] = Counter()
        self.failing: str | None = None

    def load(self, flow: Flow, name: str) -> Workflow[Any, Any]:
        file = self.folder / f"{name}.py"
        file.write_text(flow.source())
        module = ModuleType("edited")
        agents = {name: ScriptedAgent(self._reply, last=True, name=name) for name in ("coder", "writer")}
        vars(module).update(agents=agents, note=self._note, __file__=str(file))
        exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), vars(module))
        workflow: Workflow[Any, Any] = module.flow
        return workflow

    def _note(self, id: str, ctx: Any) -> None:
        self._count(named(id, ctx.iteration))

    def _reply(self, request: Any) -> object:
        self._count(named(request.task.node, request.task.iteration))
        return {"n": 1, "must": 1}

    def _count(self, key: str) -> None:
        self.ran[key] += 1
        if key == self.failing:
            raise ValueError("half-way")

    def finished(self, run: str) -> set[str]:
        reader = host_for(self.store, "normal").store.reader()
        try:
            rows = reader.nodes(reader.run(run).id)
        finally:
            reader.close()
        return {str(row.key) for row in rows if row.state.word == "finished"}

    def plan(self, workflow: Workflow[Any, Any], run: str, wish: Wish) -> ResumePlan:
        host = host_for(self.store, "normal")
        reader = host.store.reader()
        try:
            row = reader.run(run)
        finally:
            reader.close()
        return workflow.plan(host, row, wish)


def half_done(stage: Stage, seed: int) -> tuple[Random, Flow, Break, Workflow[Any, Any]]:
    """A random workflow whose run `r<seed>` has failed somewhere."""
    random = Random(seed)
    flow = random_flow(random)
    number = random.randrange(len(flow.groups))
    group = flow.groups[number]
    at = Break(random.choice(group.steps).id, number, random.randrange(2) if group.is_loop else 0)
    stage.failing = named(at.step, at.pass_)
    workflow = stage.load(flow, f"f{seed}a")
    assert workflow.run_sync(run_id=f"r{seed}", store=stage.store).status == "failed"
    return random, flow, at, workflow


def check(stage: Stage, seed: int) -> None:
    random, flow, at, _ = half_done(stage, seed)
    done = {group.name for group in flow.groups[: at.group] if group.is_loop}
    after, touched = edit(flow, random, random.randint(1, 4), done)
    rerun = random.random() < 0.5
    # What is kept has to fit for those who read it: only what is executed again need not.
    kept = {step.id for group in after.groups if not rerun or group.name in done for step in group.steps}
    for step in after.steps():
        if step.id in kept and step.style != "code" and step.model == "Other":
            step.model = "Wider"
    finished = stage.finished(f"r{seed}")
    workflow = stage.load(after, f"f{seed}b")
    stage.failing = None
    wish = Wish.of(["changed"] if rerun else [])
    plan = stage.plan(workflow, f"r{seed}", wish)
    stage.ran.clear()
    result = workflow.run_sync(
        run_id=f"r{seed}", resume=True, store=stage.store, rerun=["changed"] if rerun else []
    )
    wanted = expected(flow, after, touched, finished, at, rerun=rerun)
    where = f"seed {seed}\n{flow.source()}\n--- then, {rerun=}, {touched=}\n{after.source()}"
    assert result.status == "finished", f"{result.error}\n{where}"
    assert set(stage.ran) == wanted, where
    assert not stage.ran or max(stage.ran.values()) == 1, where
    planned = {str(node.key) for node in plan.of("run")}
    # A workflow function that reads what is to run may say of a loop what nobody knows yet: a note tells.
    assert planned <= wanted if plan.notes else planned == wanted, f"{plan.notes} {where}"
    assert flow.peeks or not plan.notes, where
    if not rerun:
        open_ = {key for key in finished if "[" not in key} & touched
        changed = {str(node.key) for node in plan.of("changed")}
        assert {key.partition("[")[0] for key in changed} <= touched, where
        loops = {step.id for group in after.groups if group.is_loop for step in group.steps}
        assert open_ - loops <= changed, where


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Stage(tmp_path)
    yield made
    close_host(made.store)


@pytest.mark.parametrize("first", range(0, EDITS, CHUNK))
def test_what_the_plan_says_is_what_runs_after_any_edit(stage: Stage, first: int) -> None:
    for seed in range(first, min(first + CHUNK, EDITS)):
        check(stage, seed)


@pytest.mark.parametrize("seed", [1308, 1549])
def test_an_edit_that_once_found_a_fault_does_not_find_it_again(stage: Stage, seed: int) -> None:
    """A task in a body function, in a pass that the look ahead had gone beyond."""
    check(stage, seed)


def blind(*_: Any) -> bytes:
    return bytes(16)


def nervous(counter: list[int] = [0]) -> Callable[..., bytes]:  # noqa: B006 - one counter for all calls
    def made(*_: Any) -> bytes:
        counter[0] += 1
        return counter[0].to_bytes(16, "big")

    return made


@pytest.mark.parametrize("fault", [blind, nervous()], ids=["blind", "nervous"])
def test_a_fingerprint_that_sees_nothing_or_too_much_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., bytes]
) -> None:
    monkeypatch.setattr("smithers.engine.starting.fingerprint", fault)
    monkeypatch.setattr("smithers.engine.compare.fingerprint", fault)

    def search() -> None:
        for seed in range(40):
            check(stage, seed)

    with pytest.raises(AssertionError, match="seed"):
        search()
