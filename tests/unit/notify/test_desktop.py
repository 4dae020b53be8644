"""The desktop's own notices."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from smithers.errors import NotDelivered
from smithers.notify.desktop import Desktop
from tests.unit.notify.stage import letter


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH but the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, line: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(("platform", "name"), [("linux", "notify-send"), ("darwin", "osascript")])
def test_title_and_summary_are_arguments_and_no_part_of_a_script(
    programs: Path, platform: str, name: str
) -> None:
    said = programs / "said"
    program(programs, name, f'for one in "$@"; do echo "$one"; done > {said}')
    Desktop(platform).send(letter(title='-r1" & do', summary="a\nb"), Event())
    lines = said.read_text().splitlines()
    assert lines[-3:] == ['-r1" & do', "a", "b"]


def test_a_summary_is_no_markup(programs: Path) -> None:
    said = programs / "said"
    program(programs, "notify-send", f'echo "$4" > {said}')
    Desktop("linux").send(letter(summary="<b>&"), Event())
    assert said.read_text() == "&lt;b&gt;&amp;\n"


@pytest.mark.parametrize(("platform", "name"), [("linux", "notify-send"), ("darwin", "osascript")])
def test_a_machine_without_it_is_said(programs: Path, platform: str, name: str) -> None:
    with pytest.raises(NotDelivered, match=f"there is no {name} here"):
        Desktop(platform).send(letter(), Event())


def test_a_failure_and_a_broken_program_are_said(programs: Path) -> None:
    program(programs, "notify-send", "exit 1")
    with pytest.raises(NotDelivered, match="left with exit code 1; is there a desktop here"):
        Desktop("linux").send(letter(), Event())
    (programs / "notify-send").write_text("#!/no/such/shell\n")
    with pytest.raises(NotDelivered, match="could not be started"):
        Desktop("linux").send(letter(), Event())


def test_a_program_that_hangs_is_left(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "notify-send", "exec /bin/sleep 60")
    monkeypatch.setattr(Desktop, "limit_s", 0.2)
    with pytest.raises(NotDelivered, match="did not end"):
        Desktop("linux").send(letter(), Event())
