"""Which files belong to a workflow, and which of them have changed."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType

import pydantic
import pytest

import smithers
from smithers.cli.sources import Sources, files_of, own_modules, prompts_in


def module(name: str, file: Path | None, text: str = "", folders: list[Path] | None = None) -> ModuleType:
    found = ModuleType(name)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        found.__file__ = str(file)
    if folders is not None:
        found.__path__ = [str(folder) for folder in folders]
    return found


def own(root: Path, *modules: ModuleType) -> list[str]:
    return list(own_modules({one.__name__: one for one in modules}, [root]))


# --- Modules ------------------------------------------------------------------------------------


def test_modules_below_the_project_are_its_own(tmp_path: Path) -> None:
    flow, deep = module("flow", tmp_path / "flow.py"), module("a.b", tmp_path / "a/b.py")
    assert own(tmp_path, flow, deep) == ["flow", "a.b"]


def test_modules_elsewhere_are_not(tmp_path: Path) -> None:
    assert own(tmp_path / "here", module("there", tmp_path / "there/there.py")) == []


def test_libraries_python_itself_and_smithers_are_not_even_if_they_lie_below_the_project() -> None:
    assert own(Path("/"), json, pydantic, pytest, smithers) == []
    assert {"smithers", "smithers.engine.drive"} & set(own_modules(sys.modules, [Path("/")])) == set()


def test_the_program_that_was_started_is_not(tmp_path: Path) -> None:
    assert own(tmp_path, module("__main__", tmp_path / "main.py")) == []


def test_what_is_not_written_in_python_is_not(tmp_path: Path) -> None:
    assert own(tmp_path, module("fast", tmp_path / "fast.so"), module("made", None)) == []


def test_a_namespace_package_counts_if_all_of_it_lies_there(tmp_path: Path) -> None:
    here, shared = tmp_path / "here", tmp_path / "shared"
    assert own(here, module("mine", None, folders=[here / "mine"])) == ["mine"]
    assert own(here, module("ours", None, folders=[here / "ours", shared / "ours"])) == []


def test_entries_of_sys_modules_that_are_no_modules_are_passed_over(tmp_path: Path) -> None:
    assert own_modules({"odd": object(), "none": None}, [tmp_path]) == {}


# --- Prompts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Prompt('x.md')", ["x.md"]),
        ("smithers.Prompt('x.md', topic=topic)", ["x.md"]),
        ("Task('t', prompt=Prompt('deep/x.md'))", ["deep/x.md"]),
        ("Prompt(f'{lens}.md')", ["*.md"]),
        ("Prompt(f'{name}')", []),
        ("Prompt('a.md' if short else 'b.md')", ["a.md", "b.md"]),
        ("(HERE / 'x.txt').read_text()", ["x.txt"]),
        ("Path(__file__).with_name('x.txt').read_bytes()", ["x.txt"]),
        ("Prompt.text('not.md')", []),
        ("Task('x.md')", []),
        ("(HERE / 'x.md').write_text('y')", []),
        ("Prompt(name)", []),
    ],
)
def test_prompts_are_found_where_code_names_them(text: str, names: list[str]) -> None:
    assert list(prompts_in(ast.parse(text))) == names


def test_a_prompt_lies_beside_the_workflow_beside_its_module_or_in_the_projects_own_folder(
    tmp_path: Path,
) -> None:
    text = "Prompt('base.md'), Prompt('near.md'), Prompt('shared.md'), Prompt('absent.md')"
    helper = module("helper", tmp_path / "lib/helper.py", text)
    expected = {
        tmp_path / "flows/base.md",
        tmp_path / "lib/near.md",
        tmp_path / ".smithers/prompts/shared.md",
    }
    for path in expected:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert files_of([helper], tmp_path / "flows", tmp_path) == {tmp_path / "lib/helper.py", *expected}


def test_what_a_prompt_includes_belongs_to_it(tmp_path: Path) -> None:
    flow = module("flow", tmp_path / "flow.py", "Prompt('a.md')")
    (tmp_path / "a.md").write_text("{% include 'b.md' %} {%- extends \"c.md\" %} {% if 'd.md' %}{% endif %}")
    (tmp_path / "b.md").write_text("{% from 'e.md' import word %} {% include 'a.md' %}")
    for name in "cde":
        (tmp_path / f"{name}.md").touch()
    found = {path.name for path in files_of([flow], tmp_path, tmp_path)}
    assert found == {"flow.py", "a.md", "b.md", "c.md", "e.md"}


def test_an_f_string_may_be_any_file_of_its_form(tmp_path: Path) -> None:
    flow = module("flow", tmp_path / "flow.py", "Prompt(f'lens-{name}.md')")
    for name in ("lens-a.md", "lens-b.md", "other.md"):
        (tmp_path / name).touch()
    found = {path.name for path in files_of([flow], tmp_path, tmp_path)}
    assert found == {"flow.py", "lens-a.md", "lens-b.md"}


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/etc/*", "**"])
def test_a_name_that_no_file_can_have_is_passed_over(tmp_path: Path, name: str) -> None:
    flow = module("flow", tmp_path / "flow.py", f"Prompt({name!r})")
    assert tmp_path / "flow.py" in files_of([flow], tmp_path, tmp_path)


def test_a_module_that_is_broken_by_now_still_belongs(tmp_path: Path) -> None:
    flow = module("flow", tmp_path / "flow.py", "def (")
    assert files_of([flow], tmp_path, tmp_path) == {tmp_path / "flow.py"}


# --- What has changed -----------------------------------------------------------------------------


def test_other_bytes_are_a_change_the_same_bytes_are_none(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a")
    two.write_text("a")
    sources = Sources([one, two])
    one.write_text("a")
    two.write_text("b")
    assert sources.changed() == [two]


def test_a_file_that_goes_or_comes_is_a_change(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a")
    sources = Sources([one, two])
    one.unlink()
    two.touch()
    assert sources.changed() == [one, two]


def test_what_sources_become_keeps_what_is_known_of_a_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a")
    two.write_text("a")
    sources = Sources([one])
    one.write_text("b")
    assert sources.become([one, two]).changed() == [one]
    assert sources.become([two]).changed() == []
