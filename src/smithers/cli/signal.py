"""`smithers signal`: send a run a message by name."""

from __future__ import annotations

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.reply import after, by_option, name_of, open_desk, read_json, resume_option


@click.command()
@run_argument
@click.argument("name")
@click.option("--data", metavar="JSON|@FILE|-", default="{}", help="Its payload; default: {}.")
@click.option("--correlation", metavar="TEXT", help="What it is about: only waits for the same take it.")
@click.option("--keep", is_flag=True, help="Send it although only other correlations are waited for.")
@by_option
@resume_option
@json_option
@store_option
def signal(
    run_id: str,
    name: str,
    data: str,
    correlation: str | None,
    keep: bool,
    by: str | None,
    no_resume: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Send the signal NAME to RUN, and let the run go on.

    All waits for it that are open take it. If nobody waits for it yet it is kept for the first who does. A
    payload that does not fit an open wait is refused, exit code 4, and nothing is changed.
    """
    from smithers.reply.send import send_signal

    sender = name_of(by)
    with open_desk(run_id, store) as desk:
        payload = read_json(data, "--data")
        sent = send_signal(
            desk.reader, desk.outsider, desk.run, name, payload, correlation, by=sender, keeps=keep
        )
        nodes = [f"{view.node} of {view.run}" for view in sent.taken_by]
        document = {"run": desk.run.name, "signal": name, "id": sent.id, "taken_by": nodes, "by": sender}
        said = f"{name} was sent to {', '.join(nodes) or desk.run.name}"
        if not nodes:
            # The run goes on all the same: its workflow may read signals that it does not wait for.
            said += ", and is kept: nobody waits for it yet"
        run = desk.reader.run_at(sent.taken_by[0].row.run) if nodes else desk.run
        return after(desk, said, document, run, resumes=not no_resume, is_json=is_json)
