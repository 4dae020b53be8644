"""What `scripts/bench` prints."""

from __future__ import annotations

from collections.abc import Mapping

from bench.case import Case
from bench.meter import Figures, FloorFigures
from bench.verdict import RATES, Machine, Results, Verdict

_COLUMNS = [
    ("", "", 22), ("CPU ms/task", "ours", 8), ("", "floor", 6), ("", "ratio", 6), ("tasks/s", "ours", 8),
    ("", "floor", 7), ("KB/task", "ours", 8), ("", "floor", 6), ("RSS", "MB", 5), ("fsyncs", "/task", 7),
    ("", "frames", 8), ("", "renders", 8), ("visits", "/node", 9),
]  # fmt: skip
"""Two lines of heading, and the width. `visits` are plan nodes looked at for each node that settled."""


def show_machine(machine: Machine, counts_syncs: bool) -> None:
    """The disk, and how fsyncs are counted."""
    print(
        f"this machine: {machine.commits_per_s:,.0f} commits/s of one small row (WAL, synchronous=FULL), "
        f"an fsync takes {machine.fsync_s * 1e3:.3f} ms"
    )
    busy = " (busy: wall times and rates will be worse than they need be)" if machine.load > 0.5 else ""
    print(f"{machine.cores} cores; load before the start: {machine.load:.1f}{busy}")
    how = "by a counter loaded before libc" if counts_syncs else "not at all: there is no C compiler"
    print(f"fsyncs are counted {how}; KB and MB are powers of ten\n")


def show_runs(cases: list[Case], results: Results, floors: Mapping[tuple[int, int], FloorFigures]) -> None:
    """One line a workflow."""
    runs = [case for case in cases if case.kind not in ("command", "live")]
    if not runs:
        return
    _show([upper for upper, _, _ in _COLUMNS])
    _show([lower for _, lower, _ in _COLUMNS])
    for case in runs:
        _show(_cells(case, results.runs[case.name], floors.get((case.width, case.tasks))))
    print()


def _show(cells: list[str]) -> None:
    first, *others = cells
    line = f"{first:{_COLUMNS[0][2]}}"
    for cell, (_, _, width) in zip(others, _COLUMNS[1:], strict=True):
        line += f"{cell:>{width}}"
    print(line)


def _cells(case: Case, own: Figures, floor: FloorFigures | None) -> list[str]:
    count = case.tasks
    ratio = floor_ms = floor_rate = floor_kb = "-"
    if floor is not None:
        ratio = f"{own['cpu_s'] / floor['cpu_s']:.1f}"
        floor_ms = f"{floor['cpu_s'] / count * 1e3:.2f}"
        floor_rate = f"{count / floor['wall_s']:,.0f}"
        floor_kb = f"{floor['disk_bytes'] / count / 1e3:.2f}"
    return [
        case.name,
        f"{own['cpu_s'] / count * 1e3:.3f}",
        floor_ms,
        ratio,
        f"{count / own['wall_s']:,.0f}",
        floor_rate,
        f"{own['disk_bytes'] / count / 1e3:.2f}",
        floor_kb,
        f"{own['rss_bytes'] / 1e6:.0f}",
        f"{own['syncs'] / count:.2f}" if "syncs" in own else "-",
        f"{own['frames']:,.0f}",
        f"{own['renders']:,.0f}",
        f"{own['visited'] / own['settled']:,.1f}",
    ]


def show_commands(cases: list[Case], results: Results, bare_s: float | None) -> None:
    """One line a command."""
    commands = [case for case in cases if case.kind == "command"]
    if not commands or bare_s is None:
        return
    print(f"{'best of 7':22}{'CPU ms':>8}   (imports: above bare Python's {bare_s * 1e3:.1f})")
    for case in commands:
        print(f"{case.name:22}{results.commands[case.name] * 1e3:8.1f}")
    print()


def show_verdict(verdict: Verdict, spots: list[str]) -> None:
    """One line a target, and where the cost of a missed one lies."""
    word = "ok" if verdict.is_met else "MISS"
    sign = "≥" if verdict.measure in RATES else "≤"
    asked = f"{sign} {_number(verdict.bound)}"
    figures = f"{_number(verdict.figure):>8}  {asked:9}{verdict.ratio:5.2f}"
    print(f"{verdict.case:22}{verdict.measure:28}{figures}  {word}")
    for spot in spots:
        print(f"{'':24}{spot}")


def show_verdict_heading() -> None:
    """Above the first target."""
    print(f"{'target':50}{'figure':>8}  {'asked':9}ratio")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
