from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field

from smithers.agents import CallableAgent, RehearsalAgent
from smithers.context import Context, LoopPass, Record, Standing, View
from smithers.engine import fingerprint as room
from smithers.engine.fingerprint import fingerprint
from smithers.engine.memory import Memory
from smithers.errors import Place
from smithers.nodes import Sequence, Task
from smithers.ports import AgentReply, AgentRequest
from smithers.prompt import Prompt

_versions = count()


class Out(BaseModel):
    text: str = ""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], ModuleType]:
    """Imports a text as a module of its own, as if it were the next version of one file."""

    def imported(text: str) -> ModuleType:
        file = tmp_path / f"v{next(_versions)}" / "flow.py"
        file.parent.mkdir()
        file.write_text(textwrap.dedent(text))
        return import_file(file)

    return imported


def import_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("flow", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), vars(module))
    return module


def of(run: Any) -> bytes | None:
    return fingerprint(Task("work", Out, run=run), ())


def known(run: Any) -> bytes:
    found = of(run)
    assert found is not None
    assert len(found) == 16
    return found


Load = Callable[[str], ModuleType]
BEFORE = """
    def other():
        return 1

    def work(a, b=2):
        '''Add.'''
        return a + b + 1
"""


# --- What changes nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("return a", "# A comment.\n\n        return a"),
        "\n\n\nX = 1\n" + textwrap.dedent(BEFORE),
        BEFORE.replace("return 1\n", "return 2\n"),
        BEFORE.replace("a + b + 1", "(a + b) + (\n            1\n        )"),
        BEFORE.replace("Add.", "Add both."),
        BEFORE.replace("'''Add.'''\n", "\n"),
        BEFORE.replace("def work(a, b=2):", "def work(\n        a,\n        b=2,\n    ):"),
    ],
    ids=["comment", "moved", "other function", "layout", "docstring", "no docstring", "signature's layout"],
)
def test_what_does_not_change_the_code_does_not_change_the_fingerprint(load: Load, after: str) -> None:
    assert known(load(BEFORE).work) == known(load(after).work)


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("a + b + 1", "a + b + 2"),
        BEFORE.replace("a + b + 1", "a - b + 1"),
        BEFORE.replace("a + b + 1", "a + b + 1.0"),
        BEFORE.replace("a + b + 1", "a + b + True"),
        BEFORE.replace("b=2", "b=3"),
        BEFORE.replace("def work", "async def work"),
    ],
    ids=["literal", "operator", "float", "bool", "default", "async"],
)
def test_a_change_of_the_code_changes_the_fingerprint(load: Load, after: str) -> None:
    assert known(load(BEFORE).work) != known(load(after).work)


def test_two_lambdas_on_one_line_are_told_apart(load: Load) -> None:
    pair = load("pair = (lambda x: x + 1), (lambda x: x + 2)")
    swapped = load("pair = (lambda x: x + 2), (lambda x: x + 1)")
    first, second = map(known, pair.pair)
    assert first != second
    assert list(map(known, swapped.pair)) == [second, first]


def test_a_lambda_is_told_from_the_lambda_inside_it(load: Load) -> None:
    module = load("outer = lambda: lambda: 1\nother = lambda: lambda: 2")
    assert len({known(f) for f in (module.outer, module.outer(), module.other, module.other())}) == 4


def test_a_lambda_is_told_from_the_lambda_in_its_default(load: Load) -> None:
    module = load("work = lambda f=lambda: 1: f() + 1")
    assert known(module.work) != known(module.work.__defaults__[0])


def test_lambdas_over_several_lines_and_in_calls_are_found(load: Load) -> None:
    before = load("work = dict(\n    a=lambda: (\n        1\n    ), b=lambda: [x for x in (1, 2)]\n)")
    after = load("work = dict(a=lambda: 1, b=lambda: [x for x in (1, 2)])")
    assert known(before.work["a"]) == known(after.work["a"])
    assert known(before.work["b"]) == known(after.work["b"])


