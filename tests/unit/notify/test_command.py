"""The command that is told."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from threading import Event

import pytest

from smithers.errors import NotDelivered
from smithers.notify.command import Command
from tests.unit.notify.stage import letter


def test_it_reads_the_notice_and_knows_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMITHERS_ATTEMPT", "store:r0:task")
    Command(
        'cat > body; echo "$SMITHERS_NOTICE $SMITHERS_RUN ${SMITHERS_ATTEMPT-none}" > names', tmp_path
    ).send(letter(b'{"a": 1}'), Event())
    assert (tmp_path / "body").read_text() == '{"a": 1}'
    assert (tmp_path / "names").read_text() == "failed r1 none\n"


def test_words_are_no_line_for_a_shell(tmp_path: Path) -> None:
    Command(["touch", "a b; $HOME"], tmp_path).send(letter(), Event())
    assert [path.name for path in tmp_path.iterdir()] == ["a b; $HOME"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "the command left with exit code 3"),
        ("kill -9 $$", "the command was ended by signal 9"),
        (["no-such-program"], "the command could not be started: No such file or directory"),
        (["/"], "the command could not be started: Permission denied"),
    ],
)
def test_a_failure_is_said_without_a_word_of_its_output(
    tmp_path: Path, command: str | list[str], said: str
) -> None:
    with pytest.raises(NotDelivered) as caught:
        Command(command, tmp_path).send(letter(), Event())
    assert caught.value.message == said


def test_one_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    Command("true", tmp_path).send(letter(b"x" * 1_000_000), Event())


def test_one_that_leaves_something_running_has_ended(tmp_path: Path) -> None:
    begun = time.monotonic()
    Command("sleep 60 & echo $! > pid", tmp_path).send(letter(), Event())
    assert time.monotonic() - begun < 10
    os.kill(int((tmp_path / "pid").read_text()), 9)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_one_that_hangs_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    hangs = Command("sleep 60 & echo $! > pid; wait", tmp_path, limit_s=0.5)
    with pytest.raises(NotDelivered, match="did not end, and was killed after"):
        hangs.send(letter(), Event())
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        if not is_alive(pid):
            break
        time.sleep(0.01)
    assert not is_alive(pid)


def test_one_that_hangs_is_broken_off_when_there_is_no_time_left(tmp_path: Path) -> None:
    stop = Event()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(NotDelivered, match="as there was no time left"):
        Command("sleep 60", tmp_path).send(letter(), stop)
    assert time.monotonic() - begun < 10
