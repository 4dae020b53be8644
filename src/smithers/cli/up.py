"""`smithers up`: run a workflow, or resume a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode, in_short
from smithers.cli.given import read_input
from smithers.cli.interrupt import Interrupt
from smithers.cli.load import Target, load, locate
from smithers.cli.options import SpanType, json_option, store_option, with_store
from smithers.cli.streams import stdout_kept
from smithers.errors import RunExists, RunNotFound, UsageRefused, WorkflowNotFound
from smithers.ids import check_run_id
from smithers.records import RunState

if TYPE_CHECKING:
    from smithers.engine.handle import Handle, RunEnd
    from smithers.engine.host import Claim, Host
    from smithers.engine.mailbox import Mailbox
    from smithers.engine.verdict import Wish
    from smithers.records import FrameWrite, RunRow

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    file: str
    given: Any
    run_id: str | None
    resume: str | None
    """None: start; `""`: the newest unfinished run, or `run_id`; else a run id."""
    limit: int | None
    rehearse: bool
    linger_ms: int
    is_json: bool
    store: str | None
    rerun: tuple[str, ...] = ()
    """Finished tasks to execute again, or `changed`."""
    retry: tuple[str, ...] = ()
    strict: bool = False

    def words(self) -> list[str]:
        """The options that say what is executed again."""
        found = [word for name in self.rerun for word in ("--rerun", name)]
        found += [word for name in self.retry for word in ("--retry", name)]
        return [*found, "--strict"] if self.strict else found

    def wish(self) -> Wish:
        from smithers.engine.verdict import Wish

        return Wish.of(self.rerun, self.retry, strict=self.strict)


@click.command(epilog=in_short())
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--input", "-i", "given", metavar="JSON|@FILE|-", help="The run's input.")
@click.option("--run-id", "-r", metavar="ID", help="Name of the run; default: a short one.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="true",
    metavar="[true|ID]",
    help="Continue a run: --run-id's, the one named here, or this workflow's newest unfinished.",
)
@click.option(
    "--max-concurrency", "-c", "limit", type=click.IntRange(1), metavar="N", help="Tasks at once; default 16."
)
@click.option("--rehearse", is_flag=True, help="Play every agent by a rehearsal: no key, no cost.")
@click.option(
    "--linger",
    "linger_ms",
    type=SpanType(),
    metavar="SPAN",
    default="1h",
    help="How long to stay while the run only waits for a time (a retry); default: 1h.",
)
@click.option(
    "--plan", "is_plan", is_flag=True, help="Only show what --resume would do to each task, and why."
)
@click.option(
    "--rerun",
    multiple=True,
    metavar="changed|NODE",
    help="With --resume: execute finished work again, and what depends on it.",
)
@click.option(
    "--retry", multiple=True, metavar="NODE", help="With --resume: try again what failed or was skipped."
)
@click.option("--strict", is_flag=True, help="Render twice and compare; refuse to keep what has changed.")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; print its id, pid and log.")
@json_option
@store_option
def up(
    file: str | None,
    given: str | None,
    run_id: str | None,
    resume: str | None,
    limit: int | None,
    rehearse: bool,
    linger_ms: int,
    is_plan: bool,
    rerun: tuple[str, ...],
    retry: tuple[str, ...],
    strict: bool,
    detach: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Run the workflow in FILE, or resume a run of it.

    FILE is flow.py, flow.py:name or package.module:name; a resume that names its run needs none. Progress
    goes to stderr, the run's output to stdout.
    """
    word = _resume_word(resume, run_id)
    if run_id is not None:
        check_run_id(run_id)
    _check_words(word, is_plan=is_plan, rerun=rerun, retry=retry, detach=detach)
    if file is None:
        file = _file_of(word, store)
    wanted = Wanted(
        file,
        read_input(given),
        run_id,
        word,
        limit,
        rehearse,
        linger_ms,
        is_json,
        store,
        rerun,
        retry,
        strict,
    )
    target = locate(file)
    path = _store_path(target, wanted)
    if is_plan:
        return _show_plan(target, path, wanted)
    if detach:
        return _detach(target, path, wanted)
    return _resume(target, path, wanted) if wanted.resume is not None else _start(target, path, wanted)


