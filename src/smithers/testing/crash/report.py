"""What a row of deaths came to, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers.testing.promise import PromiseBroken

_SHOWN = 5


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
    violations: list[str] = field(default_factory=list)
    """Each says after what the process died, and what was wrong then."""

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
            more = len(self.violations) - _SHOWN
            told = [*self.violations[:_SHOWN], *([f"… and {more} more"] if more > 0 else [])]
            raise PromiseBroken("\n  ".join([f"{self}:", *told]))
