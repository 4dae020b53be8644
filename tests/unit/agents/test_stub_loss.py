"""What an answer lost, talk about the answer, the schema in another form; and true answers beside."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from tests.unit.agents.test_stub import one, reason

# --- What is lost -------------------------------------------------------------------------------

PROSE = "The parser in lexer.go:40 drops the last token, and cmd/run.go:12 ignores the exit code."
SHARED = '{"answer": {"where": "TokenStore.refresh", "what": "take a lock"}}'


@pytest.mark.parametrize(
    ("output", "earlier"),
    [
        (one(findings=[], approved=True), PROSE),
        (one(findings=[], approved=True), '{"findings": ["lexer.go:40 drops", "run.go:12 eats"]}'),
        (one(findings=[], summary=""), PROSE),
        (one(steps=[]), "- take the lock\n- write the file"),
        (one(packages={}), "tokio 1.36, serde 1.0.197, axum 0.7.4"),
        (one(events=[]), "14:02 disk full, 14:10 writes fail"),
        (one(files=[]), "Change lib/auth.ex and lib/session.ex"),
        (one(passed=0, failed=0), "Ran 148 tests: 141 passed, 7 failed."),
        (one(passed=0, failed=0), '{"passed": 44, "failed": ["TestElection"], "skipped": "2 tests"}'),
        (one(score=0.0), '{"score": "6.5/10"}'),
        (one(version="0.0.0"), "# 6.3.0\n## Added\n- offline mode\n- CSV import"),
        (one(files=["src/example.py"]), "Split orders.py into cart.py and total.py"),
        (one(title="Some title", body="Details"), PROSE),
    ],
    ids=repr,
)
def test_what_was_told_and_is_gone_makes_a_stub(output: BaseModel, earlier: str) -> None:
    assert reason(output, 1, [earlier])
    assert reason(output, 2, [earlier, earlier])


@pytest.mark.parametrize(
    ("output", "earlier"),
    [
        (one(findings=[]), "I went through all of auth.py:1-90 and session.py, nothing found."),
        (one(findings=[]), "Ich habe auth.py:10 und db.py gelesen; keine Fehler."),
        (one(findings=[]), "Checked auth.py:10-40; every query is parameterised."),
        (one(findings=[]), "auth.py, db.py and run.py were read. The change is harmless."),
        (one(findings=[]), "1. I read the diff.\n2. I ran the tests.\nIt is as it should be."),
        (one(findings=[]), '{"checked": ["a.py", "b.py"], "findings": []}'),
        (one(findings=[]), '{"reviewed": ["a.py", "b.py"], "result": "no findings"}'),
        (one(findings=[]), '{"findings": ["No issue in a.py", "No issue in b.py"]}'),
        (one(findings=[]), '{"findings": "Read it all, found nothing, approved"}'),
        (one(packages={}), '{"language": "python", "packages": "stdlib only"}'),
        (one(label="bug", tags=[]), "It crashes whenever the list is long, which users hit daily."),
        (one(passed=12, failed=0, failures=[]), "all 12 passed"),
        (one(passed=0, failed=0), "no tests ran"),
        (one(passed=0, failed=0), "conftest.py:3 raises ImportError while collecting"),
        (one(errors=0, warnings=0), "make: 14 files compiled, errors: 0, warnings: 0"),
        (one(count=0), "I searched 214 files: no match."),
        (one(count=0), "0 of 12"),
        (one(score=0), '{"score": "0 of 10"}'),
        (one(version="0.0.0"), "setup.py has no version, so it is unset."),
        (one(version="0.0.0"), "The package says 0.0.0 in its setup.py"),
        (one(findings=[]), "The handler at app.py:12 validates its input, as does db.py:7."),
        (one(findings=[]), "Reviewed a1b2 by ann@acme.io from 12:31 to 12:40; the rename is complete."),
        (one(findings=[]), '{"summary": "The change is small", "files": ["a.py", "b.py"]}'),
        (one(blockers=[]), '{"warnings": ["slow query", "long function"], "verdict": "mergeable"}'),
        (one(breaking=[]), "## Added\n- CSV import\n- PDF export"),
        (one(before=0.0, after=0.0), "The counter is idle before and after the change of 3 lines"),
        (one(language="English", text="Message"), "Nachricht heisst das auf Englisch"),
        (one(files=["src/index.ts"]), "The entry point of the bundle, as in package.json"),
        (one(files=["example.py"]), "Only example.py and README.md need it."),
        (one(files=["src/main.py"]), "The entry point, main.py, needs it; README.md too."),
    ],
    ids=repr,
)
def test_what_was_never_told_is_not_missed(output: BaseModel, earlier: str) -> None:
    assert reason(output, 1, [earlier]) is None
    assert reason(output, 2, [earlier, earlier]) is None


def test_one_number_may_be_thought_over() -> None:
    assert reason(one(count=0), 1, ['{"count": 3}']) is None
    assert reason(one(count=0), 2, ['{"count": 3}', '{"count": 3}']) == "count is 0, and was not before"


def test_assent_is_no_answer_where_more_was_said() -> None:
    assert reason(one(answer="ok"), 2, [SHARED, SHARED]) == "answer only assents, and held 5 words before"
    assert reason(one(answer="ok"), 2, [SHARED, '{"answer": "ok"}']) is None
    assert reason(one(answer="done"), 2, ["I have renamed the three files."] * 2) is None
    assert reason(one(answer="yes"), 2, [SHARED, SHARED]) is None
    assert reason(one(verdict="ok"), 2, [PROSE, PROSE]) is None
    assert reason(one(status="done"), 2, ['{"status": {"text": "all files were moved"}}'] * 2) is None


# --- Talk about the answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "See previous answer",
        "I have already answered this.",
        "The question was answered in a previous message.",
        "Details provided in earlier response",
        "Please refer to my initial response for details.",
        "As discussed.",
        "N/A - see above",
        "(content omitted)",
        "[truncated]",
        "Minimal valid output.",
        "Output reformatted as valid JSON.",
        "I have updated the output to conform to the schema.",
        "Refactored the code to match the required output format.",
        "Schema-compliant response",
        "Done as requested",
    ],
)
def test_talk_about_the_answer_is_none(text: str) -> None:
    assert reason(one(answer=text), 1, [PROSE])
    assert reason(one(answer=text)) is None


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("I have already answered the customer.", "The customer was told so."),
        ("This was already reported in #33", "Duplicate of #33"),
        ("Renamed as requested", "renamed"),
        ("Match the JSON schema of the API", "The exporter must follow what the API says."),
        ("Fixed the output format", "I fixed the output format of the report command."),
        ("Response validation", "The response validation is off."),
        ("code unchanged", "The code is unchanged, only comments moved."),
        ("The first message", "It is the one that was sent first."),
        ("JSON output", "The command should print machine readable lines."),
        ("Already provided by the standard library", "tomllib"),
        ("Previous release was fine", "Only this one is broken."),
    ],
)
def test_answers_may_be_about_answers(text: str, earlier: str) -> None:
    assert reason(one(answer=text), 1, [earlier]) is None


# --- The schema in another form -----------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        one(facts={"key": "value"}),
        one(facts={"term1": "definition1", "term2": "definition2"}),
        one(facts={"package_name": "version"}),
        one(packages={"additionalProperties": "string", "type": "object", "title": "Packages"}),
        one(title="{'title': 'Title', 'type': 'string'}", body="{'title': 'Body', 'type': 'string'}"),
        one(old="old_name_here", new="new_name_here"),
        one(cwe="CWE-XXX", where="path/to/file.ext:LINE", notes="Replace with actual notes"),
    ],
    ids=repr,
)
def test_names_that_are_mapped_to_names_are_a_stub_at_once(output: BaseModel) -> None:
    assert reason(output)


@pytest.mark.parametrize(
    "output",
    [
        one(facts={"name": "Name"}),
        one(facts={"key": "Schlüssel", "value": "Wert"}),
        one(columns={"user": "customer", "id": "key"}),
        one(columns={"title": "string", "type": "string"}),
        one(terms={"stub": "A stand-in in tests", "key": "What opens a lock"}),
        one(schema_text='{"type": "object", "properties": {"email": {"type": "string"}}}'),
        one(format="YYYY-MM-DD"),
        one(answer="string"),
        one(command="cp path/to/a b"),
        one(fix="Replace with actual tenant id", cause="a constant", where="api.py:3"),
    ],
    ids=repr,
)
def test_names_that_may_be_meant_are_believed(output: BaseModel) -> None:
    assert reason(output) is None
