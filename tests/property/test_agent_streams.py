"""Whatever a program writes, hearing it gives an answer or an agent's error: no crash, no hang, no flood.

`SMITHERS_STREAMS=20000 scripts/test tests/property/test_agent_streams.py -n 0` tries that many damaged ones.
"""

from __future__ import annotations

import json
import os
import resource
import time
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from smithers.agents import ClaudeCode
from smithers.agents.cli.line import Lines, event_in
from smithers.ports import AgentReply
from tests.contract import claude_words as claude
from tests.contract.agent_case import Answer, Case
from tests.contract.agent_contract import STATUSES
from tests.contract.test_claude_code import TestClaudeCode as Claude
from tests.property.hearing import faults, folded, plain_lines
from tests.property.spoiling import NOISE, in_chunks, spoiled

STREAMS = int(os.environ.get("SMITHERS_STREAMS", "400"))
"""How many damaged streams to try; by night 20,000."""
LONGEST_S = 5.0
"""Of one stream; the usual one takes a thousandth of it."""
LIMIT = 64
AGENT = ClaudeCode()
CASES = [Claude.success, *([Claude.structured] if Claude.structured else []), *Claude.failures]
WHOLE = (Claude.success.stdout + claude.refused("no", "server_error", 500)).encode()

seeds = st.integers(0, 1 << 32)
pieces = st.one_of(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xe4\xb8\x96", b"{}", b" ", b"x" * LIMIT]),
    st.binary(max_size=2 * LIMIT),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@given(st.lists(pieces, max_size=30).map(b"".join), seeds, st.integers(0, 3))
def test_lines_are_the_same_whatever_chunks_they_come_in(data: bytes, seed: int, least: int) -> None:
    lines = Lines(LIMIT + least)
    heard = [line for chunk in in_chunks(data, Random(seed)) for line in lines.feed(chunk)]
    heard += lines.end()
    assert heard == plain_lines(data, LIMIT + least)
    assert lines.dropped == sum(len(piece) > LIMIT + least for piece in data.split(b"\n"))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
).filter(lambda value: isinstance(value, dict)), st.booleans())  # fmt: skip
def test_an_object_that_is_written_as_a_line_is_read_as_it_was(value: object, is_ascii: bool) -> None:
    assert event_in(json.dumps(value, ensure_ascii=is_ascii)) == value


@given(seeds)
def test_a_stream_comes_to_the_same_in_any_chunks(seed: int) -> None:
    whole = folded(AGENT, [WHOLE])
    assert str(folded(AGENT, in_chunks(WHOLE, Random(seed)))) == str(whole)


@given(st.lists(st.sampled_from(NOISE), min_size=1), st.sampled_from(CASES), seeds)
def test_noise_between_the_events_changes_nothing(noise: list[str], case: Case, seed: int) -> None:
    random, lines = Random(seed), case.stdout.splitlines(keepends=True)
    noisy = ""
    for event in lines:
        some = random.sample(noise, random.randint(0, len(noise)))
        noisy += "".join(f"{one}\n" for one in some) + event
    plain, _ = folded(AGENT, [case.stdout.encode()], case.status, case.stderr, **case.asks)
    outcome, _ = folded(AGENT, [noisy.encode()], case.status, case.stderr, **case.asks)
    if isinstance(plain, AgentReply):
        assert outcome == plain
    else:
        assert (type(outcome), outcome.details) == (type(plain), plain.details)  # type: ignore[union-attr]


def test_a_damaged_stream_gives_an_answer_or_an_agents_error() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for seed in range(STREAMS):
        random = Random(seed)
        case = random.choice(CASES)
        data = spoiled(case.stdout.encode(), random)
        status, chunks = random.choice(STATUSES), in_chunks(data, random)
        begun = time.perf_counter()
        outcome, events = folded(AGENT, chunks, status, case.stderr, schema=random.choice((None, Answer)))
        took = time.perf_counter() - begun
        slowest = max(slowest, took)
        assert took < LONGEST_S, f"seed {seed}: {took} s"
        assert faults(outcome, events) == [], f"seed {seed}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{STREAMS} streams, the slowest took {slowest:.3f} s, {grown:.0f} MB more at the peak")
    assert grown < 100
