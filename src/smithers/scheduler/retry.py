"""Whether, and when, a failed attempt is tried again: pure, over the failures so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from smithers.records import FailureClass

UNCOUNTED: Final = frozenset(
    {
        FailureClass.QUOTA,
        FailureClass.THROTTLE,
        FailureClass.AUTH,
        FailureClass.MISSING_BINARY,
        FailureClass.LOST,
    }
)
"""Failures that never use up a retry."""

SAME_FAILURES: Final = 5
SAME_CLASS: Final = 20
SAME_BUGS: Final = 2
LOST_IN_A_ROW: Final = 3
DEFAULT_FIRST_MS: Final = 1_000
DEFAULT_CAP_MS: Final = 300_000


@dataclass(frozen=True, slots=True)
class RetryRule:
    """A task's policy, lowered."""

    retries: int | None = None
    """Counted attempts after the first; None: no limit of its own."""
    is_explicit: bool = False
    """The author chose it: obeyed to the letter, no early end."""
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    first_ms: int = DEFAULT_FIRST_MS
    cap_ms: int = DEFAULT_CAP_MS
    has_jitter: bool = True
    is_agent: bool = True
    """A function that returned what does not fit will do so again; an agent may not."""


class PastFailure(NamedTuple):
    """One failed attempt of the same generation, oldest first."""

    failure: FailureClass
    signature: str
    """What makes two failures the same: see `signature`."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay_ms`."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """No further attempt, and why."""

    reason: str


RetryVerdict: TypeAlias = Again | Stop

_NOISE = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|(?:/[\w.@+-]+)+/?|\d+")


def signature(message: str) -> str:
    """A message without what differs from try to try: digits, hexadecimal words and paths."""
    return _NOISE.sub("#", message)[:500]


def judge_failure(rule: RetryRule, past: Sequence[PastFailure], roll: float) -> RetryVerdict:
    """Decide on the last of `past`.

    Args:
        past: failures of this generation, oldest first, the newest included; at least one.
        roll: random number in [0, 1), for the jitter.
    """
    newest = past[-1]
    if newest.failure is FailureClass.LOST:
        lost = _run_length(past, lambda one: one.failure is FailureClass.LOST)
        if lost >= LOST_IN_A_ROW:
            return Stop(f"cut off {lost} times in a row")
        return Again(0)
    if newest.failure in (FailureClass.AUTH, FailureClass.MISSING_BINARY, FailureClass.FATAL):
        return Stop("trying again cannot help")
    counted = [one for one in past if one.failure not in UNCOUNTED]
    if newest.failure not in UNCOUNTED:
        if rule.retries is not None and len(counted) > rule.retries:
            return Stop("no retries left" if rule.retries else "no retries")
        if not rule.is_explicit and (reason := _is_hopeless(rule, counted)) is not None:
            return Stop(reason)
    tries = len(counted) if newest.failure not in UNCOUNTED else len(past) - len(counted)
    return Again(_delay_ms(rule, max(1, tries), roll))


def _is_hopeless(rule: RetryRule, counted: Sequence[PastFailure]) -> str | None:
    """Why no further try would end differently."""
    newest = counted[-1]
    if newest.failure is FailureClass.BAD_OUTPUT and not rule.is_agent:
        return "the value does not fit its model"
    same = _run_length(counted, lambda one: one == newest)
    if newest.failure is FailureClass.LOGIC and same >= SAME_BUGS:
        return f"the same bug {same} times"
    if same >= SAME_FAILURES:
        return f"the same failure {same} times in a row"
    kind = _run_length(counted, lambda one: one.failure is newest.failure)
    if kind >= SAME_CLASS:
        return f"{kind} failures of the same class in a row"
    return None


def _run_length(past: Sequence[PastFailure], holds: Callable[[PastFailure], bool]) -> int:
    count = 0
    for one in reversed(past):
        if not holds(one):
            break
        count += 1
    return count


def _delay_ms(rule: RetryRule, tries: int, roll: float) -> int:
    match rule.backoff:
        case "fixed":
            delay = rule.first_ms
        case "linear":
            delay = rule.first_ms * tries
        case "exponential":
            # Bound the exponent before the cap: 2 ** 2000 overflows first.
            delay = rule.first_ms * 2 ** min(tries - 1, 32)
    delay = min(delay, rule.cap_ms)
    return round(delay * (0.75 + 0.5 * roll)) if rule.has_jitter else delay


def rung(past: Sequence[PastFailure], chain: int) -> int:
    """Which agent of a chain makes the next attempt: one further per counted failure, then the last."""
    counted = sum(one.failure not in UNCOUNTED for one in past)
    return min(counted, chain - 1)
