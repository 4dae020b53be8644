"""One run in one line: what it does now, or what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from smithers.errors import TaskFailed
from smithers.observe import moment, next_step, quota
from smithers.observe.node_view import NodeView, NodeViews, headline
from smithers.observe.snapshot import Snapshot, accounts_for, is_driven, orders, shown_status
from smithers.observe.spending import spending_document
from smithers.observe.waits import STATUSES, open_below
from smithers.records import (
    UNSPENT,
    InboxKind,
    NodeState,
    OwnerHealth,
    RunFilter,
    RunState,
    Spending,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smithers.ports import Reader
    from smithers.records import Owner, RunRow

UNFINISHED = (RunState.RUNNING, RunState.WAITING, RunState.PAUSED)

_SEEN = frozenset({"orphaned", "stalled", quota.STATUS, *STATUSES.values()})

_MOST_OPEN = 50
"""Unfinished runs a list shows unasked: a screen, and what can be read in the blink that a list may take."""

_SHORT = 48
"""Columns of a command that a list still shows."""
_NAMED = 3
"""Running tasks named in a line; the rest are counted."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as a list shows it."""

    run: RunRow
    status: str
    """The stored word; or `orphaned`, `stalled`, `waiting-quota`, `waiting-approval`, `waiting-human`,
    `waiting-event` or `waiting-timer`."""
    settled: int
    mounted: int
    """Tasks in the tree, each counted once: in its current pass."""
    detail: str
    """What helps to know; empty when the status says it all."""
    command: str | None
    """What to type next, when only a person can get it further."""
    limits: tuple[quota.Limit, ...] = ()
    """The accounts that its tasks wait for, whatever else they do."""
    spent: Spending = UNSPENT
    """What it has cost, with what belongs to it: as `Reader.spent`."""

    def document(self) -> dict[str, Any]:
        """The line as JSON."""
        return {
            "run": self.run.name,
            "workflow": self.run.workflow,
            "source": self.run.source,
            "status": self.run.state.word,
            "shown": self.status,
            "progress": {"settled": self.settled, "mounted": self.mounted},
            "created_at": moment.iso(self.run.created_ms),
            "started_at": moment.iso(self.run.started_ms),
            "ended_at": moment.iso(self.run.ended_ms),
            "owner": owner_document(self.run),
            "detail": self.detail,
            "command": self.command,
            "quota": [limit.document() for limit in self.limits],
            "cost": spending_document(self.spent),
            "error": dict(self.run.error) if self.run.error else None,
            **kin_document(self.run),
        }


def select(
    reader: Reader, *, statuses: Sequence[str] = (), limit: int = 20, is_all: bool = False
) -> tuple[list[RunRow], bool]:
    """The runs a list shows, newest first, and whether older ones were left out.

    Args:
        statuses: stored or shown words; empty for any.
        limit: the newest so many, besides those that are unfinished (the newest 50 of them).
        is_all: every run, children and older runs of a lineage too; `limit` does not count then.
    """
    states = _states(statuses)
    open_states = [state for state in UNFINISHED if not states or state in states]
    # Words that are seen and not stored are told apart below, when all that may be meant have been read.
    most = None if _SEEN & set(statuses) else _MOST_OPEN
    unfinished = [] if is_all else _unfinished(reader, open_states, most)
    # One more than can be shown: it tells whether anything was left out.
    newest = reader.runs(
        RunFilter(states=states, limit=None if is_all else limit + len(unfinished) + 1, tops=not is_all)
    )
    chosen = {run.id: run for run in [*(newest if is_all else newest[:limit]), *unfinished[:most]]}
    left_out = any(run.id not in chosen for run in [*newest, *unfinished])
    wanted = set(statuses)
    found = [run for run in chosen.values() if not wanted or wanted & _words(reader, run, wanted)]
    return sorted(found, key=lambda run: run.id, reverse=True), left_out


def _words(reader: Reader, run: RunRow, wanted: set[str]) -> set[str]:
    """The stored and the shown word of a run; what takes more than its row, only if it is asked for."""
    words = {run.state.word, shown_status(run)}
    if wanted & set(STATUSES.values()) and words & {"running", "waiting"}:
        words.add(summarize(reader, run, run.created_ms).status)
    elif quota.STATUS in wanted and words & {"running", "waiting"}:
        kinds = {wakeup.kind for wakeup in reader.wakeups(run.id)}
        if quota.KIND in kinds or reader.children(run.id):
            words.add(summarize(reader, run, run.created_ms).status)
    return words


def _unfinished(reader: Reader, states: Sequence[RunState], most: int | None) -> list[RunRow]:
    """Unfinished runs, those at work before those that wait; one more than `most` tells of the rest."""
    found: list[RunRow] = []
    for state in states:
        left = None if most is None else most + 1 - len(found)
        if left != 0:
            found += reader.runs(RunFilter(states=[state], limit=left, tops=True))
    return found


