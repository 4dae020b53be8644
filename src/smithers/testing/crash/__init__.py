"""Deaths at every operation of a store, on a user's own workflow.

    trial      die at a site, resume, compare; site after site
    doom       operations, counted, and the one at which the process dies
    process    what a trial's process does
    child      a copy of this process that may die
    place      files that every trial finds as the first one found them
    journal    what a trial's processes leave behind of themselves
    snapshot   a run as it is stored at one moment
    verdict    what must hold; pure
    report     what came of it, in words

The deaths are real: a fork of the test's process that ends by `os._exit` in the middle of a statement's code,
with its threads, its connections and its memory. The method is that of tests/chaos, for other people's code.
"""

from .process import Asked as Asked
from .report import CrashReport as CrashReport
from .trial import Crashes as Crashes
from .trial import Unrunnable as Unrunnable

__all__ = ["Asked", "CrashReport", "Crashes", "Unrunnable"]