def _check_words(
    resume: str | None, *, is_plan: bool, rerun: tuple[str, ...], retry: tuple[str, ...], detach: bool
) -> None:
    """Refuse what means nothing without a run that is resumed."""
    if resume is None and (is_plan or rerun or retry):
        option = "--plan" if is_plan else "--rerun" if rerun else "--retry"
        hint = "what a new run would begin with shows `smithers graph FILE`" if is_plan else None
        raise UsageRefused(f"{option} is about a run that is resumed: add --resume", hint=hint)
    if is_plan and detach:
        raise UsageRefused("--plan only looks; there is nothing to detach")


def _resume_word(resume: str | None, run_id: str | None) -> str | None:
    """`--resume`, `--resume true`, `--resume ID`; `--resume false` is as if it were not there."""
    if resume is None or resume == "false":
        return None
    if resume in ("true", ""):
        return run_id or ""
    if Path(resume).exists():
        raise UsageRefused(
            f"--resume took {resume!r}, which is a file, for a run id",
            hint=f"put the file first: `smithers up {resume} --resume`",
        )
    if run_id is not None and run_id != resume:
        raise UsageRefused(f"--run-id {run_id} and --resume {resume} name two runs")
    return resume


def _file_of(resume: str | None, store: str | None) -> str:
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


def _store_path(target: Target, wanted: Wanted) -> Path:
    from smithers.store import find_store, place_store

    found = find_store(target.folder, wanted.store)
    # What was found by looking is there, if only as a log without its file: opening it says what is wrong.
    if found is not None and (wanted.resume is None or wanted.store is None or found.exists()):
        return found
    if wanted.resume is not None:
        raise RunNotFound("there are no runs yet", hint=f"start one: `smithers up {wanted.file}`")
    return place_store(target.file, Path.cwd())


def _detach(target: Target, path: Path, wanted: Wanted) -> int:
    """Run the same in a process of its own; its run is named here, so that it can be told."""
    from random import Random

    from smithers.cli.detach import Background, start_detached
    from smithers.ids import short_run_id

    if wanted.resume is None:
        run_id = wanted.run_id or short_run_id(Random())
        words = ["up", wanted.file, "--run-id", run_id]
    else:
        from smithers.engine.host import Host, find_resumable
        from smithers.store import project_root

        host = Host(path)
        run_id = find_resumable(
            host.store, _run_name(host, wanted.resume), target.source(project_root(path))
        ).name
        words = ["up", wanted.file, "--run-id", run_id, "--resume", "true"]
    if wanted.limit is not None:
        words += ["--max-concurrency", str(wanted.limit)]
    if wanted.rehearse:
        words.append("--rehearse")
    words += wanted.words()
    words += ["--linger", f"{wanted.linger_ms}ms", "--store", str(path)]
    return start_detached(Background(path, run_id, words, wanted.given, wanted.store, wanted.is_json))


def _start(target: Target, path: Path, wanted: Wanted) -> int:
    if wanted.run_id is not None and path.exists():
        _refuse_taken(path, wanted.run_id, wanted.file)
    from smithers.cli.ending import told
    from smithers.engine.host import Host

    with stdout_kept():
        workflow = load(target)
        host = Host(path, durability=workflow.definition.durability)
        try:
            handle, frames, interrupt = _watched(
                lambda watch: workflow.start(
                    host,
                    wanted.given,
                    run_id=wanted.run_id,
                    max_concurrency=wanted.limit,
                    rehearse=wanted.rehearse,
                    linger_ms=wanted.linger_ms,
                    watch=watch,
                    strict=wanted.strict,
                )
            )
            end = _follow(handle, frames, interrupt, None, host)
        finally:
            host.close()
    return told(end, interrupt.number, wanted)


