"""What scripted agents have said, kept outside of processes that die.

An agent that is real does not forget what it has said when our process dies, and asked the same again it
says something like it again. A script is counted, so the count must outlive the process, and a call whose
attempt came to nothing must be given its reply once more: else a resumed run would hear the script from
another place.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from smithers.ids import NodeKey


class Call(NamedTuple):
    """One call of a scripted agent."""

    agent: int
    """The agent's serial number."""
    place: str
    """Which of its scripts: a task's id, or empty for the one of all others."""
    key: NodeKey
    attempt: int
    number: int
    """Which reply of that script it was given, from 0."""


CutOff: TypeAlias = Callable[[NodeKey, int], bool]
"""Whether an attempt was cut off, and so came to nothing."""


class Tape:
    """The calls of one run, over the processes that drive it.

    Args:
        calls: what is on it already.
        is_cut_off: asked about attempts of earlier calls.
        note: called with each new call, before its reply is given.
    """

    def __init__(
        self,
        calls: Iterable[Call] = (),
        is_cut_off: CutOff = lambda key, attempt: False,
        note: Callable[[Call], None] = lambda call: None,
    ) -> None:
        self._is_cut_off = is_cut_off
        self._note = note
        self._count: defaultdict[tuple[int, str], int] = defaultdict(int)
        """By script: how many of its replies have been given."""
        self._given: defaultdict[tuple[int, str, NodeKey], deque[Call]] = defaultdict(deque)
        """By script and task: calls that have not been given again."""
        for call in calls:
            self._add(call)

    def number(self, agent: int, place: str, key: NodeKey, attempt: int, taken: int) -> int:
        """Which reply a call gets.

        Args:
            taken: how many replies of this script were given before the tape began.
        """
        given = self._given[agent, place, key]
        while given and given[0].attempt < attempt:
            earlier = given.popleft()
            if self._is_cut_off(key, earlier.attempt):
                self._note_again(earlier, attempt)
                return earlier.number
        number = max(taken, self._count[agent, place])
        call = Call(agent, place, key, attempt, number)
        self._add(call)
        self._note(call)
        return number

    def _note_again(self, earlier: Call, attempt: int) -> None:
        again = earlier._replace(attempt=attempt)
        self._given[again.agent, again.place, again.key].append(again)
        self._note(again)

    def _add(self, call: Call) -> None:
        script = call.agent, call.place
        self._count[script] = max(self._count[script], call.number + 1)
        self._given[call.agent, call.place, call.key].append(call)


_running: list[Tape] = []
"""The tape that runs in this process, if any; not by context, for agents answer in contexts of their own."""


def running_tape() -> Tape | None:
    return _running[-1] if _running else None


def run_tape(tape: Tape) -> None:
    """Let scripted agents of this process go by this tape, until it is stopped."""
    _running.append(tape)


def stop_tape() -> None:
    _running.pop()
