"""A decision by a one-time link: bound to one wait, its generation and one word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from smithers.errors import LinkInvalid, NotWaiting
from smithers.notify.link import verify
from smithers.notify.link_key import read_link_key
from smithers.observe.waits import WaitView
from smithers.records import WaitKind

from .fit import decision

if TYPE_CHECKING:
    from smithers.notify.link import Link
    from smithers.ports import Outsider, Reader
    from smithers.records import RunRow, Voted

BY_LINK = "link"
"""In whose name a link decides that was made for nobody in particular."""


class Followed(NamedTuple):
    """What a link has done."""

    run: RunRow
    link: Link
    voted: Voted


def follow_link(store: Path, reader: Reader, outsider: Outsider, token: str, now_ms: int) -> Followed:
    """Do what a link says, once.

    Args:
        store: the database file, beside which the key lies.
    Raises:
        LinkInvalid, LinkExpired: it was not made here, was changed, or is too old.
        NotWaiting: what it decides waits no more, or is asked anew since.
        AlreadyDecided: it was used, or somebody was quicker.
    """
    link = verify(read_link_key(store), token, now_ms)
    if link.decision not in ("approve", "deny"):
        raise LinkInvalid(f"this link says {link.decision}, which is no decision")
    run = reader.run(link.run)
    here = (link.node, link.scope, link.iteration, link.generation, link.number)
    rows = [row for row in reader.waits(run.id) if (*row.key, row.ref.generation, row.ref.number) == here]
    if not rows or rows[0].kind is not WaitKind.APPROVAL:
        raise NotWaiting(f"{link.node} of {run.name} does not wait for this link", run=run.name)
    view = WaitView(run.name, rows[0], (), str(rows[0].ref))
    allowed = rows[0].spec.get("allowed_users")
    # It was given to those who are told of the wait: whoever may decide alone is who has it.
    by = link.by or (allowed[0] if allowed and len(allowed) == 1 else BY_LINK)
    vote = decision(view, is_approved=link.decision == "approve", by=by, now_ms=now_ms, link=link.nonce)
    return Followed(run, link, outsider.vote(vote))
