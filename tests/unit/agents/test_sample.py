from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    UUID1,
    AliasChoices,
    AliasPath,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    FutureDate,
    HttpUrl,
    Json,
    JsonValue,
    NaiveDatetime,
    PastDatetime,
    PostgresDsn,
    RootModel,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from smithers.agents import sample
from smithers.errors import AgentError
from smithers.ids import check_node_id

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: float = 0.5


class Options(TypedDict, total=False):
    depth: int
    label: str


class Pair(NamedTuple):
    left: int
    right: str


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Tree(BaseModel):
    name: str
    left: Tree | None
    right: Tree | None = None
    children: list[Tree]
    named: dict[str, Tree]


class Page(BaseModel, Generic[T]):
    items: list[T]
    following: Page[T] | None = None


class Ping(BaseModel):
    pong: Pong | None


class Pong(BaseModel):
    ping: Ping
    stop: Literal[True] = True


def accepts(annotation: Any, **field: Any) -> Any:
    """The sampled value of one field; asserts that the model takes it."""
    model = create_model("Model", value=(annotation, Field(**field) if field else ...))
    found = sample(model)
    model.model_validate(found)
    return found["value"]


def check(model: type[BaseModel], **options: Any) -> Any:
    found = sample(model, **options)
    model.model_validate(json.loads(json.dumps(found)))
    return found


# --- What values look like ----------------------------------------------------------------------


def test_a_text_is_named_after_its_field() -> None:
    class Draft(BaseModel):
        summary: str
        nextStep: str  # noqa: N815  as authors of JSON write it

    found = check(Draft)
    assert found["summary"].startswith("rehearsed summary ")
    assert found["nextStep"].startswith("rehearsed next step ")


def test_values_vary_with_the_salt_and_with_the_place() -> None:
    class Two(BaseModel):
        inner: Page[str]
        other: Page[str]

    assert sample(Two, salt="a") != sample(Two, salt="b")
    found = sample(Two)
    assert found["inner"] != found["other"]


@pytest.mark.parametrize("field", ["id", "step_id", "name", "slug", "branch"])
def test_what_a_task_id_may_be_made_of_is_sampled_as_one(field: str) -> None:
    model = create_model("Step", **{field: (str, ...)})
    check_node_id(f"draft:{sample(model)[field]}")


def test_elements_of_lists_differ_and_can_be_task_ids() -> None:
    topics = accepts(list[str])
    assert len(set(topics)) == len(topics) == 2
    assert all(check_node_id(topic) for topic in topics)


@pytest.mark.parametrize(
    "field", ["approved", "is_done", "ok", "tests_passed", "resolved", "isComplete", "lgtm", "ready_to_merge"]
)
def test_a_verdict_is_true_whatever_the_salt(field: str) -> None:
    model = create_model("Review", **{field: (bool, ...)})
    assert all(sample(model, salt=str(n))[field] is True for n in range(20))


@pytest.mark.parametrize("field", ["needs_work", "has_errors", "not_done", "should_continue", "failed"])
def test_a_complaint_is_false_whatever_the_salt(field: str) -> None:
    model = create_model("Review", **{field: (bool, ...)})
    assert all(sample(model, salt=str(n))[field] is False for n in range(20))


def test_another_boolean_takes_both_values() -> None:
    model = create_model("Flags", verbose=(bool, ...))
    assert {sample(model, salt=str(n))["verbose"] for n in range(20)} == {True, False}


def test_a_choice_takes_its_approving_option() -> None:
    model = create_model("Review", verdict=(Literal["reject", "request_changes", "approve"], ...))
    assert {sample(model, salt=str(n))["verdict"] for n in range(20)} == {"approve"}


def test_examples_of_the_author_are_used_where_they_are_valid() -> None:
    assert accepts(str, examples=["fix the login"]) == "fix the login"
    assert accepts(Annotated[int, Field(gt=3)], examples=[1]) > 3


def test_optional_values_are_present() -> None:
    model = create_model("Model", note=(str | None, None), count=(int, 7))
    assert set(check(model)) == {"note", "count"}
    assert sample(model)["note"] is not None


