"""Measure the Python files of a repository, narrow down the hot spots, and write a Markdown report.

    smithers up repo_report.py --rehearse
    smithers up repo_report.py --rehearse --input '{"repo": "../other", "max_hot_spots": 3}'

Shows a task per discovered file, a loop with a criterion, an agent, and a side effect that may be repeated.
Kill it at any moment and resume it: files that were measured are not measured again.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import time
import tokenize
import warnings
from collections.abc import Sequence as SequenceOf
from functools import partial
from pathlib import Path

from pydantic import BaseModel, Field

from smithers import Context, Loop, Node, Parallel, Prompt, Sequence, Task, current, workflow
from smithers.agents import RehearsalAgent

WRITERS = [RehearsalAgent()]
"""Who writes the summary. Put your own agent first: if it fails, the next one of the list is asked."""

SIMPLE = 10
"""Functions up to this complexity are nobody's hot spot (McCabe, "A Complexity Measure", 1976)."""

# --- What goes in, and what each task leaves: pydantic models, checked when they are stored -----------


class Request(BaseModel):
    repo: str = "."
    max_files: int | None = Field(default=None, ge=1)
    max_hot_spots: int = Field(default=5, ge=1)
    summary_words: int = Field(default=80, ge=10)
    report: str | None = None
    """Where to write; default: `.smithers/reports/RUN.md`."""


class Discovery(BaseModel):
    root: str
    found_by: str
    files: list[str]
    report: str


class Function(BaseModel):
    name: str
    line: int
    complexity: int = 1


class FileFacts(BaseModel):
    path: str
    lines: int = 0
    functions: list[Function] = []
    todos: list[str] = []
    problem: str | None = None
    """Why it could not be read. A file with a syntax error is a finding, not a failure of the task."""


class HotSpot(BaseModel):
    path: str
    function: Function


class HotSpots(BaseModel):
    above: int
    """Every hot spot is more complex than this."""
    spots: list[HotSpot]
    is_done: bool


class Summary(BaseModel):
    text: str


class Report(BaseModel):
    path: str
    found_by: str
    files: int
    lines: int
    functions: int
    todos: int
    problems: int
    hot_spots: list[str]
    passes: int
    is_summary_rehearsed: bool


# --- The workflow: a function from state to a tree --------------------------------------------------


@workflow(output=Report)
def repo_report(ctx: Context[Request]) -> Node:
    # A folder that is not there will not be there in a second: no retries.
    discover = Task("discover", Discovery, run=lambda: find_files(ctx.input, ctx.run_id), retries=0)

    def each_file() -> list[Node]:
        found = ctx.output(discover)
        return [
            Task(file_id(path), FileFacts, run=partial(measure, found.root, path)) for path in found.files
        ]

    # Given a function, `Parallel` asks for its children when it is reached: `discover` has finished by then.
    measure_all = Parallel(each_file)

    # A task's function is called when the task starts, and reads what is stored by then. `latest` is what
    # this task left in the pass before, and None in the first.
    narrow: Task[HotSpots] = Task(
        "narrow",
        HotSpots,
        run=lambda: narrow_down(ctx.outputs(FileFacts), ctx.latest(narrow), ctx.input.max_hot_spots),
    )
    refine = Loop(narrow, until=lambda: ctx.output(narrow).is_done, max_iterations=100)

    # `deps` hands over the outputs, in this order and typed: after a loop, that of its last pass.
    summary = Task(
        "summary",
        Summary,
        agent=WRITERS,
        deps=(discover, narrow),
        prompt=lambda found, hot: ask_for_summary(found, hot, ctx.input.summary_words),
    )
    report = Task(
        "report",
        Report,
        deps=(discover, narrow, summary),
        run=lambda found, hot, words: write_report(
            found, hot, words, ctx.outputs(FileFacts), passes=ctx.iteration_count(narrow)
        ),
    )
    return Sequence(discover, measure_all, refine, summary, report)


# --- The tasks: plain functions ---------------------------------------------------------------------


