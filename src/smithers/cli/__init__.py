"""The command `smithers`: `main` is its entry point, `group` the table of commands, one file a command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    from smithers.cli.run import run

    code = run(sys.argv[1:])
    # Leave at once: coroutines that a command dropped must not run their `finally` blocks now, and a thread
    # that hangs must not keep the process. All that is worth keeping is in the store.
    os._exit(code)
