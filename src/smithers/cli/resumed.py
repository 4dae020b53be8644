"""`up --resume`: the run that is meant, what a resume would do to it, and driving it on."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.load import Target, load
from smithers.cli.options import with_store
from smithers.cli.streams import stdout_kept
from smithers.cli.wanted import Wanted
from smithers.cli.watched import follow, hot_for, watched
from smithers.errors import RunNotFound, UsageRefused, WorkflowNotFound
from smithers.records import RunState

if TYPE_CHECKING:
    from smithers.engine.host import Claim, Host
    from smithers.records import RunRow


def file_of(resume: str | None, store: str | None) -> str:
    """The workflow of the run that is to be resumed, as the run remembers it."""
    from smithers.cli.project import open_project
    from smithers.observe import lookup
    from smithers.store import find_store, project_root

    if not resume:
        raise UsageRefused("name a workflow file, or a run to resume", hint="see `smithers up --help`")
    path = find_store(Path.cwd(), store)
    with open_project(store) as project:
        if project is None or path is None:
            raise RunNotFound("there are no runs yet", hint="start one: `smithers up FILE`")
        row = project.reader.run(lookup.run_name(project.reader, resume))
    file, _, name = row.source.rpartition(":")
    if not file.endswith(".py"):
        return row.source
    shown = os.path.relpath(project_root(path) / file)
    if not Path(shown).exists():
        raise WorkflowNotFound(
            f"{row.name} is a run of {shown}, which is not there",
            hint=f"if the file has moved, name it: `smithers up FILE --resume {row.name}`",
        )
    return f"{shown}:{name}"


def resume_run(target: Target, path: Path, wanted: Wanted) -> int:
    from smithers.engine.host import Host, check_same_input, find_resumable
    from smithers.store import project_root

    source = target.source(project_root(path))
    host = Host(path, ends_process=True, notifies=True)
    try:
        row = find_resumable(host.store, run_name(host, wanted.resume), source)
        if wanted.given is not None:
            check_same_input(row, wanted.given)
        if row.state is RunState.FINISHED and not _wants_again(host, row, target, wanted):
            return _already_finished(host, row, wanted)
        host.keep_durability(row)
        # Claimed before anything is imported: the losers of a race are told at once.
        claim = host.claim(row)
        return _drive(host, claim, target, wanted)
    finally:
        host.close()


def _wants_again(host: Host, row: RunRow, target: Target, wanted: Wanted) -> bool:
    """Whether anything of a finished run is to be executed again; a strict one refuses to keep the rest."""
    if not wanted.wish():
        return False
    with stdout_kept():
        workflow = load(target)
        _check_workflow(row, workflow.name)
        return bool(workflow.plan(host, row, wanted.wish(), rehearse=wanted.rehearse).again)


def show_plan(target: Target, path: Path, wanted: Wanted) -> int:
    """Say what a resume would do; whoever drives the run goes on undisturbed."""
    from smithers.cli.resume_plan import print_plan
    from smithers.engine.host import Host, check_same_input, find_resumable
    from smithers.store import project_root

    host = Host(path)
    try:
        row = find_resumable(host.store, run_name(host, wanted.resume), target.source(project_root(path)))
        if wanted.given is not None:
            check_same_input(row, wanted.given)
        with stdout_kept():
            workflow = load(target)
            _check_workflow(row, workflow.name)
            plan = workflow.plan(host, row, wanted.wish(), rehearse=wanted.rehearse)
    finally:
        host.close()
    words = ["smithers", "up", wanted.file, "--run-id", row.name, *wanted.words()]
    if not plan.count("run") and plan.count("changed"):
        words += ["--rerun", "changed"]
    print_plan(plan, with_store(shlex.join([*words, "--resume"]), wanted.store), is_json=wanted.is_json)
    return ExitCode.FINISHED


def run_name(host: Host, word: str | None) -> str | None:
    """The run that a word means: an id, the beginning of one, `@last`; None: the newest unfinished."""
    from contextlib import closing

    from smithers.observe import lookup

    if not word:
        return None
    with closing(host.store.reader()) as reader:
        return lookup.run_name(reader, word)


def _drive(host: Host, claim: Claim, target: Target, wanted: Wanted) -> int:
    from smithers.cli.ending import told

    with stdout_kept():
        try:
            workflow = load(target)
            _check_workflow(claim.row, workflow.name)
            hot = hot_for(target, workflow, host, wanted)
            handle, frames, interrupt = watched(
                lambda watch: workflow.resume(
                    host,
                    claim,
                    max_concurrency=wanted.limit,
                    rehearse=wanted.rehearse,
                    linger_ms=wanted.linger_ms,
                    stays=wanted.stays,
                    watch=watch,
                    wish=wanted.wish(),
                    agent_tools=wanted.agent_tools,
                    max_usd=wanted.max_usd,
                )
            )
        except BaseException:
            host.release(claim)
            raise
        last = follow(handle, frames, interrupt, claim.row, host, hot)
    return told(last, interrupt.number, wanted)


def _check_workflow(row: RunRow, name: str) -> None:
    if row.workflow != name:
        raise UsageRefused(
            f"{row.name} is a run of {row.workflow}, not of {name}",
            hint=f"resume it with its own file: `smithers up {row.source} --resume {row.name}`",
        )


def _already_finished(host: Host, row: RunRow, wanted: Wanted) -> int:
    from contextlib import closing

    from smithers.cli.ending import print_result
    from smithers.cli.parting import parting
    from smithers.engine.handle import RunEnd
    from smithers.observe import lookup

    with closing(host.store.reader()) as reader:
        found = lookup.stored_output(reader, row)
    if not wanted.is_json:
        terminal.note(f"{row.name} is finished already; nothing was run")
    end = RunEnd(row.name, RunState.FINISHED, found.body if found else None, None, None)
    print_result(parting(end, host.store), is_json=wanted.is_json)
    return ExitCode.FINISHED
