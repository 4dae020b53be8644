"""The environment of an agent's program: ours, without what belongs to an agent that we may run in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SCRUBBED: Final = (
    "AGY_",
    "AMP_",
    "ANTHROPIC_",
    "CLAUDE",  # CLAUDECODE, CLAUDE_CODE_…, CLAUDE_CONFIG_DIR
    "CODEX_",
    "FORGE_",
    "GEMINI_",
    "GOOGLE_",
    "KIMI_",
    "MOONSHOT_",
    "OPENAI_",
    "OPENCODE",
    "PI_",
)
"""Beginnings of names that are not handed on: one agent that starts us must not set up another one."""


def scrubbed(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment (by default ours) without the variables of any agent."""
    found = os.environ if environment is None else environment
    return {name: value for name, value in found.items() if not name.upper().startswith(SCRUBBED)}


def data_home(environment: Mapping[str, str]) -> Path:
    """Where programs keep their data by the XDG convention."""
    return Path(environment.get("XDG_DATA_HOME") or f"{environment.get('HOME', '')}/.local/share")


def environment_for(
    credentials: tuple[str, ...],
    added: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What an agent's program is started with.

    Args:
        credentials: names of variables that this agent signs in by; taken over where they are set.
        added: what its options, its author and its task set; the last word.
        environment: where all others come from; by default ours.
    """
    found = os.environ if environment is None else environment
    kept = {name: found[name] for name in credentials if name in found}
    return {**scrubbed(found), **kept, **added}
