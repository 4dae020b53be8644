"""The run that a run goes on as: made in its last frame, and driven from then on."""

from __future__ import annotations

import re

from smithers.context import View, ambient
from smithers.errors import BugError, InvalidNode, RenderFailed, SmithersError
from smithers.nodes import ContinueAsNew
from smithers.plan import SagaPlan, TaskPlan, TryPlan
from smithers.records import EventRow, EventType, FrameWrite, NewRun
from smithers.scheduler.vertex import BlockVertex, Leaf

from .draft import dump
from .encode import encode_state
from .failure import author_place, text_of
from .memory import Memory
from .planning import standing_of
from .run_name import numbered
from .terms import Terms


def check_end(leaf: Leaf, memory: Memory) -> None:
    """Refuse early what is known to be wrong when a run comes to where it is to go on as another.

    Raises:
        InvalidNode, StateInvalid, StateTooLarge: as `carried_by`.
    """
    if callable(leaf.plan.payload.value):
        _check_around(leaf)
    else:
        carried_by(leaf, memory)


def carried_by(leaf: Leaf, memory: Memory) -> str:
    """What a run hands over, as JSON text.

    Raises:
        InvalidNode: it stands in a block that has something left to do.
        StateInvalid, StateTooLarge: what the author's function returned cannot be handed over.
        RenderFailed: it raised; with its line.
    """
    plan: TaskPlan = leaf.plan
    node = plan.payload
    if not isinstance(node, ContinueAsNew):
        raise BugError(f"{leaf.key} does not continue a run")
    _check_around(leaf)
    if not callable(node.value):
        return encode_state(node, node.value)
    token = ambient.set(View(memory, standing_of(leaf)))
    try:
        return encode_state(node, node.value())
    except SmithersError as error:
        error.place = error.place or node.place
        raise
    except BaseException as error:  # the author's code may raise anything, `sys.exit` too
        raise RenderFailed(
            f"the state of {leaf.key} raised {type(error).__name__}: {text_of(error)}",
            place=author_place(error) or node.place,
        ) from error
    finally:
        ambient.reset(token)


def _check_around(leaf: Leaf) -> None:
    """Refuse to leave a block whose last parts are owed: nobody would ever run them."""
    around = leaf.parent
    while around is not None:
        plan = around.plan if isinstance(around, BlockVertex) else None
        if isinstance(plan, SagaPlan) or (isinstance(plan, TryPlan) and plan.finally_ is not None):
            what = "a saga" if isinstance(plan, SagaPlan) else "a try block with a last part"
            raise InvalidNode(
                f"{leaf.key} stands in {what}, {around.key}: the run would go on without what that owes",
                hint="put it after the block",
                place=leaf.plan.place,
            )
        around = around.parent


def first_frame(memory: Memory, terms: Terms, carried: str, at_ms: int, owner: int) -> FrameWrite:
    """What brings the next run into being: a run like this one, with its input, and what it was handed."""
    frame = FrameWrite(0, 1, 1, 0, 0, 1, at_ms)
    frame.events.append(EventRow(1, EventType.RUN_STARTED, at_ms, data=dump({"continues": memory.name})))
    frame.creates = NewRun(
        next_name(memory.name, memory.number), memory.workflow, terms.source, memory.input_text,
        terms.config, at_ms, owner, carried=carried,
    )  # fmt: skip
    return frame


def next_name(name: str, number: int) -> str:
    """`nightly-2` after `nightly`, `nightly-3` after that.

    Args:
        number: the run's place in its lineage.
    """
    base, own = name, number
    if number > 1 and (found := re.fullmatch(r"(.*)-(\d+)", name)):
        base, own = found[1], int(found[2])
    return numbered(base, own + 1)
