"""What counts as a stub. The corpus that says how well: `python -m tests.fixtures.stubs.corpus`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, Field, create_model

from smithers.agents.stub import stub_reason
from tests.fixtures.stubs.corpus import Part, cases, rates


class Review(BaseModel):
    approved: bool
    comments: list[str]
    summary: str


class Findings(BaseModel):
    findings: list[dict[str, str]]


def reason(output: BaseModel, turn: int = 0, earlier: list[str] | None = None) -> str | None:
    return stub_reason(output, type(output), turn=turn, earlier=earlier or [])


def one(**fields: Any) -> BaseModel:
    """A model of just these fields, all required."""
    model = create_model("Output", **{name: (type(value), ...) for name, value in fields.items()})
    return model(**fields)


# --- The corpus ---------------------------------------------------------------------------------


def test_the_corpus_is_large_and_mixed() -> None:
    short = [case for case in cases() if case.label == "true" and len(case.text) <= 120]
    assert len(cases()) >= 500
    assert len(short) >= 200
    assert len({case.model for case in cases()}) >= 25
    assert {case.turn for case in cases()} == {0, 1, 2, 3}
    assert len({(case.model, case.turn, tuple(case.earlier), case.text) for case in cases()}) == len(cases())


RATES: dict[Part, tuple[float, float]] = {"read": (0.93, 0.01), "unread": (0.85, 0.01)}
"""Least share of stubs that are caught, and largest of true answers that are flagged, where they are not the
95 % and the 1 % that are wanted: see the corpus."""


@pytest.mark.parametrize("part", get_args(Part))
def test_stubs_are_caught_and_true_answers_are_believed(part: Part) -> None:
    found = rates(stub_reason, part)
    assert found.stubs > 100
    assert found.true > 100
    caught, flagged = RATES.get(part, (0.95, 0.01))
    assert found.caught_share >= caught
    assert found.false_alarm_share <= flagged


# --- True answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "output",
    [
        one(approved=True),
        one(done=False),
        one(count=0),
        one(cpu=0.0, errors=0),
        one(answer="42"),
        one(answer="0"),
        one(answer="yes"),
        one(answer="No"),
        one(answer="main.py"),
        one(answer="test.py"),
        one(answer="user_id"),
        one(answer="a1b2c3d"),
        one(answer="List[str]"),
        one(answer="Option B"),
        one(answer="https://docs.python.org/3/"),
        one(answer="東京"),
        one(answer="cannot reproduce"),
        one(verdict="LGTM"),
        one(verdict="ok"),
        one(language="C"),
        one(language="Go"),
        one(label="bug"),
        one(status="Not found"),
        one(summary="No bugs found."),
        one(notes="No issues"),
        one(title="Fix typo"),
        one(findings=[]),
        one(findings=[], clean=True, checked=0),
        one(tags=["api", "auth"]),
        one(version="1.0.0", breaking=[]),
    ],
    ids=repr,
)
def test_a_true_short_answer_is_believed_at_any_turn(output: BaseModel, turn: int) -> None:
    assert reason(output, turn, ["not json", "{}", "[]"][:turn]) is None


def test_closed_values_are_no_texts() -> None:
    class Kind(StrEnum):
        TEST = "test"

    class Ticket(BaseModel):
        kind: Kind
        category: Literal["test", "string", "foo"]
        more: list[Literal["placeholder"] | None]

    ticket = Ticket(kind=Kind.TEST, category="string", more=["placeholder", None])
    assert reason(ticket, 3) is None


def test_defaults_are_nobodys_words() -> None:
    class Command(BaseModel):
        command: str
        note: str = "TODO"

    assert reason(Command(command="make"), 3) is None
    assert reason(Command(command="make", note=""), 3) is None


@pytest.mark.parametrize("text", ["test", "string", "x", "N/A", "answer", "<answer>", "foo"])
def test_what_the_first_answer_said_is_believed(text: str) -> None:
    output = one(answer=text)
    assert reason(output, 2, [f'{{"answer": ["{text}"]}}', "{}"]) is None
    assert reason(output, 2, [f"It is {text}.", "{}"]) is None
    assert (
        reason(output, 3, ['{"a": 1}', '{"a": "the cache was cold"}', f'{{"b": "{text}"}}']) is not None
        or text == "N/A"
    )


def test_a_first_answer_is_believed_where_a_later_one_is_not() -> None:
    for output in (
        one(answer="test"),
        one(names=["foo", "bar"]),
        one(city="", country=""),
        one(label="label"),
    ):
        assert reason(output) is None
        assert reason(output, 2, ["{}", "{}"]) is not None


# --- Stubs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            Review(approved=True, comments=["string"], summary="string"),
            "names what should stand there: 'string'",
        ),
        (Review(approved=True, comments=["<comment>"], summary="<summary>"), "comments[0] is a template"),
        (Review(approved=False, comments=["TODO: add"], summary="TODO: add"), "summary is a template"),
        (one(summary="Lorem ipsum dolor sit amet"), "is filled with lorem ipsum"),
        (one(answer="Your answer goes here."), "is a template"),
        (one(answer="{{answer}}"), "is a template"),
    ],
    ids=repr,
)
def test_a_first_answer_that_is_the_schema_itself_is_a_stub(output: BaseModel, why: str) -> None:
    assert why in (reason(output) or "")


def test_an_echo_of_a_description_is_a_stub_at_once() -> None:
    class Summary(BaseModel):
        summary: str = Field(description="What the text says, in three sentences.")

    assert (
        reason(Summary(summary="what the text says in three sentences"))
        == "summary repeats the schema's description"
    )
    assert reason(Summary(summary="The text says that nobody came.")) is None


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (one(summary="test"), "summary is a filler: 'test'"),
        (one(summary="Summary"), "summary only names what should stand there"),
        (one(summary="I could not complete the task."), "summary is an excuse"),
        (one(summary="See my previous answer."), "summary only points elsewhere"),
        (one(goal="a", steps=["b"]), "goal is a letter: 'a'"),
        (one(title="Title", body="Body text"), "title only names"),
        (one(steps=["Step 1", "Step 2"]), "steps[0] only names"),
        (one(title="same", body="same", branch="same"), "all its texts are the same: 'same'"),
        (one(text="aaaa"), "text repeats itself"),
        (one(slogan="..."), "slogan holds no word"),
        (one(to="user@example.com", body="test"), "is an address of examples"),
    ],
    ids=repr,
)
def test_after_a_correction_weaker_signs_suffice(output: BaseModel, why: str) -> None:
    assert why in (reason(output, 1, ['{"x": 1}']) or "")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (one(names=["item1", "item2"]), "names[0] only counts up"),
        (one(facts={"key": "value"}), "facts is a template"),
        (one(language="c"), "language is a letter"),
        (one(summary="", notes=""), "summary is empty"),
        (one(title="placeholder", branch="parser"), "title only names"),
    ],
    ids=repr,
)
def test_after_two_corrections_still_weaker_signs_suffice(output: BaseModel, why: str) -> None:
    assert why in (reason(output, 2, ["{}", "{}"]) or "")


RICH = (
    '{"findings": [{"file": "lease.py", "text": "renews without comparing the fence"},'
    ' {"file": "run.py", "text": "never closes its cursor"}]}'
)


def test_a_list_that_was_rich_and_is_empty_now_makes_a_stub() -> None:
    assert reason(Findings(findings=[]), 2, [RICH, RICH]) == "findings is empty, and held 10 words before"
    assert (
        reason(Findings(findings=[]), 2, ["I found nothing, though I have looked everywhere.", "{}"]) is None
    )
    assert (
        reason(
            Findings(findings=[]),
            2,
            ['{"findings": "None that I would call a finding, all is well here"}'] * 2,
        )
        is None
    )


def test_an_account_that_has_nothing_of_what_was_said_is_a_stub() -> None:
    earlier = ['{"summary": {"topic": "bees", "points": ["flowers", "honey", "winter"]}}'] * 2
    assert reason(one(summary="Done"), 2, earlier) == "summary only assents, and held 4 words before"
    assert reason(one(summary="Honey in winter"), 2, earlier) is None
    assert reason(one(verdict="approve"), 2, earlier) is None


def test_numbers_that_were_kept_speak_for_an_answer() -> None:
    class Audit(BaseModel):
        checked: int
        notes: str

    assert reason(Audit(checked=31, notes="none"), 1, ['{"checked": "31 files in all four folders"}']) is None
    assert (
        reason(Audit(checked=0, notes="none"), 1, ['{"checked": "31 files in all four folders"}']) is not None
    )


def test_all_zeros_after_numbers_make_a_stub() -> None:
    class Run(BaseModel):
        passed: int
        failed: int
        failures: list[str]

    zeros = Run(passed=0, failed=0, failures=[])
    assert reason(zeros, 2, ["{}", '{"passed": 511, "failed": 3}']) == "failed is 0, and was not before"
    assert reason(zeros, 2, ["no tests ran", "{}"]) is None
    assert reason(zeros) is None


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            one(subject="[Oggetto]", body="Gentile [Nome],\n\n[testo della risposta]\n\n[Firma]"),
            "is a template",
        ),
        (one(title="Titel", question="Frage 1?", answers=["Antwort A", "Antwort B"]), "only names"),
        (one(title="Título de la decisión", context="Describir aquí el contexto"), "is a template"),
        (one(title="タイトル", body="ここに本文が入ります。"), "is a template"),
        (one(counts={"GENE1": 1, "GENE2": 2, "GENE3": 3}), "only counts up"),
    ],
)
def test_a_template_is_one_in_any_language(output: BaseModel, why: str) -> None:
    assert why in (reason(output) or "")


class Choice(BaseModel):
    choice: Literal["A", "B", "C", "D"]


def test_another_choice_than_before_needs_a_reason() -> None:
    shaped = '{"choice": "Option D"}'
    assert reason(Choice(choice="A"), 2, ["It is D.", shaped]) == "choice is 'A', and was 'D' before"
    assert reason(Choice(choice="D"), 2, ["It is D.", shaped]) is None
    # There was one: A is spoken of.
    assert reason(Choice(choice="A"), 2, [shaped, "The vendor withdrew D, so it is A now."]) is None
    assert reason(Choice(choice="A"), 1, ['{"choice": "not D"}']) is None


def test_what_is_announced_as_made_up_is_a_stub() -> None:
    announced = ["I could not open them.", "I'll just put the first allowed value to get past the validator."]
    assert reason(Choice(choice="A"), 2, announced) == "was announced as made up"
    assert (
        reason(Choice(choice="A"), 2, ["I could not open them.", "A is the one that I would put first."])
        is None
    )


def test_numbers_that_come_to_mind_first_are_believed_only_where_none_were_told() -> None:
    timing = one(p50_ms=1.0, p95_ms=1.0, samples=100)
    cannot = ["I have no measurements, docker is not there.", "Still nothing to report."]
    assert "its numbers stand for none" in (reason(timing, 2, cannot) or "")
    assert "its numbers stand for none" in (reason(timing, 1, ["p50 38.2 ms, p95 121 ms, 344 samples"]) or "")
    assert reason(timing, 1, ["p50 1 ms, p95 1 ms, of 100 samples"]) is None
    none = one(p50_ms=0.0, p95_ms=0.0, samples=0)
    assert reason(none, 1, ["There was no request in that window: 0 samples."]) is None


def test_what_was_asked_for_is_no_answer_though_it_is_the_first() -> None:
    assert reason(one(line="This is a placeholder line matching the requested output schema."))
    assert reason(one(reasons=["I will read the manuscript now and fill in the reasons afterwards."]))
    assert reason(one(line="The schema of orders got a column.")) is None


def test_lists_that_are_empty_now_are_missed_whatever_the_texts_say() -> None:
    lines = "Three:\n1. `a.py` locks twice\n2. `b.py` drops the error\n3. `c.py` writes before the lock"
    rows = '{"found": [{"file": "a.py", "what": "locks twice"}, {"file": "b.py", "what": "drops the error"}]}'
    for earlier in (lines, rows):
        assert reason(one(title="Review of the week", findings=[]), 1, [earlier])
        assert reason(one(title="Review of the week", findings=["a.py"]), 1, [earlier]) is None
    nothing = "I looked at:\n1. a.py, no finding\n2. b.py, nothing either"
    assert reason(one(title="Review of the week", findings=[]), 1, [nothing]) is None


def test_several_things_that_were_told_are_missed_though_another_sentence_denies() -> None:
    told = (
        "`swipe_to_delete` failed 6 times, `login_flow` 3 times and `push_banner` twice. The rest was stable."
    )
    looked = "I looked at `swipe_to_delete`, `login_flow` and `push_banner`. All of it was stable."
    assert reason(one(flaky=[]), 1, [told])
    assert reason(one(flaky=[]), 1, [looked]) is None


def test_a_mapping_to_nothing_is_empty() -> None:
    told = "iOS: `iPhone_SE`, `iPhone_13`, `iPhone_15`."
    assert reason(one(devices={"ios": [], "android": []}), 1, [told])
    assert reason(one(devices={"ios": ["iPhone_SE"], "android": []}), 1, [told]) is None


def test_a_first_answer_of_which_all_is_empty_is_a_stub_where_an_account_was_asked_for() -> None:
    assert reason(one(role="", want="", benefit="", acceptance=[]))
    assert reason(one(claim="", explanation=""))
    assert reason(one(stdout="", stderr="")) is None


def test_an_ellipsis_is_no_text() -> None:
    earlier = ['{"cart.empty": {"de": "Der Korb ist leer"}}']
    assert reason(one(key="cart.empty", text="..."), 1, earlier) == "an ellipsis stands for a text"
    assert reason(one(key="menu.more", text="..."), 1, ['{"menu.more": {"de": "..."}}']) is None


def test_a_code_of_nothing_stands_for_none() -> None:
    earlier = ["The first bad one is 4f1c0d9e7b2a, the fold in InstCombine."]
    assert "stands for none" in (reason(one(commit="0" * 40, where="the fold"), 1, earlier) or "")
    assert reason(one(commit="0" * 40, where="the fold"), 1, ["The fold; no commit: " + "0" * 40]) is None


def test_a_name_in_code_was_meant_wherever_it_stood() -> None:
    long = "The folder of templates should be called `example-service` from now on, as people look for that."
    assert reason(one(idea="example-service"), 2, [long, '{"ideas": 1}']) is None
    assert reason(one(idea="example-service"), 2, ["Call it ledger-sync, as the team does.", '{"ideas": 1}'])


# --- Odd outputs --------------------------------------------------------------------------------


def test_odd_outputs_and_earlier_texts_are_judged_without_ado() -> None:
    class Anything(BaseModel):
        value: Any

    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    odd = [None, deep, {1: "Ann", None: ["Bo"]}, 10**5_000, float("nan"), object(), b"\xff", {"a": {"Bo"}}]
    earlier = ["\ud800", "{" * 10_000, '{"value": 1e999}']
    for value in odd:
        assert reason(Anything(value=value)) is None
        assert reason(Anything(value=value), 3, earlier) is None
    assert (reason(Anything(value="\ud800"), 3, earlier[1:]) or "").encode()


def test_a_huge_output_is_judged_in_no_time() -> None:
    class Many(BaseModel):
        names: list[str]

    output = Many(names=["test"] * 200_000)
    assert reason(output, 3, ['{"names": ["' + 'a", "' * 100_000 + '"]}'] * 3) is not None
