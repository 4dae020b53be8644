"""Waiting for the limit of an account to be reset: whose it is, until when, who else could be asked.

The store says when a task is to go on, and which accounts are parked until when. Which account an agent
belongs to it only knows of those that have told of a conversation or a cost, or have met a limit as the only
agent of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from smithers.errors import AgentQuota
from smithers.observe import moment
from smithers.observe.snapshot import shown_status
from smithers.observe.waits import status_word
from smithers.records import NodeState

if TYPE_CHECKING:
    from smithers.ids import NodeKey
    from smithers.observe.node_view import NodeView, NodeViews
    from smithers.observe.snapshot import Snapshot
    from smithers.records import ParkedAccount

STATUS: Final = "waiting-quota"
"""Shown of a run that only waits for parked accounts, while its owner counts down too. It is not stored."""
KIND: Final = "quota"
"""Of wakeups at a reset."""
HELP: Final = "wait for the reset, or give the task another agent"

Standing: TypeAlias = Literal["parked", "out", "free", "unknown"]
"""How an agent stands that a waiting task could have asked.

    parked   its account's limit is used up
    out      its account is known and not parked: nobody has signed in, it is not installed, or it is unfit
    free     its account's time has passed: it is asked when the task goes on
    unknown  parked or out; the store does not know its account
"""


class Limit(NamedTuple):
    """One account that tasks of a run wait for."""

    account: str | None
    """None: the store does not know any more whose it was."""
    until_ms: int
    """Wall clock, as the one below."""
    since_ms: int | None = None
    reason: str = ""
    tasks: int = 1

    @property
    def name(self) -> str:
        return self.account or "an agent"

    def document(self) -> dict[str, Any]:
        """One of `quota` in JSON."""
        return {
            "account": self.account,
            "until": moment.iso(self.until_ms),
            "since": moment.iso(self.since_ms),
            "reason": self.reason or None,
            "tasks": self.tasks,
        }


class ChainAgent(NamedTuple):
    """An agent of a task that waits."""

    agent: str
    standing: Standing
    account: str | None = None
    until_ms: int | None = None

    def document(self) -> dict[str, Any]:
        """One of `agents` in JSON."""
        return {
            "agent": self.agent,
            "state": self.standing,
            "account": self.account,
            "until": moment.iso(self.until_ms),
        }


@dataclass(frozen=True, slots=True)
class QuotaWait:
    """A task whose agents are all parked, or out."""

    limit: Limit
    """The first of them that is reset."""
    agents: tuple[ChainAgent, ...]
    """All of its chain, as the author wrote it; empty: it has left the tree."""

    def document(self) -> dict[str, Any]:
        """`quota` of a node in JSON."""
        found = self.limit.document()
        del found["tasks"]
        return {**found, "agents": [agent.document() for agent in self.agents]}


Waits: TypeAlias = Mapping["NodeKey", QuotaWait]


# --- What is so -----------------------------------------------------------------------------------


def waits_of(snapshot: Snapshot, views: NodeViews, now_ms: int) -> Waits:
    """The tasks of a run that wait for an account."""
    if snapshot.run.state.has_ended:
        return {}
    waiting = [view for view in views.in_state(NodeState.WAITING) if view.waits_for_quota]
    if not waiting:
        return {}
    book = _Book(snapshot)
    return {view.key: book.wait(view, now_ms) for view in waiting}


def limits_of(snapshot: Snapshot, waits: Waits) -> tuple[Limit, ...]:
    """The accounts that a run waits for, its children's too, each once; the earliest reset first."""
    found: dict[tuple[str | None, int], Limit] = {}
    inside = [limit for limits in snapshot.limits.values() for limit in limits]
    for limit in [*(wait.limit for wait in waits.values()), *inside]:
        slot = (limit.account, limit.until_ms)
        before = found.get(slot)
        found[slot] = limit if before is None else before._replace(tasks=before.tasks + limit.tasks)
    return tuple(sorted(found.values(), key=lambda limit: limit.until_ms))


def limit_of(snapshot: Snapshot, view: NodeView, waits: Waits) -> Limit | None:
    """The account that a task waits for, or that the run waits for which it is; None: none."""
    if view.key in waits:
        return waits[view.key].limit
    inside = snapshot.limits.get(view.child.name) if view.child is not None else None
    return inside[0] if inside else None


def status_of(snapshot: Snapshot, views: NodeViews) -> str:
    """The word people see of a run: as `shown_status`, or that it only waits for accounts."""
    word = shown_status(snapshot.run)
    if word not in ("running", "waiting"):
        return word
    is_idle = not views.in_state(NodeState.RUNNING)
    kind = status_word(view.row for view in snapshot.open_waits) if is_idle else None
    return kind or (STATUS if _is_parked(snapshot, views) else word)


def _is_parked(snapshot: Snapshot, views: NodeViews) -> bool:
    open_ = [*views.in_state(NodeState.RUNNING), *views.in_state(NodeState.WAITING)]
    return bool(open_) and all(
        view.waits_for_quota or (view.child is not None and view.child.name in snapshot.limits)
        for view in open_
    )


def account_of(rows: Iterable[ParkedAccount], due_ms: int, names: Iterable[str] = ()) -> ParkedAccount | None:
    """The account whose reset a task waits for; None: none of these.

    Args:
        due_ms: wall clock at which the task goes on: the earliest reset of its agents' accounts.
        names: accounts that are known to be theirs, which count before others of the same reset.
    """
    known = set(names)
    fitting = [row for row in rows if row.until_ms == due_ms]
    return min(fitting, key=lambda row: (row.account not in known, row.account), default=None)


