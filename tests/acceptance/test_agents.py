"""`smithers agents`: what is here, what is wrong with it, and does it answer?"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from smithers.agents.environment import scrubbed
from smithers.agents.registry import KNOWN
from smithers.clock import SystemClock
from smithers.store import open_store
from tests.acceptance.process import SMITHERS, environment, smithers, wait_until
from tests.unit.process.family import lives

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("SMITHERS_AGENTS") or ROOT / ".cache/agents").absolute() / "bin"
"""The real programs, where they are installed; each of these tests starts some of them and asks no model."""

CLAUDE = """
    case "$*" in
        --version) echo '2.1.328 (Claude Code)';;
        'auth status') echo '{"loggedIn": true, "authMethod": "claude.ai"}';;
        *)
            cat >prompt
            echo '{"type":"system","subtype":"init","session_id":"s-1"}'
            echo '{"type":"assistant","message":{"content":[{"type":"text","text":"ready"}]}}'
            printf '%s' '{"type":"result","subtype":"success","is_error":false,"result":"ready",'
            printf '%s' '"session_id":"s-1","total_cost_usd":0.0083,"usage":{"input_tokens":2200,'
            echo '"cache_read_input_tokens":200,"output_tokens":68}}';;
    esac
"""


class Desk:
    """A private home and a private PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.bin = folder / "bin"
        self.home = folder / "home"
        for each in (self.folder, self.bin, self.home):
            each.mkdir()
        self.variables = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin"}
        # Below a temporary home it would be wrong in itself.
        self.variables["CODEX_HOME"] = "/nonesuch/codex"

    def program(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{dedent(script)}\n")
        path.chmod(0o755)
        return path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return smithers(self.folder, "agents", *words, **self.variables)

    def agents(self, *words: str) -> dict[str, dict[str, Any]]:
        """What a command says of each agent."""
        found = json.loads(self.run(*words, "--json").stdout)
        return {one["agent"]: one for one in found["agents"]}

    def in_terminal(self, *words: str, columns: int = 80, types: str = "") -> tuple[int, str]:
        """Exit code and screen of a command that sits at a terminal.

        Args:
            types: what somebody types once it has asked something.
        """
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [SMITHERS, "agents", *words],
            cwd=self.folder,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment(**self.variables, COLUMNS=str(columns), TERM="xterm"),
        )
        os.close(follower)
        screen, until = b"", time.monotonic() + 60
        while time.monotonic() < until:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    chunk = os.read(leader, 65536)
                except OSError:  # the other end is closed: Linux says it like this
                    chunk = b""
                if not chunk:
                    break
                screen += chunk
            if types and b"[y/N]" in screen:
                os.write(leader, types.encode())
                types = ""
        os.close(leader)
        return process.wait(20), screen.decode().replace("\r\n", "\n")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(scrubbed()):
            patch.delenv(name)
        for name in [name for name in os.environ if name.startswith("XDG_") or name.endswith("_API_KEY")]:
            patch.delenv(name)
        yield Desk(tmp_path)


# --- The list -----------------------------------------------------------------------------------


def test_a_machine_without_agents_lists_them_all_as_not_installed(desk: Desk) -> None:
    done = desk.run()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["AGENT", "VERSION", "SIGNED", "IN", "LEFT", "PARKED"]
    assert [line.split()[0] for line in lines[1:]] == list(KNOWN)
    assert all("not installed" in line for line in lines[1:])
    assert "smithers agents doctor" in done.stderr
    assert list(desk.home.iterdir()) == []


def test_each_program_is_shown_as_it_is(desk: Desk) -> None:
    claude = desk.program("claude", CLAUDE)
    desk.program(
        "codex", '[ "$1" = --version ] && echo codex-cli 0.169.0 || { echo Not logged in >&2; exit 1; }'
    )
    desk.program("gemini", "sleep 600")
    desk.program("pi", "echo certainly")
    desk.program("amp", "echo broken >&2; exit 1")
    began = time.monotonic()
    found = desk.agents()
    assert time.monotonic() - began < 8  # three seconds on a quiet machine
    assert found["claude-code"] == {
        "agent": "claude-code",
        "program": "claude",
        "path": str(claude),
        "version": "2.1.328",
        "driven": "2.1.328",
        "problem": None,
        "signed_in": True,
        "sign_in": "claude.ai",
        "quota": None,
        "parked": [],
    }
    assert (found["codex"]["version"], found["codex"]["signed_in"]) == ("0.169.0", False)
    assert (found["gemini"]["version"], found["gemini"]["problem"]) == (None, "it did not answer in time")
    assert (found["pi"]["version"], found["pi"]["problem"]) == (None, "certainly")
    assert (found["amp"]["version"], found["amp"]["problem"]) == (None, "broken")
    assert (found["forge"]["path"], found["forge"]["signed_in"]) == (None, None)


