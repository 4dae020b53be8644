"""A user's own workflow as a story: it must end as it ends when nothing happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from smithers.agents import as_agent
from smithers.authoring import DEFAULT_LIMIT, Workflow
from smithers.engine.definition import Definition
from smithers.engine.encode import encode_input
from smithers.engine.terms import Terms
from smithers.ids import NodeKey
from smithers.nodes import Task
from smithers.ports import Agent
from smithers.testing.tape import CutOff, Tape, run_tape, stop_tape

from .ending import Ending

_SHOWN = 200

Flow: TypeAlias = Workflow[Any, Any] | Callable[[], Workflow[Any, Any]]
"""A workflow, or a function that makes one, with its agents and all it remembers, anew for each world."""


@dataclass(slots=True)
class Wanted:
    """What every ending is compared with; None: there is none yet."""

    ending: Ending | None = None
    unsteady: set[NodeKey] = field(default_factory=set)
    """Outputs in which two undisturbed runs differ; they are not compared."""

    def wrong_with(self, ending: Ending) -> str | None:
        """How an ending differs."""
        wanted = self.ending
        if wanted is None or ending.is_worlds_doing:
            return None
        if ending.state is not wanted.state:
            return f"the run is {ending.state.word}, not {wanted.state.word}: {ending.error}"
        for key in _all_of(ending.nodes, wanted.nodes):
            if ending.nodes.get(key) is not wanted.nodes.get(key):
                return f"{key} is {_word(ending.nodes.get(key))}, not {_word(wanted.nodes.get(key))}"
        for key in _all_of(ending.outputs, wanted.outputs):
            if key not in self.unsteady and ending.outputs.get(key) != wanted.outputs.get(key):
                was, should = str(ending.outputs.get(key)), str(wanted.outputs.get(key))
                return f"the output of {key} is {was[:_SHOWN]}, not {should[:_SHOWN]}"
        return None


class OwnStory:
    """Implements `Story`."""

    def __init__(self, flow: Flow, given: Any, wanted: Wanted) -> None:
        self._flow = made(flow)
        self._given = given
        self._wanted = wanted

    @property
    def definition(self) -> Definition:
        return self._flow.definition

    @property
    def input(self) -> str:
        return encode_input(self.definition.input_model, self._given, self.definition.name)

    def terms(self, random: Random) -> Terms:
        limit = self.definition.max_concurrency or DEFAULT_LIMIT
        return Terms("story.py:story", limit, None, self._agents)

    def _agents(self, task: Task[Any]) -> tuple[Agent, ...]:
        return self._flow.players(task) or tuple(map(as_agent, task.agents))

    def begin(self, is_cut_off: CutOff) -> None:
        run_tape(Tape(is_cut_off=is_cut_off))

    def end(self) -> None:
        stop_tape()

    def wrong_with(self, ending: Ending) -> str | None:
        return self._wanted.wrong_with(ending)


def made(flow: Flow) -> Workflow[Any, Any]:
    """The workflow, made if it must be."""
    return flow if isinstance(flow, Workflow) else flow()


def _all_of(one: Mapping[NodeKey, Any], other: Mapping[NodeKey, Any]) -> list[NodeKey]:
    return sorted(one.keys() | other.keys())


def _word(state: Any) -> str:
    return "absent" if state is None else str(state.word)
