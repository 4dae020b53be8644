"""What the live tree shows, and that it stays within its screen."""

from __future__ import annotations

import io
import random
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from smithers.cli.display import PlainDisplay
from smithers.cli.layout import Layout, Line
from smithers.cli.painter import Painter
from smithers.cli.progress import Progress
from smithers.ids import NodeKey
from smithers.records import EventType
from tests.unit.cli.frames import (
    FAILED,
    FINISHED,
    RETRYING,
    SKIPPED,
    STARTED,
    Teller,
    Tree,
    group,
    loop,
    parallel,
    task,
    tasks,
    tolerate,
)

NOW = 61_000
"""A minute after the first frame."""


def told() -> Teller:
    return Teller(Progress())


def lines(teller: Teller, room: int = 22, **more: Any) -> list[Line]:
    return Layout(teller.progress, NOW, **more).lines(room)


def shown(teller: Teller, room: int = 22, width: int = 80) -> list[str]:
    return [text.plain for text in Painter().paint(lines(teller, room), width)]


def fan_out(count: int = 1_000, running: int = 16, finished: int = 940) -> Teller:
    teller = told()
    teller.mount(
        {"plan": task(), "files": parallel(tasks(*(f"file:{i}" for i in range(count)))), "end": task()}
    )
    teller.tell((STARTED, "plan"), (FINISHED, "plan"))
    for i in range(finished):
        teller.tell((STARTED, f"file:{i}"), (FINISHED, f"file:{i}"))
    teller.tell(*((STARTED, f"file:{i}") for i in range(finished, finished + running)))
    return teller


def test_a_small_tree_is_shown_whole_in_document_order() -> None:
    teller = told()
    teller.mount({"plan": task(), "files": parallel(tasks("a", "b")), "again": loop(tasks("c"))})
    teller.tell((STARTED, "plan"), (FINISHED, "plan"), (STARTED, "a"))
    assert shown(teller) == [
        "✓ plan    finished     0ms",
        "┬ files   0/2",
        "◐   a     running       1m",
        "○   b     pending",
        "↻ again   pass 1 of 3",
        "○   c[0]  pending",
    ]


def test_a_thousand_tasks_stay_within_the_screen_and_all_are_accounted_for() -> None:
    found = [line.name or line.state for line in lines(fan_out(running=4))]
    assert found == [
        "plan", "files", "… 937 finished", "file:937", "file:938", "file:939", "file:940", "file:941",
        "file:942", "file:943", "file:944", "file:945", "file:946", "… 53 pending", "end",
    ]  # fmt: skip


def test_what_runs_and_what_failed_comes_before_what_finished_and_what_is_to_come() -> None:
    teller = fan_out(running=12)
    teller.tell((FAILED, "file:941", 1, {"message": "no"}), settled=[tolerate("file:941")])
    found = lines(teller, room=20)
    assert len(found) <= 20
    assert sum(line.state == "running" for line in found) == 11
    assert [line.name for line in found if line.state == "failed"] == ["file:941"]
    assert sum(line.state == "finished" for line in found[2:]) <= 3


def test_more_running_tasks_than_lines_are_counted() -> None:
    found = lines(fan_out(running=50), room=10)
    assert len(found) <= 10
    hidden = next(line.name for line in found if "running" in line.name)
    seen = sum(line.state == "running" for line in found)
    assert hidden.startswith(f"… {50 - seen} running")


def test_a_screen_of_many_tasks_is_drawn_without_a_walk_over_them() -> None:
    teller = fan_out(10_000)

    class Untouchable(dict[str, Any]):
        def values(self) -> Any:
            raise AssertionError("all children were looked at")

    group = teller.group("files")
    group.children = Untouchable(group.children)
    assert len(lines(teller)) <= 22


