"""What several calls of agents have cost together, as far as the agents have told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .call import CallRow
from .usage import NOTHING, CostSource, Usage


@dataclass(frozen=True, slots=True)
class Spending:
    """A sum over calls. What a call does not tell is missing from it: then the figure is a lower bound.

    False: no agent has told of itself. A function that is an agent tells nothing unless it returns a
    `Usage`.
    """

    usage: Usage = NOTHING
    """Tokens and money that were told; `model` is empty where there were several."""
    calls: int = 0
    """Agents asked that told of themselves, if only by which name their conversation goes."""
    counted: int = 0
    """Those among them that told how many tokens."""
    priced: int = 0
    """Those among them of which somebody says what they cost."""

    @classmethod
    def of(cls, calls: Iterable[CallRow]) -> Spending:
        """The sum of rows."""
        return sum((_one(call.usage) for call in calls), UNSPENT)

    @property
    def usd(self) -> float | None:
        """US dollars; None: nobody says."""
        return None if not self.priced else round(self.usage.cost_usd or 0.0, 6)

    @property
    def source(self) -> CostSource:
        """Who says so: `cli`, the agents' own programs; `prices`, a price list has part in it; or nobody."""
        return self.usage.cost_source if self.priced else ""

    @property
    def tokens(self) -> int | None:
        """Read and written; None: no agent has told."""
        return self.usage.tokens if self.counted else None

    @property
    def is_known(self) -> bool:
        """Whether anything is known of tokens or money."""
        return bool(self.counted or self.priced)

    @property
    def is_counted(self) -> bool:
        """Whether the tokens of every call are known."""
        return self.counted == self.calls

    @property
    def is_priced(self) -> bool:
        """Whether the price of every call is known."""
        return self.priced == self.calls

    def __bool__(self) -> bool:
        return bool(self.calls)

    def __add__(self, other: Spending) -> Spending:
        """Both together."""
        return Spending(
            self.usage + other.usage,
            self.calls + other.calls,
            self.counted + other.counted,
            self.priced + other.priced,
        )


UNSPENT: Final = Spending()
"""Nothing was told."""


def _one(usage: Usage) -> Spending:
    return Spending(usage, 1, int(usage.tokens > 0), int(usage.cost_usd is not None))
