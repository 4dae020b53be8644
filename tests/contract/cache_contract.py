"""What every store must do with the cache of outputs; part of the contract of `store_contract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from smithers.errors import LeaseLost, StoreCorrupt
from smithers.ids import NodeKey
from smithers.records import BLOB_LIMIT_BYTES, CacheEntry, CachePlace, CacheRow, Lookup, LookupRow
from smithers.store import Store
from smithers.store.writer import SqliteWriter
from tests.contract.store_contract import Drive, Fault, World

PLAN = CachePlace("flow", "plan")
MARK, OTHER = b"k" * 16, b"o" * 16


def entry(
    drive: Drive,
    mark: bytes = MARK,
    *,
    node: str | NodeKey = "plan",
    of_run: bool = False,
    generation: int = 0,
) -> CacheEntry:
    key = NodeKey(node) if isinstance(node, str) else node
    place = CachePlace("flow", key.node, drive.run if of_run else 0)
    return CacheEntry(place, mark, {"prompt": mark.hex()}, key, generation, {})


def found(world: World, place: CachePlace = PLAN, mark: bytes = MARK) -> tuple[CacheRow, str] | None:
    """The only entry under a key, with its value."""
    rows = world.reader.cached(place, mark)
    if not rows:
        return None
    (row,) = rows
    value = world.reader.cached_value(place, row)
    assert value is not None
    return row, value


def store(drive: Drive, body: str, *entries: CacheEntry) -> None:
    """Finish the task of these entries, and store them by the same commit."""
    key, generation = entries[0].key, entries[0].generation
    drive.commit(started=[drive.start(key, generation=generation)])
    drive.commit(**drive.finish(key, body, generation=generation), cached=list(entries))


class CacheContract(ABC):
    """The tests. The class that inherits them has the fixture `world`."""

    @abstractmethod
    def failing_writer(self, store: Store, fault: Fault) -> SqliteWriter: ...

    @abstractmethod
    def disk_error(self) -> Exception: ...

    def test_an_entry_comes_back_with_its_value_and_where_it_is_from(self, world: World) -> None:
        drive = world.create("r1")
        world.clock.advance(500)
        key = NodeKey("plan", "outer=2", 1)
        store(drive, '{"n":1}', entry(drive, node=key)._replace(reads=("a", "*Draft")))
        got = found(world)
        assert got is not None
        row, value = got
        assert (value, row.run, row.key, row.generation) == ('{"n":1}', "r1", key, 0)
        assert (row.workflow, row.is_of_run, row.stored_ms) == ("flow", False, world.clock.now_ms())
        assert (row.mark, row.parts, row.reads) == (MARK, {"prompt": MARK.hex()}, ("a", "*Draft"))
        assert world.reader.cached(PLAN) == world.reader.cache_entries() == [row]

    def test_an_entry_is_found_by_its_own_place_and_key_only(self, world: World) -> None:
        drive, other = world.create("r1"), world.create("r2")
        store(drive, "1", entry(drive))
        store(other, "2", entry(other, OTHER, of_run=True))
        look = world.reader
        for place in (CachePlace("other", "plan"), CachePlace("flow", "draft"), CachePlace("", ""), PLAN):
            assert look.cached(place, OTHER) == []
        assert look.cached(CachePlace("flow", "plan", drive.run), OTHER) == []
        assert look.cached(CachePlace("flow", "plan", other.run), MARK) == []
        of_run = found(world, CachePlace("flow", "plan", other.run), OTHER)
        assert of_run is not None
        assert (of_run[0].is_of_run, of_run[1]) == (True, "2")

    def test_of_two_runs_that_store_the_same_key_the_newest_stands(self, world: World) -> None:
        first, second = world.create("r1"), world.create("r2")
        first.commit(started=[first.start("plan")])
        second.commit(started=[second.start("plan")])
        frames = [
            first.next(**first.finish("plan", '"first"'), cached=[entry(first)]),
            second.next(**second.finish("plan", '"second"'), cached=[entry(second)]),
        ]
        assert world.writer.commit(frames) == [None, None]
        got = found(world)
        assert got is not None
        assert (got[0].run, got[1]) == ("r2", '"second"')
        assert len(world.reader.cache_entries()) == 1
        assert [row.body for row in world.reader.outputs(first.run)] == ['"first"']

    def test_a_later_generation_replaces_what_its_node_had_stored(self, world: World) -> None:
        drive = world.create()
        store(drive, '"old"', entry(drive))
        store(drive, '"new"', entry(drive, generation=1))
        got = found(world)
        assert got is not None
        assert (got[0].generation, got[1]) == (1, '"new"')

    def test_what_had_been_read_parts_entries_of_one_key(self, world: World) -> None:
        drive = world.create()
        for n, seen in enumerate(({}, {"ctx.input": "aa"}, {"ctx.input": "bb"}, {"ctx.input": "aa"})):
            world.clock.advance(10)
            store(drive, f"{n}", entry(drive, node=NodeKey("plan", "", n))._replace(seen=seen))
        rows = world.reader.cached(PLAN, MARK)
        values = [(row.seen, world.reader.cached_value(PLAN, row)) for row in rows]
        assert values == [({"ctx.input": "aa"}, "3"), ({"ctx.input": "bb"}, "2"), ({}, "0")]

    def test_an_entry_that_was_replaced_meanwhile_has_no_value(self, world: World) -> None:
        drive = world.create()
        store(drive, '"old"', entry(drive))
        (row,) = world.reader.cached(PLAN, MARK)
        world.clock.advance(10)
        store(drive, '"new"', entry(drive, generation=1))
        assert world.reader.cached_value(PLAN, row) is None

    def test_a_stale_owner_stores_no_entry(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        world.clock.advance(60_000)
        world.leases.claim(drive.run, world.leases.register_owner(15_000).id)
        (refused,) = world.writer.commit([drive.next(**drive.finish("plan", "1"), cached=[entry(drive)])])
        assert isinstance(refused, LeaseLost)
        assert world.reader.cache_entries() == []

    def test_a_frame_that_fails_at_the_cache_stores_nothing_of_the_task(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        before = world.facts(drive.run)

        def fail(sql: str, values: object) -> None:
            if "smithers_cache" in sql:
                raise self.disk_error()

        writer = self.failing_writer(world.store, Fault(fail))
        frame = drive.next(**drive.finish("plan", "1"), cached=[entry(drive)])
        assert isinstance(writer.commit([frame])[0], Exception)
        writer.close()
        assert world.facts(drive.run) == before
        assert world.reader.cache_entries() == []
        drive.commit(**drive.finish("plan", "1"), cached=[entry(drive)])
        assert len(world.reader.cache_entries()) == 1

    def test_a_large_value_is_found_and_a_damaged_one_is_named(self, world: World, tmp_path: Path) -> None:
        drive = world.create()
        body = '"' + "x" * (BLOB_LIMIT_BYTES + 1) + '"'
        store(drive, body, entry(drive))
        got = found(world)
        assert got is not None
        assert got[1] == body
        (blob,) = (path for path in tmp_path.rglob("blobs/*/*"))
        blob.write_text("something else")
        with pytest.raises(StoreCorrupt, match=blob.name):
            found(world)

    def test_entries_are_listed_newest_first_by_workflow_and_by_task(self, world: World) -> None:
        drive = world.create()
        for n, node in enumerate(("plan", "draft")):
            world.clock.advance(10)
            store(drive, "1", entry(drive, bytes([n]) * 16, node=node))
        look = world.reader
        assert [row.key.node for row in look.cache_entries()] == ["draft", "plan"]
        assert [row.key.node for row in look.cache_entries(limit=1)] == ["draft"]
        assert [row.key.node for row in look.cache_entries("flow", "plan")] == ["plan"]
        assert look.cache_entries("other") == look.cache_entries(node="other") == []

    def test_the_nearest_are_looked_for_among_the_newest(self, world: World) -> None:
        drive = world.create()
        for n in range(3):
            world.clock.advance(10)
            store(drive, "1", entry(drive, bytes([n]) * 16, node=NodeKey("plan", "", n)))
        assert [row.key.iteration for row in world.reader.cached(PLAN)] == [2, 1, 0]

    def test_cleared_entries_are_gone_and_outputs_stay(self, world: World) -> None:
        drive = world.create()
        store(drive, "1", entry(drive))
        store(drive, "2", entry(drive, OTHER, node="draft"))
        before = world.reader.outputs(drive.run)
        assert world.outsider.clear_cache("other") == world.outsider.clear_cache(node="other") == 0
        assert world.outsider.clear_cache("flow", "plan") == 1
        assert [row.key.node for row in world.reader.cache_entries()] == ["draft"]
        assert world.outsider.clear_cache() == 1
        assert world.reader.cache_entries() == []
        assert world.reader.outputs(drive.run) == before

    def test_what_an_attempt_found_comes_back_with_it(self, world: World) -> None:
        drive = world.create()
        hit = Lookup("hit", MARK.hex(), (), "r0", "plan", 5)
        miss = Lookup("differs", OTHER.hex(), ("by", "prompt"), "r0", "plan[1]", 7, "what else")
        drive.commit(started=[drive.start("plan"), drive.start("draft")])
        lookups = [LookupRow(NodeKey("plan"), 0, 1, hit), LookupRow(NodeKey("draft"), 0, 1, miss)]
        drive.commit(**drive.finish("plan", "1"), lookups=lookups)
        rows = {row.key.node: row for row in world.reader.attempts(drive.run)}
        assert (rows["plan"].lookup, rows["draft"].lookup) == (hit, miss)
        assert (rows["plan"].is_cached, rows["draft"].is_cached) == (True, False)

    def test_a_settlement_that_is_repeated_changes_no_entry_and_no_lookup(self, world: World) -> None:
        drive = world.create()
        drive.commit(started=[drive.start("plan")])
        rows = {
            **drive.finish("plan", "1"),
            "cached": [entry(drive)],
            "lookups": [LookupRow(NodeKey("plan"), 0, 1, Lookup("empty", MARK.hex()))],
        }
        drive.commit(**rows)
        before = (world.reader.cache_entries(), world.reader.attempts(drive.run))
        drive.commit(**rows)
        assert (world.reader.cache_entries(), world.reader.attempts(drive.run)) == before
