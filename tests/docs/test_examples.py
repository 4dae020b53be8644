"""Every fenced block of README.md and docs/*.md does what it says.

A page is acted out in one empty folder, from top to bottom:

- `python` is saved (as `# file: NAME` in its first line says) and run; it must exit with 0.
  `python no-run` is type-checked but not run, `python fragment` is only compiled.
- `console`, and `bash` with `$ ` lines: the commands are run, and the lines below each must appear in what it
  prints (stdout and stderr), where `...` stands for anything. A command that fails says so: `# exit 3`.
  With `no-run` only the shell's syntax is checked.
- `sql` is run on the project's database with Python's own sqlite3: the lines below a statement that begin
  with `-- ` are its rows, as the `sqlite3` command prints them.
- `json` and `toml` must parse.
- Anything whose first line is a comment `file: NAME` is saved without that line.
- `text` is for pictures. Any other language is a mistake, so that no block goes unchecked.

Programs of all pages are then checked together by mypy strict and by pyright.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import Block, Stage, appears, blocks, steps
from tests.typing.checker import Checker, mypy, pyright

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [ROOT / name for name in ("AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md")]

FLAGS = {"python": {"no-run", "fragment"}, "console": {"no-run"}, "bash": {"no-run"}}


def perform(block: Block, stage: Stage) -> None:
    """Do with one block what its language asks for."""
    assert block.flags <= FLAGS.get(block.language, set()), f"{block.at}: unknown flag in {set(block.flags)}"
    match block.language:
        case "python":
            compile(block.text, block.at, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if not block.flags:
                stage.run_python(block)
            elif block.file:
                stage.save(block)
        case "console" | "bash" if "no-run" in block.flags:
            script = "".join(f"{step.command}\n" for step in steps(block))
            checked = subprocess.run(
                ["bash", "-n"], input=script, text=True, capture_output=True, check=False
            )
            assert checked.returncode == 0, f"{block.at}: {checked.stderr}"
        case "console" | "bash":
            stage.run_console(block)
        case _ if block.file:
            stage.save(block)
        case "sql":
            stage.run_sql(block)
        case "json":
            json.loads(block.text)
        case "toml":
            tomllib.loads(block.text)
        case "text":
            pass
        case _:
            raise AssertionError(
                f"{block.at}: nobody checks {block.language or 'a block without a language'!r}"
            )


def perform_page(name: str, markdown: str, folder: Path) -> None:
    stage = Stage(folder)
    try:
        for block in blocks(name, markdown):
            perform(block, stage)
    finally:
        stage.clear()


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_block_of_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    perform_page(page.name, page.read_text(), tmp_path)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


# --- Types --------------------------------------------------------------------------------------


def programs() -> Iterator[Block]:
    for page in PAGES:
        for block in blocks(page.name, page.read_text()):
            if block.language == "python" and "fragment" not in block.flags:
                yield block


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_program_satisfies_the_type_checkers(checker: Checker, tmp_path: Path) -> None:
    # One control rides along: a checker that sees nothing must not pass.
    control = tmp_path / "control.py"
    control.write_text("from smithers.ids import NodeKey\n\nNodeKey(1)\n")
    files = {control: Block("control", 1, "python", frozenset(), "")}
    for block in programs():
        # One folder, so that programs can import each other; a name used again gets a number.
        wanted = tmp_path / (block.file or f"example_{block.line}.py")
        path = wanted
        for again in range(2, 100):
            if path not in files:
                break
            path = wanted.with_stem(f"{wanted.stem}_{again}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        files[path] = block

    report = checker(list(files), tmp_path)

    complaints = [
        f"{files[path].page}:{files[path].line + line - 1}: {text}" for (path, line), text in report.items()
    ]
    assert [line for line in complaints if not line.startswith("control:3: ")] == []
    assert len(complaints) == 1


# --- The harness itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "complaint"),
    [
        ("```python\nraise SystemExit(2)\n```", "page:2: exit 2"),
        ("```python\nx = = 1\n```", "invalid syntax"),
        ("```python no-run\nx = = 1\n```", "invalid syntax"),
        ("```python norun\n```", "unknown flag"),
        ("```perl\n```", "nobody checks 'perl'"),
        ("```\n```", "without a language"),
        ("```text\n", "never closed"),
        ("```json\n{,}\n```", "Expecting property name"),
        ("```console\n$ mkdir .smithers\n```\n```sql\nSELECT 1;\n-- 2\n```", "the page says:\n2"),
        ("```console\n$ mkdir .smithers\n```\n```sql\nSELECT 1;\n```", "says nothing of these rows"),
        ("```console\n$ mkdir .smithers\n```\n```sql\nSELECT 1;\n-- 1\n-- 1\n```", "the page says:\n1\n1"),
        ("```console\n$ mkdir .smithers\n```\n```sql\nSELECT x;\n```", "no such column: x"),
        ("```sql\nSELECT 1\n```", "no statement"),
        ("```console\n$ echo one\ntwo\n```", "the page says:\ntwo"),
        ("```console\n$ false\n```", "expected exit 0"),
        ("```console\n$ true  # exit 3\n```", "expected exit 3"),
        ("```console\n$ exit 0\n$ true\n```", "expected exit 0"),
        ("```console\nhello\n```", "before the first"),
        ("```bash no-run\n$ if\n```", "syntax error"),
        ("```yaml\n# file: ../out\na: 1\n```", "outside of the folder"),
    ],
)
def test_a_page_that_lies_is_found_out(markdown: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SyntaxError, ValueError), match=re.escape(complaint)):
        perform_page("page", markdown, tmp_path)


HONEST = r"""
```python
# file: hello.py
import sys
print("hello", *sys.argv[1:])
```

- indented, and a longer fence around a shorter one

  ````markdown
  <!-- file: prompts/note.md -->
  ```json
  {}
  ```
  ````

```console
$ python hello.py \
>     you
hello you
$ cat prompts/note.md && export X=kept
...
{}
...
$ echo "$X" && pwd; echo "ready in 0.3 s"
kept
...
ready in ... s
$ grep -q nothing hello.py  # exit 1
$ sleep 600 >alive &
```

```python fragment
await ctx.run(node)
```
"""


def test_an_honest_page_passes_and_leaves_nothing_running(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.folder.mkdir()
    os.mkfifo(stage.folder / "alive")
    for block in blocks("page", HONEST):
        perform(block, stage)
    assert (stage.folder / "prompts/note.md").read_text() == "```json\n{}\n```\n"

    # The job that was left behind holds the other end; reading comes to an end when it is gone.
    with (stage.folder / "alive").open("rb") as held:
        stage.clear()
        assert held.read() == b""


@pytest.mark.parametrize(
    ("expected", "real", "verdict"),
    [
        ("", "anything", True),
        ("b", "a\nb\nc\n", True),
        ("b", "a\nbc\n", False),
        ("a\nc", "a\nb\nc\n", False),
        ("a\n...\nc", "a\nb\nc\n", True),
        ("a\n...\nc", "a\nc\n", True),
        ("took ... s", "took 3 s  \n", True),
        ("took ... s", "took 3\n s\n", False),
        ("(a|b)", "a\n", False),
        ("b\na", "a\nb\n", False),
    ],
)
def test_expected_output_is_whole_lines_in_order(expected: str, real: str, verdict: bool) -> None:
    assert appears(expected, real) is verdict
