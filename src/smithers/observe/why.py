"""Why a run does not progress, or what it is doing; why one node ran, was skipped, or waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smithers.errors import BudgetExceeded
from smithers.observe import moment, next_step, quota
from smithers.observe.cache import lookup_text
from smithers.observe.explanation import Blocker, Explanation
from smithers.observe.node_view import NodeView, NodeViews, headline, is_settled
from smithers.observe.snapshot import Snapshot, is_driven, shown_status
from smithers.observe.summary import cause_of_failure, named, owner_name, silence
from smithers.observe.tree import LOOP, PARALLEL, Place
from smithers.observe.waits import ended_text
from smithers.records import IN_PART, AttemptState, InboxKind, NodeState, RunState, Verdict, WaitKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from smithers.observe.waits import WaitView
    from smithers.records import AttemptRow, InboxRow, RunRow


def why_run(snapshot: Snapshot, now_ms: int) -> Explanation:
    """Explain a run."""
    run = snapshot.run
    views = NodeViews(snapshot)
    match run.state:
        case RunState.RUNNING | RunState.WAITING:
            is_silent = shown_status(run) in ("orphaned", "stalled")
            found = _undriven(run, views, now_ms) if is_silent else _going_on(snapshot, views, now_ms)
            for message in snapshot.inbox:
                found.blockers.insert(0, _asked(message, run))
                if is_driven(run) and message.kind is InboxKind.PAUSE:
                    found.commands.insert(0, next_step.pause(run.name, "--now"))
                if not is_driven(run) and message.kind is InboxKind.CANCEL:
                    found.commands.insert(0, next_step.cancel(run.name))
            return found
        case RunState.PAUSED:
            text = "it was paused; what had finished is kept"
            alone = [row.name for row in snapshot.children if row.state is RunState.PAUSED]
            if alone:
                text += f"; so was {named(alone)}, and a resume goes on with both"
            if run.error is not None and run.error.get("code") == BudgetExceeded.code:
                return _overspent(run, run.error, [Blocker("paused", text)])
            return _answer(
                run, f"{run.name} is paused.", [Blocker("paused", text)], [next_step.resume_of(run)]
            )
        case RunState.FINISHED:
            return _answer(
                run,
                f"{run.name} finished{_when(run, now_ms)}; there is nothing to wait for.",
                [],
                [next_step.output(run.name)] if run.output else [next_step.inspect(run.name)],
            )
        case RunState.PARTIAL:
            return _partial(run, views, now_ms)
        case RunState.FAILED:
            return _failed(run, views, now_ms)
        case RunState.CANCELLED:
            text = "it was cancelled; a resume keeps what had finished and runs the rest"
            return _answer(
                run,
                f"{run.name} was cancelled{_when(run, now_ms)}.",
                [Blocker("cancelled", text)],
                [next_step.resume_of(run)],
            )
        case RunState.CONTINUED:
            newest = run.kin.newest or run.name
            more = "" if newest == run.kin.next else f"; the newest of its lineage is {newest}"
            text = f"{run.name} went on as {run.kin.next}{_when(run, now_ms)}{more}."
            return _answer(run, text, [], [next_step.why(newest)])


def why_node(snapshot: Snapshot, view: NodeView, now_ms: int) -> Explanation:
    """Explain one task in one pass."""
    run = snapshot.run
    views = NodeViews(snapshot)
    quotas = quota.waits_of(snapshot, views, now_ms)
    summary, commands = _node_summary(snapshot, views, view, quotas, now_ms)
    if view.child is not None:
        commands = [*commands, next_step.why(view.child.name)]
    waits: list[Blocker] = []
    if view.state is NodeState.PENDING and not run.state.has_ended:
        waits = list(_obstacles(view, views))
    elif view.key in quotas:
        waits = [_quota(view, quotas[view.key], now_ms)]
    lookup = view.last.lookup if view.last is not None else None
    return Explanation(
        run=run.name,
        status=run.state.word,
        summary=summary,
        blockers=waits,
        commands=commands,
        node=view.shown,
        attempts=[_attempt_line(row, now_ms, is_driven=is_driven(run)) for row in view.attempts],
        lookup=lookup,
        cache=lookup_text(lookup, now_ms) if lookup is not None else "",
    )


def why_place(snapshot: Snapshot, place: Place, now_ms: int) -> Explanation:
    """Explain a container: what it holds that has not settled, and for a loop its passes."""
    run = snapshot.run
    views = NodeViews(snapshot)
    tasks = [views.now(task) for task in place.tasks()]
    open_ = [view for view in tasks if not is_settled(view)]
    head = place.node if open_ else f"{place.node} has settled"
    if place.kind == LOOP:
        key = views.tree.key_now(place)
        number = views.tree.current_pass(key) + 1
        match views.tree.verdict(key):
            case Verdict.UNTIL:
                return _about(run, place, f"{place.node} is done: `until` held after pass {number}.", [])
            case Verdict.MAX_REACHED:
                return _about(
                    run, place, f"{place.node} is done: it reached its limit of {number} passes.", []
                )
            case Verdict.NEXT | None:
                head = f"{place.node} is in pass {number}"
    if not open_:
        return _about(run, place, f"{head}.", [])
    text = f"{head}: {len(tasks) - len(open_)} of {len(tasks)} tasks have settled."
    quotas = quota.waits_of(snapshot, views, now_ms)
    return _about(run, place, text, [_standing(view, snapshot, quotas, now_ms) for view in open_])


def _about(run: RunRow, place: Place, summary: str, blockers: list[Blocker]) -> Explanation:
    return Explanation(run.name, run.state.word, summary, blockers, [next_step.inspect(run.name)], place.node)


def _answer(run: RunRow, summary: str, blockers: list[Blocker], commands: list[str]) -> Explanation:
    return Explanation(run.name, run.state.word, summary, blockers, commands)


def _undriven(run: RunRow, views: NodeViews, now_ms: int) -> Explanation:
    is_dead = shown_status(run) == "orphaned"
    kind = "no-owner" if run.owner is None else "owner-dead" if is_dead else "owner-silent"
    cut = views.in_state(NodeState.RUNNING)
    blockers = [Blocker(kind, silence(run, now_ms))]
    blockers += [
        Blocker(
            "interrupted",
            f"{view.shown} was cut off in attempt {view.tries}; a resume runs it again",
            view,
            since_ms=view.last.started_ms if view.last else None,
        )
        for view in cut
    ]
    return _answer(
        run, f"{run.name} does not progress: {silence(run, now_ms)}.", blockers, [next_step.resume_of(run)]
    )


def _overspent(run: RunRow, error: Mapping[str, Any], blockers: Sequence[Blocker]) -> Explanation:
    """Why a run is paused that has nothing left to spend."""
    blocker = Blocker("budget", headline(error) or "", error=error)
    command = next_step.resume_of(run)
    max_usd = run.config.get("max_usd")
    if max_usd is not None:
        command += f" --max-usd {2 * max_usd:g}"
    return _answer(
        run,
        f"{run.name} is paused: a budget is used up, and has to be raised.",
        [blocker, *blockers],
        [command],
    )


def _going_on(snapshot: Snapshot, views: NodeViews, now_ms: int) -> Explanation:
    run = snapshot.run
    running = views.in_state(NodeState.RUNNING)
    due = sorted(
        (view for view in views.in_state(NodeState.WAITING) if not view.is_waiting),
        key=lambda view: view.due_ms or 0,
    )
    waits = snapshot.open_waits
    quotas = quota.waits_of(snapshot, views, now_ms)
    blockers = [_standing(view, snapshot, quotas, now_ms) for view in [*running, *due]]
    blockers += [_waiting(wait, views, run, now_ms) for wait in waits]
    driven = is_driven(run)
    is_parked = quota.status_of(snapshot, views) == quota.STATUS
    if not driven and not any(wait.row.kind is not WaitKind.TIMER for wait in waits):
        text = "no process drives it, so nothing wakes it by itself"
        text += "; a resume before the reset waits on" if is_parked else ""
        blockers.append(Blocker("no-owner", text))
    if is_parked:
        summary = _parked(run, quota.limits_of(snapshot, quotas), now_ms)
    elif waits and not running:
        more = f", and {len(waits) - 1} more" if len(waits) > 1 else ""
        summary = f"{run.name} waits: {waits[0].text(now_ms)}{more}."
        if not driven:
            summary += " Nothing runs meanwhile; an answer lets it go on."
    elif running:
        summary = f"{run.name} is working: {named([view.shown for view in running])}."
    elif due:
        first = due[0]
        when = moment.due(first.due_ms or now_ms, now_ms)
        summary = f"{run.name} waits {_verb(first)}, {when}."
    else:
        pending = [views.now(place) for place in views.tree.tasks()]
        open_ = [view for view in pending if view.state is NodeState.PENDING]
        for view in open_:
            blockers += _obstacles(view, views)
        names = named([view.shown for view in open_])
        summary = f"{run.name} is about to start {names}." if open_ else f"{run.name} is about to end."
        if blockers and open_:
            summary = f"{run.name} runs nothing right now; still to do: {names}."
    if driven and run.owner is not None:
        summary += f" It is driven by {owner_name(run.owner)}."
    commands = [command for wait in waits for command in wait.commands()]
    if driven:
        commands.append(next_step.follow(run.name))
    elif not waits or any(wait.row.kind is WaitKind.TIMER for wait in waits):
        commands.append(next_step.resume_of(run))  # for the others it would only wait on
    return _answer(run, summary, blockers, commands)


def _waiting(wait: WaitView, views: NodeViews, run: RunRow, now_ms: int) -> Blocker:
    """Somebody, a message or a time that is waited for."""
    own = [view for view in views.all() if view.key == wait.row.key] if wait.run == run.name else []
    inside = "" if own else f" (in run {wait.run})"
    return Blocker(
        f"waiting-{wait.row.kind.word}",
        wait.text(now_ms) + inside,
        own[0] if own else None,
        since_ms=wait.row.opened_ms,
        due_ms=wait.row.due_ms,
    )


def _verb(view: NodeView) -> str:
    if view.waits_in_child:
        return f"to go on with {view.shown}"
    return f"to ask an agent for {view.shown}" if view.waits_for_quota else f"to try {view.shown} again"


def _parked(run: RunRow, limits: Sequence[quota.Limit], now_ms: int) -> str:
    """What a run waits for that only waits for accounts."""
    what = "a limit" if len(limits) == 1 else "limits"
    return f"{run.name} only waits for {what} to be reset: {quota.limits_text(limits, now_ms)}."


def _asked(message: InboxRow, run: RunRow) -> Blocker:
    """What somebody asked for, and what keeps it from being done."""
    if message.kind is InboxKind.CANCEL:
        text = f"{message.by} asked to cancel it"
        if not is_driven(run):
            text += ", and nobody does: cancel it again"
    elif is_driven(run):
        text = (
            f"{message.by} asked to pause it: nothing new starts, and it is paused when what runs has ended"
        )
    else:
        text = f"{message.by} asked to pause it, and its owner died over that: a resume pauses it first"
    return Blocker("asked", text, since_ms=message.at_ms)


def _standing(view: NodeView, snapshot: Snapshot, quotas: quota.Waits, now_ms: int) -> Blocker:
    """What an unsettled task is doing."""
    name, last, run, doings = view.shown, view.last, snapshot.run, snapshot.doings
    if view.key in quotas:
        return _quota(view, quotas[view.key], now_ms)
    if view.state is NodeState.RUNNING and last is not None:
        if not is_driven(run):
            return Blocker("interrupted", f"{name} was cut off in attempt {last.attempt}", view)
        by = f" with {last.agent}" if last.agent else ""
        text = f"{name} runs{by}: attempt {last.attempt}, for {moment.span(now_ms - last.started_ms)}"
        if view.child is not None:
            text = f"{name} is run {view.child.name}, for {moment.span(now_ms - last.started_ms)}"
            text += f", {doings[view.child.name]}" if view.child.name in doings else ""
        if last.heartbeat is not None:
            text += f"; it last reported {_short(last.heartbeat)}"
        return Blocker("running", text, view, since_ms=last.started_ms)
    if view.is_waiting:
        for wait in snapshot.open_waits:
            if wait.row is view.wait or wait.row == view.wait:
                return Blocker(
                    f"waiting-{wait.row.kind.word}",
                    wait.text(now_ms),
                    view,
                    since_ms=wait.row.opened_ms,
                    due_ms=wait.row.due_ms,
                )
    if view.state is NodeState.WAITING and view.due_ms is not None:
        when = moment.due(view.due_ms, now_ms)
        if not is_driven(run):
            is_due = view.due_ms <= now_ms
            when = "as soon as the run is resumed" if is_due else f"{when}, if the run is resumed by then"
        if view.waits_in_child and view.child is not None:
            inside = f" ({doings[view.child.name]})" if view.child.name in doings else ""
            return Blocker(
                "child", f"{name} goes on {when} with run {view.child.name}{inside}", view, due_ms=view.due_ms
            )
        text = f"{name} is tried again {when}: {_failures(view)}"
        return Blocker("retry-backoff", text, view, due_ms=view.due_ms, error=view.error)
    if view.state is NodeState.FAILED:
        return _failure(view)
    return Blocker("pending", f"{name} has not started", view)


def _quota(view: NodeView, wait: quota.QuotaWait, now_ms: int) -> Blocker:
    """A task that waits for the limit of an account: whose, since and until when, why, who else there is."""
    limit = wait.limit
    text = f"{view.shown} waits for {quota.until_text(limit, now_ms)}: its limit is used up"
    cause, agents = quota.cause_text(limit, now_ms), quota.agents_text(wait, now_ms)
    text += f" {cause}" if cause else ""
    text += f"; {agents}" if agents else ""
    return Blocker(
        "quota",
        text,
        view,
        since_ms=limit.since_ms,
        due_ms=limit.until_ms,
        error=view.error,
        wait=wait,
        hint=quota.HELP,
    )


def _failures(view: NodeView) -> str:
    times = f"attempt {view.tries} failed" if view.tries != 1 else "its first attempt failed"
    text = headline(view.error)
    return f"{times} with {text}" if text else times


def _failed(run: RunRow, views: NodeViews, now_ms: int) -> Explanation:
    cause = cause_of_failure(run, views)
    resume = [next_step.resume_of(run)]
    if cause is None:
        text = headline(run.error) or "no error was stored"
        return _answer(
            run,
            f"{run.name} failed{_when(run, now_ms)}: {text}.",
            [Blocker("failed", text, error=run.error)],
            resume,
        )
    tries = (
        "; it was tried " + ("once" if cause.tries == 1 else f"{cause.tries} times") if cause.tries else ""
    )
    others = [view for view in views.in_state(NodeState.FAILED) if view is not cause]
    return _answer(
        run,
        f"{run.name} failed{_when(run, now_ms)} because {cause.shown} did{tries}.",
        [_failure(cause), *(_failure(view) for view in others)],
        [*resume, next_step.why(run.name, cause.shown)],
    )


def _failure(view: NodeView) -> Blocker:
    kind = "tolerated" if view.is_tolerated else "failed"
    text = headline(view.error) or view.reason or "no error was stored"
    ended = view.last.ended_ms if view.last else None
    return Blocker(kind, f"{view.shown}: {text}", view, since_ms=ended, error=view.error)


def _partial(run: RunRow, views: NodeViews, now_ms: int) -> Explanation:
    failed = views.in_state(NodeState.FAILED)
    parts = [view for view in views.in_state(NodeState.FINISHED) if view.reason == IN_PART and view.child]
    skipped = [
        view for view in views.in_state(NodeState.SKIPPED) if (view.reason or "").startswith("upstream")
    ]
    names = named([view.shown for view in [*failed, *parts]]) or "a task"
    blockers = [_failure(view) for view in failed]
    for view in parts:
        assert view.child is not None
        again = f"--retry {view.shown} tries again what failed there"
        text = f"{view.shown}: its run {view.child.name} finished in part; {again}"
        blockers.append(Blocker("tolerated", text, view))
    blockers += [Blocker("skipped", f"{view.shown} was skipped: {view.reason}", view) for view in skipped]
    return _answer(
        run,
        f"{run.name} finished in part{_when(run, now_ms)}: the workflow went on although {names} failed"
        + (" in part." if parts and not failed else "."),
        blockers,
        [next_step.inspect(run.name), next_step.resume_of(run)],
    )


def _node_summary(
    snapshot: Snapshot, views: NodeViews, view: NodeView, quotas: quota.Waits, now_ms: int
) -> tuple[str, list[str]]:
    run = snapshot.run
    name, last = view.shown, view.last
    match view.state:
        case NodeState.FINISHED:
            ended = f" {moment.ago(last.ended_ms, now_ms)}" if last and last.ended_ms else ""
            frame = f", in frame {view.settled_frame}" if view.settled_frame is not None else ""
            tries = f" after {view.tries} attempts" if view.tries > 1 else ""
            cached = " from the cache" if last is not None and last.is_cached else ""
            own = f"; it is run {view.child.name}" if view.child is not None else ""
            part = ", in part" if view.reason == IN_PART else ""
            said = f"; it was {told}" if view.wait is not None and (told := ended_text(view.wait)) else ""
            text = f"{name} finished{cached}{part}{ended}{tries}{frame}{own}{said}."
            return text, [next_step.output(run.name, name)]
        case NodeState.FAILED:
            tail = " The workflow tolerated it." if view.is_tolerated else ""
            text = headline(view.error) or view.reason or "no error was stored"
            return f"{name} failed: {text}.{tail}", [next_step.resume_of(run)]
        case NodeState.SKIPPED:
            return f"{name} was skipped: {view.reason or 'no reason was stored'}.", [
                next_step.inspect(run.name)
            ]
        case NodeState.CANCELLED:
            why = f": {view.reason}" if view.reason else ""
            return f"{name} was cancelled{why}.", [next_step.resume_of(run)]
        case NodeState.RUNNING | NodeState.WAITING:
            text = f"{_standing(view, snapshot, quotas, now_ms).text}."
            answers = [
                command
                for wait in snapshot.open_waits
                if view.is_waiting and wait.row == view.wait
                for command in wait.commands()
            ]
            if answers:
                return text, answers
            return text, [next_step.follow(run.name) if is_driven(run) else next_step.resume_of(run)]
        case NodeState.PENDING:
            if run.state.has_ended:
                return (
                    f"{name} did not start: {run.name} {_ended_word(run)} before its turn.",
                    [next_step.resume_of(run)],
                )
            commands = [next_step.follow(run.name) if is_driven(run) else next_step.resume_of(run)]
            if view.child is not None and view.child.state is RunState.PAUSED:
                return f"{name} waits: its run {view.child.name} is paused.", commands
            first = next(_obstacles(view, views), None)
            if first is not None:
                return f"{name} waits: {first.text}.", commands
            if view.place is not None and quota.agents_in(view.place.spec):
                text = f"{name} is next: nothing stands before it but a free slot, or a place for its agent."
                return text, [*commands, next_step.POOL]
            return f"{name} is next: nothing stands before it but a free slot.", commands


def _obstacles(view: NodeView, views: NodeViews) -> Iterator[Blocker]:
    """What a task that has not started comes after."""
    place = view.place
    if place is None:
        return
    for target in _targets(place):
        other = views.tree.by_id.get(target)
        if other is None:
            yield Blocker("dependency", f"it depends on {target}, which is not in the tree", view)
        elif text := _unsettled(other, views):
            yield Blocker("dependency", f"it depends on {text}", view)
    # The outermost sequence that has not come this far is the one to look at: inside it nothing is reached.
    for around in [*place.ancestors()][::-1]:
        if around.kind == PARALLEL:
            continue
        for sibling in around.children:
            if sibling is place or sibling in place.ancestors():
                break
            if text := _unsettled(sibling, views):
                yield Blocker("pending", f"it comes after {text}", view)
                return


def _targets(place: Place) -> list[str]:
    """Ids that a task's edges name."""
    return [target.removeprefix("!") for target in place.edges.split()]