def test_the_list_without_a_word_is_the_list(desk: Desk) -> None:
    desk.program("claude", CLAUDE)
    assert desk.run().stdout == desk.run("list").stdout
    assert desk.agents() == desk.agents("list")


def test_a_fast_list_starts_nothing(desk: Desk) -> None:
    for known in KNOWN.values():
        desk.program(known.program, f"touch {desk.home}/started")
    found = desk.agents("list", "--fast")
    assert all(one["path"] for one in found.values())
    assert not (desk.home / "started").exists()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_the_terminal(desk: Desk, columns: int) -> None:
    desk.program("claude", CLAUDE)
    desk.program("amp", "echo '0.0.1790142911-g7618fb (released yesterday)'")
    desk.variables["OPENROUTER_API_KEY"] = "secret"
    desk.program("opencode", "echo 1.18.33")
    code, screen = desk.in_terminal("list", columns=columns)
    assert code == 0
    lines = screen.splitlines()
    assert max(map(len, lines)) <= columns + 20  # colours take none
    assert ("PROGRAM" in lines[0]) is (columns == 120)
    assert "secret" not in screen
    assert "\x1b[31mno\x1b[0m" in next(line for line in lines if line.startswith("amp"))


def test_a_key_is_never_printed(desk: Desk) -> None:
    desk.variables.update(ANTHROPIC_API_KEY="sk-secret-1", GEMINI_API_KEY="sk-secret-2")
    desk.program("claude", 'echo "$ANTHROPIC_API_KEY"')
    desk.program("gemini", "echo 0.61.0")
    desk.program("codex", "[ \"$1\" = login ] && echo 'API key configured - sk-secret-***3' || echo 0.169.0")
    for words in (("list",), ("list", "--json"), ("doctor",), ("doctor", "claude", "gemini", "--json")):
        done = desk.run(*words)
        assert "sk-secret" not in done.stdout + done.stderr
    assert desk.agents()["gemini"]["sign_in"] == "GEMINI_API_KEY"


# --- The doctor ---------------------------------------------------------------------------------


def test_the_doctor_is_content_with_one_agent_that_can_be_used(desk: Desk) -> None:
    assert desk.run("doctor").returncode == 1
    desk.program("claude", CLAUDE)
    done = desk.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ claude-code  can be used: 2.1.328, signed in (claude.ai)\n" in done.stdout
    assert "○ codex        not installed\n    next:     npm install -g @openai/codex\n" in done.stdout
    assert done.stdout.endswith("1 of 9 agents can be used\n")


def test_the_doctor_of_one_agent_says_all_and_fails_if_that_one_cannot_be_used(desk: Desk) -> None:
    desk.program("claude", CLAUDE)
    path = desk.program("codex", '[ "$1" = --version ] && echo 0.1.0 || { echo Not logged in; exit 1; }')
    done = desk.run("doctor", "codex")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "✗ codex        cannot be used",
        f"  ✓ program   {path}",
        "  ! version   0.1.0 is older than 0.169.0, which was tried",
        "    next:     npm install -g @openai/codex",
        "  ✗ sign-in   not signed in: it says so",
        "    next:     codex login",
    ]
    assert desk.run("doctor", "claude").returncode == 0
    assert desk.run("doctor", "claude", "codex").returncode == 1
    assert desk.run("doctor", "forge").returncode == 1


