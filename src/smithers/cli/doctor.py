"""`smithers doctor`: is the store well, who drives what, what was left behind, and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smithers.cli import terminal
from smithers.cli.exit_code import ExitCode
from smithers.cli.options import json_option, store_option, with_store
from smithers.cli.table import one_line
from smithers.clock import SystemClock
from smithers.errors import StoreNotFound
from smithers.observe import next_step

if TYPE_CHECKING:
    from smithers.observe.doctor import Finding
    from smithers.records.examination import Examination, Orphan

_LABEL = 11


@click.command()
@store_option
@json_option
def doctor(store: str | None, is_json: bool) -> int:
    """Look for what is wrong: the store, its disk, the processes that drive runs, runs left behind.

    For each thing that is wrong there is a line with what to do. Nothing is changed.

    Exit code 1: something is wrong.
    """
    from smithers.observe.doctor import diagnose
    from smithers.store import find_store
    from smithers.store.examine import examine

    path = find_store(Path.cwd(), store)
    if path is not None and not path.exists():
        raise StoreNotFound(f"no database at {path}", path=str(path))
    if path is None or path.stat().st_size == 0:
        if is_json:
            print(json.dumps({"status": "ok", "store": None, "findings": []}))
        else:
            print(f"No runs yet, so nothing to look at. Start one: {next_step.START}")
        return ExitCode.FINISHED
    seen = examine(path, SystemClock())
    if seen.problem is None and not seen.damage:
        seen = replace(seen, orphans=_orphans(path))
    findings = diagnose(seen)
    is_well = not any(finding.is_wrong for finding in findings)
    if is_json:
        print(json.dumps(_document(seen, findings, is_well=is_well), ensure_ascii=False))
    else:
        _print(findings, store)
    return ExitCode.FINISHED if is_well else ExitCode.FAILED


def _orphans(path: Path) -> tuple[Orphan, ...]:
    from smithers.process import survivors
    from smithers.records.examination import Orphan
    from smithers.store import Store

    found = survivors(Store(path.absolute(), durability="full", clock=SystemClock()))
    return tuple(Orphan(one.row.program, one.run, str(one.row.key), tuple(one.pids)) for one in found)


def _document(seen: Examination, findings: list[Finding], *, is_well: bool) -> dict[str, object]:
    return {
        "status": "ok" if is_well else "unhealthy",
        "store": {
            "path": seen.path,
            "schema": seen.schema,
            "newest_schema": seen.newest_schema,
            "size_bytes": seen.size_bytes,
            "log_bytes": seen.log_bytes,
            "mode": f"{seen.mode:04o}",
            "writable": seen.is_writable,
            "file_system": seen.file_system,
            "free_bytes": seen.free_bytes,
            "damage": list(seen.damage),
            "owners": [
                {
                    "host": one.owner.host,
                    "pid": one.owner.pid,
                    "health": "stopped" if one.is_stopped else one.health.word,
                    "runs": list(one.runs),
                }
                for one in seen.owners
            ],
            "orphans": [asdict(one) for one in seen.orphans],
        },
        "findings": [finding.document() for finding in findings],
    }


def _print(findings: list[Finding], store: str | None) -> None:
    """A line a finding, never cut: every word of what is wrong counts."""
    for finding in findings:
        word = "failed" if finding.is_wrong else "finished"
        glyph = terminal.style(terminal.GLYPHS[word], terminal.STATE_COLOURS[word])
        print(f"{glyph} {finding.check:{_LABEL}} {one_line(finding.text)}")
        if finding.command:
            is_ours = finding.command.startswith("smithers ")
            command = with_store(finding.command, store) if is_ours else finding.command
            print(f"  {'':{_LABEL}} {terminal.style('next:', None, bold=True)} {command}")
