"""From what a program reports to the class of a failure. Pure."""

from __future__ import annotations

from smithers.errors import (
    AgentAuth,
    AgentError,
    AgentQuota,
    AgentThrottled,
    AgentUnfit,
)

from .fold import Ending
from .limit import reset_ms
from .line import LINE_LIMIT_BYTES


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
