"""The messages that one run's owner has read: told of at once, taken when they have been obeyed."""

from __future__ import annotations

from collections.abc import Iterable

from smithers.records import InboxKind, InboxRow, RunState, StoredRun

from .draft import Draft
from .order import Order


class Mail:
    """What was asked of a run from outside, and how far that has come."""

    def __init__(self) -> None:
        self.asked_by: str | None = None
        """Who asked last."""
        self._seen: set[int] = set()
        self._untold: list[InboxRow] = []
        self._superseded: list[InboxRow] = []
        """Asked for while nobody drove the run; whoever resumes it wants it to go on."""
        self._obeyed: list[InboxRow] = []
        """The frame that ends the run notes them as taken: until then a new owner finds them."""

    def open(self, message: InboxRow) -> Order | None:
        """Read a message; None: it has been read before."""
        if message.id in self._seen:
            return None
        self._seen.add(message.id)
        self._untold.append(message)
        self.asked_by = message.by
        return Order.of(message)

    def sort(self, stored: StoredRun, *, owes: bool) -> Iterable[InboxRow]:
        """Sort what a resumed run finds: returned is what has to be obeyed, the rest is superseded.

        A pause that its owner died over is done first: whoever wants the run to go on says so once more, and
        nothing is spent meanwhile. A cancel is carried out by whoever comes, if it has last parts to run.

        Args:
            owes: blocks have begun that a cancel has to see to their end.
        """
        state = stored.run.state
        orders = [row for row in stored.inbox if row.kind.is_order]
        cancels = [row for row in orders if owes and not state.has_ended and unwinds(row)]
        is_open = state in (RunState.RUNNING, RunState.WAITING)
        pauses = [row for row in orders if is_open and row.kind is InboxKind.PAUSE]
        to_obey = cancels or pauses
        self._superseded = [row for row in orders if row not in to_obey]
        return to_obey

    def tell(self, draft: Draft) -> None:
        """Write an event for each message that nobody was told of yet."""
        for message in self._superseded:
            self._seen.add(message.id)
            draft.write.inbox_taken.append(message.id)
            order = Order.of(message)
            draft.event(order.asked, None, 0, {**order.told(), "superseded": True})
        for message in self._untold:
            self._obeyed.append(message)
            order = Order.of(message)
            draft.event(order.asked, None, 0, order.told())
        self._superseded, self._untold = [], []

    def close(self, draft: Draft, *, has_ended: bool) -> None:
        """Write that all of it was taken: the run leaves. A cancel that is not through stands."""
        for message in self._obeyed:
            stands = not has_ended and unwinds(message)
            (draft.write.inbox_kept if stands else draft.write.inbox_taken).append(message.id)


def unwinds(message: InboxRow) -> bool:
    """Whether it asks to end a run by its last parts."""
    return message.kind is InboxKind.CANCEL and not Order.of(message).is_now
