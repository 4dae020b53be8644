"""Whatever model a task names, a rehearsal answers it."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel, StringConstraints, create_model
from typing_extensions import TypedDict

from smithers.agents import sample

Shape = st.SearchStrategy[Any]
"""Draws annotations."""

_numbers = count()

PATTERNS = [
    r"^[a-z]+$",
    r"^\d{3}-\d{4}$",
    r"^[A-Z]{2,5}-\d+$",
    r"^v?\d+\.\d+\.\d+(-[a-z]+(\.\d+)?)?$",
    r"^#[0-9a-fA-F]{6}$",
    r"^(feat|fix|docs)(\([a-z]+\))?!?: .+$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    r"^https?://[^\s/]+(/[^\s]*)?$",
    r"^\S+$",
    r"\S",
    r"foo",
    r"^foo|bar$",
    r"^(?:a|bc|def){2}$",
    r"^[^a-z0-9\s]+$",
    r"^[^\w]$",
    r"^\w+(\s\w+)*$",
    r"^.{3,8}$",
    r"^a*b+c?$",
    r"^(\+\d{1,3} )?\(?\d{3}\)? \d{3}$",
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
    r"^([01]\d|2[0-3]):[0-5]\d$",
    r"^/([a-z0-9_-]+/)*[a-z0-9_-]+$",
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
    r"^\$\d+(\.\d{2})?$",
    r"^\p{Lu}\p{Ll}+$",
    r"^[[:alpha:]]{4}$",
    r"^(?P<year>\d{4})$",
    r"^(?<year>\d{4})$",
    r"(?i)^yes|no$",
    r"^\x41\u0042$",
    r"^äöü[é-ü]{2}$",
    r"^$",
    r"^\bword\b$",
    r"^a{3}?b{2,}?$",
    r"^[.\-\]\[^]+$",
    r"\A[a-f]+\z",
    r"^(?=.*[A-Z])(?=.*\d).{8,}$",
    r"^(?!admin)[a-z]{5}$",
    r"^(a|b)\1$",
    r"^(?>ab|a)c$",
    r"^a++b$",
    r"^(<)?x(?(1)>|)$",
    r"^(?<=)x(?<!y)$",
]


# --- Models -------------------------------------------------------------------------------------


def _bounds(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = sorted((draw(values), draw(values)))
    kinds = draw(st.sampled_from(["none", "low", "high", "both"]))
    bounds: dict[str, Any] = {}
    if kinds in ("low", "both"):
        bounds["gt" if low < high and draw(st.booleans()) else "ge"] = low
    if kinds in ("high", "both"):
        bounds["le"] = high
    return bounds


@st.composite
def numbers(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["int", "float", "decimal", "multiple", "tight", "places"]))
    if kind == "int":
        return Annotated[int, Field(**_bounds(draw, st.integers(-(10**20), 10**20)))]
    if kind == "float":
        values = st.floats(-1e12, 1e12, allow_nan=False, allow_infinity=False)
        return Annotated[float, Field(**_bounds(draw, values))]
    if kind == "decimal":
        return Annotated[Decimal, Field(**_bounds(draw, st.integers(-1000, 1000).map(Decimal)))]
    if kind == "multiple":
        step = draw(st.sampled_from([2, 7, 100]))
        return Annotated[int, Field(multiple_of=step, ge=draw(st.integers(-500, 500)))]
    if kind == "tight":
        low = draw(st.floats(-10, 10, allow_nan=False))
        return Annotated[float, Field(gt=low, lt=low + draw(st.sampled_from([1e-6, 0.01, 1.0])))]
    return Annotated[Decimal, Field(gt=0, lt=1, max_digits=4, decimal_places=2)]


@st.composite
def texts(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return Annotated[str, StringConstraints(pattern=draw(st.sampled_from(PATTERNS[:18])))]
    least = draw(st.integers(0, 40))
    return Annotated[
        str,
        StringConstraints(
            min_length=least,
            max_length=draw(st.none() | st.integers(least, least + 30)),
            strip_whitespace=draw(st.booleans()),
            to_upper=draw(st.booleans()),
        ),
    ]


@st.composite
def instants(draw: st.DrawFn) -> Any:
    kind, low, span = draw(
        st.sampled_from(
            [
                (date, date(2024, 2, 28), timedelta(days=3)),
                (datetime, datetime(1999, 12, 31, 23), timedelta(hours=3)),  # noqa: DTZ001  as authors write it
                (timedelta, timedelta(seconds=90), timedelta(seconds=10)),
            ]
        )
    )
    return Annotated[kind, Field(**{draw(st.sampled_from(["gt", "ge"])): low, "le": low + span})]


@st.composite
def choices(draw: st.DrawFn) -> Any:
    options = draw(st.lists(st.sampled_from(["red", "ok", "rejected", 1, 2, "a b"]), min_size=1, unique=True))
    if draw(st.booleans()):
        return Literal[tuple(options)]
    return Enum(f"Choice{next(_numbers)}", {f"O{n}": option for n, option in enumerate(options)})


leaves: Shape = st.one_of(
    st.sampled_from([str, int, float, bool, bytes, date, datetime, time, timedelta, UUID, Path, AnyUrl, Any]),
    st.sampled_from([None, Decimal, Fraction]),
    numbers(),
    texts(),
    instants(),
    choices(),
)


def containers(inner: Shape) -> Shape:
    return st.one_of(
        st.builds(_list_of, inner, st.integers(0, 3), st.none() | st.integers(3, 5)),
        st.builds(lambda item: set[item], st.sampled_from([int, str, UUID, Literal["a", "b", "c"]])),
        st.builds(
            lambda item, least: Annotated[frozenset[item], Field(min_length=least)],
            st.sampled_from([int, str, date, Literal["a", "b", "c"]]),
            st.integers(0, 3),
        ),
        st.builds(lambda *items: tuple[items], inner, inner),
        st.builds(lambda item: tuple[item, ...], inner),
        st.builds(
            lambda key, item, least: Annotated[dict[key, item], Field(min_length=least)],
            st.sampled_from([str, int, UUID, date, Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]]),
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda item: Optional[item], inner),  # noqa: UP045  `None | None` is no type
        st.builds(lambda one, two: Union[one, two], inner, inner),  # noqa: UP007
        records(inner),
    )


def _list_of(item: Any, least: int, most: int | None) -> Any:
    return Annotated[list[item], Field(min_length=least, max_length=most)]


@st.composite
def records(draw: st.DrawFn, inner: Shape) -> Any:
    """Models, models that hold themselves, dataclasses, typed dictionaries, tagged unions."""
    kind = draw(st.sampled_from(["model", "model", "recursive", "dataclass", "typed-dict", "tagged", "root"]))
    name = f"Record{next(_numbers)}"
    if kind == "root":
        return RootModel[draw(inner)]
    shapes = draw(st.lists(inner, min_size=1, max_size=4))
    if kind == "dataclass":
        return make_dataclass(name, [(f"f{n}", shape) for n, shape in enumerate(shapes)])
    if kind == "typed-dict":
        return TypedDict(name, {f"f{n}": shape for n, shape in enumerate(shapes)})  # type: ignore[operator]
    if kind == "tagged":
        cats = create_model(name + "Cat", kind=(Literal["cat"], ...), cat=(shapes[0], ...))
        dogs = create_model(name + "Dog", kind=(Literal["dog"], "dog"), dog=(shapes[-1], ...))
        return Annotated[cats | dogs, Field(discriminator="kind")]
    fields: dict[str, Any] = {f"f{n}": (shape, ...) for n, shape in enumerate(shapes)}
    if draw(st.booleans()):
        fields["aliased"] = (draw(inner), Field(alias="The alias"))
    if draw(st.booleans()):
        fields["defaulted"] = (int, 7)
    config = ConfigDict(
        extra=draw(st.sampled_from(["ignore", "forbid", "allow"])), frozen=draw(st.booleans()), strict=False
    )
    if kind == "recursive":
        own = f"list[{name}]" if draw(st.booleans()) else f"{name} | None"
        fields["children"] = (own, ...)
        fields["twin"] = (f"{name} | int", ...)
    made = create_model(name, __config__=config, **fields)
    made.model_rebuild(_types_namespace={name: made})
    return made


shapes: Shape = st.recursive(leaves, containers, max_leaves=6)


@st.composite
def models(draw: st.DrawFn) -> type[BaseModel]:
    fields: dict[str, Any] = {
        f"field_{n}": (shape, ...) for n, shape in enumerate(draw(st.lists(shapes, min_size=1, max_size=4)))
    }
    return create_model(f"Model{next(_numbers)}", **fields)


# --- Properties ---------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.sampled_from(["", "review", "draft[2]@outer=1"]))
def test_a_sample_of_any_model_is_valid_json_and_always_the_same(model: type[BaseModel], salt: str) -> None:
    value = sample(model, salt=salt)
    model.model_validate(value)
    text = json.dumps(value)
    assert json.loads(text) == value
    model.model_validate_json(text)
    assert json.dumps(sample(model, salt=salt)) == text


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("salt", ["", "other"])
def test_a_sampled_text_matches_its_pattern(pattern: str, salt: str) -> None:
    needs_python = any(mark in pattern for mark in ("(?=", "(?!", "(?<=", "(?>", "++", "\\1", "(?("))
    config = ConfigDict(regex_engine="python-re" if needs_python else "rust-regex")
    model = create_model(
        "Texts", __config__=config, text=(Annotated[str, StringConstraints(pattern=pattern)], ...)
    )
    model.model_validate(sample(model, salt=salt))


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        (r"^[a-z]+$", 12, 12),
        (r"^a+b+$", 5, 5),
        (r"^[a-z]+(-[a-z]+)*$", 1, 3),
        (r"^\d+$", 30, 40),
        (r"x", 10, 11),
        (r"x$", 10, 11),
        (r"^x", 10, 11),
        (r"^(ab|cde)+$", 7, 7),
        (r"^.*$", 0, 0),
        (r"^[A-Z][a-z]*( [A-Z][a-z]*)*$", 1, 1),
    ],
)
def test_a_sampled_text_matches_its_pattern_within_its_length(pattern: str, least: int, most: int) -> None:
    kind = Annotated[str, StringConstraints(pattern=pattern, min_length=least, max_length=most)]
    model = create_model("Texts", text=(kind, ...))
    model.model_validate(sample(model))
