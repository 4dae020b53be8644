"""`current()`: keys for effects, heartbeats."""

from __future__ import annotations

import math
from typing import Any

import pytest

from smithers import Context, Current, current
from smithers.context import running_as
from smithers.errors import HeartbeatRefused, OutsideTask
from smithers.ids import NodeKey
from tests.unit.context.state import PlainState


def attempt(key: NodeKey, number: int = 1) -> tuple[Current, list[str | None]]:
    beats: list[str | None] = []
    ctx: Context[Any] = Context(PlainState(run_id="r1"))
    return Current(ctx, key, number, None, beats.append), beats


def test_current_is_what_runs_here_and_nothing_elsewhere() -> None:
    made, _ = attempt(NodeKey("t"))
    token = running_as.set(made)
    assert current() is made
    running_as.reset(token)
    with pytest.raises(OutsideTask, match="outside a running task"):
        current()


def test_the_idempotency_key_differs_by_run_node_scope_and_pass_but_not_by_attempt() -> None:
    keys = [NodeKey("t"), NodeKey("u"), NodeKey("t", "", 1), NodeKey("t", "a=1", 1), NodeKey("t", "a=2", 1)]
    made = {attempt(key)[0].idempotency_key for key in keys}
    assert len(made) == len(keys)
    assert attempt(keys[0], 1)[0].idempotency_key == attempt(keys[0], 7)[0].idempotency_key


def test_a_heartbeat_without_data_is_a_sign_of_life_only() -> None:
    made, beats = attempt(NodeKey("t"))
    made.heartbeat()
    made.heartbeat({"done": 3})
    made.heartbeat(0)
    assert beats == [None, '{"done":3}', "0"]


@pytest.mark.parametrize("data", [math.nan, [math.inf], object(), {1}, {"x": b"y"}, {(1, 2): 3}])
def test_data_that_is_not_json_is_refused_and_not_sent(data: Any) -> None:
    made, beats = attempt(NodeKey("t"))
    with pytest.raises(HeartbeatRefused):
        made.heartbeat(data)
    assert beats == []


def test_data_of_a_million_bytes_is_the_most() -> None:
    made, beats = attempt(NodeKey("t"))
    made.heartbeat("x" * 999_998)
    with pytest.raises(HeartbeatRefused, match="1000001"):
        made.heartbeat("x" * 999_999)
    with pytest.raises(HeartbeatRefused):
        made.heartbeat("é" * 600_000)
    assert len(beats) == 1
