"""A table of the user's own as the place of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import TypeVar

from smithers.errors import InvalidNode

from .node import here

if TYPE_CHECKING:
    from pydantic import BaseModel

Row_co = TypeVar("Row_co", covariant=True, default=Any)
R = TypeVar("R", bound="BaseModel")

_RESERVED = ("smithers_", "sqlite_")


class SqlTable(Generic[Row_co]):
    """A table that you have made in the run database, and that a task writes its output to.

    The table has the columns `run_id` and `node_id`, `iteration` where a loop stands around the task, `scope`
    where two do, and one for each field. It is checked when the run starts, and written in the commit that
    settles the task; a task that runs again replaces its row. The output is stored as any other as well.

    Args:
        name: of the table, as it was created.
        schema: pydantic model of a row; left out: any JSON object, or the task's `output_schema`.
    """

    __slots__ = ("name", "schema")

    @overload
    def __init__(self: SqlTable[Any], name: str) -> None: ...
    @overload
    def __init__(self: SqlTable[R], name: str, schema: type[R]) -> None: ...
    def __init__(self, name: str, schema: type[Any] | None = None) -> None:
        if not isinstance(name, str) or not name or "\0" in name:
            raise InvalidNode(f"SqlTable({name!r}): a table has a name", place=here())
        if name.lower().startswith(_RESERVED):
            raise InvalidNode(
                f"SqlTable({name!r}): tables that begin with {' or '.join(_RESERVED)} are not yours to write",
                hint="name a table of your own",
                place=here(),
            )
        if schema is not None and not (isinstance(schema, type) and hasattr(schema, "model_validate")):
            raise InvalidNode(f"SqlTable({name!r}): {schema!r} is not a pydantic model", place=here())
        if getattr(schema, "__pydantic_root_model__", False):
            raise InvalidNode(
                f"SqlTable({name!r}): {schema!r} has no fields to fill columns with", place=here()
            )
        self.name = name
        self.schema: type[Any] | None = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SqlTable) and (self.name, self.schema) == (other.name, other.schema)

    def __hash__(self) -> int:
        return hash((self.name, self.schema))

    def __repr__(self) -> str:
        schema = f", {self.schema.__name__}" if self.schema is not None else ""
        return f"SqlTable({self.name!r}{schema})"
