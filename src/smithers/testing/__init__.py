"""What tests of workflows are made of.

    ScriptedAgent      an agent that follows a script and remembers what it was asked
    FakeClock          a clock that stands still until it is told to move
    temporary_store    a database file that goes away
    WorkflowRunner     what the fixture `run_workflow` is: runs, resumes, and dies everywhere if asked to
    RunLook            what it returns: a run's result, and looks at what is stored
    assert_no_reruns   nothing that had finished was executed again
    PromiseBroken      what is raised when a disturbed run does not end as an undisturbed one
    CrashReport        what a row of deaths came to

With pytest the fixtures `smithers_store` and `run_workflow` are there without an import.
`smithers.testing.simulator` runs the engine itself under a virtual clock, with faults.
"""

from .agent import ScriptedAgent as ScriptedAgent
from .clock import FakeClock as FakeClock
from .crash import CrashReport as CrashReport
from .crash import PromiseBroken as PromiseBroken
from .look import RunLook as RunLook
from .look import assert_no_reruns as assert_no_reruns
from .runner import WorkflowRunner as WorkflowRunner
from .store import temporary_store as temporary_store

__all__ = [
    "CrashReport",
    "FakeClock",
    "PromiseBroken",
    "RunLook",
    "ScriptedAgent",
    "WorkflowRunner",
    "assert_no_reruns",
    "temporary_store",
]
