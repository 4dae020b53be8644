"""`smithers host`: drives the runs whose names stand on its standard input; `supervise` starts it."""

from __future__ import annotations

import os
from contextlib import suppress

import click

from smithers.cli.halt import project_store
from smithers.cli.options import store_option
from smithers.observe import lookup


@click.command(hidden=True)
@click.option("--lock", type=int, hidden=True, help="Descriptor of the lock of its place.")
@store_option
def host(lock: int | None, store: str | None) -> int:
    """Drive runs, all in one process: reads their ids from standard input, one a line.

    It leaves when it has had nothing to drive for some seconds. SIGTERM ends what runs; all can be resumed.
    """
    if lock is not None:
        with suppress(OSError):
            os.set_inheritable(lock, False)  # an agent that outlives us must not hold our place
    opened = project_store(store)
    if opened is None:
        raise lookup.no_runs("")
    from smithers.cli.hosting import Hosting

    # Away from where tasks that read their standard input would take names for theirs.
    source = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return Hosting(opened.path, source).serve()
