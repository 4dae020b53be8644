"""`smithers supervise`: see to it that runs go on which nobody drives."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.leaving import orderly_leaving
from smithers.cli.options import json_option, store_option, with_store
from smithers.cli.table import Column, Table
from smithers.clock import SystemClock
from smithers.errors import RunNotFound, RunNotResumable, RunOwned, UsageRefused
from smithers.observe import lookup, moment, next_step
from smithers.observe.summary import owner_name
from smithers.records import OwnerHealth, RunState
from smithers.store import find_store, open_store
from smithers.supervise.choice import Choice
from smithers.supervise.event import Event, alone_text, document, reason
from smithers.supervise.service import Service, System, system_here
from smithers.supervise.supervisor import Supervisor

if TYPE_CHECKING:
    from smithers.records import RunRow
    from smithers.store import Store

TAKEN_S = 60.0
"""How long `--once` waits for what it has started to take runs over."""


@click.command()
@click.option("--run", "run_id", metavar="RUN", help="See to this run only, until it ends or is paused.")
@click.option("--once", is_flag=True, help="Look once, wait until what is found is taken over, and leave.")
@click.option("--dry-run", is_flag=True, help="Only show what it would go on with; changes nothing.")
@click.option("--install", is_flag=True, help="Run it as a service of this user (systemd or launchd).")
@click.option("--uninstall", is_flag=True, help="Remove that service.")
@click.option("--print-unit", is_flag=True, help="Print the service's unit instead of installing it.")
@click.option(
    "--system",
    type=click.Choice(["systemd", "launchd"]),
    metavar="SYSTEM",
    help="Of the unit: systemd or launchd; default: this machine's.",
)
@json_option
@store_option
def supervise(
    run_id: str | None,
    once: bool,
    dry_run: bool,
    install: bool,
    uninstall: bool,
    print_unit: bool,
    system: System | None,
    is_json: bool,
    store: str | None,
) -> int:
    """Go on with runs that nobody drives, until it is ended: SIGTERM, Ctrl+C.

    A run whose owner has died, that was due, or that somebody has decided or written to is resumed in a
    process in the background. Runs that were paused, or that have ended, are left alone. One supervisor of a
    store is active; more of them stand by.
    """
    ways = [
        word
        for word, is_on in (
            ("--once", once), ("--dry-run", dry_run), ("--install", install), ("--uninstall", uninstall),
            ("--print-unit", print_unit),
        )
        if is_on
    ]  # fmt: skip
    if len(ways) > 1:
        raise UsageRefused(f"{' and '.join(ways)} do not go together", hint="choose one of them")
    if install or uninstall or print_unit:
        return _service(ways[0], system, store, run_id)
    path = find_store(Path.cwd(), store)
    if path is None:
        if dry_run:
            _show([], store, is_json=is_json)
            return ExitCode.FINISHED
        raise RunNotFound(
            "there are no runs here yet", hint=f"start one with `{next_step.START}`, or name the --store"
        )
    opened = open_store(path, clock=SystemClock(), create=False)
    only = None if run_id is None else _checked(opened, run_id).id
    supervisor = Supervisor(opened, _Teller(is_json=is_json and not once), only=only, named=store)
    try:
        if dry_run:
            _show(supervisor.chosen(), store, is_json=is_json)
            return ExitCode.FINISHED
        return _once(supervisor, store, is_json=is_json) if once else _serve(supervisor)
    finally:
        supervisor.close()


def _checked(store: Store, word: str) -> RunRow:
    """The run that is to be seen to.

    Raises:
        RunOwned: somebody alive drives it.
        RunNotResumable: it belongs to another run, was paused, or has ended.
    """
    with closing(store.reader()) as reader:
        row = reader.run(lookup.run_name(reader, word))
        row = reader.newest(row.id)
        is_cancelled = any(message.kind.name == "CANCEL" for message in reader.inbox(row.id))
    if row.kin.parent is not None:
        raise RunNotResumable(
            f"{row.name} belongs to {row.kin.parent.name}",
            hint=f"a resume of that one goes on with it: `smithers supervise --run {row.kin.parent.top}`",
        )
    if row.state.has_ended:
        raise RunNotResumable(
            f"{row.name} is {row.state.word}: there is nothing to see to",
            hint=f"look at it with `{next_step.inspect(row.name)}`",
        )
    if row.owner is not None and row.health is OwnerHealth.ALIVE:
        raise RunOwned(
            f"{row.name} is driven by {owner_name(row.owner)}",
            hint=f"watch it with `{next_step.follow(row.name)}`; without --run, supervise sees to it once "
            "that process is gone",
            pid=row.owner.pid,
            host=row.owner.host,
        )
    if row.state is RunState.PAUSED and not is_cancelled:
        raise RunNotResumable(
            f"{row.name} was paused, and stays so until somebody resumes it",
            hint=f"resume it: `{next_step.resume(row.name)}`",
        )
    return row


# --- Looking --------------------------------------------------------------------------------------


def _serve(supervisor: Supervisor) -> int:
    try:
        with orderly_leaving():
            supervisor.serve()
    except (KeyboardInterrupt, SystemExit) as leave:
        code = leave.code if isinstance(leave, SystemExit) else ExitCode.INTERRUPTED
        supervisor.tell_left()
        return int(code or 0)
    supervisor.tell_left()
    return ExitCode.FINISHED


def _once(supervisor: Supervisor, named: str | None, *, is_json: bool) -> int:
    if not supervisor.take_turn():
        if is_json:
            print(json.dumps({"status": "ok", "active": supervisor.holder, "runs": []}))
        else:
            print(f"Nothing to do: process {supervisor.holder} supervises this store.")
        return ExitCode.FINISHED
    choices, left = supervisor.once(TAKEN_S)
    if choices:
        supervisor.tell_left()
    given = [choice for choice in choices if choice.held_until_ms is None]
    if is_json:
        not_taken = {choice.standing.run for choice in left}
        runs = [{**document(one, named), "taken": one.standing.run not in not_taken} for one in choices]
        print(json.dumps({"status": "ok", "active": None, "runs": runs}, ensure_ascii=False))
    elif not given:
        print("Nothing to go on with.")
    late = [choice for choice in left if choice.held_until_ms is None]
    for choice in late:
        terminal.note(f"{choice.standing.name} has not been taken over within {TAKEN_S:.0f} s")
    return ExitCode.FAILED if late else ExitCode.FINISHED


def _show(choices: list[Choice], named: str | None, *, is_json: bool) -> None:
    if is_json:
        runs = [document(choice, named) for choice in choices]
        print(json.dumps({"status": "ok", "runs": runs}, ensure_ascii=False))
        return
    if not choices:
        print("Nothing to go on with.")
        return
    now_ms = SystemClock().now_ms()
    table = Table(
        [
            Column("RUN", is_text=True),
            Column("WORKFLOW", is_text=True),
            Column("STATUS", paint=terminal.state_style),
            Column("SINCE", is_right=True),
        ],
        note_title="WHAT",
        note_room=76,
    )
    for choice in choices:
        one = choice.standing
        what = f"{reason(choice)}: would go on" if choice.held_until_ms is None else alone_text(choice, named)
        table.add(one.name, one.workflow, one.state.word, moment.ago(choice.since_ms, now_ms), note=what)
    print("\n".join(table.lines(terminal.width())))


class _Teller:
    """Says what happens: a line on stderr, or a JSON document a line on stdout."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json

    def __call__(self, event: Event) -> None:
        now_ms = time.time_ns() // 1_000_000
        if self._is_json:
            print(json.dumps({"at": moment.iso(now_ms), **event.document()}, ensure_ascii=False))
            sys.stdout.flush()
        else:
            terminal.note(f"{moment.local(now_ms)[11:]} {event.text}")


# --- As a service ---------------------------------------------------------------------------------


def _service(way: str, system: System | None, named: str | None, run_id: str | None) -> int:
    if run_id is not None:
        raise UsageRefused(f"{way} is about all runs of a store: leave --run out")
    path = find_store(Path.cwd(), named)
    if path is None:
        raise RunNotFound(
            "there is no store here to supervise yet",
            hint=f"start a run with `{next_step.START}`, or name the --store",
        )
    service = Service(path.resolve(), system_here(system))
    if way == "--print-unit":
        print(service.text(), end="")
        return ExitCode.FINISHED
    if way == "--uninstall":
        found = service.uninstall()
        print(f"{service.name} was stopped and removed" if found else f"There is no {service.file}")
        return ExitCode.FINISHED
    service.install()
    print(f"{service.name} is running, and starts with every login")
    print(f"  unit:   {service.file}")
    if service.system == "systemd":
        print(f"  log:    journalctl --user -u {service.name} -f")
        print("  after logging out too: loginctl enable-linger")
    else:
        print(f"  log:    {path.parent / 'logs' / 'supervise.log'}")
    print(f"  remove: {with_store('smithers supervise --uninstall', named)}")
    return ExitCode.FINISHED
