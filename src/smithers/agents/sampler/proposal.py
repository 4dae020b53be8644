"""Values that the words of an error suggest."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from .part import DROP
from .pattern import matching
from .text import fit, uuid_text


class Fault(NamedTuple):
    """One error of the model about a value."""

    loc: tuple[int | str, ...]
    kind: str
    message: str
    context: Mapping[str, Any]
    value: Any


def proposals(fault: Fault) -> Iterator[Any]:
    """Values that the words of an error suggest."""
    kind, context, value = fault.kind, fault.context, fault.value
    yield from _BY_KIND.get(kind, ())
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        yield from _beyond(next(iter(context.values())), upwards=kind.startswith("greater"))
    elif kind == "multiple_of":
        yield from (context["multiple_of"] * factor for factor in (1, 2, 10, 0))
    elif kind in ("too_long", "string_too_long", "bytes_too_long"):
        yield value[: context["max_length"]] if isinstance(value, str | list) else DROP
    elif kind == "too_short" and isinstance(value, list):
        yield [*value, *(value[-1:] or ["rehearsed"]) * (context["min_length"] - len(value))]
    elif kind in ("string_too_short", "bytes_too_short"):
        yield fit(str(value), context["min_length"], math.inf)
    elif kind == "string_pattern_mismatch":
        yield matching(context["pattern"], 0, math.inf, [str(value)], 0)
    elif kind in ("literal_error", "enum"):
        yield from _quoted(str(context["expected"]))
    elif kind == "url_scheme":
        for scheme in _quoted(str(context["expected_schemes"])):
            yield f"{scheme}://user:secret@example.org/rehearsed"
            yield f"{scheme}:///rehearsed"
    elif kind == "uuid_version":
        yield uuid_text(100, str(context["expected_version"]))
    elif kind == "is_instance_of":
        yield from ([], {})
    elif kind == "extra_forbidden":
        yield DROP


_BY_KIND: Final[dict[str, Sequence[Any]]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "decimal_max_places"), (1,)),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), (1.5, 1)),
    **dict.fromkeys(("decimal_max_digits", "decimal_whole_digits", "finite_number"), (1, 0.5)),
    **dict.fromkeys(("bool_type", "bool_parsing"), (True,)),
    **dict.fromkeys(("string_type", "bytes_type"), ("rehearsed",)),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type", "mapping_type"), ({},)
    ),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), ([],)),
    "none_required": (None,),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), ("2024-01-15",)),
    **dict.fromkeys(("datetime_type", "datetime_parsing"), ("2024-01-15T09:30:00Z",)),
    **dict.fromkeys(("time_type", "time_parsing"), ("09:30:00",)),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), ("PT5M",)),
    "timezone_naive": ("2024-01-15T09:30:00", "09:30:00"),
    "timezone_aware": ("2024-01-15T09:30:00Z", "09:30:00Z"),
    "date_past": ("2001-01-15",),
    "date_future": ("2999-01-15",),
    "datetime_past": ("2001-01-15T09:30:00Z", "2001-01-15T09:30:00"),
    "datetime_future": ("2999-01-15T09:30:00Z", "2999-01-15T09:30:00"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), (uuid_text(100, "4"),)),
    **dict.fromkeys(("url_type", "url_parsing", "url_syntax_violation"), ("https://example.org/rehearsed",)),
    "import_error": ("math.pi", "math"),
    "fraction_parsing": ("1/2",),
    **dict.fromkeys(("complex_type", "complex_str_parsing"), ("1+2j", 1.5)),
    **dict.fromkeys(("byte_size", "byte_size_unit"), (1024, "1kb")),
    "zoneinfo_str": ("UTC",),
    "path_not_directory": (".",),
    **dict.fromkeys(("ip_v4_address", "ip_v4_network", "ip_v4_interface", "ip_any_address"), ("192.0.2.1",)),
    **dict.fromkeys(("ip_v6_address", "ip_v6_network", "ip_v6_interface"), ("2001:db8::1",)),
    "json_invalid": ("{}", "[]", "1"),
    "pattern_regex": ("rehearsed",),
}


def _quoted(text: str) -> list[Any]:
    """The values in a text such as `'a', 'b' or 3`."""
    return [ast.literal_eval(found) for found in re.findall(r"'(?:[^'\\]|\\.)*'|-?\d+", text)]


def _beyond(bound: Any, *, upwards: bool) -> Iterator[Any]:
    """Values at a bound and a little inside it."""
    sign = 1 if upwards else -1
    if isinstance(bound, int | float | Decimal):
        number = bound if isinstance(bound, int) else float(bound)
        yield from (number + sign, number, number + sign * 0.01, number + sign * abs(number) * 0.001)
        return
    text = str(bound)
    if (span := _span(text)) is not None:
        for step in (timedelta(), timedelta(seconds=1), timedelta(microseconds=1)):
            yield (span + sign * step).total_seconds()
        return
    for kind, steps in (
        (date, (timedelta(days=1), timedelta())),
        (datetime, (timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1), timedelta())),
    ):
        try:
            start = kind.fromisoformat(text)
        except ValueError:
            continue
        yield from ((start + sign * step).isoformat() for step in steps)
        return
    try:
        clock = datetime.combine(date(2024, 1, 15), time.fromisoformat(text))
    except ValueError:
        return
    for step in (timedelta(minutes=1), timedelta(seconds=1), timedelta(microseconds=1), timedelta()):
        yield (clock + sign * step).timetz().isoformat()


def _span(text: str) -> timedelta | None:
    """A span as pydantic's errors write it: `1 day, 2 hours and 3 seconds`."""
    found = re.findall(r"(-?\d+) (week|day|hour|minute|second|millisecond|microsecond)s?", text)
    if not found:
        return None
    return sum((timedelta(**{f"{unit}s": int(count)}) for count, unit in found), timedelta())
