"""What agents have said, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from smithers.ids import NodeKey
from smithers.observe.chat import (
    PROMPT_LINES,
    SLACK_MS,
    ChatText,
    Choice,
    entry_document,
    latest_pass,
    of_run,
    plain,
    usage_text,
)
from smithers.observe.silence import why_silent
from smithers.records import AttemptState, RunState
from smithers.records.cache import Lookup
from smithers.records.transcript import Conversation, EntryKind, EntryRow
from tests.unit.observe.rows import BEGAN, Story

KEY = NodeKey("draft", "", 1)


def conversation(attempt: int = 1, key: NodeKey = KEY, id: int = 1, generation: int = 0) -> Conversation:
    return Conversation(1, key, generation, attempt, "codex", BEGAN + 1000, id)


class Screen:
    """What is printed, entry after entry."""

    def __init__(self, *, is_full: bool = False) -> None:
        self._text = ChatText(Story().run, str, is_full=is_full)
        self._ids = count(1)
        self.printed = ""
        self.tones: list[str | None] = []

    def add(
        self, kind: EntryKind, text: str = "", of: Conversation | None = None, turn: int = 0, **data: Any
    ) -> Screen:
        number = next(self._ids)
        of = of or conversation()
        row = EntryRow(
            number, of.id, number, turn, kind, BEGAN + 1000 * number, text, json.dumps(data) if data else ""
        )
        self._take(self._text.pieces(row, of))
        return self

    def end(self) -> Screen:
        self._take(self._text.cost())
        return self

    def _take(self, pieces: Any) -> None:
        for text, tone, is_open in pieces:
            self.printed += text if is_open else f"{text}\n"
            self.tones.append(tone)

    @property
    def lines(self) -> list[str]:
        """Without the head."""
        return self.printed.splitlines()[1:]


def test_a_conversation_reads_from_its_head_to_its_end() -> None:
    screen = Screen()
    screen.add(EntryKind.PROMPT, "Draft it.\n")
    screen.add(EntryKind.SESSION, "s-1")
    screen.add(EntryKind.TEXT, "I look\nat it.")
    screen.add(EntryKind.TOOL_CALL, '{"path":"a\\nb"}', id="c", name="Read")
    screen.add(EntryKind.TOOL_RESULT, "one\ntwo\n", id="c")
    screen.add(EntryKind.TOOL_RESULT, "", id="d", is_error=True)
    screen.add(EntryKind.RETRY, "429", reason="throttle", attempt=2, delay_s=90)
    screen.add(EntryKind.NOTICE, "denied")
    screen.add(EntryKind.LEFT_OUT, why="queue", events=3, characters=1200)
    screen.add(EntryKind.USAGE, input_tokens=1, output_tokens=1)
    screen.add(EntryKind.USAGE, input_tokens=12_345, cache_read_tokens=10_000, output_tokens=456)
    screen.add(EntryKind.REPLY, "The answer.")
    screen.add(EntryKind.PROMPT, "Again.", turn=1)
    screen.add(EntryKind.ERROR, "used\nup", code="AGENT_QUOTA", turn=1)
    screen.end()
    assert screen.printed.startswith("draft[1] attempt 1, codex, 2")
    assert screen.lines == [
        "+00:01.000 asked",
        "    Draft it.",
        "+00:02.000 session s-1",
        "+00:03.000 says",
        "    I look",
        "    at it.",
        '+00:04.000 calls Read {"path":"a\\nb"}',
        "+00:05.000 Read answered",
        "    one",
        "    two",
        "+00:06.000 a tool failed",
        "",
        "+00:07.000 tries again: throttle, 429, try 2, in 1m 30s",
        "+00:08.000 notice",
        "    denied",
        "+00:09.000 left out: 3 events, 1,200 characters; it came faster than it could be written",
        "+00:12.000 answered",
        "    12,345 tokens in (10,000 cached), 456 out",
        "    The answer.",
        "+00:13.000 asked again (1)",
        "    Again.",
        "+00:14.000 failed: [AGENT_QUOTA] used up",
    ]


def test_texts_that_follow_one_another_read_as_one() -> None:
    screen = Screen()
    for text in ("I lo", "ok\n\n", "at", " it.\n"):
        screen.add(EntryKind.TEXT, text)
    screen.add(EntryKind.REASONING, "hm")
    screen.add(EntryKind.TEXT, "done")
    screen.end()
    assert screen.lines == [
        "+00:01.000 says",
        "    I look",
        "    ",
        "    at it.",
        "+00:05.000 thinks",
        "    hm",
        "+00:06.000 says",
        "    done",
    ]


def test_conversations_are_set_apart_and_named_again_when_they_alternate() -> None:
    screen = Screen()
    other = conversation(2, NodeKey("review"), id=2, generation=3)
    screen.add(EntryKind.TEXT, "a").add(EntryKind.TEXT, "b", of=other).add(EntryKind.TEXT, "c").end()
    heads = [line.partition(", 2")[0] for line in screen.printed.splitlines() if "attempt" in line]
    assert heads == [
        "draft[1] attempt 1, codex",
        "review attempt 2 (generation 3), codex",
        "draft[1] attempt 1, codex",
    ]
    assert screen.printed.count("\n\n") == 2


def test_an_answer_that_was_said_already_is_not_repeated() -> None:
    screen = Screen()
    screen.add(EntryKind.TEXT, "The ans").add(EntryKind.TEXT, "wer.\n").add(EntryKind.REPLY, "The answer.")
    assert screen.lines[-1] == "+00:03.000 answered"


def test_long_prompts_and_results_are_folded_unless_all_is_asked_for() -> None:
    text = "\n".join(map(str, range(30)))
    screen = Screen().add(EntryKind.PROMPT, text)
    assert screen.lines[1:] == [*(f"    {n}" for n in range(PROMPT_LINES)), "    … 20 more lines: --full"]
    assert Screen(is_full=True).add(EntryKind.PROMPT, text).lines[1:] == [f"    {n}" for n in range(30)]
    # One line more is shown: the note would take as much room.
    nearly = "\n".join("x" * (PROMPT_LINES + 1))
    assert len(Screen().add(EntryKind.PROMPT, nearly).lines) == PROMPT_LINES + 2


def test_what_a_turn_that_goes_on_has_cost_is_told_at_the_end() -> None:
    screen = (
        Screen().add(EntryKind.TEXT, "a").add(EntryKind.USAGE, cost_usd=0.5, cost_source="prices", model="m")
    )
    assert screen.end().lines[-1] == "    so far: about $0.5000, m"
    assert screen.end().lines[-1] == "    so far: about $0.5000, m"
    assert usage_text({}) == ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain ünï 👩‍🚀", "plain ünï 👩‍🚀"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y", "xy"),
        ("\x1b[2J\x1b[1;1Hx\x1bcy\x1b(B", "xy"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("a\r\nb\rc\nd", "a\nc\nd"),
        ("10%\r20%\r", "20%"),
        ("bell\x07 back\x08 nul\x00 del\x7f c1\x9b31m", "bell  back  nul  del  c1 31m"),
        ("right\u202eto left", "right to left"),
        ("a\tb", "a    b"),
        ("\x1b", " "),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, wanted: str) -> None:
    assert plain(text) == wanted


def test_escape_sequences_reach_no_line_of_the_screen() -> None:
    evil = "\x1b]0;x\x07\x9b2J\x1b[31m"
    of = Conversation(1, KEY, 0, 1, evil, BEGAN, 1)
    screen = Screen(is_full=True)
    for kind in EntryKind:
        screen.add(kind, evil, of=of, id=evil, name=evil, reason=evil, code=evil, model=evil, why=evil)
    assert not set(screen.end().printed) & {"\x1b", "\x9b", "\x07"}


def test_a_line_of_json_has_all_its_fields() -> None:
    row = EntryRow(5, 1, 3, 0, EntryKind.TOOL_CALL, BEGAN, '{"a":[1]}', '{"id":"c","name":"T"}')
    assert entry_document(row, conversation(2), "r1") == {
        "run": "r1", "node": "draft", "scope": "", "iteration": 1, "generation": 0, "attempt": 2,
        "agent": "codex", "turn": 0, "serial": 3, "at": "2026-01-01T00:00:00.000Z", "kind": "tool-call",
        "text": "", "data": {"id": "c", "name": "T", "input": {"a": [1]}},
    }  # fmt: skip
    cut = row._replace(text='{"a":"…')
    assert entry_document(cut, conversation(), "r1")["data"]["input"] == '{"a":"…'
    said = row._replace(kind=EntryKind.TEXT, text="x", data="")
    assert (
        entry_document(said, conversation(), "r1")["text"],
        entry_document(said, conversation(), "r1")["data"],
    ) == (
        "x",
        None,
    )


# --- Which -------------------------------------------------------------------------------------


def test_a_choice_is_by_node_pass_attempt_and_beginning() -> None:
    one = conversation(2, id=5)
    assert Choice().fits(one)
    assert Choice(frozenset({"draft"}), KEY, 2, 5).fits(one)
    for other in (
        Choice(frozenset({"review"})),
        Choice(key=NodeKey("draft")),
        Choice(attempt=1),
        Choice(first=6),
    ):
        assert not other.fits(one)


def test_a_task_in_a_loop_means_its_latest_pass_that_was_talked_in() -> None:
    passes = [NodeKey("draft", "", number) for number in range(3)]
    found = [
        conversation(1, passes[0], 1),
        conversation(1, passes[1], 2),
        conversation(1, NodeKey("review"), 3),
        conversation(2, passes[1], 4),
    ]
    choice = latest_pass("draft", found)
    assert [one.id for one in found if choice.fits(one)] == [2, 4]
    assert choice.fits(conversation(1, passes[2], 5))
    assert latest_pass("lint", found).fits(conversation(1, NodeKey("lint"), 6))


def test_conversations_of_a_run_of_an_earlier_store_are_none_of_this_one() -> None:
    run = Story(created=3600).run
    old, ours = conversation(), conversation()
    ours.began_ms = run.created_ms - SLACK_MS + 1
    assert of_run(run, [old, ours]) == [ours]


# --- Why there is nothing ----------------------------------------------------------------------


def story(**options: Any) -> Story:
    found = Story(**options)
    found.mount("main", kind="sequence")
    found.mount("draft", "main")
    found.mount("lint", "main")
    return found


@pytest.mark.parametrize(
    ("node", "state", "file", "wanted"),
    [
        (None, RunState.RUNNING, None, "no agent has been called for swift-otter-3f2 yet"),
        ("lint", RunState.FINISHED, "t.db", "no agent has been called for lint of swift-otter-3f2"),
    ],
)
def test_it_says_that_no_agent_was_called(
    node: str | None, state: RunState, file: str | None, wanted: str
) -> None:
    told = story(state=state)
    told.finish("lint")
    assert why_silent(told.snapshot(), node, file) == wanted


def test_it_says_whether_the_file_is_gone_or_holds_nothing_of_it() -> None:
    told = story()
    told.attempt("draft", AttemptState.RUNNING, agent="codex")
    assert why_silent(told.snapshot(), "main", None).endswith(
        "no file of transcripts, and rehearsals write none"
    )
    assert "t.db was not written then, or had to make room" in why_silent(told.snapshot(), None, "t.db")


def test_it_says_that_the_cache_had_it() -> None:
    told = story()
    told.attempt("draft", AttemptState.FINISHED, 0, 1, agent="codex")
    told.attempts[0] = told.attempts[0]._replace(lookup=Lookup("hit"))
    assert why_silent(told.snapshot(), "draft", None).endswith("its outputs came from the cache")


def test_it_says_that_a_rehearsal_is_not_recorded() -> None:
    told = story()
    told.attempt("draft", AttemptState.FINISHED, 0, 1, agent="rehearsal")
    snapshot = replace(told.snapshot(), run=replace(told.run, config={"rehearse": True}))
    assert why_silent(snapshot, None, None).endswith("it is a rehearsal")
