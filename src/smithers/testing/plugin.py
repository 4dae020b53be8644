"""The pytest plugin. Loaded in every pytest run of whoever has us installed: it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .runner import WorkflowRunner

_CRASHES = "smithers crashes"
"""Under this name a report carries what the deaths of its test came to, also between processes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smithers", "smithers (workflows)")
    group.addoption(
        "--crash-everywhere",
        action="store_true",
        help="run what tests give to run_workflow again and again: die at each operation of the store in "
        "turn, resume, and compare the end with that of an undisturbed run",
    )
    group.addoption(
        "--crash-sample",
        type=_number,
        metavar="N",
        help="die at N sites of each run at most, evenly spread",
    )


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"--crash-sample is a number from 1, not {text}")
    return number


@pytest.fixture
def smithers_store() -> Iterator[Path]:
    """The path of a database file for this test alone: `flow.run_sync(store=smithers_store)`."""
    from smithers.testing.store import temporary_store

    with temporary_store() as store:
        yield store


@pytest.fixture
def run_workflow(smithers_store: Path, request: pytest.FixtureRequest) -> Iterator[WorkflowRunner]:
    """Runs a workflow to its end, in a store for this test alone: `run = run_workflow(flow, input)`."""
    from smithers.testing.runner import WorkflowRunner

    folders = [request.getfixturevalue("tmp_path")] if "tmp_path" in request.fixturenames else []
    runner = WorkflowRunner(
        smithers_store,
        crash_everywhere=bool(request.config.getoption("--crash-everywhere")),
        crash_sample=request.config.getoption("--crash-sample"),
        folders=folders,
    )
    yield runner
    request.node.user_properties += [(_CRASHES, str(report)) for report in runner.crashes]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say per test what was tried."""
    told = [
        f"{report.nodeid}: {text}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, text in report.user_properties
        if name == _CRASHES
    ]
    if told:
        terminalreporter.section("deaths at operations of the store")
        for line in told:
            terminalreporter.line(line)
