"""Which columns a model's outputs have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, model_serializer
from typing_extensions import TypedDict

from smithers.engine.shape import Shapes, columns_of
from smithers.records import BLOB_LIMIT_BYTES, FrameWrite, OutputShape


class Author(BaseModel):
    name: str
    born: date | None = None


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


class Flags(TypedDict):
    draft: bool


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Branching(BaseModel):
    label: str
    left: Branching | None = None


def names(model: type[Any] | None) -> list[str] | None:
    found = columns_of(model)
    return None if found is None else [".".join(path) for path in found]


def test_scalars_enums_dates_and_arrays_are_one_column_each() -> None:
    class Plain(BaseModel):
        flag: bool
        colour: Colour
        day: date
        maybe: int | None = None
        tags: list[Author] = []
        table: dict[str, Author] = {}
        anything: Any = None

    assert names(Plain) == ["flag", "colour", "day", "maybe", "tags", "table", "anything"]


def test_a_nested_model_is_one_column_and_one_for_each_of_its_fields() -> None:
    class Book(BaseModel):
        author: Author
        editor: Author | None = None
        point: Point
        flags: Flags

    assert names(Book) == [
        "author", "author.name", "author.born", "editor", "editor.name", "editor.born",
        "point", "point.x", "point.y", "flags", "flags.draft",
    ]  # fmt: skip


def test_a_union_of_models_has_the_fields_of_all_of_them_once() -> None:
    class Owner(BaseModel):
        pet: Cat | Dog = Field(discriminator="kind")

    assert names(Owner) == ["pet", "pet.kind", "pet.lives", "pet.tricks"]


def test_a_model_within_itself_is_not_followed_for_ever() -> None:
    assert names(Branching) == ["label", "left"]


def test_fields_go_by_their_own_names_and_computed_ones_count() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        own: int = Field(alias="other")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def double(self) -> int:
            return 2 * self.own

    assert names(Aliased) == ["own", "double"]


def test_plain_text_is_the_column_text() -> None:
    assert names(str) == ["text"]


def test_a_root_model_is_one_column_and_the_fields_of_what_it_holds() -> None:
    assert columns_of(RootModel[list[int]]) == ((),)
    assert columns_of(RootModel[Author]) == ((), ("name",), ("born",))


def test_a_model_without_fields_has_no_columns() -> None:
    class Done(BaseModel):
        pass

    assert columns_of(Done) == ()


def test_only_a_value_can_tell_what_a_serializer_of_the_authors_makes() -> None:
    class Custom(BaseModel):
        inside: int

        @model_serializer
        def dump(self) -> dict[str, Any]:
            return {"outside": self.inside}

    assert columns_of(Custom) is None
    assert columns_of(None) is None


def test_a_schema_hook_that_raises_is_no_reason_to_fail() -> None:
    class Broken(BaseModel):
        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> Any:
            raise RuntimeError("no schema")

    assert columns_of(Broken) is None


# --- Telling ------------------------------------------------------------------------------------


@pytest.fixture
def frame() -> FrameWrite:
    return FrameWrite(1, 1, 1, 0, 0, 0, 0)


def test_each_model_is_told_of_once(frame: FrameWrite) -> None:
    shapes = Shapes()
    for _ in range(3):
        shapes.tell(frame, "flow", "Author", Author, "{}")
    assert frame.shapes == [OutputShape("flow", "Author", (("name",), ("born",)))]


def test_two_models_of_one_name_are_both_told_of(frame: FrameWrite) -> None:
    shapes = Shapes()
    shapes.tell(frame, "flow", "Pet", Cat, "{}")
    shapes.tell(frame, "flow", "Pet", Dog, "{}")
    assert [shape.paths for shape in frame.shapes] == [(("kind",), ("lives",)), (("kind",), ("tricks",))]


def test_of_any_json_only_new_keys_are_told(frame: FrameWrite) -> None:
    shapes = Shapes()
    for body in ("{}", '{"a":1}', '{"b":1,"a":2}', '{"a":3}', "[1]"):
        shapes.tell(frame, "flow", "free", None, body)
    assert [shape.paths for shape in frame.shapes] == [(), (("a",),), (("b",),)]
    assert all(shape.is_observed for shape in frame.shapes)


def test_keys_without_end_and_bodies_that_no_column_shows_are_not_looked_at(frame: FrameWrite) -> None:
    shapes = Shapes()
    shapes.tell(frame, "flow", "large", None, '{"k":"' + "x" * BLOB_LIMIT_BYTES + '"}')
    assert frame.shapes.pop().paths == ()
    for number in range(500):
        shapes.tell(frame, "flow", "free", None, f'{{"k{number}":1}}')
    assert len(frame.shapes) == 100
