"""Which run belongs to which: children of nodes, and runs that went on as another one."""

from __future__ import annotations

from typing import NamedTuple

from smithers.ids import NodeKey

from .state import RunState


class ParentRef(NamedTuple):
    """The node whose attempt a run is."""

    run: int
    name: str
    """Of the parent run."""
    key: NodeKey
    generation: int
    """Newest one that this run belongs to."""
    top: str
    """Name of the run that all of it belongs to: the one that is resumed."""


class Kin(NamedTuple):
    """What a run has to do with others."""

    parent: ParentRef | None = None
    previous: str | None = None
    """Name of the run that went on as this one."""
    next: str | None = None
    """Name of the run that this one went on as."""
    newest: str | None = None
    """Name of the newest run of its lineage, if it is a later one."""
    number: int = 1
    """Place in its lineage, from 1."""


ALONE = Kin()
"""The kin of most runs."""


class ChildRow(NamedTuple):
    """A run that is what a node does, in one generation; of its lineage the newest."""

    key: NodeKey
    generation: int
    run: int
    name: str
    state: RunState


class NewChild(NamedTuple):
    """What a run that is created belongs to."""

    run: int
    """The parent; its fence is compared when the child is created."""
    fence: int
    key: NodeKey
    generation: int
    instead_of: int | None = None
    """The child that the node had in this generation, if it gives way."""


class KeptChild(NamedTuple):
    """A child that a new generation of its node goes on with."""

    key: NodeKey
    generation: int
    child: int
