"""`smithers approve` and `smithers deny`: decide what a run waits for."""

from __future__ import annotations

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.reply import by_option, cast, name_of, open_desk, resume_option


@click.command()
@run_argument
@click.argument("node", required=False)
@click.option("--select", metavar="KEY", help="Which option, where one is to be chosen.")
@click.option("--rank", metavar="KEY,KEY,…", help="All options, the best first, where they are to be ranked.")
@click.option("--note", metavar="TEXT", help="Why; stored with the decision.")
@by_option
@resume_option
@json_option
@store_option
def approve(
    run_id: str,
    node: str | None,
    select: str | None,
    rank: str | None,
    note: str | None,
    by: str | None,
    no_resume: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Approve what RUN waits for; NODE is needed only where several decisions are open.

    The run goes on: in the process that drives it, or else in one that is started in the background. A
    decision is stored with who, when and note, and is never changed.

    Exit code 4: nothing waits for it, it is decided already, you may not, or the choice does not fit; nothing
    was changed.
    """
    ranking = tuple(key.strip() for key in rank.split(",")) if rank is not None else ()
    return _decide(run_id, node, store, True, select, ranking, note, by, no_resume, is_json)


@click.command()
@run_argument
@click.argument("node", required=False)
@click.option("--note", metavar="TEXT", help="Why; stored with the decision.")
@by_option
@resume_option
@json_option
@store_option
def deny(
    run_id: str,
    node: str | None,
    note: str | None,
    by: str | None,
    no_resume: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Deny what RUN waits for; NODE is needed only where several decisions are open.

    What follows says the workflow: the run fails, goes on with the decision, or skips what needs it.
    """
    return _decide(run_id, node, store, False, None, (), note, by, no_resume, is_json)


def _decide(
    run_id: str,
    node: str | None,
    store: str | None,
    is_approved: bool,
    select: str | None,
    rank: tuple[str, ...],
    note: str | None,
    by: str | None,
    no_resume: bool,
    is_json: bool,
) -> int:
    from smithers.records import WaitKind
    from smithers.reply.find import find_wait
    from smithers.reply.fit import decision

    name = name_of(by)
    with open_desk(run_id, store) as desk:
        view = find_wait(desk.reader, desk.run, node, (WaitKind.APPROVAL,))
        vote = decision(
            view,
            is_approved=is_approved,
            by=name,
            now_ms=desk.now_ms(),
            note=note,
            select=select,
            rank=rank,
        )
        word = "approved" if is_approved else "denied"
        said = f"{word} {view.node} of {view.run}, in the name of {name}"
        return cast(desk, view, vote, said, resumes=not no_resume, is_json=is_json)
