"""What leads to an inventory, what its answers do to a replica, and what follows: Q3, A3 to A5."""

from dataclasses import replace

import pytest

from device_agent.replica import Replica
from device_agent.results import AnswerFate, Event, Happened, PushResult
from device_agent.store import Collection, Inventory, ReplicaState
from sync_protocol import inventory
from sync_protocol.messages import Answer, Range
from sync_protocol.token_set import TokenSet
from tests.device_agent.builders import (
    BASE,
    EPOCH,
    LINEAGE,
    OTHER_EPOCH,
    change,
    compared,
    delta,
    digest,
    push,
    put,
    void,
)
from tests.device_agent.one_device import FIRST, VIEW_ID, Device, remainder

MANY = 80  # more than are listed at once


@pytest.fixture
def lost(device: Device) -> Device:
    """One that holds `a`, and lost its collection."""
    device.filled().replica.on_push(push(6, put("a", b"A")))
    device.sync(void)
    return device


@pytest.fixture
def under_way(device: Device) -> Device:
    """One that holds `MANY` items, of which some parts are still to be compared."""
    device.filled()
    for n in range(6, 6 + MANY):
        device.replica.on_push(push(n, put(f"at-{n}", b"A")))
    device.sync(void)
    device.sync(lambda it: compared(it, head=90, split=[""], p0=3))
    device.sync(lambda it: compared(it, head=91, split=["1", "2"], p0=4))
    return device


def collection_of(device: Device) -> Collection:
    collection = device.replica.state.collection
    assert collection is not None
    return collection


def damaged(answer: Answer) -> Answer:
    assert answer.inventory is not None
    broken = answer.inventory.model_copy(update={"missing": b"\xff" * 20})
    return answer.model_copy(update={"inventory": broken})


class TestRequest:
    def test_q3_a_new_device_presents_that_it_holds_nothing(self, device: Device) -> None:
        asked = device.ask()
        assert (asked.base, asked.collection, asked.wanted) == (None, None, ())
        assert asked.inventory == (Range(entries=b""),)

    def test_q3_one_that_lost_its_collection_presents_what_it_holds(self, lost: Device) -> None:
        asked = lost.ask()
        assert (asked.base, asked.collection) == (BASE, None)
        entry = (inventory.id_hash("a"), lost.item("a").etag)
        assert asked.inventory == (Range(entries=inventory.pack([entry])),)

    def test_q3_wants_no_content_meanwhile(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abc", held=1)))
        device.sync(void)
        assert device.ask().wanted == ()

    def test_q3_many_items_are_one_fingerprint_then_sixteen(self, device: Device) -> None:
        device.filled()
        for n in range(6, 6 + MANY):
            device.replica.on_push(push(n, put(f"at-{n}", b"A")))
        device.sync(void)
        whole = device.ask()
        assert [len(it.fingerprints or b"") for it in whole.inventory] == [6]
        device.replica.on_answer(compared(whole.id, head=90, split=[""]))
        assert [len(it.fingerprints or b"") for it in device.ask().inventory] == [96]


class TestVoid:
    def test_a3_keeps_what_is_seen(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))
        device.replica.on_push(push(7, "b"))
        result = device.sync(void)
        assert (result.fate, result.progress) == (AnswerFate.VOID, True)
        assert device.replica.state == ReplicaState(view_id=VIEW_ID, base=BASE)
        assert device.store.state() == device.replica.state
        assert device.content("a") == b"A"
        assert device.item("a").n is None
        assert device.store.remembered("b") is None

    def test_d1_a_push_means_nothing_until_there_is_a_collection(self, lost: Device) -> None:
        assert lost.replica.on_push(push(9, put("a", b"B"))) == (PushResult.STRANGE, ())
        assert lost.content("a") == b"A"


