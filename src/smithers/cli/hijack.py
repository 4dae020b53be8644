"""`smithers hijack`: take an agent's conversation into this terminal, and give it back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.options import run_argument, store_option, with_store
from smithers.cli.project import open_run
from smithers.errors import HijackRefused, RunNotResumable, UsageRefused
from smithers.observe import lookup, next_step
from smithers.observe.node_view import NodeView, NodeViews
from smithers.observe.snapshot import is_driven

if TYPE_CHECKING:
    from smithers.agents.cli import CliAgent, Invocation
    from smithers.engine.host import Host
    from smithers.observe.snapshot import Snapshot
    from smithers.records import CallRow, RunRow


@click.command()
@run_argument
@click.argument("node", metavar="NODE")
@click.option("--print", "is_print", is_flag=True, help="Only print what to type; the run goes on.")
@click.option("--no-resume", is_flag=True, help="Leave the run paused afterwards.")
@store_option
def hijack(run_id: str, node: str, is_print: bool, no_resume: bool, store: str | None) -> int:
    """Go on with the conversation of NODE's agent in this terminal, by the agent's own program.

    The run is paused meanwhile: what its other tasks are at is cut off, and goes on afterwards. When you
    leave the program, the run is resumed in the background, and the agent goes on in the conversation as you
    have left it.

    NODE is an id, or a pass as `inspect` shows it: review[1].
    """
    with open_run(store, run_id) as (project, snapshot):
        row, call = snapshot.run, _call(snapshot, node, project.reader.calls(snapshot.run.id))
    if row.kin.parent is not None:
        parent = row.kin.parent
        raise RunNotResumable(
            f"{row.name} belongs to node {parent.key} of {parent.name}, which resumes it",
            hint=f"`smithers hijack {row.name} {node} --print` says what to type; pause {parent.name} first",
        )
    if not is_print and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageRefused("hijack needs a terminal", hint="`--print` only says what to type")
    agent, path = _agent(row, call, store)
    how = agent.interactive(str(call.session))
    if is_print:
        print(_typed(how))
        return 0
    _pause(row, store)
    with _held(path, row):
        code = _hand_over(how)
    terminal.note(f"{agent.name} left with {code}")
    resume = with_store(next_step.resume_of(row), store)
    if no_resume:
        terminal.note(f"{row.name} is paused; resume it: {resume}")
        return 0
    return _resume(row, path, store)


def _call(snapshot: Snapshot, node: str, calls: list[CallRow]) -> CallRow:
    """The newest call of a node that can be gone on with."""
    found = lookup.node(NodeViews(snapshot), snapshot.run.name, node)
    if not isinstance(found, NodeView):
        raise HijackRefused(f"{node} is no task")
    named = [call for call in calls if call.key == found.key and call.session is not None]
    if not named:
        raise HijackRefused(
            f"{found.shown} has no conversation that could be gone on with",
            hint="only agents that are programs have one, once they have begun: `smithers agents`",
        )
    return max(named, key=lambda call: (call.generation, call.attempt, call.rank))


def _agent(row: RunRow, call: CallRow, named_store: str | None) -> tuple[CliAgent, Path]:
    """The very agent that the workflow has for the task, with its program, folder and environment."""
    from smithers.agents.cli import CliAgent
    from smithers.cli.load import load, locate
    from smithers.cli.resumed import file_of
    from smithers.cli.streams import stdout_kept
    from smithers.engine.desk import account_of
    from smithers.engine.host import Host
    from smithers.store import find_store

    path = find_store(Path.cwd(), named_store)
    if path is None:
        raise lookup.no_runs(row.name)
    with stdout_kept():
        workflow = load(locate(file_of(row.name, named_store)))
        host = Host(path)
        try:
            agents = workflow.agents_of(host, row, call.key)
        finally:
            host.close()
    for agent in agents:
        if (agent.name, account_of(agent)) == (call.agent, call.account) and isinstance(agent, CliAgent):
            return agent, path
    raise HijackRefused(
        f"{call.key} was answered by {call.agent}, and the file gives it no such program any more",
        hint="put the agent back into the task's list",
    )


def _typed(how: Invocation) -> str:
    """The same as a command line for a shell."""
    own = {name: text for name, text in how.env.items() if os.environ.get(name) != text}
    words = [*(f"{name}={shlex.quote(text)}" for name, text in sorted(own.items())), shlex.join(how.argv)]
    line = " ".join(words)
    return f"cd {shlex.quote(str(how.cwd))} && {line}" if how.cwd is not None else line


def _pause(row: RunRow, named_store: str | None) -> None:
    """Let nobody work in the conversation."""
    if row.state.has_ended or not is_driven(row):
        return
    from smithers.cli.halt import carry_out, order, project_store
    from smithers.records import InboxKind

    store = project_store(named_store)
    if store is None:
        raise lookup.no_runs(row.name)
    (halted,) = carry_out(store, [row], order(InboxKind.PAUSE, is_now=True))
    terminal.note(f"{row.name} {halted.text}")
    if not halted.is_done:
        raise HijackRefused(
            f"{row.name} {halted.text}", hint=f"try again, or look: `smithers why {row.name}`"
        )


@contextmanager
def _held(path: Path, row: RunRow) -> Iterator[None]:
    """Keep others from resuming the run meanwhile; a run that has ended is nobody's to hold."""
    if row.state.has_ended:
        yield
        return
    from smithers.engine.host import Host

    host: Host = Host(path)
    try:
        with closing(host.store.reader()) as reader:
            claim = host.claim(reader.run(row.name))
        host.engine  # noqa: B018 - it keeps the lease
        try:
            yield
        finally:
            host.release(claim)
    finally:
        host.close()


def _hand_over(how: Invocation) -> int:
    """Run the program in this terminal; what is typed is for it, Ctrl+C too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.call(
            how.argv,
            env=dict(how.env),
            cwd=how.cwd,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    except FileNotFoundError as error:
        raise HijackRefused(f"no program {how.argv[0]}") from error
    finally:
        signal.signal(signal.SIGINT, before)


def _resume(row: RunRow, path: Path, named_store: str | None) -> int:
    from smithers.cli.detach import Background, start_detached

    if row.state.has_ended:
        return 0
    words = ["up", "--resume", row.name, "--store", str(path)]
    return start_detached(Background(path, row.name, words, None, named_store, is_json=False))
