"""The files that a workflow is made of: the project's modules that it imports, and the prompts these name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from smithers.engine.library import is_library_file
from smithers.prompt import PROJECT_PROMPTS

_READS = frozenset({"read_text", "read_bytes"})
_TEMPLATE_TAG = re.compile(r"{%-?\s*(?:include|extends|import|from)\b(.*?)%}", re.DOTALL)
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")


class Sources:
    """Files, and what was in them when this was made."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._digests = {path: _digest(path) for path in files}

    @property
    def files(self) -> frozenset[Path]:
        return frozenset(self._digests)

    @property
    def folders(self) -> frozenset[Path]:
        """Where they lie; an editor that saves by renaming is noticed in the folder only."""
        return frozenset(path.parent for path in self._digests)

    def changed(self) -> list[Path]:
        """Those that hold other bytes now, or are gone, or are there again."""
        return sorted(path for path, digest in self._digests.items() if _digest(path) != digest)

    def become(self, files: Iterable[Path]) -> Sources:
        """Other files: what is among these as it is known here, the rest as it is now."""
        wanted = set(files)
        found = Sources(wanted - self.files)
        found._digests.update({path: self._digests[path] for path in wanted & self.files})
        return found


def own_modules(modules: Mapping[str, object], roots: Iterable[Path]) -> dict[str, ModuleType]:
    """Those of `sys.modules` that are written in Python below one of these folders, and are no library's.

    A namespace package counts if all of it lies there.
    """
    found: dict[str, ModuleType] = {}
    folders = [root.resolve() for root in roots]
    for name, module in list(modules.items()):
        if name == "__main__" or not isinstance(module, ModuleType):
            continue
        paths = _paths(module)
        if paths and all(_is_own(path, folders) for path in paths):
            found[name] = module
    return found


def _paths(module: ModuleType) -> list[Path]:
    facts = vars(module)
    file = facts.get("__file__")
    if isinstance(file, str):
        return [Path(file)] if file.endswith(".py") else []
    folders = facts.get("__path__")
    return [Path(folder) for folder in folders] if isinstance(folders, Iterable) else []


def _is_own(path: Path, folders: Iterable[Path]) -> bool:
    return not is_library_file(str(path)) and any(map(path.resolve().is_relative_to, folders))


def files_of(modules: Iterable[ModuleType], base: Path | None, project: Path) -> set[Path]:
    """The files of these modules and of the prompts that they name.

    Args:
        base: folder of the workflow's file.
        project: the folder that holds `.smithers`.
    """
    found: set[Path] = set()
    shared = [project / PROJECT_PROMPTS] if base is None else [base, project / PROJECT_PROMPTS]
    for module in modules:
        file = vars(module).get("__file__")
        if not isinstance(file, str):
            continue
        path = Path(file).resolve()
        found.add(path)
        try:
            named = list(prompts_in(ast.parse(path.read_bytes())))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue  # edited since it was imported: whoever compares its bytes finds out
        for pattern in named:
            for prompt in _matching(pattern, [path.parent, *shared]):
                _add_prompt(prompt, shared, found)
    return found


def prompts_in(tree: ast.AST) -> Iterator[str]:
    """Names of files that a module's code reads as texts: `Prompt("x.md")`, `(HERE / "x.md").read_text()`.

    The values in an f-string may be anything, if a suffix follows them: `Prompt(f"{lens}.md")` is `*.md`.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Prompt") | ast.Attribute(attr="Prompt"), args=[first, *_]):
                yield from _texts(first)
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _READS:
                yield from _texts(value)


def _texts(tree: ast.expr) -> Iterator[str]:
    """Every text of an expression that could be a file's name."""
    if isinstance(tree, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "*" for part in tree.values]
        pattern = "".join(map(str, parts))
        if "." in pattern.rpartition("*")[2]:  # else it could be any file there is
            yield pattern
    elif isinstance(tree, ast.Constant):
        if isinstance(tree.value, str):
            yield tree.value
    else:
        for child in ast.iter_child_nodes(tree):
            if isinstance(child, ast.expr):
                yield from _texts(child)


def _matching(pattern: str, folders: Iterable[Path]) -> Iterator[Path]:
    """Files of that name, or pattern, in these folders."""
    for folder in folders:
        try:
            found = list(folder.glob(pattern)) if "*" in pattern else [folder / pattern]
            yield from (path.resolve() for path in found if path.is_file())
        except (OSError, ValueError, NotImplementedError):
            continue  # no name of a file


def _add_prompt(prompt: Path, folders: Iterable[Path], found: set[Path]) -> None:
    """Add a template and the templates that it includes."""
    stack = [prompt]
    while stack:
        path = stack.pop()
        if path in found:
            continue
        found.add(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for tag in _TEMPLATE_TAG.findall(text):
            for name in _QUOTED.findall(tag):
                stack.extend(_matching(name.replace("*", "[*]"), folders))


def _digest(path: Path) -> bytes | None:
    """Hash of a file's bytes; None: it is not there."""
    try:
        return blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return None
