"""From an agent's answer to a valid output, and what to say when it is not one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeVar, overload

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import from_json

from smithers.errors import InvalidOutput, fault_path
from smithers.ports import AgentReply, AgentRequest
from smithers.prompt import json_schema

M = TypeVar("M", bound=BaseModel)

_QUOTE_LIMIT: Final = 200
"""Characters of an offending value that are quoted."""
_ERROR_LIMIT: Final = 20
"""Faults of one answer that are told; more would bury the first."""
_CANDIDATE_LIMIT: Final = 32
"""Pieces of one text that are tried as JSON, the last ones first; keeps hostile text linear."""

_FENCE = re.compile(r"[ \t]*```+[ \t]*(\w*)[ \t]*\Z")


class Fault(NamedTuple):
    """One thing that is wrong with an answer."""

    path: str
    """Such as `steps[0].title`; `$` is the whole answer."""
    message: str
    value: Any
    """The offending value as JSON; long ones are cut to a text."""


# --- Reading an answer --------------------------------------------------------------------------


@overload
def parse_reply(reply: AgentReply, schema: None) -> str: ...
@overload
def parse_reply(reply: AgentReply, schema: type[M]) -> M: ...
def parse_reply(reply: AgentReply, schema: type[BaseModel] | None) -> BaseModel | str:
    """The valid output in a reply.

    A structured output is validated as it is. A text is tried as JSON: all of it; else its ```json blocks,
    the last one first; else its `{…}` objects, the last one first. Without a schema the text is the output.

    Raises:
        InvalidOutput: nothing validates; `details["errors"]` lists each fault's `path`, `message`, `value`.
    """
    if schema is None:
        return reply.text or ("" if reply.output is None else str(reply.output))
    if reply.output is None:
        return _parse_text(reply.text, schema)
    try:
        return validate(schema, reply.output)
    except InvalidOutput:
        if isinstance(reply.output, str):  # JSON that an adapter passed on unread
            return _parse_text(reply.output, schema)
        raise


def validate(schema: type[M], value: object) -> M:
    """`value` as the model: as Python values, or as JSON where a strict model accepts only that.

    Raises:
        InvalidOutput: it fits neither way.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        # In strict mode an agent's "2030-01-15" is no date in Python, yet it is one in JSON.
        text = None if isinstance(value, BaseModel) else _to_json(value)
        if text is None:
            raise _invalid(schema, _faults(error)) from error
    except Exception as error:
        raise _broken_validator(schema, value, error) from error
    return _validate_json(schema, text)


def _validate_json(schema: type[M], text: str) -> M:
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        raise _invalid(schema, _faults(error)) from error
    except Exception as error:
        raise _broken_validator(schema, text, error) from error


def _broken_validator(schema: type[BaseModel], value: object, error: Exception) -> InvalidOutput:
    # A model's own validator raised something other than ValueError, usually on a shape that its author did
    # not expect. A better answer may well pass, so it counts as the answer's fault.
    return _invalid(schema, [Fault("$", f"{type(error).__name__}: {error}", _quotable(value))])


def _parse_text(text: str, schema: type[M]) -> M:
    first_error: InvalidOutput | None = None
    for candidate in _candidates(text, takes_lists=issubclass(schema, RootModel)):
        try:
            return _validate_json(schema, candidate)
        except InvalidOutput as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    raise _invalid(schema, [Fault("$", "the answer holds no JSON object", _quotable(text))])


def _candidates(text: str, *, takes_lists: bool) -> Iterator[str]:
    """Pieces of a text that are JSON, the most likely answer first."""
    if _is_json(text):
        yield text
        return
    for block in reversed(_fenced(text)[-_CANDIDATE_LIMIT:]):
        if _is_json(block):
            yield block
    inside_of = len(text)
    tried = 0
    for start, end in reversed(_balanced(text, "{[" if takes_lists else "{")):
        # What lies inside a JSON value is part of an answer, and a lenient model would take it for a whole.
        if start > inside_of:
            continue
        if (tried := tried + 1) > _CANDIDATE_LIMIT:
            return
        if _is_json(piece := text[start:end]):
            inside_of = start
            yield piece


def _is_json(text: str) -> bool:
    try:
        # Not the standard library's reader: this one ends deep nesting with a ValueError.
        from_json(text)
    except ValueError:
        return False
    return True


def _fenced(text: str) -> list[str]:
    """Contents of the ```json blocks (and of unnamed ones), in order."""
    blocks: list[str] = []
    block: list[str] | None = None
    is_wanted = False
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence is None:
            if block is not None:
                block.append(line)
        elif block is None or fence[1]:  # a named fence opens a block, also where one was left open
            block, is_wanted = [], fence[1].lower() in ("", "json", "jsonc", "json5")
        else:
            blocks += ["\n".join(block)] if is_wanted else []
            block = None
    return blocks


def _balanced(text: str, openers: str) -> list[tuple[int, int]]:
    """Spans from an opening bracket to the one that closes it, in the order of their ends.

    One pass; an unclosed bracket costs nothing. Brackets inside JSON strings do not count, and a line break
    ends a string, so that a stray quotation mark in prose spoils one line at most.
    """
    closers = {"{": "}", "[": "]"}
    mark = re.compile(r'["\\\n' + "".join(f"\\{char}\\{closers[char]}" for char in openers) + "]")
    spans: list[tuple[int, int]] = []
    stack: list[int] = []
    is_string = False
    skip = -1
    for found in mark.finditer(text):
        at, char = found.start(), found[0]
        if at == skip:
            continue
        if char == "\\":
            skip = at + 1 if is_string else -1
        elif char == "\n":
            is_string = False
        elif char == '"':
            is_string = bool(stack) and not is_string
        elif is_string:
            continue
        elif char in openers:
            stack.append(at)
        elif stack and closers[text[stack[-1]]] == char:
            spans.append((stack.pop(), at + 1))
    return spans


# --- Telling what is wrong ----------------------------------------------------------------------


def correction_prompt(request: AgentRequest, error: InvalidOutput) -> str:
    """What to ask of an agent whose answer was refused.

    Args:
        request: the call to be made. Without a `session` its agent has forgotten what was asked, so the task
            is repeated.
        error: as `parse_reply` raised it.
    """
    faults = "\n".join(f"- {_line(Fault(**fault))}" for fault in error.details.get("errors", ()))
    parts = ["Your last answer could not be used:", faults or f"- {error.message}"]
    if request.session is None:
        parts += ["The task was:", request.prompt]
    if request.schema is not None:
        shape = json.dumps(json_schema(request.schema), ensure_ascii=False)
        parts += ["Answer again with one JSON value that fits this JSON schema:", f"```json\n{shape}\n```"]
        parts += ["Keep what was right, correct what is listed above, and write nothing but the JSON."]
    return "\n\n".join(parts)


def _invalid(schema: type[BaseModel], faults: list[Fault]) -> InvalidOutput:
    shown = faults[:_ERROR_LIMIT]
    more = f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else ""
    message = "; ".join(map(_line, shown))
    return InvalidOutput(
        f"the answer does not fit {schema.__name__}: {message}{more}",
        errors=[fault._asdict() for fault in shown],
    )


def _line(fault: Fault) -> str:
    value = fault.value if isinstance(fault.value, str) else json.dumps(fault.value, ensure_ascii=False)
    quoted = json.dumps(value, ensure_ascii=False) if isinstance(fault.value, str) else value
    return f"{fault.path}: {fault.message} (got {quoted})"


def _faults(error: ValidationError) -> list[Fault]:
    return [
        Fault(fault_path(found["loc"]) or "$", found["msg"], _quotable(found["input"]))
        for found in error.errors(include_url=False, include_context=False)
    ]


def _quotable(value: object) -> Any:
    """`value` if it is short JSON, else the beginning of its text."""
    text = _to_json(value)
    if text is not None and len(text) <= _QUOTE_LIMIT:
        return json.loads(text)
    try:
        shown = value if isinstance(value, str) else text or repr(value)
    except Exception as error:  # noqa: BLE001
        # repr runs the author's code, and may nest deeper than the interpreter likes; it must not hide the
        # fault that is being told.
        shown = f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
    return shown if len(shown) <= _QUOTE_LIMIT else shown[:_QUOTE_LIMIT] + "…"


def _to_json(value: object) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
