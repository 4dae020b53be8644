"""Gates, questions, signals and times side by side, in a loop and in a child; what works leaves lines."""

from __future__ import annotations

from four import Part, awaiting, blocking

from smithers import (
    Approval,
    Context,
    HumanTask,
    Loop,
    Node,
    Parallel,
    Sequence,
    Subflow,
    Task,
    Timer,
    WaitForEvent,
    workflow,
)

EXPIRES = 2.5


def behind(wait: Node, name: str) -> Sequence:
    """A wait, and work that must not begin before it is over."""
    return Sequence(wait, Task(f"after:{name}", Part, run=awaiting if len(name) % 2 else blocking))


def signal(number: int, prefix: str = "") -> WaitForEvent:
    """Its correlation is its own: nobody else takes what is sent to it."""
    name = f"{prefix}signal:{number}"
    if number % 2:
        return WaitForEvent(name, event="go", correlation=name)
    return WaitForEvent(
        name, event="go", correlation=name, timeout=EXPIRES, on_timeout="continue", default={"late": True}
    )


def gate(name: str, *, expires: bool, quorum: int = 1) -> Approval:
    if not expires:
        return Approval(name, on_deny="continue", quorum=quorum)
    return Approval(name, on_deny="continue", expires_in=EXPIRES, on_expire="deny", remind_every=0.3)


@workflow(output=Part)
def child(ctx: Context) -> Node:
    return Sequence(
        Parallel(
            behind(gate("inner:gate", expires=True), "inner:gate"),
            behind(signal(2, "inner:"), "inner:signal"),
            behind(Timer("inner:timer", duration=0.4), "inner:timer"),
        ),
        Task("inner:last", Part, run=awaiting),
    )


@workflow(output=Part)
def waits(ctx: Context) -> Node:
    gates = [
        behind(gate(f"gate:{n}", expires=n % 2 == 0, quorum=2 if n == 3 else 1), f"gate:{n}")
        for n in range(4)
    ]
    signals = [behind(signal(n), f"signal:{n}") for n in range(4)]
    timers = [behind(Timer(f"timer:{n}", duration=0.2 + 0.6 * n), f"timer:{n}") for n in range(3)]
    ask = HumanTask("ask", str, prompt="What?", timeout=EXPIRES, on_timeout="skip")
    tick = WaitForEvent("tick", timeout=0.8, on_timeout="continue", default={"late": True})
    again = Loop(
        behind(tick, "tick"), behind(gate("again", expires=True), "again"), id="loop", max_iterations=3
    )
    return Sequence(
        Task("first", Part, run=blocking),
        Parallel(*gates, *signals, *timers, behind(ask, "ask"), again, Subflow("child", child)),
        Task("last", Part, run=awaiting),
    )
