"""What a row of deaths came to, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from smithers.testing.promise import PromiseBroken

_SHOWN = 5


class Violation(NamedTuple):
    """Something that was wrong after a death."""

    where: str
    """After, or before, what the process died."""
    what: str

    def __str__(self) -> str:
        return f"{self.where} → {self.what}"


@dataclass(slots=True)
class CrashReport:
    """The deaths of one run of a workflow."""

    flow: str
    operations: int = 0
    """Writes to the store that the undisturbed run makes."""
    sites: int = 0
    """Moments tried."""
    deaths: int = 0
    """Processes that died there; the others had ended before."""
    cut_off: int = 0
    """Attempts that were cut off by a death, and so may have run again."""
    left_out: int = 0
    """Moments not tried, because of a sample."""
    unsteady: list[str] = field(default_factory=list)
    """What two undisturbed runs do not agree in, and so was not compared."""
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        sites = (
            f"{self.sites} sites of {self.sites + self.left_out}" if self.left_out else f"{self.sites} sites"
        )
        told = (
            f"{self.flow}: {self.operations} operations, {sites}, {self.deaths} deaths, "
            f"{self.cut_off} attempts cut off, {len(self.violations)} violations"
        )
        if self.unsteady:
            told += f"; not compared, for two undisturbed runs differ in it: {', '.join(self.unsteady)}"
        return told

    def check(self) -> None:
        """Raise if anything was wrong.

        Raises:
            PromiseBroken: says what, and where.
        """
        __tracebackhide__ = True
        if self.violations:
            raise PromiseBroken("\n  ".join([f"{self}:", *_told(self.violations)]))


def _told(violations: Sequence[Violation]) -> Iterator[str]:
    """Each that is of its own kind at the first site that showed it."""
    first: dict[str, Violation] = {}
    sites = Counter(one.what for one in violations)
    for one in violations:
        first.setdefault(one.what, one)
    for one in list(first.values())[:_SHOWN]:
        others = sites[one.what] - 1
        yield str(one) + (f", and at {others} more sites" if others else "")
    if len(first) > _SHOWN:
        yield f"… and {len(first) - _SHOWN} more"
