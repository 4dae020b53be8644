"""`smithers up`: run a workflow, or resume a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

import click

from smithers.cli.exit_code import in_short
from smithers.cli.given import read_input
from smithers.cli.load import Target, load, locate
from smithers.cli.options import SpanType, json_option, store_option
from smithers.cli.resumed import file_of, resume_run, run_name, show_plan
from smithers.cli.streams import stdout_kept
from smithers.cli.wanted import Wanted, check_words, resume_word
from smithers.cli.watched import follow, hot_for, watched
from smithers.errors import RunExists, RunNotFound
from smithers.ids import check_run_id
from smithers.notify.setting import load_settings


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
@click.option("--wait", "stays", is_flag=True, help="Stay while the run waits for people and messages, too.")
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
@click.option(
    "--max-usd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="What the agents may spend; then the run pauses, and goes on when it is resumed with more.",
)
@click.option(
    "--agent-tools",
    type=click.Choice(["explicit-only"]),
    help="explicit-only: an agent whose tools neither its task nor itself lists gets none.",
)
@click.option("--strict", is_flag=True, help="Render twice and compare; refuse to keep what has changed.")
@click.option("--hot", is_flag=True, help="Take over edits of the workflow's files while it runs.")
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
    stays: bool,
    is_plan: bool,
    rerun: tuple[str, ...],
    retry: tuple[str, ...],
    max_usd: float | None,
    agent_tools: Literal["explicit-only"] | None,
    strict: bool,
    hot: bool,
    detach: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Run the workflow in FILE, or resume a run of it.

    FILE is flow.py, flow.py:name or package.module:name; a resume that names its run needs none. Progress
    goes to stderr, the run's output to stdout.
    """
    word = resume_word(resume, run_id)
    if run_id is not None:
        check_run_id(run_id)
    check_words(word, is_plan=is_plan, rerun=rerun, retry=retry, detach=detach, hot=hot)
    if file is None:
        file = file_of(word, store)
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
        hot,
        agent_tools,
        max_usd,
        stays,
    )
    target = locate(file)
    path = _store_path(target, wanted)
    if is_plan:
        return show_plan(target, path, wanted)
    load_settings(path)  # refused now if it cannot be meant, and not when the run has something to tell
    if detach:
        return _detach(target, path, wanted)
    return resume_run(target, path, wanted) if wanted.resume is not None else _start(target, path, wanted)


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
            host.store, run_name(host, wanted.resume), target.source(project_root(path))
        ).name
        words = ["up", wanted.file, "--run-id", run_id, "--resume", "true"]
    if wanted.limit is not None:
        words += ["--max-concurrency", str(wanted.limit)]
    if wanted.rehearse:
        words.append("--rehearse")
    if wanted.agent_tools is not None:
        words += ["--agent-tools", wanted.agent_tools]
    if wanted.max_usd is not None:
        words += ["--max-usd", str(wanted.max_usd)]
    words += wanted.words()
    if wanted.hot:
        words.append("--hot")
    words += ["--linger", f"{wanted.linger_ms}ms", "--store", str(path)]
    return start_detached(Background(path, run_id, words, wanted.given, wanted.store, wanted.is_json))


def _start(target: Target, path: Path, wanted: Wanted) -> int:
    if wanted.run_id is not None and path.exists():
        _refuse_taken(path, wanted.run_id, wanted.file)
    from smithers.cli.ending import told
    from smithers.engine.host import Host

    with stdout_kept():
        workflow = load(target)
        host = Host(path, durability=workflow.definition.durability, ends_process=True, notifies=True)
        hot = hot_for(target, workflow, host, wanted)
        try:
            handle, frames, interrupt = watched(
                lambda watch: workflow.start(
                    host,
                    wanted.given,
                    run_id=wanted.run_id,
                    max_concurrency=wanted.limit,
                    rehearse=wanted.rehearse,
                    linger_ms=wanted.linger_ms,
                    stays=wanted.stays,
                    watch=watch,
                    strict=wanted.strict,
                    agent_tools=wanted.agent_tools,
                    max_usd=wanted.max_usd,
                )
            )
            last = follow(handle, frames, interrupt, None, host, hot)
        finally:
            host.close()
    return told(last, interrupt.number, wanted)


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
