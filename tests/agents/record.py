"""`scripts/agents record [NAME...] [--case CASE]`: play the cases and keep what was printed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.agents.case import Case, cases_of
from tests.agents.install import say
from tests.agents.installed import ROOT, Program, cache, is_installed
from tests.agents.installed import program as by_name
from tests.agents.model_server import ModelServer
from tests.agents.stage import Stage, home_outside_tmp, make_repository
from tests.agents.transcript import Transcript, cleaned, save


def record(programs: list[Program], cases: list[str]) -> int:
    """Record these cases, or all, of these programs."""
    for program in programs:
        chosen = [case for case in cases_of(program.name) if not cases or case.name in cases]
        if not is_installed(program):
            say(f"{program.name} is not installed")
            continue
        for case in chosen:
            transcript = play(program, case)
            save(program.name, case.name, transcript)
            lines = len(transcript.stdout.splitlines())
            say(f"{program.name} {case.name}: exit {transcript.exit}, {lines} lines")
    return 0


def play(program: Program, case: Case) -> Transcript:
    """One case in a place of its own, cleaned of that place."""
    with home_outside_tmp() as home, tempfile.TemporaryDirectory() as place, ModelServer() as server:
        stage = Stage(program.name, make_repository(Path(place) / "repo"), home, server)
        return cleaned_play(stage, case)


def cleaned_play(stage: Stage, case: Case) -> Transcript:
    """The case on this stage, cleaned of the names of its folders."""
    call, ended = stage.play(case)
    of = by_name(stage.name)
    raw = Transcript([of.executable, *call.argv], ended.exit, ended.stdout, ended.stderr, of.version)
    folders = {stage.repository: "/repo", stage.home: "/home/agent", cache(): "/agents", ROOT: "/checkout"}
    return cleaned(raw, folders)
