"""Where an answer stands in a text. What is done with it is said in `test_correction.py`."""

from __future__ import annotations

import json
import time

import pytest

from smithers.agents.bracket import SPAN_LIMIT
from smithers.agents.extraction import (
    VALUE_LIMIT,
    NotJson,
    TooLarge,
    candidates,
    check_json,
    not_json,
    position,
)

KEYS = {"steps", "inner", "path", "a"}
"""What an answer may begin with."""
GOOD = '{"steps": [{"title": "a"}]}'


def found(text: str) -> list[str]:
    return [candidate.text for candidate in candidates(text, KEYS)]


def found_any(text: str) -> list[str]:
    return [candidate.text for candidate in candidates(text, None)]


# --- Order --------------------------------------------------------------------------------------


def test_fenced_blocks_come_first_and_the_last_first() -> None:
    text = '{"a": 0}\n```json\n{"a": 1}\n```\n{"a": 2}\n```\n{"a": 3}\n```\n{"a": 4}'
    assert found(text) == ['{"a": 3}', '{"a": 1}', '{"a": 4}', '{"a": 2}', '{"a": 0}']


def test_objects_one_a_line_come_last_first() -> None:
    assert found('{"a": 0}\n{"a": 1}\r\n{"a": 2}\n') == ['{"a": 2}', '{"a": 1}', '{"a": 0}']
    assert found('```jsonl\n{"a": 0}\n{"a": 1}\n```') == ['{"a": 1}', '{"a": 0}']


def test_what_lies_inside_a_value_is_no_candidate() -> None:
    assert found('so: {"a": {"b": [{"c": 1}]}}') == ['{"a": {"b": [{"c": 1}]}}']


def test_what_lies_inside_a_list_is_none_either_and_lists_come_after_objects() -> None:
    assert found('{"a": 0} or [{"a": 1}, {"a": 2}]') == ['{"a": 0}', '[{"a": 1}, {"a": 2}]']


def test_a_list_or_a_bare_value_is_found_where_it_may_be_the_answer() -> None:
    assert found_any('They are ["a", "b"].') == ['["a", "b"]']
    assert found_any("See [1] and {2}: [[1, 2], [3]]") == ["[[1, 2], [3]]", "[1]"]
    assert found_any(" 42\r\n") == ["42"]
    assert found_any("```json\ntrue\n```") == ["true"]
    assert found_any("The answer is\n-1.5e3\n") == ["-1.5e3"]
    assert found_any('"use {} and {\\"a\\": 1}"') == ['"use {} and {\\"a\\": 1}"']


def test_prose_holds_no_candidate() -> None:
    assert found('No {braces}, {{ braces }}, [notes](url), {"sets"}, [x], 42 or "quotes" here') == []
    assert found_any("I think so.") == []
    assert found("") == found("\0\ufeff \n") == found_any("") == []


# --- Fences -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "```json\n%s\n```",
        "```JSON\n%s\n```",
        "```\n%s\n```",
        "~~~json\n%s\n~~~",
        "~~~~ json\n%s\n~~~~~",
        "```json title=answer.json\n%s\n```",
        "```json:answer.json\n%s\n```",
        "```application/json\n%s\n```",
        "   ```json\n   %s\n   ```",
        "```json\r\n%s\r\n```\r\n",
        "````markdown\nSo:\n```json\n%s\n```\n````",
        "```json\n%s",
        "```json\n%s\nI hope that this helps",
        "```json\n%s and that is all\n```",
        "```json %s\n```",
        "```python\nx = 1\n```json\n%s\n```",
        "````json\n%s\n````",
        "```json\n\ufeff%s\n```",
    ],
)
def test_a_fenced_answer_comes_before_what_follows_it(text: str) -> None:
    assert found(text % GOOD + '\nBut not\n~~~text\n{"other": 1}\n~~~\n')[0] in (GOOD, '{"other": 1}')
    assert found('Not {"other": 1}\n' + text % GOOD)[0] == GOOD


