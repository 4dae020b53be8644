"""An answer as JSON has it: its fields, and the values of them. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .earlier import leaves


def values_of(output: BaseModel) -> dict[str, Any]:
    """The fields as JSON has them."""
    try:
        found = output.model_dump(mode="json", by_alias=True, warnings=False)
    except ValueError:  # JSON cannot hold it, as will be told where it is stored
        return {}
    return found if isinstance(found, dict) and "root" not in type(output).model_fields else {"root": found}


def has_only_zeros(output: BaseModel) -> bool:
    """Whether there are numbers in it, and all of them are 0."""
    numbers = [value for value in dumped(output) if value.strip("-.").replace(".", "").isdigit()]
    return bool(numbers) and all(not number.strip("-.0") for number in numbers)


def is_zero(output: BaseModel) -> bool:
    found = dumped(output)
    return bool(found) and all(value in ("0", "0.0", "") for value in found)


def dumped(output: BaseModel) -> list[str]:
    return list(leaves(values_of(output)))
