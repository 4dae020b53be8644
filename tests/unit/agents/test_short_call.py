"""Small questions to programs that may do anything."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from smithers.agents.short_call import LIMIT_BYTES, Answer, ShortCalls
from tests.unit.process.family import lives, until

ENV = dict(os.environ)
PATIENCE_S = 20.0


def ask(script: str, patience_s: float = PATIENCE_S) -> Answer:
    with ShortCalls(patience_s) as calls:
        return calls.ask(["/bin/sh", "-c", script], ENV)


def test_an_answer_has_both_streams_and_the_way_it_left() -> None:
    found = ask("echo out; echo err >&2; exit 3")
    assert found == Answer("out\n", "err\n", 3)
    assert found.text == "out"
    assert ask("echo err >&2").text == "err"


def test_a_program_has_no_input_to_wait_for() -> None:
    assert ask("cat; echo done").stdout == "done\n"


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    began = time.monotonic()
    found = ask(f"trap '' TERM; sleep 600 & echo $$ $! >{pids}; echo half; wait", patience_s=0.5)
    assert (found.problem, found.status, found.stdout) == ("late", None, "half\n")
    assert time.monotonic() - began < 5
    until(lambda: not any(lives(int(pid)) for pid in pids.read_text().split()))


def test_calls_share_one_deadline() -> None:
    began = time.monotonic()
    with ShortCalls(0.5) as calls:
        answers = [calls.ask(["/bin/sh", "-c", "sleep 600"], ENV) for _ in range(3)]
    assert [one.problem for one in answers] == ["late"] * 3
    assert time.monotonic() - began < 1.5


def test_a_program_that_prints_without_end_is_ended() -> None:
    found = ask("yes")
    assert found.problem == "flood"
    assert len(found.stdout) == LIMIT_BYTES


def test_what_a_program_leaves_behind_does_not_hold_up_its_answer(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    found = ask(f"sleep 600 & echo $! >{pid}; echo 1.2.3")
    left = int(pid.read_text())
    assert (found.status, found.stdout) == (0, "1.2.3\n")
    assert time.monotonic() - began < PATIENCE_S / 2
    assert lives(left)  # such as its own updater: it is not ours to end
    os.kill(left, 9)


def test_a_program_that_closes_its_output_first_is_waited_for() -> None:
    assert ask("echo 1; exec >&- 2>&-; sleep 0.3; exit 4") == Answer("1\n", "", 4)


def test_a_program_that_is_ended_by_a_signal_says_so() -> None:
    assert ask("kill -9 $$").status == -9


@pytest.mark.parametrize("content", [None, "not a program", "#!/nonesuch/interpreter\n"])
def test_what_does_not_start_is_an_answer_too(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "program"
    if content is not None:
        path.write_text(content)
        path.chmod(0o755)
    with ShortCalls(PATIENCE_S) as calls:
        found = calls.ask([str(path)], ENV)
    assert (found.problem, found.status) == ("unstarted", None)
    assert found.stderr != ""


def test_leaving_ends_what_other_threads_still_ask() -> None:
    answers: list[Answer] = []
    with ShortCalls(PATIENCE_S) as calls:
        thread = threading.Thread(target=lambda: answers.append(calls.ask(["sleep", "600"], ENV)))
        thread.start()
    thread.join(PATIENCE_S / 2)
    assert [one.problem for one in answers] == ["late"]
