"""What all agents that are programs share."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from smithers.agents.cli import CliAgent
from smithers.errors import AgentAuth, AgentError, AgentMissing, AgentUnfit, InvalidNode, ProgramNotFound
from smithers.ports import AgentEvent, AgentTools
from tests.contract.stage import Stage
from tests.unit.agents.cli.parrot import DONE, Parrot
from tests.unit.process.family import until


class Shape(BaseModel):
    walrus_count: int


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_an_answer_comes_back(stage: Stage) -> None:
    assert stage.ask(Parrot(), """echo '{"done":"an answer"}'""").text == "an answer"


def test_an_answer_without_a_word_is_none(stage: Stage) -> None:
    error = stage.error(Parrot(), """echo '{"done":" "}'""")
    assert error.message == "parrot answered nothing"
    assert error.details["account"] == "parrot"


def test_files_of_a_call_lie_in_a_folder_that_goes_with_it(stage: Stage) -> None:
    agent = Parrot(files={"a.json": '{"ünï":1}', "half": "\ud800"})
    stage.ask(agent, f'cat "$0/a.json" "$0/half"; echo; {DONE}')
    assert '{"ünï":1}?' in str(stage.events)


def test_a_shape_is_asked_for_in_the_prompt(stage: Stage) -> None:
    prompt = Parrot().prompt(stage.request("Count.", schema=Shape))
    assert prompt.startswith("Count.\n")
    assert "walrus_count" in prompt
    assert Parrot().prompt(stage.request("Count.")) == "Count."


def test_an_error_is_told_with_what_to_do_and_whose_account_it_was(stage: Stage) -> None:
    error = stage.error(Parrot(config_dir="/c"), """echo '{"denied":"no key"}'""")
    assert isinstance(error, AgentAuth)
    assert error.hint == "sign in: `cage key`"
    assert error.details["account"] == "parrot:/c"


def test_a_missing_program_is_told_with_how_to_get_it(stage: Stage, tmp_path: Path) -> None:
    for binary in ("no-such-program-here", str(tmp_path), str(tmp_path / "x")):
        error = stage.error(Parrot(binary=binary))
        assert type(error) is AgentMissing
        assert error.hint == "install it: `cage open`"


def test_a_missing_folder_is_not_taken_for_a_missing_program(stage: Stage) -> None:
    with pytest.raises(ProgramNotFound, match="/not-there"):
        stage.ask(Parrot(cwd="/not-there"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_program_can_be_told_is_refused(stage: Stage, text: str) -> None:
    for agent in (Parrot(args=[text]), Parrot(env={"A": text}), Parrot(env={text: "1"}), Parrot(cwd=text)):
        error = stage.error(agent)
        assert type(error) is AgentUnfit
        json.dumps(error.message).encode()
    assert type(stage.error(Parrot(), text)) is AgentUnfit
    assert "secret" not in str(stage.error(Parrot(env={"KEY": f"secret{text}"})))
    assert stage.children == []


def test_bytes_that_are_no_text_can_be_told_as_they_came(stage: Stage) -> None:
    name = os.fsdecode(b"caf\xe9")
    stage.ask(Parrot(args=[name]), f'printf %s "$1" | od -An -tx1; {DONE}')
    assert "63 61 66 e9" in str(stage.events)


def test_a_list_of_tools_is_refused_before_anything_starts(stage: Stage) -> None:
    for tools in (AgentTools(()), AgentTools(("a",)), AgentTools(None, explicit_only=True)):
        assert type(stage.error(Parrot(), tools=tools)) is AgentUnfit
    assert stage.children == []
    assert stage.ask(Parrot(), DONE, tools=AgentTools()).text == "yes"


@pytest.mark.parametrize(
    ("tools", "own", "found"),
    [
        (AgentTools(), None, None),
        (AgentTools(), ["a"], ("a",)),
        (AgentTools(), (), ()),
        (AgentTools(("b",)), ["a"], ("b",)),
        (AgentTools(()), ["a"], ()),
        (AgentTools(None, explicit_only=True), None, ()),
        (AgentTools(None, explicit_only=True), ["a"], ("a",)),
    ],
)
def test_the_tasks_tools_come_before_the_agents(
    tools: AgentTools, own: list[str] | None, found: object
) -> None:
    assert Parrot().tools_for(tools, own) == found


# --- Being cancelled ----------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
def test_a_cancel_is_over_when_nothing_is_left_however_often_it_is_asked_for(
    stage: Stage, tmp_path: Path, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    begun = tmp_path / "begun"

    async def main() -> None:
        call = Parrot().call(stage.request(f"(setsid sleep 9 &) ; touch '{begun}'; exec sleep 9"))
        calling = asyncio.ensure_future(call)
        await asyncio.to_thread(until, begun.exists)
        for _ in range(times):
            calling.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert stage.survivors() == []

    with caplog.at_level(logging.DEBUG, "asyncio"):
        asyncio.run(main())
    assert "never retrieved" not in caplog.text


def test_a_call_that_is_cancelled_while_its_program_is_being_started_leaves_nothing(stage: Stage) -> None:
    asked, may_go = threading.Event(), threading.Event()

    def before() -> None:
        asked.set()
        may_go.wait(20)

    async def main() -> None:
        calling = asyncio.ensure_future(Parrot(before=before).call(stage.request("exec sleep 9")))
        await asyncio.to_thread(asked.wait, 20)
        calling.cancel()
        await asyncio.sleep(0)
        may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(main())
    assert len(stage.children) == 1
    assert stage.survivors() == []
    (child,) = stage.children
    assert child.stdout is not None
    assert child.stdout.closed


def test_a_cancel_that_comes_with_the_last_word_is_a_cancel(stage: Stage) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def emit(event: AgentEvent) -> None:
            loop.call_soon_threadsafe(calling.cancel)

        calling = asyncio.ensure_future(Parrot().call(stage.request(DONE, emit=emit)))
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(main())
    assert stage.survivors() == []


# --- Its options --------------------------------------------------------------------------------


@pytest.mark.parametrize("span", [0, -1, -0.5, float("nan"), "", "soon", "0s", "5 parsecs"])
def test_a_span_that_is_none_is_refused_where_it_is_written(span: float | str) -> None:
    makers: list[Callable[[], CliAgent]] = [
        lambda: Parrot(timeout=span),
        lambda: Parrot(idle_timeout=span),
        lambda: Parrot(start_timeout=span),
    ]
    for make in makers:
        with pytest.raises(InvalidNode, match="is not a positive span"):
            make()


def test_spans_are_seconds_or_text() -> None:
    clocks = Parrot(timeout="1h", idle_timeout=2.5, start_timeout=None).clocks
    assert (clocks.total_s, clocks.idle_s, clocks.start_s) == (3600, 2.5, None)
    assert (Parrot().clocks.start_s, Parrot().clocks.idle_s, Parrot().clocks.total_s) == (180, 900, None)


def test_a_set_among_its_options_is_one_identity_in_every_process() -> None:
    code = """if True:
        from tests.unit.agents.cli.parrot import Parrot
        print(Parrot(words={"a", "b", "c", "d", "e"}).identity["words"])"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            cwd=Path(__file__).parents[4],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert found == {"['a', 'b', 'c', 'd', 'e']\n"}


def test_variables_come_from_the_program_the_author_and_the_task_in_this_order(stage: Stage) -> None:
    agent = Parrot(env={"OWN": "author's", "A": "author's"})
    env = agent.environment(stage.request(env={"A": "task's"}), {"OWN": "program's", "P": "program's"})
    assert (env["P"], env["OWN"], env["A"]) == ("program's", "author's", "task's")


def test_a_private_folder_is_not_signed_in_by_our_key(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_KEY", "ours")
    assert Parrot().environment(stage.request(), {})["PI_KEY"] == "ours"
    env = Parrot(config_dir="/c").environment(stage.request(), {})
    assert "PI_KEY" not in env
    assert env["PARROT_HOME"] == "/c"


def test_an_agent_says_what_it_cannot_do_by_its_name() -> None:
    error = Parrot(name="polly").cannot("fly")
    assert isinstance(error, AgentError)
    assert error.message == "polly cannot fly"
