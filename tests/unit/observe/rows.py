"""Rows of a run, written by hand: what a store would return for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smithers.errors import RunAmbiguous, RunNotFound
from smithers.ids import NodeKey
from smithers.observe.snapshot import Snapshot
from smithers.observe.waits import views_of
from smithers.records import (
    AttemptRow,
    AttemptState,
    CallRow,
    ChildRow,
    EventRow,
    FailureClass,
    FrameRow,
    InboxRow,
    MountRow,
    NodeRow,
    NodeState,
    OutputRef,
    OutputRow,
    Owner,
    OwnerHealth,
    ParkedAccount,
    PassRow,
    RunFilter,
    RunRow,
    RunState,
    Spending,
    Usage,
    Verdict,
    VoteRow,
    WaitRow,
    Wakeup,
)

BEGAN = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when the runs of these tests were created."""
NOW = BEGAN + 60_000

OWNER = Owner(1, "myhost", "boot", "ns", 4711, 99, BEGAN, BEGAN + 15_000, 15_000)


@dataclass
class Story:
    """One run, told step by step; times are seconds after its creation."""

    name: str = "swift-otter-3f2"
    state: RunState = RunState.RUNNING
    health: OwnerHealth = OwnerHealth.ALIVE
    id: int = 1
    created: float = 0
    ended: float | None = None
    error: Mapping[str, Any] | None = None
    output: OutputRef | None = None
    nodes: list[NodeRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    passes: list[PassRow] = field(default_factory=list)
    mounts: list[MountRow] = field(default_factory=list)
    wakeups: list[Wakeup] = field(default_factory=list)
    outputs: list[OutputRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    inbox: list[InboxRow] = field(default_factory=list)
    accounts: list[ParkedAccount] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    children: list[ChildRow] = field(default_factory=list)
    waits: list[WaitRow] = field(default_factory=list)

    def mount(
        self, node: str, parent: str | None = None, kind: str = "task", edges: str = "", **spec: Any
    ) -> None:
        position = sum(1 for row in self.mounts if row.parent == parent)
        self.mounts.append(MountRow(node, parent, position, {"kind": kind, **spec}, 1, None, edges))

    def attempt(
        self,
        key: NodeKey | str,
        state: AttemptState = AttemptState.RUNNING,
        start: float = 0,
        end: float | None = None,
        *,
        number: int = 1,
        generation: int = 0,
        agent: str | None = None,
        failure: FailureClass | None = None,
        error: Mapping[str, Any] | None = None,
        heartbeat: Any = None,
    ) -> None:
        self.attempts.append(
            AttemptRow(
                _key(key), generation, number, state, 1, None if end is None else 2, 0,
                BEGAN + round(start * 1000), None if end is None else BEGAN + round(end * 1000),
                agent, failure, True, error, heartbeat,
            )
        )  # fmt: skip

    def settle(
        self,
        key: NodeKey | str,
        state: NodeState = NodeState.FINISHED,
        *,
        frame: int = 2,
        generation: int = 0,
        reason: str | None = None,
    ) -> None:
        self.nodes.append(NodeRow(_key(key), generation, state, frame, 1, reason))

    def finish(self, key: NodeKey | str, start: float = 0, end: float = 1, body: str = "{}") -> None:
        """One attempt that succeeds."""
        self.attempt(key, AttemptState.FINISHED, start, end)
        self.settle(key)
        self.outputs.append(OutputRow(_key(key), 0, len(self.outputs) + 1, "Draft", body))

    def fail(self, key: NodeKey | str, message: str, *, frame: int = 2, reason: str | None = None) -> None:
        """One attempt that fails for good."""
        error = {"code": "TASK_FAILED", "message": message, "hint": "look at it", "place": "flow.py:7"}
        self.attempt(key, AttemptState.FAILED, 0, 3, failure=FailureClass.CRASH, error=error)
        self.settle(key, NodeState.FAILED, frame=frame, reason=reason)

    def retry(self, key: NodeKey | str, due: float, message: str = "overloaded") -> None:
        """One attempt that fails and will be tried again."""
        error = {"code": "AGENT_THROTTLED", "message": message, "hint": ""}
        self.attempt(key, AttemptState.FAILED, 0, 1, failure=FailureClass.THROTTLE, error=error)
        self.wakeups.append(Wakeup(_key(key), "retry", BEGAN + round(due * 1000)))

    def park(self, account: str, until: float, since: float = 0, reason: str = "5-hour limit") -> None:
        """An account whose limit is used up."""
        until_ms, since_ms = (BEGAN + round(at * 1000) for at in (until, since))
        self.accounts.append(ParkedAccount(account, until_ms, since_ms, 0, reason))

    def limit(self, key: NodeKey | str, due: float, account: str | None = None) -> None:
        """A task that waits for a reset: not begun, or, if an account is named, since it met the limit."""
        if account is not None:
            error = {"code": "AGENT_QUOTA", "message": "5-hour limit", "details": {"account": account}}
            self.attempt(key, AttemptState.FAILED, 0, 1, failure=FailureClass.QUOTA, error=error)
        self.wakeups.append(Wakeup(_key(key), "quota", BEGAN + round(due * 1000)))

    def call(
        self,
        key: NodeKey | str,
        agent: str,
        usage: Usage,
        *,
        account: str = "",
        attempt: int = 1,
        generation: int = 0,
        rank: int = 0,
        session: str | None = None,
    ) -> None:
        """An agent that an attempt has asked."""
        row = CallRow(
            _key(key), generation, attempt, rank, agent, account or agent, session, False, usage, None, BEGAN
        )
        self.calls.append(row)

    def judge(self, loop: NodeKey | str, pass_: int, verdict: Verdict = Verdict.NEXT) -> None:
        self.passes.append(PassRow(_key(loop), pass_, verdict, 3))

    @property
    def run(self) -> RunRow:
        return RunRow(
            id=self.id,
            name=self.name,
            workflow="ship_it",
            source="flow.py:ship_it",
            state=self.state,
            fence=1,
            seq=40,
            frame=3,
            created_ms=BEGAN + round(self.created * 1000),
            started_ms=BEGAN + round(self.created * 1000),
            ended_ms=None if self.ended is None else BEGAN + round(self.ended * 1000),
            input='{"goal": "ship"}',
            config={},
            error=self.error,
            owner=None if self.health is OwnerHealth.NONE else OWNER,
            health=self.health,
            output=self.output,
        )

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.run,
            self.nodes,
            self.attempts,
            self.passes,
            self.mounts,
            self.wakeups,
            self.inbox,
            children=self.children,
            accounts=self.accounts,
            calls=self.calls,
            spent=Shelf([self]).spent([self.id]),
            waits=self.waits,
            open_waits=views_of(Shelf([self]), self.name, self.waits),
        )


@dataclass
class Shelf:
    """A reader over stories."""

    stories: list[Story]

    def _story(self, run: int) -> Story:
        return next(story for story in self.stories if story.id == run)

    def runs(self, where: RunFilter) -> list[RunRow]:
        found = [story.run for story in self.stories if not where.states or story.state in where.states]
        found.sort(key=lambda run: run.id, reverse=True)
        return found[: where.limit]

    def run(self, name: str) -> RunRow:
        names = [story.run for story in self.stories if story.name.startswith(name)]
        exact = [run for run in names if run.name == name]
        if exact or len(names) == 1:
            return (exact or names)[0]
        raise RunAmbiguous(name) if names else RunNotFound(name)

    def nodes(self, run: int) -> list[NodeRow]:
        return self._story(run).nodes

    def attempts(self, run: int) -> list[AttemptRow]:
        return self._story(run).attempts

    def outputs(self, run: int) -> list[OutputRow]:
        return self._story(run).outputs

    def passes(self, run: int) -> list[PassRow]:
        return self._story(run).passes

    def frames(self, run: int) -> list[FrameRow]:
        return [FrameRow(1, 0, 4, BEGAN, True)]

    def mounts(self, run: int, frame: int | None = None) -> list[MountRow]:
        return self._story(run).mounts

    def wakeups(self, run: int) -> list[Wakeup]:
        return self._story(run).wakeups

    def inbox(self, run: int) -> list[InboxRow]:
        return self._story(run).inbox

    def children(self, run: int) -> list[ChildRow]:
        return self._story(run).children

    def accounts(self) -> list[ParkedAccount]:
        return [row for story in self.stories for row in story.accounts]

    def calls(self, run: int) -> list[CallRow]:
        return self._story(run).calls

    def spent(self, runs: Sequence[int]) -> Mapping[int, Mapping[str, Spending]]:
        """Of each story alone."""
        found: dict[int, dict[str, Spending]] = {}
        for run in runs:
            for call in self._story(run).calls:
                agents = found.setdefault(run, {})
                agents[call.agent] = agents.get(call.agent, Spending()) + Spending.of([call])
        return found

    def waits(self, run: int) -> list[WaitRow]:
        return self._story(run).waits

    def votes(self, run: int) -> list[VoteRow]:
        return []

    def below(self, run: int) -> list[int]:
        known = {story.id for story in self.stories}
        return [row.run for row in self._story(run).children if row.run in known]

    def run_at(self, number: int) -> RunRow:
        return self._story(number).run

    def events(self, run: int, after: int = 0, limit: int = 1000) -> list[EventRow]:
        return [event for event in self._story(run).events if event.seq > after][:limit]


def _key(key: NodeKey | str) -> NodeKey:
    return key if isinstance(key, NodeKey) else NodeKey(key)
