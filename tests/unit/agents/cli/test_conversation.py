"""One call of a program: heard out under three clocks, and ended with all of its tree."""

from __future__ import annotations

import errno
import selectors
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smithers.agents.cli import Ending, Invocation
from smithers.agents.cli.conversation import Clocks, Conversation
from smithers.errors import AgentAuth, AgentError, AgentStalled, AgentTimeout
from smithers.ports import AgentEvent, Child, NoticeEvent, Program, TextEvent
from tests.contract.stage import Stage
from tests.unit.agents.cli.parrot import DONE, ParrotFold
from tests.unit.process.family import DEAF, until

SOON = Clocks(20, 20, 20)


class Talk:
    """A shell that is heard out; short of patience."""

    def __init__(self, stage: Stage, clocks: Clocks = SOON, emit: Any = None) -> None:
        self.stage = stage
        self.events: list[AgentEvent] = []
        self.fold = ParrotFold()
        self.conversation = Conversation(
            self.fold, clocks, emit or self.events.append, grace_s=0.2, leave_s=0.2
        )

    def start(self, code: str, stdin: bool = False) -> Child:
        program = Program(["sh", "-c", code], stdin="pipe" if stdin else "null", stderr="pipe")
        return self.stage.spawn(program)

    def run(self, code: str, stdin: str | None = None, **how: bool) -> Ending:
        try:
            child = self.start(code, stdin is not None)
            return self.conversation.run(child, Invocation((), {}, stdin, **how))
        finally:
            assert self.stage.survivors() == []
            assert all(one is None or one.closed for child in self.stage.children for one in streams(child))

    def fails(self, code: str) -> AgentError:
        with pytest.raises(AgentError) as caught:
            self.run(code)
        return caught.value

    @property
    def said(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextEvent))


def streams(child: Child) -> tuple[Any, ...]:
    return child.stdin, child.stdout, child.stderr


def test_what_it_says_is_told_at_once_and_how_it_left_at_the_end(stage: Stage) -> None:
    talk = Talk(stage)
    ending = talk.run("""echo '{"say":"a"}'; echo noise; echo why >&2; printf '{"say":"b"}'; exit 3""")
    assert (ending.exit.status, ending.stderr, ending.was_ended) == (3, "why\n", False)
    assert talk.said == "ab"
    assert NoticeEvent("noise") in talk.events


def test_what_it_is_told_arrives_and_ends(stage: Stage) -> None:
    talk = Talk(stage)
    talk.run("""read line; test -z "$(cat)" && printf '{"say":"%s"}' "$line" """, "ünïcödé \udcff\n")
    assert talk.said == "ünïcödé ?"


def test_an_empty_prompt_is_the_end_of_its_input(stage: Stage) -> None:
    talk = Talk(stage)
    talk.run("""cat; echo '{"say":"at the end"}'""", "")
    assert talk.said == "at the end"


def test_of_a_program_that_writes_text_no_line_is_an_event_and_empty_ones_are_kept(stage: Stage) -> None:
    talk = Talk(stage)
    talk.run("""printf 'a\\n\\n{"say":"x"}\\n\\nb'""", is_text=True)
    assert talk.events == [NoticeEvent(text) for text in ("a", "", '{"say":"x"}', "", "b")]


def test_what_it_says_of_trouble_is_heard_where_it_counts_but_is_no_sign_of_life(stage: Stage) -> None:
    talk = Talk(stage)
    ending = talk.run("""printf 'a\\n\\n{"say":"x"}' >&2""", hears_stderr=True)
    assert talk.events == [NoticeEvent("a"), NoticeEvent('{"say":"x"}')]
    assert ending.stderr == 'a\n\n{"say":"x"}'
    with pytest.raises(AgentStalled, match="did not begin"):
        Talk(stage, Clocks(0.3, 9, 9)).run("while :; do echo x >&2; sleep 0.05; done", hears_stderr=True)


