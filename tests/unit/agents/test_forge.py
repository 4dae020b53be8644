"""Forge: how it is called, and what its text comes to; none of it was seen, it is as its source says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers.agents import Forge
from smithers.errors import AgentAuth, AgentError, AgentQuota, AgentThrottled, AgentUnfit
from smithers.ports import AgentTools, NoticeEvent, SessionEvent, TextEvent
from tests.unit.agents.folded import FOLDER, Folded, folded, request
from tests.unit.agents.watched import Watched

WRITE = """\
\x1b[33m⏺\x1b[0m \x1b[2m[14:03:11]\x1b[0m Initialize s1
I will write that file.

⏺ [14:03:12] Create hello.txt
{"path": "hello.txt"}
⏺ [14:03:13] Execute [/bin/bash] ls
The file is there.

It says hi.
⏺ [14:03:14] Finished s1
"""


def said(text: str, **how: Any) -> Folded:
    return folded(Forge(), text, session="s1", **how)


def failed(why: str) -> str:
    return f"⏺ [14:03:11] Initialize s1\nI will do it.\n⏺ [14:03:12] ERROR: {why}\n"


def test_it_is_called_with_its_own_words() -> None:
    agent = Forge(agent="muse", cwd="/work", args=["--verbose"])
    how = agent.invocation(request(prompt="- hello", session="s1"), FOLDER)
    assert how.argv == ("forge", "-C", "/work", "--conversation-id", "s1", "--agent", "muse", "--verbose")
    assert (how.stdin, how.is_text) == ("- hello", True)
    assert (how.env["FORGE_RETRY_MAX_ATTEMPTS"], how.env["NO_COLOR"]) == ("3", "1")


def test_what_it_has_no_word_for_is_refused() -> None:
    for agent, more in ((Forge(model="m"), {}), (Forge(), {"session": "s1", "forks": True})):
        with pytest.raises(AgentUnfit):
            agent.invocation(request(**more), FOLDER)
    with pytest.raises(AgentUnfit):
        Forge().check(AgentTools(()))


@pytest.fixture
def calls() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


def test_a_new_conversation_is_given_its_name(calls: Watched, tmp_path: Path) -> None:
    file = tmp_path / "forge"
    file.write_text("#!/bin/sh\ncat\n")
    file.chmod(0o755)
    called = calls.ask(Forge(binary=str(file), cwd=tmp_path), "hello")
    assert called.answer.text == "hello"
    assert called.told(SessionEvent) == [SessionEvent(called.answer.session or "")]
    assert called.answer.session in calls.programs[0]
    again = calls.ask(Forge(binary=str(file), cwd=tmp_path), "hello", session=called.answer.session)
    assert again.answer.session == called.answer.session


def test_the_last_text_is_the_answer_and_titles_are_none() -> None:
    heard = said(WRITE)
    assert heard.answer.text == "The file is there.\n\nIt says hi."
    assert heard.told(SessionEvent) == [SessionEvent("s1")]
    assert [notice.text.partition("] ")[2] for notice in heard.told(NoticeEvent)] == [
        "Initialize s1", "Create hello.txt", "Execute [/bin/bash] ls", "Finished s1",
    ]  # fmt: skip
    assert '{"path": "hello.txt"}\n' in [event.text for event in heard.told(TextEvent)]


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("401 Unauthorized Reason: invalid key", AgentAuth),
        ("No API key configured, run forge provider login", AgentAuth),
        ("429 Too Many Requests", AgentThrottled),
        ("429 insufficient_quota: you exceeded your current quota", AgentQuota),
        ("Failed to fetch\n\nCaused by:\n    error sending request: connection refused", AgentThrottled),
        ("Undefined agent: nosuch", AgentUnfit),
        ("something else", AgentError),
    ],
)
def test_an_error_is_one_though_it_leaves_with_status_0(why: str, kind: type[AgentError]) -> None:
    assert type(said(failed(why)).failure) is kind


def test_an_error_that_it_has_got_over_is_none() -> None:
    assert (
        said(f"{failed('Tool call failed')}⏺ [14:03:13] Execute ls\nAll is well.\n").answer.text
        == "All is well."
    )


def test_words_of_an_answer_are_no_error() -> None:
    assert said("It printed `ERROR: 401 Unauthorized`, and left.\n").answer.text


def test_another_status_than_0_is_a_failure() -> None:
    assert type(said("half", status=1, stderr="thread panicked").failure) is AgentError
    assert type(said("", status=2, stderr="error: unexpected argument '--x' found").failure) is AgentUnfit


@given(st.text(), st.text(), st.integers(-20, 3))
def test_whatever_it_prints_it_ends_well_or_with_an_agents_error(text: str, stderr: str, status: int) -> None:
    found = folded(Forge(), text, session="s1", stderr=stderr, status=status)
    assert (found.reply is None) != (found.error is None)
