"""A process owns its runs once, however many threads ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from smithers.engine.host import Host


def test_a_store_has_one_engine_in_a_process_however_many_threads_ask_at_once(tmp_path: Path) -> None:
    host = Host(tmp_path / "smithers.db")
    gate = Barrier(8)

    def ask(_: int) -> int:
        gate.wait()
        return id(host.engine)

    try:
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1
    finally:
        host.close()


def test_a_host_that_was_closed_can_be_used_again(tmp_path: Path) -> None:
    host = Host(tmp_path / "smithers.db")
    first = host.engine
    host.close()
    try:
        assert host.engine is not first
    finally:
        host.close()
