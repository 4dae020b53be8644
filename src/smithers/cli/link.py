"""`smithers link`: do what a one-time link says."""

from __future__ import annotations

import click

from smithers.cli.halt import project_store
from smithers.cli.options import json_option, store_option
from smithers.cli.reply import Desk, after, resume_option
from smithers.errors import RunNotFound


@click.command()
@click.argument("token")
@resume_option
@json_option
@store_option
def link(token: str, no_resume: bool, is_json: bool, store: str | None) -> int:
    """Decide what the one-time link TOKEN was made for, and let the run go on.

    TOKEN is what stands in a notice behind `/links/`, or all of its address. It counts once, for one decision
    of one wait; exit code 4 if it was used, changed, or is too old.
    """
    from contextlib import closing

    from smithers.reply.link import follow_link

    found = project_store(store)
    if found is None:
        raise RunNotFound("there are no runs yet", hint="name the store: --store PATH")
    with closing(found.reader()) as reader, closing(found.outsider()) as outsider:
        followed = follow_link(
            found.path, reader, outsider, token.rstrip("/").rpartition("/")[2], found.clock.now_ms()
        )
        desk = Desk(found, reader, outsider, followed.run, store)
        word = {"approve": "approved", "deny": "denied"}[followed.link.decision]
        said = f"{word} {followed.link.node} of {followed.run.name}, by a link"
        document = {"run": followed.run.name, "node": followed.link.node, "did": followed.link.decision}
        return after(desk, said, document, followed.run, resumes=not no_resume, is_json=is_json)
