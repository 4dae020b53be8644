"""A user's workflow under the simulator: seed after seed, each a world in which things go wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from smithers.ports import Agent

from .promise import PromiseBroken
from .simulator import Outcome, Simulator
from .simulator.own_story import Flow, OwnStory, Wanted, made

_SHOWN = 60
"""Lines of a history that are shown, the last ones."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a row of seeds came to."""

    seeds: int
    faults: int
    """Planned in them; some had nothing left to hit."""
    actions: int
    unsteady: tuple[str, ...]
    """Tasks whose outputs differ between undisturbed runs, and so were not compared."""

    def __str__(self) -> str:
        told = f"{self.seeds:,} seeds, {self.faults:,} faults, {self.actions:,} actions: no promise broken"
        return told + (f"; outputs not compared: {', '.join(self.unsteady)}" if self.unsteady else "")


def simulate(
    flow: Flow,
    input: Any = None,
    *,
    seeds: Iterable[int] = range(100),
    agents: Agent | Mapping[str, Agent] | None = None,
) -> Simulation:
    """Run a workflow in a simulated world once for each seed, and compare its ends with undisturbed ones.

    A seed decides in which order things happen and what goes wrong: processes die or are stopped past their
    lease, the disk fails, commits fail after they were stored, somebody pauses, cancels or takes over. Time
    is simulated, threads are not used, and no program can be started.

    Args:
        flow: a workflow; or, where its tasks remember something in memory, a function that makes it anew.
        input: as of `Workflow.run`.
        seeds: the same seed does the same, in every process.
        agents: as of `run_workflow`.
    Raises:
        PromiseBroken: says which promise, the first seed that breaks it, and what happened in it.
    """
    __tracebackhide__ = True
    wanted = Wanted()

    def tell(_: Random) -> OwnStory:
        return OwnStory(flow if agents is None else made(flow).played_by(agents), input, wanted)

    count = faults = actions = 0
    with _quiet(), Simulator(tell) as simulator:
        _compare(wanted, *simulator.undisturbed)
        for found in simulator.run_all(seeds):
            if found.violation is not None:
                raise PromiseBroken(_told(found))
            count, faults, actions = count + 1, faults + found.faults, actions + found.actions
    return Simulation(count, faults, actions, tuple(sorted(map(str, wanted.unsteady))))


def _compare(wanted: Wanted, first: Outcome, second: Outcome) -> None:
    """Let what two undisturbed runs agree in be what every other is compared with."""
    for one in (first, second):
        if one.ending is None:
            raise PromiseBroken(f"undisturbed: {_told(one)}")
    if first.ending is None or second.ending is None:
        raise AssertionError("unreachable")
    wanted.ending = first.ending
    other = second.ending.outputs
    wanted.unsteady = {key for key, body in first.ending.outputs.items() if other.get(key, body) != body}
    if (wrong := wanted.wrong_with(second.ending)) is not None:
        raise PromiseBroken(f"two undisturbed runs do not end alike, so nothing can be compared: {wrong}")


def _told(found: Outcome) -> str:
    """A broken promise and its history."""
    skipped = len(found.lines) - _SHOWN
    lines = [*([f"({skipped} lines before)"] if skipped > 0 else []), *found.lines[-_SHOWN:]]
    return "\n  ".join(
        [f"seed {found.seed}: {found.violation}", f"again: simulate(…, seeds=[{found.seed}])", *lines]
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """A simulated disk fails often, and the engine says so each time."""
    logger = logging.getLogger("smithers")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
