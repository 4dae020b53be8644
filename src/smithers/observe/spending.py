"""What agents have cost, in words and as JSON. What nobody has told is `unknown`, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smithers.observe import moment
from smithers.records import Spending

if TYPE_CHECKING:
    from smithers.records import CallRow

LISTED = "~"
"""Stands before money that a price list has a part in."""
AT_LEAST = "+"
"""Stands behind a figure that leaves out what some agent did not tell."""


def money(spent: Spending) -> str:
    """`$0.42`; `~$0.42` by a price list, `$0.42+` at least, `—` unknown; empty where no agent has told."""
    if not spent:
        return ""
    if spent.usd is None:
        return moment.UNKNOWN
    listed = LISTED if spent.source == "prices" else ""
    return f"{listed}{_usd(spent.usd)}{'' if spent.is_priced else AT_LEAST}"


def tokens(spent: Spending) -> str:
    """`812`, `9.3k`, `120k`, `1.2M`; with `+` at least; `—` unknown; empty as with money."""
    if not spent:
        return ""
    if spent.tokens is None:
        return moment.UNKNOWN
    return f"{count(spent.tokens)}{'' if spent.is_counted else AT_LEAST}"


def spent_text(spent: Spending) -> str:
    """`$0.42, 120k tokens`, in words where something is not known."""
    return f"{_money_words(spent)}, {_tokens_words(spent)}"


def tokens_in_full(spent: Spending) -> str:
    """`100k in (60k from a cache), 20k out`; empty: no agent has told."""
    usage = spent.usage
    if spent.tokens is None:
        return ""
    cached = f" ({count(usage.cache_read_tokens)} from a cache)" if usage.cache_read_tokens else ""
    return f"{count(usage.input_tokens)} in{cached}, {count(usage.output_tokens)} out"


def count(number: int) -> str:
    """A number to two or three digits, rounded down: `812`, `9.3k`, `120k`, `1.2M`."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= 10 * unit:
            return f"{number // unit}{name}"
        if number >= unit:
            return f"{number * 10 // unit / 10:g}{name}"
    return str(number)


def spending_document(spent: Spending) -> dict[str, Any] | None:
    """As JSON; None: no agent has told of itself."""
    if not spent:
        return None
    usage, is_known = spent.usage, spent.tokens is not None
    return {
        "usd": spent.usd,
        "source": spent.source or None,
        "tokens": spent.tokens,
        "input_tokens": usage.input_tokens if is_known else None,
        "output_tokens": usage.output_tokens if is_known else None,
        "cache_read_tokens": usage.cache_read_tokens if is_known else None,
        "cache_write_tokens": usage.cache_write_tokens if is_known else None,
        "calls": spent.calls,
        "counted": spent.counted,
        "priced": spent.priced,
    }


def call_document(call: CallRow) -> dict[str, Any]:
    """One of `calls` of an attempt in JSON."""
    return {
        "agent": call.agent,
        "account": call.account,
        "model": call.usage.model or None,
        "session": call.session,
        "continued": call.is_continued,
        "at": moment.iso(call.at_ms),
        "cost": spending_document(Spending.of([call])),
    }


def _usd(amount: float) -> str:
    return "<$0.01" if 0 < amount < 0.01 else f"${amount:,.2f}"


def _money_words(spent: Spending) -> str:
    if spent.usd is None:
        return "cost unknown"
    least = "" if spent.is_priced else "at least "
    return f"{least}{_usd(spent.usd)}{' by list prices' if spent.source == 'prices' else ''}"


def _tokens_words(spent: Spending) -> str:
    if spent.tokens is None:
        return "tokens unknown"
    least = "" if spent.is_counted else "at least "
    return f"{least}{count(spent.tokens)} tokens"
