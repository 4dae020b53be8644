"""What may run now, from a plan and facts. Pure: time is an argument, work is the caller's."""

from __future__ import annotations

from .decision import Cancel as Cancel
from .decision import Deadlock as Deadlock
from .decision import Decision as Decision
from .decision import Enter as Enter
from .decision import Execute as Execute
from .decision import Fail as Fail
from .decision import Finish as Finish
from .decision import Judge as Judge
from .decision import Skip as Skip
from .decision import Stop as Stop
from .decision import Wait as Wait
from .facts import Blocked as Blocked
from .facts import BlockFact as BlockFact
from .facts import Due as Due
from .facts import Facts as Facts
from .facts import LoopFact as LoopFact
from .facts import NodeFact as NodeFact
from .facts import Open as Open
from .facts import Running as Running
from .facts import Settled as Settled
from .schedule import Schedule as Schedule