def test_a_fence_of_another_language_is_no_answer_yet_its_objects_are_tried_last() -> None:
    assert found('```json\n{"a": 1}\n```\n```python\nx = {"b": 1}\n```') == ['{"a": 1}', '{"b": 1}']


def test_a_fence_is_closed_by_one_of_its_own_kind() -> None:
    assert found('~~~json\n{"a":\n```\n1}\n~~~')[0] == '{"a":\n```\n1}'


@pytest.mark.parametrize("code", ["```", "\n```\n", "```json\n{}\n```", "~~~\n{", "`{`"])
def test_fences_inside_strings_do_not_count(code: str) -> None:
    for text in (json.dumps({"code": code}), json.dumps({"list": [code]}, indent=2)):
        assert found(f"So:\n```json\n{text}\n```\nas asked")[0] == text
        assert found(f"So: {text}") == [text]


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\u2029"])
def test_other_line_breaks_inside_strings_do_not_count(mark: str) -> None:
    text = json.dumps({"code": f"a{mark}```{mark}b"}, ensure_ascii=False)
    assert found(f"```json\n{text}\n```") == [text]


# --- Broken and cut answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "C:\\d", "inner": {"note": 3}}',
        '{"inner": {"note": 3}, // why\n "other": {"note": 4}}',
        '{"inner": [{"note": 3}, {"note": 4},]}',
        '{"inner": {"note": 3} "other": {"note": 4}}',
        '{"inner": [{"note": 3}, {"note": 4}}',
        '{"inner": {"note": NaN}, "other": {}}',
    ],
)
def test_what_lies_inside_broken_json_is_no_candidate(text: str) -> None:
    assert found(text) == found(f"Here: {text}") == found(f"```json\n{text}\n```") == [text]


@pytest.mark.parametrize(
    "text",
    [
        '{"steps": [{"title": "a"}, {"title": "b"}, {"ti',
        '{"steps": [{"title": "a"}, {"title": "b"}',
        '{"steps": [{"title": "a"}],',
        '{"steps": [{"title": "a"}], "path": "C:\\d", "more": {"title": "b"}, "x": "',
        '{"steps": [{"title": "a"}], "text": "line\nline", "more": [{"title": "b"}',
    ],
)
def test_what_lies_inside_an_answer_that_was_cut_off_is_no_candidate(text: str) -> None:
    assert found(text) == found(f"```json\n{text}") == [text]
    assert found(f"Sure: {text}") == [text]


def test_an_answer_begun_anew_after_a_cut_one_is_found() -> None:
    assert found('{"steps": [{"title": "a"}, {"titl\n\nSorry, again:\n' + GOOD)[0] == GOOD
    assert found('{"steps": [{"title": "a"},\n\nSorry, again:\n```json\n' + GOOD + "\n```")[0] == GOOD


@pytest.mark.parametrize(
    "noise",
    [
        '{"other": oops %s}',
        '{"other": "never closed %s}',
        '{"other": %s',
        '["other", %s',
        "[1, 2 %s ]",
        '{"other": {"b": %s, oops}}',
        '{"other": "C:\\d", "inner": %s}',
        '{"other":' * 1500 + " %s",
        '{"other":' * 300 + " %s oops" + "}" * 300,
        '{"other": 5" \\%s}',
    ],
    ids=lambda noise: noise[-20:],
)
def test_an_answer_is_found_inside_broken_json_that_is_no_answer(noise: str) -> None:
    assert GOOD in found(noise % GOOD) + found("x " + noise % GOOD + " y")


def test_an_answer_inside_whole_json_is_no_candidate() -> None:
    text = f'{{"result": {{"x": {GOOD}}}, "notes": ["}}"]}}'
    assert found(text) == found(f"So: {text}") == [text]


def test_brackets_in_strings_do_not_count_whatever_they_hold() -> None:
    for value in ('{"a":', '"{', '{"', "{", "\\", '\\"{', '{":"', ":", "{ "):
        text = json.dumps({"a": value, "b": [value, value, {value: value}]})
        assert found(f"So: {text} and so on") == [text]


