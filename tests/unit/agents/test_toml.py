from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents.cli import toml
from smithers.errors import InvalidNode

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_any_value_is_read_as_it_was_written(value: Any) -> None:
    text = toml(value)
    assert "\n" not in text
    assert tomllib.loads(f"value = {text}") == {"value": value}


def test_members_that_are_nothing_are_left_out() -> None:
    assert toml({"a": None, "b": (1, 2)}) == '{"b" = [1, 2]}'


@pytest.mark.parametrize("value", [None, Path("/a"), object(), [None]])
def test_what_it_has_no_word_for_is_refused(value: Any) -> None:
    with pytest.raises(InvalidNode, match="TOML"):
        toml(value)
