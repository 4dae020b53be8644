"""Programs of attempts: recorded before their first line runs, ended with all that they have started.

`spawner` is the seam (`ports.Spawner`): real processes, behind a go-pipe. `keeper` joins it with the store's
ledger for one engine, `reaping` finds and ends what a dead owner has left behind.
"""

from __future__ import annotations

from .keeper import GRACE_S as GRACE_S
from .keeper import Attempt as Attempt
from .keeper import AttemptProcesses as AttemptProcesses
from .keeper import Processes as Processes
from .keeper import kill_everything as kill_everything
from .reaping import Survivor as Survivor
from .reaping import reap_dead as reap_dead
from .reaping import reap_run as reap_run
from .reaping import survivors as survivors
from .spawner import ProcessSpawner as ProcessSpawner

__all__ = [
    "GRACE_S",
    "Attempt",
    "AttemptProcesses",
    "ProcessSpawner",
    "Processes",
    "Survivor",
    "kill_everything",
    "reap_dead",
    "reap_run",
    "survivors",
]
