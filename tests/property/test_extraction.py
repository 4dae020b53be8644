"""Random answers. More of them: `python -m tests.property.answers 20000`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smithers.agents.extraction import NotJson, TooLarge, candidates, check_json
from tests.property.answers import run


@pytest.mark.parametrize("first", range(0, 800, 100))
def test_what_comes_of_a_random_answer_is_what_its_oracle_says(first: int) -> None:
    figures = run(first, 100)
    assert figures.by_oracle["found found"] > 40
    assert figures.by_oracle["refused refused"] > 5


pieces = st.sampled_from(
    ["{", "}", "[", "]", '"', "\\", '{"a":', "```", "~~~", "json", "\n", "\r", "1", ",", "\ud800"]
)


@given(st.lists(pieces | st.text(max_size=3), max_size=40).map("".join), st.none() | st.just({"a"}))
@example("\n1", None)  # the last line is all of it
def test_candidates_are_parts_of_the_text(text: str, keys: set[str] | None) -> None:
    spans = [(candidate.start, candidate.end) for candidate in candidates(text, keys)]
    assert len(set(spans)) == len(spans)
    for candidate in candidates(text, keys):
        assert 0 <= candidate.start < candidate.end <= len(candidate.source)
        with suppress(NotJson, TooLarge):
            check_json(candidate.text)
