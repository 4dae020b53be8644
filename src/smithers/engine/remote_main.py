"""`run_in="process"`, on the other side: read the request, call the function, answer.

Run by path; of ours it imports nothing before it knows where our side found its modules.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from types import ModuleType

BEGIN: Final = b"\0smithers\0"
HEAD: Final = Struct("!cQ")
BEAT, VALUE, MODEL, FAILED = b"B", b"V", b"M", b"F"


class Wire:
    """The way back. From any thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._send(BEGIN)

    def send(self, kind: bytes, body: bytes) -> None:
        self._send(HEAD.pack(kind, len(body)) + body)

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._stream.write(data)
            self._stream.flush()


def main() -> None:
    request, wire = _take_streams()
    given = json.loads(request)
    sys.path[:] = given["path"]
    try:
        kind, body = VALUE, b""
        value = _call(given, wire)
        kind, body = _encode(value)
    except BaseException as error:  # noqa: BLE001 - the author's code may raise anything; it is told
        kind, body = FAILED, _describe(error)
    _flush()
    wire.send(kind, body)


def _take_streams() -> tuple[bytes, Wire]:
    """Keep the two pipes for ourselves: what the function reads and prints has nothing to do with them."""
    sys.stdout.flush()
    wire = Wire(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    with os.fdopen(os.dup(0), "rb") as stdin:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # Not a terminal, so it would be kept back by the block, and lost with a process that is killed.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        return stdin.read(), wire


# --- Calling ------------------------------------------------------------------------------------


def _call(given: dict[str, Any], wire: Wire) -> Any:
    function = _find(given["function"])
    arguments = _arguments(given["arguments"], function)
    _enter(given, wire)
    value = function(*arguments)
    if inspect.isawaitable(value):
        return asyncio.run(_await(value))
    return value


async def _await(value: Any) -> Any:
    return await value


def _enter(given: dict[str, Any], wire: Wire) -> None:
    """Make `current()` mean the attempt."""
    from smithers.context import Current, running_as
    from smithers.ids import NodeKey

    def beat(data: str | None) -> None:
        wire.send(BEAT, (data or "").encode())

    ctx: Any = Elsewhere(given["run_id"])
    key = NodeKey(*given["key"])
    running_as.set(Current(ctx, key, given["attempt"], given["last_heartbeat"], beat))


class Elsewhere:
    """Stands for `ctx`, whose state is in another process."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def __getattr__(self, name: str) -> NoReturn:
        from smithers.errors import OutsideTask

        if name.startswith("__"):
            raise AttributeError(name)
        raise OutsideTask(
            f'ctx.{name} cannot be read in a task with run_in="process"',
            hint="hand it over with deps=, or leave run_in= out",
        )


def _arguments(given: Any, function: Callable[..., Any]) -> list[Any]:
    if isinstance(given, dict):
        from smithers.context import Fields

        return [Fields({name: _decode(one, None) for name, one in given.items()})]
    hints = _hints(function) if any(one["model"] is None and not one["is_plain"] for one in given) else []
    return [_decode(one, hints[n] if n < len(hints) else None) for n, one in enumerate(given)]


def _hints(function: Callable[..., Any]) -> list[Any]:
    from typing import get_type_hints

    hints = get_type_hints(function)
    return [hints.get(name) for name in inspect.signature(function).parameters]


def _decode(one: dict[str, Any], hint: Any) -> Any:
    from smithers.context import OutputText, decode
    from smithers.ids import NodeKey

    model = _find(one["model"]) if one["model"] is not None else hint
    return decode(OutputText(NodeKey(one["node"]), 0, one["name"], one["body"]), model)


# --- Importing ----------------------------------------------------------------------------------


def _find(where: list[Any]) -> Any:
    module, name, file = where
    found: Any = _module(module, file)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _module(name: str, file: str | None) -> ModuleType:
    """The module our side has under this name: by its name if that means the same file, else by its file."""
    from smithers.context import View, ambient
    from smithers.errors import NotImportable, OutsideTask

    if name in sys.modules:
        return sys.modules[name]
    state: Any = None
    token = ambient.set(View(state))  # as in a render: whoever runs a workflow now would do so for ever
    try:
        return _import(name, file)
    except OutsideTask as error:
        raise NotImportable(
            f"{file or name} runs a workflow while it is imported, here in the process of a task",
            hint='put the call below `if __name__ == "__main__":`',
        ) from error
    finally:
        ambient.reset(token)


def _import(name: str, file: str | None) -> ModuleType:
    if file is None or _origin(name) == Path(file).resolve():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported", name=name, path=file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None


# --- Answering ----------------------------------------------------------------------------------


def _encode(value: Any) -> tuple[bytes, bytes]:
    """A value as JSON, with what it is an instance of if that is a model."""
    from pydantic import BaseModel

    from smithers.errors import InvalidOutput

    try:
        if not isinstance(value, BaseModel):
            return VALUE, _dump(value)
        kind = type(value)
        head = json.dumps([kind.__module__, kind.__qualname__]).encode()
        return MODEL, head + b"\n" + _dump(value.model_dump(mode="json", round_trip=True, warnings=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOutput(f"what the function returned is not JSON: {error}") from None


def _dump(value: Any) -> bytes:
    from pydantic_core import to_jsonable_python

    def plain(other: Any) -> Any:
        return to_jsonable_python(other, round_trip=True)

    return json.dumps(value, default=plain, allow_nan=False).encode()


def _describe(error: BaseException) -> bytes:
    from smithers.engine.failure import classify, describe

    return json.dumps({"failure": int(classify(error)), "error": describe(error)}, default=str).encode()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # the author's code closed it, or nobody reads it


if __name__ == "__main__":
    main()
