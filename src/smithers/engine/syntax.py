"""What is written in a Python file: each function's syntax, without its place, comments and docstrings."""

from __future__ import annotations

import ast
import dis
import marshal
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Span: TypeAlias = tuple[int, int, int, int]
"""First line, last line, first column, last column; lines from 1, columns in bytes from 0."""

_UNSEEN = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields that say nothing about what the code does."""


class Source:
    """One version of one file.

    Args:
        path: as `co_filename` has it.
        text: the file's bytes.
    Raises:
        SyntaxError, ValueError, RecursionError: it is not Python that this interpreter reads.
    """

    def __init__(self, path: str, text: bytes) -> None:
        self._tree = ast.parse(text, path)
        self._nodes: dict[tuple[str, int], list[Function]] = {}
        self._codes: dict[tuple[str, int], list[CodeType]] = {}
        self._rebound: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, Function):
                self._nodes.setdefault(_start_of(node), []).append(node)
            elif isinstance(node, ast.Global):
                self._rebound.update(node.names)
        for code in _codes_in(compile(self._tree, path, "exec", dont_inherit=True)):
            self._codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)

    def syntax_of(self, code: CodeType) -> bytes | None:
        """Hash of the function that `code` was compiled from.

        The file may have been edited since it was imported, so its compilation has to give the same code at
        the same place.

        Returns:
            16 bytes; None: it is not here, or cannot be told from its neighbours.
        """
        start = (code.co_name, code.co_firstlineno)
        if not any(_is_same(code, found) for found in self._codes.get(start, ())):
            return None
        found = {digest_of(node) for node in _around(code, self._nodes.get(start, []))}
        return found.pop() if len(found) == 1 else None

    def is_rebound(self, name: str) -> bool:
        """Whether some function of the file declares `name` as `global`, that is, as state."""
        return name in self._rebound

    def assigned(self, name: str) -> bytes:
        """Hash of all assignments to `name` at the file's top level, also those below `if` and `try`."""
        text: list[str] = []
        for statement in _top_level(self._tree.body):
            if name in _targets(statement):
                _write(statement, text)
        return _hash(text)


def names_in(code: CodeType) -> tuple[str, ...]:
    """The module-level names that a function loads, and the functions inside it, in order of first use."""
    found: dict[str, None] = {}
    for inside in _codes_in(code):
        for step in dis.get_instructions(inside):
            if step.opname == "LOAD_GLOBAL" or step.opname == "LOAD_NAME":
                found[str(step.argval)] = None
    return tuple(found)


def digest_of(node: ast.AST) -> bytes:
    """16-byte hash of a syntax tree without positions and docstrings; the same in all versions of Python."""
    text: list[str] = []
    _write(node, text)
    return _hash(text)


# --- Files --------------------------------------------------------------------------------------

_LIMIT = 256
_read: dict[str, tuple[tuple[int, int], Source]] = {}
"""Sources by path, with the time and size of the file they were read from."""


