"""What the terminal can show."""

from __future__ import annotations

import io
import sys

import pytest

from smithers.cli import terminal
from smithers.records import NodeState, RunState


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_has_eighty_columns_and_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal.width() == 80
    assert terminal.style("failed", "red") == "failed"


def test_columns_of_the_environment_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    assert terminal.width() == 123


def test_a_screen_has_colours_unless_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.style("failed", "red") == "\x1b[31mfailed\x1b[0m"
    assert terminal.style("plain", None) == "plain"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.style("failed", "red") == "failed"


def test_every_state_has_a_colour_and_every_state_of_a_node_a_glyph_of_its_own() -> None:
    assert {state.word for state in RunState} <= terminal.STATE_COLOURS.keys()
    assert {state.word for state in NodeState} <= terminal.STATE_COLOURS.keys()
    assert terminal.GLYPHS.keys() == {state.word for state in NodeState}
    assert len(set(terminal.GLYPHS.values())) == len(NodeState)


def test_the_bell_rings_on_a_screen_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, pipe = Screen(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    terminal.bell()
    monkeypatch.setattr(sys, "stderr", pipe)
    terminal.bell()
    assert (screen.getvalue(), pipe.getvalue()) == ("\a", "")
