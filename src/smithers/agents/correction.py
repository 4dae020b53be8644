"""From an agent's answer to a valid output, and what to say when it is not one. Pure."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, TypeVar, overload

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel, ValidationError

from smithers.errors import BugError, InvalidOutput, fault_path
from smithers.ports import AgentReply, AgentRequest
from smithers.prompt import json_schema

from .extraction import Candidate, NotJson, TooLarge, begins_with, candidates, check_json, not_json, position

M = TypeVar("M", bound=BaseModel)

_QUOTE_LIMIT: Final = 200
"""Characters of an offending value that are quoted."""
_AHEAD: Final = 60
"""Characters quoted before the place where a text stops being JSON."""
_BEHIND: Final = 30
_ERROR_LIMIT: Final = 20
"""Faults of one answer that are told; more would bury the first."""
_FAULT_LIMIT: Final = 10_000
"""Faults of one answer that are looked at."""
_SHOWN_LIMIT: Final = 1_000_000
"""Characters of a text whose values are quoted: a missing field's value is a copy of all around it."""
_HINTS: Final = {
    "invalid escape": "; in a string a backslash is written as two",
    "control character": r"; in a string a line break is written as \n",
    "EOF": "; it ends too early, as if it was cut off",
    "recursion limit": "; it nests too deeply",
    "key must be": "; keys stand in double quotes",
}
"""How to mend it, by how the parser's message begins."""


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
    """The valid output in a reply: the first that validates.

    Tried are the structured output as it is (one that is a text, as its text too), then the candidates in the
    reply's text: its blocks of fenced JSON, the last one first, and what stands between balanced brackets,
    the last one first. Without a schema the text is the output. Of a key that an object has twice, the last
    value counts.

    Raises:
        InvalidOutput: nothing validates; `details["errors"]` lists the faults of the structured output, else
            of the first candidate that begins like an answer, each with `path`, `message`, `value`.
    """
    if schema is None:
        return reply.text or ("" if reply.output is None else str(reply.output))
    refusal: InvalidOutput | None = None
    if reply.output is not None:
        try:
            return validate(schema, reply.output)
        except InvalidOutput as error:
            refusal = error
    texts = [reply.text]
    if isinstance(reply.output, str):  # JSON that an adapter passed on unread: its text is what was wrong
        texts, refusal = [reply.output, reply.text], None
    for text in texts:
        found = _parse_text(schema, text)
        if not isinstance(found, InvalidOutput):
            return found
        refusal = refusal or found
    raise refusal or BugError("unreachable")


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
        if text is None or not _is_text(text):
            raise _invalid(schema, _faults(error)) from error
    except Exception as error:
        raise _refusal(schema, error, value) from error
    try:
        return schema.model_validate_json(text)
    except Exception as error:
        raise _refusal(schema, error, value) from error


def _parse_text(schema: type[M], text: str) -> M | InvalidOutput:
    keys = _keys(schema)
    refusal, is_answers = None, False
    for candidate in candidates(text, keys):
        piece = candidate.text
        try:
            check_json(piece)
            return schema.model_validate_json(piece)
        except Exception as error:  # noqa: BLE001 - a model's validator may raise anything; it is told
            # The faults of something that does not even begin like an answer would mislead.
            is_better = not is_answers and begins_with(piece, keys)
            if refusal is None or is_better:
                refusal, is_answers = _refusal(schema, error, candidate), is_better
    return refusal or _invalid(schema, [Fault("$", "the answer holds no JSON object", _quotable(text))])


def _keys(schema: type[BaseModel]) -> set[str] | None:
    """The names that fields have in JSON; None: it need not be an object."""
    if issubclass(schema, RootModel):
        return None
    keys: set[str] = set()
    for name, field in schema.model_fields.items():
        keys |= {name, field.alias or name}
        alias = field.validation_alias
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            first = choice.path[0] if isinstance(choice, AliasPath) else choice
            keys |= {first} if isinstance(first, str) else set()
    return keys


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


def _refusal(schema: type[BaseModel], error: Exception, given: object) -> InvalidOutput:
    """What to say of `given`, a value or a candidate, which a model refused with `error`."""
    match error, given:
        case NotJson(), Candidate():
            fault = _bad_json(error, given)
        case TooLarge(), Candidate():
            fault = Fault("$", str(error), _quotable(given.text))
        case ValidationError(), Candidate():
            first = error.errors(include_input=False)[0] if error.error_count() == 1 else None
            if first is None or first["type"] != "json_invalid" or first["loc"]:
                return _invalid(schema, _faults(error, shows_values=len(given.text) <= _SHOWN_LIMIT))
            fault = _bad_json(
                not_json(given.text, str(first.get("ctx", {}).get("error", first["msg"]))), given
            )
        case ValidationError(), _:
            return _invalid(schema, _faults(error))
        case _:
            # A model's own validator raised something other than ValueError, usually on a shape that its
            # author did not expect. A better answer may well pass, so it counts as the answer's fault.
            value = given.text if isinstance(given, Candidate) else given
            fault = Fault("$", _text(f"{type(error).__name__}: {error}"), _quotable(value))
    return _invalid(schema, [fault])


def _bad_json(error: NotJson, candidate: Candidate) -> Fault:
    """Args: error: its position is one in the candidate."""
    at = candidate.start + error.at
    line, column = position(candidate.source, at)
    hint = next((hint for start, hint in _HINTS.items() if error.reason.startswith(start)), "")
    start, end = max(candidate.start, at - _AHEAD), min(candidate.end, at + _BEHIND)
    around = _text(candidate.source[start:end])
    quoted = ("…" if start > candidate.start else "") + around + ("…" if end < candidate.end else "")
    return Fault("$", f"bad JSON at line {line}, column {column}: {error.reason}{hint}", quoted)


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


def _faults(error: ValidationError, *, shows_values: bool = True) -> list[Fault]:
    if (count := error.error_count()) > _FAULT_LIMIT:
        # Pydantic hands out all of them or none.
        return [Fault("$", f"{count:,} values in it do not fit", "…")]
    return [
        Fault(_text(fault_path(found["loc"])) or "$", _text(found["msg"]), _quotable(found.get("input", "…")))
        for found in error.errors(include_url=False, include_context=False, include_input=shows_values)
    ]


def _quotable(value: object) -> Any:
    """`value` if it is short JSON, else the beginning of its text."""
    text = _to_json(value)
    if text is not None and len(text) <= _QUOTE_LIMIT:
        return json.loads(_text(text))
    try:
        shown = value if isinstance(value, str) else text or repr(value)
    except Exception as error:  # noqa: BLE001
        # repr runs the author's code, and may nest deeper than the interpreter likes; it must not hide the
        # fault that is being told.
        shown = f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
    return _text(shown if len(shown) <= _QUOTE_LIMIT else shown[:_QUOTE_LIMIT] + "…")


def _text(text: str) -> str:
    """A text that can be stored and sent: half characters become question marks."""
    return text.encode("utf-8", "replace").decode()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_json(value: object) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