def test_a_function_that_has_run_often_is_still_recognised(load: Load) -> None:
    # The interpreter rewrites code that runs hot.
    cold, hot = load(BEFORE).work, load(BEFORE).work
    for n in range(5000):
        hot(n)
    assert known(cold) == known(hot)


# --- Captured values ----------------------------------------------------------------------------

CAPTURE = """
    def capture(value, *, keyword=0):
        def work():
            return value, keyword
        return work
"""


@dataclass
class Point:
    x: int
    inner: object = None


class Slotted:
    __slots__ = ("__secret", "x")

    def __init__(self, x: int, secret: int = 0) -> None:
        self.x = x
        self.__secret = secret


class Settings(BaseModel):
    name: str
    tags: set[str] = Field(default_factory=set)
    where: Path = Path("a")


class Color(Enum):
    RED = 1
    BLUE = 2


class Level(str):
    __slots__ = ()


class Grade(str):
    __slots__ = ()


class Octets(bytes):
    pass


class Weight(float):
    pass


class Step(int):
    pass


class Pair(NamedTuple):
    x: int
    where: Path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, 1.0),
        (1, True),
        ("a", b"a"),
        (["a"], ["b"]),
        (["a"], ("a",)),
        ({"a": [1]}, {"a": [2]}),
        (Settings(name="a"), Settings(name="b")),
        (Settings(name="a", where=Path("b")), Settings(name="a", where=Path("c"))),
        (Point(1), Point(2)),
        (Point(1, Point(2)), Point(1, Point(3))),
        (Slotted(1), Slotted(2)),
        (Slotted(1, 1), Slotted(1, 2)),
        (Record({"a": 1}), Record({"a": 2})),
        (Path("a"), Path("b")),
        ({Path("a"), Path("b")}, {Path("a"), Path("c")}),
        (Task("a", Out, value={}), Task("b", Out, value={})),
        (lambda: 1, lambda: 2),
        (functools.partial(int, base=2), functools.partial(int, base=3)),
        (len, repr),
        (int, str),
        (json, os),
        (Color.RED, Color.BLUE),
        (Level("a"), Level("b")),
        (Level("a"), Grade("a")),
        (Octets(b"a"), Octets(b"b")),
        (Weight(1.5), Weight(2.5)),
        (Step(1), Step(2)),
        (Pair(1, Path()), Pair(2, Path())),
        (defaultdict(list, a=[1]), defaultdict(list, a=[2])),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)),
        (Decimal("1.0"), Decimal("1.00")),
        ([1].append, [2].append),
        (Sequence(Task("a", Out, value={})), Sequence(Task("b", Out, value={}))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_changed_captured_value_changes_the_fingerprint(load: Load, one: object, other: object) -> None:
    module = load(CAPTURE)
    assert known(module.capture(one)) == known(module.capture(one)) != known(module.capture(other))
    # The same value where it stands in a keyword default, and deep in a list.
    assert known(module.capture([[one, Path()]])) != known(module.capture([[other, Path()]]))


def test_equal_captured_values_are_the_same_however_they_were_made(load: Load) -> None:
    capture = load(CAPTURE).capture
    text = " shared ".strip()
    assert known(capture([text, text])) == known(capture(["shared", "SHARED".lower()]))
    point = Point(1)
    assert known(capture([point, point])) == known(capture([Point(1), Point(1)]))


def test_the_context_is_the_same_in_every_process_and_at_every_moment(load: Load) -> None:
    one, other = Context(Memory("one", "{}", None)), Context(Memory("other", '{"a":1}', None))
    capture = load(CAPTURE).capture
    assert known(capture(one)) == known(capture(other)) != known(capture(None))


def test_what_reads_the_run_and_where_it_was_written_are_no_values(load: Load) -> None:
    memory = Memory("one", "{}", None)
    capture = load(CAPTURE).capture
    passes = [LoopPass(memory, Standing(("loop",), (n,))) for n in (0, 1)]
    assert known(capture(passes[0])) == known(capture(passes[1]))
    assert known(capture(View(memory, seq=1))) == known(capture(View(memory, seq=2)))
    assert known(capture(Place("a.py", 1))) == known(capture(Place("b.py", 2)))


def test_a_cell_that_is_not_bound_yet_is_a_value_too(load: Load) -> None:
    module = load("""
        def make(bind):
            def work():
                return late
            if bind:
                late = 1
            return work
    """)
    assert known(module.make(False)) != known(module.make(True))


def test_a_nested_function_that_calls_itself_has_a_fingerprint(load: Load) -> None:
    text = """
        def make():
            def work(n):
                return 1 if n == 0 else n * work(n - 1)
            return work
        work = make()
    """
    assert known(load(text).work) == known(load(text).work)
    assert known(load(text).work) != known(load(text.replace("n * work", "n + work")).work)


def test_captured_functions_are_followed(load: Load) -> None:
    text = """
        def make(step):
            inner = lambda: step
            return lambda: inner()
        work = make(1)
    """
    assert known(load(text).work) != known(load(text.replace("make(1)", "make(2)")).work)
    assert known(load(text).work) != known(load(text.replace("lambda: step", "lambda: -step")).work)


def test_objects_that_hold_each_other_have_a_fingerprint(load: Load) -> None:
    def ring(x: int) -> Point:
        point = Point(x)
        point.inner = Point(0, point)
        return point

    capture = load(CAPTURE).capture
    assert known(capture(ring(1))) == known(capture(ring(1))) != known(capture(ring(2)))


def test_an_object_that_holds_itself_has_a_fingerprint(load: Load) -> None:
    point = Point(1)
    point.inner = point
    assert known(load(CAPTURE).capture(point)) != known(load(CAPTURE).capture(Point(1)))


def test_what_a_cached_property_stored_is_no_part_of_an_object(load: Load) -> None:
    class Lazy:
        def __init__(self, x: int) -> None:
            self.x = x

        @functools.cached_property
        def doubled(self) -> int:
            return self.x * 2

    capture = load(CAPTURE).capture
    asked, fresh = Lazy(1), Lazy(1)
    assert asked.doubled == 2
    assert known(capture(asked)) == known(capture(fresh)) != known(capture(Lazy(2)))


# --- What a function names in its module --------------------------------------------------------

HELPERS = """
    import functools, json
    from os.path import join
    LIMIT = 10
    FILES = ["a.py"]
    FILES.append("b.py")
    COUNT = 0

    class Kit:
        def use(self):
            return deep()
        @property
        def size(self):
            return 1
        @functools.cached_property
        def half(self):
            return 0.5
        @staticmethod
        def part():
            return 3

    def deep():
        return 1

    def helper(n=1):
        return deep() + n

    def unused():
        return 1

    def work():
        global COUNT
        COUNT += 1
        return json.dumps([helper(), LIMIT, FILES]), join, len, str, (lambda: deep()), Kit().use()
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("deep() + n", "deep() - n"),
        ("def deep():\n        return 1", "def deep():\n        return 2"),
        ("n=1", "n=2"),
        ("LIMIT = 10", "LIMIT = 11"),
        ('FILES = ["a.py"]', 'FILES = ["c.py"]'),
        ('append("b.py")', 'append("c.py")'),
        ("return deep()\n", "return 7\n"),
        ("            return 1\n", "            return 2\n"),
        ("0.5", "0.25"),
        ("return 3", "return 4"),
        ("os.path import join", "shlex import join"),
        ("COUNT = 0", "COUNT = 5"),
    ],
)
def test_a_change_of_what_it_names_changes_the_fingerprint(load: Load, old: str, new: str) -> None:
    assert old in HELPERS
    assert known(load(HELPERS).work) != known(load(HELPERS.replace(old, new, 1)).work)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def unused():\n        return 1", "def unused():\n        return 2"),
        ("LIMIT = 10", "# The limit.\n    OTHER = 3\n    LIMIT = 10"),
        ("def helper", "# Helps.\n    def helper"),
    ],
)
def test_what_it_does_not_name_changes_nothing(load: Load, old: str, new: str) -> None:
    assert old in HELPERS
    assert known(load(HELPERS).work) == known(load(HELPERS.replace(old, new, 1)).work)


def test_state_that_a_module_keeps_is_no_part_of_its_functions(load: Load) -> None:
    fresh, used = load(HELPERS), load(HELPERS)
    used.FILES.append("found while running")
    used.work()
    assert used.COUNT == 1
    assert known(fresh.work) == known(used.work)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TABLE = {}\nTABLE['a'] = 1", "TABLE = {}\nTABLE['a'] = 2"),
        ("TABLE, other = [1], 2", "TABLE, other = [2], 2"),
        ("TABLE: list[int] = [1]", "TABLE: list[int] = [2]"),
        ("TABLE = [1]\nTABLE += [1]", "TABLE = [1]\nTABLE += [2]"),
        ("if True:\n    TABLE = [1]", "if True:\n    TABLE = [2]"),
        ("try:\n    TABLE = [1][5]\nexcept IndexError:\n    TABLE = [1]", "TABLE = [1]"),
        ("TABLE = (1, (2, 3))", "TABLE = (1, (2, 4))"),
        ("TABLE = (1, [2])", "TABLE = (1, [3])"),
    ],
)
def test_whatever_fills_a_table_of_the_module_counts(load: Load, before: str, after: str) -> None:
    work = "\nTABLES = TABLE\ndef work():\n    return TABLE\n"
    assert known(load(before + work).work) == known(load("x = 1\n" + before + work).work)
    assert known(load(before + work).work) != known(load(after + work).work)


def test_an_attribute_called_like_a_constant_is_not_that_constant(load: Load) -> None:
    text = """
        limit = 1
        def work(thing):
            return thing.limit
    """
    assert known(load(text).work) == known(load(text.replace("limit = 1", "limit = 2")).work)


def test_helpers_that_call_each_other_have_a_fingerprint(load: Load) -> None:
    text = """
        def is_even(n):
            return n == 0 or is_odd(n - 1)
        def is_odd(n):
            return n != 0 and is_even(n - 1)
        def work():
            return is_even(4), is_odd(3), work
    """
    module, after = load(text), load(text.replace("n != 0", "n > 0"))
    for name in ("is_even", "is_odd", "work"):
        assert known(getattr(module, name)) == known(getattr(load(text), name))
        assert known(getattr(module, name)) != known(getattr(after, name))
    assert len({known(getattr(module, name)) for name in ("is_even", "is_odd", "work")}) == 3


def test_how_the_file_was_started_changes_nothing(load: Load) -> None:
    text = """
        def work():
            class Inner:
                pass
            return Inner, __name__, __file__
    """
    imported, started = load(text), load(text)
    started.__name__ = "__main__"
    assert known(imported.work) == known(started.work)


# --- Other callables ----------------------------------------------------------------------------

DECORATED = """
    import functools

    def twice(times):
        def decorate(fn):
            @functools.wraps(fn)
            def wrapper(*args):
                return [fn(*args) for _ in range(times)]
            return wrapper
        return decorate

    @twice(2)
    def work():
        return 1

    @functools.lru_cache(maxsize=8)
    def cached():
        return 1

    @functools.lru_cache
    def helper():
        return 3

    def calls_helper():
        return helper()
"""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("work", "work():\n        return 1", "work():\n        return 2"),
        ("work", "@twice(2)", "@twice(3)"),
        ("work", "[fn(*args) for", "[-fn(*args) for"),
        ("cached", "cached():\n        return 1", "cached():\n        return 2"),
        ("cached", "maxsize=8", "maxsize=9"),
        ("calls_helper", "return 3", "return 4"),
    ],
)
def test_decorated_functions_count_with_their_decorators(load: Load, name: str, old: str, new: str) -> None:
    before, again, after = load(DECORATED), load(DECORATED), load(DECORATED.replace(old, new))
    assert known(getattr(before, name)) == known(getattr(again, name)) != known(getattr(after, name))


def test_a_decorator_from_the_library_counts_by_its_name_and_what_it_decorates(load: Load) -> None:
    text = """
        import contextlib, asyncio
        lock = asyncio.Lock()
        @contextlib.contextmanager
        def work():
            yield 1
    """
    assert known(load(text).work) == known(load("\n" + text).work)
    assert known(load(text).work) != known(load(text.replace("yield 1", "yield 2")).work)


def test_partials_count_with_their_arguments(load: Load) -> None:
    work = load(BEFORE).work
    bound = [functools.partial(work, 1), functools.partial(work, 2), functools.partial(work, 1, b=2), work]
    assert len(set(map(known, bound))) == 4
    assert known(functools.partial(work, 1)) == known(functools.partial(load(BEFORE).work, 1))


METHODS = """
    class Box:
        def __init__(self, x):
            self.x = x
        def work(self):
            return self.inner()
        def inner(self):
            return self.x
        def __call__(self):
            return 1
"""


@pytest.mark.parametrize("pick", [lambda box: box.work, lambda box: box], ids=["method", "object"])
def test_methods_and_callable_objects_count_with_object_and_class(
    load: Load, pick: Callable[[Any], Any]
) -> None:
    box = load(METHODS).Box
    assert known(pick(box(1))) == known(pick(load(METHODS).Box(1))) != known(pick(box(2)))
    for old, new in (("return self.x", "return -self.x"), ("return 1", "return 2")):
        assert known(pick(box(1))) != known(pick(load(METHODS.replace(old, new)).Box(1)))


KINDS = """
    import contextlib
    from collections import namedtuple
    from dataclasses import dataclass
    from enum import Enum
    from typing import NamedTuple
    from pydantic import BaseModel, field_validator

    class Model(BaseModel, frozen=True):
        x: int = 0
        @field_validator("x")
        @classmethod
        def is_fit(cls, x):
            return x + 1

    @dataclass(frozen=True, order=True)
    class Data:
        x: int = 0
        def more(self):
            return self.x + 2

    class Word(Enum):
        YES = 1
        def more(self):
            return 3

    class Row(NamedTuple):
        x: int = 0
        def more(self):
            return self.x + 4

    Plain = namedtuple("Plain", "x")

    class Managed:
        @contextlib.contextmanager
        def more(self):
            yield 5

    def work():
        return Model(), Data(), Word.YES, Row(), Plain(1), Managed()
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "x + 9"),
        ("x + 2", "x + 9"),
        ("return 3", "return 9"),
        ("x + 4", "x + 9"),
        ("yield 5", "yield 9"),
    ],
)
def test_methods_count_in_every_kind_of_class(load: Load, old: str, new: str) -> None:
    assert old in KINDS
    assert known(load(KINDS).work) == known(load(KINDS).work) != known(load(KINDS.replace(old, new)).work)


