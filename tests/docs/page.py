"""A documentation page as a list of fenced blocks, and the folder in which they are acted out."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

COMMAND_SECONDS = 60
"""A block that takes longer is not something a reader would try."""

_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)")
_FILE = re.compile(r"(?:#|//|<!--) *file: *(?P<name>\S+?)(?: *-->)?")
_EXIT = re.compile(r"# exit (\d+)\s*$")
# Stands alone on a line between the outputs of two commands; no program of ours prints it.
_MARK = "\x1e"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    """Of its first line of text, from 1."""
    language: str
    flags: frozenset[str]
    text: str

    @property
    def at(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name under which a reader would save it, from a comment in its first line."""
        found = _FILE.fullmatch(self.text.partition("\n")[0].strip())
        return found["name"] if found else None


class Step(NamedTuple):
    """One command and what the page says it prints."""

    command: str
    output: str
    exit: int


def blocks(page: str, markdown: str) -> Iterator[Block]:
    """Every fenced block of a page, in order; an unclosed one is an error."""
    lines = iter(enumerate(markdown.splitlines(), 1))
    for number, line in lines:
        if not (fence := _FENCE.fullmatch(line)):
            continue
        body: list[str] = []
        for _, inner in lines:
            if inner.strip().rstrip(fence["ticks"][0]) == "" and inner.strip().startswith(fence["ticks"]):
                break
            body.append(inner.removeprefix(fence["indent"]))
        else:
            raise AssertionError(f"{page}:{number}: the block is never closed")
        language, *flags = fence["info"].split() or [""]
        text = "".join(f"{inner}\n" for inner in body)
        yield Block(page, number + 1, language, frozenset(flags), text)


def steps(block: Block) -> list[Step]:
    """The `$` commands of a block; a line that ends in a backslash goes on in the next."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if found and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix('> ')}", found[-1][1])
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line)
        else:
            raise AssertionError(f"{block.at}: text before the first `$ ` command")
    return [
        Step(command, "\n".join(output).strip("\n"), int(code[1]) if (code := _EXIT.search(command)) else 0)
        for command, output in found
    ]


def queries(block: Block) -> list[tuple[str, str]]:
    """The statements of a block, each with its rows: the lines that begin with `-- ` below it."""
    found: list[tuple[str, str]] = []
    text = ""
    for line in block.text.splitlines(keepends=True):
        if line.startswith("-- ") and found and not text.strip():
            found[-1] = (found[-1][0], found[-1][1] + line.removeprefix("-- "))
            continue
        text += line
        if sqlite3.complete_statement(text):
            found.append((text.strip(), ""))
            text = ""
    assert found, f"{block.at}: no statement"
    assert not text.strip(), f"{block.at}: the last statement never ends"
    return found


def matches(expected: str, real: str) -> bool:
    """Whether all lines are as expected; `...` as in `appears`."""
    return appears(f"^\n{expected}$\n", f"^\n{real}$\n")


def appears(expected: str, real: str) -> bool:
    """Whether the expected lines stand in the real output, as whole lines, one after the other.

    `...` stands for anything within a line; alone on a line, for any lines.
    """
    pattern = "^"
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("...")) + "\n"
    tidy = "".join(f"{line.rstrip()}\n" for line in real.splitlines())
    return re.search(pattern, tidy, re.MULTILINE) is not None


@dataclass(slots=True)
class Stage:
    """An empty project in an empty home, where the blocks of one page are run in order."""

    home: Path
    groups: list[int] = field(default_factory=list)
    """Process groups that were started."""

    @property
    def folder(self) -> Path:
        return self.home / "project"

    def save(self, block: Block) -> Path:
        """Write a block under its own name, or a made-up one; only Python keeps its `file:` line."""
        path = self.folder / (block.file or f"example_{block.line}.py")
        assert path.resolve().is_relative_to(self.folder.resolve()), f"{block.at}: outside of the folder"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text if block.language == "python" else block.text.partition("\n")[2])
        return path

    def run_python(self, block: Block) -> None:
        """Run a whole program; it must succeed."""
        code, output = self._run([sys.executable, str(self.save(block).relative_to(self.folder))], block)
        assert code == 0, f"{block.at}: exit {code}\n{output}"

    def run_console(self, block: Block) -> None:
        """Run a block's commands in one shell, so that `cd`, variables and jobs last until its end."""
        planned = steps(block)
        assert planned, f"{block.at}: no `$ ` command"
        # The exit code is printed before anything else can change it.
        script = "".join(f"{step.command}\nprintf '\\n{_MARK}%s\\n' $?\n" for step in planned)
        _, output = self._run(["bash", "-c", script], block)
        printed, *rest = output.split(f"\n{_MARK}")
        for step, after in zip(planned, [*rest, ""][: len(planned)], strict=True):
            code, _, following = after.partition("\n")
            seen = f"{block.at}: $ {step.command}\n{printed}\n(exit {code})"
            assert code == str(step.exit), f"{seen}\nexpected exit {step.exit}; say so with `# exit {code}`"
            assert appears(step.output, printed), f"{seen}\nthe page says:\n{step.output}"
            printed = following

    def run_sql(self, block: Block) -> None:
        """Ask the project's database with nothing but Python's own sqlite3, as somebody without us would."""
        planned = queries(block)
        with closing(sqlite3.connect(self.folder / ".smithers" / "smithers.db")) as database:
            for query, expected in planned:
                try:
                    rows = database.execute(query).fetchall()
                except sqlite3.Error as error:
                    raise AssertionError(f"{block.at}: {error}\n{query}") from None
                shown = "".join("|".join("" if v is None else str(v) for v in row) + "\n" for row in rows)
                seen = f"{block.at}: {query}\n{shown}"
                assert expected or not rows, f"{seen}\nthe page says nothing of these rows"
                assert matches(expected, shown), f"{seen}\nthe page says:\n{expected}"
            database.commit()

    def clear(self) -> None:
        """End what the page left running."""
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _run(self, command: list[str], block: Block) -> tuple[int, str]:
        self.folder.mkdir(exist_ok=True)
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        # A file, not a pipe: a program left in the background would keep a pipe open for ever.
        log = self.home / "output"
        with log.open("wb") as sink:
            program = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.groups.append(program.pid)
            try:
                code = program.wait(COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{block.at}: over {COMMAND_SECONDS} s\n{log.read_text()}") from None
        return code, log.read_text(errors="replace")
