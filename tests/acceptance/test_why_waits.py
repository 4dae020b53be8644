"""What `why` shows of a run that waits can be typed as it stands, and helps."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import Project
from tests.acceptance.waiting import await_rest, database, park, shell, votes, words

FLOWS = {
    "approve": 'Sequence(Approval("gate", title="Ship \'it\'?"), does("last"))',
    "select": 'Sequence(Approval("gate", mode="select", options=["a b", "$c"]), does("last"))',
    "rank": 'Sequence(Approval("gate", mode="rank", options=["a", "b c", "d\'"]), does("last"))',
    "allowed": 'Sequence(Approval("gate", allowed_users=["Ann Smith", "bob"]), does("last"))',
    "quorum": 'Sequence(Approval("gate", allowed_users=["ann", "bob", "cy"], quorum=2), does("last"))',
    "human": 'Sequence(HumanTask("ask", Wish, prompt="What?"), does("last"))',
    "human-text": 'Sequence(HumanTask("ask", str, prompt="What?"), does("last"))',
    "human-strict": 'Sequence(HumanTask("ask", Strict, prompt="What?"), does("last"))',
    "event": 'Sequence(WaitForEvent("ping"), does("last"))',
    "event-payload": 'Sequence(WaitForEvent("ping", Wish, event="the ping"), does("last"))',
    "event-correlation": 'Sequence(WaitForEvent("ping", correlation="order $1"), does("last"))',
    "signal": 'Sequence(Signal("ping", Text, lambda text: does("then")), does("last"))',
    "timer": 'Sequence(Timer("nap", duration="3h"), does("last"))',
    "timer-until": 'Sequence(Timer("nap", until=datetime.now(UTC) + timedelta(days=3)), does("last"))',
    "needs-approval": 'Sequence(does("work", needs_approval=True), does("last"))',
    "loop": 'Sequence(Loop(Approval("gate"), id="l", max_iterations=2), does("last"))',
    "nested": """Sequence(
        Loop(
            Loop(HumanTask("ask", str, prompt="?"), id="inner", max_iterations=2), id="o", max_iterations=2
        ),
        does("last"),
    )""",
    "child": 'Sequence(Subflow("part", inner, input={}), does("last"))',
    "child-loop": 'Sequence(Loop(Subflow("part", inner, input={}), id="l", max_iterations=2), does("last"))',
    "inline": 'Sequence(Subflow("part", inner, input={}, mode="inline"), does("last"))',
    "three": """Sequence(
        Parallel(Approval("gate"), WaitForEvent("ping"), Timer("nap", duration="2h")), does("last")
    )""",
    "odd-id": 'Sequence(Approval("is-it:ok/1.0"), does("last"))',
}

MODELS = """
from pydantic import Field

class Wish(BaseModel):
    what: str
    when: datetime
    many: list[int] = Field(min_length=1)

class Strict(BaseModel):
    number: int = Field(gt=10, lt=13)
    word: str = Field(pattern="^[a-z]{3}$")

@workflow(output=Text)
def inner(ctx):
    return Sequence(does("first"), Approval("gate"), does("second"))
"""


def why(project: Project, folder: Path | None = None) -> dict[str, Any]:
    done = shell(project, "smithers why r1 --json", folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def settled(project: Project) -> int:
    """How much has been said that counts: settled waits, and votes."""
    with database(project) as connection:
        (count,) = connection.execute("SELECT count(*) FROM smithers_waits WHERE state = 3").fetchone()
    return int(count) + len(votes(project))


@pytest.mark.parametrize("name", FLOWS)
def test_each_command_that_why_shows_runs_as_it_stands_and_the_first_lets_the_run_go_on(
    project: Project, name: str
) -> None:
    park(project, f"{MODELS}\n@workflow\ndef flow(ctx):\n    return {FLOWS[name]}\n")
    shown = why(project)
    first, *others = shown["commands"]
    assert shown["status"].startswith("waiting")
    for number, command in enumerate(others):
        copy = project.folder.parent / f"{project.folder.name}-copy{number}"
        shutil.copytree(project.folder, copy)
        done = shell(project, command, copy)
        # Who goes on with a run that still waits is told by the exit code that it does.
        assert done.returncode == (3 if words(command)[0] == "up" else 0), (command, done.stderr)
    for _ in range(8):
        before = settled(project)
        done = shell(project, first)
        assert done.returncode == 0, (first, done.stderr)
        state = await_rest(project)
        assert settled(project) > before
        if state == "finished":
            break
        first = why(project)["commands"][0]
    assert state == "finished"
    executed = Counter(project.executed())
    assert executed["last"] == 1
    assert shell(project, "smithers inbox --all --json").stdout == '{"status": "ok", "waits": []}\n'
