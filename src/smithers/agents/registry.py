"""The agents that are programs, as plain data: to list them, to look for them, and to load one of them.

Nothing of an adapter is imported until `adapter` is called. To add one, write it and put a row into `KNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Final

from smithers.errors import UsageRefused

if TYPE_CHECKING:
    from smithers.agents.cli import CliAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAgent:
    """What is known of a program before it is started."""

    kind: str
    """`claude-code`: as attempts store it, and as people name it."""
    title: str
    module: str
    """Of its adapter; it may be missing in a build that leaves it out."""
    adapter: str
    """Class in that module."""
    program: str
    """Looked up on PATH."""
    install: str
    """The command that installs it, or a newer one."""
    sign_in: str
    """The command that signs in."""
    driven: str = ""
    """The version that was driven through the whole contract; empty: none was."""
    package: str = ""
    """Of npm; its `package.json` says the version without starting anything."""
    node: tuple[int, ...] = ()
    """The oldest Node that runs it, where it is a script of Node."""
    credentials: tuple[str, ...] = ()
    """Variables that it signs in by, or that say where; handed on to it, unlike those of other agents."""
    provider: str | None = None
    """Whose models it uses, as price lists call it; None: those of many."""
    config_variable: str | None = None
    """Variable that names its private folder."""
    config: str = ""
    """That folder by default, below the home folder."""
    quiet: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Variables that keep it from updating itself, or calling home, when it is only asked something."""


