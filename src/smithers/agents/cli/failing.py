"""From what a program reports to the class of a failure. Pure."""

from __future__ import annotations

import re
from typing import Final

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentRefusal,
    AgentThrottled,
    AgentUnfit,
)

from .fold import Ending
from .limit import reset_ms
from .line import LINE_LIMIT_BYTES

_STATUS: Final = re.compile(
    r"^\W*(?:\w*error:?\s+|error code:?\s*|(?:got )?status(?: code)?:?\s*)*([45]\d\d)\b", re.IGNORECASE
)
"""What many programs begin with when they tell of a refused request: `429: {…}`, `Error code: 429 - {…}`."""
_QUOTA: Final = re.compile(
    r"insufficient[_ ]quota|exceeded (?:\w+ ){0,4}quota|quota (?:was |is )?(?:exceeded|exhausted)"
    r"|usage[_ ]limit|UsageLimitError|insufficient (?:account )?balance|credit balance"
    r"|out of (?:\w+ )?credits|billing[_ ](?:hard|error|limit)|in arrears|recharge",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"context[_ ](?:length|window)|ContextOverflow|prompt (?:is )?too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    r"content[_ -]filter|safety policy|blocked by (?:the )?(?:provider|safety)", re.IGNORECASE
)
_PASSING: Final = re.compile(
    r"overloaded|too many requests|rate.?limit|internal server error|server[_ ]error|unavailable|try again"
    r"|connect|socket|network|fetch failed|terminated|timed? ?out|empty response|stream ended|peer closed",
    re.IGNORECASE,
)


def of_status(
    status: int | None, text: str, now_ms: int, *, is_quota: bool = False, retry_after_s: float | None = None
) -> AgentError:
    """The error for a request that a provider has refused.

    Args:
        status: of the answer; None: there was none.
        text: what is shown of it, at most 500 characters.
        is_quota: the program says that it is a limit of the account, and not only too much at once.
    """
    shown = " ".join(text.split())[:500] or f"status {status}"
    match status:
        case 401 | 403:
            return AgentAuth(shown, status=status)
        case 402:
            return AgentQuota(shown, status=status, resets_ms=reset_ms(text, now_ms))
        case 429:
            resets = reset_ms(text, now_ms)
            if is_quota:
                return AgentQuota(shown, status=status, resets_ms=resets)
            if retry_after_s is None and resets is not None:
                retry_after_s = (resets - now_ms) / 1000
            return AgentThrottled(shown, status=status, retry_after_s=retry_after_s)
        case 400 | 404 | 413 | 422:
            return AgentUnfit(
                shown, hint="check its model, its options and the length of the prompt", status=status
            )
        case _ if status is None or status >= 500 or status == 408:
            return AgentThrottled(shown, status=status, retry_after_s=retry_after_s)
        case _:
            return AgentError(shown, status=status)


def speaks_of_quota(text: str) -> bool:
    """Whether a provider's refusal is for a limit of the account, and not for too much at once.

    Args:
        text: what the program wrote in place of an answer; never the answer of a model.
    """
    return _QUOTA.search(text) is not None


def of_message(text: str, now_ms: int, *, retry_after_s: float | None = None) -> AgentError:
    """The error for a request that has failed, by nothing but what the program says of it.

    Args:
        text: what the program wrote in place of an answer; never the answer of a model.
    """
    found = _STATUS.search(text)
    status = int(found[1]) if found is not None else None
    shown = " ".join(text.split())[:500]
    if speaks_of_quota(text) and status in (None, 400, 402, 403, 429):
        return AgentQuota(shown, status=status, resets_ms=reset_ms(text, now_ms))
    if status is not None:
        return of_status(status, text, now_ms, retry_after_s=retry_after_s)
    if _TOO_LONG.search(text):
        return AgentUnfit(shown, hint="shorten the prompt, or choose a model with a longer context")
    if _REFUSED.search(text):
        return AgentRefusal(shown)
    if _PASSING.search(text):
        return AgentThrottled(shown, retry_after_s=retry_after_s)
    return AgentError(shown or "it failed without a reason")


def without_result(program: str, ending: Ending, said: str = "") -> AgentError:
    """The error for a program that left without a word of success, which is a failure whatever its exit says.

    Args:
        said: what else it wrote that may say why, shortened to its last lines.
    """
    words = [line.strip() for line in (said or ending.stderr).splitlines() if line.strip()]
    why = f": {' '.join(words[-3:])[:500]}" if words else ""
    left = f"and {ending.exit}" if not ending.was_ended else "and was ended by us"
    # Its last word may have been among them.
    lost = f"; lines longer than {LINE_LIMIT_BYTES >> 20} MiB: {ending.dropped}" if ending.dropped else ""
    return AgentError(f"{program} gave no result {left}{lost}{why}", status=ending.exit.status)
