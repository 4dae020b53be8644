"""Tasks of a live view that wait for the limit of an account: whose it is, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from smithers.cli.display import PlainDisplay
from smithers.cli.layout import Layout
from smithers.cli.painter import Painter
from smithers.cli.progress import Progress
from smithers.cli.spot import Standing
from smithers.ids import NodeKey
from smithers.observe.quota import Limit
from smithers.records import EventType, Wakeup
from smithers.store import Store, open_store
from tests.contract.store_contract import FakeClock
from tests.unit.cli.frames import RETRYING, STARTED, Teller, task

BEGAN = int(time.mktime((2026, 3, 5, 12, 0, 0, 0, 0, -1))) * 1000
"""Noon where the tests run, so that a reset stands in the same day."""
RESET = BEGAN + 750_000
BLOCKED = {"waits_for": "quota", "code": "AGENT_QUOTA", "due_ms": RESET}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that knows of one parked account."""
    found = open_store(tmp_path / "smithers.db", clock=FakeClock(BEGAN - 60_000))
    with closing(found.calls()) as calls:
        calls.park("claude-code", RESET, "5-hour limit", first_ms=1, cap_ms=1)
    return found


@pytest.fixture
def teller(store: Store) -> Teller:
    found = Teller(Progress(store))
    found.at_ms = BEGAN
    found.mount({"a": task(agents=["claude-code", "codex"]), "b": task(agents=["claude-code"]), "c": task()})
    return found


def block(teller: Teller, node: str, due_ms: int = RESET, kind: str = "quota") -> None:
    wakeups = [Wakeup(NodeKey(node), kind, due_ms)]
    teller.tell((EventType.NODE_BLOCKED, node, 0, BLOCKED), wakeups=wakeups)


def meet(teller: Teller, node: str) -> None:
    """An attempt meets the limit."""
    teller.tell((STARTED, node))
    data = {"code": "AGENT_QUOTA", "message": "5-hour limit", "delay_ms": 750_000}
    teller.tell((RETRYING, node, 1, data), wakeups=[Wakeup(NodeKey(node), "quota", RESET)])


@pytest.mark.parametrize("wait", [block, meet])
def test_a_task_waits_for_an_account_whether_or_not_it_has_begun(
    teller: Teller, wait: Callable[[Teller, str], None]
) -> None:
    wait(teller, "a")
    leaf = teller.leaf("a")
    assert leaf.standing is Standing.WAITING
    assert leaf.limit == Limit("claude-code", RESET, BEGAN - 60_000, "5-hour limit")
    assert teller.progress.summary() == "0/3 settled · 1 waiting for quota"
    assert teller.progress.next_text(BEGAN + 30_000) == "claude-code until 12:12, in 12m"


def test_the_tree_counts_down_to_the_reset_and_says_no_countdown_once_the_run_has_left(
    teller: Teller,
) -> None:
    meet(teller, "a")
    for is_over, countdown in ((False, ", in 12m"), (True, "")):
        lines = Layout(teller.progress, BEGAN + 30_000, is_over=is_over).lines(9)
        first, *_ = Painter().paint(lines, 100)
        assert first.plain == f"◷ a  waiting    claude-code until 12:12{countdown}: 5-hour limit"


def test_when_it_is_asked_again_nothing_of_the_limit_is_left(teller: Teller) -> None:
    block(teller, "a")
    teller.tell((STARTED, "a"))
    assert teller.leaf("a").limit is None
    assert teller.progress.summary() == "0/3 settled · 1 running"
    teller.tell((RETRYING, "a", 1, {"message": "overloaded"}), wakeups=[Wakeup(NodeKey("a"), "retry", BEGAN)])
    assert teller.leaf("a").limit is None
    assert teller.progress.summary() == "0/3 settled · 1 retrying"


def test_what_comes_first_is_said_a_retry_or_a_reset(teller: Teller) -> None:
    block(teller, "a")
    teller.tell((STARTED, "c"))
    teller.tell((RETRYING, "c", 1, {"message": "x"}), wakeups=[Wakeup(NodeKey("c"), "retry", BEGAN + 40_000)])
    assert teller.progress.summary() == "0/3 settled · 1 retrying · 1 waiting for quota"
    assert teller.progress.next_text(BEGAN + 30_000) == "goes on in 10s"


@pytest.mark.parametrize(("node", "name"), [("a", "an agent"), ("b", "claude-code"), ("c", "an agent")])
def test_without_a_store_that_can_be_read_it_says_what_the_tree_knows(node: str, name: str) -> None:
    teller = Teller(Progress())
    teller.mount({"a": task(agents=["claude-code", "codex"]), "b": task(agents=["claude-code"]), "c": task()})
    block(teller, node)
    limit = teller.leaf(node).limit
    assert limit is not None
    assert (limit.name, limit.until_ms) == (name, RESET)


def test_plain_lines_say_whose_limit_it_is_and_count_down_in_silence(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    progress, clock = Progress(store), FakeClock(BEGAN)
    display = PlainDisplay(progress, clock)
    teller = Teller(progress, display.frame)
    teller.at_ms = BEGAN
    teller.mount({"a": task(agents=["claude-code"]), "b": task(agents=["claude-code"])})
    meet(teller, "a")
    block(teller, "b")
    clock.advance(10_000)
    display.tick()
    out, err = capsys.readouterr()
    assert out == ""
    assert [line[9:] for line in err.splitlines()] == [
        "◐ a",
        "◷ a waits for claude-code until 12:12, in 12m 30s: 5-hour limit",
        "◷ b waits for claude-code until 12:12, in 12m 30s: 5-hour limit",
        "… 0/2 settled · 2 waiting for quota · claude-code until 12:12, in 12m 20s",
    ]