def find_files(request: Request, run_id: str) -> Discovery:
    """List the Python files, as git knows them or, without git, as they lie there."""
    demo_note()
    root = Path(request.repo).resolve(strict=True)
    files, found_by = git_files(root)
    if files is None:
        files = walk_files(root)
    # What depends on the current folder is decided once, here: a resume may be started in another one.
    report = Path(request.report or f".smithers/reports/{run_id}.md").absolute()
    return Discovery(
        root=str(root), found_by=found_by, files=sorted(files)[: request.max_files], report=str(report)
    )


def git_files(root: Path) -> tuple[list[str] | None, str]:
    """What git tracks, and a sentence about it; None if git cannot say."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "*.py"], cwd=root, capture_output=True, check=False, timeout=60
        )
    except FileNotFoundError:
        return None, "walking the folder: git is not installed"
    if listed.returncode != 0:
        why = listed.stderr.decode(errors="replace").strip().partition("\n")[0]
        return None, f"walking the folder: {why}"
    return [name for name in listed.stdout.decode(errors="replace").split("\0") if name], "git ls-files"


def walk_files(root: Path) -> list[str]:
    """Every `*.py` below a folder, but not in hidden folders and virtual environments."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [
            name
            for name in below
            if not name.startswith((".", "__")) and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        found += [Path(folder, name).relative_to(root).as_posix() for name in names if name.endswith(".py")]
    return found


def file_id(path: str) -> str:
    """A task id made of a path. It must be the same in every run: it is how finished work is found again."""
    if len(path) <= 150 and re.fullmatch(r"[A-Za-z0-9._/-]+", path):
        return f"file:{path}"
    # Ids take few characters and are short; the hash tells apart what looks alike once it is cut.
    mark = hashlib.sha256(path.encode()).hexdigest()[:12]
    return f"file:{re.sub(r'[^A-Za-z0-9._/-]', '-', path)[-100:]}:{mark}"


MEASURED = "<measured>"
# What Python's parser has to say about the measured code is not said on our terminal.
warnings.filterwarnings("ignore", module=MEASURED)


def measure(root: str, path: str) -> FileFacts:
    """Parse one file: size, functions, to-dos. What cannot be read says why."""
    demo_note(is_slow=True)
    facts = FileFacts(path=path)
    try:
        with tokenize.open(Path(root, path)) as file:  # obeys the file's own encoding
            text = file.read()
        facts.lines = len(text.splitlines())
        facts.functions = functions_in(ast.parse(text, MEASURED))
        facts.todos = todos_in(text)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        facts.problem = f"{type(error).__name__}: {error}".replace(MEASURED, path)
    return facts


def functions_in(tree: ast.Module) -> list[Function]:
    """Each function with its cyclomatic complexity: its own decision points, plus one."""
    found: list[Function] = []
    waiting: list[tuple[ast.AST, str, Function | None]] = [(tree, "", None)]
    while waiting:  # not recursion: generated code nests deeply
        node, prefix, inside = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = Function(name=f"{prefix}{node.name}", line=node.lineno)
            found.append(inside)
            prefix = f"{inside.name}."
        elif isinstance(node, ast.ClassDef):
            prefix = f"{prefix}{node.name}."
        elif inside is not None:
            inside.complexity += decisions(node)
        waiting += [(child, prefix, inside) for child in ast.iter_child_nodes(node)]
    return sorted(found, key=lambda function: function.line)


def decisions(node: ast.AST) -> int:
    """How many ways this node adds through the code."""
    match node:
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=conditions):
            return 1 + len(conditions)
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.Assert() | ast.match_case():
            return 1
        case _:
            return 0


def todos_in(text: str) -> list[str]:
    """Comments that promise something. Comments only: the word in a string is no promise."""
    tokens = tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__)
    return [
        f"{token.start[0]}: {token.string.lstrip('# ')}"
        for token in tokens
        if token.type == tokenize.COMMENT and re.search(r"\b(TODO|FIXME)\b", token.string)
    ]