def source_with(code: CodeType) -> tuple[Source, bytes] | None:
    """The source that `code` was compiled from, and the hash of its function; None: there is none (any more).

    A source that was read once is kept although its file is edited, because the code in memory is not.
    """
    path = code.co_filename
    if path.startswith("<"):
        return None
    known = _read.get(path)
    if known is not None and (syntax := known[1].syntax_of(code)) is not None:
        return known[1], syntax
    try:
        file = Path(path)
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if known is not None and known[0] == stamp:
            return None
        source = Source(path, file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    syntax = source.syntax_of(code)
    if known is None or syntax is not None:
        if len(_read) >= _LIMIT:
            _read.clear()
        _read[path] = (stamp, source)
    return None if syntax is None else (source, syntax)


def read_anew() -> Callable[[], None]:
    """Forget the sources: the files were imported again, and what they assign counts as it is written now.

    Returns:
        What brings the forgotten ones back, if the code in memory stays the old one after all.
    """
    known = dict(_read)
    _read.clear()

    def bring_back() -> None:
        _read.update(known)

    return bring_back


# --- Telling functions apart --------------------------------------------------------------------


def _start_of(node: Function) -> tuple[str, int]:
    """Name and first line, as the function's code has them."""
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _around(code: CodeType, nodes: Sequence[Function]) -> Sequence[Function]:
    """The innermost of these functions whose body has all of the code's positions."""
    spans = [span for span in map(_span, code.co_positions()) if span is not None]
    # An interpreter that was told to keep no columns (`-X no_debug_ranges`) leaves nothing to go by.
    if len(nodes) < 2 or not spans:
        return nodes
    fitting = [
        node for node in nodes if isinstance(node, ast.Lambda) and all(_holds(node.body, s) for s in spans)
    ]
    return [
        node
        for node in fitting
        if not any(node is not other and _is_inside(other, node) for other in fitting)
    ]


def _span(position: tuple[int | None, int | None, int | None, int | None]) -> Span | None:
    line, end_line, column, end_column = position
    if line is None or end_line is None or column is None or end_column is None:
        return None
    # Instructions that stand for nothing written (RESUME, the RETURN_VALUE of a lambda) have an empty range.
    return (line, end_line, column, end_column) if (line, column) < (end_line, end_column) else None


def _holds(node: ast.expr, span: Span) -> bool:
    line, end_line, column, end_column = span
    if node.end_lineno is None or node.end_col_offset is None:
        return False
    return (node.lineno, node.col_offset) <= (line, column) and (end_line, end_column) <= (
        node.end_lineno,
        node.end_col_offset,
    )


def _is_inside(inner: ast.Lambda, outer: ast.Lambda) -> bool:
    return any(inner is node for node in ast.walk(outer.body))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)


def _is_same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, and stand at the same place of their file.

    Not `==`: in 3.11 it sees what the interpreter noted in code that has run, and no columns.
    """
    return (
        one.co_code == other.co_code
        and one.co_flags == other.co_flags
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_is_same_constant, one.co_consts, other.co_consts))
        and list(one.co_positions()) == list(other.co_positions())
    )


def _is_same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _is_same(one, other)
    # `1`, `1.0` and `True` are equal, and not the same.
    return type(one) is type(other) and marshal.dumps(one, 2) == marshal.dumps(other, 2)  # type: ignore[arg-type]


# --- Writing trees down -------------------------------------------------------------------------


def _hash(text: list[str]) -> bytes:
    return blake2b("".join(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _write(node: object, text: list[str]) -> None:
    """Append a canonical text. What is absent or empty is left out, so that new versions of Python agree."""
    if isinstance(node, list):
        text.append("[")
        for item in node:
            _write(item, text)
            text.append(",")
        text.append("]")
    elif not isinstance(node, ast.AST):
        text.append(f"{type(node).__name__}:{node!r}")
    else:
        text.append(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(value, list) and _is_docstring(node, value):
                value = value[1:]
            if name in _UNSEEN or value is None or (isinstance(value, list) and not value):
                continue
            text.append(f"{name}=")
            _write(value, text)
            text.append(",")
        text.append(")")


def _is_docstring(node: ast.AST, body: list[ast.stmt]) -> bool:
    if not body or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    first = body[0]
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        yield statement
        for name in ("body", "orelse", "handlers", "finalbody"):
            for inner in getattr(statement, name, ()):
                yield from _top_level(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


def _targets(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or changes: `x = …`, `x, y = …`, `x += …`, `x[0] = …`, `x.append(…)`."""
    match statement:
        case ast.Assign(targets=targets):
            return {name for target in targets for name in _bases(target)}
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return set(_bases(target))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=changed))):
            return set(_bases(changed))
        case _:
            return set()


def _bases(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
            yield from _bases(inner)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _bases(part)
        case _:
            return