# --- Kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "annotation",
    [
        Colour,
        Level,
        Point,
        Options,
        Pair,
        Cat,
        Annotated[Cat | Dog, Field(discriminator="kind")],
        list[Cat | Dog | None],
        int | str | None,
        tuple[int, str],
        tuple[int, ...],
        set[Colour],
        frozenset[tuple[int, int]],
        dict[Colour, int],
        dict[int, list[str]],
        dict[UUID, date],
        dict[str, Any],
        Page[Page[int]],
        RootModel[list[int]],
        datetime,
        date,
        time,
        timedelta,
        UUID,
        UUID1,
        HttpUrl,
        AnyUrl,
        PostgresDsn,
        IPv4Network,
        bytes,
        Base64Bytes,
        Path,
        Decimal,
        complex,
        SecretStr,
        Json[list[int]],
        JsonValue,
        Any,
        object,
        None,
        FutureDate,
        PastDatetime,
        AwareDatetime,
        NaiveDatetime,
    ],
    ids=str,
)
def test_every_kind_of_field_gets_a_value(annotation: Any) -> None:
    accepts(annotation)


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (int, {"gt": 2**70}),
        (int, {"multiple_of": 7, "gt": 100, "lt": 106}),
        (int, {"lt": -3}),
        (float, {"gt": 0, "lt": 1e-300}),
        (float, {"gt": 1e308}),
        (float, {"ge": 0, "le": 0}),
        (float, {"multiple_of": 0.1, "gt": 0.3, "lt": 0.5}),
        (Decimal, {"gt": Decimal("0.1"), "lt": Decimal("0.2"), "decimal_places": 3}),
        (Decimal, {"ge": 10, "max_digits": 2, "decimal_places": 0}),
        (date, {"gt": date(2040, 2, 28), "lt": date(2040, 3, 1)}),
        (datetime, {"ge": datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)}),
        (time, {"gt": time(10), "lt": time(10, 0, 5)}),
        (timedelta, {"gt": timedelta(days=400, seconds=3), "lt": timedelta(days=400, seconds=5)}),
        (timedelta, {"lt": timedelta(seconds=-5)}),
        (str, {"min_length": 500, "max_length": 500}),
        (str, {"max_length": 1}),
        (list[int], {"min_length": 300}),
        (list[int], {"max_length": 0}),
        (set[Literal[1, 2, 3, 4, 5, 6, 7, 8, 9]], {"min_length": 9}),
        (set[bool], {"min_length": 2}),
        (dict[Literal["x", "y", "z"], int], {"min_length": 3}),
        (dict[int, int], {"min_length": 4}),
        (bytes, {"min_length": 30, "max_length": 31}),
    ],
    ids=str,
)
def test_bounds_are_kept(annotation: Any, field: dict[str, Any]) -> None:
    accepts(annotation, **field)


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (int, {"gt": 1000, "multiple_of": 7}),
        (int, {}),
        (float, {"lt": -0.5}),
        (Decimal, {"gt": 3, "max_digits": 2}),
        (bool, {}),
        (list[int], {"min_length": 1, "max_length": 2}),
        (dict[str, int], {}),
        (str, {"max_length": 3}),
        (str, {"min_length": 60}),
        (str, {"pattern": r"^\d{4}$"}),
        (bytes, {"max_length": 2}),
        (None, {}),
        (date, {}),
        (datetime, {}),
        (time, {}),
        (timedelta, {}),
        (NaiveDatetime, {}),
        (UUID, {}),
        (UUID1, {}),
        (PostgresDsn, {}),
        (HttpUrl, {}),
        (IPv4Network, {}),
        (Literal["a", "it's"], {}),
        (Level, {}),
        (Colour, {}),
        (Cat, {}),
        (Point, {}),
        (Options, {}),
        (complex, {}),
        (FutureDate, {}),
    ],
    ids=str,
)
def test_a_field_whose_schema_says_nothing_is_found_out_by_its_errors(
    annotation: Any, field: dict[str, Any]
) -> None:
    accepts(Annotated[annotation, Field(**field), WithJsonSchema({})])


def test_recursive_models_end() -> None:
    assert len(json.dumps(check(Tree))) < 20_000
    check(Ping)
    check(Pong)


def test_wide_recursion_does_not_explode() -> None:
    fields: dict[str, Any] = {f"f{n}": (list["Wide"], ...) for n in range(8)}  # type: ignore[name-defined]  # noqa: F821
    wide = create_model("Wide", **fields)
    wide.model_rebuild(_types_namespace={"Wide": wide})
    assert len(json.dumps(check(wide))) < 50_000


