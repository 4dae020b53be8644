"""What tokens cost where the agent's own program does not say: by the public price lists in `genai-prices`.

Only the lists that came with that package are read; nothing is downloaded, and its own updates are not turned
on. It is imported when the first price is asked for (a tenth of a second), never at start-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from smithers.records import Usage

_SCALE: Final = 10**6
"""Some models cost more per token once a request is long. What is priced here is the sum of many requests, of
which none need have been: a millionth of it is priced, times a million, so that no such length is reached."""


def priced(usage: Usage, model: str | None, provider_hint: str | None, *, now_ms: int | None = None) -> Usage:
    """The same usage with what it costs; as it is if its cost is known already, or nobody knows its price.

    It is a list price: what a subscription or a contract makes of it is not known here.

    Args:
        model: as its provider names it, or as `provider/model`; None: the usage's own.
        provider_hint: `openai`, `anthropic`, `google`: whose list it is; None: the name of the model says so.
        now_ms: wall clock whose prices count; None: now.
    """
    name = model or usage.model
    if usage.cost_usd is not None or not name or not usage.tokens:
        return usage
    cost = _cost(usage, name, provider_hint, now_ms)
    return usage if cost is None else replace(usage, cost_usd=cost, cost_source="prices")


def _cost(usage: Usage, model: str, provider: str | None, now_ms: int | None) -> float | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    # Counters of programs may not add up; the parts of a whole are never more than it.
    read = min(usage.cache_read_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - read)
    tokens = Tokens(
        input_tokens=_part(usage.input_tokens),
        cache_read_tokens=_part(read),
        cache_write_tokens=_part(written),
        output_tokens=_part(usage.output_tokens),
    )
    at = None if now_ms is None else datetime.fromtimestamp(now_ms / 1000, UTC)
    for whose, which in _candidates(model, provider):
        try:
            found = calc_price(tokens, which, provider_id=whose, genai_request_timestamp=at)
        except (LookupError, ValueError):
            continue
        return float(found.total_price * _SCALE)
    return None


def _candidates(model: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """Provider and model, as they may be listed; a provider that was named is never guessed to be another."""
    prefix, slash, rest = model.partition("/")
    if provider is not None:
        yield provider, model
    if slash:
        yield prefix, rest
    elif provider is None:
        yield None, model


def _part(tokens: int) -> Decimal:
    return Decimal(max(0, tokens)) / _SCALE
