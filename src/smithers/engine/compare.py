"""Finished tasks beside what the file says now: the same, another, or nobody can say.

Nothing here calls an agent or a task's `run`. Prompts are rendered as they were when the attempt began: over
the rows that were there, in the pass that it stood in.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Literal

from smithers.context import Context, Standing, View, ambient, from_stored, model_of
from smithers.errors import SmithersError, fault_path
from smithers.ids import passes_of
from smithers.nodes import Task
from smithers.records import AttemptRow, AttemptState, History, OutputRow
from smithers.scheduler.vertex import Leaf

from .definition import Definition
from .fingerprint import fingerprint
from .job import Job
from .memory import Memory
from .prospect import Prospect, as_of
from .question import prompt_mark, prompt_text
from .terms import Terms

EARLIER = "earlier pass"
_LOOKS = 500
"""Moments of the past that are rendered again; a render of thousands of tasks costs milliseconds each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one finished task."""

    kind: Literal["same", "changed", "unfit", "unknown"]
    reason: str


class Comparison:
    """Compares finished tasks of one run with its file.

    Args:
        now: the run with everything kept.
    """

    def __init__(self, history: History, definition: Definition, terms: Terms, now: Prospect) -> None:
        self._history = history
        self._definition = definition
        self._terms = terms
        self._now = now
        self._made = {
            (row.key, row.generation): row for row in history.attempts if row.state is AttemptState.FINISHED
        }
        self._outputs = {row.key: row for row in history.stored.outputs}
        self._specs = {mount.node: mount.spec for mount in history.stored.mounts}
        self._frames = [row.seq for row in history.frames]
        self._seqs = [row.seq for row in history.stored.outputs]
        self._past: dict[tuple[int, int], Prospect | None] = {}
        self._reads = bool(now.planning.renderer.reads_of(None))

    def find(self, leaf: Leaf) -> Finding:
        """Compare a finished task that stands in the tree.

        Of a pass that has ended nothing is executed again, and only whether its value can be read counts.
        """
        task: Task[Any] = leaf.plan.payload
        if (fault := self._unfit(task, self._outputs.get(leaf.key))) is not None:
            return Finding("unfit", fault)
        if leaf.zone.is_closed or self._now.has_left(leaf):
            return Finding("same", EARLIER)
        if task.mode == "wait":
            return Finding("same", "what was decided stands")
        row = self._made.get((leaf.key, self._history.stored.generations.get(leaf.key, 0)))
        if row is None or row.fingerprint is None:
            return Finding("unknown", "what it was when it ran could not be told")
        found = self.fingerprint(task)
        if found is None:
            return Finding(
                "unknown", "what it is now cannot be told: its code has no source, or holds an object"
            )
        if found == row.fingerprint:
            return self._prompt(leaf, task, row)
        return self._other(leaf, task, row)

    def fingerprint(self, task: Task[Any]) -> bytes | None:
        """As an attempt of it would store now."""
        agents = self._terms.agents(task) if task.mode == "agent" else ()
        return fingerprint(task, agents, model_of(task, self._definition.outputs))

    def _other(self, leaf: Leaf, task: Task[Any], row: AttemptRow) -> Finding:
        """The fingerprint is another: by an edit, unless a render took in what has come since."""
        if self._reads or self._now.schedule.unit_of(leaf) is not None:
            before = self._then(leaf, row)
            if before is None:
                return Finding("unknown", "the state that it began in cannot be rendered with this file")
            then_task: Task[Any] = before.plan.payload
            found = self.fingerprint(then_task)
            if found is None:
                return Finding("unknown", "what it is now cannot be told")
            if found == row.fingerprint:
                return self._prompt(before, then_task, row)
            task = then_task
        return Finding("changed", self._what(leaf, task, row))

    def _then(self, leaf: Leaf, row: AttemptRow) -> Leaf | None:
        """The task as this file asks for it over the rows that were there when an attempt of it began."""
        frame = bisect_left(self._frames, row.start_seq)
        number = self._history.frames[frame].frame if frame < len(self._frames) else 1 << 62
        moment = (bisect_left(self._seqs, row.start_seq + 1), number)
        if moment not in self._past:
            if len(self._past) >= _LOOKS:
                return None
            stored = as_of(self._history.stored, row.start_seq, number)
            try:
                self._past[moment] = Prospect(stored, self._definition, self._terms)
            except SmithersError:
                self._past[moment] = None
        past = self._past[moment]
        if past is not None and leaf.key not in past.leaves and past.has_more:
            past.play()
        return past.leaves.get(leaf.key) if past is not None else None

    # --- Prompts --------------------------------------------------------------------------------

    def _prompt(self, leaf: Leaf, task: Task[Any], row: AttemptRow) -> Finding:
        """The same task; a template's file may say something else now."""
        if task.mode != "agent" or row.prompt is None:
            return Finding("same", "it is what it was")
        mark = self._mark(leaf, task, row)
        if mark is None:
            return Finding("unknown", "its prompt cannot be made as of then")
        if mark != row.prompt:
            return Finding("changed", "its prompt says something else")
        return Finding("same", "it is what it was")

    def _mark(self, leaf: Leaf, task: Task[Any], row: AttemptRow) -> bytes | None:
        memory = self._now.memory
        loops = tuple(loop.key.node for loop in leaf.loops())
        standing = Standing(loops, passes_of(leaf.key)) if loops else Standing()
        view = View(memory, standing, row.start_seq)
        job = _job_of(task, view, row, memory, self._definition, self._terms)
        token = ambient.set(view)
        try:
            return prompt_mark(prompt_text(job))
        except Exception:  # noqa: BLE001 - the author's code, and a read of what is not there any more
            return None
        finally:
            ambient.reset(token)

    # --- Saying what ----------------------------------------------------------------------------

    def _what(self, leaf: Leaf, task: Task[Any], row: AttemptRow) -> str:
        spec = self._specs.get(leaf.key.node, {})
        agents = [agent.name for agent in self._terms.agents(task)] if task.mode == "agent" else None
        if spec.get("mode", task.mode) != task.mode:
            return f"it was a task with {_article(spec.get('mode'))}, and has {_article(task.mode)} now"
        if spec.get("model", task.model_name) != task.model_name:
            return f"its output was {spec.get('model')}, and is {task.model_name} now"
        if agents is not None and row.agent is not None and row.agent not in agents:
            return f"{row.agent} answered it, and {', then '.join(agents)} would now"
        if task.mode == "agent":
            mark = self._mark(leaf, task, row)
            if mark is not None and mark == row.prompt:
                return "its agent, its prompt's code or the schema of its output is another"
            return "its prompt is another"
        if task.mode == "child":
            return "its workflow, or what it is given, is another"
        return "its code, or what it is given, is another" if task.mode == "run" else "its value is another"

    def _unfit(self, task: Task[Any], row: OutputRow | None) -> str | None:
        """How a stored value does not fit the model as it is now; None: it does."""
        model = model_of(task, self._definition.outputs)
        if row is None or model is None or (model is str) != (row.model == "str"):
            kept = row is None or model is None
            return (
                None
                if kept
                else f"its value is a {row.model if row else ''}, and {task.model_name} is wanted"
            )
        if model is str:
            return None
        from pydantic import ValidationError

        try:
            from_stored(model, row.body)
        except ValidationError as error:
            fault = error.errors()[0]
            field = fault_path(fault["loc"]) or "the value"
            return f"its stored value does not fit {task.model_name} any more: {field}: {fault['msg']}"
        return None


def _article(mode: object) -> str:
    return {"agent": "an agent", "run": "a function", "child": "a workflow"}.get(str(mode), "a value")


def _job_of(
    task: Task[Any], view: View, row: AttemptRow, memory: Memory, definition: Definition, terms: Terms
) -> Job:
    """An attempt that only its prompt is wanted of."""
    return Job(
        run=0,
        fence=0,
        task=task,
        model=model_of(task, definition.outputs),
        key=row.key,
        generation=row.generation,
        attempt=row.attempt,
        view=view,
        ctx=Context(memory),
        chain=(),
        last_heartbeat=None,
        base=definition.base,
        project=terms.project,
        report=lambda *_: None,
        beat=lambda *_: None,
    )
