"""The commands that help, each spelled in one place."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smithers.records import RunRow

START = "smithers up FILE"


def resume(run: str) -> str:
    """Continue a run: keeps what finished, runs the rest."""
    return f"smithers up --resume {run}"


def resume_of(run: RunRow) -> str:
    """Continue a run, or the run that it belongs to: a child is resumed by its parent."""
    parent = run.kin.parent
    return resume(run.name if parent is None else parent.top)


POOL = "smithers agents pool"
"""Show how many agents may run at once, and who does."""


def inspect(run: str) -> str:
    """Show all of a run."""
    return f"smithers inspect {run}"


def why(run: str, node: str | None = None) -> str:
    """Say what a run, or one node of it, waits for."""
    return f"smithers why {run}" + _node(node)


def tree(run: str) -> str:
    """Show a run's tree."""
    return f"smithers tree {run}"


def follow(run: str) -> str:
    """Watch a run's events as they come."""
    return f"smithers logs {run} -f"


def output(run: str, node: str | None = None) -> str:
    """Print what a run, or one node of it, returned."""
    return f"smithers output {run}" + _node(node)


def cancel(run: str, option: str = "") -> str:
    """End a run."""
    return f"smithers cancel {run} {option}".rstrip()


def pause(run: str, option: str = "") -> str:
    """Stop a run so that it can go on later."""
    return f"smithers pause {run} {option}".rstrip()


def advice(error: Mapping[str, Any], run: str) -> Iterator[tuple[str, str]]:
    """Where an error of a run can be fixed, and how: `place` and `hint`, as far as it says."""
    for name in ("place", "hint"):
        if error.get(name):
            yield name, for_run(str(error[name]), run)


def for_run(hint: str, run: str) -> str:
    """A hint with this run's name where it says `RUN`."""
    return re.sub(r"\bRUN\b", lambda _: run, hint)


def _node(node: str | None) -> str:
    # Quoted: shells take the brackets of `draft[1]` for a pattern.
    return f" {shlex.quote(node)}" if node else ""
