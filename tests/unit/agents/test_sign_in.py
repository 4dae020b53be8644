"""Whether a program is signed in, told without asking its model."""

from __future__ import annotations

import json

import pytest

from smithers.agents.registry import (
    AMP,
    ANTIGRAVITY,
    CLAUDE_CODE,
    CODEX,
    FORGE,
    GEMINI,
    KIMI,
    OPENCODE,
    PI,
    KnownAgent,
)
from smithers.agents.sign_in import SignIn, sign_in
from tests.unit.agents.desk import Desk

SECRET = "sk-secret-0123456789"


def told(desk: Desk, known: KnownAgent, *, starts: bool = False) -> SignIn:
    found = sign_in(desk.installed(known, starts=starts))
    assert SECRET not in found.how
    assert "0123" not in found.how
    return found


@pytest.mark.parametrize(
    ("known", "variable"),
    [
        (CLAUDE_CODE, "ANTHROPIC_API_KEY"),
        (CLAUDE_CODE, "CLAUDE_CODE_OAUTH_TOKEN"),
        (CODEX, "CODEX_API_KEY"),
        (GEMINI, "GEMINI_API_KEY"),
        (PI, "OPENAI_API_KEY"),
        (OPENCODE, "OPENROUTER_API_KEY"),
        (KIMI, "KIMI_MODEL_API_KEY"),
        (AMP, "AMP_API_KEY"),
    ],
)
def test_a_key_in_the_environment_is_named_and_not_shown(
    desk: Desk, known: KnownAgent, variable: str
) -> None:
    desk.env[variable] = SECRET
    assert told(desk, known) == ("yes", variable)
    desk.env[variable] = " "
    assert told(desk, known).state != "yes"


@pytest.mark.parametrize("known", [CLAUDE_CODE, CODEX, GEMINI, AMP, KIMI])
def test_the_key_of_another_agent_signs_nobody_in(desk: Desk, known: KnownAgent) -> None:
    desk.env.update(PI_API_KEY=SECRET, GOOGLE_API_KEY=SECRET, FORGE_KEY=SECRET)
    assert told(desk, known).state != "yes"


@pytest.mark.parametrize(
    ("known", "path", "content", "how"),
    [
        (CLAUDE_CODE, ".claude/.credentials.json", {"claudeAiOauth": SECRET}, "its login file"),
        (CODEX, ".codex/auth.json", {"OPENAI_API_KEY": SECRET}, "auth.json"),
        (GEMINI, ".gemini/oauth_creds.json", {"access_token": SECRET}, "Google account"),
        (GEMINI, ".gemini/.env", f"export GEMINI_API_KEY={SECRET}\n", "key in a .env file"),
        (PI, ".pi/agent/auth.json", {"anthropic": {"key": SECRET}}, "anthropic"),
        (PI, ".pi/agent/models.json", {"providers": {"local": {"apiKey": SECRET}}}, "local"),
        (OPENCODE, ".local/share/opencode/auth.json", {"zai": {}, "xai": {}}, "zai, xai"),
        (KIMI, ".kimi-code/credentials/kimi-code.json", {"token": SECRET}, "Kimi account"),
        (KIMI, ".kimi/credentials/kimi-code.json", {"token": SECRET}, "Kimi account"),
        (KIMI, ".kimi-code/config.toml", f'[providers.x]\napi_key = "{SECRET}"\n', "key of x in config.toml"),
        (AMP, ".local/share/amp/secrets.json", {"apiKey@https://ampcode.com/": SECRET}, "Amp account"),
    ],
)
def test_a_stored_login_is_found_where_each_program_keeps_it(
    desk: Desk, known: KnownAgent, path: str, content: object, how: str
) -> None:
    assert told(desk, known).state != "yes"
    desk.file(path, content)
    assert told(desk, known) == ("yes", how)


@pytest.mark.parametrize(
    ("known", "variable", "path"),
    [
        (CLAUDE_CODE, "CLAUDE_CONFIG_DIR", "work/.credentials.json"),
        (CODEX, "CODEX_HOME", "work/auth.json"),
        (GEMINI, "GEMINI_CLI_HOME", "work/.gemini/oauth_creds.json"),
        (PI, "PI_CODING_AGENT_DIR", "work/auth.json"),
        (KIMI, "KIMI_CODE_HOME", "work/credentials/kimi-code.json"),
        (KIMI, "KIMI_SHARE_DIR", "work/credentials/kimi-code.json"),
        (OPENCODE, "XDG_DATA_HOME", "work/opencode/auth.json"),
        (AMP, "XDG_DATA_HOME", "work/amp/secrets.json"),
    ],
)
def test_a_login_in_another_folder_is_found_by_the_variable_that_names_it(
    desk: Desk, known: KnownAgent, variable: str, path: str
) -> None:
    desk.file(path, {"apiKey@x": {}})
    assert told(desk, known).state != "yes"
    desk.env[variable] = str(desk.home / "work")
    assert told(desk, known).state == "yes"


