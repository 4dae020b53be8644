"""A supervisor stays small: it imports neither the engine, nor pydantic, nor an author's code."""

from __future__ import annotations

import subprocess
import sys


def test_the_command_imports_neither_the_engine_nor_pydantic() -> None:
    program = (
        "import sys, smithers.cli.supervise, smithers.cli.run\n"
        "found = {'pydantic', 'smithers.engine', 'smithers.nodes', 'asyncio'} & sys.modules.keys()\n"
        "print(*found)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
