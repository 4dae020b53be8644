"""Random workflows as source text, random edits, and an oracle that knows these and no fingerprint."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

PASSES = 2
HEAD = """\
from pydantic import BaseModel
from smithers import Loop, Parallel, Prompt, Sequence, Task, workflow

class A(BaseModel):
    n: int = 0

class Wider(BaseModel):
    n: int = 0
    why: str = ""

class Other(BaseModel):
    n: int = 0
    must: int

MODELS = (A, Wider, Other)

def made(text):
    return lambda *_: "say " + text

"""


@dataclass
class Step:
    """One task."""

    id: str
    style: str
    text: str
    model: str = "A"
    agent: str = "coder"
    deps: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    noise: int = 0

    @property
    def named(self) -> set[str]:
        """What it depends on, and has recorded."""
        return {*self.deps, *self.after, *self.reads}

    def source(self) -> str:
        reads = " + ".join(f"str(ctx.output('x', {name!r}).n)" for name in self.reads)
        text = f"{reads} + {self.text!r}" if reads else repr(self.text)
        call = f"agent=agents[{self.agent!r}], prompt="
        match self.style:
            case "static":
                call += repr(self.text)
            case "template":
                call += f"Prompt.text('do {{{{ what }}}}', what={self.text!r})"
            case "closure":
                call += f"made({self.text!r})"
            case "pair":
                call += f"(lambda *_: {text}, lambda *_: 'decoy {self.noise}')[0]"
            case "code":
                call = f"run=lambda *_: (note({self.id!r}, ctx), Other(n=len({text}), must=1))[1]"
            case _:
                call += f"lambda *_: {text}"
        deps = f"deps=({', '.join(f't_{name}' for name in self.deps)},), " if self.deps else ""
        lines = [
            *(f"    # {self.id}: remark {number}" for number in range(self.noise)),
            f"    t_{self.id} = Task({self.id!r}, {self.model}, {call},",
            f"        {deps}depends_on={self.after!r}, retries=0)",
        ]
        return "\n".join(lines)


@dataclass
class Group:
    """Tasks side by side, or one after another in a loop."""

    name: str
    is_loop: bool
    steps: list[Step]
    is_body: bool = False
    """The loop's body is a function."""

    def source(self) -> str:
        inside = ", ".join(f"t_{step.id}" for step in self.steps)
        if self.is_body:
            inside = f"lambda i: [{inside}]"
        if self.is_loop:
            return f"Loop({inside}, max_iterations={PASSES}, id={self.name!r})"
        return f"Parallel({inside})"


@dataclass
class Flow:
    """A workflow: groups one after another."""

    groups: list[Group]
    used: int = 0
    remarks: int = 0
    done: set[str] = field(default_factory=set)
    peeks: bool = False
    """The workflow function reads an output, and so may be rendered as of then."""

    def open(self) -> list[int]:
        """Places of the groups into which new tasks may come."""
        return [place for place, group in enumerate(self.groups) if group.name not in self.done]

    def steps(self) -> list[Step]:
        return [step for group in self.groups for step in group.steps]

    def step(self, id: str) -> Step:
        return next(step for step in self.steps() if step.id == id)

    def fresh(self) -> str:
        self.used += 1
        return f"s{self.used}"

    def source(self) -> str:
        # A task is written below those whose names it uses, whatever the order of the tree.
        lines, left, done = [], self.steps(), set[str]()
        while left:
            ready = [step for step in left if done.issuperset(step.deps)]
            lines += [step.source() for step in ready]
            done.update(step.id for step in ready)
            left = [step for step in left if step.id not in done]
        body = "\n".join(lines)
        tree = ",\n        ".join(group.source() for group in self.groups)
        remarks = "# a remark\n" * self.remarks
        if self.peeks:
            body = f"    ctx.output_maybe('x', {self.groups[0].steps[0].id!r})\n{body}"
        return f"{HEAD}{remarks}@workflow\ndef flow(ctx):\n{body}\n    return Sequence(\n        {tree})\n"


STYLES = ("static", "template", "closure", "pair", "call", "code")


def random_step(random: Random, id: str, before: list[str], beside: list[str]) -> Step:
    """Args: before: tasks of earlier groups; beside: earlier tasks of its own."""
    step = Step(id, random.choice(STYLES), random.choice(("fix", "write", "look")))
    if step.style == "code":
        step.model = "Other"
    if before and random.random() < 0.5:
        step.deps = random.sample(before, 1)
    if (before or beside) and random.random() < 0.4:
        step.after = random.sample(before + beside, 1)
    if before and step.style in ("pair", "call", "code") and random.random() < 0.5:
        step.reads = random.sample(before, 1)
    return step


