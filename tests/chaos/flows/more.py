"""Small workflows with boundaries, and scripts, which run from the top in every process."""

from __future__ import annotations

from smithers import (
    Branch,
    Caught,
    Context,
    Loop,
    Node,
    Parallel,
    Saga,
    SagaStep,
    Sequence,
    Task,
    TaskFailed,
    TryCatchFinally,
    workflow,
)
from smithers.dynamic import agent, parallel, pipeline
from tests.chaos.flows.four import SOON, Part, awaiting, blocking, flaky, hopeless, keen


def step(name: str, *, waits: bool = False) -> Task[Part]:
    return Task(name, Part, run=awaiting if waits else blocking)


def never(name: str) -> Task[Part]:
    return Task(name, Part, run=hopeless, retries=0)


@workflow
def blocks(ctx: Context) -> Node:
    """A loop in a saga in a try in a parallel, and branches of which one is given up. Ends as partial."""
    undone = Saga(
        SagaStep(step("reserve"), step("release")),
        SagaStep(Loop(step("pack"), max_iterations=2), step("unpack", waits=True)),
        SagaStep(never("pay")),
    )
    return Parallel(
        TryCatchFinally(undone, catch=step("apologise"), finally_=step("close")),
        Parallel(
            Sequence(never("lost"), step("after")), step("kept", waits=True), failure_policy="quarantine"
        ),
    )


@workflow
async def told(ctx: Context) -> Part:
    """One thing after the other, a failure that is handled, a loop, and a last part."""
    first = await ctx.run(step("first"))
    try:
        await ctx.run(never("lost"))
    except TaskFailed:
        await ctx.run(step("instead", waits=True))
    async with ctx.finally_(step("last")):
        async for number in ctx.loop("again", max_iterations=3):
            await ctx.run(step("pass", waits=number == 1))
            if number == 1:
                break
    return Part(text=first.text)


@workflow
async def spread(ctx: Context) -> Part:
    """Several at once: in a gather, a map with a cap, a tree, and coroutines of the script's own."""
    a, b = await ctx.gather(step("a"), Task("b", Part, run=flaky, retry_policy=SOON))
    parts = await ctx.map(lambda n: step(f"part:{n}", waits=n % 2 == 0), range(5), max_concurrency=2)
    await ctx.run(Parallel(step("left"), Sequence(step("right"), step("further"))))
    once = await ctx.once("once", lambda: blocking().text)
    return Part(text="+".join([a.text, b.text, once, *(part.text for part in parts)]))


@workflow
def nested(ctx: Context) -> Node:
    """A loop in a saga in a try in a parallel in a loop."""
    saga = Saga(
        SagaStep(Loop(step("inner"), max_iterations=2, id="in"), step("undo-inner")),
        SagaStep(never("fails"), step("undo-fails")),
    )
    guarded = TryCatchFinally(saga, catch=step("caught", waits=True), finally_=step("finally"))
    return Loop(Parallel(guarded, step("beside", waits=True)), max_iterations=2, id="out")


@workflow
def bodies(ctx: Context) -> Node:
    """Parts that are made when they are reached."""
    seed = Task("seed", Part, value=Part(text="seed"))

    def many() -> list[Task[Part]]:
        return [step(f"{ctx.output(seed).text}:{n}", waits=n == 0) for n in range(2)]

    def catch(error: Caught) -> Task[Part]:
        return step(f"after:{error.node}")

    return Sequence(
        seed,
        Parallel(many),
        Loop(lambda i: [step(f"pass:{i.index}"), step("always", waits=True)], max_iterations=2, id="made"),
        Branch(lambda: ctx.output(seed).text == "seed", step("yes"), step("no")),
        Task("skipped", Part, run=blocking, skip_if=lambda: ctx.output(seed).text == "seed"),
        TryCatchFinally(never("lost"), catch=catch),
    )


@workflow(agents=keen)
async def speaks(ctx: Context) -> Part:
    """As models write: several agents at once, each through its stages."""

    async def first(item: int) -> str | None:
        return await agent(f"first of {item}")

    async def second(made: str, item: int) -> str | None:
        return await agent(f"second of {item} after {made}")

    found = await pipeline(range(3), first, second)
    one, other = await parallel([lambda: agent("this"), lambda: agent("that")])
    return Part(text="+".join([*map(str, found), str(one), str(other)]))


MORE = {
    "blocks": blocks,
    "told": told,
    "spread": spread,
    "nested": nested,
    "bodies": bodies,
    "speaks": speaks,
}
