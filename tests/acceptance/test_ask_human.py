"""`smithers ask-human`: a program of a task asks a person, and waits."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from tests.acceptance.process import SMITHERS, Project, wait_until
from tests.acceptance.waiting import await_rest

FLOW = """
import subprocess
from smithers.agents import CommandAgent

asks = CommandAgent(["/bin/sh", "-c", '''%(script)s'''], name="painter")

@workflow
def flow(ctx):
    return Task("paint", str, agent=asks, prompt="Paint it.", retries=1%(options)s)
"""
ASK = f"{SMITHERS} ask-human 'Which colour?' --choices red,blue"


def start(project: Project, script: str, options: str = "") -> subprocess.Popen[str]:
    project.write(FLOW % {"script": script, "options": options})
    return project.start("up", "flow.py", "-r", "r1")


def open_questions(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.run("inbox", "--json").stdout)["waits"]
    return found


def await_question(project: Project) -> dict[str, Any]:
    wait_until(lambda: bool(open_questions(project)), "the question")
    (found,) = open_questions(project)
    return found


def test_an_agent_is_given_a_persons_answer_and_its_silence_meanwhile_is_no_stall(project: Project) -> None:
    start(project, f"echo it is $({ASK})", options=', heartbeat_timeout="2s"')
    question = await_question(project)
    assert (question["node"], question["number"], question["title"]) == ("paint", 1, "Which colour?")
    assert "paint#1 waits for an answer: Which colour?" in " ".join(project.run("why", "r1").stdout.split())
    refused = project.run("answer", "r1", "--value", '"green"')
    assert (refused.returncode, "[ANSWER_UNFIT]" in refused.stderr) == (4, True)
    time.sleep(3)  # longer than it may be silent
    answered = project.run("answer", "r1", "paint#1", "--value", '"red"')
    assert answered.returncode == 0, answered.stderr
    assert await_rest(project) == "finished"
    assert json.loads(project.run("output", "r1").stdout) == {"text": "it is red"}
    assert open_questions(project) == []


def test_what_was_answered_is_not_asked_again_by_a_later_attempt(project: Project) -> None:
    script = f"answer=$({ASK}); [ -e tried ] || {{ touch tried; exit 1; }}; echo it is $answer"
    start(project, script)
    await_question(project)
    assert project.run("answer", "r1", "--value", '"blue"').returncode == 0
    assert await_rest(project) == "finished"
    assert json.loads(project.run("output", "r1").stdout) == {"text": "it is blue"}


def test_a_question_has_a_deadline_and_ends_with_its_task(project: Project) -> None:
    start(project, f"{ASK} --timeout 1s || echo nobody, code $?")
    await_question(project)
    assert await_rest(project) == "finished"
    assert json.loads(project.run("output", "r1").stdout) == {"text": "nobody, code 1"}

    project.write(FLOW % {"script": ASK, "options": ""}, "other.py")
    project.start("up", "other.py", "-r", "r2")
    await_question(project)
    assert project.run("cancel", "r2").returncode == 0
    assert open_questions(project) == []
    late = project.run("answer", "r2", "--value", '"red"')
    assert (late.returncode, "[NOT_WAITING]" in late.stderr) == (4, True)


def test_a_kill_of_the_engine_withdraws_the_question_and_the_next_attempt_asks_anew(project: Project) -> None:
    engine = start(project, f"echo it is $({ASK})")
    await_question(project)
    engine.kill()
    engine.wait()
    project.start("up", "--resume", "r1")
    wait_until(lambda: [one["number"] for one in open_questions(project)] == [2], "the second question")
    assert project.run("answer", "r1", "--value", '"red"').returncode == 0
    assert await_rest(project) == "finished"


def test_outside_a_task_it_is_refused(project: Project) -> None:
    refused = project.run("ask-human", "Who are you?")
    assert (refused.returncode, "[USAGE]" in refused.stderr) == (4, True)
