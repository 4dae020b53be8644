"""One command line from its words to an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from smithers.cli import failure
from smithers.cli.exit_code import ExitCode
from smithers.cli.group import smithers
from smithers.cli.streams import occupy_standard_descriptors, patient_stream

_COMPLETE = "_SMITHERS_COMPLETE"
"""Set by the shell when it asks for completions."""

_OUTPUT_ERRORS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF})
"""Of an error that names no file: our own output could not be written."""


def run(words: Sequence[str]) -> int:
    """Run one command; print what it failed with.

    A command returns its exit code, or None for 0.

    Args:
        words: the arguments after the program's name.

    Returns:
        The exit code; stdout and stderr are flushed.
    """
    with contextlib.suppress(OSError):  # no descriptor left: whoever needs one says so
        occupy_standard_descriptors()
    # Started with a closed stdout or stderr, Python has none.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open until the process ends
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show `…` or `✓` gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    _make_stderr_patient()
    try:
        code: int = _invoke(list(words))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except OSError as error:
        code = ExitCode.CLOSED
        if error.errno != errno.EPIPE:
            print(f"cannot write the output: {error.strerror}", file=sys.stderr)
            code = ExitCode.FAILED
        # What is still buffered has nowhere to go; the interpreter must not complain about it at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    return code


def _make_stderr_patient() -> None:
    stream = sys.stderr
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if stream.fileno() == 2:
            sys.stderr = patient_stream(2, encoding=stream.encoding)


def _invoke(words: list[str]) -> int:
    # Not `smithers.main(...)`: it has its own idea of what exit codes and errors look like.
    if _COMPLETE in os.environ:
        smithers.main(words, prog_name="smithers", complete_var=_COMPLETE)
    try:
        with smithers.make_context("smithers", words) as context:
            code = smithers.invoke(context)
            return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED
    except OSError as error:
        if error.filename is None and error.errno in _OUTPUT_ERRORS:
            raise
        return failure.report(error, is_json=failure.wants_json(words))
    except Exception as error:  # noqa: BLE001 - the last stop: said in two lines, with its trace when it is our own fault
        return failure.report(error, is_json=failure.wants_json(words))
