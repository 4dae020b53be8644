"""What the agents of a run have spent, under each budget: put aside before a call, settled after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from smithers.ids import NodeKey
from smithers.nodes import Budget
from smithers.nodes.budget import OnExceeded
from smithers.records import NOTHING, WHOLE_RUN, BudgetRow, ChildSpent
from smithers.scheduler.vertex import Leaf, SequenceVertex

if TYPE_CHECKING:
    from .draft import Draft
    from .job import Job

HOLD_MS: Final = 250
"""How long a call is held back while what is in flight may use up what is left."""


class Outer(NamedTuple):
    """Where a child run stands: what it spends is spent under the budgets around that, too."""

    budgets: Callable[[], Budgets | None]
    """Its parent's; None: nobody drives it any more."""
    node: NodeKey


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
    owner: Budgets
    """Of this run, or of one that it is a child of."""
    is_own: bool

    @property
    def name(self) -> str:
        name = "the run's budget" if self.key == WHOLE_RUN else f"budget {self.key}"
        return name if self.is_own else f"{name} (of {self.owner.run})"


@dataclass(frozen=True, slots=True)
class Held:
    """There may be nothing left when what is in flight has ended."""


@dataclass(slots=True)
class Reserved:
    """What one attempt has put aside, by budget."""

    tokens: int
    cost_micros: int


_NOTHING: Final = ChildSpent("", WHOLE_RUN)


@dataclass(slots=True)
class _Account:
    """One budget, as this owner knows it."""

    row: BudgetRow
    in_flight: set[NodeKey] = field(default_factory=set)
    has_seen_one: bool = False
    """A call under it has ended, so that something is known of what calls cost."""
    since_ms: int = 0
    """Since when its time runs, while something is in flight."""
    inside: ChildSpent = _NOTHING
    """What child runs have spent under it."""
    busy: set[str] = field(default_factory=set)
    """Child runs that have calls in flight."""

    def active_ms(self, now_ms: int) -> int:
        return self.row.active_ms + (max(0, now_ms - self.since_ms) if self.in_flight else 0)

    def take(self, before: ChildSpent, now: ChildSpent, *, is_busy: bool) -> None:
        """A child run has spent so much `now`, of which `before` is counted already."""
        found = self.inside
        self.inside = found._replace(
            tokens=found.tokens + now.tokens - before.tokens,
            cost_micros=found.cost_micros + now.cost_micros - before.cost_micros,
            calls=found.calls + now.calls - before.calls,
            active_ms=found.active_ms + now.active_ms - before.active_ms,
        )
        (self.busy.add if is_busy else self.busy.discard)(now.run)