def test_async_functions_and_generators_have_fingerprints(load: Load) -> None:
    text = """
        import asyncio
        async def work():
            await asyncio.sleep(1)
        async def stream():
            yield 1
        later = lambda: (yield 1)
    """
    before, after = load(text), load(text.replace("1", "2"))
    for name in ("work", "stream", "later"):
        assert known(getattr(before, name)) != known(getattr(after, name))


def test_functions_of_a_library_count_wherever_they_come_from() -> None:
    assert known(json.dumps) != known(json.loads)
    assert known(functools.partial(json.dumps, indent=1)) != known(functools.partial(json.dumps, indent=2))
    assert known(os.getcwd) != known(os.getpid)


# --- What cannot be known -----------------------------------------------------------------------


def test_code_without_a_file_is_unknown() -> None:
    made: dict[str, Any] = {}
    exec("def work():\n    return 1", made)
    assert of(made["work"]) is None
    exec(compile("def work():\n    return 1", "flow-that-is-not-there.py", "exec"), made)
    assert of(made["work"]) is None


@pytest.mark.parametrize(
    "value", [threading.Lock(), object(), iter(()), [threading.Lock()], Point(1, object())]
)
def test_a_captured_value_of_this_process_alone_is_unknown(load: Load, value: object) -> None:
    assert of(load(CAPTURE).capture(value)) is None


