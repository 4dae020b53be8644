from __future__ import annotations

import json
import time
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, RootModel, field_validator

from smithers.agents.correction import correction_prompt, parse_reply
from smithers.errors import InvalidOutput
from smithers.ids import NodeKey
from smithers.ports import AgentReply, AgentRequest


class Step(BaseModel):
    title: str
    minutes: int = 5


class Plan(BaseModel):
    steps: list[Step]


class Lenient(BaseModel):
    note: str = ""


GOOD = Plan(steps=[Step(title="a")])
GOOD_TEXT = '{"steps": [{"title": "a"}]}'
BAD_TEXT = '{"steps": [{"title": 3}]}'


def parse(text: str) -> Plan:
    return parse_reply(AgentReply(text=text), Plan)


def refuse(reply: AgentReply, schema: type[BaseModel] = Plan) -> InvalidOutput:
    with pytest.raises(InvalidOutput) as caught:
        parse_reply(reply, schema)
    return caught.value


# --- Finding the answer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output", [GOOD, {"steps": [{"title": "a"}]}, GOOD_TEXT], ids=["model", "json", "text"]
)
def test_a_structured_output_is_validated(output: Any) -> None:
    assert parse_reply(AgentReply(output=output, text="I am done"), Plan) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        GOOD_TEXT,
        f"\n  {GOOD_TEXT}\n",
        f"Here you are:\n```json\n{GOOD_TEXT}\n```\nGood luck!",
        f"```\n{GOOD_TEXT}\n```",
        f"Here you are: {GOOD_TEXT}. Good luck!",
        f"First try:\n```json\n{BAD_TEXT}\n```\nBetter:\n```json\n{GOOD_TEXT}\n```",
        f"```json\n{GOOD_TEXT}\n```\nNot:\n```json\n{BAD_TEXT}\n```",
        f"not {BAD_TEXT} but {GOOD_TEXT} and {{braces}}",
        f'an open {{ brace and a "quote\n{GOOD_TEXT}',
        f"function() {{ return {GOOD_TEXT} }}",
        f"```python\nprint({{}})\n```\nso\n```json\n{GOOD_TEXT}\n```",
        f"```json\nnever closed\n{GOOD_TEXT}",
    ],
)
def test_the_answer_is_found_in_a_text(text: str) -> None:
    assert parse(text) == GOOD


@pytest.mark.parametrize("title", ["}", "{", '"', "\\", '\\"}', "```", "\n```\n", "{}", "ünï {"])
def test_brackets_quotes_and_fences_inside_strings_do_not_count(title: str) -> None:
    text = json.dumps({"steps": [{"title": title}]})
    assert parse(f"It is {text} as you see").steps[0].title == title
    assert parse(f"It is\n```json\n{text}\n```\n").steps[0].title == title


def test_of_several_valid_objects_the_last_wins() -> None:
    assert parse('{"steps": []} or ' + GOOD_TEXT) == GOOD


def test_a_part_of_an_invalid_answer_is_not_taken_for_the_answer() -> None:
    error = refuse(AgentReply(text='so: {"note": 3, "inner": {"note": "hidden"}}'), Lenient)
    assert error.details["errors"][0]["path"] == "note"


def test_a_list_is_found_for_a_model_of_a_list() -> None:
    names = RootModel[list[str]]
    assert parse_reply(AgentReply(text='They are ["a", "b"].'), names).root == ["a", "b"]


def test_a_strict_model_takes_its_dates_from_json() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        day: date

    expected = Strict(day=date(2030, 1, 15))
    assert parse_reply(AgentReply(output={"day": "2030-01-15"}), Strict) == expected
    assert parse_reply(AgentReply(text='{"day": "2030-01-15"}'), Strict) == expected
    assert parse_reply(AgentReply(output={"day": date(2030, 1, 15)}), Strict) == expected


def test_without_a_schema_the_text_is_the_output() -> None:
    assert parse_reply(AgentReply(text=" as it is\n"), None) == " as it is\n"
    assert parse_reply(AgentReply(output=3), None) == "3"
    assert parse_reply(AgentReply(), None) == ""


@pytest.mark.parametrize("output", [{"steps": 3}, "I am done", BAD_TEXT, {}, float("nan"), ["x"]], ids=repr)
def test_a_text_that_validates_stands_in_for_a_structured_output_that_does_not(output: Any) -> None:
    assert parse_reply(AgentReply(output=output, text=f"So:\n{GOOD_TEXT}"), Plan) == GOOD


