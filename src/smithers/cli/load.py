"""Find and import the workflow that a command names: `flow.py`, `flow.py:name` or `package.module:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from smithers.errors import AuthoringError, Place, WorkflowLoadFailed, WorkflowNotFound

if TYPE_CHECKING:
    from smithers.authoring import Workflow


@dataclass(frozen=True, slots=True)
class Target:
    """Where a workflow is written; nothing of it has been imported yet."""

    file: Path | None
    """Absolute; None for `package.module:name`."""
    module: str | None
    name: str | None
    """The workflow in it; None: the only one there."""

    @property
    def folder(self) -> Path:
        """Where the search for a store begins."""
        return self.file.parent if self.file is not None else Path.cwd()

    def source(self, project: Path) -> str | None:
        """As stored with a run, without the name if none was given; None for a module."""
        if self.file is None:
            return None
        inside = self.file.is_relative_to(project)
        shown = (self.file.relative_to(project) if inside else self.file).as_posix()
        return f"{shown}:{self.name}" if self.name else shown


def locate(text: str) -> Target:
    """What a command line means, by the file system alone.

    Raises:
        WorkflowNotFound: no such file, or no form we know.
    """
    path, _, name = text.partition(":")
    file = Path(path)
    if file.is_file():
        return Target(file.resolve(), None, name or None)
    if path.endswith(".py") or "/" in path:
        near = sorted(found.name for found in Path.cwd().glob("*.py"))[:5]
        raise WorkflowNotFound(
            f"no file {path}" + (f"; in this folder: {', '.join(near)}" if near else ""), path=path
        )
    if name and all(part.isidentifier() for part in path.split(".")):
        return Target(None, path, name)
    raise WorkflowNotFound(f"no workflow file {text!r}")


def load(target: Target) -> Workflow[Any, Any]:
    """Import the workflow.

    Raises:
        WorkflowLoadFailed: its file raised; with file and line.
        WorkflowNotFound: the file has no workflow, several, or none of that name; lists what it has.
    """
    return workflow_in(import_module_of(target), target)


def workflow_in(module: ModuleType, target: Target) -> Workflow[Any, Any]:
    """The workflow that is meant, of a module that was imported.

    Raises:
        WorkflowNotFound: as `load`.
    """
    from smithers.authoring import Workflow

    where = str(target.file or target.module)
    shown = Path(where).name if target.file else where
    found = {name: value for name, value in vars(module).items() if isinstance(value, Workflow)}
    if target.name is not None:
        value: Any = module
        for part in target.name.split("."):
            value = getattr(value, part, None)
        if not isinstance(value, Workflow):
            raise WorkflowNotFound(
                f"{where} has no workflow {target.name!r}{_list(found)}",
                hint=f"name one: `smithers up {shown}:{next(iter(found))}`" if found else None,
            )
        return value
    own = {name: one for name, one in found.items() if one.__module__ == module.__name__} or found
    for meant in (own, _outermost(own)):
        if len({id(one) for one in meant.values()}) == 1:
            return next(iter(meant.values()))
    if not own:
        raise WorkflowNotFound(
            f"{where} has no workflow", hint="write a function that takes ctx and put @workflow above it"
        )
    raise WorkflowNotFound(
        f"{where} has {len(own)} workflows{_list(own)}",
        hint=f"name one: `smithers up {shown}:{next(iter(own))}`",
        workflows=sorted(own),
    )


def _outermost(own: dict[str, Workflow[Any, Any]]) -> dict[str, Workflow[Any, Any]]:
    """Those workflows of a file that no other one of it names: the rest are there to be embedded."""
    named = {name: _names(one.function.__code__) for name, one in own.items()}
    return {
        name: one
        for name, one in own.items()
        if not any(name in names for other, names in named.items() if own[other] is not one)
    }


def _names(code: CodeType) -> set[str]:
    """Globals that a function, or one within it, names."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _list(found: dict[str, Workflow[Any, Any]]) -> str:
    return f": {', '.join(found)}" if found else ""


def import_module_of(target: Target) -> ModuleType:
    """Import the file, or the module.

    Raises:
        WorkflowLoadFailed: it raised; with file and line.
        WorkflowNotFound: there is no such module.
    """
    file = target.file
    folder = str(file.parent if file is not None else Path.cwd())
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    try:
        if file is None:
            if target.module is None:
                raise WorkflowNotFound("neither a file nor a module")
            return importlib.import_module(target.module)
        known = sys.modules.get(file.stem)
        name = file.stem if known is None else f"smithers_flow_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise WorkflowNotFound(f"{file} is not a Python file", hint="workflow files end in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    except SyntaxError as error:
        place = Place(error.filename or str(file), error.lineno or 0)
        raise WorkflowLoadFailed(f"SyntaxError: {error.msg}", place=place) from error
    except AuthoringError as error:
        raise WorkflowLoadFailed(
            error.message, hint=error.hint, place=error.place or _place(error, file), cause=error.code
        ) from error
    except ModuleNotFoundError as error:
        if file is None and target.module is not None and target.module.startswith(error.name or "\0"):
            raise WorkflowNotFound(f"no module {error.name!r}") from error
        raise _failed(error, file) from error
    except (Exception, SystemExit) as error:  # the author's module may raise anything
        raise _failed(error, file) from error


def _failed(error: BaseException, file: Path | None) -> WorkflowLoadFailed:
    return WorkflowLoadFailed(f"{type(error).__name__}: {error}", place=_place(error, file))


def _place(error: BaseException, file: Path | None) -> Place | None:
    """The deepest line of the traceback in the workflow's own file, else of code that is not ours."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if file is not None and f.filename == str(file)]
    others = [f for f in frames if "importlib" not in f.filename and "smithers/cli" not in f.filename]
    for frame in (own or others)[-1:]:
        return Place(frame.filename, frame.lineno or 0)
    return Place(str(file), 1) if file is not None else None
