"""One sample, in a process of its own: `python -m bench.sample CASE TASKS FOLDER` prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import floor, hotspots, live
from bench.case import CASES, Case
from bench.meter import Meter, Planned

if TYPE_CHECKING:
    from smithers import RunResult, Workflow
    from smithers.scheduler import Schedule


@dataclass
class Visits:
    """Counts the plan nodes that schedules look at, without keeping the schedules."""

    done: int = 0
    first: int = 0
    """What the first plan cost before anything had settled."""
    schedule: Schedule | None = None

    def watch(self) -> None:
        """Count from here on, in all schedules of this process."""
        from smithers.scheduler import Schedule

        make = Schedule.__init__

        def make_counted(schedule: Schedule, *args: Any, **options: Any) -> None:
            before, self.schedule = self.schedule, schedule
            if before is not None:
                self.done += before.visited
            make(schedule, *args, **options)
            if before is None:
                self.first = schedule.visited

        Schedule.__init__ = make_counted  # type: ignore[assignment, method-assign]

    def total(self) -> int:
        """All visits but those of the first plan."""
        if self.schedule is None:
            raise SystemExit("nothing was planned: the counter of visits is not where plans are made")
        return self.done + self.schedule.visited - self.first


def run_case(case: Case, tasks: int, folder: Path, profiled: str | None) -> Planned:
    """Run a workflow to its end and leave its store."""
    from bench.workload import build
    from smithers.agents import correction  # noqa: F401  imported by the first agent task: not the task's cost
    from smithers.engine import engine  # noqa: F401  imported by the first run
    from smithers.engine.hosts import close_hosts

    visits = Visits()
    visits.watch()
    flow = build(case.shape, tasks, folder)
    store = folder / ".smithers" / "smithers.db"
    if case.shape == "runs":
        flow.run_sync(store=folder / "warm-up.db")  # what a first run imports is not the price of a thousand
        close_hosts()
    profile = hotspots.attach(profiled) if profiled else None
    meter = Meter.start()
    if case.shape == "runs":
        result = asyncio.run(_many(flow, tasks // 3, store))
    else:
        result = flow.run_sync(store=store, run_id="bench", resume=case.kind == "resume" and store.exists())
    wall_s = meter.wall()
    close_hosts()
    spent = meter.stop(wall_s)
    if result.status != "finished":
        raise SystemExit(f"{case.name}: {result.status}: {result.error}")
    if profile is not None:
        hotspots.show(profile)
    return {**spent, "visited": visits.total()}


async def _many(flow: Workflow[Any, Any], runs: int, store: Path) -> RunResult[Any]:
    """So many runs from as many coroutines; the result of one that did not finish, if there is any."""
    results = await asyncio.gather(*(flow.run(store=store) for _ in range(runs)))
    return next((one for one in results if one.status != "finished"), results[0])


def make_runs(folder: Path, count: int) -> None:
    """A store with so many finished runs, for the commands that look at them."""
    from bench.workload import build

    flow = build("empty", 1, folder)
    asyncio.run(_many(flow, count, folder / ".smithers" / "smithers.db"))


def main() -> None:
    name, tasks, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    profiled = sys.argv[4] if len(sys.argv) > 4 else None
    match name:
        case "floor-1" | "floor-16":
            print(json.dumps(floor.run_tasks(folder, tasks, int(name.removeprefix("floor-")))))
        case "runs":
            make_runs(folder, tasks)
        case _:
            case = next(case for case in CASES if case.name == name)
            if case.kind == "live":
                print(json.dumps(live.measure(case.shape, tasks, folder)))
                return
            figures = run_case(case, tasks, folder, profiled)
            if profiled is None:
                print(json.dumps(figures))


if __name__ == "__main__":
    main()