def test_the_doctor_speaks_json(desk: Desk) -> None:
    desk.program("codex", "echo whatever")
    done = desk.run("doctor", "codex", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (0, "ok")
    (codex,) = found["agents"]
    assert (codex["agent"], codex["usable"], codex["version"]) == ("codex", True, None)
    assert codex["findings"][1] == {
        "check": "version",
        "level": "warning",
        "text": "its version is unknown: it says 'whatever'",
        "command": "codex --version",
    }
    assert json.loads(desk.run("doctor", "pi", "--json").stdout)["status"] == "unhealthy"


def test_a_program_that_does_not_start_is_wrong_however_it_is_signed_in(desk: Desk) -> None:
    desk.variables["AMP_API_KEY"] = "key"
    desk.program("amp", "echo 'Error: Amp native binary not installed.' >&2; exit 1")
    (amp,) = desk.agents("doctor", "amp").values()
    assert not amp["usable"]
    assert amp["findings"][0]["command"] == KNOWN["amp"].install


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("doctor", "nonesuch"), "name one of claude-code, codex"),
        (("test", "nonesuch", "--yes"), "name one of claude-code, codex"),
        (("lsit",), "see `smithers agents --help`"),
        (("list", "--frob"), "see `smithers agents list --help`"),
        (("test", "claude", "--timeout", "soon", "-y"), "write seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused(desk: Desk, words: tuple[str, ...], hint: str) -> None:
    done = desk.run(*words)
    assert done.returncode == 4
    assert done.stderr.startswith("[USAGE] ")
    assert hint in done.stderr


def test_a_store_that_was_named_must_be_there(desk: Desk) -> None:
    done = desk.run("list", "--store", "nonesuch.db", "--fast")
    assert done.returncode == 1
    assert "[STORE_NOT_FOUND]" in done.stderr
    (desk.folder / ".git").mkdir()
    (desk.folder / ".smithers").mkdir()
    (desk.folder / ".smithers/smithers.db").write_text("this is no database, and long enough to tell" * 100)
    broken = desk.run("list", "--fast")
    assert broken.returncode == 0
    assert "who is parked is not known" in broken.stderr


def test_accounts_that_are_parked_in_the_store_are_shown(desk: Desk) -> None:
    (desk.folder / ".git").mkdir()
    flow = "from smithers import Task, workflow\n\n@workflow\ndef flow(ctx):\n"
    (desk.folder / "flow.py").write_text(f"{flow}    return Task('a', str, value='x')\n")
    assert smithers(desk.folder, "up", "flow.py").returncode == 0
    assert {tuple(one["parked"]) for one in desk.agents().values()} == {()}
    with closing(open_store(desk.folder / ".smithers/smithers.db", clock=SystemClock()).calls()) as calls:
        calls.park("codex", SystemClock().now_ms() + 7_530_000, "limit", first_ms=1, cap_ms=1)
        calls.park("pi", SystemClock().now_ms() - 1, "it is over", first_ms=1, cap_ms=1)
    found = desk.agents("list", "--fast")
    assert [(one["account"], one["reason"]) for one in found["codex"]["parked"]] == [("codex", "limit")]
    assert found["codex"]["parked"][0]["until"].endswith("Z")
    assert found["pi"]["parked"] == []
    assert "in 2h 5m" in desk.run("list", "--fast").stdout
    assert "! parked    in 2h 5m: codex\n" in desk.run("doctor", "codex").stdout


# --- The trial ----------------------------------------------------------------------------------


def test_a_trial_asks_one_question_and_shows_what_it_took(desk: Desk) -> None:
    noted = f"cat >{desk.home}/prompt; {{ pwd; ls -A; }} >{desk.home}/cwd"
    desk.program("claude", CLAUDE.replace("cat >prompt", noted))
    done = desk.run("test", "claude", "--yes")
    assert done.returncode == 0
    titles, row = done.stdout.splitlines()
    assert titles.split() == ["AGENT", "ANSWER", "TOOK", "TOKENS", "COST", "SESSION"]
    assert row.split()[:2] == ["claude-code", "ready"]
    assert row.split()[3:] == ["2,468", "$0.0083", "s-1"]
    assert (desk.home / "prompt").read_text() == "Answer with the single word ready"
    (folder,) = (desk.home / "cwd").read_text().splitlines()
    assert not Path(folder).exists()
    assert list(desk.folder.iterdir()) == []


def test_a_trial_spends_nothing_before_somebody_agrees(desk: Desk) -> None:
    desk.program("claude", CLAUDE.replace("cat >prompt", f"touch {desk.home}/asked; cat >/dev/null"))
    done = desk.run("test", "claude")
    assert done.returncode == 4
    assert "[USAGE] this spends tokens of claude-code\n  hint: add --yes" in done.stderr
    code, screen = desk.in_terminal("test", "claude", types="n\n")
    assert (code, "nothing was asked" in screen) == (4, True)
    assert not (desk.home / "asked").exists()
    code, screen = desk.in_terminal("test", "claude", types="y\n")
    assert code == 0
    assert "This spends tokens of claude-code. Go on? [y/N]:" in screen
    assert (desk.home / "asked").exists()


def test_a_trial_without_a_name_asks_all_that_may_answer(desk: Desk) -> None:
    desk.program("claude", CLAUDE)
    desk.program("gemini", "echo 0.61.0")  # it has no key
    done = desk.run("test", "--yes", "--json", "--prompt", "Say ready")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"]) == (0, "ok")
    (one,) = found["agents"]
    assert one.pop("took_ms") > 0
    assert one == {
        "agent": "claude-code",
        "answer": "ready",
        "usage": {
            "model": None,
            "input_tokens": 2400,
            "output_tokens": 68,
            "cache_read_tokens": 200,
            "cache_write_tokens": 0,
            "cost_usd": 0.0083,
            "cost_source": "cli",
        },
        "session": "s-1",
        "error": None,
    }


def test_a_trial_without_any_agent_says_where_to_look(desk: Desk) -> None:
    done = desk.run("test", "--yes")
    assert done.returncode == 1
    assert "[AGENT_MISSING]" in done.stderr
    assert "smithers agents doctor" in done.stderr


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (None, "AGENT_MISSING"),
        ("cat >/dev/null; echo hello", "AGENT_FAILED"),
        ("cat >/dev/null; sleep 600", "AGENT_TIMEOUT"),
        (
            """
            cat >/dev/null
            echo '{"type":"assistant","error":"authentication_failed","message":{"model":"<synthetic>"}}'
            echo '{"type":"result","subtype":"success","is_error":true,"result":"Not logged in"}'
            exit 1
            """,
            "AGENT_AUTH",
        ),
    ],
)
def test_a_trial_that_fails_says_why_and_what_to_do(desk: Desk, script: str | None, code: str) -> None:
    if script is not None:
        desk.program("claude", script)
    done = desk.run("test", "claude", "--yes", "--timeout", "1s")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].split()[:2] == ["claude-code", code]
    found = json.loads(desk.run("test", "claude", "--yes", "--timeout", "1s", "--json").stdout)
    assert found["status"] == "failed"
    (one,) = found["agents"]
    assert (one["answer"], one["error"]["code"]) == (None, code)
    assert one["error"]["hint"]
    assert "RUN" not in one["error"]["hint"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("words", [("test", "claude", "--yes"), ("doctor", "claude")])
def test_a_command_that_is_ended_leaves_nothing_running(
    desk: Desk, words: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    pids = desk.home / "pids"
    desk.program("claude", f"sleep 600 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait")
    process = subprocess.Popen(
        [SMITHERS, "agents", *words],
        cwd=desk.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(**desk.variables),
    )
    wait_until(pids.exists, "the program to begin")
    process.send_signal(number)
    assert process.wait(30) == code
    wait_until(lambda: not any(lives(int(pid)) for pid in pids.read_text().split()), "all of it to end")


# --- The real ones ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["claude-code", "codex", "gemini", "pi", "opencode", "kimi", "amp"])
@pytest.mark.slow
def test_a_real_program_is_recognized_and_known_to_be_signed_out(desk: Desk, kind: str) -> None:
    known = KNOWN[kind]
    if not (REAL / known.program).exists():
        pytest.skip(f"there is no {known.program} in {REAL}")
    # Not a link: what it is started by finds the rest of it by its own place.
    desk.program(known.program, f'exec {REAL / known.program} "$@"')
    del desk.variables["CODEX_HOME"]
    (found,) = desk.agents("doctor", kind).values()
    assert found["version"] == (known.driven or found["version"]) is not None
    assert found["signed_in"] is (None if kind == "opencode" else False)
    wrong = [one["check"] for one in found["findings"] if one["level"] == "wrong"]
    assert wrong == {"opencode": [], "codex": ["sign-in", "setup"]}.get(kind, ["sign-in"])
