"""What the agents of one engine have in common: who is parked until when, and who was asked what."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from smithers.clock import Clock
from smithers.errors import SmithersError, StoreError
from smithers.ports import Agent

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.ports import Calls
    from smithers.records import CallRow

    from .transcript import TranscriptRecorder

_log = logging.getLogger("smithers")

FIRST_PARK_MS: Final = 60_000
"""How long an account is left alone that has met a limit whose end nobody knows; twice as long each time."""
LATE_PARK_MS: Final = 1_000
"""The same for one whose limit should have ended by now."""
LONGEST_PARK_MS: Final = 3_600_000
"""… up to this."""


def _first_ms(resets_ms: int | None) -> int:
    return FIRST_PARK_MS if resets_ms is None else LATE_PARK_MS


def has_account(agent: Agent) -> bool:
    """Whether an agent says whose limits it uses up."""
    found: Any = getattr(agent, "account", None)
    return isinstance(found, str) and bool(found)


def account_of(agent: Agent) -> str:
    """Whose limits an agent uses up."""
    return str(getattr(agent, "account", "")) if has_account(agent) else agent.name


class Out:
    """Agents that a run asks no more, as nobody has signed in to them, or they are not installed. From any
    thread.

    It ends with the process: whoever resumes the run may have seen to it.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, SmithersError] = {}
        self._agents: dict[int, tuple[Agent, SmithersError]] = {}
        """By their `id`, which stays theirs while they are held here: names need not be unique."""

    def add(self, agent: Agent, error: SmithersError, *, is_alone: bool = False) -> None:
        """Let an agent be asked no more.

        Args:
            is_alone: it says nothing about others of its account.
        """
        self._agents[id(agent)] = (agent, error)
        if not is_alone and has_account(agent):
            self._accounts[account_of(agent)] = error

    def why(self, agent: Agent) -> SmithersError | None:
        """Why an agent is not asked; None: it is."""
        found = self._agents.get(id(agent))
        return found[1] if found is not None else self._accounts.get(account_of(agent))


class Desk:
    """From any thread. What it looks up blocks.

    Args:
        open_calls: called when an agent is first asked; None: nothing is stored, as in a rehearsal.
        recorder: keeps what agents are asked and say; None: nobody does.
    """

    def __init__(
        self,
        clock: Clock,
        open_calls: Callable[[], Calls] | None = None,
        recorder: TranscriptRecorder | None = None,
    ) -> None:
        self.recorder = recorder
        self.clock = clock
        self._open_calls = open_calls
        self._lock = threading.Lock()
        self._calls: Calls | None = None
        self._until: dict[str, int] = {}
        """Accounts that are parked, as far as this process knows: wall clock of their reset, in ms."""
        self.has_looked = False
        """Somebody has asked an agent."""
        self._has_warned = False

    @property
    def has_store(self) -> bool:
        """Whether a look may block."""
        return self._open_calls is not None

    # --- Parked accounts ------------------------------------------------------------------------

    def until_ms(self, account: str) -> int | None:
        """Wall clock at which an account may be asked again, as far as this process knows; None: now."""
        found = self._until.get(account)
        return found if found is not None and found > self.clock.now_ms() else None

    def look(self) -> None:
        """Learn what other processes have found out of accounts, as far as the store can be read."""
        self.has_looked = True
        try:
            calls = self._opened()
            if calls is not None:
                self._until = {row.account: row.until_ms for row in calls.accounts()}
        except SmithersError as error:
            _log.debug("parked accounts are not known: %s", error)

    def look_again(self) -> bool:
        """The same, if any agent was asked here; whether anything has changed."""
        before = self._until
        if self.has_looked:
            self.look()
        return before != self._until

    def mark(self, account: str, resets_ms: int | None) -> int:
        """Let nothing of an account be asked by this process from now on; wall clock of its reset, in ms.

        Args:
            resets_ms: wall clock; None: nobody knows.
        """
        now_ms = self.clock.now_ms()
        if resets_ms is None or resets_ms <= now_ms:
            resets_ms = now_ms + _first_ms(resets_ms)
        self._until[account] = max(self._until.get(account, 0), resets_ms)
        return self._until[account]

    def park(self, account: str, resets_ms: int | None, reason: str) -> int:
        """Let nothing of an account be asked before its reset, by any run; wall clock of that, in ms.

        Args:
            resets_ms: wall clock; None: nobody knows. One that has passed is hardly true, or clocks differ.
        """
        first_ms = _first_ms(resets_ms)
        if resets_ms is not None and resets_ms <= self.clock.now_ms():
            resets_ms = None
        marked_ms = self.mark(account, resets_ms)
        calls = self._opened()
        if calls is None:
            return marked_ms
        until_ms = calls.park(account, resets_ms, reason, first_ms=first_ms, cap_ms=LONGEST_PARK_MS)
        self._until[account] = until_ms
        return until_ms

    # --- Calls ----------------------------------------------------------------------------------

    def note(self, run: int, fence: int, call: CallRow) -> None:
        """Store what is known of a call by now. What goes wrong is told once, and stops no agent."""
        calls = self._opened()
        if calls is None:
            return
        try:
            calls.note(run, fence, call)
        except SmithersError as error:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("an agent's conversation is not noted, and cannot be continued: %s", error)

    def calls_of(self, run: int, key: NodeKey, generation: int | None) -> list[CallRow]:
        """Calls of a node, the newest first: of one generation, or of all."""
        calls = self._opened()
        return [] if calls is None else calls.of_node(run, key, generation)

    def _opened(self) -> Calls | None:
        if self._open_calls is None:
            return None
        with self._lock:
            if self._calls is None:
                self._calls = self._open_calls()
            return self._calls

    def close(self) -> None:
        """Close the connection; whoever looks afterwards finds nothing."""
        with self._lock:
            self._open_calls = None
            calls, self._calls = self._calls, None
        if self.recorder is not None:
            self.recorder.close()
        if calls is not None:
            try:
                calls.close()
            except StoreError as error:
                _log.debug("closing the store: %s", error)
