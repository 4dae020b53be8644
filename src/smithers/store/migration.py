"""Numbered migrations: each is one transaction; the file's `user_version` says which have been applied."""

from __future__ import annotations

import sqlite3
from typing import Final

from smithers.store.queries import migration_files
from smithers.store.view import make_views

SCHEMA_VERSION: Final = 8
"""Number of the newest migration. Written down, so that opening a present store lists no folder."""


def migrate(connection: sqlite3.Connection, application_id: int) -> None:
    """Bring a database to `SCHEMA_VERSION`; quick when it is there already.

    Raises:
        sqlite3.Error: nothing of the migration that failed was applied; those before it stand.
    """
    if _version(connection) >= SCHEMA_VERSION:
        return
    for file in migration_files():
        number = int(file.name[:4])
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Under the lock: another process may have done it while this one waited.
            if _version(connection) < number:
                for statement in split(file.read_text(encoding="utf-8")):
                    connection.execute(statement)
                if number == SCHEMA_VERSION:
                    make_views(connection)
                connection.execute(f"PRAGMA application_id = {application_id}")
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def split(script: str) -> list[str]:
    """The statements of a script. `executescript` would end the transaction around it."""
    found, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
