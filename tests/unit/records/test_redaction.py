"""Secrets in texts: what is one, what is none, and what a text in pieces keeps waiting."""

from __future__ import annotations

import json

import pytest

from smithers.records.redaction import MARK, WINDOW, Redactor, credentials, redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAr7\nabc/+=\n-----END RSA PRIVATE KEY-----"

KEYS = [
    "sk-ant-api03-" + "aB3_" * 20,
    "sk-proj-" + "xY9-" * 12,
    "sk-" + "a1B2c3D4" * 6,
    "ghp_" + "a1B2" * 9,
    "ghs_" + "a1B2" * 9,
    "github_pat_11ABCDEFG0" + "x_9" * 20,
    "glpat-" + "a1B2-" * 4,
    "hf_" + "aBcDeF" * 6,
    "npm_" + "a1B2" * 9,
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "AIza" + "Sy_-a1B" * 5,
    "xoxb-123456789012-abcdefABCDEF",
    "xoxp-123456789012-abcdefABCDEF",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "key={}", '"{}",', "said ({}) and", "a\\n{}\\n", "q=%22{}%22", "\n{}\n"]
)
def test_what_looks_like_a_key_is_replaced_and_nothing_beside_it(key: str, around: str) -> None:
    assert redact(around.format(key)) == around.format(MARK)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Authorization: Bearer abcdefgh12", f"Authorization: Bearer {MARK}"),
        ('"authorization": "bearer abcdefgh12"', f'"authorization": "bearer {MARK}"'),
        ("AUTHORIZATION: BASIC dXNlcjpwYXNz", f"AUTHORIZATION: BASIC {MARK}"),
        ("curl -H 'Bearer 0123456789abcdefXYZ'", f"curl -H 'Bearer {MARK}'"),
        (f"before {PEM} after", f"before {MARK} after"),
        (json.dumps({"key": PEM}), json.dumps({"key": MARK})),
        ("-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 16 + "\n" + "aBcD" * 16, MARK),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl-bnNz\n-----END OPENSSH PRIVATE KEY-----", MARK),
    ],
)
def test_headers_and_private_keys_are_replaced(text: str, wanted: str) -> None:
    assert redact(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "task-force-of-the-4th-something-new",
        "sk-learn-compatible-estimators-are-not-keys",
        "the bearer of this letter, bearer certificates, authorization: required",
        "AKIA, ghp_, xoxb-, eyJ and sk- are how keys begin",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "a file that begins with -----BEGIN PRIVATE KEY----- is a key",
        "half_" + "a" * 40,
        "",
    ],
)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_values_are_replaced_wherever_they_stand_also_within_words_and_json() -> None:
    value = 'pa"ss\nword'
    text = f"x{value}x {json.dumps([value])}"
    assert redact(text, [value]) == f'x{MARK}x ["{MARK}"]'


def test_secrets_that_overlap_leave_nothing_of_each_other() -> None:
    assert redact("abcdefghijkl", ["abcdefgh", "efghijkl"]) == MARK
    assert redact("aaaaaaaaaaaa!", ["aaaaaaaa"]) == f"{MARK}!"
    assert redact("Bearer 0123456789abcdef!tail!", ["9abcdef!tail"]) == f"Bearer {MARK}!"


def test_short_values_and_the_mark_itself_are_no_secrets() -> None:
    assert redact("short redacted", ["short", "redacted"]) == "short redacted"


def test_credentials_are_found_by_the_names_of_variables() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "value-01",
        "GH_TOKEN": " value-02\n",
        "PGPASSWORD": "value-03",
        "my_secret": "value-04",
        "AWS_ACCESS_KEY_ID": "value-05",
        "NPM_CONFIG__AUTH": "value-06",
        "DB_CREDENTIALS": "value-07",
        "SHORT_KEY": "1234567",
        "KEYBOARD_LAYOUT": "value-08",
        "TOKENIZERS_PARALLELISM": "value-09",
        "SSH_AUTH_SOCK": "value-10",
        "API_KEY_FILE": "value-11",
        "GIT_CONFIG_KEY_0": "value-12",
        "PWD": "value-13",
    }
    assert credentials(environment) == {f"value-0{n}" for n in range(1, 8)}


def test_json_is_cleaned_text_by_text_and_stays_json() -> None:
    key = KEYS[0]
    value = {
        "command": f"echo\n{key}",
        "list": [key, 1, None, True],
        key: 2.5,
        "other": {"a": "-----BEGIN PRIVATE KEY-----"},
    }
    redactor = Redactor()
    assert redactor.suspects(json.dumps(value))
    assert redactor.clean_json(value) == {
        "command": f"echo\n{MARK}",
        "list": [MARK, 1, None, True],
        MARK: 2.5,
        "other": {"a": "-----BEGIN PRIVATE KEY-----"},
    }


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("Nothing of it waits.", ""),
        ("files and things", ""),
        ("the key is s", "s"),
        ("the key is sk-an", "sk-an"),
        ("the key is sk-ant-api03-" + "a" * 50, "sk-ant-api03-" + "a" * 50),
        ("-H 'Authorization: Bear", "Authorization: Bear"),
        ("-H 'Authorization: Bearer ", "Authorization: Bearer "),
        ("Bearer abc", "Bearer abc"),
        ("begin -----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"),
        ("a --", "--"),
        ("it is hunt", "hunt"),
        ("it is hunter2-hunter2-hunt", "hunter2-hunter2-hunt"),
        ("done with hunter2-hunter2-hunter2. Good", ""),
    ],
)
def test_the_end_of_a_text_waits_if_a_secret_may_begin_in_it(text: str, waits: str) -> None:
    redactor = Redactor(["hunter2-hunter2-hunter2"])
    assert text[redactor.divide(text) :] == waits


def test_what_waits_never_begins_within_a_secret() -> None:
    redactor = Redactor(["abcabcab"])
    assert redactor.divide("xabcabcab") == 1
    assert redactor.divide("xabcabcab.") == 10


def test_what_stands_before_a_text_says_whether_a_word_begins_with_it() -> None:
    rest = "sk-" + "a1B2c3D4" * 6
    redactor = Redactor()
    assert redactor.clean(rest, before="the ta") == rest
    assert redactor.clean(rest, before="it is ") == MARK
    assert redactor.divide("s", before="file") == 1
    assert redactor.divide("s", before="is ") == 0


def test_not_more_than_a_window_waits() -> None:
    redactor = Redactor(["x" * 9 + "y" * (2 * WINDOW)])
    for text in (
        "sk-" + "a" * (2 * WINDOW),
        "-----BEGIN RSA PRIVATE KEY-----" + "a\n" * WINDOW,
        "x" * 9 + "y" * WINDOW,
    ):
        assert len(text) - redactor.divide(text) <= WINDOW


def test_a_text_made_to_be_slow_is_not() -> None:
    from time import process_time

    redactor = Redactor(["hunter2-hunter2-hunter2"])
    for piece in (
        "-----BEGIN PRIVATE KEY-----",
        "Authorization:        ",
        "sk-",
        "-eyJ",
        "eyJaaaaaaaa.eyJ",
        "Bearer ",
        "- -",
        "a" * 40 + ".",
    ):
        text = piece * (200_000 // len(piece))
        began = process_time()
        redactor.clean(text)
        redactor.divide(text)
        assert process_time() - began < 1.0, piece
