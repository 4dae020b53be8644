"""`scripts/agents`: install the programs, list them, record their transcripts anew."""

from __future__ import annotations

import argparse
import sys

from tests.agents.install import CannotInstall, install, say, version
from tests.agents.installed import PROGRAMS, Program, is_installed, launcher, program


def main() -> int:
    options = _parser().parse_args()
    programs = [program(name) for name in options.names] or list(PROGRAMS)
    if options.verb == "install":
        return _install(programs)
    if options.verb == "list":
        for each in programs:
            there = is_installed(each)
            print(f"{each.name:9} {version(each) if there else '-':40} {launcher(each) if there else '-'}")
        return 0
    from tests.agents.record import record

    return record(programs, options.case)


def _install(programs: list[Program]) -> int:
    failed = 0
    for each in programs:
        try:
            install(each)
            say(f"{each.name} {each.version} is there")
        except CannotInstall as why:
            failed = 1
            say(f"{each.name} could not be installed: {why}")
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/agents", description=__doc__)
    parser.add_argument("verb", choices=["install", "list", "record"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="some programs only: claude, codex …")
    parser.add_argument("--case", action="append", default=[], help="of `record`: some cases only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
