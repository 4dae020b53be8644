"""`scripts/simulate [FIRST] [COUNT] [-v]`: seed after seed, until one breaks a promise."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter

from .simulator import Simulator


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description="Run seeds of the simulator.")
    parser.add_argument("first", nargs="?", type=int, default=0, help="the first seed")
    parser.add_argument("count", nargs="?", type=int, default=2_000, help="how many")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what happened in each")
    options = parser.parse_args()
    logging.disable()  # a simulated disk fails often, and the engine says so each time
    seeds = range(options.first, options.first + options.count)
    faults: Counter[int] = Counter()
    actions, began = 0, time.process_time()
    with Simulator() as simulator:
        for number, found in enumerate(simulator.run_all(seeds), 1):
            faults[found.faults] += 1
            actions += found.actions
            if options.verbose or found.violation:
                print("\n".join(found.lines))
            if found.violation:
                print(f"seed {found.seed}: {found.violation}\n  again: scripts/simulate {found.seed} 1 -v")
                return 1
            if sys.stderr.isatty() and number % 100 == 0:
                print(f"\r{number:,} of {options.count:,}", end="", file=sys.stderr, flush=True)
    _say(faults, actions, time.process_time() - began)
    return 0


def _say(faults: Counter[int], actions: int, cpu_s: float) -> None:
    count = sum(faults.values())
    told = ", ".join(f"{number:,} with {planned}" for planned, number in sorted(faults.items()))
    print(f"{count:,} seeds ({told} faults), {actions:,} actions: no promise broken")
    print(f"{count / cpu_s:,.0f} seeds a second of CPU")


if __name__ == "__main__":
    sys.exit(main())
