"""What every store promises of notices."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from smithers.ids import NodeKey
from smithers.records import NoticeKind, NoticeWrite
from smithers.store.notice import LONGEST_MS

if TYPE_CHECKING:
    from tests.contract.store_contract import World

FAILED = NoticeWrite(NoticeKind.FAILED, '{"title":"r1 failed"}')


class NoticeContract:
    """Mixed into `StoreContract`."""

    def test_a_notice_is_stored_with_its_frame_or_not_at_all(self, world: World) -> None:
        drive = world.create()
        key = NodeKey("ship", "outer=2", 1)
        drive.commit(notices=[NoticeWrite(NoticeKind.APPROVAL, '{"title":"Ship?"}', key, 3, 2), FAILED])
        refused = drive.next(notices=[FAILED])
        refused.fence += 1
        assert world.writer.commit([refused]) != [None]

        last, first = world.reader.notices(None, 10)
        assert (first.run_name, first.workflow, first.kind) == ("r1", "flow", NoticeKind.APPROVAL)
        assert (first.key, first.generation, first.number) == (key, 3, 2)
        assert (first.data, first.at_ms, first.state) == (
            '{"title":"Ship?"}',
            world.clock.now_ms(),
            "waiting",
        )
        assert (last.key, last.kind, last.tries, last.taken) == (None, NoticeKind.FAILED, 0, ())
        assert first.uid != last.uid
        assert len(first.uid) == 32

    def test_notices_are_listed_of_one_run_and_no_more_than_asked_for(self, world: World) -> None:
        one, other = world.create("r1"), world.create("r2")
        one.commit(notices=[FAILED, FAILED])
        other.commit(notices=[FAILED])
        assert [row.run_name for row in world.reader.notices(None, 10)] == ["r2", "r1", "r1"]
        assert [row.run_name for row in world.reader.notices(one.run, 10)] == ["r1", "r1"]
        assert len(world.reader.notices(None, 1)) == 1

    def test_of_two_who_have_seen_a_notice_one_claims_it(self, world: World) -> None:
        world.create().commit(notices=[FAILED])
        with closing(world.store.notices()) as one, closing(world.store.notices()) as other:
            now_ms = world.clock.now_ms()
            seen, also = one.due(now_ms), other.due(now_ms)
            assert seen == also
            assert seen is not None
            assert one.claim(seen, now_ms + 1000)
            assert not other.claim(seen, now_ms + 2000)
            assert other.due(now_ms) is None
            assert other.due(now_ms + 1000) is not None  # who claimed it has died

    def test_of_many_claims_at_once_one_succeeds(self, world: World) -> None:
        world.create().commit(notices=[FAILED])
        now_ms = world.clock.now_ms()
        claimed: list[bool] = []
        together = threading.Barrier(8)

        def claim() -> None:
            with closing(world.store.notices()) as outbox:
                seen = outbox.due(now_ms)
                assert seen is not None
                together.wait()
                claimed.append(outbox.claim(seen, now_ms + 1000))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == [False] * 7 + [True]

    def test_a_notice_is_put_off_given_up_or_settled(self, world: World) -> None:
        world.create().commit(notices=[FAILED])
        with closing(world.store.notices()) as outbox:
            now_ms = world.clock.now_ms()
            seen = outbox.due(now_ms)
            assert seen is not None
            assert outbox.claim(seen, now_ms + 1000)
            assert outbox.backlog(now_ms) == (0, 1, now_ms + 1000, None)
            assert outbox.backlog(now_ms + 1000) == (1, 0, now_ms + 1000, None)
            assert outbox.put_off(seen, now_ms + 1000, now_ms + 500, "no")
            assert not outbox.put_off(seen, now_ms + 1000, None, "late")  # it is not ours any more
            assert outbox.due(now_ms) is None
            assert outbox.backlog(now_ms) == (1, 0, now_ms + 500, "no")

            again = outbox.due(now_ms + 500)
            assert again is not None
            assert (again.tries, again.error) == (1, "no")
            outbox.note_taken(again, ["webhook"])
            outbox.settle(again, now_ms + 600)
            (row,) = world.reader.notices(None, 10)
            assert (row.state, row.sent_ms, row.error, row.taken) == (
                "sent",
                now_ms + 600,
                None,
                ("webhook",),
            )
            assert outbox.backlog(now_ms) == (0, 0, None, None)

    def test_a_notice_that_is_given_up_keeps_its_error_and_one_that_is_void_has_none(
        self, world: World
    ) -> None:
        world.create().commit(notices=[FAILED, FAILED])
        with closing(world.store.notices()) as outbox:
            now_ms = world.clock.now_ms()
            seen = outbox.due(now_ms)
            assert seen is not None
            assert outbox.claim(seen, now_ms + 1)
            assert outbox.put_off(seen, now_ms + 1, None, "no")
            other = outbox.due(now_ms)
            assert other is not None
            outbox.void(other)
            assert outbox.due(now_ms + LONGEST_MS) is None
        void, given_up = world.reader.notices(None, 10)
        assert (given_up.state, given_up.error) == ("given-up", "no")
        assert (void.state, void.error) == ("void", None)

    def test_what_is_put_off_can_be_hurried_and_what_is_claimed_cannot(self, world: World) -> None:
        world.create().commit(notices=[FAILED, FAILED])
        with closing(world.store.notices()) as outbox:
            now_ms = world.clock.now_ms()
            first = outbox.due(now_ms)
            assert first is not None
            assert outbox.claim(first, now_ms + 1000)
            second = outbox.due(now_ms)
            assert second is not None
            assert outbox.claim(second, now_ms + 1000)
            assert outbox.put_off(second, now_ms + 1000, now_ms + 5000, "no")
            assert outbox.due(now_ms) is None
            outbox.hurry()
            found = outbox.due(now_ms)
            assert found is not None
            assert found.id == second.id
            assert outbox.claim(found, now_ms + 2000)
            outbox.hurry()
            assert outbox.due(now_ms) is None

    def test_a_clock_that_is_set_back_holds_no_notice_up(self, world: World) -> None:
        world.create().commit(notices=[FAILED])
        with closing(world.store.notices()) as outbox:
            now_ms = world.clock.now_ms()
            seen = outbox.due(now_ms)
            assert seen is not None
            assert outbox.claim(seen, now_ms + 1000)
            assert outbox.put_off(seen, now_ms + 1000, now_ms + LONGEST_MS, "no")
            assert outbox.due(now_ms) is None
            assert outbox.due(now_ms - 1) is not None
