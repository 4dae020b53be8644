"""The cases, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["run", "sleepers", "resume", "prompts", "command", "live"]
Measure: TypeAlias = Literal[
    "CPU ms/task", "KB/task", "MB of memory", "fsyncs/task", "tasks/s", "seconds", "CPU s above empty",
    "CPU, times the tree's", "renders", "CPU, times static", "CPU/task, times 1,000's",
    "KB/task, times 1,000's", "CPU ms", "runs/s", "ms at p50", "ms at p99", "% CPU", "MB above pydantic",
    "MB more", "descriptors more", "threads more",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """One line of what is asked. `bound` is a maximum, but for `tasks/s`, where it is a minimum."""

    measure: Measure
    bound: float


@dataclass(frozen=True, slots=True)
class Case:
    """One workload, run in a process and a folder of its own."""

    name: str
    kind: Kind
    shape: str
    """What `bench.workload` builds, or which command is called."""
    tasks: int = 1
    width: int = 0
    """Tasks at once in the floor beside it; 0: there is none."""
    samples: int | None = None
    """Fewer than usual, where one takes long."""
    targets: tuple[Target, ...] = field(default=())

    @property
    def settled(self) -> int:
        """Nodes that have settled when it is done: with the last one of a resume, and the script itself."""
        return self.tasks + (self.kind == "resume") + self.shape.startswith(SCRIPTS)


SCRIPTS = ("map", "awaits", "rerun")
"""Shapes that are scripts."""
PER_TASK = (Target("CPU ms/task", 0.3), Target("KB/task", 0.6))
FLAT = (
    Target("CPU/task, times 1,000's", 1.3),
    Target("KB/task, times 1,000's", 1.3),
    Target("MB of memory", 120),
)
SCALED_RATE = 2300 / 5000
"""Tasks a second in a fan-out of 1,000, for each commit a second that the disk can do."""


def _sequences(form: str) -> list[Case]:
    fsyncs = Target("fsyncs/task", 1.3)
    return [
        Case(f"sequence-{form}-10", "run", f"sequence-{form}", 10, 1),
        Case(f"sequence-{form}-100", "run", f"sequence-{form}", 100, 1),
        Case(f"sequence-{form}-1000", "run", f"sequence-{form}", 1000, 1, None, (*PER_TASK, fsyncs)),
        Case(f"sequence-{form}-10000", "run", f"sequence-{form}", 10_000, 1, None,
             (*PER_TASK, fsyncs, *FLAT, Target("renders", 1))),
    ]  # fmt: skip


def _fan_outs(form: str) -> list[Case]:
    fsyncs = Target("fsyncs/task", 0.25)
    return [
        Case(f"fanout-{form}-100", "run", f"fanout-{form}", 100, 16),
        Case(f"fanout-{form}-1000", "run", f"fanout-{form}", 1000, 16, None,
             (*PER_TASK, fsyncs, Target("tasks/s", SCALED_RATE))),
        Case(f"fanout-{form}-10000", "run", f"fanout-{form}", 10_000, 16, None, (*PER_TASK, fsyncs, *FLAT)),
    ]  # fmt: skip


CASES = [
    *_sequences("async"),
    *_sequences("def"),
    *_fan_outs("async"),
    *_fan_outs("def"),
    Case("loop-bool-1000", "run", "loop-bool", 1000, 1, None, PER_TASK),
    Case("loop-function-1000", "run", "loop-function", 1000, 1, None, PER_TASK),
    Case("sleepers-async-64", "sleepers", "sleepers-async", 64, 0, None, (Target("seconds", 1.05),)),
    Case("sleepers-def-64", "sleepers", "sleepers-def", 64, 0, None, (Target("seconds", 1.05),)),
    Case("empty", "run", "empty"),
    Case("resume", "resume", "resume", 10_000, 0, None, (Target("CPU s above empty", 0.5),)),
    Case("map-async-1000", "run", "map-async", 1000, 16, None,
         (Target("CPU, times the tree's", 1.3), Target("KB/task", 0.6))),
    Case("awaits-async-1000", "run", "awaits-async", 1000, 1),
    Case("awaits-async-10000", "run", "awaits-async", 10_000, 1, None, FLAT),
    Case("resume-script", "resume", "rerun", 10_000, 0, None, (Target("CPU s above empty", 0.5),)),
    Case("prompts-static-1000", "prompts", "prompts-static", 1000),
    Case("prompts-callable-1000", "prompts", "prompts-callable", 1000, 0, None,
         (Target("CPU, times static", 1.3),)),
    Case("prompts-fstring-1000", "prompts", "prompts-fstring", 1000, 0, 1),
    Case("agents-200", "run", "agents-claude", 200, 0, None, (Target("CPU ms/task", 15),)),
    Case("runs-1000", "run", "runs", 3000, 0, None,
         (Target("CPU ms/task", 0.2), Target("runs/s", 1600 / 5000))),
    Case("outsider-write", "live", "outsider", 1, 0, 3, (Target("ms at p99", 20),)),
    Case("idle-engine", "live", "idle", 1, 0, 1,
         (Target("% CPU", 0.5), Target("MB above pydantic", 40))),
    Case("growth-10000-runs", "live", "growth", 10_000, 0, 1,
         (Target("MB more", 8), Target("descriptors more", 0), Target("threads more", 0))),
    Case("import-smithers", "command", "import", 1, 0, None, (Target("CPU ms", 60),)),
    Case("import-names", "command", "names"),
    Case("help", "command", "help", 1, 0, None, (Target("CPU ms", 120),)),
    Case("ps-20-runs", "command", "ps", 20, 0, None, (Target("CPU ms", 120),)),
    Case("ps-10000-runs", "command", "ps", 10_000, 0, None, (Target("CPU ms", 100),)),
]  # fmt: skip

QUICK = 1000
"""`--quick` leaves out what has more tasks, and resumes so many instead of 10,000."""
