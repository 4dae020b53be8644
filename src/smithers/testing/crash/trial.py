"""A run whose process dies at every moment of its life in turn, and is resumed.

One trial: the store and the folders are put back, a child process runs the workflow and dies at its site,
what it left is looked at, a second child resumes the run, and its end is compared with that of an
undisturbed run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from smithers.clock import SystemClock
from smithers.store import open_store
from smithers.testing.promise import PromiseBroken

from .child import in_child
from .doom import DIED, Site
from .journal import Journal, Line
from .place import Place, files_in
from .process import Asked, live
from .report import CrashReport, Violation
from .snapshot import Snapshot, take
from .verdict import End, Wanted, check_death, check_end, check_resume, check_sound, wanted_of

PATIENCE_S = 60.0
"""How long one process may take."""
ENOUGH = 10
"""After so many sites with violations the others are not tried."""


_NEEDED = ("smithers.agents.correction", "smithers.engine.engine", "smithers.prompt", "smithers.store.lease")
"""What a run imports late: imported here, or else each child would do it anew."""


class Unrunnable(RuntimeError):
    """What was asked for raises before anything goes wrong: there is nothing to try."""


class Crashes:
    """Tries one thing that a test asks for.

    Args:
        folders: beside the store: put back before each trial.
        files: a folder whose files are part of the end.
        scratch: a folder of our own.
    """

    def __init__(self, asked: Asked, folders: Sequence[Path], files: Path | None, scratch: Path) -> None:
        self._asked = asked
        self._files = files
        self._scratch = scratch
        self._journal = Journal(scratch / "journal")
        self._log = scratch / "log"
        self._look = scratch / "look"
        for name in _NEEDED:
            import_module(name)
        store = asked.store
        open_store(store, clock=SystemClock())  # made once: that is no part of the workflow's own life
        parts = (store, *(store.with_name(f"{store.name}{ending}") for ending in ("-wal", "-shm")))
        kept = [*parts, store.parent / "blobs", *folders, *([] if files is None else [files])]
        self._place = Place(kept, scratch / "kept")
        self._before = take(asked.store, asked.run_id, self._look)
        """The run as the test has left it, if it did."""

    def everywhere(self, sample: int | None = None) -> CrashReport:
        """Die at each site in turn, or at so many of them, evenly spread.

        Raises:
            Unrunnable: what was asked for fails undisturbed.
            PromiseBroken: two undisturbed runs do not end alike, so no end can be compared.
        """
        report = CrashReport(self._asked.flow.name)
        first, count = self._undisturbed()
        second, _ = self._undisturbed()
        wanted, differences = wanted_of(first, second)
        if broken := check_sound(first.snapshot):
            raise PromiseBroken(f"an undisturbed run of {report.flow}: {'; '.join(broken)}")
        if differences:
            raise PromiseBroken(
                f"two undisturbed runs of {report.flow} do not end alike, so nothing can be compared: "
                f"{'; '.join(differences)}"
            )
        report.unsteady = sorted(wanted.unsteady)
        report.operations = count.operation
        every = sites_of(count)
        chosen = spread(every, sample)
        report.left_out = len(every) - len(chosen)
        wrong = 0
        for site in chosen:
            found = self._try(site, wanted, report)
            report.violations += found
            wrong += bool(found)
            if wrong == ENOUGH:
                report.left_out = len(every) - report.sites
                break
        self._place.put_back()
        return report

    # --- One trial --------------------------------------------------------------------------------------

    def _undisturbed(self) -> tuple[End, Line]:
        self._place.put_back()
        self._journal.begin()
        code = self._child(self._asked, None)
        end = self._end()
        if code != 0 or end is None:
            self._place.put_back()
            raise Unrunnable(f"{self._asked.flow.name}, run undisturbed in a fork, {self._went(code)}")
        return end, self._journal.lines()[-1]

    def _try(self, site: Site, wanted: Wanted, report: CrashReport) -> list[Violation]:
        self._place.put_back()
        self._journal.begin()
        code = self._child(self._asked, site)
        report.sites += 1
        before = self._journal.lines()
        where = "undisturbed" if code == 0 else f"died {site}"
        if code == DIED:
            report.deaths += 1
            where = f"died {site} ({before[-1].text})"
        elif code != 0:
            return [Violation(f"at {site}", f"the process did not die but {self._went(code)}")]
        dead = take(self._asked.store, self._asked.run_id, self._look)
        report.cut_off += len(dead.running) if dead is not None else 0
        found = check_death(dead, before)
        again = self._asked_again(dead)
        if again is not None:
            code = self._child(again, None, before, dead)
        lines = self._journal.lines()
        end = self._end()
        if end is None:
            found.append(f"the resume {self._went(code)}, and no run is stored")
        else:
            found += check_resume(dead, before, lines[len(before) :], end.snapshot)
            has_ended = code in (0, DIED)
            found += check_end(wanted, end, lines) if has_ended else [f"the resume {self._went(code)}"]
        return [Violation(where, text) for text in found]

    def _asked_again(self, dead: Snapshot | None) -> Asked | None:
        """What somebody does who finds the run like this; None: it is over."""
        if dead is None or (self._before is not None and dead.seq == self._before.seq):
            return self._asked  # nothing of what was asked for has been stored
        return None if dead.state.has_ended else self._asked.resumed()

    def _child(
        self, asked: Asked, site: Site | None, before: Sequence[Line] = (), dead: Snapshot | None = None
    ) -> int | None:
        running = dead.running if dead is not None else set()
        act = partial(
            live, asked, site, self._journal, before, lambda key, attempt: (key, attempt) in running
        )
        return in_child(act, self._log, PATIENCE_S)

    def _end(self) -> End | None:
        found = take(self._asked.store, self._asked.run_id, self._look)
        return None if found is None else End(found, files_in(self._files))

    def _went(self, code: int | None) -> str:
        if code is None:
            return f"had not ended after {PATIENCE_S:.0f} s"
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        return f"ended with {code}: {said.rpartition(chr(10))[2]}"


def sites_of(count: Line) -> list[Site]:
    """The moments of a process that differ: before each operation, and after each commit."""
    commits = set(count.data)
    found = []
    for operation in range(1, count.operation + 1):
        found.append(Site(operation, "before"))
        if operation in commits:
            found.append(Site(operation, "after"))
    return found


def spread(sites: Sequence[Site], sample: int | None) -> list[Site]:
    """So many of them, evenly spread, the first and the last among them."""
    if sample is None or sample >= len(sites):
        return list(sites)
    if sample < 2:
        return [sites[-1]][:sample]
    step = (len(sites) - 1) / (sample - 1)
    return [sites[round(number * step)] for number in range(sample)]
