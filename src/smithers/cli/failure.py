"""Errors as the command line shows them: two lines on stderr, JSON on stdout when asked, an exit code."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.errors import AuthoringError, BugError, RefusedError, SmithersError, UsageRefused


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also one that could not be parsed."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own


def report(error: Exception, *, is_json: bool) -> int:
    """Show an error and return the exit code it stands for."""
    known = _known(error)
    if known is None:
        traceback.print_exception(error)
        known = BugError(f"{type(error).__name__}: {error}")
    place = f" ({known.place})" if known.place and str(known.place) not in known.message else ""
    head = terminal.style(f"[{known.code}]", "red", stream=sys.stderr)
    print(f"{head} {known.message}{place}", file=sys.stderr)
    if known.hint:
        print(f"  hint: {known.hint}", file=sys.stderr)
    if is_json:
        print(json.dumps({"status": "error", "error": known.payload()}, ensure_ascii=False, default=str))
    is_refused = isinstance(known, (RefusedError, AuthoringError))
    return ExitCode.REFUSED if is_refused else ExitCode.FAILED


def _known(error: Exception) -> SmithersError | None:
    if isinstance(error, SmithersError):
        return error
    if isinstance(error, (OSError, MemoryError, RuntimeError, ImportError)):
        from smithers.store.refusal import machine_error

        return machine_error(error)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "smithers"
        return UsageRefused(error.format_message(), hint=f"see `{path} --help`")
    if isinstance(error, click.ClickException):
        return UsageRefused(error.format_message())
    return None
