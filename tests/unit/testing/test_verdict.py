"""What a death and a resume must not change, rule by rule."""

from __future__ import annotations

from smithers.ids import NodeKey
from smithers.records import AttemptRow, AttemptState, NodeState, RunState
from smithers.testing.crash.journal import Line
from smithers.testing.crash.snapshot import Snapshot
from smithers.testing.crash.verdict import (
    End,
    Wanted,
    check_death,
    check_end,
    check_resume,
    check_sound,
    wanted_of,
)

KEY = NodeKey("publish")
BEGUN, TOLD = Line("begun", KEY, attempt=1), Line("told", KEY, attempt=1)


def attempt(number: int, state: AttemptState = AttemptState.FINISHED, generation: int = 0) -> AttemptRow:
    to_frame = None if state is AttemptState.RUNNING else number + 1
    return AttemptRow(
        KEY, generation, number, state, number, to_frame, 1, 0, None, None, None, True, None, None
    )


def snapshot(
    *attempts: AttemptRow, body: str | None = '"out"', state: RunState = RunState.FINISHED
) -> Snapshot:
    finished = {(row.key, row.generation) for row in attempts if row.state is AttemptState.FINISHED}
    outputs = {} if body is None else dict.fromkeys(finished, body)
    return Snapshot(state, 9, dict.fromkeys(finished, NodeState.FINISHED), list(attempts), outputs, {})


DONE = snapshot(attempt(1))


def test_what_was_reported_must_be_stored() -> None:
    assert check_death(DONE, [BEGUN, TOLD]) == []
    for dead in (None, snapshot(attempt(1, AttemptState.RUNNING))):
        assert check_death(dead, [BEGUN, TOLD]) == [
            "`publish` had been reported as finished, and is not stored"
        ]


def test_an_attempt_that_was_cut_off_may_run_again() -> None:
    dead = snapshot(attempt(1, AttemptState.RUNNING), state=RunState.RUNNING)
    end = snapshot(attempt(1, AttemptState.LOST), attempt(2))
    again = [Line("begun", KEY, attempt=2), Line("told", KEY, attempt=2)]
    assert check_resume(dead, [BEGUN], again, end) == []
    assert check_end(Wanted(End(end, {})), End(end, {}), [BEGUN, *again]) == []


def test_what_had_finished_must_not_run_again() -> None:
    again = Line("begun", KEY, attempt=2)
    assert check_resume(DONE, [BEGUN, TOLD], [again], snapshot(attempt(1), attempt(2))) == [
        "on resume `publish` executed twice (attempts 1, 2) although it had finished"
    ]
    # Of an earlier call of the test nothing is known but what it left.
    assert check_resume(DONE, [], [again], snapshot(attempt(1), attempt(2))) == [
        "on resume `publish` executed again although it had finished"
    ]


def test_a_new_generation_is_another_thing() -> None:
    end = snapshot(attempt(1), attempt(1, generation=1))
    assert check_resume(DONE, [BEGUN, TOLD], [BEGUN._replace(generation=1)], end) == []


def test_a_value_that_was_tried_again_shows_in_its_rows() -> None:
    assert check_resume(DONE, [], [], snapshot(attempt(1), attempt(2))) == [
        "on resume `publish` was tried again in attempt 2, although it had finished"
    ]


def test_an_attempt_runs_once_and_only_if_it_is_stored() -> None:
    assert check_resume(None, [BEGUN, BEGUN], [], DONE) == ["attempt 1 of `publish` executed twice"]
    assert check_resume(None, [BEGUN], [], snapshot()) == [
        "attempt 1 of `publish` was executed, and is not stored"
    ]


def test_what_one_process_has_reported_it_does_not_begin_again() -> None:
    found = check_resume(None, [], [BEGUN, TOLD, BEGUN._replace(attempt=2)], snapshot(attempt(1), attempt(2)))
    assert found == ["`publish` was executed again in attempt 2, although it had finished"]


def test_a_stored_output_does_not_change() -> None:
    assert check_resume(DONE, [], [], snapshot(attempt(1), body='"other"')) == [
        'the output of `publish` was "out", and is "other"'
    ]


def test_an_end_differs_by_its_state_its_tasks_its_outputs_or_its_files() -> None:
    wanted = Wanted(End(DONE, {"a": b"1"}))
    assert check_end(wanted, End(DONE, {"a": b"1"}), []) == []
    failed = snapshot(attempt(1, AttemptState.FAILED), state=RunState.FAILED)
    assert check_end(wanted, End(failed, {"a": b"1"}), []) == [
        "the run ended failed, not finished",
        "`publish` is not there, not finished",
        'the output of `publish` is not there, not "out"',
    ]
    twice = [BEGUN, BEGUN._replace(attempt=2)]
    assert check_end(wanted, End(DONE, {"a": b"11"}), twice) == [
        "the file a is '11', not '1' (`publish` executed twice)"
    ]


def test_what_two_undisturbed_runs_differ_in_is_compared_with_nothing() -> None:
    one = End(DONE, {"a": b"1"})
    other = End(snapshot(attempt(1), body='"other"'), {"a": b"2", "b": b""})
    wanted, differences = wanted_of(one, other)
    assert differences == []
    assert wanted.unsteady == {"the output of `publish`", "the file a", "the file b"}
    assert check_end(wanted, other, []) == []
    assert wanted_of(one, End(snapshot(), {}))[1] != []


def test_an_end_is_sound_when_what_has_finished_has_an_output_and_nothing_runs() -> None:
    assert check_sound(DONE) == []
    assert check_sound(snapshot(attempt(1), body=None)) == ["`publish` has finished without an output"]
    assert check_sound(snapshot(attempt(1, AttemptState.RUNNING))) == [
        "the run has ended, and `publish` runs"
    ]
