"""`smithers agents`: which agents are here, what is wrong with them, and whether they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.agent_pool import pool, unpark
from smithers.cli.agent_trial import test
from smithers.cli.exit_code import ExitCode
from smithers.cli.leaving import orderly_leaving
from smithers.cli.options import json_option, store_option
from smithers.cli.project import Project, open_project
from smithers.cli.table import Column, Table, one_line
from smithers.clock import SystemClock
from smithers.errors import StoreError
from smithers.observe import moment

if TYPE_CHECKING:
    from smithers.agents.diagnosis import Finding
    from smithers.agents.probe import Effort, Parked, Seen

WIDE = 110
"""A terminal of so many columns has room for paths."""
_GLYPHS = {"ok": ("✓", "green"), "unknown": ("?", None), "warning": ("!", "yellow"), "wrong": ("✗", "red")}


class _Agents(click.Group):
    """Lists them when it is asked for nothing else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Agents, subcommand_metavar="[list|doctor|test|pool|unpark] [ARGS]...")
def agents() -> None:
    """Say which agents are installed and signed in, find out what keeps one from working, or try one.

    Without a further word it lists them.
    """


@agents.command("list")
@click.option("--fast", "is_fast", is_flag=True, help="Start no program: versions of npm packages only.")
@store_option
@json_option
def list_(is_fast: bool, store: str | None, is_json: bool) -> None:
    """List the agents: version, sign-in, what is left of their limits, and until when they are parked.

    No model is asked anything. Programs that have not answered after three seconds are ended.
    """
    from smithers.agents.probe import ASK, LOOK

    seen = _probe((), LOOK if is_fast else ASK, store)
    if is_json:
        print(json.dumps({"status": "ok", "agents": [_document(one) for one in seen]}, ensure_ascii=False))
        return
    width = terminal.width()
    print("\n".join(table_of(seen, SystemClock().now_ms(), is_wide=width >= WIDE).lines(width)))
    if any(one.program is None or one.sign_in.state == "no" or one.version.problem for one in seen):
        terminal.note("what is missing, and what to type: smithers agents doctor")


@agents.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@store_option
@json_option
def doctor(names: tuple[str, ...], store: str | None, is_json: bool) -> int:
    """Find what keeps an agent from working, with what to type. All of them, or those that are named.

    Each program is started, for its version. No model is asked anything; `smithers agents test` does that.

    Exit code 1: one that was named cannot be used; or, without names, none can.
    """
    from smithers.agents.diagnosis import diagnose, is_usable
    from smithers.agents.probe import START

    found = [(one, diagnose(one)) for one in _probe(names, START, store)]
    usable = [one.known.kind for one, findings in found if is_usable(findings)]
    is_well = len(usable) == len(found) if names else bool(usable)
    if is_json:
        print(json.dumps(_diagnosis_document(found, is_well=is_well), ensure_ascii=False))
    else:
        for one, findings in found:
            _print_diagnosis(one, findings, is_whole=bool(names))
        if not names:
            print(f"{len(usable)} of {len(found)} agents can be used")
    return ExitCode.FINISHED if is_well else ExitCode.FAILED


def _probe(names: Sequence[str], effort: Effort, store: str | None) -> list[Seen]:
    from smithers.agents.installed import Machine
    from smithers.agents.probe import probe
    from smithers.agents.registry import KNOWN, named

    wanted = list(dict.fromkeys(map(named, names))) or list(KNOWN.values())
    with orderly_leaving():
        return probe(wanted, Machine.here(SystemClock().now_ms()), effort, lambda: _parked(store))


def _parked(store: str | None) -> Sequence[Parked]:
    """Accounts of the project's store of which nothing is asked for a while."""
    try:
        with open_project(store) as project:
            return () if project is None else _parked_in(project)
    except StoreError as error:
        if store is not None:
            raise
        terminal.note(f"who is parked is not known: {error.message}; see `smithers doctor`")
        return ()


def _parked_in(project: Project) -> Sequence[Parked]:
    from smithers.agents.probe import Parked

    rows = project.reader.accounts()
    return [Parked(row.account, row.until_ms, row.reason) for row in rows if row.until_ms > project.now_ms]


# --- The list -----------------------------------------------------------------------------------


def table_of(seen: list[Seen], now_ms: int, *, is_wide: bool) -> Table:
    """The list.

    Args:
        is_wide: there is room for paths.
    """
    columns = [
        Column("AGENT"),
        Column("VERSION", is_text=True, paint=_paint({"not installed": "bright_black", "fails": "red"})),
        Column("SIGNED IN", is_text=True, paint=_paint({"no": "red", "unknown": "yellow"})),
        Column("LEFT", is_text=True),
        Column("PARKED"),
    ]
    table = Table([*columns, *([Column("PROGRAM", is_text=True)] if is_wide else [])])
    for one in seen:
        cells = [one.known.kind, _version(one), *_account(one, now_ms)]
        path = [_home(str(one.program.path)) if one.program else ""] if is_wide else []
        table.add(*cells, *path, below=_other_accounts(one, now_ms))
    return table


