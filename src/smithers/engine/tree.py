"""The mounted tree as rows: what is new in it, what left, and nothing that stayed."""

from __future__ import annotations

from typing import Any

from smithers.agents import as_agent
from smithers.nodes import Budget, Parallel, Saga, Subflow, Task
from smithers.plan import LoopPlan, SagaPlan
from smithers.records import FrameWrite, Mount, MountRow
from smithers.scheduler.vertex import (
    AnyVertex,
    BlockVertex,
    Group,
    HoleVertex,
    Leaf,
    ScopeVertex,
    Vertex,
    subtree,
)

from .draft import dump
from .scope import SCAFFOLD

_WORDS = {
    "Leaf": "task",
    "SequenceVertex": "sequence",
    "ParallelVertex": "parallel",
    "LoopVertex": "loop",
    "BlockVertex": "try",
    "ScopeVertex": "script",
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

    def compare(self, root: AnyVertex, frame: FrameWrite, *, closes: bool = True) -> None:
        """Write into `frame` how the tree differs from the open rows.

        Args:
            closes: what does not stand in the tree has left it; False: it may come yet.
        """
        now: dict[str, Mount] = {} if closes else dict(self._open)
        self._collect([(root, None, 0)], now)
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

    def add(self, tops: list[AnyVertex], frame: FrameWrite) -> None:
        """Write what has joined the tree."""
        joined: dict[str, Mount] = {}
        # What joined later may stand in what joined before: each is looked at once.
        for top in tops:
            if top.is_mounted and top.key.node not in joined:
                position, above = top.path[-1], top.parent
                while above is not None and _is_hidden(above):
                    position = above.path[-1] if isinstance(above, BlockVertex) else position
                    above = above.parent
                self._collect([(top, above.key.node if above is not None else None, position)], joined)
        for name, mount in joined.items():
            before = self._open.get(name)
            if before == mount:
                continue
            if before is not None:
                frame.unmounted.append(name)
            frame.mounted.append(mount)
            self._open[name] = mount

    def _collect(self, stack: list[tuple[AnyVertex, str | None, int]], now: dict[str, Mount]) -> None:
        """Note the rows of what stands below; what only a script's plan needs has none."""
        while stack:
            vertex, parent, position = stack.pop()
            if _is_hidden(vertex):
                below = vertex.children if isinstance(vertex, Group) else []
                single = isinstance(vertex, BlockVertex)
                stack.extend((one, parent, position if single else at) for at, one in enumerate(below))
                continue
            name = vertex.key.node
            edges = _edges(vertex) if isinstance(vertex, Leaf) and vertex.plan.edges else ""
            now[name] = Mount(name, parent, position, self._spec(vertex), edges)
            if isinstance(vertex, Group):
                stack.extend((child, name, _position(child)) for child in vertex.children)

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
            case _ if isinstance(vertex.plan, LoopPlan):
                key = (type(vertex), vertex.plan.max_iterations)
            case Parallel():
                key = (type(vertex), payload.max_concurrency)
            case Budget():
                return dump(_facts(vertex))
            case _ if isinstance(vertex, BlockVertex):
                return dump(_facts(vertex))
            case _ if isinstance(vertex, ScopeVertex):
                key = (type(vertex), vertex.cap)
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


_BEHIND = 1 << 20
"""Where the last part of a block stands whose body's children have positions of their own."""


def _position(vertex: Vertex) -> int:
    """Where it stands among those beside it."""
    index, parent = vertex.path[-1], vertex.parent
    if index and isinstance(parent, BlockVertex) and _is_hidden(parent.children[0]):
        return _BEHIND + index
    return index


def _is_hidden(vertex: Vertex) -> bool:
    """Whether it stands for nothing that an author wrote: the passes, bodies and calls of a script."""
    if isinstance(vertex, ScopeVertex | BlockVertex):
        return vertex.plan.payload is SCAFFOLD
    return not vertex.key.node


def _edges(leaf: Leaf) -> str:
    return " ".join(f"!{edge.target}" if edge.needs_output else edge.target for edge in leaf.plan.edges)


def _facts(vertex: AnyVertex) -> dict[str, Any]:
    payload = vertex.plan.payload
    if isinstance(payload, Task):
        return _task_facts(payload)
    found: dict[str, Any] = {"kind": _WORDS[type(vertex).__name__]}
    if isinstance(vertex, ScopeVertex) and vertex.cap is not None:
        return {"kind": "parallel", "max_concurrency": vertex.cap}
    if isinstance(vertex, BlockVertex):
        return _block_facts(vertex)
    if isinstance(vertex.plan, LoopPlan):
        found["max_iterations"] = vertex.plan.max_iterations
    if isinstance(payload, Budget):
        found["kind"] = "budget"
        limits = ("tokens", "usd", "minutes", "calls")
        found |= {name: getattr(payload, name) for name in limits if getattr(payload, name) is not None}
        found["on_exceeded"] = payload.on_exceeded
    if isinstance(payload, Parallel) and payload.max_concurrency is not None:
        found["max_concurrency"] = payload.max_concurrency
    return found


def _block_facts(block: BlockVertex) -> dict[str, Any]:
    """What it is, and whom it runs in its end: what a cancel owes can be told without the workflow."""
    payload = block.plan.payload
    if isinstance(payload, Parallel):
        return {"kind": "quarantine"}
    if isinstance(block.plan, SagaPlan):
        steps = range(1, len(block.plan.steps) + 1) if block.plan.compensates else ()
        undo = [_named(block, f"undo:{step}") for step in steps]
        on_failure = payload.on_failure if isinstance(payload, Saga) else ""
        return {"kind": "saga", "on_failure": on_failure, "undo": undo}
    return {"kind": "try", "finally": _named(block, "finally")}


def _named(block: BlockVertex, part: str) -> list[str]:
    """The tasks of a part; a function whose tasks are not known yet goes by its own id."""
    index = block.index(part)
    inside = [] if index is None else subtree(block.children[index])
    is_open = [isinstance(one, Leaf) or (isinstance(one, HoleVertex) and not one.children) for one in inside]
    return [one.key.node for one, names in zip(inside, is_open, strict=True) if names]


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
