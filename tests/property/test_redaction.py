"""Whatever stands around a secret, in whatever pieces a text comes: no secret is left, and all else is."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from smithers.records.redaction import LOOK_BACK, MARK, Redactor, redact

letters = "abcdefghijklmnopqrstuvwxyz"
word = st.text(letters + letters.upper() + "0123456789", min_size=40, max_size=48)
keys = st.one_of(
    word.map(lambda text: f"sk-ant-api03-{text}"),
    word.map(lambda text: f"sk-1{text}"),
    word.map(lambda text: f"ghp_{text}"),
    word.map(lambda text: f"github_pat_{text}"),
    word.map(lambda text: f"AIza{text}"),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16).map(lambda text: f"AKIA{text}"),
    word.map(lambda text: f"xoxb-{text}"),
    st.tuples(word, word, word).map(lambda parts: f"eyJ{parts[0]}.eyJ{parts[1]}.{parts[2]}"),
    st.lists(word, min_size=1, max_size=20).map(
        lambda lines: "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----"])
    ),
)
# Of few letters, so that they overlap with each other and with themselves.
values = st.text("ab- ", min_size=8, max_size=12) | st.text(min_size=8, max_size=300)
fillers = st.text("ab- \n.s", max_size=12) | st.text(max_size=12)


def oracle(text: str, secrets: list[str]) -> str:
    """As `redact`, one character after the other, for secrets that are given."""
    covered = [False] * len(text)
    touches = [False] * (len(text) + 1)
    for secret in secrets:
        for at in range(len(text)):
            if text.startswith(secret, at):
                covered[at : at + len(secret)] = [True] * len(secret)
                touches[at + 1 : at + len(secret)] = [True] * (len(secret) - 1)
    shown = ""
    for at, character in enumerate(text):
        if not covered[at]:
            shown += character
        elif not touches[at]:
            shown += MARK
    return shown


def in_pieces(text: str, cuts: list[int], redactor: Redactor) -> str:
    """What is shown of a text that comes in pieces."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    shown, before, held = "", "", ""
    for start, end in pairwise(places):
        held += text[start:end]
        cut = redactor.divide(held, before)
        shown += redactor.clean(held[:cut], before, held[cut:])
        before, held = (before + held[:cut])[-LOOK_BACK:], held[cut:]
    return shown + redactor.clean(held, before)


@given(st.lists(values, min_size=1, max_size=4), st.data())
def test_given_secrets_are_replaced_as_one_by_one(secrets: list[str], data: st.DataObject) -> None:
    # A text that stands in the mark, or that a mark makes together with what is beside it, is another matter.
    assume(not any("[" in secret or "]" in secret or secret in MARK for secret in secrets))
    parts = data.draw(st.lists(st.sampled_from(secrets) | fillers, max_size=8))
    text = "".join(parts)
    wanted = {form for secret in secrets for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1])}
    assume(redact(text) == text)  # by chance it may be of a known form as well
    found = redact(text, secrets)
    assert found == oracle(text, sorted(wanted))
    assert not any(secret in found for secret in secrets)


@given(st.lists(keys, min_size=1, max_size=4), st.data())
def test_keys_of_known_forms_do_not_survive(planted: list[str], data: st.DataObject) -> None:
    gaps = data.draw(st.lists(fillers, min_size=len(planted) + 1, max_size=len(planted) + 1))
    text = gaps[0] + "".join(f" {key}\n{gap}" for key, gap in zip(planted, gaps[1:], strict=True))
    found = redact(text)
    for key in planted:
        assert key not in found
        assert key[-20:] not in found
    assert found.count(MARK) >= 1


@given(st.lists(values, max_size=3), st.lists(st.integers(0, 10_000), max_size=12), st.data())
def test_a_text_in_pieces_is_shown_as_the_whole_is(
    secrets: list[str], cuts: list[int], data: st.DataObject
) -> None:
    planted = st.sampled_from(secrets) | keys | fillers if secrets else keys | fillers
    text = "".join(data.draw(st.lists(planted, max_size=8)))
    redactor = Redactor(secrets)
    assert in_pieces(text, cuts, redactor) == redactor.clean(text)


@given(
    st.lists(keys, min_size=1, max_size=3),
    st.lists(st.integers(0, 10_000), min_size=1, max_size=40),
    st.data(),
)
def test_a_key_that_comes_in_pieces_does_not_survive(
    planted: list[str], cuts: list[int], data: st.DataObject
) -> None:
    gaps = data.draw(st.lists(fillers, min_size=len(planted), max_size=len(planted)))
    text = "".join(f"{gap} {key}\n" for key, gap in zip(planted, gaps, strict=True))
    shown = in_pieces(text, cuts, Redactor())
    assert not any(key in shown or key[-20:] in shown for key in planted)


@given(st.text(letters + " .,;\n'\"(){}", max_size=400), st.lists(st.integers(0, 400), max_size=20))
def test_prose_is_left_as_it_is_whole_and_in_pieces(text: str, cuts: list[int]) -> None:
    assert redact(text, ["correct horse 7 battery"]) == text
    assert in_pieces(text, cuts, Redactor(["correct horse 7 battery"])) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | fillers | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fillers, inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_with_keys_in_it_is_suspected_and_cleaned(value: object) -> None:
    redactor = Redactor()
    cleaned = redactor.clean_json(value)
    if cleaned != value:
        assert redactor.suspects(json.dumps(value, ensure_ascii=False))
    assert redactor.clean_json(cleaned) == cleaned