class TestComparison:
    def test_a4_all_equal_is_a_collection(self, lost: Device) -> None:
        result = lost.sync(lambda it: compared(it, head=9, epoch=OTHER_EPOCH, lineage=8, p0=2))
        assert (result.fate, result.progress, result.happened) == (AnswerFate.TAKEN, True, ())
        everything = TokenSet.span(FIRST, 9)
        assert collection_of(lost) == Collection(8, OTHER_EPOCH, 9, 2, everything)
        assert (lost.replica.state.base, lost.replica.state.floor) == (BASE, 9)
        assert lost.store.state() == lost.replica.state
        assert lost.content("a") == b"A"

    def test_a4_a_first_base_is_the_answers(self, device: Device) -> None:
        device.sync(lambda it: compared(it, head=0, base=70))
        assert device.ask().base == 70
        assert list(device.held) == [(-69, 0)]

    def test_a4_what_is_missing_is_not_held(self, lost: Device) -> None:
        lost.sync(lambda it: compared(it, head=9, missing=[-3, 7]))
        assert list(lost.held) == [(FIRST, -4), (-2, 6), (8, 9)]

    def test_a4_puts_keep_the_bytes_and_have_no_token(self, lost: Device) -> None:
        flagged = put("a", b"A", held=0, flags=("$seen",), folder="Elsewhere")
        result = lost.sync(lambda it: compared(it, head=9, puts=[flagged]))
        assert result.happened == (Happened(Event.CHANGED, "a", None),)
        item = lost.item("a")
        assert (item.n, item.flags, item.folder, item.whole) == (
            None,
            ("$seen",),
            "Elsewhere",
            True,
        )
        assert lost.content("a") == b"A"

    def test_a4_a_put_of_another_content_takes_no_byte_of_it(self, lost: Device) -> None:
        # Only a hash that happens to be equal, or a wrong gateway, can lead to it.
        lost.sync(lambda it: compared(it, head=9, puts=[put("a", b"B", held=0)]))
        assert (lost.item("a").whole, lost.content("a")) == (False, b"")
        assert [it.id for it in lost.ask().wanted] == ["a"]

    def test_a4_drops_go_at_once(self, under_way: Device) -> None:
        result = under_way.sync(lambda it: compared(it, head=92, drops=["at-9", "never there"]))
        assert result.happened == (Happened(Event.REMOVED, "at-9", None),)
        assert under_way.store.item("at-9") is None
        assert under_way.content("at-9") == b""
        assert under_way.store.remembered("at-9") is None
        assert isinstance(under_way.replica.state.known, Inventory), "it goes on"

    def test_a4_a_drop_is_all_items_of_that_hash(
        self, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "id_hash", lambda _item_id: b"equal!")
        device.filled()
        for n, item_id in enumerate(("a", "b"), 6):
            device.replica.on_push(push(n, put(item_id, b"A")))
        device.sync(void)
        device.sync(lambda it: compared(it, head=9, drops=["a"]))
        assert list(device.store.items()) == []

    def test_a4_the_first_answer_says_up_to_where_and_the_newest_the_rest(
        self, under_way: Device
    ) -> None:
        under_way.sync(lambda it: compared(it, head=99, answered=2, missing=[7], p0=5))
        held = TokenSet.of_ranges([(FIRST, 6), (8, 90)])
        assert collection_of(under_way) == Collection(LINEAGE, EPOCH, 99, 3, held)
        assert under_way.replica.state.floor == 99

    def test_a4_a_change_that_is_newer_than_the_first_head_is_still_missing(
        self, under_way: Device
    ) -> None:
        under_way.sync(lambda it: compared(it, head=99, answered=2))
        assert 90 in under_way.held
        assert 91 not in under_way.held

    @pytest.mark.parametrize("epoch", [EPOCH, OTHER_EPOCH])
    def test_a4_another_lineage_than_the_first_begins_anew(
        self, under_way: Device, epoch: bytes
    ) -> None:
        """Of another epoch it is another; an operator's other limits are none."""
        before = list(under_way.store.items())
        strange = put("at-9", b"A", held=0, flags=("$seen",))
        result = under_way.sync(
            lambda it: compared(it, head=99, epoch=epoch, lineage=8, puts=[strange], drops=["at-8"])
        )
        assert (result.fate, result.progress) == (AnswerFate.OVERTAKEN, True)
        assert under_way.replica.state.known == Inventory()
        assert list(under_way.store.items()) == before, "nothing of that answer counts"
        assert [it.prefix for it in under_way.ask().inventory] == [""]
        under_way.sync(lambda it: compared(it, head=4, epoch=epoch, lineage=8))
        assert collection_of(under_way).epoch == epoch
        assert collection_of(under_way).lineage == 8
        assert list(under_way.held) == [(FIRST, 4)]

    def test_d1_pushes_up_to_the_newest_head_are_older_than_the_items(
        self, under_way: Device
    ) -> None:
        under_way.sync(lambda it: compared(it, head=99, answered=2))
        late = push(95, put("at-9", b"old"), prev=90)
        assert under_way.replica.on_push(late) == (PushResult.OLD, ())
        assert under_way.replica.on_push(push(100, put("new", b"B")))[0] is PushResult.GAP