CLAUDE_CODE: Final = KnownAgent(
    kind="claude-code",
    title="Claude Code",
    module="smithers.agents.claude_code",
    adapter="ClaudeCode",
    program="claude",
    install="npm install -g @anthropic-ai/claude-code",
    sign_in="claude auth login",
    driven="2.1.328",
    package="@anthropic-ai/claude-code",
    provider="anthropic",
    credentials=(
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CONFIG_DIR",
    ),
    config_variable="CLAUDE_CONFIG_DIR",
    config=".claude",
    quiet={"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
)

CODEX: Final = KnownAgent(
    kind="codex",
    title="Codex",
    module="smithers.agents.codex",
    adapter="Codex",
    program="codex",
    install="npm install -g @openai/codex",
    sign_in="codex login",
    driven="0.169.0",
    package="@openai/codex",
    node=(16,),
    provider="openai",
    credentials=("CODEX_API_KEY", "OPENAI_API_KEY", "CODEX_HOME"),
    config_variable="CODEX_HOME",
    config=".codex",
)

GEMINI: Final = KnownAgent(
    kind="gemini",
    title="Gemini CLI",
    module="smithers.agents.gemini",
    adapter="Gemini",
    program="gemini",
    install="npm install -g @google/gemini-cli",
    sign_in="gemini",
    driven="0.61.0",
    package="@google/gemini-cli",
    node=(20,),
    provider="google",
    credentials=(
        "GEMINI_API_KEY",
        "GEMINI_CLI_HOME",
        "GOOGLE_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GENAI_USE_VERTEXAI",
    ),
    config_variable="GEMINI_CLI_HOME",
    config=".gemini",
)

PI: Final = KnownAgent(
    kind="pi",
    title="Pi",
    module="smithers.agents.pi",
    adapter="Pi",
    program="pi",
    install="npm install -g @earendil-works/pi-coding-agent",
    sign_in="pi, and then /login",
    driven="0.87.1",
    package="@earendil-works/pi-coding-agent",
    node=(22, 19),
    credentials=(
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_OAUTH_TOKEN",
        "GEMINI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_API_KEY",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "KIMI_API_KEY",
        "MOONSHOT_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "PI_CODING_AGENT_DIR",
        "PI_CODING_AGENT_SESSION_DIR",
    ),
    config_variable="PI_CODING_AGENT_DIR",
    config=".pi/agent",
    quiet={"PI_OFFLINE": "1", "PI_TELEMETRY": "0"},
)

OPENCODE: Final = KnownAgent(
    kind="opencode",
    title="OpenCode",
    module="smithers.agents.opencode",
    adapter="OpenCode",
    program="opencode",
    install="npm install -g opencode-ai",
    sign_in="opencode auth login",
    driven="1.18.33",
    package="opencode-ai",
    credentials=(
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "GEMINI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_GENERATIVE_AI_API_KEY",
        "KIMI_API_KEY",
        "MOONSHOT_API_KEY",
        "OPENAI_API_KEY",
        "OPENCODE_API_KEY",
        "OPENCODE_CONFIG",
        "OPENCODE_CONFIG_CONTENT",
        "OPENCODE_CONFIG_DIR",
    ),
    config=".local/share/opencode",
    quiet={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
)

KIMI: Final = KnownAgent(
    kind="kimi",
    title="Kimi Code",
    module="smithers.agents.kimi",
    adapter="Kimi",
    program="kimi",
    install="npm install -g @moonshot-ai/kimi-code",
    sign_in="kimi login",
    driven="2.1.0",
    package="@moonshot-ai/kimi-code",
    node=(22, 19),
    provider="moonshotai",
    credentials=(
        "KIMI_API_KEY",
        "KIMI_BASE_URL",
        "KIMI_CODE_BASE_URL",
        "KIMI_CODE_HOME",
        "KIMI_MODEL_API_KEY",
        "KIMI_MODEL_BASE_URL",
        "KIMI_MODEL_MAX_CONTEXT_SIZE",
        "KIMI_MODEL_NAME",
        "KIMI_MODEL_PROVIDER_TYPE",
        "KIMI_SHARE_DIR",
    ),
    config=".kimi-code",
    quiet={"KIMI_CLI_NO_AUTO_UPDATE": "1", "KIMI_DISABLE_TELEMETRY": "1"},
)

AMP: Final = KnownAgent(
    kind="amp",
    title="Amp",
    module="smithers.agents.amp",
    adapter="Amp",
    program="amp",
    install="npm install -g --allow-scripts=@ampcode/cli @ampcode/cli",
    sign_in="amp login",
    package="@ampcode/cli",
    credentials=("AMP_API_KEY", "AMP_SETTINGS_FILE", "AMP_URL"),
    config=".local/share/amp",
    quiet={"AMP_SKIP_UPDATE_CHECK": "1"},
)

FORGE: Final = KnownAgent(
    kind="forge",
    title="Forge",
    module="smithers.agents.forge",
    adapter="Forge",
    program="forge",
    install="curl -fsSL https://forgecode.dev/cli | sh",
    sign_in="forge provider login",
    credentials=(
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_URL",
        "FORGE_CONFIG",
        "FORGE_KEY",
        "GEMINI_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_URL",
    ),
)

ANTIGRAVITY: Final = KnownAgent(
    kind="antigravity",
    title="Antigravity",
    module="smithers.agents.antigravity",
    adapter="Antigravity",
    program="agy",
    install="curl -fsSL https://antigravity.google/cli/install.sh | bash",
    sign_in="agy",
    config=".gemini/antigravity-cli",
    quiet={"AGY_CLI_DISABLE_AUTO_UPDATE": "1"},
)

KNOWN: Final[Mapping[str, KnownAgent]] = {
    one.kind: one for one in (CLAUDE_CODE, CODEX, GEMINI, PI, OPENCODE, KIMI, AMP, FORGE, ANTIGRAVITY)
}
"""By kind, in the order they are shown."""


def named(word: str) -> KnownAgent:
    """The agent that a person means: by its kind, its program, its class, or the beginning of one of them.

    Raises:
        UsageRefused: none, or several.
    """
    wanted = word.lower()
    names = {one.kind: {one.kind, one.program, one.adapter.lower()} for one in KNOWN.values()}
    found = [kind for kind, its in names.items() if wanted in its]
    found = found or [kind for kind, its in names.items() if any(name.startswith(wanted) for name in its)]
    if len(found) == 1:
        return KNOWN[found[0]]
    what = f"{word!r} may be {' or '.join(found)}" if found and word else f"no agent {word!r}"
    raise UsageRefused(what, hint=f"name one of {', '.join(KNOWN)}")


def adapter(known: KnownAgent) -> type[CliAgent] | None:
    """Its adapter, imported now; None: this build has none."""
    try:
        module = import_module(known.module)
    except ModuleNotFoundError as error:
        if error.name != known.module:
            raise
        return None
    found: type[CliAgent] = getattr(module, known.adapter)
    return found
