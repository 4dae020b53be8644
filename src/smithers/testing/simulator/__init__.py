"""The whole engine in one thread, under a virtual clock, with faults: one seed, one history.

    simulator   seed after seed
    world       one seed: what happens, in which order, and what must hold
    story       what a world is told: a workflow, and what must come of it
    random_story  a workflow made at random
    script_story  the same, told as a script
    own_story   a user's own workflow
    ending      how a simulated run ended
    process     one simulated process with the real engine in it
    loop        an event loop that does one thing when told to
    fault       what goes wrong at the store
    eye         how the world looks at the store

Source: the method is FoundationDB's and TigerBeetle's (deterministic simulation with faults in every seam).
"""

from .simulator import Simulator as Simulator
from .world import Outcome as Outcome
from .world import Violation as Violation

__all__ = ["Outcome", "Simulator", "Violation"]
