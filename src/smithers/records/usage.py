"""What a call of a model cost: tokens, and money where somebody says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

CostSource: TypeAlias = Literal["", "cli", "prices"]
"""Who says what it cost: nobody, the agent's own program, or a list of prices."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of one call, or of several taken together."""

    input_tokens: int = 0
    """All that was read, what came from a cache or went into it included."""
    output_tokens: int = 0
    """All that was written, reasoning included."""
    cache_read_tokens: int = 0
    """Those of the input that came from a cache."""
    cache_write_tokens: int = 0
    """Those of the input that were put into a cache."""
    cost_usd: float | None = None
    """US dollars; None: nobody says."""
    cost_source: CostSource = ""
    model: str = ""
    """Of the model that was asked, as its provider names it; empty: unknown, or several."""

    @property
    def tokens(self) -> int:
        """Everything read and written."""
        return self.input_tokens + self.output_tokens

    def __bool__(self) -> bool:
        return bool(self.input_tokens or self.output_tokens or self.cost_usd)

    def __add__(self, other: Usage) -> Usage:
        """Both together. A price list's figure in one of them makes the sum one of a price list."""
        if not other:
            return self
        if not self:
            return other
        costs = [one.cost_usd for one in (self, other) if one.cost_usd is not None]
        sources = {one.cost_source for one in (self, other)} - {""}
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            sum(costs) if costs else None,
            "prices" if "prices" in sources else "cli" if sources else "",
            self.model if self.model == other.model else "",
        )

    def since(self, before: Usage) -> Usage:
        """What has been added since a counter stood at `before`; never less than nothing.

        A counter that stands lower than it did has begun anew: then all of it has been added.
        """
        if self.tokens < before.tokens:
            before = Usage()
        cost = self.cost_usd
        if cost is not None and before.cost_usd is not None:
            cost = max(0.0, cost - before.cost_usd)
        return Usage(
            max(0, self.input_tokens - before.input_tokens),
            max(0, self.output_tokens - before.output_tokens),
            max(0, self.cache_read_tokens - before.cache_read_tokens),
            max(0, self.cache_write_tokens - before.cache_write_tokens),
            cost,
            self.cost_source,
            self.model,
        )


NOTHING: Final = Usage()
"""What costs nothing."""
