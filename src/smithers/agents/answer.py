"""An answer as JSON has it: its fields, and the values of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel

from .earlier import leaves


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, written out once for all that is asked of it."""

    output: BaseModel
    fields: dict[str, Any]
    """As JSON has them; `root`: it is one value. Empty: JSON cannot hold it."""
    values: tuple[str, ...]
    """All of them, at any depth, as texts."""

    @classmethod
    def of(cls, output: BaseModel) -> Self:
        try:
            found = output.model_dump(mode="json", by_alias=True, warnings=False)
        except ValueError:  # as will be told where it is stored
            return cls(output, {}, ())
        is_mapping = isinstance(found, dict) and "root" not in type(output).model_fields
        fields = found if is_mapping else {"root": found}
        return cls(output, fields, tuple(leaves(fields)))

    @property
    def has_only_zeros(self) -> bool:
        """Whether there are numbers in it, and all of them are 0."""
        numbers = [value for value in self.values if value.strip("-.").replace(".", "").isdigit()]
        return bool(numbers) and all(not number.strip("-.0") for number in numbers)

    @property
    def is_zero(self) -> bool:
        """Whether there is nothing in it but 0 and empty texts."""
        return bool(self.values) and all(value in ("0", "0.0", "") for value in self.values)

    @property
    def holders(self) -> dict[str, list[Any] | dict[str, Any]]:
        """Its fields that are lists or mappings."""
        return {name: value for name, value in self.fields.items() if isinstance(value, (list, dict))}