def summarize(reader: Reader, run: RunRow, now_ms: int, spent: Spending = UNSPENT) -> RunSummary:
    """Read what one line of a list needs.

    Args:
        spent: what it has cost, which is read of many runs at once.
    """
    has_moved = run.state is not RunState.FINISHED
    wakeups = reader.wakeups(run.id) if has_moved else []
    snapshot = Snapshot(
        run=run,
        nodes=reader.nodes(run.id),
        # A finished run has nothing to tell but how much it did.
        attempts=reader.attempts(run.id) if has_moved else [],
        passes=reader.passes(run.id),
        mounts=reader.mounts(run.id),
        wakeups=wakeups,
        inbox=orders(reader, run.id) if is_driven(run) else [],
        children=reader.children(run.id) if has_moved else [],
        accounts=accounts_for(reader, wakeups),
        waits=reader.waits(run.id) if has_moved else [],
        open_waits=open_below(reader, run) if has_moved and not run.state.has_ended else [],
    )
    views = NodeViews(snapshot)
    settled, mounted = views.progress()
    inside = _inside(reader, run, views, now_ms)
    parked = {name: one.limits for name, one in inside.items() if one.status == quota.STATUS}
    snapshot = replace(snapshot, limits=parked)
    waits = quota.waits_of(snapshot, views, now_ms)
    status, limits = quota.status_of(snapshot, views), quota.limits_of(snapshot, waits)
    detail, command = _detail(run, views, waits, now_ms)
    if snapshot.open_waits and not views.in_state(NodeState.RUNNING):
        first, more = snapshot.open_waits[0], len(snapshot.open_waits) - 1
        detail = first.text(now_ms) + (f"; and {more} more" if more else "")
        answer = first.commands()[0]
        command = answer if len(answer) <= _SHORT and not more else next_step.why(run.name)
    elif snapshot.open_waits:
        first = snapshot.open_waits[0]
        detail = f"{first.text(now_ms)}; {detail}" if detail else first.text(now_ms)
    elif status == quota.STATUS:
        detail = quota.limits_text(limits, now_ms)
    elif is_driven(run) and (words := _children_do(views, inside)):
        detail = words
    if run.kin.number > 1:
        place = f"run {run.kin.number} of its lineage"
        detail = f"{place}; {detail}" if detail else place
    if snapshot.inbox:
        verb = "pausing" if snapshot.inbox[-1].kind is InboxKind.PAUSE else "cancelling"
        detail = f"{verb}: {detail}" if detail else verb
    return RunSummary(run, status, settled, mounted, detail, command, limits, spent)


def took_ms(run: RunRow, now_ms: int) -> int | None:
    """From creation to the end, or to now while somebody drives it; None where that is unknown."""
    if run.ended_ms is not None:
        return run.ended_ms - run.created_ms
    return now_ms - run.created_ms if is_driven(run) else None


def kin_document(run: RunRow) -> dict[str, Any]:
    """Whose child a run is, and which run it was before and went on as, as JSON."""
    kin = run.kin
    parent = kin.parent
    return {
        "parent": None
        if parent is None
        else {
            "run": parent.name,
            "node": parent.key.node,
            "scope": parent.key.scope,
            "iteration": parent.key.iteration,
            "generation": parent.generation,
        },
        "lineage": {"number": kin.number, "previous": kin.previous, "next": kin.next, "newest": kin.newest},
    }


def owner_document(run: RunRow) -> dict[str, Any] | None:
    """The owner as JSON; None without one."""
    if run.owner is None:
        return None
    return {
        "host": run.owner.host,
        "pid": run.owner.pid,
        "health": run.health.word,
        "started_at": moment.iso(run.owner.started_ms),
        "lease_ends_at": moment.iso(run.owner.expires_wall_ms),
    }


def owner_name(owner: Owner) -> str:
    """`process 4711 on laptop`."""
    return f"process {owner.pid} on {owner.host}"


def silence(run: RunRow, now_ms: int) -> str:
    """What is known of an owner that does not drive its run any more."""
    if run.owner is None:
        return "no process drives it"
    if run.health is OwnerHealth.DEAD:
        return f"its owner, {owner_name(run.owner)}, has died"
    return f"its owner, {owner_name(run.owner)}, is silent: {_lease_end(run.owner, now_ms)}"


def _silence_in_short(run: RunRow, now_ms: int) -> str:
    if run.owner is None:
        return "no process drives it"
    if run.health is OwnerHealth.DEAD:
        return f"process {run.owner.pid} has died"
    return f"process {run.owner.pid} on {run.owner.host} is silent, {_lease_end(run.owner, now_ms)}"


