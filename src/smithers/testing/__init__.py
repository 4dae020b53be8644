"""What tests of workflows are made of.

    ScriptedAgent      an agent that follows a script and remembers what it was asked
    FakeClock          a clock that stands still until it is told to move
    temporary_store    a database file that goes away

With pytest the fixture `smithers_store` is there without an import. `smithers.testing.simulator` runs the
engine itself under a virtual clock, with faults.
"""

from .agent import ScriptedAgent as ScriptedAgent
from .clock import FakeClock as FakeClock
from .store import temporary_store as temporary_store

__all__ = ["FakeClock", "ScriptedAgent", "temporary_store"]
