"""Writes down what the queue gives out: one thread's work, which outlives any fault of the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from smithers.clock import Clock
from smithers.ports import Transcripts
from smithers.records.redaction import credentials, redactor

from .moments import Limits, Moment, Speaker
from .scribe import Draft, Scribe, write_down

_log = logging.getLogger("smithers")


class TranscriptWriter:
    """Used from one thread. Its methods never raise.

    Args:
        open: opens the file; called when there is something to write.
        environment: where credentials are looked for, anew for each conversation.
    """

    def __init__(
        self,
        open: Callable[[], Transcripts],
        clock: Clock,
        environment: Callable[[], Mapping[str, str]],
        limits: Limits,
    ) -> None:
        self._open = open
        self._clock = clock
        self._environment = environment
        self._limits = limits
        self._transcripts: Transcripts | None = None
        self._holding: dict[Scribe, None] = {}
        """Those with a text that may go on."""
        self._variables: tuple[tuple[str, str], ...] = ()
        self._secrets: frozenset[str] = frozenset()
        """Those of these variables."""
        self._broken_until_ms = 0
        self._has_warned = False

    def write(self, moments: list[Moment]) -> None:
        """Write these down, or count them as lost."""
        drafts: list[Draft] = []
        for moment in moments:
            try:
                scribe = moment.speaker.scribe or self._scribe(moment.speaker)
                scribe.hear(moment, drafts)
                self._holding[scribe] = None
            except Exception as error:  # noqa: BLE001 - whatever an event holds, the next one counts
                self._warn(error)
        for scribe in self._holding:
            scribe.pause(drafts)
        self._holding = {scribe: None for scribe in self._holding if scribe.is_holding}
        self._add(drafts)

    def close(self) -> None:
        """Write what still waits for more, and close the file."""
        drafts: list[Draft] = []
        for scribe in self._holding:
            scribe.release(drafts)
        self._add(drafts)
        self._let_go()

    def _scribe(self, speaker: Speaker) -> Scribe:
        variables = tuple(self._environment().items())
        if variables != self._variables:
            self._variables, self._secrets = variables, credentials(dict(variables))
        found = redactor(self._secrets | speaker.secrets)
        speaker.scribe = Scribe(found, speaker.conversation, self._limits)
        return speaker.scribe

    def _add(self, drafts: list[Draft]) -> None:
        try:
            written = write_down(drafts, self._limits)
        except Exception as error:  # noqa: BLE001 - a fault of ours is no run's
            self._warn(error)
            return
        if not written:
            return
        try:
            self._file().add([(scribe.conversation, entries) for scribe, entries in written])
        except Exception as error:  # noqa: BLE001 - runs go on without their transcripts
            for scribe, entries in written:
                scribe.lose(entries)
            if not isinstance(error, _StillBroken):
                self._warn(error)
                self._broken_until_ms = self._clock.monotonic_ms() + self._limits.retry_ms
                self._let_go()

    def _file(self) -> Transcripts:
        if self._transcripts is None:
            if self._clock.monotonic_ms() < self._broken_until_ms:
                raise _StillBroken
            self._transcripts = self._open()
        return self._transcripts

    def _let_go(self) -> None:
        transcripts, self._transcripts = self._transcripts, None
        if transcripts is not None:
            with suppress(Exception):  # what could not be written has been counted
                transcripts.close()

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("what agents say is not recorded, runs go on: %s", error)


class _StillBroken(Exception):
    """The file could not be written a moment ago."""