def random_flow(random: Random) -> Flow:
    flow = Flow([])
    for number in range(random.randint(2, 4)):
        before = [step.id for step in flow.steps()]
        group = Group(f"g{number}", random.random() < 0.4, [])
        group.is_body = group.is_loop and random.random() < 0.5
        for _ in range(random.randint(1, 4)):
            group.steps.append(random_step(random, flow.fresh(), before, [step.id for step in group.steps]))
        flow.groups.append(group)
    flow.peeks = random.random() < 0.3
    return flow


# --- Edits ------------------------------------------------------------------------------------------


def edit(flow: Flow, random: Random, times: int, done: set[str]) -> tuple[Flow, set[str]]:
    """An edited copy, and the ids whose tasks are asked for something else than before.

    Args:
        done: names of loops that are done: a task that is new in one will never leave an output.
    """
    after, touched = deepcopy(flow), set[str]()
    after.done = done
    for _ in range(times):
        random.choice(EDITS)(after, random, touched)
    old = {step.id for step in flow.steps()}
    return after, touched & old & {step.id for step in after.steps()}


def _group(flow: Flow, random: Random) -> Group:
    return random.choice([group for group in flow.groups if group.steps])


def rename(flow: Flow, random: Random, touched: set[str]) -> None:
    step = random.choice([step for place in flow.open() for step in flow.groups[place].steps])
    old, step.id = step.id, flow.fresh()
    for other in flow.steps():
        if old in (*other.deps, *other.reads):
            touched.add(other.id)
        for names in (other.deps, other.after, other.reads):
            names[:] = [step.id if name == old else name for name in names]


def reorder(flow: Flow, random: Random, touched: set[str]) -> None:
    group = _group(flow, random)
    if not group.is_loop:
        random.shuffle(group.steps)


def insert(flow: Flow, random: Random, touched: set[str]) -> None:
    number = random.choice(flow.open())
    before = [step.id for group in flow.groups[:number] for step in group.steps]
    step = random_step(random, flow.fresh(), before, [])
    steps = flow.groups[number].steps
    steps.insert(random.randint(0, len(steps)), step)


def delete(flow: Flow, random: Random, touched: set[str]) -> None:
    group = _group(flow, random)
    if len(group.steps) < 2:
        return
    gone = group.steps.pop(random.randrange(len(group.steps))).id
    for other in flow.steps():
        if gone in (*other.deps, *other.reads):
            touched.add(other.id)
        for names in (other.deps, other.after, other.reads):
            names[:] = [name for name in names if name != gone]


def reword(flow: Flow, random: Random, touched: set[str]) -> None:
    step = random.choice(flow.steps())
    step.text = f"{step.text} {random.randrange(1000)}"
    touched.add(step.id)


def remodel(flow: Flow, random: Random, touched: set[str]) -> None:
    """Another schema, which the stored value may not fit."""
    step = random.choice(flow.steps())
    if step.style != "code" and step.model == "A":
        step.model = random.choice(("Wider", "Other"))
        touched.add(step.id)


def swap_agent(flow: Flow, random: Random, touched: set[str]) -> None:
    step = random.choice(flow.steps())
    if step.style != "code" and step.agent == "coder":
        step.agent = "writer"
        touched.add(step.id)


def remark(flow: Flow, random: Random, touched: set[str]) -> None:
    """Comments, moved lines, and another lambda on the same line."""
    random.choice(flow.steps()).noise += 1
    flow.remarks += random.randint(0, 2)


EDITS = (rename, reorder, insert, delete, reword, remodel, swap_agent, remark)


# --- Oracle -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Break:
    """Where the first run stopped."""

    step: str
    group: int
    pass_: int


def expected(
    before: Flow, after: Flow, touched: Iterable[str], finished: set[str], at: Break, *, rerun: bool
) -> set[str]:
    """Keys that a resume of the edited workflow executes.

    Args:
        finished: keys that the first run finished.
        rerun: what was touched is executed again, with its dependants.
    """
    keys: set[str] = set()
    now: set[str] = set()
    for number, group in enumerate(after.groups):
        if not group.is_loop:
            keys |= {step.id for step in group.steps}
            now |= {step.id for step in group.steps}
        elif number >= at.group:
            current = at.pass_ if number == at.group else 0
            passes = range(current, PASSES)
            keys |= {named(step.id, one) for step in group.steps for one in passes}
            now |= {named(step.id, current) for step in group.steps}
    runs = keys - finished
    if not rerun:
        return runs
    again = {key for key in now & finished if key.partition("[")[0] in set(touched)}
    while True:
        ids = {key.partition("[")[0] for key in again}
        loops = {step.id for group in after.groups if group.is_loop for step in group.steps if step.id in ids}
        more = {key for key in now & finished if after.step(key.partition("[")[0]).named & (ids | loops)}
        if more <= again:
            return runs | again
        again |= more


def named(id: str, pass_: int) -> str:
    return f"{id}[{pass_}]" if pass_ else id
