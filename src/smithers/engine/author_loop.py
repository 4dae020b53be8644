"""The event loop of the author's side: it tells scripts what is queued and begun on their behalf."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from smithers.context import script_of

BLOCKER = "smithers_blocker"
"""Attribute of an `asyncio.Task`: what people are told when it blocks its loop."""


class AuthorLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop; scripts learn from it when they have come to rest.

    By what asyncio documents only: `call_soon` queues callbacks in their context, first in, first out.
    """

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        note_queued(context)
        return super().call_soon(callback, *args, context=context)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = super().create_task(coro, name=name, context=context)
        note_begun(task, context)
        return task


def note_queued(context: Context | None) -> None:
    """A callback is queued: by whose coroutine?"""
    script = script_of.get() if context is None else context.get(script_of)
    if script is not None:
        script.queue()


def note_begun(task: asyncio.Task[Any], context: Context | None) -> None:
    """A task has begun: by whose coroutine?"""
    script = script_of.get() if context is None else context.get(script_of)
    if script is not None:
        script.adopt(task)


def name_blocker(task: asyncio.Task[Any], name: str) -> None:
    """Say what is to blame if this task blocks its loop."""
    setattr(task, BLOCKER, name)
