"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def store_option(command: Command) -> Command:
    """`--store PATH`: another database than the project's own."""
    return click.option(
        "--store", metavar="PATH", help="Database to use; default: the nearest .smithers/smithers.db upwards."
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: for programs."""
    return click.option("--json", "is_json", is_flag=True, help="Print JSON.")(command)


def run_argument(command: Command) -> Command:
    """`RUN`: an id, the beginning of one, or `@last`."""
    return click.argument("run_id", metavar="RUN")(command)
