"""The commands that answer a wait, each of which can be run as it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from .wait import WaitKind


def wait_commands(
    run: str, node: str, kind: WaitKind, spec: Mapping[str, Any], approved_by: Collection[str] = ()
) -> list[str]:
    """What to type, the most useful first.

    Args:
        node: the node's name as it is shown, with its pass.
        spec: what is asked, as it is stored.
        approved_by: who has approved already, and cannot do so again.
    """
    where = f"{run} {shlex.quote(node)}"
    match kind:
        case WaitKind.APPROVAL:
            return [
                f"smithers approve {where}{_choice(spec, approved_by)}",
                f"smithers deny {where}{_by(spec)}",
            ]
        case WaitKind.HUMAN:
            return [f"smithers answer {where} --value {_json(spec.get('example', {}))}"]
        case WaitKind.EVENT:
            about, value = spec.get("correlation"), spec.get("example", {})
            given = f" --correlation {shlex.quote(str(about))}" if about is not None else ""
            data = f" --data {_json(value)}" if value != {} else ""
            return [f"smithers signal {run} {shlex.quote(str(spec.get('event')))}{data}{given}"]
        case WaitKind.TIMER:
            return [f"smithers timer skip {where}"]


def _choice(spec: Mapping[str, Any], approved_by: Collection[str]) -> str:
    keys = [str(option["key"]) for option in spec.get("options", ())]
    match spec.get("mode"):
        case "select":
            return f" --select {shlex.quote(keys[0])}{_by(spec)}"
        case "rank":
            return f" --rank {shlex.quote(','.join(keys))}{_by(spec)}"
        case _:
            return _by(spec, approved_by)


def _by(spec: Mapping[str, Any], approved_by: Collection[str] = ()) -> str:
    users = [user for user in spec.get("allowed_users", ()) if user not in approved_by]
    return f" --by {shlex.quote(str(users[0]))}" if users else ""


def _json(value: Any) -> str:
    return shlex.quote(json.dumps(value, ensure_ascii=False))
