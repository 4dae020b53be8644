"""What agents were asked, and whose limits are used up, on a connection of its own."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from smithers.clock import Clock
from smithers.ids import NodeKey
from smithers.records import AttemptState, BudgetRow, CallRow, ChildSpent, FailureClass, ParkedAccount, Usage
from smithers.records.usage import CostSource
from smithers.store.patient import Patient
from smithers.store.queries import statements

if TYPE_CHECKING:
    from random import Random

_SOURCES: Final[tuple[CostSource, ...]] = ("", "cli", "prices")


class SqliteCalls:
    """Implements `ports.Calls`. From any thread.

    Without a sync of the disk, as the ledger: what an agent tells in the middle of its work must not wait
    for the engine's thread, and what the attempt has cost is stored again by the frame that settles it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        *,
        random: Random | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a connection whose busy timeout is 0: waiting is done here."""
        self._patient = Patient(connection, path, clock, random=random, pause=pause)
        self._clock = clock
        self._sql = statements("call")
        # A checkpoint syncs the disk: that is the writer's affair.
        with self._patient.looking():
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def note(self, run: int, fence: int, call: CallRow) -> None:
        """Store what is known of a call by now; nothing, if a newer owner drives the run.

        Raises:
            StoreError: it is not stored.
        """
        with self._patient.transaction() as execute:
            execute(self._sql["note"], call_values(run, fence, call))

    def of_node(self, run: int, key: NodeKey, generation: int | None) -> list[CallRow]:
        """Calls of one node's generation, or of all, the newest first, with how their attempts ended.

        Raises:
            StoreError: they cannot be read.
        """
        values = {**key._asdict(), "run": run, "generation": generation}
        with self._patient.looking() as connection:
            return call_rows(connection.execute(self._sql["of_node"], values))

    def park(self, account: str, until_ms: int | None, reason: str, *, first_ms: int, cap_ms: int) -> int:
        """Let nothing of an account be asked for a while; returns the end of that, in wall-clock ms.

        Args:
            until_ms: wall clock of the reset; None: nobody knows, and then it is `first_ms` from now, and
                twice as long each time in a row, at most `cap_ms`.
        Raises:
            StoreError: it is not stored.
        """
        now_ms = self._clock.now_ms()
        with self._patient.transaction() as execute:
            row = execute(self._sql["account"], (account,)).fetchone()
            before = ParkedAccount(*row) if row is not None else None
            strikes = 0
            if until_ms is None:
                if before is not None and before.until_ms > now_ms:
                    return before.until_ms  # of several calls that met the same limit, one knows its end
                recent = before is not None and now_ms - before.until_ms <= cap_ms
                strikes = (before.strikes if before is not None and recent else 0) + 1
                until_ms = now_ms + min(cap_ms, first_ms * 2 ** min(strikes - 1, 20))
            values = {
                "account": account,
                "until_ms": until_ms,
                "now_ms": now_ms,
                "strikes": strikes,
                "reason": reason,
            }
            execute(self._sql["park"], values)
        return until_ms

    def accounts(self) -> list[ParkedAccount]:
        """Accounts that have met a limit, those whose time has passed too.

        Raises:
            StoreError: they cannot be read.
        """
        with self._patient.looking() as connection:
            return account_rows(connection)

    def release(self, account: str) -> bool:
        """Let an account be asked again at once; False: nothing is known of it.

        Raises:
            StoreError: it is not stored.
        """
        with self._patient.transaction() as execute:
            return bool(execute(self._sql["release"], (account,)).rowcount)

    def close(self) -> None:
        """Close the connection."""
        self._patient.close()


def account_rows(connection: sqlite3.Connection) -> list[ParkedAccount]:
    """As `SqliteCalls.accounts`, on any connection."""
    return [ParkedAccount(*row) for row in connection.execute(statements("call")["accounts"])]


def budget_rows(connection: sqlite3.Connection, run: int) -> list[BudgetRow]:
    """What has been spent under the budgets of a run; nothing, in a store from before there were any."""
    if connection.execute(statements("run")["has_table"], ("smithers_budgets",)).fetchone() is None:
        return []
    rows = connection.execute(statements("call")["budgets"], (run,))
    return [BudgetRow(NodeKey(node, scope, iteration), *rest) for node, scope, iteration, *rest in rows]


def children_spent(connection: sqlite3.Connection, run: int) -> list[ChildSpent]:
    """What each child run of a run has spent; nothing, in a store from before there were budgets."""
    if connection.execute(statements("run")["has_table"], ("smithers_budgets",)).fetchone() is None:
        return []
    rows = connection.execute(statements("call")["spent_by_children"], {"run": run})
    return [
        ChildSpent(name, NodeKey(node, scope, iteration), *rest)
        for name, node, scope, iteration, *rest in rows
    ]


def call_values(run: int, fence: int, call: CallRow) -> dict[str, Any]:
    """What the statement that notes a call takes."""
    usage = call.usage
    counted = call.counted
    return {
        "run": run,
        "fence": fence,
        **call.key._asdict(),
        "generation": call.generation,
        "attempt": call.attempt,
        "rank": call.rank,
        "agent": call.agent,
        "account": call.account,
        "model": usage.model,
        "session": call.session,
        "is_continued": int(call.is_continued),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost_micros": _micros(usage.cost_usd),
        "cost_source": _SOURCES.index(usage.cost_source),
        "counted": None if counted is None else json.dumps(_numbers(counted), separators=(",", ":")),
        "at_ms": call.at_ms,
    }


def call_rows(rows: Iterable[tuple[Any, ...]]) -> list[CallRow]:
    """Rows as the statements give them."""
    return [_call(row) for row in rows]


def _call(row: tuple[Any, ...]) -> CallRow:
    (node, scope, iteration, generation, attempt, rank, agent, account, model, session, is_continued,
     read, written, cached, kept, micros, source, counted, at_ms, state, failure) = row  # fmt: skip
    cost = None if micros is None else micros / 1e6
    return CallRow(
        NodeKey(node, scope, iteration),
        generation,
        attempt,
        rank,
        agent,
        account,
        session,
        bool(is_continued),
        Usage(read, written, cached, kept, cost, _SOURCES[source], model),
        None if counted is None else Usage(*json.loads(counted)),
        at_ms,
        None if state is None else AttemptState(state),
        None if failure is None else FailureClass(failure),
    )


def _numbers(usage: Usage) -> list[Any]:
    return [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cost_usd,
    ]


def _micros(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1e6)
