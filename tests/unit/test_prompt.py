from __future__ import annotations

import json
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from smithers.errors import MissingOutput, PromptError
from smithers.prompt import EXAMPLE_DEPTH, Prompt, example


class Finding(BaseModel):
    title: str = Field(description="what is wrong, in one line")
    severity: Literal["high", "low"]


class Report(BaseModel):
    findings: list[Finding]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A project with one workflow folder and one shared prompt."""
    (tmp_path / ".smithers" / "prompts").mkdir(parents=True)
    (tmp_path / "flows" / "parts").mkdir(parents=True)
    (tmp_path / "flows" / "analyze.md").write_text("Look at {{ repo }}.\n\n")
    (tmp_path / ".smithers" / "prompts" / "shared.md").write_text("Shared {{ repo }}")
    return tmp_path / "flows"


def render(prompt: Prompt, base: Path | None = None, schema: type[BaseModel] | None = None) -> str:
    return prompt.render(base=base, project=base.parent if base else None, schema=schema)


def refuse(prompt: Prompt, base: Path | None = None, schema: type[BaseModel] | None = None) -> PromptError:
    with pytest.raises(PromptError) as caught:
        render(prompt, base, schema)
    return caught.value


# --- Files --------------------------------------------------------------------------------------


def test_a_file_beside_the_workflow_is_filled_in_and_trimmed(base: Path) -> None:
    assert render(Prompt("analyze.md", repo="acme"), base) == "Look at acme."


def test_a_file_is_looked_for_in_the_project_next(base: Path) -> None:
    assert render(Prompt("shared.md", repo="acme"), base) == "Shared acme"
    (base / "shared.md").write_text("Nearer {{ repo }}")
    assert render(Prompt("shared.md", repo="acme"), base) == "Nearer acme"


def test_either_folder_may_be_missing(base: Path) -> None:
    prompt = Prompt("shared.md", repo="x")
    assert prompt.render(base=None, project=base.parent, schema=None) == "Shared x"
    with pytest.raises(PromptError, match="looked in: nowhere"):
        prompt.render(base=None, project=None, schema=None)


def test_an_edited_file_is_read_again(base: Path) -> None:
    prompt = Prompt("analyze.md", repo="acme")
    render(prompt, base)
    (base / "analyze.md").write_text("Look again at {{ repo }}.")
    assert render(prompt, base) == "Look again at acme."


def test_an_edited_part_is_read_again(base: Path) -> None:
    (base / "parts" / "tone.md").write_text("Be kind.")
    prompt = Prompt.text("{% include 'parts/tone.md' %}")
    assert render(prompt, base) == "Be kind."
    (base / "parts" / "tone.md").write_text("Be brief.")
    assert render(prompt, base) == "Be brief."


def test_nothing_is_read_when_a_prompt_is_made() -> None:
    assert Prompt("no/such/file.md").source == "no/such/file.md"


def test_a_missing_file_names_the_places_and_the_near_names(base: Path) -> None:
    error = refuse(Prompt("analyse.md"), base)
    assert str(base / "analyse.md") in error.message
    assert str(base.parent / ".smithers" / "prompts" / "analyse.md") in error.message
    assert error.hint == "did you mean analyze.md?"
    assert error.place is not None
    assert error.place.file == __file__


@pytest.mark.parametrize(
    "path", ["../secret.md", "parts/../../secret.md", "/etc/hosts", "C:\\x", "..\\x", "", "a\0b"]
)
def test_a_path_that_leaves_the_folders_is_refused(base: Path, path: str) -> None:
    (base.parent / "secret.md").write_text("secret")
    assert "not a path inside" in refuse(Prompt(path), base).message


def test_a_link_that_leaves_the_folders_is_refused(base: Path) -> None:
    (base.parent / "secret.md").write_text("secret")
    (base / "link.md").symlink_to(base.parent / "secret.md")
    assert "not a path inside" in refuse(Prompt("link.md"), base).message


def test_a_link_inside_the_folder_is_followed(base: Path) -> None:
    (base / "link.md").symlink_to(base / "analyze.md")
    assert render(Prompt("link.md", repo="acme"), base) == "Look at acme."


def test_an_include_cannot_leave_the_folders_either(base: Path) -> None:
    (base.parent / "secret.md").write_text("secret")
    assert "not a path inside" in refuse(Prompt.text("{% include '../secret.md' %}"), base).message


def test_a_file_that_is_not_text_is_refused(base: Path) -> None:
    (base / "image.md").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refuse(Prompt("image.md"), base).message


def test_importing_prompts_loads_neither_the_template_engine_nor_pydantic() -> None:
    program = "import sys, smithers.prompt; sys.exit(bool({'jinja2', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- Filling in ---------------------------------------------------------------------------------


def test_a_text_is_dedented_before_values_are_filled_in() -> None:
    prompt = Prompt.text(
        """
        Review this:
            {{ code }}
        Thanks.
        """,
        code="if x:\n    pass",
    )
    assert render(prompt) == "Review this:\n    if x:\n    pass\nThanks."


def test_markup_is_not_escaped_and_values_are_not_templates() -> None:
    assert render(Prompt.text("{{ v }}", v="<b>&{{ x }}</b>")) == "<b>&{{ x }}</b>"


def test_values_may_have_any_name() -> None:
    names = {"self": 1, "path": 2, "template": 3, "cls": 4}
    assert render(Prompt.text("{{ self }}{{ path }}{{ template }}{{ cls }}", **names)).endswith("234")
    assert Prompt("x.md", **names).values == names


def test_an_undefined_name_tells_the_files_line_and_what_was_given(base: Path) -> None:
    (base / "analyze.md").write_text("one\ntwo\n{{ rpeo }}\n")
    error = refuse(Prompt("analyze.md", repo="acme", depth=2), base)
    assert "'rpeo' is undefined" in error.message
    assert "depth, repo" in error.hint
    assert error.place == (str(base / "analyze.md"), 3)


def test_an_undefined_name_in_a_part_tells_the_parts_line(base: Path) -> None:
    (base / "parts" / "tone.md").write_text("\n{{ tone }}")
    error = refuse(Prompt.text("{% include 'parts/tone.md' %}"), base)
    assert error.place == (str(base / "parts" / "tone.md"), 2)


def test_a_fault_in_a_text_tells_the_line_of_the_workflow_file() -> None:
    prompt = Prompt.text("""
        fine
        {{ missing }}
    """)
    error = refuse(prompt)
    assert error.place is not None
    assert error.place.file == __file__
    written = Path(__file__).read_text().splitlines()[error.place.line - 1]
    assert written.strip() == "{{ missing }}"


def test_a_missing_attribute_is_an_error_not_an_empty_text() -> None:
    assert "no attribute 'nope'" in refuse(Prompt.text("{{ v.nope }}", v={"a": 1})).message


def test_a_syntax_error_tells_the_line(base: Path) -> None:
    (base / "analyze.md").write_text("one\n{% if x %}\nnever closed")
    error = refuse(Prompt("analyze.md", x=1), base)
    assert "cannot be read" in error.message
    assert error.place is not None
    assert (error.place.file, error.place.line) == (str(base / "analyze.md"), 2)


def test_a_missing_part_names_the_places_looked_in(base: Path) -> None:
    (base / "parts" / "tone.md").write_text("x")
    error = refuse(Prompt.text("{% include 'parts/tones.md' %}"), base)
    assert str(base / "parts" / "tones.md") in error.message
    assert error.hint == "did you mean parts/tone.md?"


def test_a_template_cannot_reach_into_python() -> None:
    error = refuse(Prompt.text("{{ ''.__class__.__mro__ }}"))
    assert "unsafe" in error.message


def test_an_exception_while_filling_in_is_told_with_its_line() -> None:
    error = refuse(Prompt.text("{{ 1 // v }}", v=0))
    assert "ZeroDivisionError" in error.message
    assert error.place is not None
    assert error.place.file == __file__


def test_an_error_of_ours_passes_through() -> None:
    class Late:
        def __str__(self) -> str:
            raise MissingOutput("not there yet")

    with pytest.raises(MissingOutput):
        render(Prompt.text("{{ v }}", v=Late()))


def test_a_prompt_is_a_value() -> None:
    one, other = Prompt("a.md", n=1), Prompt("a.md", n=1)
    assert one == other
    assert one != Prompt("a.md", n=2)
    assert one != Prompt.text("a.md", n=1)
    with pytest.raises(AttributeError):
        one.source = "b.md"  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.values["n"] = 3  # type: ignore[index]


# --- {{ schema }} -------------------------------------------------------------------------------


def test_schema_is_a_json_example_of_the_output() -> None:
    text = render(Prompt.text("Answer:\n{{ schema }}"), schema=Report)
    shown = json.loads(text.removeprefix("Answer:"))
    assert shown == {"findings": [{"title": "what is wrong, in one line", "severity": "high"}]}
    assert '\n  "findings"' in text


def test_a_value_called_schema_is_the_authors() -> None:
    assert render(Prompt.text("{{ schema }}", schema="mine"), schema=Report) == "mine"


def test_schema_without_an_output_model_says_so() -> None:
    assert "no output model" in refuse(Prompt.text("{{ schema }}")).hint


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("annotation", "field", "shown"),
    [
        (int, {}, 0),
        (float, {}, 0),
        (bool, {}, False),
        (str, {}, "string"),
        (str, {"description": "who"}, "who"),
        (str, {"default": "me"}, "me"),
        (str, {"default": "me", "description": "who"}, "who"),
        (int, {"default": 7}, 7),
        (bool, {"default": True}, True),
        (Colour, {}, "red"),
        (Literal["x"], {}, "x"),
        (int | str, {}, 0),
        (str | None, {"description": "who"}, "who"),
        (int | None, {"default": None}, None),
        (list[int], {}, [0]),
        (list[Finding], {"default": []}, []),
        (tuple[int, str], {}, [0, "string"]),
        (dict[str, int], {}, {"key": 0}),
        (dict[Annotated[str, Field(pattern="^a")], bool], {}, {"key": False}),
        (Finding, {}, {"title": "what is wrong, in one line", "severity": "high"}),
        (None, {}, None),
        (Any, {}, "any JSON value"),
    ],
    ids=str,
)
def test_an_example_shows_each_kind(annotation: Any, field: dict[str, Any], shown: Any) -> None:
    model = create_model("Model", value=(annotation, Field(**field)))
    assert example(model) == {"value": shown}


def test_an_example_shows_a_model_inside_itself_once() -> None:
    class Tree(BaseModel):
        name: str
        left: Tree | None
        children: list[Tree]

    assert example(Tree) == {"name": "string", "left": None, "children": []}


def test_an_example_uses_the_names_that_json_has() -> None:
    model = create_model("Model", size=(int, Field(alias="Size")))
    assert example(model) == {"Size": 0}


def test_an_example_ends_at_its_nesting_limit() -> None:
    deep: Any = int
    for _ in range(40):
        deep = list[deep]
    shown = example(create_model("Deep", value=(deep, ...)))["value"]
    levels = 0
    while shown:
        shown, levels = shown[0], levels + 1
    assert levels < EXAMPLE_DEPTH
