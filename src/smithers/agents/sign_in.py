"""Whether an agent's program is signed in, as far as that can be told without a request to its model.

What is said names variables, files and providers; the value of a key is never kept or shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from smithers.agents.installed import Installed, json_file, text_file, toml_file


class SignIn(NamedTuple):
    """What can be told."""

    state: Literal["yes", "no", "unknown"]
    how: str
    """By what, or why it is not known."""


def sign_in(program: Installed) -> SignIn:
    """Whether it is signed in. It starts the program only where `program.calls` allows it."""
    look = _LOOKS.get(program.known.kind)
    return look(program) if look is not None else SignIn("unknown", "it does not tell")


def _claude(program: Installed) -> SignIn:
    answer = program.ask("auth", "status")
    told = _object(answer.stdout) if answer is not None else {}
    if told.get("loggedIn") is True:
        source = told.get("apiKeySource")
        if isinstance(source, str) and source.isidentifier():
            return _by_variable(source)
        return SignIn("yes", str(told.get("authMethod", "")).replace("_", " "))
    if told.get("loggedIn") is False:
        return SignIn("no", "it says so")
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
    if found := program.has(*keys):
        return _by_variable(found)
    if found := program.has("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"):
        return SignIn("unknown", f"by the cloud of {found}")
    if (program.config / ".credentials.json").is_file():
        return SignIn("yes", "its login file")
    return _not_asked(program)


def _codex(program: Installed) -> SignIn:
    if found := program.has("CODEX_API_KEY"):
        return _by_variable(found)
    if (own := _codex_provider(program)) is not None:
        return own
    answer = program.ask("login", "status")
    if answer is None:
        is_there = (program.config / "auth.json").is_file()
        return SignIn("yes", "auth.json") if is_there else _not_asked(program)
    # It shows a part of the key: only its first words are looked at.
    if answer.status == 0:
        return SignIn("yes", "ChatGPT account" if "chatgpt" in answer.text.lower() else "API key")
    # Warnings may come first, such as that its folder is a temporary one.
    if any(line.startswith("Not logged in") for line in answer.text.splitlines()):
        return SignIn("no", "it says so")
    return SignIn("unknown", "it did not answer")


def _codex_provider(program: Installed) -> SignIn | None:
    """What its settings say of a provider of the user's own; None: it uses OpenAI's."""
    settings = toml_file(program.config / "config.toml")
    name = settings.get("model_provider", "openai")
    providers = settings.get("model_providers")
    provider = providers.get(name) if isinstance(providers, dict) and isinstance(name, str) else None
    if name == "openai" or not isinstance(provider, dict):
        return None
    variable = provider.get("env_key")
    if not isinstance(variable, str):
        return SignIn("unknown", f"its own provider {name}")
    if program.has(variable):
        return _by_variable(variable)
    return SignIn("no", f"its provider {name} wants {variable}")


def _gemini(program: Installed) -> SignIn:
    if found := program.has("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"):
        return _by_variable(found)
    folder = gemini_folder(program)
    files = (folder / ".env", program.machine.cwd / ".gemini/.env", program.machine.cwd / ".env")
    if any(_sets(path, "GEMINI_API_KEY") for path in files):
        return SignIn("yes", "key in a .env file")
    if (folder / "oauth_creds.json").is_file():
        return SignIn("yes", "Google account")
    chosen = _text_in(json_file(folder / "settings.json"), "security", "auth", "selectedType")
    if (folder / "gemini-credentials.json").is_file() or (chosen and program.machine.is_mac):
        return SignIn("unknown", "perhaps by a stored key")
    return SignIn("no", "no GEMINI_API_KEY, no login file")


def gemini_folder(program: Installed) -> Path:
    """Its settings: the variable names a home for them, not the folder itself."""
    is_named = program.env.get("GEMINI_CLI_HOME")
    return program.config / ".gemini" if is_named else program.config


def _pi(program: Installed) -> SignIn:
    stored = _names(json_file(program.config / "auth.json"))
    models = json_file(program.config / "models.json")
    own = _names(models.get("providers")) if isinstance(models, dict) else []
    if stored or own:
        return SignIn("yes", ", ".join(dict.fromkeys([*stored, *own])))
    return _any_key(program)


def _opencode(program: Installed) -> SignIn:
    data = program.env.get("XDG_DATA_HOME")
    folder = Path(data) / "opencode" if data else program.config
    if stored := _names(json_file(folder / "auth.json")):
        return SignIn("yes", ", ".join(stored))
    if program.has("OPENCODE_CONFIG", "OPENCODE_CONFIG_CONTENT"):
        return SignIn("unknown", "perhaps by its own settings")
    found = _any_key(program)
    # It starts without any key, for models that cost nothing and for providers in its settings.
    return found if found.state == "yes" else SignIn("unknown", "no key found; some models need none")


def _kimi(program: Installed) -> SignIn:
    """Of Kimi Code, or of the Python program of the same name that came before it."""
    if found := program.has("KIMI_MODEL_API_KEY", "KIMI_API_KEY"):
        return _by_variable(found)
    home = program.machine.home
    names = (("KIMI_CODE_HOME", program.config), ("KIMI_SHARE_DIR", home / ".kimi"))
    for folder in (Path(program.env.get(name) or default) for name, default in names):
        if any(folder.glob("credentials/*.json")):
            return SignIn("yes", "Kimi account")
        providers = toml_file(folder / "config.toml").get("providers")
        if found := next((name for name in _names(providers) if _text_in(providers, name, "api_key")), ""):
            return SignIn("yes", f"key of {found} in config.toml")
    return SignIn("no", "no login, no key in config.toml")


def _amp(program: Installed) -> SignIn:
    if found := program.has("AMP_API_KEY"):
        return _by_variable(found)
    data = program.env.get("XDG_DATA_HOME")
    folder = Path(data) / "amp" if data else program.config
    is_stored = any(name.startswith("apiKey") for name in _names(json_file(folder / "secrets.json")))
    return SignIn("yes", "Amp account") if is_stored else SignIn("no", "no AMP_API_KEY, no login")


_LOOKS: Final[Mapping[str, Callable[[Installed], SignIn]]] = {
    "claude-code": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "pi": _pi,
    "opencode": _opencode,
    "kimi": _kimi,
    "amp": _amp,
}
"""By kind. Those that are missing keep it where nobody can look: Antigravity in the system's keyring."""


_PROVIDER_KEYS: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_OAUTH_TOKEN",
    "AI_GATEWAY_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_CLOUD_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GROQ_API_KEY",
    "KIMI_API_KEY",
    "MINIMAX_API_KEY",
    "MISTRAL_API_KEY",
    "MOONSHOT_API_KEY",
    "OPENAI_API_KEY",
    "OPENCODE_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "XAI_API_KEY",
    "ZAI_API_KEY",
)


def _by_variable(name: str) -> SignIn:
    return SignIn("yes", name)


def _any_key(program: Installed) -> SignIn:
    """By the key of any provider, of a program that knows many."""
    found = program.has(*_PROVIDER_KEYS)
    return _by_variable(found) if found else SignIn("no", "no key found")


def _not_asked(program: Installed) -> SignIn:
    return SignIn("unknown", "not asked" if program.calls is None else "it did not answer")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, dict) else []


def _text_in(value: Any, *path: str) -> str:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _sets(path: Path, variable: str) -> bool:
    lines = (text_file(path) or "").splitlines()
    return any(line.removeprefix("export ").partition("=")[0].strip() == variable for line in lines)
