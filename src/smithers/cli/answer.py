"""`smithers answer`: answer a question that a run, or an agent in it, asks."""

from __future__ import annotations

import click

from smithers.cli.options import json_option, run_argument, store_option
from smithers.cli.reply import by_option, cast, name_of, open_desk, read_json, resume_option


@click.command()
@run_argument
@click.argument("node", required=False)
@click.option("--value", metavar="JSON|@FILE|-", required=True, help="The answer.")
@by_option
@resume_option
@json_option
@store_option
def answer(
    run_id: str,
    node: str | None,
    value: str,
    by: str | None,
    no_resume: bool,
    is_json: bool,
    store: str | None,
) -> int:
    """Answer what RUN asks; NODE is needed only where several questions are open.

    The answer has to fit the question's model; plain text is JSON in quotes. What does not fit its JSON
    schema is refused here, exit code 4, and nothing is changed; what only the model itself refuses is asked
    again, with the error.
    """
    from smithers.records import WaitKind
    from smithers.reply.find import find_wait
    from smithers.reply.fit import answer as fitting

    name = name_of(by)
    with open_desk(run_id, store) as desk:
        view = find_wait(desk.reader, desk.run, node, (WaitKind.HUMAN,))
        vote = fitting(view, read_json(value, "--value"), by=name, now_ms=desk.now_ms())
        said = f"answered {view.node} of {view.run}"
        return cast(desk, view, vote, said, resumes=not no_resume, is_json=is_json)
