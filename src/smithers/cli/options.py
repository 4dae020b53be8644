"""Options and arguments that several commands share."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

from smithers.errors import UsageRefused
from smithers.span import span_of

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


def order_options(command: Command) -> Command:
    """How long an order waits for what runs: `--now`, `--wait SPAN`."""
    for option in (
        click.option(
            "--wait",
            "patience_ms",
            type=SpanType(),
            metavar="SPAN",
            default="10s",
            help="How long to wait for running tasks; default: 10s.",
        ),
        click.option(
            "--now", "is_now", is_flag=True, help="Cut off the tasks that run; they begin again on resume."
        ),
    ):
        command = option(command)
    return command


def page_options(command: Command) -> Command:
    """Which part of a list of events: `-f`, `--after`, `--limit`, `-n`."""
    for option in (
        click.option("-n", "tail", metavar="TAIL", type=click.IntRange(0), help="Only the last so many."),
        click.option("--limit", metavar="N", type=click.IntRange(1), help="No more than so many."),
        click.option(
            "--after", metavar="SEQ", default=0, type=click.IntRange(0), help="Only events after this number."
        ),
        click.option(
            "-f",
            "--follow",
            "is_following",
            is_flag=True,
            help="Go on until the run ends or nobody drives it.",
        ),
    ):
        command = option(command)
    return command


def with_store(command: str, named: str | None) -> str:
    """A command to type next, for the store that `--store` named."""
    return f"{command} --store {shlex.quote(named)}" if named else command


class SpanType(click.ParamType["int"]):
    """`30s`, `10m`, `2h`, or a number of seconds; as milliseconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        ms = float(text) * 1000 if text.replace(".", "", 1).isdecimal() else span_of(text)
        if ms is None or ms > _LONGEST_MS:
            option = param.opts[0] if param is not None else "it"
            raise UsageRefused(
                f"{option} {text} is no span of time", hint="write seconds, or text such as 30s, 10m, 2h, 1d"
            )
        return round(ms)


_LONGEST_MS = 100 * 365 * 86_400_000