@pytest.mark.parametrize("known", [GEMINI, KIMI, AMP, PI])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", "7", "\x00\xff", "[" * 100_000])
def test_files_of_nonsense_sign_nobody_in(desk: Desk, known: KnownAgent, content: str) -> None:
    for name in ("auth.json", "models.json", "secrets.json", "settings.json", "config.toml", ".env"):
        desk.file(f"{known.config}/{name}", content)
    assert told(desk, known).state == "no"


def test_a_program_that_cannot_be_asked_is_unknown_and_not_signed_out(desk: Desk) -> None:
    assert told(desk, CLAUDE_CODE) == ("unknown", "not asked")
    assert told(desk, CODEX) == ("unknown", "not asked")
    assert told(desk, OPENCODE).state == "unknown"
    assert told(desk, FORGE) == ("unknown", "it does not tell")
    assert told(desk, ANTIGRAVITY) == ("unknown", "it does not tell")


# --- Claude Code, asked -------------------------------------------------------------------------


def claude_says(desk: Desk, said: object, status: int = 0) -> SignIn:
    text = said if isinstance(said, str) else json.dumps(said)
    desk.program("claude", f"[ \"$*\" = 'auth status' ] && cat <<'END'\n{text}\nEND\nexit {status}")
    return told(desk, CLAUDE_CODE, starts=True)


def test_claude_code_is_taken_at_its_word(desk: Desk) -> None:
    desk.file(".claude/.credentials.json", {})
    assert claude_says(desk, {"loggedIn": False, "authMethod": "none"}, 1) == ("no", "it says so")
    assert claude_says(desk, {"loggedIn": True, "authMethod": "oauth_token"}) == ("yes", "oauth token")
    by_key = {"loggedIn": True, "authMethod": "api_key", "apiKeySource": "ANTHROPIC_API_KEY"}
    assert claude_says(desk, by_key) == ("yes", "ANTHROPIC_API_KEY")


@pytest.mark.parametrize("said", ["", "Unknown command", "[]", {"loggedIn": "yes"}, {}])
def test_claude_code_of_an_age_that_does_not_know_the_question_is_judged_by_its_files(
    desk: Desk, said: object
) -> None:
    assert claude_says(desk, said, 1) == ("unknown", "it did not answer")
    desk.file(".claude/.credentials.json", {})
    assert claude_says(desk, said, 1) == ("yes", "its login file")


# --- Codex, asked -------------------------------------------------------------------------------


def codex_says(desk: Desk, said: str, status: int = 0) -> SignIn:
    desk.program("codex", f"[ \"$*\" = 'login status' ] && echo '{said}' >&2; exit {status}")
    return told(desk, CODEX, starts=True)


def test_codex_is_taken_at_its_word_and_the_part_of_the_key_that_it_shows_is_not_repeated(desk: Desk) -> None:
    assert codex_says(desk, "Not logged in", 1) == ("no", "it says so")
    assert codex_says(desk, "Logged in using ChatGPT") == ("yes", "ChatGPT account")
    assert codex_says(desk, f"API key configured - {SECRET}") == ("yes", "API key")
    assert codex_says(desk, "error: no such command", 2) == ("unknown", "it did not answer")


def test_codex_with_a_provider_of_its_users_own_wants_that_ones_key(desk: Desk) -> None:
    config = 'model_provider = "lab"\n[model_providers.lab]\nbase_url = "http://127.0.0.1"\n'
    desk.file(".codex/config.toml", config)
    assert codex_says(desk, "Not logged in", 1) == ("unknown", "its own provider lab")
    desk.file(".codex/config.toml", config + 'env_key = "LAB_KEY"\n')
    assert codex_says(desk, "Not logged in", 1) == ("no", "its provider lab wants LAB_KEY")
    desk.env["LAB_KEY"] = SECRET
    assert codex_says(desk, "Not logged in", 1) == ("yes", "LAB_KEY")


@pytest.mark.parametrize(
    "config", ["model_provider = 7", 'model_provider = "x"', "model_providers = 3", "= ="]
)
def test_a_configuration_of_codex_that_makes_no_sense_changes_nothing(desk: Desk, config: str) -> None:
    desk.file(".codex/config.toml", config)
    assert codex_says(desk, "Logged in using ChatGPT").state == "yes"
