"""The project keeps its own books: error codes, generated pages, pins, scripts, the public names."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

import smithers
from smithers import errors
from smithers.errors import SmithersError

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SmithersError)
]
# Among these only: what else has been imported by now, such as a test's own error, must not matter.
LEAVES = [
    error for error in ERRORS if not any(issubclass(other, error) for other in ERRORS if other is not error)
]


# --- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_that_is_raised_has_a_code_of_its_own(error: type[SmithersError]) -> None:
    assert "code" in vars(error)
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", error.code)


def test_no_two_errors_share_a_code_unless_one_is_a_kind_of_the_other() -> None:
    clashes = [
        (one, other)
        for one, other in combinations(ERRORS, 2)
        if one.code == other.code and not issubclass(other, one) and not issubclass(one, other)
    ]
    assert clashes == []


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_says_in_one_line_what_to_do_next(error: type[SmithersError]) -> None:
    assert re.fullmatch(r"\S.*[^\s.]", error.default_hint)


@pytest.mark.parametrize("error", LEAVES)
def test_every_code_stands_in_the_reference(error: type[SmithersError]) -> None:
    assert f"| `{error.code}` | `{error.__name__}` |" in (ROOT / "docs/errors.md").read_text()


# --- Generated pages ----------------------------------------------------------------------------


def test_generated_pages_are_what_scripts_docs_would_write() -> None:
    generate = runpy.run_path(str(ROOT / "docs/generate.py"))
    assert generate["stale"](generate["pages"]()) == [], "run scripts/docs"


def test_a_stale_page_is_named_and_left_alone_by_check_and_written_otherwise(tmp_path: Path) -> None:
    copy = Path(shutil.copy(ROOT / "docs/generate.py", tmp_path))
    page = tmp_path / "errors.md"
    page.write_text("old")
    shutil.copy(ROOT / "docs/exit-codes.md", tmp_path)

    check = subprocess.run([sys.executable, copy, "--check"], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout, page.read_text()) == (1, "stale: docs/errors.md\n", "old")

    write = subprocess.run([sys.executable, copy], capture_output=True, text=True, check=False)
    assert (write.returncode, write.stdout) == (0, "wrote: docs/errors.md\n")
    assert page.read_text() == (ROOT / "docs/errors.md").read_text()


# --- Pins ---------------------------------------------------------------------------------------


def name_of(requirement: str) -> str:
    """The package of a requirement or pin, spelled the one way that all spellings fold into."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]).lower()


def test_constraints_hold_nothing_but_name_and_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pin = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.]*")
    assert [line for line in lines if not pin.fullmatch(line)] == []
    assert len({name_of(line) for line in lines}) == len(lines)


def test_everything_the_project_asks_for_is_pinned() -> None:
    pinned = {name_of(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    asked = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    assert {name_of(requirement) for requirement in asked} - pinned == set()


# --- Scripts ------------------------------------------------------------------------------------

SCRIPTS = sorted([*(ROOT / "scripts").iterdir(), ROOT / ".ci/run"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs_from_anywhere_and_stops_at_the_first_error(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert os.access(script, os.X_OK)
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    # CI goes on after a failed step, so that one run shows all that is wrong.
    assert lines[2] == ("set -uo pipefail" if script.name == "run" else "set -euo pipefail")
    assert lines[3].startswith('cd "$(dirname "$0")/.."')
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_any_script_can_be_the_first_one_on_a_fresh_clone(script: Path) -> None:
    commands = script.read_text().splitlines()[4:]
    assert script.name in ("setup", "run") or commands[0] == "scripts/setup"


# --- What users see -----------------------------------------------------------------------------


def test_the_changelog_has_a_place_for_the_next_line() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_the_public_names_are_those_of_the_front_page() -> None:
    if not hasattr(smithers, "__all__"):
        pytest.skip("the package has no public names yet")
    section = (ROOT / "docs/index.md").read_text().partition("## Public names\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(smithers.__all__)
    assert [name for name in listed if not hasattr(smithers, name)] == []
