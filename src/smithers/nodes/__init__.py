"""The vocabulary: immutable values that lower themselves to plan kinds. Pure."""

from __future__ import annotations

from .approval import Approval as Approval
from .approval import ApprovalGate as ApprovalGate
from .approval import ApprovalOption as ApprovalOption
from .approval import auto_approve as auto_approve
from .boundary import Caught as Caught
from .boundary import Saga as Saga
from .boundary import SagaStep as SagaStep
from .boundary import TryCatchFinally as TryCatchFinally
from .branch import Branch as Branch
from .budget import Budget as Budget
from .cache import Cache as Cache
from .continuation import ENDS_IN as ENDS_IN
from .continuation import ContinueAsNew as ContinueAsNew
from .event import Signal as Signal
from .event import WaitForEvent as WaitForEvent
from .human import HumanTask as HumanTask
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
from .option import check_amount as check_amount
from .option import check_limit as check_limit
from .parallel import Parallel as Parallel
from .retry import RetryPolicy as RetryPolicy
from .sequence import Sequence as Sequence
from .span import Span as Span
from .span import span_ms as span_ms
from .subflow import Subflow as Subflow
from .table import SqlTable as SqlTable
from .task import Task as Task
from .timer import Timer as Timer
from .wait import Question as Question
from .wait import WaitNode as WaitNode

__all__ = [
    "ENDS_IN",
    "MISSING",
    "AgentLike",
    "Approval",
    "ApprovalGate",
    "ApprovalOption",
    "Bodies",
    "Branch",
    "Budget",
    "Cache",
    "Caught",
    "Child",
    "ContinueAsNew",
    "HumanTask",
    "Loop",
    "Lowering",
    "Missing",
    "Node",
    "Parallel",
    "Pass",
    "Question",
    "Reference",
    "RetryPolicy",
    "Saga",
    "SagaStep",
    "Sequence",
    "Signal",
    "Span",
    "SqlTable",
    "Subflow",
    "Task",
    "TaskOptions",
    "Timer",
    "TryCatchFinally",
    "WaitForEvent",
    "WaitNode",
    "auto_approve",
    "check_amount",
    "check_limit",
    "children_of",
    "reference",
    "span_ms",
]
