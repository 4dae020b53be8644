"""The ways by which a notice reaches somebody: one protocol, one way a file."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Protocol

from smithers.notify.setting import Settings

if TYPE_CHECKING:
    from smithers.notify.letter import Letter


class Way(Protocol):
    """From one thread."""

    @property
    def name(self) -> str:
        """One word; stored with the notices that it has delivered."""
        ...

    @property
    def limit_s(self) -> float:
        """`send` takes no longer."""
        ...

    @property
    def is_owed(self) -> bool:
        """Whether what it could not deliver is tried again."""
        ...

    def send(self, letter: Letter, stop: Event) -> None:
        """Deliver a notice, once.

        Args:
            stop: set when there is no time left: `send` leaves at once then, and says that it has failed.
        Raises:
            NotDelivered: it has not arrived, or may not have. Its text goes into the store: no secrets in it.
        """
        ...


def ways_of(settings: Settings, *, is_shown: bool = False) -> list[Way]:
    """What is configured, the quickest first.

    Args:
        is_shown: what the command prints goes to stderr; else it is thrown away.
    """
    found: list[Way] = []
    if settings.desktop:
        from smithers.notify.desktop import Desktop

        found.append(Desktop())
    if settings.webhook is not None:
        from smithers.notify.webhook import Webhook

        found.append(Webhook(settings.webhook, settings.secret))
    if settings.command is not None:
        from smithers.notify.command import Command

        found.append(Command(settings.command, settings.folder, is_shown=is_shown))
    return found
