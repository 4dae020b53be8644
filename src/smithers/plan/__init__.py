"""What a tree means: a few plan kinds that the scheduler can run. Pure."""

from __future__ import annotations

from .kinds import MAX_DEPTH as MAX_DEPTH
from .kinds import BlockPlan as BlockPlan
from .kinds import Calls as Calls
from .kinds import Edge as Edge
from .kinds import HolePlan as HolePlan
from .kinds import LoopPlan as LoopPlan
from .kinds import ParallelPlan as ParallelPlan
from .kinds import PlanNode as PlanNode
from .kinds import SagaPlan as SagaPlan
from .kinds import ScopePlan as ScopePlan
from .kinds import SequencePlan as SequencePlan
from .kinds import StepPlan as StepPlan
from .kinds import TaskPlan as TaskPlan
from .kinds import TryPlan as TryPlan

__all__ = [
    "MAX_DEPTH",
    "BlockPlan",
    "Calls",
    "Edge",
    "HolePlan",
    "LoopPlan",
    "ParallelPlan",
    "PlanNode",
    "SagaPlan",
    "ScopePlan",
    "SequencePlan",
    "StepPlan",
    "TaskPlan",
    "TryPlan",
]
