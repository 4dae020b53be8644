"""One moment, seen from one place: which row a read finds."""

from __future__ import annotations

import pytest

from smithers.context import Standing, View
from smithers.ids import NodeKey
from tests.unit.context.state import PlainState

OUTSIDE = Standing()


def inside(*passes: int) -> Standing:
    """In loops called a, b, c."""
    return Standing(tuple("abc"[: len(passes)]), passes)


@pytest.fixture
def state() -> PlainState:
    """Node `t` stands in loop a, in its third pass; its outputs are numbered by pass: 100, 101, 102."""
    made = PlainState({"t": inside(2), "x": OUTSIDE})
    for n in range(3):
        made.put("t", (n,), 100 + n)
    made.put("x", (0,), 50)
    return made


def newest(state: PlainState, node: str, at: Standing | None, seq: int | None = None) -> int | None:
    row = View(state, at, seq).newest(node)
    return row.seq if row else None


def latest(state: PlainState, node: str, at: Standing | None, seq: int | None = None) -> int | None:
    row = View(state, at, seq).latest(node)
    return row.seq if row else None


# --- One loop -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_reader_in_the_loop_sees_the_output_of_its_own_pass(state: PlainState, n: int) -> None:
    assert newest(state, "t", inside(n)) == 100 + n


def test_a_reader_in_a_pass_without_an_output_sees_none_but_the_latest_of_an_earlier_one(
    state: PlainState,
) -> None:
    assert newest(state, "t", inside(3)) is None
    assert latest(state, "t", inside(3)) == 102


def test_latest_does_not_look_into_later_passes(state: PlainState) -> None:
    assert latest(state, "t", inside(1)) == 101
    assert latest(state, "t", inside(0)) == 100


def test_a_reader_after_the_loop_sees_its_last_pass(state: PlainState) -> None:
    assert newest(state, "t", OUTSIDE) == latest(state, "t", OUTSIDE) == 102


def test_a_reader_in_another_loop_sees_the_last_pass_too(state: PlainState) -> None:
    other = Standing(("z",), (0,))
    assert newest(state, "t", other) == 102


def test_a_render_outside_any_body_stands_where_the_node_is_mounted(state: PlainState) -> None:
    assert newest(state, "t", None) == 102
    state.mounted["t"] = inside(3)
    assert newest(state, "t", None) is None
    assert latest(state, "t", None) == 102


def test_a_node_outside_loops_is_seen_from_everywhere(state: PlainState) -> None:
    assert {newest(state, "x", at) for at in (None, OUTSIDE, inside(0), inside(7, 3))} == {50}


def test_a_node_without_rows_is_seen_from_nowhere(state: PlainState) -> None:
    state.mounted["empty"] = inside(0)
    for name in ("empty", "unknown"):
        assert newest(state, name, None) is latest(state, name, None) is None
        assert View(state, None).count(name) == 0


def test_a_node_that_is_not_mounted_any_more_is_seen_by_its_newest_row(state: PlainState) -> None:
    del state.mounted["t"]
    assert newest(state, "t", OUTSIDE) == latest(state, "t", None) == 102


# --- Nested loops -------------------------------------------------------------------------------


@pytest.fixture
def nested() -> PlainState:
    """Node `t` stands in loops a and b; pass (i, j) left the output 100 + 10 i + j."""
    made = PlainState({"t": inside(1, 1), "outer": inside(1)})
    for i in range(2):
        for j in range(2):
            made.put("t", (i, j), 100 + 10 * i + j)
    return made


def test_a_reader_deep_inside_sees_only_its_own_passes(nested: PlainState) -> None:
    assert [newest(nested, "t", inside(i, j)) for i in range(2) for j in range(2)] == [100, 101, 110, 111]
    assert newest(nested, "t", inside(1, 2)) is None


def test_latest_stays_within_the_current_pass_of_every_outer_loop(nested: PlainState) -> None:
    assert latest(nested, "t", inside(1, 0)) == 110
    assert latest(nested, "t", inside(0, 5)) == 101
    assert latest(nested, "t", inside(2, 0)) is None


def test_a_reader_in_the_outer_loop_sees_the_last_inner_pass_of_its_own_outer_pass(
    nested: PlainState,
) -> None:
    assert newest(nested, "t", inside(0)) == 101
    assert newest(nested, "t", inside(1)) == 111
    assert newest(nested, "t", inside(2)) is None


def test_a_reader_outside_sees_the_last_of_all(nested: PlainState) -> None:
    assert newest(nested, "t", OUTSIDE) == 111


def test_a_reader_deeper_than_the_node_sees_the_pass_they_share(nested: PlainState) -> None:
    nested.put("outer", (0,), 7)
    nested.put("outer", (1,), 8)
    assert newest(nested, "outer", inside(0, 1)) == 7
    assert newest(nested, "outer", inside(1, 0)) == 8


def test_a_sibling_loop_of_the_same_outer_pass_is_read_after_its_last_pass(nested: PlainState) -> None:
    sibling = Standing(("a", "z"), (1, 0))
    assert newest(nested, "t", sibling) == 111
    assert newest(nested, "t", Standing(("a", "z"), (0, 0))) == 101


def test_count_is_of_the_current_pass_of_every_outer_loop(nested: PlainState) -> None:
    assert View(nested, inside(0, 1)).count("t") == 2
    assert View(nested, inside(2, 0)).count("t") == 0
    nested.put("t", (1, 2), 112)
    assert View(nested, inside(1, 2)).count("t") == 3


def test_count_outside_nested_loops_is_of_all_passes(nested: PlainState) -> None:
    assert View(nested, OUTSIDE).count("t") == 4


# --- As of a moment -----------------------------------------------------------------------------


def test_rows_after_the_moment_are_not_there_yet(state: PlainState) -> None:
    assert newest(state, "t", inside(1), seq=101) == 101
    assert newest(state, "t", inside(1), seq=100) is None
    assert latest(state, "t", inside(2), seq=100) == 100
    assert newest(state, "t", OUTSIDE, seq=101) == 101
    assert View(state, OUTSIDE, 101).count("t") == 2
    assert [row.seq for row in View(state, OUTSIDE, 101).of_output("Number")] == [50, 100, 101]


def test_all_rows_of_a_model_come_in_seq_order_from_every_pass(nested: PlainState) -> None:
    assert [row.seq for row in View(nested, inside(0, 0)).of_output("Number")] == [100, 101, 110, 111]
    assert View(nested, None).of_output("Other") == []


# --- What was read ------------------------------------------------------------------------------


def test_a_read_is_noted_whether_or_not_there_is_something(state: PlainState) -> None:
    reads: set[tuple[str, str]] = set()
    view = View(state, OUTSIDE, None, reads)
    view.newest("t")
    view.latest("unknown")
    view.count("x")
    view.of_output("Number")
    view.of_output("Other")
    view.note("state", "t")
    assert reads == {
        ("node", "t"),
        ("node", "unknown"),
        ("node", "x"),
        ("model", "Number"),
        ("model", "Other"),
        ("state", "t"),
    }


# --- Keys ---------------------------------------------------------------------------------------


def test_the_key_of_a_node_is_that_of_the_readers_pass(nested: PlainState) -> None:
    assert View(nested, inside(0, 1)).key("t") == NodeKey("t", "a=0", 1)
    assert View(nested, None).key("t") == NodeKey("t", "a=1", 1)
    assert View(nested, inside(0)).key("outer") == NodeKey("outer", "", 0)
    assert View(nested, OUTSIDE).key("unknown") is None
