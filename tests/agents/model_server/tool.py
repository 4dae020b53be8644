"""How the model would write a file or give structured output with the tools that it was offered."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from tests.agents.model_server.asked import Asked, Tool
from tests.agents.model_server.reply import Call

_WRITERS = ("write", "writefile", "createfile")
_SHELLS = ("execcommand", "bash", "shell", "shellcommand", "runshellcommand", "runcommand")
_PATHS = ("file_path", "filePath", "path", "filename")
_CONTENTS = ("content", "contents", "file_text", "text")
_COMMANDS = ("command", "cmd")


def write_call(asked: Asked, path: str, content: str) -> Call:
    """The call that writes the file: by the tool made for it, else by a patch, else by a shell.

    Raises:
        LookupError: no offered tool can write.
    """
    if writer := _first(asked.tools, _WRITERS):
        return Call(writer.name, _arguments(writer, {_PATHS: path, _CONTENTS: content}))
    if patcher := _first(asked.tools, ("applypatch",)):
        patch = _patch(path, content)
        return Call(patcher.name, patch if patcher.is_freeform else _arguments(patcher, {("input",): patch}))
    command = f"printf %s {shlex.quote(content)} > {shlex.quote(path)}"
    if shell := _first(asked.tools, _SHELLS):
        is_list = _property(shell, "command").get("type") == "array"
        return Call(
            shell.name, _arguments(shell, {_COMMANDS: ["bash", "-lc", command] if is_list else command})
        )
    if script := _first(asked.tools, ("exec",)):
        # Takes JavaScript; the shell is a function in it.
        return Call(script.name, f"text(await tools.exec_command({json.dumps({'cmd': command})}))")
    raise LookupError(f"none of these tools writes a file: {[tool.name for tool in asked.tools]}")


def output_tool(asked: Asked) -> Tool | None:
    """The tool that takes the structured answer, in programs that have one."""
    return _first(asked.tools, ("structuredoutput",))


def sample(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """The least value that fits a JSON Schema of the plain kind that models are given."""
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return sample(found, root)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return sample(schema[key][0], root)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if str(kind).lower() == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {name: sample(properties[name], root) for name in schema.get("required", properties)}
    plain = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}
    if kind == "array":
        return [sample(schema["items"], root)] * schema.get("minItems", 1) if "items" in schema else []
    return plain.get(str(kind).lower(), "text")


def _first(tools: Iterable[Tool], names: Iterable[str]) -> Tool | None:
    spelled = {tool.name.replace("_", "").lower(): tool for tool in tools}
    return next((spelled[name] for name in names if name in spelled), None)


def _property(tool: Tool, name: str) -> dict[str, Any]:
    found = tool.schema.get("properties", {}).get(name, {})
    return found if isinstance(found, dict) else {}


def _arguments(tool: Tool, values: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """The values under the schema's names for them, and samples for what else it requires."""
    properties = tool.schema.get("properties", {})
    arguments = {
        next((name for name in names if name in properties), names[0]): value
        for names, value in values.items()
    }
    for name in tool.schema.get("required", []):
        if name not in arguments:
            arguments[name] = sample(properties.get(name, {}), tool.schema)
    return arguments


def _patch(path: str, content: str) -> str:
    lines = "".join(f"+{line}\n" for line in content.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"
