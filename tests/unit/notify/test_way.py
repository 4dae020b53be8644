"""Which ways there are."""

from __future__ import annotations

from pathlib import Path

from smithers.notify.setting import Settings
from smithers.notify.way import Way, ways_of

HERE = Path("/project")


def names(**said: object) -> list[str]:
    ways: list[Way] = ways_of(Settings(HERE / "config.toml", HERE, **said))  # type: ignore[arg-type]
    assert all(way.limit_s <= 30 for way in ways)
    return [way.name for way in ways]


def test_those_that_are_configured_the_quickest_first() -> None:
    assert names() == []
    assert names(command="x") == ["command"]
    assert names(webhook="https://h.test") == ["webhook"]
    assert names(command=("x",), webhook="https://h.test", desktop=True) == ["desktop", "webhook", "command"]


def test_only_the_desktop_is_not_owed() -> None:
    ways = ways_of(Settings(HERE, HERE, "x", "https://h.test", desktop=True))
    assert [way.is_owed for way in ways] == [False, True, True]
