"""From bytes to lines, and from a line to an event."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from smithers.agents.cli.line import Lines, Tail, event_in


def test_lines_end_where_they_end_and_not_where_a_read_does() -> None:
    lines = Lines()
    assert list(lines.feed(b'{"a"')) == []
    assert list(lines.feed(b':1}\n{"b":2}\r\n\n  \n{"c"')) == ['{"a":1}', '{"b":2}']
    assert list(lines.end()) == ['{"c"']
    assert list(lines.end()) == []


def test_a_character_that_is_cut_by_a_read_is_whole_again() -> None:
    lines = Lines()
    whole = "世界😀\n".encode()
    assert [line for at in range(len(whole)) for line in lines.feed(whole[at : at + 1])] == ["世界😀"]


def test_bytes_that_are_no_text_become_marks() -> None:
    assert list(Lines().feed(b"a\xff\xfe\x00b\n")) == ["a\ufffd\ufffd\x00b"]


def test_a_line_of_the_longest_length_is_kept_and_a_longer_one_counted() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"x" * 10 + b"\n" + b"y" * 11 + b"\nz\n")) == ["x" * 10, "z"]
    assert lines.dropped == 1
    assert list(lines.feed(b"y" * 6)) == []
    assert list(lines.feed(b"y" * 6 + b"\nend\n")) == ["end"]
    assert lines.dropped == 2


def test_a_line_that_comes_byte_by_byte_takes_no_more_room_than_one_that_comes_whole() -> None:
    lines = Lines(1 << 20)
    tracemalloc.start()
    for _ in range(200_000):
        list(lines.feed(b"x"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400_000


def test_what_is_too_long_is_not_kept_meanwhile() -> None:
    lines, block = Lines(1 << 16), b"x" * (1 << 15)
    tracemalloc.start()
    for _ in range(1000):
        list(lines.feed(block))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300_000
    assert list(lines.feed(b"\nlast\n")) == ["last"]


def test_of_standard_error_the_end_is_kept() -> None:
    tail = Tail(10)
    for number in range(100):
        tail.feed(b"%02d" % number)
    assert str(tail) == "9596979899"
    tail.feed(b"z" * 1000 + "é".encode())
    assert str(tail) == "zzzzzzzzé"


@pytest.mark.parametrize(
    "line", ["", " ", "x", "null", "17", "[]", '["a"]', '"{}"', "{", '{"a":}', '{"a":1} x', "\x1b", "\ufeff"]
)
def test_what_is_no_object_is_no_event(line: str) -> None:
    assert event_in(line) is None


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (' {"a": [1, "x"]} \t', {"a": [1, "x"]}),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"a":"\x00\x1b[0m\t"}', {"a": "\x00\x1b[0m\t"}),
        ('{"a":"\\ud800","\\udc00":1}', {"a": "?", "?": 1}),
        ('{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        ('\ufeff{"a":1}', {"a": 1}),
        ('\x1b[?25l\x1b[2K{"a":1}\x1b[0m\x1b[?25h', {"a": 1}),
        ('\x1b]0;title\x07{"a":1}', {"a": 1}),
        ('{"n":' + "9" * 5000 + ',"a":1}', {"n": None, "a": 1}),
        ('{"n":-' + "9" * 50 + "}", {"n": -int("9" * 50)}),
    ],
)
def test_what_programs_and_terminals_add_does_not_hide_an_event(line: str, event: object) -> None:
    assert event_in(line) == event


def test_numbers_that_are_none_are_let_through_for_others_to_ignore() -> None:
    event = event_in('{"a":NaN,"b":-Infinity,"c":1e999}')
    assert event is not None
    assert str(event) == "{'a': nan, 'b': -inf, 'c': inf}"


@pytest.mark.parametrize(
    "line",
    [
        '{"a":' * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a":' + "[" * 100_000,
        '{"a":' * 300 + "1" + "}" * 300,
        "\x1b" * 100_000 + "{}",
        "{}" + "\x1b[" * 100_000,
        '{"a":"' + "\\" * 100_001,
        '{"a":' + "1" * 10_000_000,
        '{"a":1e' + "9" * 100_000 + "x}",
    ],
    ids=["open", "deep", "lists", "three hundred", "escapes", "tail", "slashes", "digits", "exponent"],
)
def test_what_is_made_to_break_a_reader_is_no_event_and_that_at_once(line: str) -> None:
    begun = time.process_time()
    assert event_in(line) is None
    assert time.process_time() - begun < 1


def test_a_deep_object_is_read_and_one_that_is_too_deep_for_others_is_not() -> None:
    assert event_in('{"a":' * 150 + "1" + "}" * 150) is not None
    assert event_in('{"\x00a":' * 250 + "1" + "}" * 250) is None
