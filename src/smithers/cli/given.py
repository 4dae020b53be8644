"""`--input`: JSON, `@file` or `-`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from smithers.errors import InputError
from smithers.records import INPUT_LIMIT_BYTES


def read_input(given: str | None) -> Any:
    """The input as given; None without the option.

    Raises:
        InputError: no such file, too large, or not JSON; says where.
    """
    if given is None:
        return None
    text, what = given, "--input"
    if text == "-":
        text, what = sys.stdin.read(INPUT_LIMIT_BYTES + 1), "standard input"
    elif text.startswith("@"):
        path = Path(text[1:])
        try:
            with path.open(encoding="utf-8") as file:
                text, what = file.read(INPUT_LIMIT_BYTES + 1), str(path)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"cannot read {path}: {reason}", hint="pass --input @FILE with a JSON file"
            ) from None
    # A byte of the command line that is no text comes as a lone surrogate; it is refused as JSON, below.
    if len(text.encode(errors="surrogatepass")) > INPUT_LIMIT_BYTES:
        raise InputError(
            f"{what} has more than {INPUT_LIMIT_BYTES} bytes", hint="pass a path, and read the file in a task"
        )
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        hint = """quote it for the shell: --input '{"name": "world"}'"""
        if what != "--input":
            hint = f"correct {what}; it must hold one JSON document"
        raise InputError(f"{what} is not JSON: {error}", hint=hint) from None
    except RecursionError:
        raise InputError(f"{what} is nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
