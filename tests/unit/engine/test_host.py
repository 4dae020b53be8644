"""A process owns its runs once, however many threads ask."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from smithers import Task, Workflow
from smithers.engine.host import Host
from smithers.engine.hosts import close_hosts, host_for
from smithers.engine.message import Lost


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


def test_a_run_that_must_survive_a_power_loss_does_not_share_the_commits_of_one_that_need_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "smithers.db"
    try:
        quick, safe = host_for(path, "normal"), host_for(path, "full")
        assert (quick.store.durability, safe.store.durability) == ("normal", "full")
        assert host_for(path, "full") is safe
    finally:
        close_hosts()


def test_a_process_that_lost_its_lease_owns_later_runs_under_a_new_one(tmp_path: Path) -> None:
    host = host_for(tmp_path / "smithers.db")
    try:
        lost = host.engine
        lost.post(Lost())
        for _ in range(200):
            if lost.has_lost:
                break
            time.sleep(0.01)
        flow = Workflow(lambda ctx: Task("a", str, value="a"), name="flow")
        assert flow.run_sync(store=tmp_path / "smithers.db").status == "finished"
        assert host.engine is not lost
    finally:
        close_hosts()
