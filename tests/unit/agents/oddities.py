"""Events as no program sends them: its own words in the wrong places, and anything in the right ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


def odd_events(kinds: list[str], words: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of JSON objects. Args: kinds: values that its events go by; words: keys and values it uses."""
    said = st.sampled_from(kinds + words)
    values = st.recursive(
        _SCALARS | said,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(said | st.text(max_size=4), inner, max_size=5)
        ),
        max_leaves=12,
    )
    event = st.dictionaries(said | st.text(max_size=4), values, max_size=6)
    typed = st.builds(lambda kind, rest: {**rest, "type": kind, "event": kind}, st.sampled_from(kinds), event)
    return st.lists(typed | event, max_size=6)