def _lease_end(owner: Owner, now_ms: int) -> str:
    return f"its lease ended {moment.ago(owner.expires_wall_ms, now_ms)}"


def cause_of_failure(run: RunRow, views: NodeViews) -> NodeView | None:
    """The task whose unhandled failure ended the run; None when it was no task's."""
    error = run.error or {}
    if error.get("code", TaskFailed.code) != TaskFailed.code:
        return None  # a limit of a loop, a deadlock, the workflow's own function
    failed = [view for view in views.in_state(NodeState.FAILED) if not view.is_tolerated]
    details = error.get("details")
    named = details.get("node") if isinstance(details, dict) else None
    for view in failed:
        if named in (view.shown, str(view.key)):
            return view
    by_id = [view for view in failed if view.key.node == named]
    # Without a name: the first that failed. A node that has left the tree fails nothing.
    rest = by_id or [view for view in failed if view.place is not None]
    return min(rest, key=lambda view: view.settled_frame or 0, default=None)


def named(names: Sequence[str], most: int = _NAMED) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def wait_text(view: NodeView, waits: quota.Waits, now_ms: int) -> str:
    """`retries draft in 12s`, `draft: claude-code until 15:00, in 12m`."""
    assert view.due_ms is not None
    if view.key in waits:
        return f"{view.shown}: {quota.until_text(waits[view.key].limit, now_ms)}"
    if view.is_waiting:
        return f"{view.shown} waits until {moment.due(view.due_ms, now_ms)}"
    if view.waits_in_child:
        return f"{view.shown} goes on {moment.due(view.due_ms, now_ms)}"
    return f"retries {view.shown} {moment.due(view.due_ms, now_ms)}"


def _states(statuses: Sequence[str]) -> list[RunState]:
    """The stored states that can show as one of these words."""
    found = {state for state in RunState if state.word in statuses}
    if _SEEN & set(statuses):
        found |= {RunState.RUNNING, RunState.WAITING}
    return sorted(found)


def _detail(run: RunRow, views: NodeViews, waits: quota.Waits, now_ms: int) -> tuple[str, str | None]:
    match run.state:
        case RunState.RUNNING | RunState.WAITING:
            if shown_status(run) in ("orphaned", "stalled"):
                return _silence_in_short(run, now_ms), next_step.resume_of(run)
            text = _doing(views, waits, now_ms)
            # Parked, with nobody there to wake it.
            return text, None if is_driven(run) else next_step.resume_of(run)
        case RunState.PAUSED:
            return "", next_step.resume_of(run)
        case RunState.FAILED:
            cause = cause_of_failure(run, views)
            text = headline(cause.error) if cause else ""
            text = text or headline(run.error) or "no error was stored"
            return (f"{cause.shown}: {text}" if cause else text), next_step.resume_of(run)
        case RunState.PARTIAL:
            failed = [view.shown for view in views.in_state(NodeState.FAILED)]
            return (f"failed: {named(failed)}" if failed else ""), None
        case RunState.CONTINUED:
            return f"went on as {run.kin.next}", None
        case RunState.FINISHED | RunState.CANCELLED:
            return "", None


def _inside(reader: Reader, run: RunRow, views: NodeViews, now_ms: int) -> Mapping[str, RunSummary]:
    """The runs that a run's open tasks are, by name."""
    if shown_status(run) not in ("running", "waiting"):
        return {}
    open_ = [*views.in_state(NodeState.RUNNING), *views.in_state(NodeState.WAITING)]
    names = [view.child.name for view in open_ if view.child is not None]
    return {name: summarize(reader, reader.run(name), now_ms) for name in names}


def _children_do(views: NodeViews, inside: Mapping[str, RunSummary]) -> str:
    """What the run's tasks do, where some of them are runs of their own."""
    running = views.in_state(NodeState.RUNNING)
    if not any(view.child for view in running):
        return ""
    found = []
    for view in running:
        if view.child is None:
            found.append(view.shown)
            continue
        one = inside[view.child.name]
        found.append(f"{view.shown}: {one.detail or one.status}")
    return named(found)


def _doing(views: NodeViews, waits: quota.Waits, now_ms: int) -> str:
    running = [
        f"{view.shown} {moment.span(now_ms - view.last.started_ms)}"
        for view in views.in_state(NodeState.RUNNING)
        if view.last is not None
    ]
    if running:
        return named(running)
    waiting = [view for view in views.in_state(NodeState.WAITING) if view.due_ms is not None]
    due = sorted(waiting, key=lambda view: view.due_ms or 0)
    if due:
        more = f" and {len(due) - 1} more" if len(due) > 1 else ""
        return wait_text(due[0], waits, now_ms) + more
    return ""