def test_where_neither_validates_the_structured_outputs_faults_are_told() -> None:
    error = refuse(AgentReply(output={"steps": 3}, text=BAD_TEXT))
    assert [fault["path"] for fault in error.details["errors"]] == ["steps"]
    error = refuse(AgentReply(output='{"steps": 3}', text=BAD_TEXT))
    assert [fault["path"] for fault in error.details["errors"]] == ["steps"]


def test_an_answer_without_fence_counts_where_the_fenced_one_does_not_fit() -> None:
    assert parse(f"{GOOD_TEXT}\n```json\n{BAD_TEXT}\n```\n{BAD_TEXT}") == GOOD


def test_of_a_key_that_stands_twice_the_last_value_counts() -> None:
    assert parse('{"steps": [], "steps": [{"title": "b", "title": "a"}]}') == GOOD


def test_a_bare_value_is_found_for_a_model_of_one() -> None:
    assert parse_reply(AgentReply(text="\ufeff42\r\n"), RootModel[int]).root == 42
    assert parse_reply(AgentReply(text="It is\n```json\ntrue\n```"), RootModel[bool]).root is True
    assert parse_reply(AgentReply(text='"a {} b"'), RootModel[str]).root == "a {} b"
    assert parse_reply(
        AgentReply(text='Both: {"a": 1} {"b": [2]}'), RootModel[dict[str, list[int]]]
    ).root == {"b": [2]}


# --- Hostile texts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000 + "}" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "{" * 200_000,
        "{}" * 100_000,
        "{x}" * 100_000,
        "```json\n" * 100_000,
        "```json\n{}\n```\n" * 30_000,
        '"' * 200_000,
        '{"' + '\\"' * 200_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_hostile_text_is_refused_in_no_time(text: str) -> None:
    began = time.process_time()
    error = refuse(AgentReply(text=text))
    assert time.process_time() - began < 2.0
    assert len(error.message) < 2_000


def test_a_good_answer_behind_deep_nesting_is_found() -> None:
    assert parse("{" * 100_000 + "}" * 100_000 + GOOD_TEXT) == GOOD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r'{"steps": [{"title": "C:\d"}]}', "line 1, column 26: invalid escape; in a string a backslash"),
        ('so\r\n{"steps":\r\n[{"title": "a\nb"}]}', "line 3, column 14: control character"),
        ('{"steps": [{"title": "a\0b"}]}', "line 1, column 24: control character"),
        ('{"steps": [{"title": "a", "minutes": NaN}]}', "line 1, column 38: NaN is no number of JSON"),
        ('{"steps": [{"title": "é", "minutes": -Infinity}]}', "line 1, column 38: -Infinity is no number"),
        ('{"steps": [{"title": "a"}], }', "line 1, column 29: trailing comma"),
        ("{'steps': []}", "line 1, column 2: key must be a string; keys stand in double quotes"),
        (r'{"steps": [{"title": "\ud800"}]}', "line 1, column 29: unexpected end of hex escape"),
        ('{"steps": [{"title": "\ud800"}]}', "line 1, column 23: half of a character"),
        (
            '```json\n{"steps": [{"title": "a"}, {"ti',
            "line 2, column 31: EOF while parsing a string; it ends",
        ),
        ('{"steps": [{"title": "a", "minutes": ' + "9" * 1_000_000 + "}]}", "number out of range"),
        ('{"steps": ' + "[" * 300 + "]" * 300 + "}", "recursion limit exceeded; it nests too deeply"),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_bad_json_is_told_as_such_with_its_place(text: str, message: str) -> None:
    error = refuse(AgentReply(text=text))
    fault = error.details["errors"][0]
    assert (len(error.details["errors"]), fault["path"]) == (1, "$")
    assert fault["message"].startswith("bad JSON at line ")
    assert message in fault["message"]
    assert len(fault["value"]) < 100
    assert len(error.message) < 400
    assert error.message.encode()


def test_what_stands_around_the_place_of_bad_json_is_quoted() -> None:
    error = refuse(AgentReply(text='{"steps": [{"title": "' + "a" * 500 + r"\d" + "b" * 500 + '"}]}'))
    assert error.details["errors"][0]["value"] == "…" + "a" * 59 + "\\" + "d" + "b" * 29 + "…"


def test_half_characters_are_quoted_as_question_marks() -> None:
    for reply in (
        AgentReply(output={"steps": [{"title": 3, "\ud800": 0}, {"title": ["\udfff"]}]}),
        AgentReply(text="no \ud800"),
        AgentReply(text=r'{"steps": [{"title": 3}], "\ud83d\ude00": 1}'),
    ):
        error = refuse(reply)
        assert error.message.encode()
        assert correction_prompt(request(None), error).encode()
    error = refuse(AgentReply(output={"steps": [{"title": ["\udfff"]}]}))
    assert error.details["errors"] == [
        {"path": "steps[0].title", "message": "Input should be a valid string", "value": ["?"]}
    ]


