"""What a program is asked beside a call, and what is found out only once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from smithers.agents.cli import Once, errand
from smithers.errors import ProgramNotFound
from smithers.ports import Program
from tests.unit.agents.watched import Watched
from tests.unit.process.family import lives, until


@pytest.fixture
def calls() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.close()


def shell(words: str) -> Program:
    return Program(("sh", "-c", words), stdout="pipe", stderr="pipe")


def test_it_tells_what_the_program_has_written_and_how_it_left(calls: Watched) -> None:
    answer = asyncio.run(errand(calls.spawn, shell("echo out; echo err >&2; exit 3")))
    assert (answer.stdout, answer.stderr, answer.exit.status) == ("out\n", "err\n", 3)


def test_a_program_that_is_not_there_is_not_found(calls: Watched) -> None:
    with pytest.raises(ProgramNotFound):
        asyncio.run(errand(calls.spawn, Program(("nosuch-program",), stdout="pipe", stderr="pipe")))


def test_one_that_takes_too_long_is_ended(calls: Watched) -> None:
    answer = asyncio.run(errand(calls.spawn, shell("echo begun; sleep 100"), limit_s=0.2))
    assert (answer.stdout, answer.exit.status) == ("begun\n", -9)
    assert calls.survivors == []


def test_one_that_nobody_waits_for_any_more_is_ended(calls: Watched) -> None:
    async def cancelled() -> None:
        asking = asyncio.ensure_future(errand(calls.spawn, shell("sleep 100")))
        await asyncio.to_thread(until, lambda: bool(calls.traces))
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()

    asyncio.run(cancelled())
    assert not lives(calls.traces[0].pid)


# --- Once ---------------------------------------------------------------------------------------


def test_those_who_ask_meanwhile_wait_for_the_one_answer() -> None:
    once, asked = Once[int](), []

    async def find() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return len(asked)

    async def all_of_them() -> list[int]:
        found = await asyncio.gather(*(once.get("a", find) for _ in range(5)))
        return [*found, await once.get("a", find), await once.get("b", find)]

    assert asyncio.run(all_of_them()) == [1, 1, 1, 1, 1, 1, 2]


def test_when_it_fails_the_next_one_tries() -> None:
    once, asked = Once[int](), []

    async def find() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        if len(asked) < 3:
            raise ValueError(len(asked))
        return len(asked)

    async def all_of_them() -> list[int | BaseException]:
        return await asyncio.gather(*(once.get("a", find) for _ in range(4)), return_exceptions=True)

    assert [str(one) for one in asyncio.run(all_of_them())] == ["1", "2", "3", "3"]


def test_whoever_gives_up_waiting_spoils_it_for_nobody() -> None:
    once = Once[str]()

    async def all_of_them() -> str:
        go = asyncio.Event()

        async def find() -> str:
            await go.wait()
            return "found"

        first, second, third = (asyncio.ensure_future(once.get("a", find)) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        go.set()
        assert await first == await third
        return await third

    assert asyncio.run(all_of_them()) == "found"


def test_it_is_found_once_for_several_event_loops() -> None:
    once, asked, found = Once[int](), [], []
    together = threading.Barrier(4)

    async def find() -> int:
        asked.append(1)
        return 7

    def ask() -> None:
        together.wait()
        found.append(asyncio.run(once.get("a", find)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, asked) == ([7] * 4, [1])