def test_a_container_that_has_finished_is_one_line_where_not_all_fits() -> None:
    teller = told()
    teller.mount(
        {"first": parallel(tasks(*(f"a{i}" for i in range(30)))), "second": parallel(tasks("b", "c"))}
    )
    for i in range(30):
        teller.tell((STARTED, f"a{i}"), (FINISHED, f"a{i}"))
    teller.tell((STARTED, "b"))
    assert [line.name for line in lines(teller)] == ["first", "second", "b", "c"]


def test_a_folded_container_says_how_many_run_and_failed() -> None:
    teller = told()
    teller.mount({f"p{i}": parallel(tasks(*(f"{i}.{j}" for j in range(9)))) for i in range(9)})
    teller.tell(*((STARTED, f"{i}.{j}") for i in range(9) for j in (0, 1)))
    teller.tell(*((FAILED, f"{i}.0", 1) for i in range(9)), settled=[tolerate(f"{i}.0") for i in range(9)])
    folded = [line for line in lines(teller, 9) if line.state == "1/9"]
    assert {line.note for line in folded} == {"1 running, 1 failed"}


def test_sequences_side_by_side_show_the_step_each_is_at() -> None:
    teller = told()
    teller.mount(
        {"all": parallel({f"s{i}": group("sequence", tasks(f"get:{i}", f"put:{i}")) for i in range(100)})}
    )
    teller.tell((STARTED, "get:7"), (FINISHED, "get:7"), (STARTED, "put:7"), (STARTED, "get:8"))
    found = [line.name for line in lines(teller, 10)]
    assert "put:7" in found
    assert "get:8" in found


def test_a_retry_counts_down_and_says_why() -> None:
    teller = told()
    teller.mount(tasks("fetch"))
    teller.tell((STARTED, "fetch"))
    teller.tell((RETRYING, "fetch", 1, {"message": "refused", "delay_ms": 65_000}))
    (line,) = lines(teller)
    assert (line.state, line.note) == ("waiting", "attempt 2 in 5s: refused")
    (line,) = lines(teller, is_over=True)
    assert line.note == "attempt 2 when resumed: refused"


def test_a_running_task_that_left_the_tree_is_still_shown() -> None:
    teller = told()
    teller.mount(tasks("a", "b"))
    teller.tell((STARTED, "a"))
    teller.tell(unmounted=["a"])
    assert [line.name for line in lines(teller)] == ["b", "a (left the tree)"]


