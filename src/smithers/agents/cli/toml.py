"""A value in TOML, on one line: for options and files of programs that are set up in it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from smithers.errors import InvalidNode


def toml(value: Any) -> str:
    """The value as TOML. Members of a mapping that are None are left out: TOML has no word for nothing.

    Raises:
        InvalidNode: it holds something that TOML has no word for.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        members = (f"{_text(str(key))} = {toml(one)}" for key, one in value.items() if one is not None)
        return f"{{{', '.join(members)}}}"
    if isinstance(value, Iterable):
        return f"[{', '.join(toml(one) for one in value)}]"
    raise InvalidNode(
        f"{value!r} cannot be said in TOML", hint="use text, numbers, booleans, lists, mappings"
    )


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for the one control character that JSON lets stand as it is.
    whole = text.encode(errors="replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
