"""One process of a trial: start a run, or resume it, under a fault. Called in a child; ends by `os._exit`."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from pathlib import Path
from typing import Any

from smithers.engine.host import Host, find_resumable
from smithers.errors import RunNotFound, SmithersError, StoreError
from smithers.records import FrameWrite, NodeState
from tests.chaos.flows.cached import CACHED
from tests.chaos.flows.family import family
from tests.chaos.flows.four import FLOWS
from tests.chaos.flows.more import MORE
from tests.chaos.strike import Fault, all_connections_fail, cap_pages

RUN = "r1"
ENDED, REFUSED, HUNG, WRONG = 0, 1, 2, 3
PATIENCE_S = 30.0


def drive(folder: Path, flow: str, fault: dict[str, Any]) -> None:
    """Do what `smithers up` does, without a command line.

    Args:
        folder: gets `store/`, `journal`, `acknowledged` and `count`, the number of statements there were.
        fault: fields of a `Fault`; `file_bytes`: no file may grow beyond so many; `pages`: nor a database.
    """
    fault = dict(fault)
    if (largest := fault.pop("file_bytes", None)) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if (pages := fault.pop("pages", None)) is not None:
        cap_pages(pages)
    os.environ["CHAOS_JOURNAL"] = str(folder / "journal")
    strikes = Fault(**fault)
    all_connections_fail(strikes)
    code, said = ENDED, ""
    try:
        _drive(folder, flow)
    except TimeoutError:
        code = HUNG
    except SmithersError as error:
        code = REFUSED if isinstance(error, StoreError) else WRONG
        said = f"{error.code}\n{error.hint}\n{error}"
    except BaseException:  # noqa: BLE001 - a traceback is what no user may see
        code, said = WRONG, traceback.format_exc()
    if fault_bytes := resource.getrlimit(resource.RLIMIT_FSIZE)[1]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault_bytes, fault_bytes))
    (folder / "error").write_text(said)
    (folder / "count").write_text(str(strikes.count))
    os._exit(code)


def _drive(folder: Path, flow: str) -> None:
    def acknowledge(frame: FrameWrite) -> None:
        """What a user would have been told by now."""
        told = [str(end.key) for end in frame.settled if end.state is NodeState.FINISHED]
        with (folder / "acknowledged").open("a") as file:
            file.writelines(f"{key}\n" for key in told)

    workflow = {**FLOWS, **MORE, **CACHED, "family": family}[flow]
    host = Host(folder / "store" / "smithers.db", durability="normal")
    try:
        try:
            row = find_resumable(host.store, RUN, None)
        except RunNotFound:
            handle = workflow.start(host, run_id=RUN, watch=acknowledge)
        else:
            if row.state.has_ended and row.error is None:
                return
            handle = workflow.resume(host, host.claim(row), watch=acknowledge)
        handle.ended.result(PATIENCE_S)
    finally:
        host.close()