def _refuse_taken(path: Path, run_id: str, file: str) -> None:
    """Before anything of the author's is imported: the name may be taken."""
    from contextlib import closing

    from smithers.clock import SystemClock
    from smithers.observe import lookup
    from smithers.store import open_store

    with closing(open_store(path, clock=SystemClock(), create=False).reader()) as reader:
        taken = lookup.exact_run(reader, run_id)
    if taken is not None:
        again = f"smithers up {shlex.quote(file)} --run-id {run_id} --resume"
        raise RunExists(
            f"there is a run {run_id} already", hint=f"continue it: `{again}`, or choose another --run-id"
        )


def _resume(target: Target, path: Path, wanted: Wanted) -> int:
    from smithers.engine.host import Host, check_same_input, find_resumable
    from smithers.store import project_root

    source = target.source(project_root(path))
    host = Host(path)
    try:
        row = find_resumable(host.store, _run_name(host, wanted.resume), source)
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


def _show_plan(target: Target, path: Path, wanted: Wanted) -> int:
    """Say what a resume would do; whoever drives the run goes on undisturbed."""
    from smithers.cli.resume_plan import print_plan
    from smithers.engine.host import Host, check_same_input, find_resumable
    from smithers.store import project_root

    host = Host(path)
    try:
        row = find_resumable(host.store, _run_name(host, wanted.resume), target.source(project_root(path)))
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


def _run_name(host: Host, word: str | None) -> str | None:
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
            handle, frames, interrupt = _watched(
                lambda watch: workflow.resume(
                    host,
                    claim,
                    max_concurrency=wanted.limit,
                    rehearse=wanted.rehearse,
                    linger_ms=wanted.linger_ms,
                    watch=watch,
                    wish=wanted.wish(),
                )
            )
        except BaseException:
            host.release(claim)
            raise
        end = _follow(handle, frames, interrupt, claim.row, host)
    return told(end, interrupt.number, wanted)


def _check_workflow(row: RunRow, name: str) -> None:
    if row.workflow != name:
        raise UsageRefused(
            f"{row.name} is a run of {row.workflow}, not of {name}",
            hint=f"resume it with its own file: `smithers up {row.source} --resume {row.name}`",
        )


def _already_finished(host: Host, row: RunRow, wanted: Wanted) -> int:
    from contextlib import closing

    from smithers.cli.ending import print_result
    from smithers.engine.handle import RunEnd
    from smithers.observe import lookup

    with closing(host.store.reader()) as reader:
        found = lookup.stored_output(reader, row)
    if not wanted.is_json:
        terminal.note(f"{row.name} is finished already; nothing was run")
    end = RunEnd(row.name, RunState.FINISHED, found.body if found else None, None, None)
    print_result(end, is_json=wanted.is_json)
    return ExitCode.FINISHED


# --- Watching -------------------------------------------------------------------------------------


def _watched(
    begin: Callable[[Callable[[FrameWrite], None]], Handle],
) -> tuple[Handle, Mailbox[FrameWrite], Interrupt]:
    """Begin a run whose committed frames arrive in a queue, from the first on.

    Signals are caught from here on: a task may run before `begin` has returned.
    """
    from smithers.engine.mailbox import Mailbox

    frames: Mailbox[FrameWrite] = Mailbox()
    interrupt = Interrupt()
    try:
        handle = begin(frames.put)
    except BaseException:
        interrupt.restore()
        raise
    interrupt.stops(handle)
    return handle, frames, interrupt


def _follow(
    handle: Handle,
    frames: Mailbox[FrameWrite],
    interrupt: Interrupt,
    resumed: RunRow | None,
    host: Host,
) -> RunEnd:
    """Show the run until it leaves this process."""
    from smithers.cli.display import display_for

    name = handle.started.result()
    display = display_for(name, resumed, host)
    try:
        while not handle.ended.done():
            try:
                display.frame(frames.get(timeout=TICK_S))
                while not frames.empty():
                    display.frame(frames.get_nowait())
            except Empty:
                pass
            display.tick()
        while not frames.empty():
            display.frame(frames.get_nowait())
    finally:
        display.close()
        interrupt.restore()
    return handle.ended.result()
