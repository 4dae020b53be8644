"""A script played without a run: from its first line to the first thing that it would have to wait for.

Nothing is executed for it: what was stored is delivered, the rest is not. The author's lines between two
awaits do run, as in every resume; those behind the last one reached do not, not even to clean up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import assert_never

from smithers.scheduler import Cancel, Deadlock, Enter, Execute, Fail, Finish, Judge, Skip, Stop, Wait

from .author_loop import AuthorLoop
from .draft import Draft
from .planning import Planning
from .script import LiveScript
from .scripting import Scripting

PATIENCE_S = 5.0
"""How long it may take until it asks for something: it may wait for something of its own before."""
MORE_S = 0.5
"""How long it is waited for more, when something of it waits for a call and the rest for whatever."""


class ScriptPlayer:
    """Plays one script. `moved` is what the script's wires are given."""

    def __init__(self) -> None:
        self._has_moved = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def moved(self, _: int) -> None:
        self._has_moved.set()

    def begin(self, script: LiveScript) -> None:
        """Begin it on a loop of its own; called by `Scripting.carry_out`."""
        loop = self._loop = AuthorLoop()
        threading.Thread(target=loop.run_forever, name="smithers-look", daemon=True).start()
        script.start(loop)

    def play(self, draft: Draft, planning: Planning, scripting: Scripting, met: Callable[[], None]) -> None:
        """Go on until the script waits for what is not stored.

        Args:
            met: called whenever the tree is another.
        """
        scripting.carry_out(self)
        try:
            while self._loop is not None and self._has_moved.wait(MORE_S if scripting.asks else PATIENCE_S):
                self._has_moved.clear()
                scripting.step(draft)
                met()
                self._judge(draft, planning, scripting)
                if not scripting.is_live:
                    break
                scripting.carry_out(self)
            scripting.close(drops=True)
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _judge(self, draft: Draft, planning: Planning, scripting: Scripting) -> None:
        while True:
            decision = planning.schedule.decide(0, may_start=False, may_grow=True)
            match decision:
                case Judge(loops):
                    planning.judge(draft, loops)
                case Skip(skipped):
                    for key, reason in skipped:
                        planning.skip(draft, key, reason)
                case Wait():
                    if not scripting.look(draft):
                        return
                case Execute() | Enter() | Cancel() | Finish() | Fail() | Stop() | Deadlock():
                    return
                case _:
                    assert_never(decision)
