"""Which runs should go on, and which are left alone for now. Pure: rows and the time in, choices out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from smithers.records import OwnerHealth, Revival, RunState, Standing

DEATHS: Final = 3
"""An owner that is lost so often in a row, and nothing has settled in between: the run is left alone."""
FIRST_PAUSE_MS: Final = 60_000
LONGEST_PAUSE_MS: Final = 3_600_000


class Why(Enum):
    """Why a run should go on."""

    OWNER_DIED = "owner-died"
    OWNER_SILENT = "owner-silent"
    """Its owner has not renewed its lease in time."""
    LEFT = "left"
    """Its owner gave it up in mid-run: it was ended in order, or its store had failed."""
    DUE = "due"
    """It waited for a time, which has come."""
    MESSAGE = "message"
    """Somebody has decided something, or wrote to it."""
    CANCEL = "cancel"
    """It was cancelled, and owes last parts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A run that should go on."""

    standing: Standing
    why: Why
    since_ms: int
    """Since when there is that reason; of a lost owner: since nothing was stored any more."""
    lost: Revival | None
    """How often it was lost in a row, the present loss included; None: never since something settled."""
    held_until_ms: int | None
    """It is left alone until then, by the wall clock; None: it may go on now."""


def choose(standings: Iterable[Standing], now_ms: int) -> list[Choice]:
    """The runs that should go on, in the order they came."""
    found: list[Choice] = []
    for one in standings:
        reason = reason_of(one, now_ms)
        if reason is not None:
            lost = lost_by(one, now_ms)
            found.append(Choice(one, *reason, lost, held_until_ms(lost, now_ms)))
    return found


def reason_of(one: Standing, now_ms: int) -> tuple[Why, int] | None:
    """Why a run should go on, and since when; None: somebody drives it, or it waits for somebody."""
    if one.health is OwnerHealth.ALIVE:
        return None
    match one.state:
        case RunState.RUNNING:
            return _LOST[one.health], one.moved_ms
        case RunState.WAITING if one.message_ms is not None:
            return Why.MESSAGE, one.message_ms
        case RunState.WAITING if one.due_ms is not None and one.due_ms <= now_ms:
            return Why.DUE, one.due_ms
        # Somebody paused it, and it stays so; but a cancel that came since wants its last parts run.
        case RunState.PAUSED if one.cancel_ms is not None:
            return Why.CANCEL, one.cancel_ms
        case _:
            return None


def lost_by(one: Standing, now_ms: int) -> Revival | None:
    """How often a run was lost in a row by now; what is not on record of that is to be stored.

    Each owner is counted once: by its fence, however many look.
    """
    before = one.revival
    if before is not None and before.settled != one.settled:
        before = None
    is_lost = one.owner is not None or one.state is RunState.RUNNING
    # The last that is on record may be of the process that could not resume it, and has given it back.
    if not is_lost or (before is not None and before.fence == one.fence):
        return before
    return count_loss(one.revival, one.fence, one.settled, now_ms)


def count_loss(
    before: Revival | None, fence: int, settled: int, now_ms: int, why: str | None = None
) -> Revival:
    """One more loss of a run.

    Args:
        before: what is on record.
        fence: of the owner that is lost.
        settled: tasks that have settled by now.
        why: it could not be resumed.
    """
    if before is None or before.settled != settled:
        return Revival(fence, 1, now_ms, settled, why)
    if before.fence == fence:
        return before._replace(why=why)  # the same, told in more detail
    return Revival(fence, before.deaths + 1, now_ms, settled, why)


def held_until_ms(lost: Revival | None, now_ms: int) -> int | None:
    """Until when a run is left alone; None: it is not."""
    if lost is None or lost.deaths < DEATHS or lost.at_ms > now_ms:  # the last: the clock was set back since
        return None
    until_ms = lost.at_ms + pause_ms(lost.deaths)
    return until_ms if until_ms > now_ms else None


def pause_ms(deaths: int) -> int:
    """How long a run is left alone: a minute after the third loss in a row, then twice as long each time."""
    # The exponent is bounded before the power: one that is never resumed by hand counts on for years.
    return min(FIRST_PAUSE_MS << min(deaths - DEATHS, 10), LONGEST_PAUSE_MS)


_LOST: Final = {
    OwnerHealth.DEAD: Why.OWNER_DIED,
    OwnerHealth.EXPIRED: Why.OWNER_SILENT,
    OwnerHealth.NONE: Why.LEFT,
}