def test_a_text_that_can_only_be_meant_as_json_is_a_candidate_as_it_is() -> None:
    assert found("{'steps': []}")[0] == "{'steps': []}"
    assert found("```json\n{steps: []}\n```")[0] == "{steps: []}"
    assert found(' {"ste') == ['{"ste']


def test_a_stray_quotation_mark_or_bracket_spoils_nothing() -> None:
    for noise in ('a 5" pipe ', "an open { brace ", "a [ and a ( ", "} ] ", '{"key": oops \n', "```\n"):
        assert GOOD in found(noise + GOOD + " and more")


# --- What surrounds an answer -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff%s",
        "\0\0%s\0",
        "\x1b[32m%s\x1b[0m\n",
        "\x1b]8;;http://x\x07%s\x1b]8;;\x07",
        "\x1b(B\x1b[m%s",
        "\x1b[%s",
        "%s \u2014 done",
        "\ud800%s\udfff",
        "\xa0%s\xa0",
        "> %s",
    ],
)
def test_marks_around_an_answer_are_no_part_of_it(text: str) -> None:
    assert found(text % GOOD) == [GOOD]


def test_colours_inside_an_answer_are_taken_out() -> None:
    assert found('{\x1b[34m"steps"\x1b[0m: \x1b[1;33m[]\x1b[0m}') == ['{"steps": []}']


def test_a_text_that_is_a_json_string_is_looked_into() -> None:
    assert found(json.dumps("So: " + GOOD)) == [GOOD]
    assert found(json.dumps(json.dumps(GOOD))) == []


# --- Bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        "{}",
        "{",
        "[",
        '{"a":',
        '{"a":x',
        "```json\n",
        "```json\n{}\n```\n",
        '{"',
        "\x1b]",
        '[1,{"a":',
        "\\",
        "\n",
    ],
)
def test_a_text_of_a_megabyte_takes_no_second_and_few_candidates(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    assert len(found(text)) <= 2 * SPAN_LIMIT
    assert len(found_any(text)) <= 2 * SPAN_LIMIT + 1
    assert time.process_time() - began < 2.0


def test_the_last_pieces_are_the_ones_that_are_tried() -> None:
    texts = found("\n".join(f'{{"a": {number}}}' for number in range(1000)))
    assert texts == [f'{{"a": {number}}}' for number in range(999, 999 - SPAN_LIMIT, -1)]


def test_other_json_does_not_push_out_what_begins_like_the_answer() -> None:
    assert GOOD in found(GOOD + "{} [1]" * 10 * SPAN_LIMIT)


def test_many_fenced_blocks_leave_room_for_what_is_outside_them() -> None:
    assert GOOD in found("```json\n{}\n```\n" * 1000 + GOOD)


def test_more_values_than_a_model_is_given_are_refused() -> None:
    check_json('["' + "a,[{" * VALUE_LIMIT + '"]')
    with pytest.raises(TooLarge, match="more than 1,000,000 values"):
        check_json("[" + "0," * VALUE_LIMIT + "0]")


# --- What is no JSON ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "reason"),
    [
        ('{"a": NaN}', 6, "NaN is no number of JSON"),
        ('{"é": [1, -Infinity]}', 10, "-Infinity is no number of JSON"),
        ('{"é": "\ud800"}', 7, "half of a character"),
    ],
)
def test_what_a_lenient_parser_lets_pass_is_refused(text: str, at: int, reason: str) -> None:
    with pytest.raises(NotJson, match=reason) as caught:
        check_json(text)
    assert caught.value.at == at


def test_words_in_strings_are_not_numbers() -> None:
    check_json('{"a": "NaN", "b": "-Infinity"}')


def test_a_parsers_position_becomes_an_index() -> None:
    assert not_json('{"é":\n"é\\d"}', "invalid escape at line 2 column 5").at == 9
    assert not_json('{"a":"b\nc"}', "control character at line 2 column 0").at == 7
    assert not_json("{", "something else").at == 0


def test_lines_and_columns_count_from_one() -> None:
    assert position("ab\ncd", 0) == (1, 1)
    assert position("ab\ncd", 4) == (2, 2)
