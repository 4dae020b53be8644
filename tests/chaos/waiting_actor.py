"""Somebody who answers what a run waits for, again and again: a process of its own, run as a script.

Arguments: database, seed, log. A line of the log, written when the store has answered, is what was tried and
what came of it. It ends when a file called `stop` stands beside the log.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from smithers.clock import SystemClock
from smithers.engine.control import Control
from smithers.engine.order import Order
from smithers.errors import SmithersError
from smithers.observe.waits import WaitView, open_below
from smithers.records import InboxKind, WaitKind
from smithers.reply.fit import answer, decision, skip
from smithers.reply.send import send_signal
from smithers.store import open_store

RUN = "r1"


class Actor:
    """One person at one store."""

    def __init__(self, database: Path, random: Random, log: Path) -> None:
        self.store = open_store(database, clock=SystemClock(), create=False)
        self.reader, self.outsider = self.store.reader(), self.store.outsider()
        self.random, self.number = random, 0
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def act(self) -> None:
        """Do one thing at random."""
        run = self.reader.run(RUN)
        views = open_below(self.reader, run)
        what = self.random.random()
        if what < 0.04:
            self._order(InboxKind.PAUSE)
        elif what < 0.35:
            self._signal(run)
        elif views:
            self._answer(self.random.choice(views))

    def cancel(self) -> None:
        """End the run."""
        self._order(InboxKind.CANCEL)

    def _answer(self, view: WaitView) -> None:
        now_ms, by = self.store.clock.now_ms(), f"{os.getpid()}:{self.number}"
        self.number += 1
        time.sleep(self.random.choice((0, 0, 0.003, 0.03)))  # somebody else may be faster
        match view.row.kind:
            case WaitKind.APPROVAL:
                yes = self.random.random() < 0.6
                vote = decision(view, is_approved=yes, by=by, now_ms=now_ms)
            case WaitKind.HUMAN:
                vote = answer(view, self.random.choice(("so", "else")), by=by, now_ms=now_ms)
            case WaitKind.TIMER:
                vote = skip(view, by=by, now_ms=now_ms)
            case WaitKind.EVENT:
                return
        code, found = 0, ""
        try:
            self.outsider.vote(vote)
        except SmithersError as error:
            code, found = 4, error.code
        self._say(what=vote.word, by=by, run=view.run, node=str(view.row.key), code=code, error=found)

    def _signal(self, run: Any) -> None:
        name = self.random.choice([*(f"signal:{n}" for n in range(4)), "inner:signal:2", "tick", "tick"])
        event, about = ("tick", None) if name == "tick" else ("go", name)
        by = f"{os.getpid()}:{self.number}"
        self.number += 1
        try:
            sent = send_signal(self.reader, self.outsider, run, event, {"by": by}, about, by=by, keeps=True)
        except SmithersError as error:
            self._say(what="signal", by=by, code=4, error=error.code)
        else:
            self._say(what="signal", by=by, code=0, id=sent.id, correlation=about)

    def _order(self, kind: InboxKind) -> None:
        order = Order(kind, "somebody", self.random.random() < 0.5)
        before = self.reader.run(RUN)
        try:
            (outcome,) = Control(self.store, order, patience_ms=20_000, tell=lambda silence: None).apply(
                [before]
            )
        except SmithersError as error:
            self._say(what=kind.name, code=4, error=error.code, message=str(error))
        else:
            self._say(what=kind.name, code=0, state=outcome.run.state.word, means=outcome.means.value)

    def _say(self, **words: Any) -> None:
        os.write(self.log, (json.dumps(words) + "\n").encode())


def main() -> None:
    database, seed, log = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    random, stop, ends = Random(seed), log.with_name("stop"), log.with_name("cancel")
    while not stop.exists():
        with suppress(SmithersError):  # nothing is stored yet
            actor = Actor(database, random, log)
            actor.reader.run(RUN)
            break
        time.sleep(0.02)
    while not stop.exists():
        actor.act()
        if ends.exists() and random.random() < 0.5:
            actor.cancel()
        time.sleep(random.uniform(0.01, 0.15))


if __name__ == "__main__":
    main()
