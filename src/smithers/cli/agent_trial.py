"""`smithers agents test`: one tiny question, asked for real."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.leaving import orderly_leaving
from smithers.cli.options import SpanType, json_option
from smithers.cli.table import Column, Table, cut, one_line
from smithers.clock import SystemClock
from smithers.errors import AgentMissing, UsageRefused
from smithers.observe import moment

if TYPE_CHECKING:
    from smithers.agents.registry import KnownAgent
    from smithers.agents.trial import Outcome

PROMPT = "Answer with the single word ready"


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-p", "--prompt", default=PROMPT, metavar="TEXT", help=f"What to ask; default: {PROMPT!r}.")
@click.option("-m", "--model", metavar="MODEL", help="By the agent's own word; default: as it is set up.")
@click.option(
    "--timeout",
    "timeout_ms",
    type=SpanType(),
    default="2m",
    metavar="SPAN",
    help="Longest time of an answer; default: 2m.",
)
@click.option("-y", "--yes", "is_agreed", is_flag=True, help="Spend tokens without asking.")
@json_option
def test(
    names: tuple[str, ...], prompt: str, model: str | None, timeout_ms: int, is_agreed: bool, is_json: bool
) -> int:
    """Ask an agent one tiny question for real, in an empty folder. THIS SPENDS TOKENS of its account.

    Without a name: all that are installed and not signed out, at once. On a terminal it asks first; elsewhere
    it wants --yes.

    Exit code 1: one of them did not answer.
    """
    wanted = _wanted(names)
    _agree([one.kind for one in wanted], is_agreed)
    from smithers.agents.trial import run_trials

    terminal.note(f"asking {', '.join(one.kind for one in wanted)} …")
    with orderly_leaving():
        outcomes = run_trials(wanted, prompt, model, timeout_ms / 1000)
    is_well = all(one.error is None for one in outcomes)
    if is_json:
        found = [_document(one) for one in outcomes]
        print(json.dumps({"status": "ok" if is_well else "failed", "agents": found}, ensure_ascii=False))
    else:
        _print(outcomes)
    return ExitCode.FINISHED if is_well else ExitCode.FAILED


def _wanted(names: Sequence[str]) -> list[KnownAgent]:
    """Those that were named; else those that may answer."""
    from smithers.agents.registry import KNOWN, adapter, named

    if names:
        wanted = list(dict.fromkeys(map(named, names)))
        missing = next((one.kind for one in wanted if adapter(one) is None), None)
        if missing is not None:
            raise UsageRefused(f"there is no adapter for {missing} in this version of Smithers")
        return wanted
    from smithers.agents.installed import Machine
    from smithers.agents.probe import ASK, probe

    with orderly_leaving():
        seen = probe(KNOWN.values(), Machine.here(SystemClock().now_ms()), ASK)
    ready = [one.known for one in seen if one.program is not None and one.sign_in.state != "no"]
    wanted = [one for one in ready if adapter(one) is not None]
    if not wanted:
        raise AgentMissing("no agent is installed and signed in", hint="see `smithers agents doctor`")
    return wanted


def _agree(kinds: list[str], is_agreed: bool) -> None:
    """Ask whoever sits there; refuse where nobody does.

    Raises:
        UsageRefused: nobody has agreed.
    """
    if is_agreed:
        return
    what = f"this spends tokens of {', '.join(kinds)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageRefused(what, hint="add --yes if you want that")
    if not click.confirm(f"{what[0].upper()}{what[1:]}. Go on?", err=True):
        raise UsageRefused("nothing was asked", hint="see `smithers agents doctor` for what costs nothing")


def _print(outcomes: list[Outcome]) -> None:
    table = Table(
        [
            Column("AGENT"),
            Column("ANSWER", is_text=True),
            Column("TOOK", is_right=True),
            Column("TOKENS", is_right=True),
            Column("COST", is_right=True),
            Column("SESSION", is_text=True),
        ]
    )
    for one in outcomes:
        table.add(
            one.kind,
            cut(one_line(one.answer), 40) if one.error is None else one.error.code,
            moment.span(one.took_ms),
            f"{one.usage.tokens:,}" if one.usage.tokens else moment.UNKNOWN,
            _cost(one),
            one.session or moment.UNKNOWN,
            below=_why(one),
        )
    print("\n".join(table.lines(terminal.width())))
    if any(one.usage.cost_source == "prices" for one in outcomes):
        terminal.note("~ by public list prices; what a subscription makes of it is not known")


def _cost(one: Outcome) -> str:
    cost = one.usage.cost_usd
    if cost is None:
        return moment.UNKNOWN
    return f"{'~' if one.usage.cost_source == 'prices' else ''}${cost:.4f}"


def _why(one: Outcome) -> list[str]:
    if one.error is None:
        return []
    return [f"    {one.error.message}", f"    {one.error.hint}"]


def _document(one: Outcome) -> dict[str, Any]:
    usage = one.usage
    return {
        "agent": one.kind,
        "answer": one.answer if one.error is None else None,
        "took_ms": one.took_ms,
        "usage": {
            "model": usage.model or None,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "cost_usd": usage.cost_usd,
            "cost_source": usage.cost_source or None,
        },
        "session": one.session,
        "error": one.error.payload() if one.error is not None else None,
    }