def test_a_captured_value_without_end_is_unknown(load: Load) -> None:
    endless: list[Any] = [Path()]
    endless.append(endless)
    huge = [Path(str(n)) for n in range(3000)]
    assert of(load(CAPTURE).capture(endless)) is None
    assert of(load(CAPTURE).capture(huge)) is None


def test_an_object_that_raises_when_it_is_looked_at_is_unknown(load: Load) -> None:
    class Shy(BaseModel):
        def model_dump(self, **options: Any) -> dict[str, Any]:
            raise RuntimeError("not now")

    assert of(load(CAPTURE).capture(Shy())) is None


def test_a_class_as_a_function_is_unknown() -> None:
    assert of(Out) is None


def test_a_helper_without_a_file_makes_its_callers_unknown(load: Load) -> None:
    module = load("""
        exec("def helper():\\n    return 1")
        def work():
            return helper()
    """)
    assert of(module.work) is None


def test_a_file_that_was_edited_since_it_was_imported_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text("work = lambda: 1, lambda: 2\n")
    module = import_file(file)
    file.write_text("work = lambda: 3, lambda: 1\n")
    assert [of(run) for run in module.work] == [None, None]
    edited = import_file(file)
    assert None not in {of(run) for run in edited.work}


def test_a_file_that_was_read_before_it_was_edited_is_remembered(tmp_path: Path, load: Load) -> None:
    file = tmp_path / "flow.py"
    file.write_text("first = lambda: 1\nlater = lambda: 2\n")
    module = import_file(file)
    known(module.first)
    file.write_text("first = lambda: 3\nlater = lambda: 40\n")
    assert known(module.later) == known(load("later = lambda: 2").later)


