"""What people and programs say to the runs of a `Play`, by the same functions as the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from smithers import Workflow
from smithers.engine.handle import Handle
from smithers.engine.hosts import host_for
from smithers.observe.waits import WaitView, open_below
from smithers.ports import Outsider, Reader
from smithers.records import RunRow, Vote, Voted, WaitKind, WaitRow
from smithers.reply import fit
from smithers.reply.find import find_wait
from smithers.reply.send import Sent, send_signal
from tests.unit.engine.play import Play, until


class Voice:
    """Somebody outside."""

    def __init__(self, play: Play) -> None:
        self.play = play

    @contextmanager
    def desk(self, run: str = "r") -> Iterator[tuple[Reader, Outsider, RunRow]]:
        store = host_for(self.play.store).store
        with closing(store.reader()) as reader, closing(store.outsider()) as outsider:
            yield reader, outsider, reader.run(run)

    def waits(self, run: str = "r") -> list[WaitRow]:
        """All waits of a run, those that are over too."""
        with self.desk(run) as (reader, _, row):
            return reader.waits(row.id)

    def open(self, run: str = "r") -> list[str]:
        """Names of what waits, in this run and below it."""
        with self.desk(run) as (reader, _, row):
            return sorted(view.node for view in open_below(reader, row))

    def ended(self, run: str = "r") -> dict[str, str]:
        """Each wait's state, by the name of its node and its generation."""
        return {f"{row.key}/{row.ref.generation}": row.state.word for row in self.waits(run)}

    def votes(self, run: str = "r") -> list[tuple[str, str, str]]:
        with self.desk(run) as (reader, _, row):
            return [(str(vote.ref.key), vote.word, vote.by) for vote in reader.votes(row.id)]

    def approve(self, node: str | None = None, by: str = "ann", **more: Any) -> Voted:
        return self._cast(node, WaitKind.APPROVAL, fit.decision, is_approved=True, by=by, **more)

    def deny(self, node: str | None = None, by: str = "ann", **more: Any) -> Voted:
        return self._cast(node, WaitKind.APPROVAL, fit.decision, is_approved=False, by=by, **more)

    def answer(self, value: Any, node: str | None = None, by: str = "ann") -> Voted:
        def answering(view: WaitView, **more: Any) -> Vote:
            return fit.answer(view, value, **more)

        return self._cast(node, WaitKind.HUMAN, answering, by=by)

    def skip(self, node: str | None = None, by: str = "ann") -> Voted:
        return self._cast(node, WaitKind.TIMER, fit.skip, by=by)

    def signal(
        self, name: str, payload: Any = None, correlation: str | None = None, *, keeps: bool = False
    ) -> Sent:
        with self.desk() as (reader, outsider, run):
            given = {} if payload is None else payload
            return send_signal(reader, outsider, run, name, given, correlation, by="ann", keeps=keeps)

    def _cast(self, node: str | None, kind: WaitKind, make: Callable[..., Vote], **given: Any) -> Voted:
        with self.desk() as (reader, outsider, run):
            view = find_wait(reader, run, node, (kind,))
            now_ms = host_for(self.play.store).store.clock.now_ms()
            return outsider.vote(make(view, now_ms=now_ms, **given))

    # --- Runs that are driven meanwhile ---------------------------------------------------------

    def start(self, function: Callable[..., object], given: Any = None) -> Handle:
        """Start run `r` and have its owner stay, whatever it waits for."""
        return Workflow(function).start(host_for(self.play.store), given, run_id="r", stays=True)

    def await_open(self, *nodes: str) -> None:
        until(lambda: self.open() == sorted(nodes))

    def messages(self, run: str = "r") -> list[str]:
        """Warnings and lines of the run's log."""
        with self.desk(run) as (reader, _, row):
            events = reader.events(row.id, limit=100_000)
        return [str(json.loads(event.data).get("message")) for event in events if event.data]
