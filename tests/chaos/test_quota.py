"""Used-up limits (R18): random limits of up to three accounts under random chains of agents."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from smithers import AgentReply, AgentRequest, Context, Node, Parallel, Sequence, Task, Workflow
from smithers.clock import SystemClock
from smithers.engine import desk
from smithers.engine.hosts import close_hosts
from smithers.errors import AgentMissing, AgentQuota, AgentThrottled
from smithers.records import FailureClass
from smithers.store import Store

FIRST_PARK_MS = 150
GRACE_S = 0.03
"""Calls that began while another was about to say that the limit is used up."""


class Word(BaseModel):
    text: str


@dataclass
class Account:
    """Its limit is used up now and then, as its chance has it."""

    name: str
    chance: random.Random
    windows: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    told_s: float = 0.0
    """When somebody was last told of a limit."""
    until_s: float = 0.0
    """Until when nothing may be asked, by what was said of it."""
    violations: list[str] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    """From a reset to the next call after it."""
    is_awaited: bool = False

    def ask(self, task: str) -> AgentQuota | None:
        now = time.time()
        with self.lock:
            if self.told_s + GRACE_S < now < self.until_s - 0.001:
                self.violations.append(
                    f"{self.name} was asked by {task} {self.until_s - now:.3f} s too early"
                )
            if self.windows and self.chance.random() < 0.3:
                self.windows -= 1
                return self._refuse(now)
            if self.is_awaited and now >= self.until_s:
                self.late_s.append(now - self.until_s)
                self.is_awaited = False
            return None

    def _refuse(self, now: float) -> AgentQuota:
        self.told_s = now
        self.is_awaited = True
        if self.chance.random() < 0.25:
            # Nobody says when: it is left alone for a while, of which only the least is promised.
            self.until_s = now + FIRST_PARK_MS / 1000 - 0.01
            return AgentQuota("used up, who knows for how long")
        self.until_s = now + self.chance.uniform(0.1, 0.6)
        return AgentQuota("used up", resets_ms=int(self.until_s * 1000) + 1)


class Agent:
    """One of an account's; some are busy now and then, some are not installed."""

    def __init__(self, account: Account, number: int, *, is_missing: bool, is_busy: bool) -> None:
        self.name = f"{account.name}-{number}"
        self.account = account.name
        self._account, self._is_missing, self._is_busy = account, is_missing, is_busy

    async def call(self, request: AgentRequest) -> AgentReply:
        if self._is_missing:
            raise AgentMissing("no such program")
        refused = self._account.ask(str(request.task))
        if refused is not None:
            raise refused
        await asyncio.sleep(self._account.chance.uniform(0, 0.02))
        if self._is_busy and self._account.chance.random() < 0.2:
            raise AgentThrottled("busy", retry_after_s=0.05)
        return AgentReply(output={"text": "done"})


@dataclass(frozen=True)
class Seen:
    seed: int
    status: str
    counted: int
    """Retries that a used-up limit, or a busy provider, has consumed."""
    limits: int
    violations: list[str]
    late_s: list[float]


def script(folder: Path, seed: int) -> Seen:
    chance = random.Random(seed)
    accounts = [
        Account(f"acc{n}", random.Random(f"{seed} {n}"), chance.randrange(4))
        for n in range(chance.choice([1, 2, 3]))
    ]
    agents = [
        Agent(chance.choice(accounts), n, is_missing=chance.random() < 0.1, is_busy=chance.random() < 0.2)
        for n in range(4)
    ]
    agents.append(Agent(accounts[0], 4, is_missing=False, is_busy=False))
    chains = [[*chance.sample(agents[:4], chance.randrange(3)), agents[4]] for _ in range(8)]

    def flow(ctx: Context) -> Node:
        tasks = [Task(f"t{n}", Word, agent=chain, prompt="Go.", retries=0) for n, chain in enumerate(chains)]
        return Sequence(*tasks[:3], Parallel(*tasks[3:]))

    store = folder / f"{seed}.db"
    result = Workflow(flow, name="flow").run_sync({}, run_id="r", store=store)
    with closing(Store(store, durability="full", clock=SystemClock()).reader()) as reader:
        attempts = reader.attempts(reader.run("r").id)
    kinds = (FailureClass.QUOTA, FailureClass.THROTTLE, FailureClass.MISSING_BINARY)
    return Seen(
        seed,
        result.status,
        sum(row.counted for row in attempts if row.failure in kinds),
        sum(account.told_s > 0 for account in accounts),
        [text for account in accounts for text in account.violations],
        [late for account in accounts for late in account.late_s],
    )


def test_a_used_up_limit_consumes_nothing_is_kept_to_and_ends_in_time(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20 if pytestconfig.getoption("--quick") else 100
    first = int(pytestconfig.getoption("--first-seed"))
    monkeypatch.setattr(desk, "FIRST_PARK_MS", FIRST_PARK_MS)
    monkeypatch.setattr(desk, "LATE_PARK_MS", FIRST_PARK_MS)
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda seed: script(tmp_path, seed), range(first, first + count)))
    finally:
        close_hosts()
    late = sorted(late for one in found for late in one.late_s)
    limits = sum(one.limits for one in found)
    print(f"\n{count} scripts in {time.monotonic() - began:.0f} s; {limits} accounts met a limit")
    print(f"{len(late)} were asked again, {late[-1]:.3f} s after the reset at the latest")
    assert [one for one in found if one.status != "finished"] == []
    assert sum(one.counted for one in found) == 0
    assert [text for one in found for text in one.violations] == []
    assert len(late) >= count // 3
    assert late[-1] < 1.0
