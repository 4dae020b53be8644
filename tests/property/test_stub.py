"""Whatever an answer is like, and whatever came before it: it is judged, and the judgement can be stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from smithers.agents.stub import stub_reason


class Part(BaseModel):
    name: str = Field(description="What it is called")
    more: Any = None


class Whole(BaseModel):
    title: str
    parts: list[Part]
    note: str = ""
    by_name: dict[str, Part] = {}


class Anything(RootModel[Any]):
    pass


words = st.sampled_from(
    ["test", "", "<title>", "n/a", "Step 1", "I cannot do it.", "\ud800", "\0", "42", "C", "東京"]
)
texts = words | st.text(max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
parts = st.builds(Part, name=texts, more=values)
wholes = st.builds(
    Whole,
    title=texts,
    parts=st.lists(parts, max_size=3),
    note=texts,
    by_name=st.dictionaries(texts, parts, max_size=2),
)
past = st.lists(texts | wholes.map(repr) | st.sampled_from(["{}", '{"title": null}', "[1"]), max_size=3)


@given(wholes | st.builds(Anything, values), st.integers(0, 3), past)
def test_any_answer_is_judged_the_same_each_time(output: BaseModel, turn: int, earlier: list[str]) -> None:
    reason = stub_reason(output, type(output), turn=turn, earlier=earlier)
    assert reason == stub_reason(output, None, turn=turn, earlier=earlier)
    assert reason is None or (0 < len(reason) < 1_000 and reason.encode())
