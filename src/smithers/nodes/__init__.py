"""The vocabulary: immutable values that lower themselves to plan kinds. Pure."""

from __future__ import annotations

from .boundary import Caught as Caught
from .boundary import Saga as Saga
from .boundary import SagaStep as SagaStep
from .boundary import TryCatchFinally as TryCatchFinally
from .branch import Branch as Branch
from .cache import Cache as Cache
from .importable import Reference as Reference
from .importable import reference as reference
from .loop import Loop as Loop
from .loop import Pass as Pass
from .node import Bodies as Bodies
from .node import Child as Child
from .node import Lowering as Lowering
from .node import Node as Node
from .node import children_of as children_of
from .option import MISSING as MISSING
from .option import AgentLike as AgentLike
from .option import Missing as Missing
from .option import TaskOptions as TaskOptions
from .option import check_limit as check_limit
from .parallel import Parallel as Parallel
from .retry import RetryPolicy as RetryPolicy
from .sequence import Sequence as Sequence
from .span import Span as Span
from .span import span_ms as span_ms
from .table import SqlTable as SqlTable
from .task import Task as Task

__all__ = [
    "MISSING",
    "AgentLike",
    "Bodies",
    "Branch",
    "Cache",
    "Caught",
    "Child",
    "Loop",
    "Lowering",
    "Missing",
    "Node",
    "Parallel",
    "Pass",
    "Reference",
    "RetryPolicy",
    "Saga",
    "SagaStep",
    "Sequence",
    "Span",
    "SqlTable",
    "Task",
    "TaskOptions",
    "TryCatchFinally",
    "check_limit",
    "children_of",
    "reference",
    "span_ms",
]
