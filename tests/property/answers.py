"""Random answers of agents, and what must come of each. `python -m tests.property.answers 20000 --seed 1`.

A case is a text in which an answer may be planted: among prose, code, other JSON, broken JSON, fences and
control sequences. Three oracles say what must come of it:

* `found`: the planted answer stands whole among noise that is complete in itself; just it must be found.
* `refused`: the answer was broken or cut off; it must be refused, and no part of it taken, although each
  part validates.
* `any`: characters of the text were changed at random; no more is asked than a valid output or a refusal.

Each ends within `LIMIT_S` seconds, with a valid output or `InvalidOutput`, never otherwise.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import string
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from smithers.agents.correction import correction_prompt, parse_reply
from smithers.errors import InvalidOutput
from smithers.ids import NodeKey
from smithers.ports import AgentReply, AgentRequest

LIMIT_S = 2.0
"""Seconds of processor time a case may take."""
MEMORY_BYTES = 1 << 30
"""Address space that the command allows itself; beyond it Python raises MemoryError."""

Expected = Literal["found", "refused", "any"]


class Answer(BaseModel):
    """Its parts are answers too: taking one for the whole would not be noticed by the model."""

    model_config = ConfigDict(extra="forbid")
    mark: Literal["answer"]
    nonce: int
    text: str = ""
    parts: list[Answer] = []
    more: dict[str, Answer] = {}
    score: float | None = None


class Case(NamedTuple):
    text: str
    expected: Expected
    nonce: int = -1
    """Of the answer that must be found; its parts have others."""


class Figures(NamedTuple):
    """What a number of cases came to."""

    cases: int
    by_oracle: Counter[str]
    """`found found`, `refused refused`, `any refused`: the oracle, and what came."""
    slowest_s: float
    slowest_seed: str


# --- Cases --------------------------------------------------------------------------------------


def case(seed: str) -> Case:
    """The case of a seed; always the same."""
    rng = random.Random(seed)
    expected = rng.choices(("found", "refused", "any"), (6, 2, 2))[0]
    nonce = rng.randrange(10**6)
    planted = _dump(rng, _answer(rng, nonce, depth=rng.randrange(4)))
    if expected == "refused":
        return Case(_surround(rng, _spoil(rng, planted)), "refused")
    before, after = _noise(rng), _noise(rng)
    if rng.random() < 0.1:
        before, after = before + rng.choice(_OPEN), _prose(rng)
    text = before + _wrap(rng, planted) + after
    if expected == "found":
        return Case(_disguise(rng, text), "found", nonce)
    return Case(_mutate(rng, text), "any")


def _answer(rng: random.Random, nonce: int, depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"mark": "answer", "nonce": nonce}
    if rng.random() < 0.8:
        fields["text"] = "".join(_fragment(rng) for _ in range(rng.randrange(1, 5)))
    if rng.random() < 0.2:
        fields["score"] = rng.choice([0, -0.0, 1e-9, 12345678901234567890, 0.1])
    if depth > 0:
        parts = [_answer(rng, -2, depth - 1) for _ in range(rng.randrange(1, 4))]
        fields["parts"] = parts
        if rng.random() < 0.3:
            fields["more"] = {_fragment(rng): _answer(rng, -2, depth - 1)}
    names = list(fields)
    rng.shuffle(names)
    return {name: fields[name] for name in names}


_FRAGMENTS = [
    *("{", "}", "[", "]", "{}", "[]", '"', "\\", "\\\\", "'", "`", "```", "~~~", ":", ",", "//", "null"),
    *("\n```json\n", "\n```\n", '{"a": 1}', '{"mark": "answer", "nonce": -3}', '{"mark": 1, ', '"parts": [{'),
    *("\r\n", "\t", "\0", "\x1b[31m", "\ufeff", "\u2028", "\x85", "\xa0", "é", "漢字", "😀", "C:\\dir\\new"),
    *("def f(x):\n    return {x: [1]}\n", "# Title\n\n- a\n- b\n", "a" * 200, " " * 40, 'say "hi"', "NaN"),
]


def _fragment(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "".join(rng.choices(string.printable, k=rng.randrange(12)))
    return rng.choice(_FRAGMENTS)


def _dump(rng: random.Random, value: Any) -> str:
    text = json.dumps(
        value,
        indent=rng.choice([None, None, 0, 2, 4]),
        ensure_ascii=rng.random() < 0.5,
        separators=rng.choice([None, (",", ":"), (" , ", " : ")]),
    )
    # A terminal's sequence inside an answer is taken for colour; it stays only where it is escaped.
    text = text.replace("\x1b", "\\u001b")
    return text.replace("\n", "\r\n") if rng.random() < 0.2 else text


def _wrap(rng: random.Random, planted: str) -> str:
    line = rng.choice(["\n", "\r\n"])
    mark = rng.choice(["```", "~~~", "````", "~~~~~"])
    info = rng.choice(["json", " json", "JSON", "", "jsonc", "json title=a.json", "json:a.json"])
    end = rng.choice([mark, mark + mark[0], mark + "  "])
    return rng.choice(
        [
            planted,
            f"{line}{planted}{line}",
            f"Here it is: {planted}. Good luck!",
            f"return({planted});",
            f"{line}{mark}{info}{line}{planted}{line}{end}{line}",
            f"{line}   {mark}{info}{line}{planted} as asked{line}   {end}{line}",
            f"{line}{mark}json {planted}{line}{end}{line}",
        ]
    )


# --- Noise: complete in itself, or no beginning of an answer; it holds none either -----------------

_WORDS = ["the", "plan", "is", "(so)", "it's", '5" wide', '"quoted"', "{braces}", "{{ x }}", "[note]", "—"]
_OTHERS: list[Any] = [
    {},
    {"other": 1},
    [1, 2],
    ["{"],
    {"a": {"b": [{"c": "}"}]}},
    [{"mark": 3}],
    {"nonce": 1},
]
_BROKEN = [
    *("{'a': 1}", "{a: [1, 2]}", '{"a": 1,}', '{"a": "\\d"}', '{"a": NaN}', "[1, 2,]", '{"a" 1}'),
    *('{"a": "b\nc"}', '{"a": oops\n', '["b", oops\n', '{"note": "cut here\n\nSorry, again:\n'),
    *('{"a": [1, {"b": 2}}', '{"a": "never closed ', "[1, 2", '{"a": [{"b": "', "{" * 50 + "}" * 50),
]
_CODE = [
    *('x = {"a": [1, 2], **{"b": 3}}\n', "if (a) { return [b]; }\n", "f'{x!r}' \"{y}\" {% raw %}\n"),
    *('print("{")\n', "let s = `${a}`;\n", "}\n", "{\n", "]]\n", '"\n', "'''\n", "\\\\\n", "#include <a>\n"),
]
_ODD = [
    *("\0\0", "\ufeff", "\x1b[2K\x1b[1G", "\x1b]0;title\x07", "\ud800 \udfff", "\u2028", "\r", "\x1b["),
    *("[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300, "{" * 2000 + "\n", "}" * 2000, "9" * 5000),
    *('{"n": ' + "9" * 5000 + "}", '"' * 999 + "\n", "\\" * 999, "{}" * 150, "```json\n{}\n```\n" * 20),
    *("\n" * 500, "a" * 20_000),
]
_OPEN = ['{"a": ', '["a", ', "[", '{"a":' * 300, '{"note": "x", "b": [']
"""What would hold the answer as a part of it, if brackets followed that closed them."""


def _prose(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randrange(1, 30))) + rng.choice([". ", "\n", "\r\n\n"])


def _other_json(rng: random.Random) -> str:
    return json.dumps(rng.choice(_OTHERS), indent=rng.choice([None, 2])) + rng.choice(["\n", " ", ", then "])


def _code(rng: random.Random) -> str:
    code, mark = rng.choice(_CODE), rng.choice(["```", "~~~"])
    fenced = f"\n{mark}{rng.choice(['python', 'js', 'text', ''])}\n{code}{mark}\n"
    return rng.choice([code, fenced, f"\n{mark}\n"])


def _noise(rng: random.Random) -> str:
    makers: list[Callable[[], str]] = [
        *[lambda: _prose(rng)] * 3,
        lambda: _other_json(rng),
        lambda: rng.choice(_BROKEN),
        lambda: _code(rng),
        lambda: rng.choice(_ODD),
    ]
    return "".join(rng.choice(makers)() for _ in range(rng.randrange(5)))


# --- Spoiling -------------------------------------------------------------------------------------

_FAULTS = [
    r'"path": "C:\dir",',
    r'"path": "\ud800",',
    '"n": NaN,',
    '"n": 01,',
    '"s": "a\nb",\n',
    "// note\n",
    "'s': 1,",
]
_ENDS = ["", ",", ', "cut": {"a": [1, "b', ', "cut": [{"a": {},', ",}", ' "x": 1}']


def _spoil(rng: random.Random, planted: str) -> str:
    """An answer that is no JSON any more, all parts of which still are."""
    body = planted[1:-1]
    if rng.random() < 0.5:
        return f'{{"nonce": 1, {rng.choice(_FAULTS)} {body}{rng.choice(["}", *_ENDS])}'
    return f"{{{body}{rng.choice(_ENDS)}"


def _surround(rng: random.Random, spoilt: str) -> str:
    """With a beginning; what is cut off has no end."""
    text = _prose(rng).replace('"', "") + rng.choice(["\n", "\n```json\n", "\n```\n", "\n~~~json\n"]) + spoilt
    return text.replace("\n", "\r\n") if rng.random() < 0.1 and "\r" not in text else text


def _disguise(rng: random.Random, text: str) -> str:
    if rng.random() < 0.1:
        text = "".join(char + "\x1b[0m" if char in "{}:," and rng.random() < 0.3 else char for char in text)
    if rng.random() < 0.01:
        piece = rng.choice([*_BROKEN, *_ODD, *_CODE, *_WORDS])
        text = piece * (500_000 // len(piece)) + "\n" + text
    if rng.random() < 0.1:
        text = "\ufeff" + text
    return text


def _mutate(rng: random.Random, text: str) -> str:
    chars = list(text)
    for _ in range(rng.randrange(1, 12)):
        at = rng.randrange(len(chars) + 1)
        match rng.randrange(5):
            case 0:
                del chars[at : at + rng.choice([1, 1, 2, 10, 200])]
            case 1:
                chars.insert(at, rng.choice(_FRAGMENTS))
            case 2:
                chars[at:at] = chars[at : at + rng.randrange(200)] * rng.choice([1, 2, 50])
            case 3:
                chars[at : at + 1] = chr(rng.choice([rng.randrange(128), rng.randrange(0x11000)]))
            case _:
                del chars[at + rng.randrange(400) :]
    return "".join(chars)


# --- Judging --------------------------------------------------------------------------------------


def judge(given: Case) -> tuple[str, float]:
    """What came of a case, and the seconds it took.

    Raises:
        AssertionError: not what the oracle says. Any other exception is a crash of the code under test.
    """
    began = time.process_time()
    came, nonce = "refused", None
    try:
        nonce = parse_reply(AgentReply(text=given.text), Answer).nonce
        came = "found"
    except InvalidOutput as error:
        _check_telling(error)
    took = time.process_time() - began
    assert took < LIMIT_S, f"it took {took:.1f} s"
    assert given.expected in (came, "any"), f"expected {given.expected}, came {came} {nonce}"
    assert given.expected != "found" or nonce == given.nonce, f"expected {given.nonce}, found {nonce}"
    return came, took


def _check_telling(error: InvalidOutput) -> None:
    asked = AgentRequest("Do it.", Answer, NodeKey("a"), "r", 1)
    told = correction_prompt(asked, error) + json.dumps(error.payload(), ensure_ascii=False)
    assert told.encode(), "what is told can be stored"
    assert len(error.message) < 15_000, "what is told is short"


def run(first: int, cases: int) -> Figures:
    """Judge the cases of the seeds `first`, `first` + 1, and so on.

    Raises:
        AssertionError: at the first that fails; it names the seed.
    """
    by_oracle: Counter[str] = Counter()
    slowest = (0.0, "")
    for number in range(first, first + cases):
        seed = f"answer {number}"
        given = case(seed)
        try:
            came, took = judge(given)
        except Exception as error:
            raise AssertionError(
                f"seed {seed!r}: {type(error).__name__}: {error}\n{given.text[:2000]!r}"
            ) from error
        by_oracle[f"{given.expected} {came}"] += 1
        slowest = max(slowest, (took, seed))
    return Figures(cases, by_oracle, *slowest)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.property.answers")
    parser.add_argument("cases", type=int)
    parser.add_argument("--seed", type=int, default=1, help="the first")
    given = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    began = time.perf_counter()
    figures = run(given.seed, given.cases)
    took = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{figures.cases} cases in {took:.0f} s, at most {peak_mb:.0f} MB")
    for name, count in sorted(figures.by_oracle.items()):
        print(f"  {name}: {count}")
    print(f"  slowest {figures.slowest_s:.3f} s: {figures.slowest_seed}")


if __name__ == "__main__":
    main(sys.argv[1:])
