"""Identity: what a node is called, which pass it is in, and short names for runs."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from smithers.errors import InvalidId, Place, UsageRefused

_NODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}\Z")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

_ADJECTIVES = (
    "amber bold brave bright brisk calm clear clever cool crisp deft eager early fair fast fine fresh gentle "
    "glad gold grand green happy keen kind lively lucky mellow merry mild neat noble plain proud quick quiet "
    "rapid ready red sharp shy silver sleek smart snowy soft solid spry still sunny swift tidy true warm wise"
).split()
_ANIMALS = (
    "ant badger bear beaver bee bison crane crow deer dove duck eagle egret elk falcon finch fox "
    "gecko goose hare hawk heron horse ibex jay koala lark lion lynx marten mole moose moth newt "
    "otter owl panda pike puma quail rabbit raven robin seal shark shrew sloth snail spider stoat "
    "stork swan swift tiger toad trout viper vole whale wolf wren yak"
).split()


class NodeKey(NamedTuple):
    """One node in one pass of the loops around it.

    A tuple, because the scheduler hashes millions of them.
    """

    node: str
    scope: str = ""
    """Path of the outer loops, such as `outer=2` or `outer=2,mid=1`; empty with at most one loop around."""
    iteration: int = 0
    """Counts from 0 within the innermost loop."""

    def __str__(self) -> str:
        inner = f"[{self.iteration}]" if self.iteration or self.scope else ""
        return f"{self.node}{inner}" + (f"@{self.scope}" if self.scope else "")


def passes_of(key: NodeKey) -> tuple[int, ...]:
    """The passes of the loops around a node, outermost first; `(0,)` outside any loop."""
    if not key.scope:
        return (key.iteration,)
    outer = tuple(int(part.rpartition("=")[2]) for part in key.scope.split(","))
    return (*outer, key.iteration)


def check_node_id(value: object, place: Place | None = None) -> str:
    """Return `value` if it can be a node id, else raise `InvalidId` naming it."""
    if isinstance(value, str) and _NODE_ID.match(value):
        return value
    raise InvalidId(f"not a node id: {value!r}", place=place)


def check_run_id(value: str) -> str:
    """Return `value` if it can be a run id, else raise `UsageRefused`."""
    if _RUN_ID.match(value):
        return value
    raise UsageRefused(
        f"not a run id: {value!r}",
        hint="run ids match [A-Za-z0-9][A-Za-z0-9._-]* and are at most 100 characters long",
    )


def short_run_id(random: Random) -> str:
    """A readable run id such as `swift-otter-3f2`; the store refuses a taken one and asks again."""
    return f"{random.choice(_ADJECTIVES)}-{random.choice(_ANIMALS)}-{random.randrange(16**3):03x}"