@pytest.mark.parametrize(
    ("clocks", "code", "error", "says"),
    [
        (Clocks(0.2, 9, 9), "exec sleep 9", AgentStalled, "did not begin within 0.2 s"),
        (Clocks(0.3, 9, 9), "echo why >&2; exec sleep 9", AgentStalled, "its last words: why"),
        (Clocks(9, 0.2, 9), "echo x; exec sleep 9", AgentStalled, "no sign of life for 0.2 s"),
        (Clocks(9, 9, 0.3), "while :; do echo x; done", AgentTimeout, "longer than 0.3 s"),
        (Clocks(None, None, 0.2), "exec sleep 9", AgentTimeout, "longer than 0.2 s"),
        (Clocks(9, 0.2, 9), DEAF + "echo x; sleep 9", AgentStalled, "no sign of life"),
        (Clocks(9, 0.2, 9), "(setsid sleep 9 &) ; echo x; exec sleep 9", AgentStalled, "no sign of life"),
    ],
)
def test_a_clock_that_runs_out_ends_it(
    stage: Stage, clocks: Clocks, code: str, error: type[AgentError], says: str
) -> None:
    talk = Talk(stage, clocks)
    found = talk.fails(code)
    assert type(found) is error
    assert says in found.message
    assert talk.events[-1] == NoticeEvent(f"ended: {found.message}")


def test_without_clocks_it_may_take_its_time(stage: Stage) -> None:
    assert Talk(stage, Clocks()).run("sleep 0.2").exit.status == 0


def test_a_fold_that_knows_that_all_is_lost_ends_it(stage: Stage) -> None:
    talk = Talk(stage)
    found = talk.fails("""echo '{"denied":"no key"}'; echo '{"say":"more"}'; exec sleep 9""")
    assert isinstance(found, AgentAuth)
    assert talk.said == ""


@pytest.mark.parametrize("code", [DONE + "; exec sleep 9", DONE + "; exec >&- ; exec sleep 9"])
def test_after_its_last_word_it_may_not_stay(stage: Stage, code: str) -> None:
    ending = Talk(stage).run(code)
    assert ending.was_ended


def test_with_its_output_closed_it_may_not_stay(stage: Stage) -> None:
    assert Talk(stage).run("exec >&-; exec sleep 9").was_ended


def test_after_its_last_word_it_leaves_by_itself_with_what_it_has_to_say(stage: Stage) -> None:
    talk = Talk(stage)
    ending = talk.run(DONE + """; sleep 0.05; echo '{"say":"late"}'; exit 4""")
    assert (talk.said, ending.exit.status, ending.was_ended) == ("late", 4, False)


def test_it_is_ended_by_whoever_stops_it(stage: Stage) -> None:
    talk = Talk(stage)
    child = talk.start("echo x; exec sleep 9")
    threading.Thread(target=lambda: (until(lambda: bool(talk.events)), talk.conversation.stop())).start()
    ending = talk.conversation.run(child, Invocation((), {}))
    assert ending.was_ended
    talk.conversation.stop()  # late, and again


def test_it_is_ended_if_it_was_stopped_before_it_began(stage: Stage) -> None:
    talk = Talk(stage)
    talk.conversation.stop()
    assert talk.run("exec sleep 9").was_ended


def test_an_ear_that_fails_ends_it(stage: Stage) -> None:
    def emit(event: AgentEvent) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        Talk(stage, emit=emit).run("echo x; (setsid sleep 9 &) ; exec sleep 9")


def test_it_is_ended_where_there_is_no_descriptor_to_hear_it_by(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", full)
    with pytest.raises(OSError, match="Too many open files"):
        Talk(stage).run("exec sleep 9")


def test_neither_descriptors_nor_threads_pile_up(stage: Stage) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    calls: list[Callable[[], object]] = [
        lambda: Talk(stage).run(DONE, "x" * 200_000),
        lambda: Talk(stage, Clocks(0.05)).fails("exec sleep 9"),
        lambda: Talk(stage).fails("""echo '{"denied":"x"}'"""),
        lambda: Talk(stage).run("exit 1"),
    ]
    for call in calls:
        call()
    before = held()
    for _ in range(5):
        for call in calls:
            call()
    assert held() == before
