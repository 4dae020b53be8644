"""A story told as a script: the same tree, walked by a coroutine that awaits it piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from smithers.context import Context
from smithers.nodes import Branch, Loop, Node, Parallel, Sequence, Task

Heard = list[str]
"""What one process' script has heard of, in order."""


class Teller:
    """Walks a tree of a story.

    Args:
        random: decides, for each node, whether it is awaited whole or piece by piece.
        hears: called when the script begins in a process; gives the list for what it hears there.
    """

    def __init__(self, tree: Node, random: Random, hears: Callable[[], Heard]) -> None:
        self._tree = tree
        self._hears = hears
        self._is_whole: dict[int, bool] = {}
        self._decide(tree, random)

    def _decide(self, node: Node, random: Random) -> None:
        self._is_whole[id(node)] = random.random() < 0.25
        for child in getattr(node, "children", ()):
            self._decide(child, random)

    async def tell(self, ctx: Context[Any]) -> str:
        """The script."""
        heard = self._hears()
        await self._walk(ctx, self._tree, heard)
        return "told"

    async def _walk(self, ctx: Context[Any], node: Node, heard: Heard) -> None:
        if isinstance(node, Task | Branch) or self._is_whole[id(node)]:
            await ctx.run(node)
            heard.append(node.first_id() or "")
        elif isinstance(node, Sequence):
            for child in node.children:
                await self._walk(ctx, child, heard)
        elif isinstance(node, Parallel):
            await self._walk_beside(ctx, node, heard)
        elif isinstance(node, Loop):
            async for number in ctx.loop(node.id or "", max_iterations=node.max_iterations):
                for child in node.children:
                    await self._walk(ctx, child, heard)
                heard.append(f"{node.id} {number}")

    async def _walk_beside(self, ctx: Context[Any], node: Parallel, heard: Heard) -> None:
        tasks = [child for child in node.children if isinstance(child, Task)]
        if len(tasks) == len(node.children):
            await ctx.map(lambda task: task, tasks, max_concurrency=node.max_concurrency)
            heard.append(f"all of {tasks[0].id}")
            return
        async with asyncio.TaskGroup() as group:
            for child in node.children:
                group.create_task(self._walk(ctx, child, heard))
