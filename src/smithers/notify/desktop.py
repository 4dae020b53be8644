"""A notice on the screen of whoever sits here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from threading import Event
from typing import Final

from smithers.errors import NotDelivered
from smithers.notify.letter import Letter

LIMIT_S: Final = 5.0
LONGEST: Final = 300
"""Characters of a summary that are shown."""

_SCRIPT: Final = """\
on run argv
display notification (item 2 of argv) with title (item 1 of argv)
end run"""


class Desktop:
    """By the system's own program; implements `Way`.

    Args:
        platform: as `sys.platform`.
    """

    name = "desktop"
    is_owed = False
    """It is an extra: nothing is tried again for its sake."""
    limit_s = LIMIT_S

    def __init__(self, platform: str = sys.platform) -> None:
        self._platform = platform

    def send(self, letter: Letter, stop: Event) -> None:
        """As `Way.send`."""
        words = self._words(letter)
        program = shutil.which(words[0])
        if program is None:
            raise NotDelivered(f"there is no {words[0]} here")
        try:
            code = subprocess.run(
                [program, *words[1:]],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.limit_s,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise NotDelivered(f"{words[0]} did not end within {self.limit_s:.0f} s") from error
        except OSError as error:
            raise NotDelivered(f"{words[0]} could not be started: {error.strerror}") from error
        if code:
            raise NotDelivered(f"{words[0]} left with exit code {code}; is there a desktop here?")

    def _words(self, letter: Letter) -> list[str]:
        # As arguments: nothing of a title is ever part of a script.
        text = letter.summary[:LONGEST].replace("\0", "")
        title = letter.title[:LONGEST].replace("\0", "")
        if self._platform == "darwin":
            return ["osascript", "-e", _SCRIPT, title, text]
        # Servers take the text, and not the title, for markup.
        plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return ["notify-send", "--app-name=smithers", "--", title, plain]
