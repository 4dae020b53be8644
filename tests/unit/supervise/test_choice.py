"""Which runs should go on: against rules written down once more, in the plainest way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smithers.records import Owner, OwnerHealth, Revival, RunState, Standing
from smithers.supervise.choice import (
    DEATHS,
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    Why,
    choose,
    count_loss,
    held_until_ms,
    lost_by,
    pause_ms,
)

NOW = 1_000_000_000
OWNER = Owner(7, "here", "boot", "ns", 4711, 1, 0, 0, 0)

times = st.one_of(st.none(), st.integers(NOW - 5, NOW + 5))
revivals = st.builds(
    Revival,
    fence=st.integers(1, 3),
    deaths=st.integers(1, 6),
    at_ms=st.integers(NOW - 10 * FIRST_PAUSE_MS, NOW + 1000),
    settled=st.integers(0, 2),
    why=st.sampled_from([None, "[X] y"]),
)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    health = draw(st.sampled_from(OwnerHealth))
    return Standing(
        run=draw(st.integers(1, 50)),
        name="r",
        workflow="flow",
        source="flow.py:flow",
        state=draw(st.sampled_from(RunState)),
        fence=draw(st.integers(1, 3)),
        moved_ms=NOW - 9,
        due_ms=draw(times),
        came_ms=None,
        message_ms=draw(times),
        cancel_ms=draw(times),
        settled=draw(st.integers(0, 2)),
        owner=None if health is OwnerHealth.NONE else OWNER,
        health=health,
        revival=draw(st.one_of(st.none(), revivals)),
    )


def should_go_on(one: Standing) -> bool:
    if one.health == OwnerHealth.ALIVE or one.state.has_ended:
        return False
    if one.state == RunState.PAUSED:
        return one.cancel_ms is not None
    if one.state == RunState.RUNNING:
        return True
    return one.message_ms is not None or (one.due_ms is not None and one.due_ms <= NOW)


def losses(one: Standing) -> int:
    """In a row, the present one included."""
    on_record = one.revival
    if on_record is not None and on_record.settled != one.settled:
        on_record = None
    before = on_record.deaths if on_record is not None else 0
    is_lost = one.owner is not None or one.state == RunState.RUNNING
    is_counted = on_record is not None and on_record.fence == one.fence
    return before + (1 if is_lost and not is_counted else 0)


@given(st.lists(standings()))
def test_what_goes_on_is_what_the_rules_say_in_the_order_it_came(rows: list[Standing]) -> None:
    found = choose(rows, NOW)
    assert [choice.standing for choice in found] == [one for one in rows if should_go_on(one)]


@given(standings())
def test_each_lost_owner_is_counted_once_and_only_while_nothing_settles(one: Standing) -> None:
    lost = lost_by(one, NOW)
    assert (0 if lost is None else lost.deaths) == losses(one)
    if lost is not None:
        # Once that is stored, another look finds the same, at any later time.
        assert lost_by(one._replace(revival=lost), NOW + 99) == lost


@given(standings())
def test_a_run_is_left_alone_after_three_losses_and_never_longer_than_an_hour(one: Standing) -> None:
    for choice in choose([one], NOW):
        if losses(one) < DEATHS:
            assert choice.held_until_ms is None
        if choice.held_until_ms is not None:
            assert NOW < choice.held_until_ms <= NOW + LONGEST_PAUSE_MS


@given(standings(), st.integers(0, 2 * LONGEST_PAUSE_MS))
def test_it_goes_on_when_the_time_has_passed(one: Standing, later_ms: int) -> None:
    lost = lost_by(one, NOW)
    until = held_until_ms(lost, NOW)
    if until is not None and NOW + later_ms >= until:
        assert held_until_ms(lost, NOW + later_ms) is None


def test_pauses_double_up_to_an_hour() -> None:
    assert [pause_ms(deaths) // 60_000 for deaths in range(3, 12)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pause_ms(10**9) == LONGEST_PAUSE_MS


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    assert held_until_ms(Revival(1, 9, NOW + 1, 0, None), NOW) is None


def test_what_could_not_be_resumed_is_told_in_place_of_a_lost_owner() -> None:
    first = count_loss(None, 4, 0, NOW)
    assert (first.deaths, first.why) == (1, None)
    told = count_loss(first, 4, 0, NOW + 1, "[X] y")
    assert told == first._replace(why="[X] y")
    assert count_loss(told, 5, 0, NOW + 2).deaths == 2
    assert count_loss(told, 5, 1, NOW + 2).deaths == 1


def test_a_reason_says_since_when() -> None:
    base = Standing(
        1, "r", "flow", "f", RunState.WAITING, 1, 5, NOW - 2, None, None, None, 0, None, OwnerHealth.NONE
    )
    (due,) = choose([base], NOW)
    assert (due.why, due.since_ms) == (Why.DUE, NOW - 2)
    (message,) = choose([base._replace(message_ms=NOW - 1)], NOW)
    assert (message.why, message.since_ms) == (Why.MESSAGE, NOW - 1)
    running = base._replace(state=RunState.RUNNING)
    assert [choice.why for choice in choose([running], NOW)] == [Why.LEFT]
    dead = running._replace(owner=OWNER, health=OwnerHealth.DEAD)
    assert [(choice.why, choice.since_ms) for choice in choose([dead], NOW)] == [(Why.OWNER_DIED, 5)]
