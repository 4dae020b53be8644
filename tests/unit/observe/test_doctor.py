"""The checks of `doctor`, on examinations written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smithers.observe.doctor import LITTLE_BYTES, Finding, diagnose, size
from smithers.records import OwnerHealth, RunState
from smithers.records.examination import Examination, OpenRun, OwnerExamination
from tests.unit.observe.rows import NOW, OWNER, Story

WELL = Examination(
    now_ms=NOW,
    path="/project/.smithers/smithers.db",
    size_bytes=98_304,
    log_bytes=0,
    mode=0o600,
    is_writable=True,
    file_system="ext4",
    is_network=False,
    free_bytes=80_000_000_000,
    problem=None,
    schema=1,
    newest_schema=1,
    damage=(),
    owners=(),
    runs=(),
)


def wrong(**changes: Any) -> list[Finding]:
    return [finding for finding in diagnose(replace(WELL, **changes)) if finding.is_wrong]


def test_what_is_well_has_a_line_a_check_and_nothing_to_do() -> None:
    found = diagnose(WELL)
    assert [one.check for one in found] == [
        "store", "file system", "disk", "integrity", "owners", "processes", "runs",
    ]  # fmt: skip
    assert not any(one.is_wrong or one.command for one in found)


@pytest.mark.parametrize(
    ("changes", "check", "text", "command"),
    [
        ({"mode": 0o644}, "store", "others may read it (mode 0644)", "chmod 600 "),
        ({"is_writable": False}, "store", "it cannot be written", "chmod u+w "),
        (
            {"file_system": "nfs4", "is_network": True},
            "file system",
            "nfs4 is a network",
            "pass --store PATH on a local disk",
        ),
        ({"free_bytes": LITTLE_BYTES - 1}, "disk", "210 MB free", "free disk space"),
        ({"damage": ("row 3 missing from index",)}, "integrity", "row 3 missing", "restore it from a backup"),
        (
            {"problem": {"code": "STORE_TOO_NEW", "message": "too new", "hint": "upgrade"}},
            "store",
            "[STORE_TOO_NEW] too new",
            "upgrade",
        ),
    ],
)
def test_each_thing_that_is_wrong_says_what_to_do(
    changes: dict[str, Any], check: str, text: str, command: str
) -> None:
    (found,) = wrong(**changes)
    assert found.check == check
    assert text in found.text
    assert (found.command or "").startswith(command)


def test_an_older_schema_is_named_and_not_wrong() -> None:
    found = diagnose(replace(WELL, newest_schema=3))
    assert not any(one.is_wrong for one in found)
    assert "schema 1 (the next run brings it to 3)" in found[0].text


@pytest.mark.parametrize(
    ("health", "is_stopped", "text", "command"),
    [
        (OwnerHealth.DEAD, False, "has died, and held a, b", "smithers down"),
        (
            OwnerHealth.EXPIRED,
            False,
            "is silent, its lease ended 45s ago; it held a, b",
            "smithers up --resume a",
        ),
        (OwnerHealth.ALIVE, True, "is stopped, and holds a, b", "kill -CONT 4711"),
    ],
)
def test_an_owner_that_does_not_drive_its_runs_is_wrong(
    health: OwnerHealth, is_stopped: bool, text: str, command: str
) -> None:
    (found,) = wrong(owners=(OwnerExamination(OWNER, health, is_stopped, ("a", "b")),))
    assert (found.check, found.command) == ("owners", command)
    assert found.text.endswith(text)


def test_an_owner_that_lives_or_holds_nothing_is_well() -> None:
    assert wrong(owners=(OwnerExamination(OWNER, OwnerHealth.ALIVE, False, ("a",)),)) == []
    assert wrong(owners=(OwnerExamination(OWNER, OwnerHealth.DEAD, False, ()),)) == []


def test_many_runs_left_behind_are_counted_after_the_first() -> None:
    left = [Story(name=f"r{n}", health=OwnerHealth.NONE).run for n in range(25)]
    found = wrong(runs=tuple(OpenRun(run, None) for run in left))
    assert len(found) == 11
    assert (found[0].run, found[0].command) == ("r0", "smithers up --resume r0")
    assert (found[-1].text, found[-1].command) == ("15 more like these", "smithers ps -a")


def test_a_parked_run_is_wrong_once_it_is_due() -> None:
    parked = Story(state=RunState.WAITING, health=OwnerHealth.NONE).run
    assert wrong(runs=(OpenRun(parked, NOW + 1),)) == []
    (found,) = wrong(runs=(OpenRun(parked, NOW - 120_000),))
    assert found.text == f"{parked.name} was due 2m ago, and nobody wakes it"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_304, "98 kB"), (999_999, "1.0 MB"), (81e9, "81 GB")],
)
def test_bytes_are_read_as_people_say_them(count: int, text: str) -> None:
    assert size(int(count)) == text
