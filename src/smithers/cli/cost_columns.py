"""Columns of tokens and money, for tables in which any row has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smithers.cli.table import Column
from smithers.observe import moment
from smithers.observe.spending import money, tokens
from smithers.records import Spending


class CostColumns:
    """The columns that say something of these rows: a table without agents keeps its width."""

    def __init__(self, rows: Iterable[Spending], *, only_money: bool = False) -> None:
        told = [row for row in rows if row]
        self._forms: list[tuple[str, Callable[[Spending], str]]] = []
        if not only_money and any(row.tokens is not None for row in told):
            self._forms.append(("TOKENS", tokens))
        if any(row.usd is not None for row in told):
            self._forms.append(("COST", money))

    @property
    def columns(self) -> list[Column]:
        return [Column(title, is_right=True) for title, _ in self._forms]

    def cells(self, spent: Spending, *, is_asked: bool = False) -> list[str]:
        """One row's, in these columns.

        Args:
            is_asked: an agent has a part in it: if none has told of itself, it is unknown and not nothing.
        """
        blank = moment.UNKNOWN if is_asked else ""
        return [form(spent) or blank for _, form in self._forms]
