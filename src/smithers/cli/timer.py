"""`smithers timer`: do not wait for a time any longer."""

from __future__ import annotations

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.reply import by_option, cast, name_of, open_desk, resume_option


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def timer() -> None:
    """Timers of a run: `timer skip` lets one be over."""


@timer.command()
@run_argument
@click.argument("node", required=False)
@by_option
@resume_option
@json_option
@store_option
def skip(
    run_id: str, node: str | None, by: str | None, no_resume: bool, is_json: bool, store: str | None
) -> int:
    """Let the timer NODE of RUN be over now; NODE is needed only where several are open."""
    from smithers.records import WaitKind
    from smithers.reply.find import find_wait
    from smithers.reply.fit import skip as skipping

    name = name_of(by)
    with open_desk(run_id, store) as desk:
        view = find_wait(desk.reader, desk.run, node, (WaitKind.TIMER,))
        vote = skipping(view, by=name, now_ms=desk.now_ms())
        said = f"{view.node} of {view.run} is over"
        return cast(desk, view, vote, said, resumes=not no_resume, is_json=is_json)
