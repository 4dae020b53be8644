"""Programs of agents that misbehave, each in its own way, with what has to come of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from smithers.errors import AgentError, AgentStalled, AgentTimeout
from tests.contract import claude_words as claude

_BEGINNING = """
import os, signal, subprocess, sys, time
MB = 1 << 20
HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
INIT = {init!r}.encode()
SUCCESS = {success!r}.encode()

def say(data, to=1):
    view = memoryview(data)
    while view:
        view = view[os.write(to, view):]

def deaf():
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)

def hang():
    while True:
        time.sleep(100)

def child(*calls):
    if os.fork() == 0:
        for call in calls:
            call()
        hang()

def fork_away():
    if os.fork():
        os._exit(0)

def note():
    open(f"{{HERE}}/{{os.getpid()}}.pid", "w").close()

"""


@dataclass(frozen=True, slots=True)
class Rogue:
    """One way to misbehave."""

    name: str
    code: str
    """Python, after the helpers above."""
    error: type[AgentError] | None = None
    """None: it is a success."""
    within_s: float = 3.0
    """Longest time from the call to its end, on a machine that is not busy."""
    says: str = ""
    """Part of the error's message."""
    prompt_bytes: int = 10
    timeout: float | None = None
    """Of the whole call, in seconds."""
    silence: float = 1.0
    """How long it may be silent, in seconds."""
    more_mb: float | None = None
    """How much memory more than before it may take us at the peak; None: it is not measured."""

    def __str__(self) -> str:
        return self.name

    def install(self, folder: Path) -> Path:
        """Write the program; returns its path."""
        beginning = _BEGINNING.format(
            init=claude.lines(claude.init()), success=claude.lines(claude.said("done"), claude.result("done"))
        )
        path = folder / "rogue"
        path.write_text(f"#!{sys.executable} -IS\n{beginning}\n{self.code}\n", encoding="utf-8")
        path.chmod(0o755)
        return path


GRACE_S, LEAVE_S, DRAIN_S = 5.0, 10.0, 1.0
"""As `smithers.agents.cli.conversation` has them."""