def _unsettled(place: Place, views: NodeViews) -> str:
    """What of a node has not settled, in words; empty when all of it has."""
    open_ = [view for view in map(views.now, place.tasks()) if not is_settled(view)]
    if place.is_task and open_:
        return f"{open_[0].shown} ({open_[0].state.word})"
    is_open_loop = place.kind == LOOP and views.tree.verdict(views.tree.key_now(place)) is None
    if not open_ and not is_open_loop:
        return ""
    doing = [view.shown for view in open_ if view.state is not NodeState.PENDING] or [
        view.shown for view in open_
    ]
    return f"{place.node} ({named(doing)})" if doing else place.node


def _attempt_line(row: AttemptRow, now_ms: int, *, is_driven: bool) -> str:
    by = f" with {row.agent}" if row.agent and not row.is_cached else ""
    rerun = f" of generation {row.generation}" if row.generation else ""
    head = f"attempt {row.attempt}{rerun}{by}"
    if row.state is AttemptState.RUNNING or row.ended_ms is None:
        length = moment.span(now_ms - row.started_ms)
        return f"{head} runs, for {length}" if is_driven else f"{head} was cut off"
    cached = " from the cache" if row.is_cached else ""
    line = f"{head} {row.state.word}{cached} after {moment.span(row.ended_ms - row.started_ms)}"
    if row.failure is not None:
        line += f" ({row.failure.word.replace('_', ' ')}{'' if row.counted else ', not counted'})"
    text = headline(row.error)
    return f"{line}: {text}" if text else line


def _when(run: RunRow, now_ms: int) -> str:
    return f" {moment.ago(run.ended_ms, now_ms)}" if run.ended_ms is not None else ""


def _ended_word(run: RunRow) -> str:
    return "was cancelled" if run.state is RunState.CANCELLED else run.state.word


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
