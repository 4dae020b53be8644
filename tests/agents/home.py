"""A private home for one account of one program: its configuration, and the environment that leads there.

Nothing of the user's own configuration or keys is seen, no other host is asked for, and built-in retries are
as few as the program allows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

KEY = "sk-fake-0000000000"
_FOREIGN = (
    "ANTHROPIC_",
    "CLAUDE",
    "OPENAI_",
    "CODEX_",
    "GEMINI_",
    "GOOGLE_",
    "KIMI_",
    "OPENCODE_",
    "PI_",
    "AMP_",
    "XDG_",
    "NODE_",
    "RUST_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
"""Beginnings of variables that change what a program does or where it connects."""


Wire = Literal["anthropic", "responses", "chat", "gemini"]


@dataclass(frozen=True, slots=True)
class Account:
    """Where a program finds its model, and with which key."""

    url: str
    """Of the model server, without a path."""
    key: str = KEY
    retries: int = 0
    """Built-in ones, where the program lets them be set."""
    model: str | None = None
    """Codex only: another model than the usual one gets other tools."""
    wire: Wire = "chat"
    """Pi only: the others speak one."""
    is_subscription: bool = False
    """Claude Code: signed in by token, not by key; only then does it tell of a plan's limits."""


def environment(name: str, home: Path, account: Account) -> dict[str, str]:
    """Make the program's configuration in `home`; the whole environment to start it with.

    Args:
        home: for Codex, a folder outside the system's temporary one: inside, it makes no helpers, and every
            command that it runs fails.
    """
    scratch = home / "tmp"  # some leave reports of their errors in the temporary folder
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(_FOREIGN)}
    return {**kept, "HOME": str(home), "TMPDIR": str(scratch), "TZ": "UTC", **_HOMES[name](home, account)}


def _claude(home: Path, account: Account) -> dict[str, str]:
    return {
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "ANTHROPIC_BASE_URL": account.url,
        "CLAUDE_CODE_OAUTH_TOKEN" if account.is_subscription else "ANTHROPIC_API_KEY": account.key,
        "ANTHROPIC_MODEL": "claude-sonnet-4-5",
        "CLAUDE_CODE_MAX_RETRIES": str(account.retries),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def _codex(home: Path, account: Account) -> dict[str, str]:
    (home / "config.toml").write_text(
        f"""\
model = "{account.model or "gpt-5.5"}"
model_provider = "fake"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.fake]
name = "fake"
base_url = "{account.url}/v1"
env_key = "FAKE_MODEL_KEY"
wire_api = "responses"
request_max_retries = {account.retries}
stream_max_retries = {account.retries}
"""
    )
    return {"CODEX_HOME": str(home), "FAKE_MODEL_KEY": account.key}


def _pi(home: Path, account: Account) -> dict[str, str]:
    api, path = _PI_APIS[account.wire]
    model = {"id": "fake-model", "name": "Fake", "contextWindow": 200_000, "maxTokens": 8_192}
    provider = {
        "baseUrl": account.url + path,
        "api": api,
        "apiKey": account.key,
        "models": [model],
    }
    _write_json(home / "models.json", {"providers": {"fake": provider}})
    _write_json(
        home / "settings.json", {"retry": {"enabled": account.retries > 0, "maxRetries": account.retries}}
    )
    return {"PI_CODING_AGENT_DIR": str(home), "PI_OFFLINE": "1", "PI_TELEMETRY": "0"}


_PI_APIS = {
    "anthropic": ("anthropic-messages", ""),
    "responses": ("openai-responses", "/v1"),
    "chat": ("openai-completions", "/v1"),
    "gemini": ("google-generative-ai", "/v1beta"),
}


def _opencode(home: Path, account: Account) -> dict[str, str]:
    model = {"name": "Fake", "tool_call": True, "limit": {"context": 200_000, "output": 8_192}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{account.url}/v1", "apiKey": account.key},
        "models": {"fake-model": model},
    }
    config = {
        "provider": {"fake": provider},
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
        "autoupdate": False,
        "share": "disabled",
    }
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    quiet = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    disabled = {f"OPENCODE_DISABLE_{what}": "1" for what in quiet}
    return {**folders, **disabled, "OPENCODE_CONFIG_CONTENT": json.dumps(config)}


def _kimi(home: Path, account: Account) -> dict[str, str]:
    (home / "config.toml").write_text(_kimi_config(account, "openai"))
    attempts = str(account.retries + 1)
    return {
        "KIMI_CODE_HOME": str(home),
        "KIMI_DISABLE_TELEMETRY": "1",
        "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": attempts,
    }


def _kimi_py(home: Path, account: Account) -> dict[str, str]:
    (home / "config.toml").write_text("telemetry = false\n" + _kimi_config(account, "openai_legacy"))
    return {"KIMI_SHARE_DIR": str(home), "KIMI_CLI_NO_AUTO_UPDATE": "1"}


def _kimi_config(account: Account, kind: str) -> str:
    return f"""\
default_model = "fake"
[models.fake]
provider = "fake"
model = "fake-model"
max_context_size = 200000
[providers.fake]
type = "{kind}"
base_url = "{account.url}/v1"
api_key = "{account.key}"
"""


def _gemini(home: Path, account: Account) -> dict[str, str]:
    settings: dict[str, Any] = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {
            "enableAutoUpdate": False,
            "enableAutoUpdateNotification": False,
            "maxAttempts": account.retries + 1,
        },
    }
    _write_json(home / ".gemini/settings.json", settings)
    return {
        "GEMINI_CLI_HOME": str(home),
        "GEMINI_API_KEY": account.key,
        "GOOGLE_GEMINI_BASE_URL": account.url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "true",
    }


def _write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=1))


_HOMES: dict[str, Callable[[Path, Account], dict[str, str]]] = {
    "claude": _claude,
    "codex": _codex,
    "pi": _pi,
    "opencode": _opencode,
    "kimi": _kimi,
    "kimi-py": _kimi_py,
    "gemini": _gemini,
}
