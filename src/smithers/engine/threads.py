"""Threads on which the event loops' waiting is done: no coroutine of the author's ever waits for it."""

from __future__ import annotations

from typing import Final

from smithers.workers import Workers

LOOKERS: Final = Workers("smithers-look")
"""Where they wait for the store, and for what takes long to read."""
ENDERS: Final = Workers("smithers-end")
"""Where they wait until what an attempt has started is gone."""