def narrow_down(files: SequenceOf[FileFacts], before: HotSpots | None, wanted: int) -> HotSpots:
    """One pass: raise the bar to the least complex function that is left, and keep what is above it."""
    demo_note()
    if before is None:
        above = SIMPLE
        spots = [HotSpot(path=file.path, function=one) for file in files for one in file.functions]
    else:
        above = min(spot.function.complexity for spot in before.spots)
        spots = before.spots
    spots = [spot for spot in spots if spot.function.complexity > above]
    if before is not None and not spots:  # all alike: no bar tells them apart
        return before.model_copy(update={"is_done": True})
    spots.sort(key=lambda spot: (-spot.function.complexity, spot.path, spot.function.line))
    return HotSpots(above=above, spots=spots, is_done=len(spots) <= wanted)


def ask_for_summary(found: Discovery, hot: HotSpots, words: int) -> Prompt:
    """What the agent is asked. `schema` stands for an example of the answer, made of the task's model."""
    demo_note()
    return Prompt.text(
        """
        Say in at most {{ words }} words where the maintainers of {{ root }} should simplify first.
        It has {{ files }} Python files. The most complex functions:
        {% for spot in spots %}
        - {{ spot.function.name }} in {{ spot.path }}, complexity {{ spot.function.complexity }}
        {% endfor %}
        Answer as JSON like this: {{ schema }}
        """,
        words=words,
        root=found.root,
        files=len(found.files),
        spots=hot.spots,
    )


def write_report(
    found: Discovery, hot: HotSpots, summary: Summary, files: SequenceOf[FileFacts], passes: int
) -> Report:
    """Write the report. Done twice it leaves the same file: a task that was cut off runs again."""
    demo_note()
    report = Report(
        path=found.report,
        found_by=found.found_by,
        files=len(files),
        lines=sum(file.lines for file in files),
        functions=sum(len(file.functions) for file in files),
        todos=sum(len(file.todos) for file in files),
        problems=sum(file.problem is not None for file in files),
        hot_spots=[f"{spot.path}:{spot.function.line} {spot.function.name}" for spot in hot.spots],
        passes=passes,
        # A rehearsal names every text it makes up after its field, behind this word.
        is_summary_rehearsed=summary.text.startswith("rehearsed "),
    )
    path = Path(found.report)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(markdown(found, hot, summary, sorted(files, key=lambda file: file.path), report))
    unfinished.replace(path)  # never half a report
    return report


def markdown(
    found: Discovery, hot: HotSpots, summary: Summary, files: SequenceOf[FileFacts], report: Report
) -> str:
    figures = f"{report.lines} lines, {report.functions} functions, {report.todos} to-dos"
    lines = [
        f"# {Path(found.root).name}: {report.files} Python files",
        "",
        f"{figures}. Files found by {found.found_by}.",
        "",
        "## Summary",
        "",
    ]
    if report.is_summary_rehearsed:
        lines += ["**This summary was rehearsed: no model was asked, and the text means nothing.**", ""]
    lines += [
        f"> {summary.text}",
        "",
        "## Hot spots",
        "",
        f"Functions above complexity {hot.above}; the bar was raised in {report.passes} passes.",
        "",
    ]
    if hot.spots:
        lines += ["| Function | Complexity | Where |", "|---|---:|---|"]
    lines += [
        f"| `{spot.function.name}` | {spot.function.complexity} | {spot.path}:{spot.function.line} |"
        for spot in hot.spots
    ] or ["None."]
    lines += ["", "## To-dos", ""]
    lines += [f"- {file.path}:{todo}" for file in files for todo in file.todos] or ["None."]
    lines += ["", "## Files that could not be read", ""]
    lines += [f"- {file.path}: {file.problem}" for file in files if file.problem] or ["None."]
    return "\n".join([*lines, ""])


def demo_note(*, is_slow: bool = False) -> None:
    """For the demo only: say in a file that this task is being executed, and take a moment over it.

    $SMITHERS_DEMO_LOG: where `TASK ATTEMPT` is appended. $SMITHERS_DEMO_DELAY_MS: how long a slow task takes.
    """
    if path := os.environ.get("SMITHERS_DEMO_LOG"):
        line = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(line, f"{current().key} {current().attempt}\n".encode())
        os.fsync(line)  # what is written stays, whatever kills us next
        os.close(line)
    if is_slow:
        time.sleep(float(os.environ.get("SMITHERS_DEMO_DELAY_MS", "0")) / 1000)
