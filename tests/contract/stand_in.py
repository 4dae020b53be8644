"""A small program that stands in for an agent's: it notes how it was called, and says what it was told to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.contract.agent_case import Case

Then: TypeAlias = Literal["leave", "hang", "hang with children"]
"""What it does after its last word."""

_PROGRAM = r"""
import json, os, sys, time

here = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(here + "/play.json") as file:
    play = json.load(file)

for words, answer in play["errands"]:
    if sys.argv[1 : 1 + len(words)] == words:
        sys.stdout.write(answer)
        sys.stdout.flush()
        os._exit(0)

def texts():
    "Files of ours that it is pointed to, by an argument or a variable."
    found = {}
    for word in [*sys.argv[1:], *os.environ.values()]:
        path = word.partition("=")[2] if word.startswith("-") and "=" in word else word
        if not os.path.isabs(path) or play["given"] not in path:
            continue
        below = [path]
        if os.path.isdir(path):
            below = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        for one in below:
            if os.path.isfile(one):
                with open(one, encoding="utf-8", errors="replace") as file:
                    found[one] = file.read()
    return found

note = {"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "files": texts()}
stdin = sys.stdin.buffer.read() if play["reads"] else b""
number = len(os.listdir(here + "/calls"))
with open(f"{here}/calls/{number}.stdin", "wb") as file:
    file.write(stdin)
with open(f"{here}/calls/{number}.new", "w") as file:
    json.dump(note, file)
os.rename(f"{here}/calls/{number}.new", f"{here}/calls/{number}.json")
with open(here + "/stdout", "rb") as file:
    sys.stdout.buffer.write(file.read())
sys.stdout.flush()
sys.stderr.write(play["stderr"])
sys.stderr.flush()
if play["then"] == "hang with children":
    for leave in (lambda: None, os.setsid, lambda: os.fork() and os._exit(0)):
        if os.fork() == 0:
            leave()
            break
if play["then"] != "leave":
    open(here + "/hangs", "w").close()
    while True:
        time.sleep(100)
if play["status"] < 0:
    os.kill(os.getpid(), -play["status"])
os._exit(play["status"])
"""


@dataclass(frozen=True, slots=True)
class Call:
    """How it was called once."""

    argv: Sequence[str]
    """Without the program itself."""
    stdin: bytes
    env: Mapping[str, str]
    cwd: Path
    files: Mapping[str, str]
    """Texts of the files that were made for this call and named in its arguments or variables."""

    @property
    def words(self) -> list[str]:
        """All that it was told, wherever: arguments, standard input, files, variables."""
        stdin = self.stdin.decode(errors="replace")
        return [*self.argv, stdin, *self.files.values(), *self.env.values()]

    def holds(self, text: str) -> bool:
        """Whether it was told this, as it is or as JSON."""
        return any(form in word for form in (text, json.dumps(text)[1:-1]) for word in self.words)

    def has_words(self, words: Sequence[str]) -> bool:
        """Whether these arguments stand there, one after another."""
        argv, count = list(self.argv), len(words)
        return any(argv[at : at + count] == list(words) for at in range(len(argv) - count + 1))


class StandIn:
    """The program, in a folder of its own.

    Args:
        errands: what it answers where these are its first arguments, whatever it plays; such calls are not
            noted.
        given: begins the names of folders that are made for one call: what lies there is noted.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        given: str = "smithers-",
        errands: Mapping[tuple[str, ...], str] | None = None,
    ) -> None:
        self._folder = folder
        self._errands = [[list(words), answer] for words, answer in (errands or {}).items()]
        self._given = given
        (folder / "calls").mkdir(parents=True)
        self.path = folder / name
        # Isolated: variables that are meant for the real program mean nothing to this one.
        self.path.write_text(f"#!{sys.executable} -IS\n{_PROGRAM}", encoding="utf-8")
        self.path.chmod(0o755)

    def plays(
        self, case: Case, then: Then = "leave", *, status: int | None = None, reads: bool = True
    ) -> None:
        """From now on, say what a case's program said.

        Args:
            status: to leave with, instead of the case's.
            reads: it takes in its standard input before it says anything.
        """
        (self._folder / "stdout").write_bytes(case.stdout.encode("utf-8", "surrogateescape"))
        play: dict[str, Any] = {
            "given": self._given,
            "errands": self._errands,
            "stderr": case.stderr,
            "status": case.status if status is None else status,
            "then": then,
            "reads": reads,
        }
        (self._folder / "play.json").write_text(json.dumps(play), encoding="utf-8")

    @property
    def hangs(self) -> bool:
        """Whether it has said all and goes on living."""
        return (self._folder / "hangs").exists()

    def calls(self) -> list[Call]:
        """In the order in which it was called."""
        found = []
        for path in sorted((self._folder / "calls").glob("*.json"), key=lambda path: int(path.stem)):
            note = json.loads(path.read_text(encoding="utf-8"))
            stdin = path.with_suffix(".stdin").read_bytes()
            cwd = Path(note["cwd"])
            found.append(Call(note["argv"][1:], stdin, note["env"], cwd, note["files"]))
        return found

    def last(self) -> Call:
        """The latest call."""
        return self.calls()[-1]
