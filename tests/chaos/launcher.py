"""`smithers`, with the world around it changed first: run as a script, before anything of ours is imported.

The environment's `CHAOS_WORLD` holds JSON: any of

    fault         a `Fault`'s fields: every connection of the process counts its statements
    max_pages     no database may grow beyond so many pages
    mount_table   a file that is read in place of the system's table of mounts
    lease_ms      how long a lease lasts; it is renewed after a third of that
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.chaos.strike import Fault, all_connections_fail, cap_pages


def change(world: dict[str, Any]) -> None:
    """Make the world so."""
    if "max_pages" in world:
        cap_pages(world["max_pages"])
    if "fault" in world:
        fault = Fault(**world["fault"])
        all_connections_fail(fault)
    if "mount_table" in world:
        from smithers.store import filesystem

        filesystem.network_file_system.__defaults__ = (Path(world["mount_table"]),)
        from smithers.store import connection

        connection._check_place.__defaults__ = (Path(world["mount_table"]),)
    if "lease_ms" in world:
        from smithers.engine import lease

        lease.LEASE_MS = world["lease_ms"]  # type: ignore[misc]
        lease.RENEW_EVERY_MS = world["lease_ms"] // 3  # type: ignore[misc]


if __name__ == "__main__":
    change(json.loads(os.environ.get("CHAOS_WORLD", "{}")))
    from smithers.cli import main

    main()
