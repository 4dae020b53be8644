"""Looking for all agents at once."""

from __future__ import annotations

import os
import time

import pytest

from smithers.agents.probe import LOOK, START, Effort, Parked, Version, probe, version_numbers
from smithers.agents.registry import AMP, CLAUDE_CODE, CODEX, GEMINI, KIMI, KNOWN, OPENCODE, PI
from tests.unit.agents.desk import Desk

PATIENT = Effort(20.0)
STARTING = Effort(20.0, trusts_packages=False)


def test_a_machine_without_agents_has_none(desk: Desk) -> None:
    seen = probe(KNOWN.values(), desk.machine, PATIENT)
    assert [one.known for one in seen] == list(KNOWN.values())
    assert all(one.program is None and one.version == Version() and one.quota is None for one in seen)


def test_a_program_is_found_where_its_adapter_would_find_it(desk: Desk) -> None:
    path = desk.program("claude", "echo '2.1.328 (Claude Code)'")
    seen = desk.seen(CLAUDE_CODE, PATIENT)
    assert seen.program is not None
    assert (seen.program.path, seen.version) == (path, Version("2.1.328"))
    path.chmod(0o644)
    assert desk.seen(CLAUDE_CODE, PATIENT).program is None


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.1.328 (Claude Code)", "2.1.328"),
        ("codex-cli 0.169.0", "0.169.0"),
        ("kimi, version 1.49.0", "1.49.0"),
        ("0.0.1790142911-g7618fb (released 2026-09-23T05:55:11.000Z, 1mo ago)", "0.0.1790142911-g7618fb"),
        ("v1.2", "1.2"),
        ("\n\n1.18.33\n", "1.18.33"),
    ],
)
def test_versions_are_understood_as_real_programs_write_them(desk: Desk, said: str, version: str) -> None:
    desk.program("codex", f"printf '%s\\n' '{said}'")
    found = desk.seen(CODEX, PATIENT).version
    assert found == Version(version)
    assert found.numbers == version_numbers(version) != ()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo hello world", Version("", "odd", "hello world")),
        ("true", Version("", "odd", "")),
        ("echo 'no such option' >&2; exit 2", Version("", "failed", "no such option")),
        ("exit 3", Version("", "failed", "it leaves with 3")),
        ("yes", Version("", "failed", "it prints without end")),
        (
            "printf 'file:///x.js:1\\nimport y\\nSyntaxError: no createZstdDecompress\\n' >&2; exit 1",
            Version("", "failed", "SyntaxError: no createZstdDecompress"),
        ),
    ],
)
def test_what_is_no_version_is_told_as_it_was_said(desk: Desk, script: str, expected: Version) -> None:
    desk.program("codex", script)
    assert desk.seen(CODEX, PATIENT).version == expected


def test_programs_that_hang_take_no_longer_together_than_one(desk: Desk) -> None:
    for known in KNOWN.values():
        desk.program(known.program, "sleep 600")
    began = time.monotonic()
    seen = probe(KNOWN.values(), desk.machine, Effort(0.5))
    assert time.monotonic() - began < 5
    assert {one.version for one in seen} == {Version("", "late", "it did not answer in time")}
    assert {one.quota for one in seen} == {None}


def test_the_version_of_a_package_is_read_and_the_program_only_started_to_be_sure(desk: Desk) -> None:
    started = desk.folder / "started"
    desk.packaged("gemini", "@google/gemini-cli", "0.61.0", f"touch {started}; echo 0.60.0")
    assert desk.seen(GEMINI, LOOK).version == Version("0.61.0")
    assert desk.seen(GEMINI, PATIENT).version == Version("0.61.0")
    assert not started.exists()
    assert desk.seen(GEMINI, STARTING).version == Version("0.60.0")


def test_the_package_of_something_else_says_nothing(desk: Desk) -> None:
    desk.packaged("gemini", "someone/elses", "9.9.9", "echo 0.60.0")
    assert desk.seen(GEMINI, PATIENT).version == Version("0.60.0")


def test_looking_starts_nothing(desk: Desk) -> None:
    started = desk.folder / "started"
    for known in (*KNOWN.values(),):
        desk.program(known.program, f"touch {started}")
    desk.program("node", f"touch {started}")
    seen = probe(KNOWN.values(), desk.machine, LOOK)
    assert all(one.program is not None for one in seen)
    assert {one.version for one in seen} == {Version("", "not asked")}
    assert not started.exists()


def test_a_program_is_asked_without_the_variables_of_other_agents_and_told_to_be_quiet(desk: Desk) -> None:
    desk.env.update(ANTHROPIC_API_KEY="a", CLAUDECODE="1", GEMINI_API_KEY="g", CODEX_HOME="/x", LANG="C")
    desk.program("opencode", "env | cut -d= -f1 | sort | tr '\\n' ' '")
    said = desk.seen(OPENCODE, PATIENT).version.said.split()
    assert {"ANTHROPIC_API_KEY", "GEMINI_API_KEY", "LANG", "OPENCODE_DISABLE_AUTOUPDATE"} <= set(said)
    assert not {"CLAUDECODE", "CODEX_HOME"} & set(said)


def test_programs_are_asked_where_we_stand_and_cannot_ask_back(desk: Desk) -> None:
    desk.program("codex", 'cat; echo "$PWD"')
    assert desk.seen(CODEX, PATIENT).version.said == os.path.realpath(desk.cwd)


def test_what_is_left_is_not_asked_of_a_program_that_is_signed_out(desk: Desk) -> None:
    asked = desk.folder / "asked"
    desk.program("amp", f'[ "$1" = usage ] && touch {asked}; echo "Credits: \\$5 remaining 1.2"')
    assert desk.seen(AMP, PATIENT).quota is None
    assert not asked.exists()
    desk.env["AMP_API_KEY"] = "key"
    found = desk.seen(AMP, PATIENT).quota
    assert found is not None
    assert found.text == "$5 credits"


def test_the_node_that_executes_a_program_is_asked_for_only_to_be_sure(desk: Desk) -> None:
    desk.program("node", "echo v20.20.2")
    made = desk.program("kimi")
    made.write_text("#!/usr/bin/env node\n")
    assert desk.seen(KIMI, PATIENT).node is None
    assert desk.seen(KIMI, STARTING).node == "v20.20.2"
    desk.program("pi")
    assert desk.seen(PI, STARTING).node is None


def test_accounts_that_are_parked_stand_beside_their_agent(desk: Desk) -> None:
    own, other = Parked("codex", 1, "quota"), Parked("codex:/home/ann/work", None)
    waiting = [own, Parked("claude-code", 2), other, Parked("something:else", 3)]
    seen = probe([CLAUDE_CODE, CODEX, PI], desk.machine, LOOK, lambda: waiting)
    assert [one.parked for one in seen] == [(waiting[1],), (own, other), ()]


def test_efforts_differ_in_what_they_cost() -> None:
    assert LOOK.patience_s is None
    assert not START.trusts_packages


@pytest.mark.parametrize("text", ["", "hello", "g1.2"])
def test_what_begins_with_no_number_has_none_to_compare(text: str) -> None:
    assert version_numbers(text) == ()