class TestWhatFollows:
    def test_a5_another_request_always_follows(self, lost: Device) -> None:
        lost.sync(lambda it: compared(it, head=9))
        assert lost.replica.needs_sync()
        asked = lost.ask()
        assert asked.collection is not None
        assert asked.inventory == ()
        lost.replica.on_answer(delta(asked.id, head=9))
        assert not lost.replica.needs_sync()

    def test_a5_what_was_missing_comes_over_what_is_held(self, lost: Device) -> None:
        lost.sync(lambda it: compared(it, head=9, missing=[3, 4]))
        # Below the floor and below what the items once had: a restored backup.
        changes = [change(4, put("b", b"B")), change(3, put("a", b"new"))]
        lost.sync(lambda it: delta(it, head=9, changes=changes))
        assert (lost.content("a"), lost.content("b")) == (b"new", b"B")
        assert (lost.item("a").n, lost.item("b").n) == (3, 4)
        assert list(lost.held) == [(FIRST, 9)]
        assert not lost.replica.needs_sync()

    def test_a5_a_remove_that_came_later_is_taken(self, lost: Device) -> None:
        lost.sync(lambda it: compared(it, head=9))
        result = lost.sync(lambda it: delta(it, head=12, changes=[change(12, "a")]))
        assert result.happened == (Happened(Event.REMOVED, "a", 12),)

    def test_a5_a_content_of_before_is_completed(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("old", b"abcdef", held=2)))
        device.sync(void)
        device.sync(lambda it: compared(it, head=9, missing=[8]))
        (wanted,) = device.ask().wanted
        assert (wanted.id, wanted.digest, wanted.offset) == ("old", digest(b"abcdef"), 2)
        new = [change(8, put("new", b"abc", held=1))]
        device.sync(lambda it: delta(it, head=9, changes=new))
        assert [it.id for it in device.ask().wanted] == ["new", "old"], "of unknown n: last"
        rest = [remainder("old", b"abcdef", 2), remainder("new", b"abc", 1)]
        result = device.sync(lambda it: delta(it, head=9, remainders=rest))
        assert {it.item_id for it in result.happened} == {"old", "new"}
        assert not device.replica.needs_sync()


class TestInTheMiddle:
    def test_a_restarted_agent_goes_on_where_it_was(self, under_way: Device) -> None:
        before = under_way.ask()
        assert [it.prefix for it in before.inventory] == ["1", "2"]
        restarted = Device(under_way.store)
        again = restarted.replica.request(before.id, answer_bytes_max=before.answer_bytes_max)
        assert again == before
        restarted.replica.on_answer(compared(again.id, head=95, missing=[7]))
        third = Device(under_way.store)
        assert [it.prefix for it in third.ask().inventory] == ["2"]
        third.sync(lambda it: compared(it, head=95))
        held = TokenSet.of_ranges([(FIRST, 6), (8, 90)])
        assert collection_of(third) == Collection(LINEAGE, EPOCH, 95, 3, held)

    def test_an_answer_to_what_an_agent_asked_before_it_ended_is_nobodys(
        self, under_way: Device
    ) -> None:
        asked = under_way.ask()
        restarted = Replica(under_way.store, make_view_id=lambda: 0)
        late = restarted.on_answer(compared(asked.id, head=95))
        assert late.fate is AnswerFate.NOT_AWAITED

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda it: delta(it, head=95, changes=[change(95, put("x", b"X"))]),
            lambda it: compared(it, head=95, answered=3),
            lambda it: compared(it, head=95, answered=0),
            lambda it: compared(it, head=95, split=["20"], drops=["at-9"]),
            lambda it: compared(it, head=95, split=["1"], puts=[put("x", b"X")]),
            lambda it: damaged(compared(it, head=95, drops=["at-9"])),
        ],
        ids=["a delta", "too many", "none", "of another", "itself", "no token set"],
    )
    def test_what_was_not_asked_for_does_no_harm(self, under_way: Device, wrong: object) -> None:
        assert callable(wrong)
        state, items = under_way.replica.state, list(under_way.store.items())
        result = under_way.sync(wrong)
        assert (result.fate, result.progress) == (AnswerFate.UNREADABLE, False)
        assert result.happened == ()
        assert (under_way.replica.state, list(under_way.store.items())) == (state, items)
        assert under_way.store.state() == state

    def test_an_inventory_that_was_not_asked_for_does_no_harm(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))
        state, items = device.replica.state, list(device.store.items())
        result = device.sync(lambda it: compared(it, head=9, drops=["a"]))
        assert (result.fate, result.happened) == (AnswerFate.UNREADABLE, ())
        assert (device.replica.state, list(device.store.items())) == (state, items)

    def test_a_collection_cannot_be_void_where_there_is_none(self, under_way: Device) -> None:
        state = under_way.replica.state
        assert under_way.sync(void).fate is AnswerFate.UNREADABLE
        assert under_way.replica.state == state


class TestStep:
    """An answer is one step: a store that fails in it leaves all as it was."""

    @pytest.mark.parametrize("split", [[], ["10"]], ids=["the last", "one before"])
    def test_of_an_inventorys_answer(
        self, under_way: Device, monkeypatch: pytest.MonkeyPatch, split: list[str]
    ) -> None:
        state, items = under_way.replica.state, list(under_way.store.items())

        def full(_store: object, _state: ReplicaState) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as patched:
            patched.setattr(type(under_way.store), "set_state", full)
            with pytest.raises(OSError, match="disk full"):
                under_way.sync(lambda it: compared(it, head=99, drops=["at-9"], split=split))
        assert (under_way.replica.state, list(under_way.store.items())) == (state, items)
        assert under_way.store.state() == replace(state)
