"""What has been spent under a budget."""

from __future__ import annotations

from typing import NamedTuple

from smithers.ids import NodeKey

WHOLE_RUN = NodeKey("")
"""Stands for the run itself, where budgets are named."""


class BudgetRow(NamedTuple):
    """What has been spent under a budget, reservations for calls in flight included."""

    key: NodeKey
    """Of the budget in its pass; `WHOLE_RUN`: all of the run."""
    tokens: int = 0
    cost_micros: int = 0
    """Millionths of a US dollar."""
    calls: int = 0
    active_ms: int = 0
    """How long at least one of its tasks was running."""
    largest_tokens: int = 0
    """Of one call: what is reserved for the next."""
    largest_micros: int = 0
    unpriced: int = 0
    """Calls whose cost nobody knows."""


class ChildSpent(NamedTuple):
    """What a child run has spent in all, its own child runs included."""

    run: str
    """Its name."""
    node: NodeKey
    """The parent's node that it is."""
    tokens: int = 0
    cost_micros: int = 0
    calls: int = 0
    active_ms: int = 0
