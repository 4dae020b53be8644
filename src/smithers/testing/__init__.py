"""What tests of workflows are made of.

    ScriptedAgent      an agent that follows a script and remembers what it was asked
    FakeClock          a clock that stands still until it is told to move
    temporary_store    a database file that goes away
    WorkflowRunner     what the fixture `run_workflow` is: runs, resumes, and dies everywhere if asked to
    RunLook            what it returns: a run's result, and looks at what is stored
    CrashReport        what a row of deaths came to
    assert_no_reruns   nothing that had finished was executed again
    simulate           a workflow in simulated worlds in which things go wrong
    Simulation         what that came to
    PromiseBroken      what is raised when a disturbed run does not end as an undisturbed one

With pytest the fixtures `smithers_store` and `run_workflow` are there without an import.
`smithers.testing.simulator` runs the engine itself under a virtual clock, with faults. All of it is imported
when it is first used: the pytest plugin, which every pytest loads, lives here too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import ScriptedAgent as ScriptedAgent
    from .clock import FakeClock as FakeClock
    from .crash import CrashReport as CrashReport
    from .look import RunLook as RunLook
    from .look import assert_no_reruns as assert_no_reruns
    from .promise import PromiseBroken as PromiseBroken
    from .runner import WorkflowRunner as WorkflowRunner
    from .simulation import Simulation as Simulation
    from .simulation import simulate as simulate
    from .store import temporary_store as temporary_store

_HOMES = {
    "CrashReport": ".crash",
    "FakeClock": ".clock",
    "PromiseBroken": ".promise",
    "RunLook": ".look",
    "ScriptedAgent": ".agent",
    "Simulation": ".simulation",
    "WorkflowRunner": ".runner",
    "assert_no_reruns": ".look",
    "simulate": ".simulation",
    "temporary_store": ".store",
}
"""Where each public name lives. A fixed table: a typo fails at import, as it should."""

__all__ = [
    "CrashReport",
    "FakeClock",
    "PromiseBroken",
    "RunLook",
    "ScriptedAgent",
    "Simulation",
    "WorkflowRunner",
    "assert_no_reruns",
    "simulate",
    "temporary_store",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smithers.testing' has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
