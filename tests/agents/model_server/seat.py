"""How far one script has come: each API key with its own script has its own seat."""

from __future__ import annotations

import threading

from tests.agents.model_server.asked import Asked
from tests.agents.model_server.reply import Call, Output, Reply, Say, Write
from tests.agents.model_server.script import Script


class Seat:
    """Deals out a script's replies, one a step."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._dealt = 0
        self._lock = threading.Lock()

    def reply(self, asked: Asked) -> Reply:
        """The reply to this request; the next one from now on, if this was a step."""
        with self._lock:
            replies = self.script.replies
            reply = replies[min(self._dealt, len(replies) - 1)]
            if asked.is_aside or asked.has_given_output:
                # Trouble reaches these too; what is said in the conversation does not.
                return Say("Done.") if isinstance(reply, Write | Say | Output | Call) else reply
            if isinstance(reply, Write) and reply.then is not None:
                if not asked.is_answered_by_tool:
                    return reply
                reply = reply.then
            self._dealt += 1
            return reply
