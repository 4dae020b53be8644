"""What looking at a store costs before it has begun."""

from __future__ import annotations

import subprocess
import sys


def test_the_store_imports_nothing_that_a_quick_command_would_wait_for() -> None:
    program = "import smithers.store, sys; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert not {"pydantic", "click", "asyncio", "psutil", "rich", "jinja2"} & set(loaded.split())
