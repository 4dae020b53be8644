"""Looking into JSON of which nothing is promised."""

from __future__ import annotations

from typing import Any

import pytest

from smithers.agents.cli import at, content_text, count_at, list_at, number_at, text_at

VALUE: dict[str, Any] = {"a": [{"b": "x"}, 2, [3]], "n": 1.5, "t": True, "none": None, "": "empty"}
ANYTHING: list[Any] = [
    None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", "x", [], [1], {}, {"a": 1}, (1,), {1},
    b"x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("a", 0, "b"), "x"),
        (("a", -1, 0), 3),
        (("a", 3), None),
        (("a", -4), None),
        (("a", "0"), None),
        ((0,), None),
        (("none", "b"), None),
        (("n", "b"), None),
        (("a", 0, "b", 0), None),
        (("",), "empty"),
    ],
)
def test_a_path_leads_to_what_stands_there_or_to_nothing(path: tuple[str | int, ...], found: object) -> None:
    assert at(VALUE, *path) == found


def test_no_path_leads_to_the_value_itself() -> None:
    assert at(VALUE) is VALUE


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_whatever_stands_there_is_looked_at_without_a_crash(value: Any) -> None:
    event = {"x": value}
    assert isinstance(text_at(event, "x"), str)
    assert isinstance(count_at(event, "x"), int)
    assert isinstance(number_at(event, "x"), float | None)
    assert list(list_at(event, "x")) == (value if isinstance(value, list) else [])
    assert isinstance(content_text(value), str)
    assert at(value, "x", 0, "y") is None


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (3.9, 3), (0, 0), (-1, 0), (True, 0), ("3", 0), (None, 0), (float("nan"), 0), (float("inf"), 0),
     (1e18, 0), (10**400, 0), (1 << 53, 1 << 53)],
)  # fmt: skip
def test_only_what_can_be_a_count_counts(value: object, count: int) -> None:
    assert count_at({"x": value}, "x") == count


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (-0.5, -0.5), (1e308, 1e308), (True, None), ("3", None), (float("nan"), None), (10**400, None),
     (-(10**400), None)],
)  # fmt: skip
def test_only_a_finite_number_is_one(value: object, number: float | None) -> None:
    assert number_at({"x": value}, "x") == number


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("as it is", "as it is"),
        ([{"type": "text", "text": "a"}, {"type": "image"}, {"text": 5}, "b", None, ["c"]], "ab"),
        ({"text": "x"}, ""),
        (5, ""),
    ],
)
def test_the_text_of_a_message_is_that_of_its_parts(content: object, text: str) -> None:
    assert content_text(content) == text