def limit_at(due_ms: int, rows: Iterable[ParkedAccount], agents: Sequence[str]) -> Limit:
    """What a task waits for, by its agents' names and the accounts alone."""
    row = account_of(rows, due_ms, agents)
    if row is None:
        return Limit(agents[0] if len(agents) == 1 else None, due_ms)
    return Limit(row.account, row.until_ms, row.since_ms, row.reason)


class _Book:
    """Who belongs to which account, as far as the rows of a run tell."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._parked = {row.account: row for row in snapshot.accounts}
        self._known: dict[str, set[str]] = {}
        for call in snapshot.calls:
            self._known.setdefault(call.agent, set()).add(call.account)
        chains = {mount.node: agents_in(mount.spec) for mount in snapshot.mounts}
        for attempt in snapshot.attempts:
            account, chain = _met_by(attempt.error), chains.get(attempt.key.node, ())
            if account is not None and len(chain) == 1:
                self._known.setdefault(chain[0], set()).add(account)

    def wait(self, view: NodeView, now_ms: int) -> QuotaWait:
        due_ms = view.due_ms or 0
        chain = agents_in(view.place.spec) if view.place is not None else ()
        row = self._row(view, due_ms, {name for agent in chain for name in self._accounts(agent)})
        if row is None:
            limit = Limit(_met_by(view.error), due_ms)
        else:
            limit = Limit(row.account, max(due_ms, row.until_ms), row.since_ms, row.reason)
            if len(chain) == 1:
                self._known.setdefault(chain[0], {row.account})
        return QuotaWait(limit, tuple(self._stands(agent, now_ms) for agent in chain))

    def _row(self, view: NodeView, due_ms: int, names: set[str]) -> ParkedAccount | None:
        """The account that a task waits for; its reset may have been moved since the task began to wait."""
        found = account_of(self._parked.values(), due_ms, names)
        if found is not None:
            return found
        met = _met_by(view.error)
        if met is not None:
            return self._parked.get(met)
        rows = [self._parked[name] for name in sorted(names) if name in self._parked]
        return min(rows, key=lambda row: row.until_ms, default=None)

    def _accounts(self, agent: str) -> set[str]:
        """Accounts that an agent's name stands for: an agent without one of its own goes by its name."""
        known = self._known.get(agent)
        if known is not None:
            return known
        return {name for name in self._parked if name == agent or name.startswith(f"{agent}:")}

    def _stands(self, agent: str, now_ms: int) -> ChainAgent:
        accounts = sorted(self._accounts(agent))
        if not accounts:
            return ChainAgent(agent, "unknown")
        rows = [self._parked[name] for name in accounts if name in self._parked]
        row = max(rows, key=lambda row: row.until_ms, default=None)
        if row is None:
            return ChainAgent(agent, "out", accounts[0])
        return ChainAgent(agent, "parked" if row.until_ms > now_ms else "free", row.account, row.until_ms)


def agents_in(spec: Mapping[str, Any]) -> Sequence[str]:
    """The names of a task's agents, as its place in the tree has them."""
    found = spec.get("agents")
    return [str(name) for name in found] if isinstance(found, list) else []


def _met_by(error: Mapping[str, Any] | None) -> str | None:
    """The account whose limit an attempt died of; None: it did not, or nobody said."""
    if not error or error.get("code") != AgentQuota.code:
        return None
    details = error.get("details")
    account = details.get("account") if isinstance(details, dict) else None
    return account if isinstance(account, str) else None


# --- In words -------------------------------------------------------------------------------------


def until_text(limit: Limit, now_ms: int) -> str:
    """`claude-code until 15:00, in 12m`."""
    until = moment.until(limit.until_ms, now_ms)
    return f"{limit.name} until {until}, {moment.due(limit.until_ms, now_ms)}"


def limits_text(limits: Sequence[Limit], now_ms: int) -> str:
    """The same of the account that is reset first, and how many more there are."""
    if not limits:
        return ""
    more = len(limits) - 1
    return until_text(limits[0], now_ms) + (f", and {more} more" if more else "")


def cause_text(limit: Limit, now_ms: int) -> str:
    """`since 14:03 (5-hour limit reached)`; empty: nothing is known of it."""
    since = f"since {moment.until(limit.since_ms, now_ms)}" if limit.since_ms is not None else ""
    return " ".join(part for part in (since, f"({limit.reason})" if limit.reason else "") if part)


def agents_text(wait: QuotaWait, now_ms: int) -> str:
    """`claude-code is parked until 15:00; codex is out`; empty for a single agent: the limit says it all."""
    if len(wait.agents) < 2:
        return ""
    return "; ".join(f"{one.agent} {_standing_words(one, now_ms)}" for one in wait.agents)


def _standing_words(one: ChainAgent, now_ms: int) -> str:
    match one.standing:
        case "parked":
            account = f" with {one.account}" if one.account not in (None, one.agent) else ""
            return f"is parked{account} until {moment.until(one.until_ms or now_ms, now_ms)}"
        case "out":
            return "is out (not signed in, not installed, or unfit)"
        case "free":
            return "is asked again then"
        case "unknown":
            return "is parked too, or out"
