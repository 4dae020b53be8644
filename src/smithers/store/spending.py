"""What runs have cost, summed where the rows lie: a list of runs has no time to read each call."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from smithers.records import Spending, Usage
from smithers.store.queries import statements


def spent_by(connection: sqlite3.Connection, runs: Sequence[int]) -> Mapping[int, Mapping[str, Spending]]:
    """As `ports.Reader.spent`, in a store that has calls."""
    found: dict[int, dict[str, Spending]] = {}
    for row in connection.execute(statements("spending")["spent"], (json.dumps(list(runs)),)):
        run, agent, calls, counted, priced, read, written, cached, kept, micros, source, model = row
        cost = None if micros is None else micros / 1e6
        usage = Usage(read, written, cached, kept, cost, source, model)
        found.setdefault(run, {})[agent] = Spending(usage, calls, counted, priced)
    return found