@pytest.mark.parametrize("width", [20, 33, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    teller = told()
    names = [f"{'long' * 12}-{i}" for i in range(40)]
    teller.mount({"a-container-with-a-long-name": parallel(tasks(*names))})
    teller.tell((STARTED, names[3]))
    teller.tell((RETRYING, names[3], 1, {"message": "日本語 " * 30, "delay_ms": 100}))
    found = Painter().paint(lines(teller), width)
    assert all(cell_len(text.plain) <= width for text in found)
    assert any("long" in text.plain for text in found)


def test_columns_never_shrink_while_a_run_goes_on() -> None:
    painter = Painter()
    wide = Line(0, "✓", "a-rather-long-name", "finished", "1.5s")
    painter.paint([wide], 80)
    (text,) = painter.paint([Line(0, "◐", "b", "running", "3s")], 80)
    assert text.plain.index("running") == painter.paint([wide], 80)[0].plain.index("finished")


def test_control_characters_of_names_and_messages_never_reach_the_screen() -> None:
    teller = told()
    teller.mount({"a": task(label="bad\x1b[2Jlabel\r\n")})
    teller.tell((STARTED, "a"))
    teller.tell((FAILED, "a", 1, {"message": "\x1b]0;title\x07x"}))
    assert all(character.isprintable() for text in shown(teller) for character in text)


@pytest.mark.parametrize("seed", range(30))
def test_any_tree_at_any_moment_stays_within_its_room_and_the_whole_has_every_task(seed: int) -> None:
    chance = random.Random(seed)
    teller = told()
    leaves: list[str] = []

    def grow(name: str, depth: int) -> Tree:
        made: dict[str, Any] = {}
        for index in range(chance.randint(1, 8)):
            node = f"{name}.{index}"
            kind = chance.choice(["task", "task", "parallel", "sequence"]) if depth < 3 else "task"
            made[node] = group(kind, grow(node, depth + 1)) if kind != "task" else task()
            leaves.extend([node] if kind == "task" else [])
        return made

    teller.mount({"all": parallel(grow("n", 0))})
    for name in leaves:
        state = chance.choice([None, STARTED, FINISHED, RETRYING, FAILED, SKIPPED])
        if state is not None:
            teller.tell((STARTED, name))
        if state not in (None, STARTED):
            teller.tell((state, name, 1, {"message": "x", "delay_ms": 5}))
    assert all(len(lines(teller, room)) <= room for room in range(1, 40))
    whole = [line.name for line in lines(teller, 10_000)]
    assert [name for name in whole if name in leaves] == leaves


# --- Plain lines ----------------------------------------------------------------------------------


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


def plain() -> tuple[PlainDisplay, Teller, Ticking]:
    """A plain display, who tells it what happens, and its clock."""
    progress, clock = Progress(), Ticking()
    display = PlainDisplay(progress, clock)
    return display, Teller(progress, display.frame), clock


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on stderr since the last look, without their clock."""
    out, err = capsys.readouterr()
    assert out == ""
    return [line[9:] for line in err.splitlines()]


def test_plain_lines_tell_every_event_that_is_worth_one(capsys: pytest.CaptureFixture[str]) -> None:
    _, teller, _ = plain()
    teller.mount({"again": loop(tasks("a", "b"))})
    teller.tell((STARTED, "a"))
    teller.at_ms += 1_230
    teller.tell((FINISHED, "a"), (SKIPPED, "b", 0, {"reason": "skip_if"}))
    teller.tell((EventType.PASS_ENDED, "again", 0, {"pass": 0, "verdict": "next"}))
    teller.tell((STARTED, NodeKey("a", "", 1)))
    teller.tell((RETRYING, NodeKey("a", "", 1), 1, {"message": "refused\nagain", "delay_ms": 1500}))
    teller.tell((EventType.LOOP_DONE, "again", 0, {"pass": 1, "verdict": "max_reached"}))
    teller.tell((EventType.RUN_WARNING, "b", 0, {"message": "waits for x"}))
    assert said(capsys) == [
        "◐ a[0]",
        "✓ a[0] 1.2 s",
        "» b[0] skipped: skip_if",
        "↻ again pass 1 of 3 ended",
        "◐ a[1]",
        "◷ a[1] attempt 1 failed, next in 1.5 s: refused",
        "↻ again reached its limit of 2 passes",
        "! b[0] waits for x",
    ]


def test_a_long_silence_is_broken_by_a_line_that_names_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    display, teller, clock = plain()
    teller.mount(tasks("a", "b", "c", "d", "e"))
    teller.tell(*((STARTED, name) for name in "abcde"))
    said(capsys)
    clock.ms += 9_999
    display.tick()
    assert said(capsys) == []
    clock.ms += 1
    display.tick()
    display.tick()
    assert said(capsys) == ["… 0/5 settled · 5 running · still running: a 00:10, b 00:10, c 00:10 and 2 more"]
    clock.ms += 10_000
    display.tick()
    assert len(said(capsys)) == 1


def test_nothing_is_said_of_a_silence_in_which_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    display, teller, clock = plain()
    teller.mount(tasks("a"))
    clock.ms += 60_000
    display.tick()
    assert said(capsys) == []


def test_a_reader_that_left_ends_the_lines_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise BrokenPipeError

    left = Left()
    monkeypatch.setattr(sys, "stderr", left)
    _, teller, _ = plain()
    teller.mount(tasks("a"))
    teller.tell((STARTED, "a"))
    teller.tell((FINISHED, "a"))
    assert left.writes == 1
