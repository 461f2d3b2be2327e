"""What a push does to a replica, rule by rule: D1 to D6."""

import pytest

from device_agent import replica as replica_module
from device_agent.results import Event, Happened, PushResult
from sync_protocol.messages import Remainder
from sync_protocol.token_set import TokenSet
from tests.device_agent.builders import (
    LINEAGE,
    change,
    compared,
    delta,
    digest,
    push,
    put,
)
from tests.device_agent.one_device import FIRST, Device


class TestPush:
    def test_d1_without_a_collection_it_means_nothing(self, device: Device) -> None:
        assert device.replica.on_push(push(1, put("a", b"A"))) == (PushResult.STRANGE, ())
        assert device.store.item("a") is None

    def test_d1_of_another_lineage_means_nothing(self, device: Device) -> None:
        device.filled()
        strange = push(6, put("a", b"A"), lineage=LINEAGE + 1)
        assert device.replica.on_push(strange) == (PushResult.STRANGE, ())
        assert device.store.item("a") is None
        assert 6 not in device.held

    def test_d1_up_to_the_floor_is_older_than_the_items(self, device: Device) -> None:
        # The items are of head 5, though the set has holes, whose changes are to come.
        device.sync(lambda it: compared(it, head=5, missing=[3, 5]))
        assert device.replica.on_push(push(3, put("a", b"A"))) == (PushResult.OLD, ())
        assert device.replica.on_push(push(5, put("a", b"A"))) == (PushResult.OLD, ())
        assert device.store.item("a") is None
        assert device.replica.on_push(push(6, put("a", b"A")))[0] is PushResult.GAP

    def test_d2_twice_changes_nothing(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))
        again = push(6, put("a", b"A", flags=("$seen",)), asof=60)
        assert device.replica.on_push(again) == (PushResult.HELD_ALREADY, ())
        assert device.item("a").flags == ()
        assert device.asof == 6

    def test_d2_of_what_the_gateway_presented_changes_nothing(self, device: Device) -> None:
        # 7 was superseded, so the gateway calls it held: a late push of it is of no item here.
        device.filled().sync(lambda it: delta(it, head=8, changes=[change(8, put("b", b"B"))]))
        assert device.replica.on_push(push(7, put("a", b"A"))) == (PushResult.HELD_ALREADY, ())
        assert device.store.item("a") is None

    def test_d3_a_lost_one_is_noticed(self, device: Device) -> None:
        device.filled()
        assert device.replica.on_push(push(6, put("a", b"A")))[0] is PushResult.STORED
        assert not device.replica.needs_sync()
        assert device.replica.on_push(push(8, put("b", b"B"), prev=7))[0] is PushResult.GAP
        assert device.replica.needs_sync()
        assert device.replica.on_push(push(7, put("c", b"C")))[0] is PushResult.STORED
        assert not device.replica.needs_sync()

    def test_d3_the_first_of_all_misses_none_before_it(self, device: Device) -> None:
        device.compared(head=0, base=0).sync(lambda it: delta(it, head=0, base=0, held=TokenSet()))
        assert not device.replica.needs_sync()
        result, _ = device.replica.on_push(push(3, put("a", b"A"), prev=None))
        assert result is PushResult.STORED
        assert list(device.held) == [(1, 3)]
        assert not device.replica.needs_sync()

    def test_d4_covers_all_from_prev_on(self, device: Device) -> None:
        device.filled().replica.on_push(push(9, put("a", b"A"), prev=5))
        assert list(device.held) == [(FIRST, 9)]

    def test_d4_covers_nothing_before_prev(self, device: Device) -> None:
        device.filled().replica.on_push(push(9, put("a", b"A"), prev=7))
        assert list(device.held) == [(FIRST, 5), (8, 9)]

    def test_d4_content_that_came_is_held_at_the_change_that_made_it(self, device: Device) -> None:
        device.filled().replica.on_push(push(9, put("a", b"A"), prev=8, c=7))
        assert list(device.held) == [(FIRST, 5), (7, 7), (9, 9)]

    def test_d4_content_that_did_not_come_is_not_held(self, device: Device) -> None:
        device.filled().replica.on_push(push(9, put("a", b"A", held=0), prev=8, c=7))
        assert list(device.held) == [(FIRST, 5), (9, 9)]

    def test_d4_asof_only_grows(self, device: Device) -> None:
        device.filled().replica.on_push(push(7, put("a", b"A"), prev=5, asof=20))
        assert device.asof == 20
        device.replica.on_push(push(8, put("a", b"A"), asof=8))
        assert device.asof == 20

    def test_d5_an_older_put_does_not_undo_a_newer_one(self, device: Device) -> None:
        device.filled().replica.on_push(push(8, put("a", b"new"), prev=7))
        assert device.replica.on_push(push(7, put("a", b"old"))) == (PushResult.GAP, ())
        assert device.content("a") == b"new"
        assert 7 in device.held

    def test_d5_an_older_put_does_not_bring_back_what_was_removed(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))
        gone = (Happened(Event.REMOVED, "a", 8),)
        assert device.replica.on_push(push(8, "a", prev=7)) == (PushResult.GAP, gone)
        assert device.content("a") == b""
        device.replica.on_push(push(7, put("a", b"old")))
        assert device.store.item("a") is None

    def test_d5_the_remove_of_an_unknown_item_is_remembered_too(self, device: Device) -> None:
        device.filled()
        assert device.replica.on_push(push(8, "a", prev=7)) == (PushResult.GAP, ())
        device.replica.on_push(push(7, put("a", b"old")))
        assert device.store.item("a") is None

    def test_d5_an_older_remove_does_not_take_a_newer_put(self, device: Device) -> None:
        device.filled().replica.on_push(push(8, put("a", b"A"), prev=7))
        device.replica.on_push(push(7, "a"))
        assert device.content("a") == b"A"

    def test_d5_a_put_after_a_remove_is_taken(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, "a"))
        device.replica.on_push(push(7, put("a", b"A")))
        assert device.item("a").whole

    def test_d6_the_same_digest_keeps_the_bytes(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))
        device.replica.on_push(push(7, put("a", b"A", held=0, flags=("$seen",)), c=6))
        assert (device.item("a").whole, device.item("a").flags) == (True, ("$seen",))
        assert device.content("a") == b"A"

    def test_d6_a_portion_survives_a_change_of_flags(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abcdef", held=4)))
        device.replica.on_push(push(7, put("a", b"abcdef", held=0, flags=("$seen",)), c=6))
        device.replica.on_push(push(8, put("a", b"abcdef", held=2), c=6))
        assert device.content("a") == b"abcd"
        assert device.item("a").held_bytes == 4
        device.replica.on_push(push(9, put("a", b"abcdef"), c=6))
        assert device.item("a").whole

    def test_d6_another_digest_takes_what_came_and_no_byte_of_before(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"first")))
        device.replica.on_push(push(7, put("a", b"second", held=0)))
        assert device.content("a") == b""
        assert (device.item("a").whole, device.item("a").held_bytes) == (False, 0)
        device.replica.on_push(push(8, put("a", b"third")))
        assert device.content("a") == b"third"

    def test_d6_incomplete_is_not_whole_and_wanted(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abcdef", held=4)))
        assert not device.item("a").whole
        assert device.replica.needs_sync()
        (wanted,) = device.ask().wanted
        assert (wanted.id, wanted.digest, wanted.offset) == ("a", digest(b"abcdef"), 4)

    def test_d6_bytes_that_do_not_fit_their_digest_are_dropped(self, device: Device) -> None:
        wrong = put("a", b"right").model_copy(update={"content": b"wrong"})
        device.filled().replica.on_push(push(6, wrong))
        assert (device.item("a").whole, device.item("a").held_bytes) == (False, 0)
        assert device.content("a") == b""
        assert device.replica.needs_sync()

    def test_a_content_that_never_fits_is_not_fetched_for_ever(self, device: Device) -> None:
        wrong = put("a", b"right").model_copy(update={"content": b"wrong"})
        device.filled()
        device.replica.on_push(push(6, wrong))
        assert [it.id for it in device.ask().wanted] == ["a"]
        again = Remainder(id="a", digest=digest(b"right"), content=b"wrong")
        device.sync(lambda it: delta(it, head=6, remainders=[again]))
        assert not device.replica.needs_sync()
        assert device.ask().wanted == ()
        device.replica.close_request()  # a new connection: perhaps it was mended meanwhile
        assert [it.id for it in device.ask().wanted] == ["a"]

    def test_a_content_that_never_fits_is_fetched_again_after_a_change(
        self, device: Device
    ) -> None:
        wrong = put("a", b"right").model_copy(update={"content": b"wrong"})
        device.filled().replica.on_push(push(6, wrong))
        again = Remainder(id="a", digest=digest(b"right"), content=b"wrong")
        device.sync(lambda it: delta(it, head=6, remainders=[again]))
        assert not device.replica.needs_sync()
        device.replica.on_push(push(7, put("a", b"right", held=0, flags=("$seen",))))
        assert [it.id for it in device.ask().wanted] == ["a"]

    def test_d6_empty_content_is_whole_at_once(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"")))
        assert device.item("a").whole
        assert not device.replica.needs_sync()

    def test_more_ranges_than_are_kept_count_as_lost(
        self, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replica_module, "HELD_RANGES_MAX", 3)
        device.filled()
        for n in (10, 20):
            assert device.replica.on_push(push(n, put(f"at {n}", b"A")))[0] is PushResult.GAP
        assert device.replica.on_push(push(30, put("too much", b"A"))) == (PushResult.GAP, ())
        assert device.held.range_count == 3
        assert device.store.item("too much") is None
        # One that fills a gap is still welcome.
        device.replica.on_push(push(19, put("between", b"A"), prev=10))
        assert device.store.item("between") is not None
