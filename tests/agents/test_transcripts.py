"""The recordings: whole, small, of the pinned versions, and of no one's machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.agents.case import cases_of
from tests.agents.installed import PROGRAMS, program
from tests.agents.transcript import FIXTURES, Transcript, cleaned, load, recorded

RECORDED = recorded()
IDS = ["-".join(each) for each in RECORDED]


def test_every_case_of_every_driven_program_is_recorded() -> None:
    driven = [each.name for each in PROGRAMS if each.name != "amp"]
    assert sorted((name, each.name) for name in driven for each in cases_of(name)) == RECORDED


@pytest.mark.parametrize(("name", "of"), RECORDED, ids=IDS)
def test_a_recording_is_of_the_pinned_version_and_of_no_one_s_machine(name: str, of: str) -> None:
    transcript = load(name, of)
    assert transcript.version == program(name).version
    everything = transcript.stdout + transcript.stderr + " ".join(transcript.argv)
    assert re.findall(r"/(?:root|Users|work)/|/home/(?!agent\b)\w+|sk-fake", everything) == []
    assert len(transcript.stdout) < 30_000


@pytest.mark.parametrize(("name", "of"), RECORDED, ids=IDS)
def test_every_line_of_a_stream_is_json_but_for_kimi_py_s_errors(name: str, of: str) -> None:
    kinds = load(name, of).kinds
    assert "text" not in kinds or (name == "kimi-py" and kinds[-1] == "text")


def test_what_was_asked_of_the_model_is_what_is_recorded() -> None:
    assert "All done." in load("codex", "text").stdout
    assert load("claude", "401").exit == 1
    assert load("pi", "401").exit == 0  # as every failure in this mode


# --- Cleaning -------------------------------------------------------------------------------------


def clean(stdout: str) -> str:
    return cleaned(
        Transcript([], 0, stdout, ""), {Path("/a/checkout"): "/checkout", Path("/a"): "/top"}
    ).stdout


def test_the_longest_folder_is_renamed_first() -> None:
    assert clean("/a/checkout/x /a/y") == "/checkout/x /top/y"


def test_an_id_is_the_same_wherever_it_stands_and_counted_as_it_appears() -> None:
    one, two = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    first, second, again = clean(f"{two} {one} {two}").split()
    assert (first, second) == (again, "00000000-0000-4000-8000-000000000002")


def test_times_are_always_the_same() -> None:
    varying = '{"at":1795182729391,"resetsAt":1795189906,"on":"2026-11-20T13:52:09.315Z","duration_ms": 17}'
    always = '{"at":1767225600000,"resetsAt":1767232800,"on":"2026-01-01T00:00:00.000Z","duration_ms":100}'
    assert clean(varying) == always


def test_a_giant_line_is_cut_and_still_json() -> None:
    giant = json.dumps({"type": "init", "tools": [f"tool {n}" for n in range(50)], "text": "x" * 5_000})
    cut = json.loads(clean(giant + "\n"))
    assert cut["tools"] == [f"tool {n}" for n in range(8)]
    assert len(cut["text"]) < 300


def test_the_fixtures_hold_nothing_but_pairs() -> None:
    files = [file for file in FIXTURES.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".jsonl"}
    assert len(files) == 2 * len(RECORDED)
