"""The mounted tree as rows: what is new in it, what left, and nothing that stayed."""

from __future__ import annotations

from typing import Any

from smithers.agents import as_agent
from smithers.nodes import Loop, Parallel, Saga, Subflow, Task
from smithers.plan import TryPlan
from smithers.records import FrameWrite, Mount, MountRow
from smithers.scheduler.vertex import AnyVertex, Group, Leaf

from .draft import dump

_WORDS = {
    "Leaf": "task",
    "SequenceVertex": "sequence",
    "ParallelVertex": "parallel",
    "LoopVertex": "loop",
    "BlockVertex": "try",
    "HoleVertex": "body",
}


class MountedRows:
    """The open mount rows of one run."""

    def __init__(self) -> None:
        self._open: dict[str, Mount] = {}
        self._specs: dict[tuple[Any, ...], str] = {}

    def restore(self, mounts: list[MountRow]) -> None:
        """Take the rows as they are stored."""
        self._open = {
            m.node: Mount(m.node, m.parent, m.position, dump(dict(m.spec)), m.edges) for m in mounts
        }

    def compare(self, root: AnyVertex, frame: FrameWrite) -> None:
        """Write into `frame` how the tree differs from the open rows."""
        now: dict[str, Mount] = {}
        stack: list[tuple[AnyVertex, str | None, int]] = [(root, None, 0)]
        while stack:
            vertex, parent, position = stack.pop()
            name = vertex.key.node
            edges = _edges(vertex) if isinstance(vertex, Leaf) and vertex.plan.edges else ""
            now[name] = Mount(name, parent, position, self._spec(vertex), edges)
            if isinstance(vertex, Group):
                stack.extend((child, name, index) for index, child in enumerate(vertex.children))
        before = self._open
        if now == before:
            return
        for name, mount in before.items():
            if now.get(name) != mount:
                frame.unmounted.append(name)
        for name, mount in now.items():
            if before.get(name) != mount:
                frame.mounted.append(mount)
        self._open = now

    def _spec(self, vertex: AnyVertex) -> str:
        payload = vertex.plan.payload
        key: tuple[Any, ...]
        match payload:
            case Task(meta=None):
                limits = (payload.timeout_ms, payload.heartbeat_timeout_ms)
                own = payload.workflow.name if isinstance(payload, Subflow) else None
                key = (payload.mode, payload.model_name, payload.label, payload.agents, limits, own)
            case Task():
                return dump(_facts(vertex))
            case Loop():
                key = (type(vertex), payload.max_iterations)
            case Parallel():
                key = (type(vertex), payload.max_concurrency)
            case Saga():
                key = (type(vertex), payload.on_failure)
            case _:
                key = (type(vertex),)
        try:
            found = self._specs.get(key)
        except TypeError:  # an agent that cannot be hashed
            return dump(_facts(vertex))
        if found is None:
            if len(self._specs) > 4096:
                self._specs.clear()
            found = self._specs[key] = dump(_facts(vertex))
        return found


def _edges(leaf: Leaf) -> str:
    return " ".join(f"!{edge.target}" if edge.needs_output else edge.target for edge in leaf.plan.edges)


def _facts(vertex: AnyVertex) -> dict[str, Any]:
    payload = vertex.plan.payload
    if isinstance(payload, Task):
        return _task_facts(payload)
    found: dict[str, Any] = {"kind": _WORDS[type(vertex).__name__]}
    if isinstance(payload, Saga):
        return {"kind": "saga", "on_failure": payload.on_failure}
    if isinstance(vertex.plan, TryPlan) and isinstance(payload, Parallel):
        return {"kind": "quarantine"}
    if isinstance(payload, Loop) and found["kind"] == "loop":
        found["max_iterations"] = payload.max_iterations
    if isinstance(payload, Parallel) and payload.max_concurrency is not None:
        found["max_concurrency"] = payload.max_concurrency
    return found


def _task_facts(task: Task[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "task", "mode": task.mode, "model": task.model_name}
    if isinstance(task, Subflow):
        found["workflow"] = task.workflow.name
    if task.agents:
        found["agents"] = [as_agent(agent).name for agent in task.agents]
    if task.label is not None:
        found["label"] = task.label
    for limit in ("timeout_ms", "heartbeat_timeout_ms"):
        if getattr(task, limit) is not None:
            found[limit] = getattr(task, limit)
    if task.meta is not None:
        found["meta"] = dict(task.meta)
    return found