def test_a_file_imported_again_after_an_edit_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text("work = lambda: 1\n")
    before = known(import_file(file).work)
    file.write_text("work = lambda: 222\n")
    assert known(import_file(file).work) != before


# --- Tasks --------------------------------------------------------------------------------------


class Other(BaseModel):
    text: str = "x"


class Described(BaseModel):
    """Something else."""

    text: str = ""


class Named:
    """An agent with an identity."""

    name = "named"

    def __init__(self, **identity: Any) -> None:
        self.identity: Mapping[str, Any] = identity

    async def call(self, request: AgentRequest) -> AgentReply:
        return AgentReply(text=request.prompt)


def asked(prompt: Any, *agents: Any, output: Any = Out) -> bytes:
    found = fingerprint(Task("ask", output, agent=agents or RehearsalAgent(), prompt=prompt), agents)
    assert found is not None
    return found


def test_id_label_and_retries_are_no_part_of_it() -> None:
    one = Task("one", Out, value={"text": "a"}, retries=3, timeout="5m", label="One", continue_on_fail=True)
    assert fingerprint(one, ()) == fingerprint(Task("two", Out, value={"text": "a"}), ())


def test_prompts_count_by_what_they_say() -> None:
    agent = RehearsalAgent()
    prompts: list[Any] = [
        "a",
        "b",
        Prompt("a"),
        Prompt.text("a"),
        Prompt.text("a", n=1),
        Prompt.text("a", n=Point(1)),
        lambda: "a",
        lambda: "b",
    ]
    assert len({asked(prompt, agent) for prompt in prompts}) == len(prompts)
    assert asked(Prompt.text("a", n=[1]), agent) == asked(Prompt.text("a", n=[1]), agent)


