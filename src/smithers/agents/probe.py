"""What can be seen of agents that are programs without asking a model anything: all at once, in seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from smithers.agents.installed import Installed, Machine, find, node_version
from smithers.agents.quota import Quota, quota
from smithers.agents.registry import KnownAgent
from smithers.agents.short_call import Answer, ShortCalls
from smithers.agents.sign_in import SignIn, sign_in


class Effort(NamedTuple):
    """How much is done to know it."""

    patience_s: float | None
    """After which programs that have not answered are ended, all together; None: none is started."""
    trusts_packages: bool = True
    """The version of an npm package is read and not asked for: it takes seconds of CPU to start them all."""


LOOK: Final = Effort(None)
"""Start nothing."""
ASK: Final = Effort(2.6)
"""With our own start and the table a list takes three seconds at most."""
START: Final = Effort(15.0, trusts_packages=False)
"""Start each, to tell what is slow from what is broken."""

_LOOKS_EACH: Final = 3
"""Of each agent, at once."""
_VERSION = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+)+(?:[-+][0-9A-Za-z.-]+)?)")


class Parked(NamedTuple):
    """An account of which nothing is asked for a while."""

    account: str
    """As agents name theirs: `claude-code`, `claude-code:/home/ann/work`."""
    until_ms: int | None
    """Wall clock; None: nobody has said."""
    reason: str = ""

    @property
    def kind(self) -> str:
        return self.account.partition(":")[0]


ParkedAccounts: TypeAlias = Callable[[], Sequence[Parked]]
"""Who is parked now, as the store knows it."""


class Version(NamedTuple):
    """What a program says of its version."""

    text: str = ""
    """`2.1.328`; empty: unknown."""
    problem: Literal["", "late", "failed", "odd", "not asked"] = ""
    """Why it is not the program itself that said so."""
    said: str = ""
    """What it said instead."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """To be compared; empty: unknown."""
        return version_numbers(self.text)


NO_VERSION: Final = Version()
NOT_SIGNED_IN: Final = SignIn("unknown", "it is not installed")


@dataclass(frozen=True, slots=True)
class Seen:
    """One agent, as it stands on this machine."""

    known: KnownAgent
    program: Installed | None = None
    """None: it is not installed; the rest is unknown then."""
    version: Version = NO_VERSION
    sign_in: SignIn = NOT_SIGNED_IN
    quota: Quota | None = None
    """What is left of its limits; None: unknown."""
    node: str | None = None
    """Version of the Node that executes it; None: none does, or nobody has asked."""
    parked: tuple[Parked, ...] = ()


def nobody_parked() -> Sequence[Parked]:
    """Of a project without a store."""
    return ()


def probe(
    kinds: Iterable[KnownAgent],
    machine: Machine,
    effort: Effort = ASK,
    parked: ParkedAccounts = nobody_parked,
) -> list[Seen]:
    """Look for these agents, in this order.

    Args:
        parked: where accounts are looked up.
    """
    wanted, waiting = list(kinds), parked()
    with (
        ThreadPoolExecutor(_LOOKS_EACH * len(wanted) or 1, "smithers-probe") as pool,
        # Entered last, left first: what still runs is ended before its thread is waited for.
        ShortCalls(effort.patience_s or 0, machine.cwd) as calls,
    ):
        look = _Look(pool, machine, effort, calls)
        seen = [end() for end in [look.begin(known) for known in wanted]]
    return [replace(one, parked=tuple(it for it in waiting if it.kind == one.known.kind)) for one in seen]


class _Look:
    """Starts everything that must be asked before it waits for any of it."""

    def __init__(self, pool: ThreadPoolExecutor, machine: Machine, effort: Effort, calls: ShortCalls) -> None:
        self._pool = pool
        self._machine = machine
        self._effort = effort
        self._calls = calls if effort.patience_s is not None else None

    def begin(self, known: KnownAgent) -> Callable[[], Seen]:
        program = find(known, self._machine, self._calls)
        if program is None:
            return lambda: Seen(known)
        version = self._pool.submit(_version, program, self._effort.trusts_packages)
        account = self._pool.submit(_account, program)
        node = self._pool.submit(self._node, program)
        return lambda: Seen(known, program, version.result(), *account.result(), node.result())

    def _node(self, program: Installed) -> str | None:
        if self._calls is None or self._effort.trusts_packages or not program.is_node_script():
            return None
        return node_version(self._machine, self._calls)


def _account(program: Installed) -> tuple[SignIn, Quota | None]:
    found = sign_in(program)
    return found, quota(program) if found.state != "no" else None


def _version(program: Installed, trusts_packages: bool) -> Version:
    if trusts_packages and (packaged := program.packaged_version()):
        return Version(packaged)
    answer = program.ask("--version")
    if answer is None:
        return Version("", "not asked")
    if answer.status != 0:
        return Version("", "late" if answer.problem == "late" else "failed", _failure(program, answer))
    found = _VERSION.search(answer.text)
    said = program.without_secrets(_first_line(answer.text))
    return Version(found[1]) if found is not None else Version("", "odd", said)


def _failure(program: Installed, answer: Answer) -> str:
    match answer.problem:
        case "late":
            return "it did not answer in time"
        case "flood":
            return "it prints without end"
        case "unstarted":
            return answer.stderr
        case _:
            # Node's complaints begin with the place in the code; what is wrong stands in a line of its own.
            lines = [line for line in answer.text.splitlines() if "Error" in line] or [answer.text]
            said = program.without_secrets(_first_line(lines[0]))
            return said or f"it leaves with {answer.status}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]


def version_numbers(text: str) -> tuple[int, ...]:
    """The numbers a version begins with, such as (2, 1, 328); empty: it does not begin with one."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found is not None else ()
