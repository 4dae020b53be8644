"""`smithers agents pool` and `unpark`: how many agents run at once, and who is asked again before the
reset."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TypedDict

import click

from smithers.cli import terminal
from smithers.cli.options import json_option, store_option
from smithers.cli.project import open_project
from smithers.cli.table import Column, Table
from smithers.clock import SystemClock
from smithers.errors import UsageRefused
from smithers.observe.summary import named
from smithers.records import PlaceRow
from smithers.store import Store, find_store, open_store, place_store

PoolDocument = TypedDict("PoolDocument", {"name": str, "at_work": int, "places": int, "for": list[str]})
"""A pool, or an account of which somebody has said how many places it has."""


class PoolsDocument(TypedDict):
    """The JSON of `agents pool`, without its status."""

    default: int
    pools: list[PoolDocument]


@click.command()
@click.argument("name", required=False)
@click.argument("size", metavar="[N|default]", required=False)
@store_option
@json_option
def pool(name: str | None, size: str | None, store: str | None, is_json: bool) -> None:
    """Show how many agents of a kind may run at once over all runs of the project, and how many do.

    With N, change it. NAME is a kind, such as claude-code, or an account, as `agents list` shows those that
    are parked. A change counts from the next agent that begins; who is at work goes on.
    """
    if name is not None and size is not None:
        _resize(name, _size(size), store)
    rows, sizes = _places(store)
    found = _document(rows, sizes)
    shown = found["pools"] = [one for one in found["pools"] if name in (None, one["name"])]
    if is_json:
        print(json.dumps({"status": "ok", **found}, ensure_ascii=False))
        return
    if not shown:
        print(f"{name or 'Every pool'} has {found['default']} places, and no agent is at work.")
        return
    counts = [Column("AT WORK", is_right=True), Column("PLACES", is_right=True)]
    table = Table([Column("POOL", is_text=True), *counts, Column("FOR", is_text=True)])
    for one in shown:
        table.add(one["name"], str(one["at_work"]), str(one["places"]), named(one["for"]))
    print("\n".join(table.lines(terminal.width())))


@click.command()
@click.argument("account")
@store_option
def unpark(account: str, store: str | None) -> None:
    """Let agents of ACCOUNT be asked at once, although a limit of it was used up.

    Runs that wait for its reset look again within a second of it, or when they are resumed.
    """
    opened = _open(store)
    if opened is None:
        print("nothing is parked")
        return
    with closing(opened.calls()) as calls:
        print(f"{account} may be asked again" if calls.release(account) else f"{account} is not parked")


def _size(text: str) -> int | None:
    if text == "default":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise UsageRefused(f"{text!r} is no number of places", hint="write a number from 1 on, or `default`")
    return int(text)


def _resize(name: str, size: int | None, store: str | None) -> None:
    opened = _open(store) or open_store(place_store(None, Path.cwd()), clock=SystemClock())
    with closing(opened.places()) as places:
        places.resize(name, size)


def _open(store: str | None) -> Store | None:
    path = find_store(Path.cwd(), store)
    return None if path is None else open_store(path, clock=SystemClock(), create=False)


def _places(store: str | None) -> tuple[list[PlaceRow], dict[str, int]]:
    with open_project(store) as project:
        if project is None:
            return [], {}
        rows, sizes = project.reader.places()
        return rows, dict(sizes)


def _document(rows: list[PlaceRow], sizes: dict[str, int]) -> PoolsDocument:
    from smithers.engine.places import default_size

    pools, accounts = Counter(row.pool for row in rows), Counter(row.account for row in rows)
    named = [name for name in sizes if name not in pools]
    found: list[PoolDocument] = [
        {
            "name": name,
            "at_work": pools[name] or accounts[name],
            "places": sizes.get(name, default_size()),
            "for": [f"{row.run} {row.node}" for row in rows if name in (row.pool, row.account)],
        }
        for name in sorted({*pools, *named})
    ]
    return {"default": default_size(), "pools": found}
