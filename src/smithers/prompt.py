"""Prompts kept in files or written in place, filled in strictly."""

from __future__ import annotations

import difflib
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from smithers.errors import Place, PromptError, SmithersError

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from pydantic import BaseModel

PROJECT_PROMPTS: Final = Path(".smithers", "prompts")
"""Where a project keeps the prompts that several workflows share, relative to its folder."""

EXAMPLE_DEPTH: Final = 12
"""How many levels `example` shows; what lies deeper is an empty list, an empty object or null."""


@dataclass(frozen=True, slots=True, init=False)
class Prompt:
    """A template and the values to fill it in with. Nothing is read before `render`.

    Args:
        path: the template, relative to the workflow file's folder, then to `.smithers/prompts/`.
        values: what the template may name, and nothing else. `schema` stands for a JSON example of the
            task's output unless a value of that name is given.
    """

    source: str
    """The template's path, or its text."""
    is_text: bool
    """Whether `source` is the text itself."""
    values: Mapping[str, Any]
    place: Place = field(compare=False, repr=False)
    """Where it was written."""

    def __init__(self, path: str | Path, /, **values: Any) -> None:
        self._fill(str(path), False, values)

    @classmethod
    def text(cls, template: str, /, **values: Any) -> Prompt:
        """A prompt written in place. It is dedented before filling in, so values keep their indentation."""
        prompt = cls.__new__(cls)
        prompt._fill(textwrap.dedent(template), True, values)
        return prompt

    def _fill(self, source: str, is_text: bool, values: dict[str, Any]) -> None:
        author = sys._getframe(2)
        place = Place(author.f_code.co_filename, author.f_lineno)
        for name, value in (
            ("source", source),
            ("is_text", is_text),
            ("values", MappingProxyType(values)),
            ("place", place),
        ):
            object.__setattr__(self, name, value)

    def render(self, *, base: Path | None, project: Path | None, schema: type[BaseModel] | None) -> str:
        """The finished text, without white space around it.

        Args:
            base: the workflow file's folder.
            project: the folder that holds `.smithers`.
            schema: the task's output model, which `{{ schema }}` shows an example of.
        Raises:
            PromptError: no such file, a file outside the two folders, a name without a value, or a fault in
                the template; its place is the template's own file and line.
        """
        folders = _folders(base, project)
        values = dict(self.values)
        if schema is not None and "schema" not in values:
            values["schema"] = json.dumps(example(schema), indent=2, ensure_ascii=False)
        try:
            return self._template(folders).render(values).strip()
        except SmithersError:
            raise
        except Exception as error:
            # Whatever a template does wrong (a filter, an operator, a value's own method) is told the same
            # way; the original stays attached as the cause.
            raise self._explain(error, folders, "schema" in values) from error

    def _template(self, folders: tuple[Path, ...]) -> Template:
        if self.is_text:
            return _compile(folders, self.source, self.place.file)
        path = _find(self.source, folders, self.place)
        if path is None:
            raise _missing(self.source, folders, self.place)
        return _compile(folders, _read(path), str(path))

    def _explain(self, error: Exception, folders: tuple[Path, ...], has_schema: bool) -> PromptError:
        import jinja2

        place = self._place_of(error)
        if isinstance(error, jinja2.TemplateSyntaxError):
            return PromptError(f"the template cannot be read: {error.message}", place=place)
        if isinstance(error, jinja2.TemplateNotFound):
            return _missing(str(error), folders, place)
        if isinstance(error, jinja2.UndefinedError):
            return PromptError(
                f"the template uses a name that has no value: {error.message}",
                hint=self._undefined_hint(str(error.message), has_schema),
                place=place,
            )
        return PromptError(f"the template failed: {type(error).__name__}: {error}", place=place)

    def _undefined_hint(self, message: str, has_schema: bool) -> str:
        if "'schema'" in message and not has_schema:
            return "the task has no output model: give it one, or remove {{ schema }}"
        given = ", ".join(sorted(self.values)) or "none"
        return f"pass it to Prompt(…) by name; the values given are: {given}"

    def _place_of(self, error: Exception) -> Place:
        import jinja2

        if isinstance(error, jinja2.TemplateSyntaxError):
            return self._from_template(error.filename or self.place.file, error.lineno)
        found = self.place
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            # jinja2 puts the template's own lines into the traceback and marks them so.
            if "__jinja_exception__" in trace.tb_frame.f_globals:
                found = self._from_template(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
            trace = trace.tb_next
        return found

    def _from_template(self, file: str, line: int) -> Place:
        # A text's first line is the line of the call that wrote it, as `Prompt.text("""` is usually laid out.
        is_own_text = self.is_text and file == self.place.file
        return Place(file, self.place.line + line - 1 if is_own_text else line)


# --- Finding ------------------------------------------------------------------------------------


def _folders(base: Path | None, project: Path | None) -> tuple[Path, ...]:
    found = [] if base is None else [base]
    return tuple(found if project is None else [*found, project / PROJECT_PROMPTS])


def _find(name: str, folders: tuple[Path, ...], place: Place) -> Path | None:
    """The first file of that name, or None.

    Raises:
        PromptError: the name, or the link it stands for, leaves the folder.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    is_outside = posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts
    if is_outside or not posix.parts or "\0" in name:
        raise _outside(name, place)
    for folder in folders:
        path = folder / name
        if not path.is_file():
            continue
        # Both sides resolved: the folder may itself be reached through a link.
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _outside(name, place)
        return path
    return None


def _outside(name: str, place: Place) -> PromptError:
    return PromptError(
        f"not a path inside the prompt folders: {name!r}",
        hint="name a file below the workflow's folder or below .smithers/prompts, without `..`",
        place=place,
    )


def _missing(name: str, folders: tuple[Path, ...], place: Place) -> PromptError:
    wanted = Path(name)
    near = {
        (wanted.parent / found).as_posix()
        for folder in folders
        for found in difflib.get_close_matches(wanted.name, _names(folder / wanted.parent), n=3)
    }
    looked = [str(folder / wanted) for folder in folders]
    hint = f"did you mean {' or '.join(sorted(near))}?" if near else None
    where = ", ".join(looked) or "nowhere: the workflow has no file and the project no folder"
    return PromptError(f"no prompt {name!r}; looked in: {where}", hint=hint, place=place, looked=looked)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"the prompt cannot be read: {error}", place=Place(str(path), 1)) from error


# --- Filling in ---------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _environment(folders: tuple[Path, ...]) -> Environment:
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    def load(name: str) -> tuple[str, str, Any] | None:
        path = _find(name, folders, Place(name, 1))
        if path is None:
            return None
        text = _read(path)
        # A prompt may be edited while a run goes on: included files are compared at each use.
        return text, str(path), lambda: path.is_file() and _read(path) == text

    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, loader=FunctionLoader(load))


@lru_cache(maxsize=256)
def _compile(folders: tuple[Path, ...], source: str, filename: str) -> Template:
    # Cached by content: compiling costs a millisecond, and a fan-out fills in one template a thousand times.
    environment = _environment(folders)
    code = environment.compile(source, filename=filename)
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


# --- Showing a model ----------------------------------------------------------------------------


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema as a validator sees it.

    A field that JSON schema has no word for is `{}`, and nothing is warned about: the reader is an agent, and
    the model itself has the last word anyway.
    """
    by_alias = model.model_config.get("validate_by_alias", True) is not False
    return model.model_json_schema(by_alias=by_alias, mode="validation", schema_generator=_quiet_generator())


def stored_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model's stored text: fields by their own names, computed ones too."""
    return model.model_json_schema(by_alias=False, mode="serialization", schema_generator=_quiet_generator())


@lru_cache(maxsize=1)
def _quiet_generator() -> Any:
    # Built on first use, because this module is a leaf: importing it must not import pydantic.
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
            return {}

        def emit_warning(self, kind: Any, detail: str) -> None:
            return None

    return Quiet


def example(schema: type[BaseModel]) -> Any:
    """A JSON value that shows the shape of a model.

    Strings hold the field's description, numbers are 0, booleans false, lists have one element, an enum is
    its first value, a union its first option; a default wins over all but a description. A model inside
    itself is shown once.
    """
    root = json_schema(schema)
    return _Example(root.get("$defs", {})).value(root, (), 0)


@dataclass(frozen=True, slots=True)
class _Example:
    definitions: Mapping[str, Any]

    def value(self, node: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> Any:
        """Args: inside: names of the models around `node`."""
        if (name := node.get("$ref")) is not None:
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            definition = self.definitions[str(name).rpartition("/")[2]]
            return self.value({**definition, **siblings}, (*inside, str(name)), depth)
        if node.get("type") == "string" and "enum" not in node and "const" not in node:
            return node.get("description") or node.get("default", "string")
        if "default" in node:
            return node["default"]
        if "const" in node:
            return node["const"]
        if node.get("enum"):
            return node["enum"][0]
        for union in ("anyOf", "oneOf", "allOf"):
            if node.get(union):
                return self._option(node, node[union], inside, depth)
        return self._typed(node, inside, depth)

    def _option(
        self, node: Mapping[str, Any], options: list[dict[str, Any]], inside: tuple[str, ...], depth: int
    ) -> Any:
        shown = [option for option in options if not self._is_cut(option, inside, depth)]
        if not shown:
            return None
        # A described union (`str | None = Field(description=…)`) keeps its description beside `anyOf`.
        description = {"description": node["description"]} if "description" in node else {}
        return self.value({**description, **shown[0]}, inside, depth)

    def _typed(self, node: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> Any:
        match node.get("type"):
            case "integer" | "number":
                return 0
            case "boolean":
                return False
            case "null":
                return None
            case "array":
                return self._list(node, inside, depth)
            case "object":
                return self._object(node, inside, depth)
            case _:
                return node.get("description", "any JSON value")

    def _list(self, node: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> list[Any]:
        items = node.get("prefixItems") or [node.get("items", {})]
        return [
            self.value(item, inside, depth + 1)
            for item in items
            if isinstance(item, dict) and not self._is_cut(item, inside, depth + 1)
        ]

    def _object(self, node: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> dict[str, Any]:
        if depth >= EXAMPLE_DEPTH:
            return {}
        fields = dict(node.get("properties", {}))
        extra = node.get("additionalProperties") or next(
            iter(node.get("patternProperties", {}).values()), None
        )
        if not fields and isinstance(extra, dict):
            fields = {"key": extra}
        return {
            name: None if self._is_cut(child, inside, depth + 1) else self.value(child, inside, depth + 1)
            for name, child in fields.items()
        }

    def _is_cut(self, node: Mapping[str, Any], inside: tuple[str, ...], depth: int) -> bool:
        return depth >= EXAMPLE_DEPTH or ("default" not in node and node.get("$ref") in inside)
