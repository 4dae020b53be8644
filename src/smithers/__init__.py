"""Smithers: a durable runtime for long-running AI coding agents.

A workflow is a function from state to a tree of tasks. The runtime renders it, runs what is ready, stores
each result the moment it is finished, and renders again.

    from smithers import Context, Task, workflow

Everything public is here, and imported when it is first used: `import smithers` alone costs next to nothing.
`smithers.agents` holds the agents.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smithers.authoring import RunResult as RunResult
    from smithers.authoring import Workflow as Workflow
    from smithers.authoring import workflow as workflow
    from smithers.context import Context as Context
    from smithers.context import Current as Current
    from smithers.context import current as current
    from smithers.engine.permission import PolicyRequest as PolicyRequest
    from smithers.errors import Place as Place
    from smithers.errors import SmithersError as SmithersError
    from smithers.errors import TaskFailed as TaskFailed
    from smithers.nodes import Approval as Approval
    from smithers.nodes import ApprovalGate as ApprovalGate
    from smithers.nodes import ApprovalOption as ApprovalOption
    from smithers.nodes import Branch as Branch
    from smithers.nodes import Budget as Budget
    from smithers.nodes import Cache as Cache
    from smithers.nodes import Caught as Caught
    from smithers.nodes import ContinueAsNew as ContinueAsNew
    from smithers.nodes import HumanTask as HumanTask
    from smithers.nodes import Loop as Loop
    from smithers.nodes import Node as Node
    from smithers.nodes import Parallel as Parallel
    from smithers.nodes import Pass as Pass
    from smithers.nodes import RetryPolicy as RetryPolicy
    from smithers.nodes import Saga as Saga
    from smithers.nodes import SagaStep as SagaStep
    from smithers.nodes import Sequence as Sequence
    from smithers.nodes import Signal as Signal
    from smithers.nodes import SqlTable as SqlTable
    from smithers.nodes import Subflow as Subflow
    from smithers.nodes import Task as Task
    from smithers.nodes import Timer as Timer
    from smithers.nodes import TryCatchFinally as TryCatchFinally
    from smithers.nodes import WaitForEvent as WaitForEvent
    from smithers.nodes import auto_approve as auto_approve
    from smithers.nodes.decision import ApprovalDecision as ApprovalDecision
    from smithers.ports import Agent as Agent
    from smithers.ports import AgentEvent as AgentEvent
    from smithers.ports import AgentReply as AgentReply
    from smithers.ports import AgentRequest as AgentRequest
    from smithers.prompt import Prompt as Prompt

_HOMES = {
    "Agent": "smithers.ports",
    "AgentEvent": "smithers.ports",
    "AgentReply": "smithers.ports",
    "AgentRequest": "smithers.ports",
    "Approval": "smithers.nodes",
    "ApprovalDecision": "smithers.nodes.decision",
    "ApprovalGate": "smithers.nodes",
    "ApprovalOption": "smithers.nodes",
    "Branch": "smithers.nodes",
    "Budget": "smithers.nodes",
    "Cache": "smithers.nodes",
    "Caught": "smithers.nodes",
    "Context": "smithers.context",
    "ContinueAsNew": "smithers.nodes",
    "Current": "smithers.context",
    "HumanTask": "smithers.nodes",
    "Loop": "smithers.nodes",
    "Node": "smithers.nodes",
    "Parallel": "smithers.nodes",
    "Pass": "smithers.nodes",
    "Place": "smithers.errors",
    "PolicyRequest": "smithers.engine.permission",
    "Prompt": "smithers.prompt",
    "RetryPolicy": "smithers.nodes",
    "RunResult": "smithers.authoring",
    "Saga": "smithers.nodes",
    "SagaStep": "smithers.nodes",
    "Sequence": "smithers.nodes",
    "Signal": "smithers.nodes",
    "SmithersError": "smithers.errors",
    "SqlTable": "smithers.nodes",
    "Subflow": "smithers.nodes",
    "Task": "smithers.nodes",
    "TaskFailed": "smithers.errors",
    "Timer": "smithers.nodes",
    "TryCatchFinally": "smithers.nodes",
    "WaitForEvent": "smithers.nodes",
    "Workflow": "smithers.authoring",
    "auto_approve": "smithers.nodes",
    "current": "smithers.context",
    "workflow": "smithers.authoring",
}
"""Where each public name lives. A fixed table: a typo fails at import, as it should."""

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentReply",
    "AgentRequest",
    "Approval",
    "ApprovalDecision",
    "ApprovalGate",
    "ApprovalOption",
    "Branch",
    "Budget",
    "Cache",
    "Caught",
    "Context",
    "ContinueAsNew",
    "Current",
    "HumanTask",
    "Loop",
    "Node",
    "Parallel",
    "Pass",
    "Place",
    "PolicyRequest",
    "Prompt",
    "RetryPolicy",
    "RunResult",
    "Saga",
    "SagaStep",
    "Sequence",
    "Signal",
    "SmithersError",
    "SqlTable",
    "Subflow",
    "Task",
    "TaskFailed",
    "Timer",
    "TryCatchFinally",
    "WaitForEvent",
    "Workflow",
    "auto_approve",
    "current",
    "workflow",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smithers' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
