"""Waits as values: what is refused where it is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smithers import (
    Approval,
    ApprovalGate,
    HumanTask,
    Signal,
    SmithersError,
    Task,
    Timer,
    WaitForEvent,
    Workflow,
    auto_approve,
)
from smithers.errors import InvalidNode

Make = Callable[[], object]
WRONG: dict[str, Make] = {
    "mode": lambda: Approval("a", mode="vote"),  # type: ignore[arg-type]
    "on_deny": lambda: Approval("a", on_deny="retry"),  # type: ignore[arg-type]
    "on_expire": lambda: Approval("a", on_expire="continue"),  # type: ignore[arg-type]
    "title": lambda: Approval("a", title=3),  # type: ignore[arg-type]
    "request": lambda: Approval("a", request="Ship?"),  # type: ignore[arg-type]
    "no options": lambda: Approval("a", mode="select"),
    "one option twice": lambda: Approval("a", mode="rank", options=["x", "x"]),
    "an option without a key": lambda: Approval("a", mode="select", options=[{"label": "x"}]),
    "an empty option": lambda: Approval("a", mode="select", options=[""]),
    "an option that cannot be ranked": lambda: Approval("a", mode="rank", options=["x, y", "z"]),
    "options of a yes or no": lambda: Approval("a", options=["x"]),
    "quorum 0": lambda: Approval("a", quorum=0),
    "quorum of a bool": lambda: Approval("a", quorum=True),
    "quorum of a choice": lambda: Approval("a", mode="select", options=["x"], quorum=2),
    "quorum of too few": lambda: Approval("a", quorum=3, allowed_users=["x", "y"]),
    "quorum of doubles": lambda: Approval("a", quorum=2, allowed_users=["x", "x"]),
    "a choice that approves itself": lambda: Approval(
        "a", mode="select", options=["x"], on_expire="approve", expires_in="1h"
    ),
    "one text for users": lambda: Approval("a", allowed_users="ann"),
    "a user without a name": lambda: Approval("a", allowed_users=[""]),
    "a word for auto_approve": lambda: Approval("a", auto_approve=True),  # type: ignore[arg-type]
    "no time to decide": lambda: Approval("a", expires_in=0),
    "less than no time": lambda: Approval("a", expires_in=-5),
    "for ever and a day": lambda: Approval("a", expires_in=timedelta(days=400_000)),
    "no reminder": lambda: Approval("a", remind_every=0),
    "a word that is none": lambda: Approval("a", retries=3),  # type: ignore[call-arg]
    "when of a text": lambda: ApprovalGate("a", when="now"),  # type: ignore[arg-type]
    "an empty prompt": lambda: HumanTask("a", str, prompt=" "),
    "no attempts": lambda: HumanTask("a", str, prompt="?", max_attempts=0),
    "on_timeout of a question": lambda: HumanTask("a", str, prompt="?", on_timeout="continue"),  # type: ignore[arg-type]
    "timeout of a question": lambda: HumanTask("a", str, prompt="?", timeout="-1h"),
    "an empty event": lambda: WaitForEvent("a", event=""),
    "a correlation of a number": lambda: WaitForEvent("a", correlation=3),  # type: ignore[arg-type]
    "a default that is not asked for": lambda: WaitForEvent("a", default={}),
    "a default that is missing": lambda: WaitForEvent("a", timeout="1h", on_timeout="continue"),
    "on_timeout of an event": lambda: WaitForEvent("a", on_timeout="deny"),  # type: ignore[arg-type]
    "then of a node": lambda: Signal("a", str, Timer("t", duration=1)),  # type: ignore[arg-type]
    "then of what is not waited for": lambda: Signal("a", str, lambda _: None, async_=True),
    "a timer without a time": lambda: Timer("a"),
    "a timer with two": lambda: Timer("a", duration=1, until=datetime.now(UTC)),
    "a negative timer": lambda: Timer("a", duration=-1),
    "a timer of nothing": lambda: Timer("a", duration=0),
    "a timer without an end": lambda: Timer("a", duration=float("inf")),
    "a timer that is no number": lambda: Timer("a", duration=float("nan")),
    "a timer of words": lambda: Timer("a", duration="soon"),
    "a timer past the year 9999": lambda: Timer("a", duration=timedelta(days=365 * 9000)),
    "a time past the year 9999": lambda: Timer("a", until="10000-01-01T00:00:00+00:00"),
    "a time without a zone": lambda: Timer("a", until=datetime(2030, 1, 1)),  # noqa: DTZ001
    "a text without a zone": lambda: Timer("a", until="2030-01-01T00:00:00"),
    "a text that is no time": lambda: Timer("a", until="tomorrow"),
    "a number for a time": lambda: Timer("a", until=1_900_000_000),  # type: ignore[arg-type]
    "async of a task that asks nobody": lambda: Task("a", str, run=str, async_=True),
    "an empty question": lambda: Task("a", str, run=str, needs_approval=""),
}
"""Each of these is a mistake in the file: it is refused there, with file and line."""


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_refused_where_it_is_written(name: str) -> None:
    with pytest.raises(InvalidNode) as raised:
        WRONG[name]()
    assert raised.value.place is not None
    assert raised.value.place.file == __file__


LATE: dict[str, Make] = {
    "a time that has passed": lambda: Timer("a", until=datetime.now(UTC) - timedelta(seconds=5)),
    "a function's time without a zone": lambda: Timer("a", until=lambda: datetime(2030, 1, 1)),  # noqa: DTZ001
    "a function's time that is none": lambda: Timer("a", until=lambda: None),  # type: ignore[arg-type,return-value]
    "the end of all times": lambda: Timer("a", until="9999-12-31T23:59:59.999-14:00"),
    "a function's title that is none": lambda: Approval("a", title=lambda: 3),  # type: ignore[arg-type,return-value]
    "a function's request that is none": lambda: Approval("a", request=lambda: "x"),  # type: ignore[arg-type,return-value]
    "a request's title that is none": lambda: Approval("a", request={"title": 3}),
    "a function's options that are none": lambda: Approval("a", mode="select", options=list),
    "a condition that fails": lambda: Approval(
        "a", auto_approve=auto_approve(condition=lambda: bool(1 // 0))
    ),
    "when that fails": lambda: ApprovalGate("a", when=lambda: bool(1 // 0)),
    "a default that does not fit": lambda: WaitForEvent(
        "a", str, timeout="1h", on_timeout="continue", default={"x": 1}
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_what_only_shows_in_the_first_frame_is_refused_there_and_nothing_is_stored(
    name: str, tmp_path: Any
) -> None:
    def flow(ctx: Any) -> Any:
        return LATE[name]()

    with pytest.raises(SmithersError) as raised:
        Workflow(flow).run_sync(store=tmp_path / "smithers.db", run_id="r")
    assert raised.value.code != "BUG"
    assert raised.value.place is not None
