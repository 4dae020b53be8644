"""The types we promise: `accept_*.py` must pass, `reject_*.py` must fail exactly where it says so.

A line of a reject file that ends in `# expect-error` must be reported by both checkers, and no other line may
be. Keep such a statement on one line: the checkers disagree about which line of a longer one is at fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.typing.checker import Checker, Report, mypy, pyright

HERE = Path(__file__).parent


def broken_promises(files: Sequence[Path], report: Report) -> list[str]:
    """Where the report differs from what the files say, a line each."""
    promised = {
        (file, number)
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if file.name.startswith("reject_") and line.endswith("# expect-error")
    }
    missing = [f"{file.name}:{line}: an error was expected" for file, line in promised - report.keys()]
    surplus = [
        f"{file.name}:{line}: {complaint}"
        for (file, line), complaint in report.items()
        if (file, line) not in promised
    ]
    return sorted(missing + surplus)


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_promised_types_hold_and_promised_errors_are_reported(checker: Checker, tmp_path: Path) -> None:
    # Two broken promises ride along, so that a checker which sees nothing cannot pass.
    liar = tmp_path / "reject_liar.py"
    liar.write_text("fine: int = 1  # expect-error\nwrong: int = ''\n")
    accepted, rejected = sorted(HERE.glob("accept_*.py")), sorted(HERE.glob("reject_*.py"))
    assert accepted
    assert rejected

    found = broken_promises([*accepted, *rejected, liar], checker([*accepted, *rejected, liar], tmp_path))

    lies = [line for line in found if line.startswith("reject_liar.py")]
    assert [line for line in found if line not in lies] == []
    assert lies[0] == "reject_liar.py:1: an error was expected"
    assert lies[1].startswith("reject_liar.py:2: ")
    assert len(lies) == 2
