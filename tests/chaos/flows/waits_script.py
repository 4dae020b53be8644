"""The same as `waits.py`, awaited by a script."""

from __future__ import annotations

from four import Part, awaiting, blocking
from waits import EXPIRES, behind, child, gate, signal

from smithers import Context, HumanTask, Subflow, Task, Timer, WaitForEvent, workflow


@workflow(output=Part)
async def waits_script(ctx: Context) -> Part:
    await ctx.run(Task("first", Part, run=blocking))
    await ctx.gather(
        *(
            behind(gate(f"gate:{n}", expires=n % 2 == 0, quorum=2 if n == 3 else 1), f"gate:{n}")
            for n in range(4)
        ),
        *(behind(signal(n), f"signal:{n}") for n in range(4)),
        *(behind(Timer(f"timer:{n}", duration=0.2 + 0.6 * n), f"timer:{n}") for n in range(3)),
        behind(HumanTask("ask", str, prompt="What?", timeout=EXPIRES, on_timeout="skip"), "ask"),
        Subflow("child", child),
    )
    async for _ in ctx.loop("loop", max_iterations=3):
        tick = WaitForEvent("tick", timeout=0.8, on_timeout="continue", default={"late": True})
        await ctx.run(behind(tick, "tick"))
        await ctx.run(behind(gate("again", expires=True), "again"))
    return await ctx.run(Task("last", Part, run=awaiting))