def test_agents_count_by_name_identity_order_and_function() -> None:
    def answer(prompt: str) -> str:
        return prompt

    chains: list[tuple[Any, ...]] = [
        (RehearsalAgent("a"),),
        (RehearsalAgent("b"),),
        (RehearsalAgent("a"), RehearsalAgent("b")),
        (RehearsalAgent("b"), RehearsalAgent("a")),
        (Named(model="small"),),
        (Named(model="large"),),
        (Named(model="large", tools=["read", Path("a")]),),
        (CallableAgent(answer, name="a"),),
        (CallableAgent(lambda prompt: prompt + "!", name="a"),),
    ]
    assert len({asked("do", *chain) for chain in chains}) == len(chains)
    assert asked("do", Named(model="small")) == asked("do", Named(model="small"))


def test_modes_and_values_are_told_apart() -> None:
    tasks = [
        Task("t", Out, value={"text": "a"}),
        Task("t", Out, value={"text": "b"}),
        Task("t", Out, value=Out(text="a")),
        Task("t", Out, value=lambda: {"text": "a"}),
        Task("t", Out, run=lambda: {"text": "a"}),
        Task("t", Out, value=None),
    ]
    found = {fingerprint(task, ()) for task in tasks}
    assert None not in found
    assert len(found) == len(tasks)


