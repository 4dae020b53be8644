"""A JSON object whose fields read like attributes."""

from __future__ import annotations

from typing import Any

import pytest

from smithers.context import Record, wrap


def test_a_field_is_an_attribute_and_an_item() -> None:
    record = Record({"a": 1, "b-c": 2})
    assert (record.a, record["a"], record["b-c"]) == (1, 1, 2)
    assert dict(record) == {"a": 1, "b-c": 2}
    assert len(record) == 2


def test_what_is_inside_reads_the_same_way() -> None:
    record = Record({"who": [{"name": "ann"}], "deep": {"x": {"y": None}}})
    assert record.who[0].name == "ann"
    assert record.deep.x.y is None


def test_an_unknown_field_is_named_together_with_those_that_there_are() -> None:
    with pytest.raises(AttributeError, match=r"teem.*team, size"):
        _ = Record({"team": 1, "size": 2}).teem
    with pytest.raises(AttributeError, match="no fields"):
        _ = Record({}).anything
    with pytest.raises(KeyError):
        _ = Record({})["anything"]


def test_a_record_cannot_be_changed() -> None:
    record: Any = Record({"a": 1, "list": [1], "deep": {"x": 1}})
    with pytest.raises(AttributeError):
        record.a = 2
    with pytest.raises(TypeError):
        record["a"] = 2
    with pytest.raises(AttributeError):
        record.list.append(2)
    with pytest.raises(AttributeError):
        record.deep.x = 2
    assert record == {"a": 1, "list": (1,), "deep": {"x": 1}}


def test_a_record_keeps_no_hold_on_what_it_was_made_of() -> None:
    source = {"a": 1}
    record = Record(source)
    source["a"] = 2
    assert record.a == 1


@pytest.mark.parametrize("plain", [None, True, 3, 1.5, "text"])
def test_plain_values_stay_as_they_are(plain: Any) -> None:
    assert wrap(plain) is plain


def test_records_of_equal_fields_are_equal() -> None:
    assert Record({"a": {"b": [1]}}) == Record({"a": {"b": [1]}})
    assert Record({"a": 1}) != Record({"a": 2})
