"""What the run of a sub-workflow comes to for the node whose attempt it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smithers.errors import BugError, ChildCancelled, ChildFailed, InvalidOutput, SmithersError
from smithers.records import FailureClass, RunState, StoredRun

from .encode import encode_json, encode_output
from .failure import classify, describe
from .handle import RunEnd
from .job import Done, Failed, Job, Outcome, Parked, Stopped


def end_of(stored: StoredRun) -> RunEnd:
    """How a stored run left, as its owner would have said."""
    run = stored.run
    own = next((row for row in stored.outputs if run.output and row.key == run.output.key), None)
    body, model = (own.body, own.model) if own is not None else (None, None)
    return RunEnd(run.name, run.state, body, model, run.error, stored.cancelled_by)


def outcome_of_end(job: Job, end: RunEnd) -> Outcome:
    """What becomes of the parent's attempt when its run has left the engine.

    A run that finished in part has a result; that the parent finishes in part too is told by it.
    """
    match end.state:
        case RunState.FINISHED | RunState.PARTIAL:
            return _result(job, end)
        case RunState.FAILED:
            return Failed(FailureClass.CRASH, _failure(job, end))
        case RunState.CANCELLED if job.is_cancelled or job.timed_out is not None:
            return Stopped()
        case RunState.CANCELLED:
            by = f" by {end.asked_by}" if end.asked_by else ""
            error = ChildCancelled(f"its run {end.run_id} was cancelled{by}", place=job.task.place)
            return Failed(FailureClass.FATAL, error.payload())
        case RunState.PAUSED if job.is_cancelled:
            return Stopped()
        case RunState.PAUSED:
            return Parked(end.run_id, error=end.error)
        case RunState.WAITING:
            return Parked(end.run_id, end.due_ms, is_waiting=True)
        case _:
            raise BugError(f"{end.run_id} left as {end.state.word}")


def outcome_of_refusal(job: Job, error: SmithersError) -> Outcome:
    """What becomes of an attempt whose run did not begin, or cannot go on."""
    if error.place is None:
        error.place = job.task.place
    return Failed(classify(error), describe(error))


def _result(job: Job, end: RunEnd) -> Outcome:
    try:
        return Done(_body(job, end), in_part=end.state is RunState.PARTIAL)
    except BaseException as error:  # noqa: BLE001 - a model's own validators are the author's code
        return Failed(classify(error), describe(error))


def _body(job: Job, end: RunEnd) -> str:
    if end.output is None:
        raise InvalidOutput(
            f"its run {end.run_id} finished without an output",
            hint="what a run returns is the newest row of @workflow(output=Model), else of all",
            place=job.task.place,
        )
    if end.output_model == "str":
        text = json.loads(end.output)["text"]
        return encode_output(job.task, job.model, text if job.model is str else {"text": text})
    return encode_json(job.task, job.model, end.output)


def _failure(job: Job, end: RunEnd) -> Mapping[str, Any]:
    error = end.error or {}
    text = error.get("message", "no error was stored")
    return ChildFailed(
        f"its run {end.run_id} failed: {text}",
        hint=f"see `smithers why {end.run_id}`; a resume of this run tries again what failed in that one",
        place=job.task.place,
        run=end.run_id,
        error=dict(error),
    ).payload()
