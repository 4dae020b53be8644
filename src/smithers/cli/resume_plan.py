"""`smithers up --resume --plan`: what a resume will do, and why, before it does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smithers.cli import terminal
from smithers.cli.table import Column, Table, one_line

if TYPE_CHECKING:
    from smithers.engine.verdict import PlannedNode, ResumePlan

_COLOURS: Mapping[str, str] = {
    "run": "blue",
    "changed": "yellow",
    "blocked": "red",
    "gone": "bright_black",
    "keep": "green",
}
_MORE = {"keep": "are kept", "gone": "are gone"}
_SHOWN = 25
"""Kept and gone tasks beyond this are counted, not listed: what will happen must not scroll away."""


def print_plan(plan: ResumePlan, command: str, *, is_json: bool) -> None:
    """Args: command: what carries the plan out."""
    if is_json:
        print(json.dumps(_document(plan), ensure_ascii=False))
        return
    counts = ", ".join(
        terminal.style(f"{count} {verdict}", _COLOURS[verdict])
        for verdict, count in _counts(plan).items()
        if count
    )
    print(f"{plan.run} ({plan.state.word}): {counts or 'no tasks'}")
    table = Table(
        [Column("VERDICT", paint=_paint), Column("TASK", is_text=True)], note_title="REASON", note_room=24
    )
    left_out: dict[str, int] = {}
    for verdict in _COLOURS:
        for number, node in enumerate(_of(plan, verdict)):
            if number >= _SHOWN and verdict in ("keep", "gone"):
                left_out[verdict] = left_out.get(verdict, 0) + 1
            else:
                table.add(verdict, str(node.key), note=node.reason)
    if table.rows:
        print()
        print("\n".join(table.lines(terminal.width())))
    for verdict, count in left_out.items():
        print(f"… {count} more {_MORE[verdict]}; --json lists all")
    print()
    for text in plan.notes:
        print(f"note: {one_line(text)}")
    if plan.count("run"):
        print(f"to do this: {command}")
    elif plan.count("changed"):
        print(f"nothing would run; to execute what changed: {command}")
    else:
        print("nothing would run")


def _of(plan: ResumePlan, verdict: str) -> list[PlannedNode]:
    return [node for node in plan.nodes if node.verdict == verdict]


def _counts(plan: ResumePlan) -> dict[str, int]:
    return {verdict: len(_of(plan, verdict)) for verdict in _COLOURS}


def _paint(cell: str) -> str:
    return terminal.style(cell, _COLOURS.get(cell.strip()))


def _document(plan: ResumePlan) -> dict[str, Any]:
    return {
        "status": plan.state.word,
        "run": plan.run,
        "counts": _counts(plan),
        "tasks": [
            {
                "node": node.key.node,
                "scope": node.key.scope,
                "iteration": node.key.iteration,
                "verdict": node.verdict,
                "reason": node.reason,
            }
            for node in plan.nodes
        ],
        "notes": list(plan.notes),
    }