def test_more_faults_than_can_be_told_apart_are_counted() -> None:
    error = refuse(AgentReply(output={"steps": [0] * 10_001}))
    assert error.details["errors"][0]["message"] == "10,001 values in it do not fit"


def test_a_fault_in_a_huge_text_is_told_without_its_value() -> None:
    text = json.dumps({"note": "x" * 1_000_000})
    assert refuse(AgentReply(text=text)).details["errors"] == [
        {"path": "steps", "message": "Field required", "value": "…"}
    ]


def test_more_values_than_a_model_is_given_are_refused() -> None:
    error = refuse(AgentReply(text='{"steps": [' + "0," * 1_000_000 + "0]}"))
    assert "the answer holds more than 1,000,000 values" in error.message
    assert len(error.message) < 400


def test_an_output_nested_too_deeply_to_show_is_refused_all_the_same() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    error = refuse(AgentReply(output={"steps": deep}))
    assert error.details["errors"][0]["path"] == "steps[0]"
    assert error.details["errors"][0]["value"] == "a list that cannot be shown (RecursionError)"


# --- Telling what is wrong ----------------------------------------------------------------------


def test_each_fault_is_quoted_with_its_path_and_value() -> None:
    error = refuse(AgentReply(output={"steps": [{"title": "a"}, {"title": "b", "minutes": "many"}, {}]}))
    assert error.details["errors"] == [
        {
            "path": "steps[1].minutes",
            "message": "Input should be a valid integer, unable to parse string as an integer",
            "value": "many",
        },
        {"path": "steps[2].title", "message": "Field required", "value": {}},
    ]
    assert "steps[1].minutes: Input should be a valid integer" in error.message
    assert '(got "many")' in error.message
    assert json.dumps(error.payload())


def test_the_faults_of_the_last_candidate_are_told() -> None:
    error = refuse(AgentReply(text=f'{BAD_TEXT} then {{"steps": 7}}'))
    assert [fault["path"] for fault in error.details["errors"]] == ["steps"]


@pytest.mark.parametrize("noise", ['{"tokens": 5}', "{}", "[1]", '{"a": oops}'])
def test_the_faults_of_an_answer_are_told_and_not_those_of_what_follows_it(noise: str) -> None:
    for text in (f"{BAD_TEXT} {noise}", f"```json\n{noise}\n```\n{BAD_TEXT}"):
        error = refuse(AgentReply(text=text))
        assert [fault["path"] for fault in error.details["errors"]] == ["steps[0].title"]


def test_a_text_without_json_is_quoted() -> None:
    error = refuse(AgentReply(text="I could not do it. " * 100))
    assert error.details["errors"][0]["path"] == "$"
    assert "no JSON object" in error.message
    assert "I could not do it." in error.message
    assert len(error.message) < 400


def test_many_faults_are_cut_short() -> None:
    error = refuse(AgentReply(output={"steps": [{}] * 500}))
    assert len(error.details["errors"]) == 20
    assert error.message.endswith("and 480 more")


def test_a_validator_that_crashes_on_an_answer_is_the_answers_fault() -> None:
    class Picky(BaseModel):
        name: str

        @field_validator("name", mode="before")
        @classmethod
        def clean(cls, value: Any) -> Any:
            return value.strip()

    error = refuse(AgentReply(output={"name": 3}), Picky)
    assert "AttributeError" in error.message


def test_a_value_that_cannot_be_shown_does_not_hide_the_fault() -> None:
    class Secretive:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    error = refuse(AgentReply(output={"steps": [{"title": Secretive()}]}))
    assert error.details["errors"][0]["value"] == "a Secretive that cannot be shown (RuntimeError)"


def request(session: str | None) -> AgentRequest:
    return AgentRequest("Plan the trip.", Plan, NodeKey("plan"), "r", 1, session=session)


def test_a_correction_names_each_fault_and_shows_the_schema() -> None:
    text = correction_prompt(request("s1"), refuse(AgentReply(text=BAD_TEXT)))
    assert "- steps[0].title: Input should be a valid string (got 3)" in text
    schema = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert schema["required"] == ["steps"]
    assert "Plan the trip." not in text


def test_a_correction_repeats_the_task_for_an_agent_that_forgot_it() -> None:
    assert "Plan the trip." in correction_prompt(request(None), refuse(AgentReply(text=BAD_TEXT)))


def test_a_correction_of_an_error_without_details_says_its_message() -> None:
    assert "- too odd" in correction_prompt(request("s1"), InvalidOutput("too odd"))
