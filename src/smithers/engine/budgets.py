"""What the agents of a run have spent, under each budget: put aside before a call, settled after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from smithers.ids import NodeKey
from smithers.nodes import Budget
from smithers.nodes.budget import OnExceeded
from smithers.records import NOTHING, WHOLE_RUN, BudgetRow
from smithers.scheduler.vertex import Leaf, SequenceVertex

if TYPE_CHECKING:
    from .draft import Draft
    from .job import Job

HOLD_MS: Final = 250
"""How long a call is held back while what is in flight may use up what is left."""


class Limits(NamedTuple):
    """What may be spent; None: any amount."""

    tokens: int | None = None
    cost_micros: int | None = None
    active_ms: int | None = None
    calls: int | None = None
    on_exceeded: OnExceeded = "ask"

    @classmethod
    def of(cls, budget: Budget) -> Limits:
        micros = None if budget.usd is None else round(budget.usd * 1e6)
        active = None if budget.minutes is None else round(budget.minutes * 60_000)
        return cls(budget.tokens, micros, active, budget.calls, budget.on_exceeded)


@dataclass(frozen=True, slots=True)
class Exceeded:
    """There is nothing left for another call."""

    key: NodeKey
    limits: Limits
    text: str
    """`usd: 5.02 of 5.00`."""

    @property
    def name(self) -> str:
        return "the run's budget" if self.key == WHOLE_RUN else f"budget {self.key}"


@dataclass(frozen=True, slots=True)
class Held:
    """There may be nothing left when what is in flight has ended."""


@dataclass(slots=True)
class Reserved:
    """What one attempt has put aside, by budget."""

    tokens: int
    cost_micros: int


@dataclass(slots=True)
class _Account:
    """One budget, as this owner knows it."""

    row: BudgetRow
    in_flight: set[NodeKey] = field(default_factory=set)
    has_seen_one: bool = False
    """A call under it has ended, so that something is known of what calls cost."""
    since_ms: int = 0
    """Since when its time runs, while something is in flight."""

    def active_ms(self, now_ms: int) -> int:
        return self.row.active_ms + (max(0, now_ms - self.since_ms) if self.in_flight else 0)


class Budgets:
    """The budgets of one run. From the engine's thread.

    Args:
        whole: what the run itself may spend.
        slots: how many of its attempts may run at once.
    """

    def __init__(self, whole: Limits, slots: int) -> None:
        self._whole = whole
        self._slots = slots
        self._accounts: dict[NodeKey, _Account] = {}
        self._warned: set[NodeKey] = set()

    def restore(self, rows: Iterable[BudgetRow]) -> None:
        """Take the rows as they are stored."""
        for row in rows:
            self._accounts[row.key] = _Account(row)

    def take_over(self, other: Budgets, jobs: Iterable[Job]) -> None:
        """Go on with attempts that run in this process, under the stored rows."""
        for job in jobs:
            for key in job.reserved:
                account, before = self._account(key), other._accounts.get(key)
                account.in_flight.add(job.key)
                account.since_ms = before.since_ms if before is not None else job.started_ms
        self._warned |= other._warned

    def look(self, leaf: Leaf, now_ms: int) -> Exceeded | Held | None:
        """Whether a task's agent may be asked: the outermost budget that has a word against it; None: yes."""
        held: Held | None = None
        for key, limits in reversed([*self._around(leaf)]):
            found = self._look(key, limits, now_ms)
            if isinstance(found, Exceeded):
                return found
            held = held or found
        return held

    def _look(self, key: NodeKey, limits: Limits, now_ms: int) -> Exceeded | Held | None:
        account = self._accounts.get(key)
        if account is None:
            return None
        row = account.row
        spent = (
            ("tokens", row.tokens, limits.tokens, 1, "d"),
            ("usd", row.cost_micros, limits.cost_micros, 1e6, ".2f"),
            ("minutes", account.active_ms(now_ms), limits.active_ms, 60_000, ".1f"),
            ("calls", row.calls, limits.calls, 1, "d"),
        )
        for name, value, limit, unit, form in spent:
            if limit is not None and value >= limit:
                if account.in_flight and name in ("tokens", "usd"):
                    return Held()  # part of it is only put aside
                shown = [_shown(one / unit, form) for one in (value, limit)]
                return Exceeded(key, limits, f"{name}: {shown[0]} of {shown[1]}")
        return None

    def begin(self, draft: Draft, job: Job, leaf: Leaf) -> None:
        """An attempt is about to ask an agent: put aside what it may cost."""
        for key, limits in self._around(leaf):
            account = self._account(key)
            row = account.row
            reserved = job.reserved[key] = self._foresee(account, limits)
            if not account.in_flight:
                account.since_ms = draft.now_ms
            account.in_flight.add(job.key)
            account.row = row._replace(
                tokens=row.tokens + reserved.tokens,
                cost_micros=row.cost_micros + reserved.cost_micros,
                calls=row.calls + 1,
            )
            # Without limits, and before anything was spent, there is nothing that a crash could forget.
            if key != WHOLE_RUN or self._whole != Limits() or reserved != Reserved(0, 0):
                draft.write.budgets.append(account.row)

    def _foresee(self, account: _Account, limits: Limits) -> Reserved:
        """What a call may cost: as much as the largest so far.

        Before the first one has ended nobody knows. Then it is a slot's share of the limit: whoever dies
        again and again before that spends no more than the first calls can.
        """
        row = account.row
        if account.has_seen_one or row.largest_tokens or row.largest_micros:
            return Reserved(row.largest_tokens, row.largest_micros)
        return Reserved((limits.tokens or 0) // self._slots, (limits.cost_micros or 0) // self._slots)

    def end(self, draft: Draft, job: Job) -> list[NodeKey]:
        """An attempt has ended: what was put aside becomes what was spent.

        Returns:
            Budgets of money that cannot see what the call has cost, the first time each.
        """
        used = sum((call.usage for call in job.calls), NOTHING)
        micros = round((used.cost_usd or 0) * 1e6)
        is_unpriced = used.tokens > 0 and used.cost_usd is None
        blind = []
        for key, reserved in job.reserved.items():
            account = self._account(key)
            row = account.row
            active_ms = account.active_ms(draft.now_ms)
            account.in_flight.discard(job.key)
            account.has_seen_one |= job.asked > 0
            account.since_ms = draft.now_ms
            account.row = row._replace(
                tokens=max(0, row.tokens - reserved.tokens) + used.tokens,
                cost_micros=max(0, row.cost_micros - reserved.cost_micros) + micros,
                calls=max(0, row.calls - 1 + job.asked),
                active_ms=active_ms,
                largest_tokens=max(row.largest_tokens, used.tokens),
                largest_micros=max(row.largest_micros, micros),
                unpriced=row.unpriced + is_unpriced,
            )
            if key != WHOLE_RUN or used or self._whole != Limits():
                draft.write.budgets.append(account.row)
            if is_unpriced and row.unpriced == 0:
                blind.append(key)
        job.reserved.clear()
        return blind

    def spent_usd(self) -> float:
        """What the whole run has spent, what is put aside for calls in flight included."""
        account = self._accounts.get(WHOLE_RUN)
        return 0.0 if account is None else account.row.cost_micros / 1e6

    @property
    def limit_usd(self) -> float | None:
        """What it may spend; None: any amount."""
        micros = self._whole.cost_micros
        return None if micros is None else micros / 1e6

    def warns(self, exceeded: Exceeded) -> bool:
        """Whether nobody was told of it yet."""
        if exceeded.key in self._warned:
            return False
        self._warned.add(exceeded.key)
        return True

    def limits_money(self, key: NodeKey, leaf: Leaf | None) -> bool:
        """Whether a budget around a task has a limit in money."""
        if leaf is None:
            return key == WHOLE_RUN and self._whole.cost_micros is not None
        return any(one == key and limits.cost_micros is not None for one, limits in self._around(leaf))

    def _around(self, leaf: Leaf) -> Iterator[tuple[NodeKey, Limits]]:
        """Budgets around a task, the innermost first; the run's own comes last."""
        above = leaf.parent
        while above is not None:
            payload = above.plan.payload if isinstance(above, SequenceVertex) else None
            if isinstance(payload, Budget):
                yield above.key, Limits.of(payload)
            above = above.parent
        yield WHOLE_RUN, self._whole

    def _account(self, key: NodeKey) -> _Account:
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = _Account(BudgetRow(key))
        return found


def _shown(amount: float, form: str) -> str:
    return format(round(amount), form) if form == "d" else format(amount, form)
