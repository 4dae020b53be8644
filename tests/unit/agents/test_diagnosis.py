"""What is wrong with a program, and what to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from smithers.agents.diagnosis import Finding, diagnose, is_usable
from smithers.agents.installed import Machine
from smithers.agents.probe import Seen, Version
from smithers.agents.quota import Quota, Window
from smithers.agents.registry import AMP, CLAUDE_CODE, CODEX, FORGE, GEMINI, KIMI, PI, KnownAgent
from smithers.agents.sign_in import SignIn
from tests.unit.agents.desk import Desk

SIGNED_IN = SignIn("yes", "by a test")


def well(desk: Desk, known: KnownAgent) -> Seen:
    """A program with which nothing is wrong."""
    return Seen(known, desk.installed(known), Version(known.driven), SIGNED_IN)


def wrong(seen: Seen) -> list[tuple[str, str, str | None]]:
    """Check, level and command of what is not as it should be."""
    return [
        (one.check, one.level, one.command) for one in diagnose(seen) if one.level in ("warning", "wrong")
    ]


@pytest.mark.parametrize("known", [CLAUDE_CODE, CODEX, GEMINI, KIMI, PI])
def test_a_program_that_was_driven_and_is_signed_in_is_well(desk: Desk, known: KnownAgent) -> None:
    findings = diagnose(well(desk, known))
    assert [(one.check, one.level) for one in findings] == [
        ("program", "ok"),
        ("version", "ok"),
        ("sign-in", "ok"),
    ]
    assert is_usable(findings)


def test_a_program_that_is_missing_comes_with_the_command_that_installs_it() -> None:
    assert diagnose(Seen(CODEX)) == [
        Finding("program", "wrong", "codex is not on PATH", "npm install -g @openai/codex")
    ]
    assert not is_usable(diagnose(Seen(CODEX)))


@pytest.mark.parametrize("problem", ["late", "failed"])
def test_a_program_that_does_not_start_cannot_be_used(desk: Desk, problem: str) -> None:
    seen = replace(well(desk, CODEX), version=Version("", problem, "no such file"))  # type: ignore[arg-type]
    assert wrong(seen) == [("program", "wrong", "codex --version")]
    assert "no such file" in diagnose(seen)[0].text


def test_a_version_that_was_not_driven_is_only_a_warning(desk: Desk) -> None:
    def of(text: str) -> Seen:
        return replace(well(desk, CLAUDE_CODE), version=Version(text))

    assert wrong(of("2.1.197")) == [("version", "warning", CLAUDE_CODE.install)]
    assert is_usable(diagnose(of("2.1.197")))
    assert wrong(of("2.2.0")) == []
    assert "newer than 2.1.328" in diagnose(of("2.2.0"))[1].text
    odd = replace(well(desk, CLAUDE_CODE), version=Version("", "odd", "hello"))
    assert wrong(odd) == [("version", "warning", "claude --version")]
    assert is_usable(diagnose(odd))
    forge = replace(well(desk, FORGE), version=Version("0.9.1"))
    assert [level for _, level, _ in wrong(forge)] == ["warning"]


def test_a_program_that_is_signed_out_cannot_be_used_and_one_that_does_not_tell_can(desk: Desk) -> None:
    out = replace(well(desk, CLAUDE_CODE), sign_in=SignIn("no", "it says so"))
    assert wrong(out) == [("sign-in", "wrong", "claude auth login")]
    unknown = replace(well(desk, CLAUDE_CODE), sign_in=SignIn("unknown", "it does not tell"))
    assert wrong(unknown) == []
    assert [one.level for one in diagnose(unknown) if one.check == "sign-in"] == ["unknown"]


def test_codex_is_told_apart_from_what_else_takes_the_key_of_its_maker(desk: Desk) -> None:
    desk.env["OPENAI_API_KEY"] = "sk-secret"
    (found,) = wrong(replace(well(desk, CODEX), sign_in=SignIn("no", "it says so")))
    assert found[2] == "printenv OPENAI_API_KEY | codex login --with-api-key"


def test_what_is_left_is_shown_and_what_is_used_up_is_a_warning(desk: Desk) -> None:
    some, none = Window(300, 40, None), Window(10_080, 0.2, 1)
    left = replace(well(desk, CODEX), quota=Quota("40% 5h", 0, (some,)))
    assert diagnose(left)[-1] == Finding("limits", "ok", "left: 40% 5h")
    used_up = replace(left, quota=Quota("40% 5h, 0% 7d", 0, (some, none)))
    assert wrong(used_up) == [("limits", "warning", None)]
    assert is_usable(diagnose(used_up))


# --- Known traps --------------------------------------------------------------------------------


def test_a_codex_folder_inside_a_temporary_one_breaks_every_command(desk: Desk) -> None:
    desk.env["CODEX_HOME"] = str(desk.folder / "tmp/codex")
    assert wrong(well(desk, CODEX)) == []
    found = desk.installed(CODEX)
    there = replace(found, machine=replace(found.machine, temporary=(desk.folder / "tmp",)))
    seen = replace(well(desk, CODEX), program=there)
    assert wrong(seen) == [("setup", "wrong", 'export CODEX_HOME="$HOME/.codex"')]


def test_this_machines_temporary_folders_are_known() -> None:
    assert Machine.here(0).temporary != ()


@pytest.mark.parametrize(
    "version",
    [
        Version("1.52.0"),
        Version("", "odd", "kimi-cli is no longer maintained, see https://example.com"),
        Version("", "failed", "kimi-cli is no longer maintained"),
    ],
)
def test_the_kimi_that_only_says_that_it_is_gone_is_recognized(desk: Desk, version: Version) -> None:
    findings = diagnose(replace(well(desk, KIMI), version=version))
    assert (findings[0].level, findings[0].command) == ("wrong", KIMI.install)


def test_the_last_kimi_of_python_is_no_old_kimi_code(desk: Desk) -> None:
    assert wrong(replace(well(desk, KIMI), version=Version("1.49.0"))) == []


def test_kimi_code_does_not_know_the_variables_of_the_program_before_it(desk: Desk) -> None:
    by_key = SignIn("yes", "KIMI_API_KEY")
    assert wrong(replace(well(desk, KIMI), sign_in=by_key)) == [("setup", "wrong", "kimi login")]
    assert wrong(replace(well(desk, KIMI), sign_in=by_key, version=Version("1.49.0"))) == []


def test_claude_code_as_root_refuses_to_work_without_permissions(desk: Desk) -> None:
    desk.is_root = True
    assert wrong(well(desk, CLAUDE_CODE)) == [("setup", "warning", "export IS_SANDBOX=1")]
    desk.env["IS_SANDBOX"] = "1"
    assert wrong(well(desk, CLAUDE_CODE)) == []


@pytest.mark.parametrize(
    ("rules", "count"),
    [
        ({}, 0),
        ({"": "DO_NOT_TRUST"}, 1),
        ({"..": "DO_NOT_TRUST"}, 1),
        ({"..": "DO_NOT_TRUST", "": "TRUST_FOLDER"}, 0),
        ({"..": "TRUST_FOLDER", "": "DO_NOT_TRUST"}, 1),
    ],
)
def test_a_folder_that_gemini_was_told_not_to_trust_is_named(
    desk: Desk, rules: dict[str, str], count: int
) -> None:
    told = {str((desk.cwd / path).resolve()): rule for path, rule in rules.items()}
    desk.file(".gemini/trustedFolders.json", told)
    assert len(wrong(well(desk, GEMINI))) == count


def test_gemini_with_another_address_needs_its_way_to_sign_in_set(desk: Desk) -> None:
    desk.env["GOOGLE_GEMINI_BASE_URL"] = "http://127.0.0.1"
    assert [level for _, level, _ in wrong(well(desk, GEMINI))] == ["wrong"]
    desk.file(".gemini/settings.json", {"security": {"auth": {"selectedType": "gemini-api-key"}}})
    assert wrong(well(desk, GEMINI)) == []


@pytest.mark.parametrize(
    ("node", "problem"), [("v20.20.2", "failed"), ("v20.20.2", ""), ("v22.19.0", ""), (None, "")]
)
def test_a_node_that_is_too_old_is_what_has_to_be_mended(desk: Desk, node: str | None, problem: str) -> None:
    version = Version("", "failed", "SyntaxError: createZstdDecompress") if problem else Version(KIMI.driven)
    found = wrong(replace(well(desk, KIMI), version=version, node=node))
    is_old = node == "v20.20.2"
    assert [command for _, _, command in found] == (["install Node 22.19 or newer"] if is_old else [])


def test_an_amp_without_its_binary_is_to_be_installed_again(desk: Desk) -> None:
    version = Version("", "failed", "Error: Amp native binary not installed.")
    assert ("program", "wrong", AMP.install) in wrong(replace(well(desk, AMP), version=version))


def test_checks_have_stable_names(desk: Desk) -> None:
    names: Sequence[str] = [one.check for one in diagnose(well(desk, CLAUDE_CODE))]
    assert set(names) <= {"program", "version", "sign-in", "limits", "setup"}
