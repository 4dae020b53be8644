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
