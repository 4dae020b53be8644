"""Edits of a workflow's files: what is imported anew, what stays as it was, and what the engine is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smithers.cli.edition import Edition, load_anew
from smithers.cli.hot import Hot
from smithers.cli.load import load, locate
from smithers.cli.sources import own_modules
from smithers.engine.handle import Handle
from smithers.engine.message import Message, Swap, Unfit
from smithers.nodes.importable import reference

FLOW = """
from smithers import Task, workflow
import hot_helper

WORD = "one"

def work():
    return hot_helper.WORD

@workflow
def flow(ctx):
    return Task("a", str, run=work)
"""
HANDLE = Handle(lambda handle, state: None)


class Files:
    """A project of two modules, imported; and what the engine is told of their edits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("hot_flow.py", FLOW)
        self.write("hot_helper.py", 'WORD = "one"\n')
        self.target = locate(str(folder / "hot_flow.py"))
        self.workflow = load(self.target)
        self.hot = Hot(self.target, self.workflow.definition, folder)
        self.posted: list[Message] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def look(self, *touched: str) -> list[Any]:
        """What is told of what has happened since the last look."""
        self.hot.look(HANDLE, self.posted.append, {self.folder / name for name in touched})
        told, self.posted = self.posted, []
        return told

    def anew(self, *edited: str) -> Edition:
        return load_anew(self.target, (self.folder,), [self.folder / name for name in edited])


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    path = list(sys.path)
    try:
        yield Files(tmp_path)
    finally:
        for name in own_modules(sys.modules, [tmp_path]):
            del sys.modules[name]
        sys.path[:] = path


# --- Importing anew -----------------------------------------------------------------------------


def test_an_edition_has_what_the_files_say_now_and_the_modules_in_use_stay(files: Files) -> None:
    before = sys.modules["hot_flow"], sys.modules["hot_helper"]
    files.replace("hot_helper.py", "one", "two")
    edition = files.anew("hot_helper.py")
    assert (sys.modules["hot_flow"], sys.modules["hot_helper"]) == before
    assert before[0].work() == "one"
    assert edition.modules["hot_flow"].work() == "two"
    assert set(edition.modules) == {"hot_flow", "hot_helper"}
    assert edition.definition.function is not files.workflow.definition.function


def test_an_edition_that_is_installed_stands_under_the_names_until_it_is_withdrawn(files: Files) -> None:
    before = sys.modules["hot_flow"]
    edition = files.anew()
    withdraw = edition.install()
    assert sys.modules["hot_flow"] is edition.modules["hot_flow"]
    withdraw()
    assert sys.modules["hot_flow"] is before


def test_an_import_that_fails_leaves_every_module_as_it_was(files: Files) -> None:
    before = dict(sys.modules)
    files.write("hot_new.py", "")
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper, hot_new\n1 / 0")
    assert [type(told) for told in files.look()] == [Unfit]
    assert dict(sys.modules) == before


