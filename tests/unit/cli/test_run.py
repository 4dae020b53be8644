"""Errors, exit codes and output of one command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from smithers.cli import failure, group
from smithers.cli.run import run
from smithers.errors import (
    AuthoringError,
    InputError,
    Place,
    RunNotFound,
    SmithersError,
    StoreFull,
    TaskFailed,
)


@click.command()
@click.option("--json", "is_json", is_flag=True)
def broken(is_json: bool) -> None:
    """Raise whatever the test put into `THROWN`."""
    raise THROWN[0]


THROWN: list[BaseException] = []


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """A command `broken` that raises what is put into this list."""
    entry = group.Entry(f"{__name__}:broken", "Break.")
    monkeypatch.setattr(group, "COMMANDS", {**group.COMMANDS, "broken": entry})
    monkeypatch.setattr(group, "import_module", lambda name: type("Module", (), {"broken": broken}))
    yield THROWN
    THROWN.clear()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunNotFound("no run"), 4),
        (AuthoringError("bad tree"), 4),
        (InputError("bad input"), 4),
        (StoreFull("disk full"), 1),
        (TaskFailed("boom"), 1),
        (SmithersError("other"), 1),
    ],
)
def test_what_was_refused_leaves_with_4_and_what_failed_with_1(
    raising: list[BaseException], error: SmithersError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(error)
    assert run(["broken"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"[{error.code}] {error.message}", f"  hint: {error.hint}"]


def test_an_error_names_the_place_in_the_workflow(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(AuthoringError("bad tree", place=Place("flow.py", 7)))
    run(["broken"])
    assert capsys.readouterr().err.splitlines()[0] == "[AUTHORING] bad tree (flow.py:7)"


def test_with_json_an_error_is_json_on_stdout_as_well(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(RunNotFound("no run 'x'", hint="look", runs=["y"]))
    assert run(["broken", "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "status": "error",
        "error": {
            "code": "RUN_NOT_FOUND",
            "message": "no run 'x'",
            "hint": "look",
            "details": {"runs": ["y"]},
        },
    }
    assert err.startswith("[RUN_NOT_FOUND]")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pss"], "No such command 'pss'. Did you mean 'ps'?"),
        (["ps", "--nope"], "No such option '--nope'."),
        (["why"], "Missing argument 'RUN'."),
        (["ps", "-n", "0"], "Invalid value for '-n'"),
        (["--nope"], "No such option '--nope'."),
    ],
)
def test_wrong_usage_leaves_with_4_in_the_same_two_lines(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 4
    head, hint = capsys.readouterr().err.splitlines()
    assert head.startswith(f"[USAGE] {message}")
    assert hint.startswith("  hint: see `smithers ")


def test_wrong_usage_is_json_too_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ps", "--json", "--nope"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "USAGE"


def test_json_after_two_dashes_is_an_argument_and_not_the_option() -> None:
    assert failure.wants_json(["ps", "--json"])
    assert not failure.wants_json(["inspect", "--", "--json"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_leaves_with_130_and_says_nothing(
    raising: list[BaseException], error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(error)
    assert run(["broken"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_ours_shows_its_trace_and_asks_for_a_report(
    raising: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    raising.append(ZeroDivisionError("oh"))
    assert run(["broken"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "[BUG] ZeroDivisionError: oh\n  hint: this is our fault" in err


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_without_a_command_the_help_is_printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capsys.readouterr().out.startswith("Usage: smithers")


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"smithers {version('smithers-orchestrator')}\n"
