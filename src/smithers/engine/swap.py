"""Other code for a run that goes on: tried out over the run's rows, and refused without a trace.

A swap is a resume in place. A second drive is made from the stored rows, under the new definition and with
the attempts that are in flight, and makes one frame. If nothing speaks against that frame it is stored, and
the second drive takes over; else the second drive is forgotten, and the first has never been touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from smithers.context import decode, from_stored, model_of
from smithers.errors import BugError, InputError, ReloadRefused, SmithersError, StaleOutput
from smithers.prompt import stored_schema
from smithers.records import EventType, FrameWrite, StoredRun

from .definition import Definition
from .drive import Drive
from .job import Job
from .message import Swap, Unfit
from .syntax import read_anew


@dataclass(slots=True)
class _Asked:
    swap: Swap
    awaits: tuple[Job, ...] = ()
    """Attempts that have to end first."""


class Swaps:
    """The swaps that runs of one fleet are asked for; of each run the newest counts."""

    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}

    def ask(self, drive: Drive, message: Swap | Unfit) -> None:
        """Note what a run is to be driven by, or have it told that there is nothing of the kind."""
        self._asked.pop(drive.run, None)  # older than this one, whatever this one is
        match message:
            case Swap():
                self._asked[drive.run] = _Asked(message)
            case Unfit(_, error):
                _tell_refused(drive, error)

    def ready(self, drive: Drive) -> Swap | None:
        """What a run is to be driven by, unless that has to wait."""
        asked = self._asked.get(drive.run)
        if asked is None or any(drive.jobs.get(job.key) is job for job in asked.awaits):
            return None
        return asked.swap

    def try_out(
        self, drive: Drive, swap: Swap, stored: StoredRun, in_flight: Sequence[Job], now_ms: int
    ) -> tuple[Drive, FrameWrite] | None:
        """The drive under the new definition and its first frame; None: it has to wait.

        Args:
            in_flight: attempts that run, or are about to, in this process.
        Raises:
            SmithersError: the run cannot go on by that definition.
        """
        withdraw, bring_back = swap.install(), read_anew()
        is_taken = False
        try:
            fresh = _checked(drive, swap.definition, stored, in_flight)
            data = {"changed": list(swap.changed), "frame": fresh.memory.frame + 1}
            fresh.tell(EventType.RUN_RELOADED, data)
            frame = fresh.step((), now_ms)
            if fresh.failure is not None:
                raise fresh.failure
            if frame is None:
                raise BugError("a frame of a swap without an event")
            _check_outputs(fresh)
            if awaits := [job for job in in_flight if _is_other(fresh, job)]:
                self._put_off(drive, swap, awaits)
                return None
            is_taken = True
            del self._asked[drive.run]
            return fresh, frame
        finally:
            if not is_taken:
                bring_back()
                withdraw()

    def refuse(self, drive: Drive, error: SmithersError) -> None:
        """Forget what a run was asked for, and have it told why."""
        self._asked.pop(drive.run, None)
        _tell_refused(drive, error)

    def _put_off(self, drive: Drive, swap: Swap, awaits: Sequence[Job]) -> None:
        self._asked[drive.run].awaits = tuple(awaits)
        names = ", ".join(str(job.key) for job in awaits)
        message = (
            f"not reloaded yet: {names} runs, and its output model is another in {', '.join(swap.changed)}"
        )
        drive.tell(EventType.RUN_WARNING, {"message": message})


def _tell_refused(drive: Drive, error: SmithersError) -> None:
    message = f"not reloaded: {_place(drive, error)}{error.message}"
    drive.tell(EventType.RUN_WARNING, {"code": error.code, "message": message})


def _place(drive: Drive, error: SmithersError) -> str:
    """File and line as the beginning of a sentence; the file relative to the project."""
    if error.place is None or str(error.place) in error.message:
        return ""
    project = str(drive.terms.project) + "/"
    return str(error.place).removeprefix(project) + ": "


def _checked(drive: Drive, definition: Definition, stored: StoredRun, in_flight: Iterable[Job]) -> Drive:
    """A drive under the new definition, if it is one of this run's workflow and fits its input."""
    if drive.is_leaving:
        raise ReloadRefused(
            f"{drive.memory.name} is about to leave", hint="the next resume loads the new code"
        )
    if definition.name != stored.run.workflow:
        raise ReloadRefused(
            f"{drive.memory.name} is a run of {stored.run.workflow}, not of {definition.name}",
            place=definition.place,
        )
    _check_input(definition, stored.run.input)
    return drive.under(definition, stored, in_flight)


def _check_input(definition: Definition, text: str) -> None:
    if definition.input_model is None:
        return
    from pydantic import ValidationError

    try:
        from_stored(definition.input_model, text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the input"
        raise InputError(
            f"the run's input does not fit {definition.input_model.__name__}: {where}: {fault['msg']}",
            hint="give what is new a default; a run keeps the input that it began with",
            place=definition.place,
        ) from error


def _check_outputs(fresh: Drive) -> None:
    """Raise `StaleOutput` if a stored output of a task does not fit its model any more.

    A resume would fail where it is read; a run that goes on need not come to that.
    """
    memory, outputs = fresh.memory, fresh.definition.outputs
    for leaf in memory.schedule.leaves() if memory.schedule is not None else ():
        model = model_of(leaf.plan.payload, outputs)
        if model is None:
            continue
        for row in memory.rows.of(leaf.key.node).values():
            if (row.model == "str") is not (model is str):
                raise StaleOutput(
                    f"the stored output of {row.key} is {row.model}, which does not fit {model.__name__}",
                    place=leaf.plan.place,
                    node=str(row.key),
                )
            try:
                decode(row, model)
            except Exception as error:  # an author's own validators may raise anything
                text = (
                    error.message
                    if isinstance(error, StaleOutput)
                    else f"the stored output of {row.key}: {error}"
                )
                raise StaleOutput(text, place=leaf.plan.place, node=str(row.key)) from error


def _is_other(fresh: Drive, job: Job) -> bool:
    """Whether what an attempt in flight will leave may not be what the new code wants of its task."""
    schedule = fresh.memory.schedule
    leaf = schedule.leaf(job.key) if schedule is not None else None
    if leaf is None:
        return False
    model = model_of(leaf.plan.payload, fresh.definition.outputs)
    return _shape(model) != _shape(job.model)


def _shape(model: type[Any] | None) -> str | None:
    """Text of a model's schema; None: any JSON object, or it cannot be said."""
    if model is None or model is str:
        return None if model is None else "str"
    try:
        return json.dumps(stored_schema(model), sort_keys=True, default=str)
    except Exception:  # noqa: BLE001 - an author's own schema hooks may raise anything; it is no reason to wait
        return None