class Budgets:
    """The budgets of one run. From the engine's thread.

    Child runs tell it what they have spent in all. That is stored with them alone, and read from there when
    their parent is taken up again: so it is never stored in two places that differ.

    Args:
        whole: what the run itself may spend.
        slots: how many of its attempts may run at once.
        run: its name.
        outer: where it stands as a child.
        leaf_of: finds a node of its tree.
    """

    def __init__(
        self,
        whole: Limits,
        slots: int,
        run: str = "",
        outer: Outer | None = None,
        leaf_of: Callable[[NodeKey], Leaf | None] = lambda key: None,
    ) -> None:
        self.run = run
        self._whole = whole
        self._slots = slots
        self._outer = outer
        self._leaf_of = leaf_of
        self._children: dict[str, ChildSpent] = {}
        """By the run's name: what was told of it last, under these budgets."""
        self._under: dict[str, tuple[NodeKey, ...]] = {}
        self._of_node: dict[NodeKey, list[str]] = {}
        self._homeless: set[str] = set()
        """Of nodes that are not in the tree, or not yet: they count for the whole run alone meanwhile."""
        self._untold: list[ChildSpent] = []
        """As stored; where they stand is known when the tree is."""
        self._were_busy: frozenset[str] = frozenset()
        self._accounts: dict[NodeKey, _Account] = {}
        self._warned: set[NodeKey] = set()

    def restore(self, rows: Iterable[BudgetRow], inside: Iterable[ChildSpent] = ()) -> None:
        """Take the rows as they are stored.

        Args:
            inside: what its child runs have spent.
        """
        for row in rows:
            self._accounts[row.key] = _Account(row)
        self._untold = list(inside)
        self._tell()

    def take_over(self, other: Budgets, jobs: Iterable[Job]) -> None:
        """Go on with attempts that run in this process, under the stored rows."""
        for job in jobs:
            for key in job.reserved:
                account, before = self._account(key), other._accounts.get(key)
                account.in_flight.add(job.key)
                account.since_ms = before.since_ms if before is not None else job.started_ms
        self._warned |= other._warned
        self._were_busy = frozenset(other._account(WHOLE_RUN).busy)
        self._tell()

    # --- Child runs -----------------------------------------------------------------------------

    def hear(self, now: ChildSpent, *, is_busy: bool) -> None:
        """A child run has spent so much in all.

        Args:
            is_busy: part of it is only put aside, for calls in flight.
        """
        self._place()
        before = self._children.get(now.run, _NOTHING)
        if now.run not in self._under:
            leaf = self._leaf_of(now.node)
            self._under[now.run] = tuple(key for key, _ in self._around(leaf))
            self._of_node.setdefault(now.node, []).append(now.run)
            if leaf is None:
                self._homeless.add(now.run)
        self._children[now.run] = now
        for key in self._under[now.run]:
            self._account(key).take(before, now, is_busy=is_busy)
        self._tell()

    def rest(self, node: NodeKey) -> None:
        """The attempt that was a child run has ended: nothing of that is in flight any more."""
        for name in self._of_node.get(node, ()):
            for key in self._under[name]:
                self._account(key).busy.discard(name)
        self._tell()

    def _place(self) -> None:
        """Put what child runs have spent where they stand, as far as that is known by now."""
        untold, self._untold = self._untold, []
        for spent in untold:
            if spent.run not in self._children:
                self.hear(spent, is_busy=spent.run in self._were_busy)
        for name in [*self._homeless]:
            spent = self._children[name]
            if (leaf := self._leaf_of(spent.node)) is not None:
                self._homeless.discard(name)
                self._under[name] = tuple(key for key, _ in self._around(leaf))
                for key in self._under[name]:
                    if key != WHOLE_RUN:
                        is_busy = name in self._account(WHOLE_RUN).busy
                        self._account(key).take(_NOTHING, spent, is_busy=is_busy)

    def _tell(self) -> None:
        """Tell the parent what was spent here in all."""
        if self._outer is None or (parent := self._outer.budgets()) is None:
            return
        account = self._account(WHOLE_RUN)
        row, inside = account.row, account.inside
        spent = ChildSpent(
            self.run,
            self._outer.node,
            row.tokens + inside.tokens + sum(one.tokens for one in self._untold),
            row.cost_micros + inside.cost_micros + sum(one.cost_micros for one in self._untold),
            row.calls + inside.calls + sum(one.calls for one in self._untold),
            row.active_ms + inside.active_ms + sum(one.active_ms for one in self._untold),
        )
        parent.hear(spent, is_busy=bool(account.in_flight or account.busy))

    # --- Calls ----------------------------------------------------------------------------------

    def look(self, leaf: Leaf | None, now_ms: int) -> Exceeded | Held | None:
        """Whether a task's agent may be asked: the outermost budget that has a word against it; None: yes."""
        self._place()
        held: Held | None = None
        if self._outer is not None and (parent := self._outer.budgets()) is not None:
            found = parent.look(parent._leaf_of(self._outer.node), now_ms)
            if isinstance(found, Exceeded):
                return replace(found, is_own=False)
            held = found
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
        row, inside = account.row, account.inside
        active_ms = account.active_ms(now_ms) + inside.active_ms
        spent = (
            ("tokens", row.tokens + inside.tokens, limits.tokens, 1, "d"),
            ("usd", row.cost_micros + inside.cost_micros, limits.cost_micros, 1e6, ".2f"),
            ("minutes", active_ms, limits.active_ms, 60_000, ".1f"),
            ("calls", row.calls + inside.calls, limits.calls, 1, "d"),
        )
        for name, value, limit, unit, form in spent:
            if limit is not None and value >= limit:
                if (account.in_flight or account.busy) and name in ("tokens", "usd"):
                    return Held()  # part of it is only put aside
                shown = [_shown(one / unit, form) for one in (value, limit)]
                return Exceeded(key, limits, f"{name}: {shown[0]} of {shown[1]}", self, is_own=True)
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
            has_limits = self._whole != Limits() or self._outer is not None
            if key != WHOLE_RUN or has_limits or reserved != Reserved(0, 0):
                draft.write.budgets.append(account.row)
        self._tell()

    def _foresee(self, account: _Account, limits: Limits) -> Reserved:
        """What a call may cost: as much as the largest so far.

        Before the first one has ended nobody knows. Then it is a slot's share of the limit: whoever dies
        again and again before that spends no more than the first calls can.
        """
        row = account.row
        if account.has_seen_one or row.largest_tokens or row.largest_micros:
            return Reserved(row.largest_tokens, row.largest_micros)
        if row.key == WHOLE_RUN:
            limits = self._tightest(limits)
        return Reserved((limits.tokens or 0) // self._slots, (limits.cost_micros or 0) // self._slots)

    def _tightest(self, own: Limits) -> Limits:
        """The least that the run and the budgets around it allow."""
        found = own
        if self._outer is not None and (parent := self._outer.budgets()) is not None:
            for _, one in parent._around(parent._leaf_of(self._outer.node)):
                around = parent._tightest(one) if one is parent._whole else one
                found = found._replace(
                    tokens=_least(found.tokens, around.tokens),
                    cost_micros=_least(found.cost_micros, around.cost_micros),
                )
        return found

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
            if key != WHOLE_RUN or used or self._whole != Limits() or self._outer is not None:
                draft.write.budgets.append(account.row)
            if is_unpriced and row.unpriced == 0:
                blind.append(key)
        job.reserved.clear()
        self._tell()
        return blind

    def spent_usd(self) -> float:
        """What the run and its child runs have spent, what is put aside for calls in flight included."""
        self._place()
        account = self._accounts.get(WHOLE_RUN)
        return 0.0 if account is None else (account.row.cost_micros + account.inside.cost_micros) / 1e6

    @property
    def limit_usd(self) -> float | None:
        """What it may spend; None: any amount."""
        micros = self._whole.cost_micros
        return None if micros is None else micros / 1e6

    def warns(self, exceeded: Exceeded) -> bool:
        """Whether nobody was told of it yet."""
        warned = exceeded.owner._warned
        if exceeded.key in warned:
            return False
        warned.add(exceeded.key)
        return True

    def limits_money(self, key: NodeKey, leaf: Leaf | None) -> bool:
        """Whether a budget around a task has a limit in money; the run's own, or one around the whole run."""
        if key == WHOLE_RUN:
            return self._tightest(self._whole).cost_micros is not None
        return any(one == key and limits.cost_micros is not None for one, limits in self._around(leaf))

    def _around(self, leaf: Leaf | None) -> Iterator[tuple[NodeKey, Limits]]:
        """Budgets around a task, the innermost first; the run's own comes last."""
        above = leaf.parent if leaf is not None else None
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


def _least(one: int | None, other: int | None) -> int | None:
    return min((amount for amount in (one, other) if amount is not None), default=None)


def _shown(amount: float, form: str) -> str:
    return format(round(amount), form) if form == "d" else format(amount, form)
