"""What whoever awaits a thread can rely on when he is cancelled."""

from __future__ import annotations

import asyncio
import threading

from smithers.workers import Workers, on_thread


def test_a_cancel_stops_the_function_once_and_is_raised_when_it_has_ended_however_often_it_comes() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    stops: list[str] = []

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    async def cancel_twice() -> None:
        waiting = asyncio.ensure_future(on_thread(Workers(), work, lambda: stops.append("stop")))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting.done()
        may_end.set()
        await asyncio.wait((waiting,))
        assert waiting.cancelled()

    asyncio.run(cancel_twice())
    assert ended.is_set()
    assert stops == ["stop"]