def _paint(colours: dict[str, str]) -> Callable[[str], str]:
    return lambda cell: terminal.style(cell, colours.get(cell))


def _version(seen: Seen) -> str:
    if seen.program is None:
        return "not installed"
    words = {"late": "no answer", "failed": "fails", "odd": "unknown"}
    return seen.version.text or words.get(seen.version.problem, moment.UNKNOWN)


def _account(seen: Seen, now_ms: int) -> list[str]:
    """Sign-in, what is left, and for how long it is parked."""
    own = next((one for one in seen.parked if one.account == seen.known.kind), None)
    parked = moment.UNKNOWN if own is None else _until(own, now_ms)
    if seen.program is None:
        return [moment.UNKNOWN, moment.UNKNOWN, parked]
    state, how = seen.sign_in
    signed = (how or "yes") if state == "yes" else state
    return [signed, _left(seen, now_ms), parked]


def _left(seen: Seen, now_ms: int) -> str:
    if seen.quota is None:
        return "unknown"
    as_of = seen.quota.as_of_ms
    return seen.quota.text + (f", {moment.ago(as_of, now_ms)}" if as_of is not None else "")


def _until(parked: Parked, now_ms: int) -> str:
    return "yes" if parked.until_ms is None else moment.due(parked.until_ms, now_ms)


def _other_accounts(seen: Seen, now_ms: int) -> list[str]:
    """Lines for accounts with a folder of their own, which stands behind the agent's kind."""
    others = (one for one in seen.parked if one.account != seen.known.kind)
    return [f"    parked: {_home(one.account.partition(':')[2])} {_until(one, now_ms)}" for one in others]


def _home(path: str) -> str:
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


# --- The diagnosis ------------------------------------------------------------------------------


def _print_diagnosis(seen: Seen, findings: list[Finding], *, is_whole: bool) -> None:
    from smithers.agents.diagnosis import is_usable

    is_here, can_be_used = seen.program is not None, is_usable(findings)
    glyph, colour = _GLYPHS["ok" if can_be_used else "wrong"] if is_here else ("○", "bright_black")
    text = "can be used" if can_be_used else "cannot be used" if is_here else "not installed"
    about = "" if is_whole or not is_here else f": {_summary(seen)}"
    print(f"{terminal.style(glyph, colour)} {seen.known.kind:12} {one_line(text + about)}")
    for parked in seen.parked:
        until = _until(parked, SystemClock().now_ms())
        print(f"  {terminal.style('!', 'yellow')} parked    {until}: {one_line(parked.account)}")
    for finding in findings:
        if is_whole or finding.level in ("warning", "wrong"):
            _print_finding(finding, is_short=seen.program is None)


def _print_finding(finding: Finding, *, is_short: bool) -> None:
    if not is_short:
        glyph = terminal.style(*_GLYPHS[finding.level])
        print(f"  {glyph} {finding.check:9} {one_line(finding.text)}")
    if finding.command:
        print(f"    {terminal.style('next:', None, bold=True)}     {finding.command}")


def _summary(seen: Seen) -> str:
    state, how = seen.sign_in
    signed = {"yes": f"signed in ({how})" if how else "signed in", "no": "not signed in"}
    return ", ".join(filter(None, [seen.version.text, signed.get(state, "sign-in unknown")]))


# --- JSON ---------------------------------------------------------------------------------------


def _diagnosis_document(found: list[tuple[Seen, list[Finding]]], *, is_well: bool) -> dict[str, Any]:
    from smithers.agents.diagnosis import is_usable

    return {
        "status": "ok" if is_well else "unhealthy",
        "agents": [
            {
                **_document(one),
                "usable": is_usable(findings),
                "findings": [finding._asdict() for finding in findings],
            }
            for one, findings in found
        ],
    }


def _document(seen: Seen) -> dict[str, Any]:
    """One agent, as `list --json` and `doctor --json` have it."""
    left = seen.quota
    return {
        "agent": seen.known.kind,
        "program": seen.known.program,
        "path": str(seen.program.path) if seen.program else None,
        "version": seen.version.text or None,
        "driven": seen.known.driven or None,
        "problem": seen.version.said or None,
        "signed_in": {"yes": True, "no": False}.get(seen.sign_in.state),
        "sign_in": seen.sign_in.how,
        "quota": None
        if left is None
        else {
            "text": left.text,
            "as_of": moment.iso(left.as_of_ms),
            "windows": [
                {
                    "minutes": one.minutes,
                    "left_percent": one.left_percent,
                    "resets_at": moment.iso(one.resets_ms),
                }
                for one in left.windows
            ],
        },
        "parked": [
            {"account": one.account, "until": moment.iso(one.until_ms), "reason": one.reason}
            for one in seen.parked
        ],
    }


agents.add_command(test)
agents.add_command(pool)
agents.add_command(unpark)
