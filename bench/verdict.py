"""Figures against targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from bench.case import Case, Measure, Target
from bench.meter import Figures, Spent

RATES: Final = ("tasks/s", "runs/s")
"""Bounded from below."""

TREE_OF: Final = {"map-async-1000": "fanout-async-1000"}
"""The tree that does what a script does."""

Sample = TypeVar("Sample", bound=Spent)


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, by case."""

    runs: Mapping[str, Figures]
    """Medians."""
    commands: Mapping[str, float]
    """Seconds of CPU, the least of all calls."""
    live: Mapping[str, Mapping[str, float]]
    """Figures by measure: medians."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the disk of this machine can do, measured at the start of each round."""

    commits_per_s: float
    fsync_s: float
    load: float
    """Processes that ran or waited to run in the minute before, ours among them."""
    cores: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and what was measured for it."""

    case: str
    measure: Measure
    figure: float
    bound: float

    @property
    def ratio(self) -> float:
        """At most 1 is as asked; bounds from below are turned round."""
        if self.measure in RATES:
            return self.bound / self.figure
        return self.figure / self.bound if self.bound else 1 + self.figure

    @property
    def is_met(self) -> bool:
        return self.ratio <= 1  # of a bound of nothing, the ratio of nothing is 1


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    rows = [cast("dict[str, float]", sample) for sample in samples]
    return cast("Sample", {name: statistics.median(row[name] for row in rows) for name in rows[0]})


def typical(rounds: Sequence[Machine]) -> Machine:
    """The median of each figure; of the load the first, which is that of others."""
    return Machine(
        statistics.median(one.commits_per_s for one in rounds),
        statistics.median(one.fsync_s for one in rounds),
        rounds[0].load,
        rounds[0].cores,
    )


def judge(case: Case, results: Results, machine: Machine) -> list[Verdict]:
    """One verdict for each target of a case that could be measured here."""
    found = []
    for target in case.targets:
        figure = _figure(case, target.measure, results)
        if figure is not None:
            found.append(Verdict(case.name, target.measure, figure, _bound(target, machine)))
    return found


def _bound(target: Target, machine: Machine) -> float:
    if target.measure == "runs/s":
        # A quicker disk than the one that was asked about does not make a quicker processor.
        return target.bound * min(machine.commits_per_s, 5000)
    return target.bound * machine.commits_per_s if target.measure == "tasks/s" else target.bound


def _figure(case: Case, measure: Measure, results: Results) -> float | None:
    if measure == "CPU ms":
        return results.commands[case.name] * 1e3
    if case.kind == "live":
        return results.live[case.name][measure]
    own = results.runs[case.name]
    match measure:
        case "CPU ms/task":
            return own["cpu_s"] / case.tasks * 1e3
        case "KB/task":
            return own["disk_bytes"] / case.tasks / 1e3
        case "MB of memory":
            return own["rss_bytes"] / 1e6
        case "fsyncs/task":
            return own["syncs"] / case.tasks if "syncs" in own else None
        case "tasks/s":
            return case.tasks / own["wall_s"]
        case "runs/s":
            return case.tasks / 3 / own["wall_s"]
        case "seconds":
            return own["span_s"]
        case "renders":
            return own["renders"]
        case "CPU s above empty":
            return own["cpu_s"] - results.runs["empty"]["cpu_s"]
        case "CPU, times the tree's":
            empty, tree = results.runs["empty"], results.runs[TREE_OF[case.name]]
            return (own["cpu_s"] - empty["cpu_s"]) / (tree["cpu_s"] - empty["cpu_s"])
        case "CPU, times static":
            return own["cpu_s"] / results.runs["prompts-static-1000"]["cpu_s"]
        case "CPU/task, times 1,000's":
            return own["cpu_s"] / _thousand(case, results)["cpu_s"] / (case.tasks / 1000)
        case "KB/task, times 1,000's":
            return own["disk_bytes"] / _thousand(case, results)["disk_bytes"] / (case.tasks / 1000)
        case _:
            return None


def _thousand(case: Case, results: Results) -> Figures:
    return results.runs[f"{case.shape}-1000"]


def needed_by(case: Case) -> list[str]:
    """Cases that the targets of this one compare with."""
    measures = {target.measure for target in case.targets}
    found = []
    if {"CPU s above empty", "CPU, times the tree's"} & measures:
        found.append("empty")
    if "CPU, times the tree's" in measures:
        found.append(TREE_OF[case.name])
    if "CPU, times static" in measures:
        found.append("prompts-static-1000")
    if "CPU/task, times 1,000's" in measures:
        found.append(f"{case.shape}-1000")
    return found
