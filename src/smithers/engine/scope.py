"""What a script asks for, as both sides hold it: the coroutine, and the engine that plans for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from smithers.context import OutputText, Standing
from smithers.errors import SmithersError
from smithers.ids import NodeKey
from smithers.nodes import Node
from smithers.plan import PlanNode
from smithers.records import PassEnd
from smithers.scheduler import Settled

SCRIPT_ID = "script"
"""Node id of a workflow that is a script: its output is the run's own."""
SCRIPT_KEY = NodeKey(SCRIPT_ID)

SCAFFOLD = "scaffold"
"""Payload of plan nodes that stand for nothing that an author wrote."""


class End(NamedTuple):
    """How a call has ended."""

    frame: int
    """In which it was stored: what is delivered first."""
    how: Settled
    row: OutputText | None = None
    error: Mapping[str, Any] | None = None
    """Of what failed in it."""
    cause: NodeKey | None = None
    """What failed in it."""
    reason: str | None = None
    """Why it was skipped."""


@dataclass(slots=True, eq=False)
class Scope:
    """A place in a script; `plans` and `is_closed` belong to the engine's thread."""

    key: NodeKey
    at: Standing
    """The loops around what is called in it."""
    plans: list[PlanNode] = field(default_factory=list)
    is_closed: bool = False

    def key_of(self, node: str) -> NodeKey:
        """The key of a node that is called in it."""
        loops, passes = self.at
        if not loops:
            return NodeKey(node)
        outer = ",".join(f"{loop}={n}" for loop, n in zip(loops[:-1], passes, strict=False))
        return NodeKey(node, outer, passes[-1])


@dataclass(slots=True, eq=False)
class Call:
    """One node that a script waits for."""

    node: Node
    scope: Scope
    key: NodeKey
    """Of the node, or of the block that stands around it."""
    is_task: bool
    end: End | None = None
    """Engine's."""
    is_withdrawn: bool = False
    """The script does not wait for it any more. Engine's."""
    is_mounted: bool = False
    """Engine's."""
    is_reopened: bool = False
    """What it had come to before this process is done again. Engine's."""
    is_another: bool = False
    """Because it is asked for something else now. Engine's."""
    asks: list[Ask] = field(default_factory=list)
    """Who waits for it. Engine's."""


@dataclass(slots=True, eq=False)
class Ask:
    """One `await`: of one call or several."""

    number: int
    """Counts the script's awaits."""
    scope: Scope
    """Where the caller stands."""
    calls: tuple[Call, ...]
    mode: Literal["all", "first"]
    cap: int | None = None
    """How many of the calls may be in flight at once."""
    is_answered: bool = False
    """The script has found the answer among what was stored before it began."""
    left: int = 0
    """Calls that have not ended. Engine's."""
    is_delivered: bool = False
    """Its answer is on its way, or it is withdrawn. Engine's."""
    is_heard: bool = False
    """The script has got its answer. The script's."""


@dataclass(slots=True, eq=False)
class LoopScope:
    """A loop of a script, and the pass that it is in."""

    id: str
    outer: Scope
    key: NodeKey
    now: Scope
    """Where the script stands in it. The script's."""
    mounted: Scope
    """The pass that is planned. Engine's."""
    max_iterations: int | None = None
    ending: EndPass | None = None
    """What the script has decided about that pass. Engine's."""
    ended: list[PassEnd] = field(default_factory=list)
    """Passes that are over. Engine's."""


@dataclass(slots=True, eq=False)
class BlockScope:
    """An `async with ctx.finally_(…)` of a script."""

    outer: Scope
    body: Scope
    call: Call
    """The whole block."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody waits for these any more."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class OpenLoop:
    loop: LoopScope


@dataclass(frozen=True, slots=True)
class EndPass:
    """A pass is over."""

    loop: LoopScope
    verdict: Literal["next", "until", "max"]
    ask: Ask | None
    """Waits for what follows."""
    then: Scope | None
    """Where the next pass stands."""


@dataclass(frozen=True, slots=True)
class OpenBlock:
    block: BlockScope


@dataclass(frozen=True, slots=True)
class CloseScope:
    """Nothing more is called there."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Say:
    """A line for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The script has ended with a value."""

    body: str | None
    """As stored; None: it returned nothing."""
    model: str


@dataclass(frozen=True, slots=True)
class Raised:
    """The script has ended by an error."""

    error: SmithersError
    passed: tuple[NodeKey, ...]
    """Calls whose failure it let pass."""


Move: TypeAlias = Ask | Withdraw | OpenLoop | EndPass | OpenBlock | CloseScope | Say | Returned | Raised
"""What a script does, in the order in which it does it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an await gives: in the order of frames, and of the awaits among one frame."""

    ask: Ask
    frame: int
    seq: int
    """What the script may see from then on: rows up to this."""
    ends: tuple[End, ...] = ()
    """Of its calls; of a race, of the winner alone."""
    refused: BaseException | None = None
    """The engine cannot mount it."""