def test_an_edit_of_the_same_size_in_the_same_second_is_seen(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    stamp = (files.folder / "hot_helper.py").stat()
    for word in ("two", "six", "ten"):
        path = files.write("hot_helper.py", f'WORD = "{word}"\n')
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert files.anew("hot_helper.py").modules["hot_flow"].work() == word


def test_a_module_of_a_package_is_imported_anew_and_put_back(files: Files) -> None:
    files.write("hot_pack/__init__.py", "")
    files.write("hot_pack/part.py", "N = 1\n")
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper\nfrom hot_pack import part")
    withdraw = files.anew("hot_flow.py").install()
    one = sys.modules["hot_pack.part"]
    files.write("hot_pack/part.py", "N = 2\n")
    edition = files.anew("hot_pack/part.py")
    assert edition.modules["hot_flow"].part.N == 2
    assert sys.modules["hot_pack.part"] is one is sys.modules["hot_pack"].part
    withdraw()
    assert "hot_pack" not in sys.modules


def test_functions_of_both_editions_are_found_by_their_names_whichever_is_installed(files: Files) -> None:
    old = sys.modules["hot_flow"].work
    edition = files.anew()
    new = edition.modules["hot_flow"].work
    assert reference(old) is not None
    edition.install()
    assert reference(old) is not None
    assert reference(new) is not None


def test_a_function_in_use_is_found_by_its_name_while_its_file_is_imported_anew(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, seen = sys.modules["hot_flow"].work, []
    monkeypatch.setattr(sys, "hot_probe", lambda: seen.append(reference(old)), raising=False)
    files.replace("hot_flow.py", "def work():", "import sys; sys.hot_probe()\ndef work():")
    files.anew("hot_flow.py")
    assert [found.name for found in seen] == ["work"]


def test_loading_again_and_again_does_not_lengthen_the_path(files: Files) -> None:
    before = list(sys.path)
    for _ in range(3):
        files.anew()
    assert sys.path == before


# --- Telling the engine -----------------------------------------------------------------------------


def test_nothing_is_told_while_nothing_changes(files: Files) -> None:
    assert files.look() == []
    assert files.look("hot_flow.py", "other.py") == []


def test_a_save_of_the_same_bytes_is_nothing(files: Files) -> None:
    files.write("hot_flow.py", FLOW)
    assert files.look("hot_flow.py") == []


def test_an_edit_is_handed_over_once_with_its_name(files: Files) -> None:
    files.replace("hot_flow.py", '"one"', '"two"')
    (told,) = files.look("hot_flow.py")
    assert isinstance(told, Swap)
    assert (told.handle, told.changed) == (HANDLE, ("hot_flow.py",))
    assert files.look("hot_flow.py") == []


def test_a_save_by_renaming_is_an_edit(files: Files) -> None:
    files.write("hot_flow.py~", FLOW.replace('"one"', '"two"')).rename(files.folder / "hot_flow.py")
    assert [type(told) for told in files.look("hot_flow.py")] == [Swap]


def test_an_edit_of_an_imported_module_is_handed_over(files: Files) -> None:
    files.replace("hot_helper.py", "one", "two")
    (told,) = files.look()
    assert told.changed == ("hot_helper.py",)
    told.install()
    assert sys.modules["hot_flow"].work() == "two"


def test_a_module_that_an_edit_imports_is_watched_from_then_on(files: Files) -> None:
    files.write("lib/hot_lib.py", "N = 1\n")
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper, lib.hot_lib")
    assert len(files.look()) == 1
    files.write("lib/hot_lib.py", "N = 2\n")
    (told,) = files.look()
    assert told.changed == ("lib/hot_lib.py",)


def test_a_module_that_is_imported_no_more_is_watched_no_more(files: Files) -> None:
    files.replace("hot_flow.py", "import hot_helper", "hot_helper = None")
    assert len(files.look()) == 1
    files.replace("hot_helper.py", "one", "two")
    assert files.look("hot_helper.py") == []


def test_what_cannot_be_imported_is_told_once_with_its_line_and_taken_over_when_it_is_mended(
    files: Files,
) -> None:
    files.replace("hot_flow.py", "def work():", "def work(:")
    (told,) = files.look()
    assert isinstance(told, Unfit)
    assert str(told.error.place) == f"{files.folder / 'hot_flow.py'}:7"
    assert "SyntaxError" in told.error.message
    assert files.look("hot_flow.py") == []
    files.write("hot_flow.py", FLOW)
    assert [type(told) for told in files.look("hot_flow.py")] == [Swap]


def test_the_same_mistake_in_another_line_is_told_again(files: Files) -> None:
    files.replace("hot_flow.py", "def work():", "def work(:")
    files.look()
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper\n")
    (told,) = files.look()
    assert told.error.place.line == 8


def test_another_mistake_is_told_again(files: Files) -> None:
    files.replace("hot_flow.py", "def work():", "def work(:")
    files.look()
    files.replace("hot_flow.py", "def work(:", "raise ValueError('no')\ndef work():")
    (told,) = files.look()
    assert "ValueError: no" in told.error.message


def test_a_workflow_that_is_gone_is_told(files: Files) -> None:
    files.replace("hot_flow.py", "@workflow", "")
    (told,) = files.look()
    assert told.error.code == "WORKFLOW_NOT_FOUND"
    (files.folder / "hot_flow.py").unlink()
    (told,) = files.look()
    assert told.error.code == "WORKFLOW_LOAD_FAILED"


def test_a_module_that_is_broken_and_was_never_watched_is_mended(files: Files) -> None:
    files.write("lib/hot_lib.py", "N = (\n")
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper, lib.hot_lib")
    (told,) = files.look()
    assert told.error.place.file == str(files.folder / "lib/hot_lib.py")
    files.write("lib/hot_lib.py", "N = 1\n")
    assert [type(told) for told in files.look()] == [Swap]


def test_a_module_that_was_missing_is_found_when_it_is_written(files: Files) -> None:
    files.replace("hot_flow.py", "import hot_helper", "import hot_helper, hot_late")
    (told,) = files.look()
    assert "No module named 'hot_late'" in told.error.message
    assert files.look("notes.txt") == []
    files.write("hot_late.py", "")
    (told,) = files.look("hot_late.py")
    assert isinstance(told, Swap)
    assert told.changed == ("hot_flow.py", "hot_late.py")


def test_an_edit_of_a_prompt_is_handed_over(files: Files) -> None:
    files.write("ask.md", "one")
    files.replace("hot_flow.py", "WORD =", "Prompt = str\nASK = Prompt('ask.md')\nWORD =")
    assert len(files.look()) == 1
    files.write("ask.md", "two")
    (told,) = files.look("ask.md")
    assert told.changed == ("ask.md",)
