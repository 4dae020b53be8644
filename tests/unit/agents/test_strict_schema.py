from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel

from smithers.agents.cli import strict_schema, without_nulls
from smithers.prompt import json_schema


class Colour(StrEnum):
    red = "red"
    blue = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


class Everything(BaseModel):
    """All that can be said in both."""

    name: Annotated[str, Field(min_length=3, description="of the thing")]
    colour: Colour = Colour.red
    at: Point
    maybe: Point | None = None
    day: date | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    points: list[Point] = []
    tree: Tree | None = Field(None, description="a tree")
    described: Point = Field(Point(x=1), description="a described one")
    level: Literal[1, 2, 3] = 1


def strict(model: type[BaseModel]) -> dict[str, Any]:
    found = strict_schema(json_schema(model))
    assert found is not None
    return found


def parts(node: Any) -> list[dict[str, Any]]:
    """All schemas within a schema."""
    if isinstance(node, list):
        return [part for one in node for part in parts(one)]
    if not isinstance(node, dict):
        return []
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
    return [node, *parts([*inner, *([node["items"]] if "items" in node else [])])]


@pytest.mark.parametrize("model", [Everything, Tree, Point])
def test_every_object_lists_all_its_keys_requires_them_and_has_no_others(model: type[BaseModel]) -> None:
    objects = [part for part in parts(strict(model)) if part.get("type") == "object"]
    assert objects
    for part in objects:
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is False


def test_it_uses_only_words_that_the_subset_has() -> None:
    known = set(
        "type title description enum const pattern format multipleOf minimum maximum exclusiveMinimum "
        "exclusiveMaximum minItems maxItems $ref $defs anyOf items properties required "
        "additionalProperties".split()
    )
    for part in parts(strict(Everything)):
        assert part.keys() <= known
        assert "$ref" not in part or part.keys() == {"$ref"}
        assert {"type", "anyOf", "$ref"} & part.keys()


def test_what_may_be_left_out_may_be_null() -> None:
    y = strict(Point)["properties"]["y"]
    assert {"type": "null"} in y["anyOf"]
    assert strict(Everything)["properties"]["maybe"]["anyOf"] == [{"$ref": "#/$defs/Point"}, {"type": "null"}]


def test_what_must_be_there_stays_as_it_is() -> None:
    assert strict(Point)["properties"]["x"] == {"title": "X", "type": "integer"}


def test_limits_that_it_has_no_word_for_are_told() -> None:
    assert strict(Everything)["properties"]["name"]["description"] == "of the thing (minLength: 3)"


def test_what_describes_a_reference_is_written_into_a_copy() -> None:
    described = strict(Everything)["properties"]["described"]["anyOf"][0]
    assert (described["description"], described["type"]) == ("a described one", "object")


def test_a_model_inside_itself_is_referred_to() -> None:
    found = strict(Tree)
    assert found["type"] == "object"
    assert found["$defs"]["Tree"]["properties"]["label"]["type"] == "string"


class Free(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    value: Any


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Pair(BaseModel):
    pair: tuple[int, str]


class Place(BaseModel):
    x: str


class Alike(BaseModel):
    either: Point | Place
    """Both begin with `x`."""


class Items(RootModel[list[int]]):
    pass


@pytest.mark.parametrize("model", [Free, Anything, Open, Pair, Alike, Items])
def test_what_it_cannot_say_is_left_to_the_prompt(model: type[BaseModel]) -> None:
    assert strict_schema(json_schema(model)) is None


def test_forms_of_text_that_it_does_not_know_are_told() -> None:
    class Link(BaseModel):
        url: AnyUrl
        code: Annotated[str, Field(json_schema_extra={"pattern": "^(?!x).*$"})]

    found = strict(Link)["properties"]
    assert found["url"]["description"].endswith("format: uri)")
    assert "format" not in found["url"]
    assert found["code"]["description"] == "(pattern: ^(?!x).*$)"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/$defs/Loop", "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}},
        {"type": "object", "properties": {"a": {"anyOf": []}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
    ],
)
def test_odd_schemas_are_left_to_the_prompt(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


# --- Back ---------------------------------------------------------------------------------------


@given(
    st.builds(
        Everything,
        name=st.text(min_size=3, max_size=5),
        day=st.none() | st.dates(),
        tree=st.none()
        | st.recursive(
            st.builds(Tree, children=st.just([])),
            lambda t: st.builds(Tree, children=st.lists(t, max_size=2)),
            max_leaves=4,
        ),
    )
)
def test_an_answer_with_nulls_for_defaults_is_the_model_with_its_defaults(value: Everything) -> None:
    sparse = value.model_dump(mode="json", exclude_defaults=True)
    filled = _filled(sparse, strict(Everything))
    assert Everything.model_validate(without_nulls(filled, json_schema(Everything))) == value


def _filled(value: Any, root: dict[str, Any]) -> Any:
    """As a model bound to the strict schema would answer: all keys, null where nothing is."""

    def fill(value: Any, node: dict[str, Any]) -> Any:
        if "$ref" in node:
            return fill(value, root["$defs"][node["$ref"].rpartition("/")[2]])
        for option in node.get("anyOf", []):
            target = root["$defs"][option["$ref"].rpartition("/")[2]] if "$ref" in option else option
            kind = target.get("properties", {}).get("kind", {}).get("const")
            if isinstance(value, dict) and target.get("type") == "object" and value.get("kind") == kind:
                return fill(value, target)
            if isinstance(value, list) and target.get("type") == "array":
                return fill(value, target)
        if isinstance(value, list):
            return [fill(one, node["items"]) for one in value]
        if isinstance(value, dict):
            return {key: fill(value.get(key), one) for key, one in node["properties"].items()}
        return value

    return fill(value, root)


def test_a_null_that_means_something_stays() -> None:
    class Two(BaseModel):
        must: int | None
        may: int | None = 5
        other: int = 7

    answer = {"must": None, "may": None, "other": None, "unknown": None}
    assert without_nulls(answer, json_schema(Two)) == {"must": None, "may": None, "unknown": None}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(
                st.sampled_from(["at", "x", "y", "pet", "kind", "points", "tree", "label", "children"]),
                v,
                max_size=4,
            )
        ),
    )
)
def test_any_answer_at_all_comes_through(answer: Any) -> None:
    found = without_nulls(answer, json_schema(Everything))
    assert type(found) is type(answer)