def test_the_output_schema_counts() -> None:
    declared = fingerprint(Task("t", "named", value={}), (), Out)
    found = {
        fingerprint(Task("t", output, value={}), ()) for output in (Out, Other, Described, "named", "other")
    }
    assert None not in found | {declared}
    assert len(found | {declared}) == 6


def test_skip_if_counts() -> None:
    conditions: list[Any] = [False, True, lambda: False, lambda: True]
    assert len({fingerprint(Task("t", Out, value={}, skip_if=skip), ()) for skip in conditions}) == 4


def test_what_a_callable_is_given_counts() -> None:
    a, b = Task("a", Out, value={}), Task("b", Out, value={})
    given: list[Any] = [[a, b], [b, a], [a], None]
    found = {fingerprint(Task("t", Out, run=asyncio.sleep, deps=deps), ()) for deps in given}
    assert len(found) == 4


# --- Other processes, and the price -------------------------------------------------------------

PROGRAM = """
import enum
from pathlib import Path
from pydantic import BaseModel
from smithers.agents import RehearsalAgent
from smithers.engine.fingerprint import fingerprint
from smithers.nodes import Task

class Color(enum.Enum):
    RED = {"a", "b", "c", "d"}

class Model(BaseModel):
    tags: set[str] = {"one", "two", "three", "four"}
    maybe: set[str] | None = {"one", "two", "three", "four"}
    def check(self):
        return helper(self)

def helper(x):
    return x in {"one", "two", "three", "four"}

def make():
    captured = {Path(name) for name in ("a", "b", "c", "d")}, {"x", "y", "z"}, Model(), Color.RED, Model
    return lambda: (helper(captured), Model(), Color.RED)

agent = RehearsalAgent()
for task in (
    Task("t", Model, run=make()),
    Task("t", Model, value=Model()),
    Task("t", Model, agent=agent, prompt=make()),
):
    print(fingerprint(task, [agent]).hex())
"""


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text(PROGRAM)
    started = [
        subprocess.run(
            [sys.executable, *options],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, options in enumerate([[str(file)], ["-c", "import flow"], ["-O", str(file)]], start=1)
    ]
    assert len(set(started)) == 1
    assert len(set(started[0].split())) == 3


def test_without_columns_only_what_cannot_be_told_apart_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    file.write_text(
        "from smithers.engine.fingerprint import fingerprint\n"
        "from smithers.nodes import Task\n"
        "alone = lambda: 1\n"
        "pair = (lambda: 1), (lambda: 2)\n"
        "nest = lambda: lambda: 1\n"
        "print([fingerprint(Task('t', 'o', run=f), ()) is None for f in (alone, *pair, nest, nest())])\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "no_debug_ranges", str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[False, True, True, True, True]"


def test_a_source_is_read_once_however_often_a_task_starts(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(CAPTURE)
    first = known(module.capture(1))

    def refuse(*given: object) -> None:
        raise AssertionError(f"looked again: {given}")

    monkeypatch.setattr("smithers.engine.identity.source_with", refuse)
    monkeypatch.setattr(room, "_shape_of", refuse)
    assert known(module.capture(1)) == first != known(module.capture(2))
