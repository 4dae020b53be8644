"""The table of agents that are programs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

import smithers.agents
from smithers.agents.registry import CLAUDE_CODE, CODEX, KNOWN, KnownAgent, adapter, named
from smithers.errors import UsageRefused

PRESENT = [known for known in KNOWN.values() if adapter(known) is not None]


@pytest.mark.parametrize("known", PRESENT, ids=lambda known: known.kind)
def test_the_table_says_of_an_adapter_what_it_says_of_itself(known: KnownAgent) -> None:
    found = adapter(known)
    assert found is not None
    assert (found.kind, found.program) == (known.kind, known.program)
    assert (found.install, found.sign_in) == (known.install, known.sign_in)
    assert set(found.credentials) == set(known.credentials)
    assert found.config_variable == known.config_variable


def test_some_adapter_is_present() -> None:
    assert CLAUDE_CODE in PRESENT


def test_an_adapter_that_is_left_out_is_missing_and_one_that_is_broken_is_not() -> None:
    assert adapter(replace(CODEX, module="smithers.agents.nonesuch")) is None
    with pytest.raises(AttributeError):
        adapter(replace(CLAUDE_CODE, adapter="Nonesuch"))


@pytest.mark.parametrize("word", ["claude-code", "claude", "ClaudeCode", "claudecode", "cl", "CLAUDE-CODE"])
def test_an_agent_is_named_by_its_kind_its_program_or_its_class(word: str) -> None:
    assert named(word) is CLAUDE_CODE


def test_a_word_that_means_none_or_several_is_refused_with_all_names() -> None:
    with pytest.raises(UsageRefused, match="no agent 'nonesuch'") as refused:
        named("nonesuch")
    assert all(kind in refused.value.hint for kind in KNOWN)
    with pytest.raises(UsageRefused, match="'a' may be amp or antigravity"):
        named("a")
    with pytest.raises(UsageRefused):
        named("")


def test_public_names_are_there_and_others_are_not() -> None:
    for name in smithers.agents.__all__:
        assert getattr(smithers.agents, name) is not None
    assert set(smithers.agents.__all__) <= set(dir(smithers.agents))
    with pytest.raises(AttributeError, match="no attribute 'Clod'"):
        smithers.agents.Clod  # noqa: B018


def test_no_public_name_is_hidden_by_a_module() -> None:
    program = (
        "import smithers.agents.rehearsal, smithers.agents as agents;"
        "modules = [name for name in agents.__all__ if type(getattr(agents, name)).__name__ == 'module'];"
        "raise SystemExit(str(modules) if modules else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("module", ["", ".registry", ".probe", ".diagnosis"])
def test_looking_for_agents_costs_neither_pydantic_nor_an_adapter(module: str) -> None:
    program = (
        f"import sys, smithers.agents{module};"
        "dear = {'pydantic', 'pydantic_core', 'asyncio', 'smithers.agents.cli'} & set(sys.modules);"
        "sys.exit(str(dear) if dear else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
