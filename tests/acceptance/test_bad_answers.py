"""What cannot be meant is refused with a code and exit code 4, and nothing in the store changes by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.process import Project, wait_until
from tests.acceptance.waiting import await_rest, park, rows

FLOW = """
class Even(BaseModel):
    n: int
    why: str = ""

@workflow
def flow(ctx):
    return Parallel(
        Approval("plain"),
        Approval("names", allowed_users=["ann"]),
        Approval("pick", mode="select", options=["a", "b"]),
        Approval("order", mode="rank", options=["a", "b", "c"]),
        Approval("both", quorum=2),
        HumanTask("ask", Even, prompt="?"),
        HumanTask("text", str, prompt="?"),
        WaitForEvent("paid", Even, correlation="o1"),
        WaitForEvent("ping", Even),
        does("work"),
        Sequence(Approval("gone"), Approval("later")),
        Loop(Approval("passes"), id="l", max_iterations=3),
    )

@workflow
def short(ctx):
    return Approval("gate")

@workflow
def idle(ctx):
    return Parallel(Timer("nap", duration="3h"), Timer("long", duration="4h"))
"""

DEEP = "[" * 100_000 + "]" * 100_000
CASES: dict[str, tuple[str, list[str]]] = {
    "a run that is not there": ("RUN_NOT_FOUND", ["approve", "r9", "plain"]),
    "a node that is not there": ("NODE_NOT_FOUND", ["approve", "r1", "plane"]),
    "a node that waits for nothing": ("NOT_WAITING", ["approve", "r1", "work"]),
    "a note that is no text": ("ANSWER_UNFIT", ["approve", "r1", "plain", "--note", "\udcff"]),
    "a signal that is no text": ("ANSWER_UNFIT", ["signal", "r1", "\udcff"]),
    "a correlation that is no text": ("ANSWER_UNFIT", ["signal", "r1", "new", "--correlation", "\udcff"]),
    "no node where several wait": ("NOT_WAITING", ["approve", "r1"]),
    "no node where several questions are open": ("NOT_WAITING", ["answer", "r1", "--value", "{}"]),
    "a second decision": ("ALREADY_DECIDED", ["approve", "r1", "gone"]),
    "the opposite of a decision": ("ALREADY_DECIDED", ["deny", "r1", "gone"]),
    "a decision of a pass that is over": ("ALREADY_DECIDED", ["approve", "r1", "passes[0]"]),
    "a decision of a pass that has not come": ("NODE_NOT_FOUND", ["approve", "r1", "passes[2]"]),
    "the same person twice": ("ALREADY_DECIDED", ["approve", "r1", "both", "--by", "ann"]),
    "somebody who may not": ("NOT_ALLOWED", ["approve", "r1", "names", "--by", "eve"]),
    "somebody who may not deny": ("NOT_ALLOWED", ["deny", "r1", "names", "--by", "eve"]),
    "a name that is none": ("USAGE", ["approve", "r1", "plain", "--by", " "]),
    "a name of ours": ("USAGE", ["approve", "r1", "plain", "--by", "smithers:auto"]),
    "a selection that is no option": ("ANSWER_UNFIT", ["approve", "r1", "pick", "--select", "c"]),
    "no selection": ("ANSWER_UNFIT", ["approve", "r1", "pick"]),
    "an empty selection": ("ANSWER_UNFIT", ["approve", "r1", "pick", "--select", ""]),
    "a selection where none is asked for": ("ANSWER_UNFIT", ["approve", "r1", "plain", "--select", "a"]),
    "a ranking where none is asked for": ("ANSWER_UNFIT", ["approve", "r1", "plain", "--rank", "a"]),
    "an empty ranking where none is asked for": ("ANSWER_UNFIT", ["approve", "r1", "plain", "--rank", ""]),
    "a ranking with doubles": ("ANSWER_UNFIT", ["approve", "r1", "order", "--rank", "a,b,b"]),
    "a ranking with doubles and all": ("ANSWER_UNFIT", ["approve", "r1", "order", "--rank", "a,b,c,c"]),
    "a ranking that is not whole": ("ANSWER_UNFIT", ["approve", "r1", "order", "--rank", "a,b"]),
    "a strange ranking": ("ANSWER_UNFIT", ["approve", "r1", "order", "--rank", "a,b,c,d"]),
    "an empty ranking": ("ANSWER_UNFIT", ["approve", "r1", "order", "--rank", ""]),
    "no ranking": ("ANSWER_UNFIT", ["approve", "r1", "order"]),
    "a note without an end": ("ANSWER_UNFIT", ["approve", "r1", "plain", "--note", "x" * 20_000]),
    "an answer to an approval": ("NOT_WAITING", ["answer", "r1", "plain", "--value", "1"]),
    "an approval of a question": ("NOT_WAITING", ["approve", "r1", "ask"]),
    "a denial of a signal": ("NOT_WAITING", ["deny", "r1", "ping"]),
    "an answer to a signal": ("NOT_WAITING", ["answer", "r1", "ping", "--value", '{"n": 1}']),
    "an answer that does not fit": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", '{"n": "x"}']),
    "an answer with a part missing": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", "{}"]),
    "an answer of another kind": ("ANSWER_UNFIT", ["answer", "r1", "text", "--value", "7"]),
    "an answer that is no JSON": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", "{n: 1}"]),
    "no answer": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", ""]),
    "not a number": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", '{"n": NaN}']),
    "no end": ("ANSWER_UNFIT", ["answer", "r1", "ask", "--value", '{"n": 1e999}']),
    "a number without an end": (
        "ANSWER_UNFIT",
        ["answer", "r1", "ask", "--value", '{"n": ' + "9" * 6000 + "}"],
    ),
    "half a character": ("ANSWER_UNFIT", ["answer", "r1", "text", "--value", '"\\ud800"']),
    "a huge answer": ("ANSWER_UNFIT", ["answer", "r1", "text", "--value", "@huge.json"]),
    "a deep answer": ("ANSWER_UNFIT", ["answer", "r1", "text", "--value", "@deep.json"]),
    "a file that is not there": ("USAGE", ["answer", "r1", "text", "--value", "@nothing.json"]),
    "a payload that does not fit": ("ANSWER_UNFIT", ["signal", "r1", "ping", "--data", '{"n": null}']),
    "a payload that is left out": ("ANSWER_UNFIT", ["signal", "r1", "ping"]),
    "a payload that is no JSON": ("ANSWER_UNFIT", ["signal", "r1", "ping", "--data", "x"]),
    "a payload with no number": ("ANSWER_UNFIT", ["signal", "r1", "ping", "--data", "[Infinity]"]),
    "a deep payload that nobody checks": ("ANSWER_UNFIT", ["signal", "r1", "other", "--data", "@deep.json"]),
    "a huge payload that nobody checks": ("ANSWER_UNFIT", ["signal", "r1", "other", "--data", "@huge.json"]),
    "an endless number that nobody checks": ("ANSWER_UNFIT", ["signal", "r1", "other", "--data", "1e999"]),
    "half a character that nobody checks": ("ANSWER_UNFIT", ["signal", "r1", "other", "--data", '"\\ud800"']),
    "a correlation nobody waits for": (
        "NOT_WAITING",
        ["signal", "r1", "paid", "--data", '{"n": 1}', "--correlation", "o2"],
    ),
    "no correlation": ("NOT_WAITING", ["signal", "r1", "paid", "--data", '{"n": 1}']),
    "a correlation too many": (
        "NOT_WAITING",
        ["signal", "r1", "ping", "--data", '{"n": 1}', "--correlation", "o1"],
    ),
    "a signal without a name": ("ANSWER_UNFIT", ["signal", "r1", ""]),
    "a signal for a run that has ended": ("NOT_WAITING", ["signal", "ended", "ping"]),
    "a decision of a run that has ended": ("NOT_WAITING", ["approve", "ended", "gate"]),
    "an answer to a run that has ended": ("NOT_WAITING", ["answer", "ended", "--value", "1"]),
    "a timer that is none": ("NOT_WAITING", ["timer", "skip", "r1"]),
    "a timer by the name of a gate": ("NOT_WAITING", ["timer", "skip", "r1", "plain"]),
    "one of two timers": ("NOT_WAITING", ["timer", "skip", "r2"]),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A run with everything open, one with two timers, and one that has ended."""
    project = Project(tmp_path_factory.mktemp("asked"))
    park(project, FLOW)
    for words in (
        ["approve", "r1", "gone", "--by", "ann"],
        ["approve", "r1", "passes", "--by", "ann"],
        ["approve", "r1", "both", "--by", "ann"],
    ):
        assert project.run(*words).returncode == 0
        await_rest(project)
    assert project.run("up", "flow.py:idle", "-r", "r2").returncode == 3
    assert project.run("up", "flow.py:short", "-r", "ended").returncode == 3
    project.run("approve", "ended")
    assert await_rest(project, "ended") == "finished"
    wait_until(lambda: not rows(project)["smithers_owners"], "all owners to leave")
    (project.folder / "deep.json").write_text(DEEP)
    (project.folder / "huge.json").write_text('"' + "x" * (2 << 20) + '"')
    yield project
    project.close()


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_code_and_nothing_changes(asked: Project, name: str) -> None:
    code, words = CASES[name]
    before = rows(asked)
    done = asked.run(*words)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert done.stderr.startswith(f"[{code}"), done.stderr
    assert "Traceback" not in done.stderr
    assert "BUG" not in done.stderr
    assert len(done.stderr) < 2_000, len(done.stderr)
    after = rows(asked)
    assert {name for name in after if after[name] != before[name]} == set()