ROGUES = [
    Rogue("hangs without a word", "hang()", AgentStalled, 3, "did not begin"),
    Rogue("hangs after its first word", "say(INIT); hang()", AgentStalled, 3, "no sign of life"),
    Rogue("hangs and does not hear", "deaf(); say(INIT); hang()", AgentStalled, 1 + GRACE_S + 2),
    Rogue(
        "does not hear and goes on writing",
        "deaf()\nwhile True:\n    say(b'noise\\n' * 100); time.sleep(0.001)",
        AgentTimeout, 1 + GRACE_S + 2, "longer than 1 s", timeout=1,
    ),
    Rogue(
        "goes on writing lines as fast as it can",
        "deaf()\nwhile True:\n    say(b'x\\n' * 100_000)",
        AgentTimeout, 1 + GRACE_S + 3, timeout=1, more_mb=50,
    ),
    Rogue(
        "goes on writing events as fast as it can",
        "while True:\n    say(INIT * 100)",
        AgentTimeout, 4, timeout=1, more_mb=50,
    ),
    Rogue("leaves children behind", "child(note); child(deaf, note); say(SUCCESS)", None, 4),
    Rogue(
        "leaves behind what has a session of its own and holds the pipes",
        "child(os.setsid, fork_away, deaf, note); say(SUCCESS)",
        None, 4,
    ),
    Rogue(
        "leaves behind what writes into its pipe for ever",
        "def write():\n    while True:\n        say(b'more\\n' * 1000)\n"
        "child(os.setsid, fork_away, deaf, note, write)\nsay(SUCCESS)",
        None, 4,
    ),
    Rogue(
        "is ended while children of all kinds are there",
        "child(note)\nchild(os.setsid, note)\nchild(os.setsid, fork_away, deaf, note)\n"
        "child(note, lambda: os.kill(os.getpid(), signal.SIGSTOP))\nsay(INIT)\nhang()",
        AgentStalled, 1 + GRACE_S + 2,
    ),
    Rogue(
        "closes its output and goes on",
        "say(INIT); os.close(1); hang()",
        AgentError, LEAVE_S + 3, "no result",
    ),
    Rogue(
        "closes all its streams and goes on",
        "say(INIT)\nfor one in (0, 1, 2): os.close(one)\nhang()",
        AgentError, LEAVE_S + 3, "no result",
    ),
    Rogue("does not read a prompt of 10 MB", "say(SUCCESS)", None, prompt_bytes=10 << 20),
    Rogue(
        "closes its input with 10 MB to come", "os.read(0, 100); os.close(0); time.sleep(0.3); say(SUCCESS)",
        None, prompt_bytes=10 << 20,
    ),
    Rogue(
        "reads its prompt and hangs", "while os.read(0, MB): pass\nhang()",
        AgentStalled, 4, prompt_bytes=10 << 20,
    ),
    Rogue(
        "reads half of its prompt and hangs", "os.read(0, MB)\nhang()",
        AgentStalled, 4, prompt_bytes=10 << 20,
    ),
    Rogue(
        "floods its standard error and says nothing", "deaf()\nblock = b'e' * MB\nwhile True: say(block, 2)",
        AgentStalled, 1 + GRACE_S + 3, more_mb=20,
    ),
    Rogue(
        "floods its standard error and succeeds",
        "block = b'e' * MB\nfor _ in range(1000): say(block, 2)\nsay(SUCCESS)",
        None, 30, silence=30, more_mb=20,
    ),
    Rogue(
        "writes 1 GB without the end of a line",
        "block = b'x' * MB\nfor _ in range(1000): say(block)",
        AgentError, 30, "longer than 32 MiB: 1", silence=30, more_mb=100,
    ),
    Rogue(
        "writes 1 GB without the end of a line, and then succeeds",
        "block = b'x' * MB\nfor _ in range(1000): say(block)\nsay(b'\\n' + SUCCESS)",
        None, 30, silence=30, more_mb=100,
    ),
    Rogue(
        "writes 1 GB without the end of a line for ever, byte by byte at first",
        "for _ in range(5000): say(b'{')\nblock = b'x' * MB\nwhile True: say(block)",
        AgentStalled, 4, more_mb=100,
    ),
    Rogue(
        "has a result of 40 MB",
        "say(INIT + SUCCESS.splitlines()[-1].replace(b'\"done\"', b'\"' + b'x' * (40 * MB) + b'\"'))",
        AgentError, 10, "longer than 32 MiB: 1", silence=10, more_mb=150,
    ),
    Rogue(
        "has a result of 30 MB",
        "say(INIT + SUCCESS.splitlines()[-1].replace(b'\"done\"', b'\"' + b'x' * (30 * MB) + b'\"'))",
        None, 10, silence=10, more_mb=300,
    ),
    Rogue("leaves without a word", "", AgentError, says="no result and left with status 0"),
    Rogue("leaves with half a line", "say(SUCCESS[:-40])", AgentError, says="no result"),
    Rogue("leaves with a last line that does not end", "say(SUCCESS.rstrip())", None),
    Rogue("succeeds and hangs", "say(SUCCESS); hang()", None, LEAVE_S + 3),
    Rogue(
        "succeeds, does not hear and goes on writing",
        "deaf(); say(SUCCESS)\nwhile True: say(b'noise\\n')",
        None, LEAVE_S + GRACE_S + 3, more_mb=50,
    ),
    Rogue("succeeds and is killed", "say(SUCCESS); os.kill(os.getpid(), signal.SIGKILL)", None),
    Rogue("succeeds and crashes", "say(SUCCESS); os.kill(os.getpid(), signal.SIGSEGV)", None),
    Rogue("succeeds with a bad status", "say(SUCCESS); os._exit(3)", None),
    Rogue("is killed without a word", "os.kill(os.getpid(), signal.SIGKILL)", AgentError, says="SIGKILL"),
    Rogue("stops itself", "say(INIT); os.kill(os.getpid(), signal.SIGSTOP)", AgentStalled, 4),
    Rogue(
        "stops itself and does not hear",
        "deaf(); say(INIT)\nwhile True: os.kill(os.getpid(), signal.SIGSTOP)",
        AgentStalled, 1 + GRACE_S + 2,
    ),
    Rogue("cannot be executed for what it is", "import no_such_module", AgentError, says="no_such_module"),
]  # fmt: skip
