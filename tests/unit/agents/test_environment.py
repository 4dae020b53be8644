"""What of our environment an agent's program is given."""

from __future__ import annotations

import pytest

from smithers.agents.environment import environment_for, scrubbed

OURS = {
    "PATH": "/bin", "HOME": "/home/me", "LANG": "C", "HTTPS_PROXY": "x", "NODE_EXTRA_CA_CERTS": "x",
    "XDG_CONFIG_HOME": "/x", "AWS_PROFILE": "x", "GITHUB_TOKEN": "x", "PYTHONPATH": "x", "CLAUD": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CONFIG_DIR", "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "CODEX_HOME", "CODEX_SANDBOX", "GEMINI_API_KEY", "GEMINI_CLI",
        "GOOGLE_API_KEY",
        "GOOGLE_GEMINI_BASE_URL", "KIMI_API_KEY", "MOONSHOT_API_KEY", "OPENCODE", "OPENCODE_CONFIG",
        "PI_CODING_AGENT_DIR", "AMP_API_KEY", "FORGE_KEY", "AGY_CLI_DISABLE_AUTO_UPDATE", "claude_code_x",
    ],
)  # fmt: skip
def test_variables_of_agents_are_left_out(name: str) -> None:
    assert scrubbed({**OURS, name: "leaked"}) == OURS


def test_what_it_signs_in_by_is_taken_over_where_it_is_set() -> None:
    environment = {**OURS, "OPENAI_API_KEY": "key", "CODEX_HOME": "/x"}
    found = environment_for(("OPENAI_API_KEY", "CODEX_API_KEY"), {}, environment)
    assert found == {**OURS, "OPENAI_API_KEY": "key"}


def test_what_is_added_has_the_last_word() -> None:
    environment = {**OURS, "OPENAI_API_KEY": "key"}
    found = environment_for(("OPENAI_API_KEY",), {"OPENAI_API_KEY": "own", "CLAUDE_X": "1"}, environment)
    assert (found["OPENAI_API_KEY"], found["CLAUDE_X"]) == ("own", "1")


def test_our_own_environment_is_the_default_and_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("SOMETHING", "else")
    found = environment_for((), {"ADDED": "1"})
    assert found["SOMETHING"] == "else"
    assert "CLAUDECODE" not in found
    found["SOMETHING"] = "changed"
    assert scrubbed()["SOMETHING"] == "else"
