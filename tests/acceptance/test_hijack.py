"""`smithers hijack`: an agent's conversation goes on by hand, and then by itself."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.process import SMITHERS, Project, environment

AGENT = """\
#!/usr/bin/env python3
import json, sys, time, uuid
from pathlib import Path
here = Path(__file__).parent
words = sys.argv[1:]
if "-p" not in words:
    session = words[words.index("--resume") + 1]
    (here / "by-hand").write_text(f"{session} {sys.stdin.isatty()}")
    said = input("you: ")
    (here / session).write_text(said)
    sys.exit(0)
asked = sys.stdin.read()
session = words[words.index("--resume") + 1] if "--resume" in words else "s-1"
print(json.dumps({"type": "system", "subtype": "init", "session_id": session}), flush=True)
with (here / "asked").open("a") as file:
    file.write(json.dumps(asked) + "\\n")
if "--resume" not in words:
    time.sleep(60)
answer = (here / session).read_text()
print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "session_id": session,
                  "result": json.dumps({"text": answer})}), flush=True)
"""

FLOW = """
from smithers.agents import ClaudeCode

@workflow
def flow(ctx):
    return Sequence(
        Task("quick", Text, run=lambda: {"text": "x"}),
        Task("code", Text, agent=ClaudeCode(binary=str(HERE / "agent.py")), prompt="Write code."),
    )
"""


@pytest.fixture
def coding(project: Project) -> Project:
    agent = project.folder / "agent.py"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    project.write(FLOW)
    return project


def until(condition: object, what: str) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.02)


def typed(project: Project, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """A command in a terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SMITHERS, *words], cwd=project.folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def test_a_conversation_is_taken_into_the_terminal_and_goes_on_as_it_was_left(coding: Project) -> None:
    up = subprocess.Popen(
        [SMITHERS, "up", "flow.py", "-r", "r1"], cwd=coding.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until((coding.folder / "asked").exists, "the agent did not begin")
    process, ours = typed(coding, "hijack", "r1", "code")
    until((coding.folder / "by-hand").exists, "nothing was handed over")
    assert up.wait(30) == 3
    assert (coding.folder / "by-hand").read_text() == "s-1 True"
    refused = coding.run("up", "flow.py", "-r", "r1", "--resume")
    assert (refused.returncode, "[RUN_OWNED]" in refused.stderr) == (4, True)
    os.write(ours, b"by hand\n")
    said = b""
    while chunk := _read(ours):
        said += chunk
    assert process.wait(30) == 0, said.decode()
    until(lambda: "finished" in coding.run("ps").stdout, "the run did not go on")
    assert '"by hand"' in coding.run("output", "r1").stdout
    first, second = (coding.folder / "asked").read_text().splitlines()
    assert "Write code." in first
    assert "You were interrupted" in second


def _read(ours: int) -> bytes:
    try:
        return os.read(ours, 4096)
    except OSError:
        return b""  # the terminal has been left


def test_without_a_terminal_it_only_says_what_to_type(coding: Project) -> None:
    up = subprocess.Popen(
        [SMITHERS, "up", "flow.py", "-r", "r1"], cwd=coding.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until((coding.folder / "asked").exists, "the agent did not begin")
    refused = coding.run("hijack", "r1", "code")
    assert (refused.returncode, "needs a terminal" in refused.stderr) == (4, True)
    printed = coding.run("hijack", "r1", "code", "--print")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip().endswith(f"{coding.folder}/agent.py --resume s-1")
    assert up.poll() is None
    assert coding.run("cancel", "r1").returncode == 0
    up.wait(30)


def test_what_has_no_conversation_is_refused_by_name(coding: Project) -> None:
    assert coding.run("hijack", "r1", "code").returncode == 4
    project_flow = Path(coding.folder / "flow.py")
    project_flow.write_text(project_flow.read_text().replace('Task("code"', 'None and Task("code"'))
    assert coding.run("up", "flow.py", "-r", "r1").returncode == 0
    refused = coding.run("hijack", "r1", "quick", "--print")
    assert (refused.returncode, "[HIJACK_REFUSED]" in refused.stderr) == (4, True)
    assert coding.run("hijack", "r1", "nothing", "--print").returncode == 4
