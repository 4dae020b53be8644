"""Outputs in memory: by node and pass."""

from __future__ import annotations

import pytest

from smithers.context import OutputText, Rows, passes_of
from smithers.ids import NodeKey


@pytest.mark.parametrize(
    ("key", "passes"),
    [
        (NodeKey("t"), (0,)),
        (NodeKey("t", "", 3), (3,)),
        (NodeKey("t", "outer=2", 1), (2, 1)),
        (NodeKey("t", "outer=2,mid=10", 4), (2, 10, 4)),
        (NodeKey("t", "loop:a/b=7", 0), (7, 0)),
    ],
)
def test_a_key_names_the_passes_of_the_loops_around_it_outermost_first(
    key: NodeKey, passes: tuple[int, ...]
) -> None:
    assert passes_of(key) == passes


def row(key: NodeKey, seq: int, model: str = "M") -> OutputText:
    return OutputText(key, seq, model, "{}")


def test_a_newer_row_of_the_same_key_takes_its_place() -> None:
    rows = Rows()
    rows.add(row(NodeKey("t"), 1))
    rows.add(newer := row(NodeKey("t"), 5))
    assert rows.get(NodeKey("t")) is newer
    assert list(rows.of_output("M")) == [newer]


def test_a_dropped_row_is_gone_and_dropping_nothing_is_allowed() -> None:
    rows = Rows()
    rows.add(row(NodeKey("t"), 1))
    rows.drop(NodeKey("t"))
    rows.drop(NodeKey("t"))
    rows.drop(NodeKey("never"))
    assert rows.get(NodeKey("t")) is None
    assert rows.of("t") == {}


def test_rows_of_a_model_come_in_seq_order_whatever_the_node_or_the_order_of_arrival() -> None:
    rows = Rows()
    for key, seq, model in [
        (NodeKey("b", "", 1), 9, "M"),
        (NodeKey("a"), 3, "M"),
        (NodeKey("b", "", 0), 5, "M"),
        (NodeKey("c"), 4, "Other"),
    ]:
        rows.add(row(key, seq, model))
    assert [found.seq for found in rows.of_output("M")] == [3, 5, 9]


def test_a_body_that_lives_elsewhere_is_fetched_once_and_only_when_read() -> None:
    fetched: list[int] = []

    def fetch() -> str:
        fetched.append(1)
        return '{"n":1}'

    text = OutputText(NodeKey("t"), 1, "M", fetch)
    assert fetched == []
    assert text.body == text.body == '{"n":1}'
    assert fetched == [1]
