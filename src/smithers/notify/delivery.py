"""Delivers what is due: claims a notice, sends it by each way, and stores what became of it.

At least once: a notice counts as sent when all ways have taken it and that is stored. If its process dies
before that, it is sent again, by the ways that are not noted yet, once the claim has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Final

from smithers.clock import Clock, SystemClock
from smithers.errors import NotDelivered, SmithersError
from smithers.notify.letter import Letter, letter_of
from smithers.notify.link_key import read_link_key
from smithers.notify.setting import Settings, load_settings
from smithers.notify.way import Way, ways_of
from smithers.records import NoticeRow
from smithers.store.notice import LONGEST_MS, Backlog, SqliteNotices
from smithers.store.sqlite import open_store

_log = logging.getLogger("smithers")

FIRST_DELAY_MS: Final = 1_000
"""How long after a first failure a notice is tried again; twice as long each time, up to `LONGEST_MS`."""
LIFE_MS: Final = 86_400_000
"""A notice that fails at this age is given up."""
_TOLD_AT: Final = 3
"""After so many failures before, one more is worth a line; a process that leaves says it anyway."""
_SLACK_MS: Final = 5_000
"""How much longer than its ways may take a notice is claimed."""

StillStands = Callable[[NoticeRow], bool]


class Delivery:
    """From one thread.

    Args:
        store: the database file.
        still_stands: whether what a notice asks for is still open; default: what the outbox says.
        ways: default: those that are configured.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: SqliteNotices,
        store: Path,
        clock: Clock,
        *,
        still_stands: StillStands | None = None,
        ways: Sequence[Way] | None = None,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._store = store
        self._clock = clock
        self._still_stands = still_stands or outbox.still_stands
        self._ways = ways_of(settings) if ways is None else ways
        self._has_warned = False

    def deliver_due(self, stop: Event) -> None:
        """Deliver what is due now, the oldest first; a notice that fails holds up no other.

        Args:
            stop: set when there is no time left.
        Raises:
            StoreError: the outbox cannot be used.
        """
        while not stop.is_set() and (notice := self._outbox.due(self._clock.now_ms())) is not None:
            limits_ms = round(sum(way.limit_s for way in self._ways) * 1000)
            until_ms = self._clock.now_ms() + min(limits_ms + _SLACK_MS, LONGEST_MS)
            if self._outbox.claim(notice, until_ms):
                self._deliver(notice, until_ms, stop)

    def _deliver(self, notice: NoticeRow, claimed_ms: int, stop: Event) -> None:
        if not self._still_stands(notice):
            self._outbox.void(notice)
            return
        failed = self._send(notice, stop)
        now_ms = self._clock.now_ms()
        if not failed:
            self._outbox.settle(notice, now_ms)
            return
        error = "; ".join(failed)
        next_ms = now_ms if stop.is_set() else self._next_ms(notice, now_ms)
        if self._outbox.put_off(notice, claimed_ms, next_ms, error):
            self._tell(notice, next_ms, error)

    def _send(self, notice: NoticeRow, stop: Event) -> list[str]:
        """Send it by each way that has not taken it yet; why those failed that will be asked again."""
        try:
            letter = letter_of(notice, self._settings.url, lambda: read_link_key(self._store))
        except SmithersError as error:
            return [error.message]
        failed, taken = list[str](), list(notice.taken)
        for way in self._ways:
            if way.name in taken:
                continue
            why = try_way(way, letter, stop)
            if why is None:
                taken.append(way.name)
                self._outbox.note_taken(notice, taken)
            elif way.is_owed:
                failed.append(why)
            else:
                _log.debug("a notice of %s: %s", notice.run_name, why)
        return failed

    def _next_ms(self, notice: NoticeRow, now_ms: int) -> int | None:
        if now_ms - notice.at_ms >= LIFE_MS:
            return None
        # Bound the exponent before the cap: it grows for a day.
        return now_ms + min(LONGEST_MS, FIRST_DELAY_MS << min(notice.tries, 20))

    def _tell(self, notice: NoticeRow, next_ms: int | None, error: str) -> None:
        about = f"{notice.kind.value} {notice.key}" if notice.key is not None else notice.kind.value
        what = f"the notice of {notice.run_name} ({about})"
        if next_ms is None:
            _log.warning("%s was given up after %s tries: %s", what, notice.tries + 1, error)
        elif notice.tries >= _TOLD_AT and not self._has_warned:
            self._has_warned = True
            _log.warning("%s is not delivered yet: %s; it is tried again", what, error)


def try_way(way: Way, letter: Letter, stop: Event) -> str | None:
    """Why a way has failed; None: it has not."""
    try:
        way.send(letter, stop)
    except NotDelivered as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - a fault of ours in one way must not stop the others
        return f"the {way.name} raised {type(error).__name__}"  # not its text: a secret may stand in it
    return None


def deliver_due(
    store: Path,
    *,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
    still_stands: StillStands | None = None,
    stop: Event | None = None,
    at_once: bool = False,
) -> Backlog | None:
    """Deliver what is due in a store, whoever has written it; what is left afterwards.

    For a process that drives no run. It may be called as often as you like, and beside any number of engines.

    Args:
        store: the database file, which is there.
        environment: where `secret_env` is looked up; default: this process'.
        still_stands: as for `Delivery`.
        stop: ends it before its time.
        at_once: what has failed and is put off is due, too.
    Returns:
        None: nobody wants notices.
    Raises:
        NotifyInvalid: the configuration is not what it should be.
        StoreError: the store cannot be used.
    """
    settings = load_settings(store, environment)
    if settings is None:
        return None
    clock = clock or SystemClock()
    opened = open_store(store, clock=clock, create=False)
    with closing(opened.notices()) as outbox:
        if at_once:
            outbox.hurry()
        Delivery(settings, outbox, store, clock, still_stands=still_stands).deliver_due(stop or Event())
        return outbox.backlog(clock.now_ms())
