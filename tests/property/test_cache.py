"""The cache against an oracle: a task is found exactly when all that it is made from was stored before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from smithers import AgentReply, AgentRequest, Cache, Context, Node, Sequence, Task, Workflow
from smithers.engine.hosts import close_hosts, host_for
from smithers.records import Lookup


class Plain(BaseModel):
    n: int


class Wide(BaseModel):
    n: int
    more: str = ""


calls: Counter[str] = Counter()


class Model:
    """An agent with an identity."""

    name = "model"

    def __init__(self, model: str) -> None:
        self.identity = {"model": model}

    async def call(self, request: AgentRequest) -> AgentReply:
        calls["all"] += 1
        return AgentReply(output={"n": calls["all"]})


def first(given: Plain) -> dict[str, int]:
    calls["all"] += 1
    return {"n": calls["all"]}


def second(given: Plain) -> dict[str, int]:
    calls["all"] += 1
    return {"n": calls["all"] + 0}


def reader(given: Plain, ctx: Context[Any]) -> dict[str, int]:
    """It reads by itself what nothing hands to it."""
    calls["all"] += 1
    return {"n": calls["all"] + 0 * int(ctx.input.k)}


CODES: list[Callable[[Plain], dict[str, int]]] = [first, second]
READER = 2


class Recipe(NamedTuple):
    """One run of a workflow with one cached task, and all that an author could have edited in it."""

    workflow: str
    task: str
    mode: str
    model: type[BaseModel]
    version: int | str | None
    by: Any
    dep: int
    prompt: str
    chain: tuple[str, ...]
    code: int
    input: int
    of_run: bool
    retries: int
    """No part of any key."""

    def parts(self) -> dict[str, object]:
        """What the oracle says that its output is made from."""
        found: dict[str, object] = {"schema": (self.mode, self.model)}
        if self.version is not None:
            found["version"] = (type(self.version), self.version)
        if self.by is not None:
            found["by"] = repr(self.by)
        if self.mode == "agent":
            return {**found, "prompt": (self.prompt, self.dep), "agent": self.chain}
        return {**found, "code": self.code, "deps": self.dep}

    def seen(self) -> int | None:
        """The input, where the code reads it and the author has not said what the output is made from."""
        reads = self.mode != "agent" and self.code == READER and self.by is None
        return self.input if reads else None

    def build(self, ctx: Context[Any]) -> Node:
        dep = Task("dep", Plain, value={"n": self.dep})
        by = None if self.by is None else (lambda ctx: self.by)
        cache = Cache(by, version=self.version, scope="run" if self.of_run else "workflow")
        rest: dict[str, Any] = {"deps": dep, "cache": cache, "retries": self.retries}
        code = CODES[self.code] if self.code < READER else lambda given: reader(given, ctx)
        match self.mode:
            case "agent":
                agents = [Model(name) for name in self.chain]
                made = Task(
                    self.task, self.model, agent=agents, prompt=lambda d: f"{self.prompt} {d.n}", **rest
                )
            case "run":
                made = Task(self.task, self.model, run=code, **rest)
            case _:
                made = Task(self.task, self.model, value=code, **rest)
        return Sequence(dep, made)


class Stored(NamedTuple):
    """What the oracle knows of an entry."""

    parts: dict[str, object]
    seen: int | None
    output: Any
    run: str


RECIPES = st.builds(
    Recipe,
    workflow=st.sampled_from(["one", "one", "one", "two"]),
    task=st.sampled_from(["a", "a", "a", "b"]),
    mode=st.sampled_from(["agent", "agent", "run", "value"]),
    model=st.sampled_from([Plain, Plain, Wide]),
    version=st.sampled_from([None, None, 1, "1"]),
    by=st.sampled_from([None, None, 1, [1, 2], {"k": [1]}]),
    dep=st.sampled_from([1, 1, 2]),
    prompt=st.sampled_from(["x", "x", "y"]),
    chain=st.sampled_from([("m",), ("m",), ("m", "n"), ("n", "m")]),
    code=st.sampled_from([0, 0, 1, READER, READER]),
    input=st.sampled_from([1, 1, 2]),
    of_run=st.sampled_from([False, False, False, True]),
    retries=st.integers(0, 1),
)


@st.composite
def edits(draw: st.DrawFn) -> list[Recipe]:
    """A workflow that is edited, one or two things at a time, and run again after each edit."""
    recipes = [draw(RECIPES)]
    for _ in range(draw(st.integers(1, 9))):
        other = draw(RECIPES)
        changed = draw(st.lists(st.sampled_from(Recipe._fields), max_size=2, unique=True))
        base = draw(st.sampled_from(recipes))
        recipes.append(base._replace(**{name: getattr(other, name) for name in changed}))
    return recipes


def run(recipe: Recipe, store: Path, name: str) -> tuple[Lookup, Any, int]:
    """Run it; returns what its task found, its output, and how often anything was called."""
    before = calls["all"]
    result = Workflow(recipe.build, name=recipe.workflow).run_sync(
        {"k": recipe.input}, run_id=name, store=store
    )
    assert result.status == "finished"
    with closing(host_for(store).store.reader()) as reader:
        rows = reader.attempts(reader.run(name).id)
    (row,) = (row for row in rows if row.key.node == recipe.task)
    assert row.lookup is not None
    return row.lookup, result.output, calls["all"] - before


@given(edits())
@settings(max_examples=60, deadline=None)
def test_a_task_is_found_exactly_when_all_its_parts_were_stored_before(recipes: list[Recipe]) -> None:
    stored: dict[tuple[str, str], list[Stored]] = {}
    with TemporaryDirectory() as folder:
        store = Path(folder) / "smithers.db"
        try:
            for number, recipe in enumerate(recipes):
                name = f"r{number}"
                lookup, output, called = run(recipe, store, name)
                place, parts = (recipe.workflow, recipe.task), recipe.parts()
                known = [] if recipe.of_run else list(stored.get(place, []))
                same = [
                    (one.output, one.run)
                    for one in known
                    if one.parts == parts and one.seen in (None, recipe.input)
                ]
                if same:
                    assert (lookup.verdict, output, lookup.run) == ("hit", *same[0])
                    assert called == 0
                    continue
                assert called == 1
                if not recipe.of_run:
                    stored.setdefault(place, []).append(Stored(parts, recipe.seen(), output, name))
                if not known:
                    assert lookup.verdict == "empty"
                    continue
                assert lookup.verdict == "differs"
                nearest = {one.run: differing(one.parts, parts) or {"ctx.input"} for one in known}
                assert set(lookup.differs) == nearest[lookup.run]
                assert len(lookup.differs) == min(map(len, nearest.values()))
        finally:
            close_hosts()


def differing(one: dict[str, object], other: dict[str, object]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