@pytest.mark.parametrize("extra", ["allow", "forbid", "ignore"])
def test_aliases_are_used_by_frozen_models(extra: Literal["allow", "forbid", "ignore"]) -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(extra=extra, frozen=True)
        name: str = Field(alias="The name")
        size: int = Field(validation_alias=AliasChoices("SIZE", "Size"))
        second: int = Field(validation_alias=AliasPath("numbers", 1))
        city: str = Field(validation_alias=AliasPath("address", "city"))

    check(Aliased)


def test_a_model_that_takes_names_only_gets_names() -> None:
    class Named(BaseModel):
        model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=False)
        size: int = Field(alias="SIZE")

    assert set(check(Named)) == {"size"}


def test_a_strict_model_gets_what_it_takes_from_json() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        when: datetime
        tags: set[int]

    Strict.model_validate_json(json.dumps(sample(Strict)))


def test_a_field_that_json_cannot_hold_is_left_to_its_default() -> None:
    class WithHook(BaseModel):
        name: str
        hook: Callable[[], int] = lambda: 1
        kind: type[int] | None = None

    assert "hook" not in check(WithHook)


# --- Validators of the author -------------------------------------------------------------------


def test_a_field_validator_is_pleased_by_another_value() -> None:
    class Even(BaseModel):
        number: int
        name: str

        @field_validator("number")
        @classmethod
        def is_even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("odd")
            return value

        @field_validator("name")
        @classmethod
        def is_identifier(cls, value: str) -> str:
            if not value.isidentifier():
                raise ValueError("no identifier")
            return value

    for salt in "abcdefgh":
        check(Even, salt=salt)


def test_a_model_validator_is_pleased_by_other_values() -> None:
    class Span(BaseModel):
        first: int
        last: int

        @model_validator(mode="after")
        def is_ordered(self) -> Span:
            if self.first >= self.last:
                raise ValueError("first must come before last")
            return self

    class One(BaseModel):
        path: str | None = None
        url: str | None = None
        spans: list[Span]

        @model_validator(mode="after")
        def is_one(self) -> One:
            if (self.path is None) == (self.url is None):
                raise ValueError("exactly one of path and url")
            return self

    for salt in "abcdefgh":
        check(One, salt=salt)


def test_a_validator_that_empties_its_input_does_not_empty_the_sample() -> None:
    class Greedy(BaseModel):
        name: str

        @model_validator(mode="before")
        @classmethod
        def take(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {"name": data.pop("name")}

    assert set(check(Greedy)) == {"name"}


def test_a_validator_that_refuses_everything_is_named_by_its_path() -> None:
    class Inner(BaseModel):
        code: str

        @field_validator("code")
        @classmethod
        def never(cls, value: str) -> str:
            raise ValueError("not in the register")

    class Outer(BaseModel):
        inner: list[Inner]

    with pytest.raises(
        AgentError, match=r"no rehearsed value fits Outer at inner\.0\.code: .*register"
    ) as caught:
        sample(Outer)
    assert "answers={" in caught.value.hint
    assert caught.value.details["errors"][0]["path"] == "inner.0.code"


def test_a_validator_that_crashes_on_everything_is_told() -> None:
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def crash(cls, value: str) -> str:
            raise LookupError("no register")

    with pytest.raises(AgentError, match="no register"):
        sample(Broken)


def test_a_model_without_a_finite_value_is_refused() -> None:
    class Endless(BaseModel):
        again: Annotated[list[Endless], Field(min_length=1)]

    with pytest.raises(AgentError, match="requires itself"):
        sample(Endless)


def test_a_pattern_that_nothing_matches_is_refused() -> None:
    model = create_model("Model", text=(str, Field(pattern="a^b")))
    with pytest.raises(AgentError, match="at text"):
        sample(model)


# --- Determinism --------------------------------------------------------------------------------


def test_a_sample_is_the_same_in_every_process() -> None:
    program = (
        "import json; from pydantic import Field, create_model; from smithers.agents import sample\n"
        "from typing import Any, Literal\n"
        "m = create_model('M', a=(str, Field(pattern='^[^ab]+$')), b=(set[Literal['x', 'y', 'z']], ...),"
        " c=(dict[str, Any], ...), d=(float, ...))\n"
        "print(json.dumps(sample(m, salt='s')))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_a_sample_is_checked_by_the_model_itself() -> None:
    with pytest.raises(ValidationError):
        Cat.model_validate({**sample(Cat), "lives": 10})
