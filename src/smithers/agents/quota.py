"""How much of its account's limits an agent's program has left, where it tells without being asked to work.

Two do. Codex writes down what its provider said with the last answer; Amp asks its own service. All others
tell when a limit is used up, and not before.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smithers.agents.installed import Installed

_ROLLOUTS: Final = 5
"""Sessions that are looked into, newest first: one that was cut off at once has no figure."""
_NOTHING_PERCENT: Final = 0.5
"""What is shown as 0%."""
_TAIL_BYTES: Final = 256 << 10
"""What is read of each, from its end."""


@dataclass(frozen=True, slots=True)
class Window:
    """A limit that is refilled in turns."""

    minutes: int | None
    """How long one turn is; None: not said."""
    left_percent: float
    resets_ms: int | None
    """Wall clock of the next refill; None: not said, or it was refilled since the figure was taken."""

    @property
    def text(self) -> str:
        """`72% 5h`."""
        return f"{self.left_percent:.0f}%" + (f" {_span(self.minutes)}" if self.minutes else "")


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left."""

    text: str
    """In a few words, for people."""
    as_of_ms: int | None = None
    """Wall clock of the figure; None: now."""
    windows: tuple[Window, ...] = ()

    @property
    def is_used_up(self) -> bool:
        """At least one limit is, so that nothing works before its refill."""
        return any(one.left_percent < _NOTHING_PERCENT for one in self.windows)


def quota(program: Installed) -> Quota | None:
    """What is left; None: unknown."""
    match program.known.kind:
        case "codex":
            return _codex(program)
        case "amp":
            return _amp(program)
        case _:
            return None


# --- Codex: the last figure in its sessions -----------------------------------------------------


def _codex(program: Installed) -> Quota | None:
    for path in _newest_sessions(program.config / "sessions"):
        for line in reversed(_last_lines(path)):
            if b'"rate_limits"' in line and (found := _limits(line, program.machine.now_ms)) is not None:
                at_ms = round(path.stat().st_mtime * 1000)
                return Quota(", ".join(one.text for one in found), at_ms, found)
    return None


def _newest_sessions(folder: Path) -> list[Path]:
    """They lie in folders of a year, a month and a day, and begin with their time."""
    found: list[Path] = []
    for year in _down(folder):
        for month in _down(year):
            for day in _down(month):
                found += [path for path in _down(day) if path.suffix == ".jsonl"]
                if len(found) >= _ROLLOUTS:
                    return found[:_ROLLOUTS]
    return found


def _down(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), reverse=True)
    except OSError:
        return []


def _last_lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().splitlines()
    except OSError:
        return []


def _limits(line: bytes, now_ms: int) -> tuple[Window, ...] | None:
    try:
        limits = json.loads(line)["payload"]["rate_limits"]
        found = [_window(limits[name], now_ms) for name in ("primary", "secondary") if limits.get(name)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # the last line may be half a line, and nothing is promised of a whole one
    return tuple(found) or None


def _window(limit: dict[str, Any], now_ms: int) -> Window:
    resets = limit.get("resets_at")
    resets_ms = None if resets is None else round(float(resets) * 1000)
    minutes = limit.get("window_minutes")
    length = None if minutes is None else round(float(minutes))
    if resets_ms is not None and resets_ms <= now_ms:
        return Window(length, 100.0, None)
    return Window(length, max(0.0, 100.0 - float(limit["used_percent"])), resets_ms)


def _span(minutes: int) -> str:
    if minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


# --- Amp: what its service says -----------------------------------------------------------------

_MONEY = re.compile(r"(?P<what>[^:\n]{1,40}): *(?P<left>\$[\d.,]+(?:/\$[\d.,]+)?) remaining")


def _limit(what: str) -> str:
    return what.strip().removeprefix("Amp ").lower()


def _amp(program: Installed) -> Quota | None:
    answer = program.ask("usage")
    if answer is None or answer.status != 0:
        return None
    found = [f"{one['left']} {_limit(one['what'])}" for one in _MONEY.finditer(answer.stdout)]
    return Quota(", ".join(found)) if found else None
