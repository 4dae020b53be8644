"""A workflow whose outputs are all stored for other runs, large ones too."""

from __future__ import annotations

from smithers import Cache, Context, Node, Parallel, Sequence, Task, workflow
from tests.chaos.flows.four import Part, awaiting, blocking, keen, large


@workflow
def cached(ctx: Context) -> Node:
    first = Task("first", Part, run=blocking, cache=Cache(version="v1"))
    much = Task("much", Part, run=large, deps=first, cache=Cache(ttl="1h"))
    return Sequence(
        first,
        much,
        Parallel(
            [
                Task(f"part:{n}", Part, run=awaiting, cache=Cache(lambda ctx, n=n: n, scope="run"))
                for n in range(3)
            ],
            Task("asked", Part, agent=keen, prompt="say it", cache=Cache(by=lambda ctx: ctx.output(first))),
            max_concurrency=2,
        ),
    )


CACHED = {"cached": cached}
