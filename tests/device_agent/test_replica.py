"""What a replica asks, and what an answer does to it: Q1, Q2, A1 to A5."""

from collections.abc import Callable

import pytest

from device_agent import replica as replica_module
from device_agent.replica import Replica
from device_agent.results import AnswerFate, Event, Happened, PushResult
from device_agent.store import ReplicaState
from sync_protocol import limits
from sync_protocol.messages import Remainder
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
    refused,
    void,
)
from tests.device_agent.one_device import ANSWER_BYTES_MAX, FIRST, VIEW_ID, Device, remainder


class TestRequest:
    def test_q1_a_new_request_closes_the_one_before(self, device: Device) -> None:
        first, second = device.ask(), device.ask()
        late = device.replica.on_answer(compared(first.id, head=5))
        assert late.fate is AnswerFate.NOT_AWAITED
        assert device.replica.state.collection is None
        assert device.replica.on_answer(compared(second.id, head=5)).fate is AnswerFate.TAKEN

    def test_q1_the_first_answer_closes_it(self, device: Device) -> None:
        asked = device.ask()
        assert device.replica.on_answer(refused(asked.id)).fate is AnswerFate.REFUSED
        late = device.replica.on_answer(compared(asked.id, head=5))
        assert late.fate is AnswerFate.NOT_AWAITED

    def test_q1_a_void_collection_closes_it(self, device: Device) -> None:
        asked = device.filled().ask()
        device.replica.on_answer(void(asked.id))
        assert device.replica.on_answer(void(asked.id)).fate is AnswerFate.NOT_AWAITED

    def test_q1_closed_by_a_timeout(self, device: Device) -> None:
        asked = device.ask()
        device.replica.close_request()
        late = device.replica.on_answer(compared(asked.id, head=5))
        assert late.fate is AnswerFate.NOT_AWAITED

    def test_q1_a_restarted_agent_waits_for_none(self, device: Device) -> None:
        asked = device.ask()
        restarted = Replica(device.store, make_view_id=lambda: 0)
        assert restarted.on_answer(compared(asked.id, head=5)).fate is AnswerFate.NOT_AWAITED

    def test_q2_says_the_view_and_how_large_an_answer_may_be(self, device: Device) -> None:
        asked = device.ask()
        assert (asked.view_id, asked.answer_bytes_max) == (VIEW_ID, ANSWER_BYTES_MAX)

    def test_q2_presents_all_that_is_held(self, device: Device) -> None:
        device.compared().sync(lambda it: delta(it, head=5, p0=2))
        device.replica.on_push(push(9, put("a", b"A"), prev=8, asof=12))
        presented = device.ask().collection
        assert presented is not None
        assert TokenSet.decode(presented.tokens) == TokenSet.of_ranges([(FIRST, 5), (9, 9)])
        assert (presented.lineage, presented.epoch) == (LINEAGE, EPOCH)
        assert (presented.asof, presented.p0) == (12, 2)
        assert device.ask().base == BASE

    def test_q2_a_restarted_agent_presents_the_same(self, device: Device) -> None:
        device.filled().replica.on_push(push(9, put("a", b"abc", held=1), prev=8))
        before = device.ask()
        restarted = Replica(device.store, make_view_id=lambda: 0)
        assert restarted.request(before.id, answer_bytes_max=ANSWER_BYTES_MAX) == before

    def test_q2_wants_the_newest_first_and_not_too_many(self, device: Device) -> None:
        device.filled()
        last = 5 + limits.REQUEST_WANTED_MAX + 3
        for n in range(6, last + 1):
            device.replica.on_push(push(n, put(f"at {n}", b"abc", held=1)))
        wanted = [item.id for item in device.ask().wanted]
        assert wanted == [f"at {n}" for n in range(last, 8, -1)]
        assert len(wanted) == limits.REQUEST_WANTED_MAX

    def test_q2_a_set_that_is_too_long_is_presented_without_its_oldest(
        self, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device.filled()
        for n in range(10, 400, 10):
            device.replica.on_push(push(n, put("a", b"A")))
        monkeypatch.setattr(limits, "TOKEN_SET_BYTES_MAX", 12)
        presented = device.ask().collection
        assert presented is not None
        assert len(presented.tokens) <= 12
        shown = TokenSet.decode(presented.tokens)
        assert 390 in shown
        assert not shown - device.held


class TestAnswer:
    def test_a1_only_the_outstanding_one(self, device: Device) -> None:
        device.ask()
        stranger = delta(b"stranger", head=5, changes=[change(3, put("a", b"A"))])
        assert device.replica.on_answer(stranger).fate is AnswerFate.NOT_AWAITED
        assert device.store.item("a") is None

    def test_a1_another_epoch_is_discarded_after_a_push(self, device: Device) -> None:
        asked = device.filled().ask()
        device.replica.on_push(push(6, put("a", b"A")))
        answer = delta(asked.id, head=9, epoch=OTHER_EPOCH, changes=[change(9, put("b", b"B"))])
        assert device.replica.on_answer(answer).fate is AnswerFate.OVERTAKEN
        assert device.store.item("b") is None
        assert list(device.held) == [(FIRST, 6)]
        assert device.replica.state.collection is not None
        assert device.replica.state.collection.epoch == EPOCH

    def test_a1_another_epoch_is_taken_without_a_push(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"A")))  # before the request
        asked = device.ask()
        device.replica.on_push(push(6, put("a", b"A")))  # nothing is stored
        answer = delta(asked.id, head=9, epoch=OTHER_EPOCH, lineage=8)
        assert device.replica.on_answer(answer).fate is AnswerFate.TAKEN
        assert device.ask().collection is not None
        assert device.replica.state.collection is not None
        assert device.replica.state.collection.epoch == OTHER_EPOCH

    def test_a1_the_same_epoch_is_taken_after_a_push(self, device: Device) -> None:
        asked = device.filled().ask()
        device.replica.on_push(push(6, put("a", b"A")))
        assert device.replica.on_answer(delta(asked.id, head=5)).fate is AnswerFate.TAKEN
        assert list(device.held) == [(FIRST, 6)]

    def test_a2_changes_are_applied(self, device: Device) -> None:
        changes = [change(9, put("a", b"A")), change(7, "b")]
        result = device.filled().sync(lambda it: delta(it, head=9, changes=changes))
        assert result.happened == (Happened(Event.CHANGED, "a", 9),)
        assert result.progress
        assert device.item("a").whole

    def test_a2_an_older_change_does_not_undo_a_push(self, device: Device) -> None:
        asked = device.filled().ask()
        device.replica.on_push(push(8, put("a", b"new"), prev=7))
        device.replica.on_push(push(9, "b"))
        older = [change(7, put("a", b"old")), change(6, put("b", b"old"))]
        device.replica.on_answer(delta(asked.id, head=7, changes=older))
        assert device.content("a") == b"new"
        assert device.store.item("b") is None

    def test_a2_sets_are_joined_and_asof_only_grows(self, device: Device) -> None:
        asked = device.filled().ask()
        device.replica.on_push(push(9, put("a", b"A"), prev=8, asof=11))
        device.replica.on_answer(delta(asked.id, head=7))
        assert list(device.held) == [(FIRST, 7), (9, 9)]
        assert device.asof == 11
        device.sync(lambda it: delta(it, head=15))
        assert device.asof == 15

    def test_a2_lineage_and_p0_are_the_answers(self, device: Device) -> None:
        device.filled().sync(lambda it: delta(it, head=9, lineage=8, p0=4))
        collection = device.replica.state.collection
        assert collection is not None
        assert (collection.lineage, collection.p0) == (8, 4)
        assert device.replica.on_push(push(10, put("a", b"A")))[0] is PushResult.STRANGE
        assert device.replica.on_push(push(10, put("a", b"A"), lineage=8))[0] is PushResult.STORED

    def test_a2_a_remainder_completes_an_item(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abcdef", held=2)))
        rest = [remainder("a", b"abcdef", 2, 4), remainder("a", b"abcdef", 4)]
        result = device.sync(lambda it: delta(it, head=6, remainders=rest))
        assert result.happened == (Happened(Event.COMPLETED, "a", 6),)
        assert result.progress
        assert device.content("a") == b"abcdef"
        assert not device.replica.needs_sync()

    @pytest.mark.parametrize(
        "wrong",
        [
            remainder("a", b"abcdef", 3),
            remainder("a", b"abcdef", 1),
            remainder("a", b"abcdeX", 2),
            remainder("a", b"abcdef", 2, 2),
            Remainder(id="a", digest=digest(b"abcdef"), offset=2, content=b"cdefg"),
            remainder("unknown", b"abcdef", 2),
        ],
        ids=["gap", "overlap", "other digest", "empty", "too long", "unknown item"],
    )
    def test_a2_a_remainder_that_does_not_fit_is_left(
        self, device: Device, wrong: Remainder
    ) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abcdef", held=2)))
        result = device.sync(lambda it: delta(it, head=6, remainders=[wrong]))
        assert (result.happened, result.progress) == ((), False)
        assert device.content("a") == b"ab"
        # Nothing of it is in the way of the right one.
        right = remainder("a", b"abcdef", 2)
        device.sync(lambda it: delta(it, head=6, remainders=[right]))
        assert device.item("a").whole

    def test_a2_a_remainder_for_a_whole_item_is_left(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abc")))
        again = Remainder(id="a", digest=digest(b"abc"), offset=3, content=b"d")
        assert not device.sync(lambda it: delta(it, head=6, remainders=[again])).progress
        assert device.content("a") == b"abc"

    def test_a2_remainders_that_make_wrong_bytes_are_no_progress(self, device: Device) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abcdef", held=2)))
        wrong = Remainder(id="a", digest=digest(b"abcdef"), offset=2, content=b"XXXX")
        result = device.sync(lambda it: delta(it, head=6, remainders=[wrong]))
        assert not result.progress
        assert (device.item("a").whole, device.item("a").held_bytes) == (False, 0)

    def test_a2_removes_are_forgotten_when_nothing_is_pending(self, device: Device) -> None:
        device.filled().replica.on_push(push(8, "a", prev=7))
        device.replica.on_push(push(12, "b", prev=11))
        device.sync(lambda it: delta(it, head=10, held=TokenSet.span(FIRST, 6), more=True))
        assert device.store.remembered("a") == 8
        device.sync(lambda it: delta(it, head=10))
        assert device.store.remembered("a") is None
        assert device.store.remembered("b") == 12

    def test_a5_asks_again_while_anything_is_pending_or_wanted(self, device: Device) -> None:
        assert device.replica.needs_sync()
        device.compared()
        assert device.replica.needs_sync()
        device.sync(lambda it: delta(it, head=5, held=TokenSet.span(FIRST, 5), more=True))
        assert device.replica.needs_sync()
        device.sync(lambda it: delta(it, head=5))
        assert not device.replica.needs_sync()
        partial = [change(6, put("a", b"abc", held=1))]
        device.sync(lambda it: delta(it, head=6, changes=partial))
        assert device.replica.needs_sync()
        rest = [remainder("a", b"abc", 1)]
        device.sync(lambda it: delta(it, head=6, remainders=rest))
        assert not device.replica.needs_sync()

    def test_a5_what_is_withheld_is_left_alone(self, device: Device) -> None:
        device.filled()
        for n, item_id in ((6, "a"), (7, "b")):
            device.replica.on_push(push(n, put(item_id, b"abc", held=1)))
        rest = [remainder("b", b"abc", 1)]
        device.sync(
            lambda it: delta(it, head=7, remainders=rest, withheld=["a", "never there", "b"])
        )
        assert not device.replica.needs_sync()
        assert device.ask().wanted == ()
        assert (device.item("a").whole, device.content("a")) == (False, b"a")
        assert (device.item("b").whole, device.content("b")) == (True, b"abc")

    @pytest.mark.parametrize(
        "mended",
        [
            lambda it: it.on_push(push(7, put("a", b"abc", held=0, flags=("$seen",)))),
            lambda it: it.on_push(push(7, put("a", b"other", held=1))),
            lambda it: it.close_request(),
        ],
        ids=["a change", "another content", "a new connection"],
    )
    def test_a5_and_wanted_again_after(
        self, device: Device, mended: Callable[[Replica], object]
    ) -> None:
        device.filled().replica.on_push(push(6, put("a", b"abc", held=1)))
        device.sync(lambda it: delta(it, head=6, withheld=["a"]))
        device.replica.on_push(push(6, put("a", b"abc", held=1)))  # nothing new
        assert not device.replica.needs_sync()
        mended(device.replica)
        assert [it.id for it in device.ask().wanted] == ["a"]

    def test_a5_no_more_are_left_alone_than_are_remembered(
        self, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replica_module, "WITHHELD_MAX", 1)
        device.filled()
        for n, item_id in ((6, "a"), (7, "b")):
            device.replica.on_push(push(n, put(item_id, b"abc", held=1)))
        device.sync(lambda it: delta(it, head=7, withheld=["a", "b"]))
        assert [it.id for it in device.ask().wanted] == ["b"]

    def test_a5_a_change_that_overtook_the_answer_is_not_left_alone(self, device: Device) -> None:
        device.filled()
        device.replica.on_push(push(6, put("a", b"abc", held=1)))
        request = device.ask()
        device.replica.on_push(push(8, put("a", b"other", held=1)))
        device.replica.on_answer(delta(request.id, head=7, withheld=["a"]))
        assert [it.id for it in device.ask().wanted] == ["a"]

    def test_a5_what_is_withheld_is_news_once(self, device: Device) -> None:
        device.filled()
        device.replica.on_push(push(6, put("a", b"abc", held=1)))
        assert device.sync(lambda it: delta(it, head=6, withheld=["a"])).progress
        assert not device.sync(lambda it: delta(it, head=6, withheld=["a"])).progress

    def test_a5_a_set_that_begins_too_late_is_not_complete(self, device: Device) -> None:
        device.sync(lambda it: compared(it, head=5, missing=[FIRST]))
        device.sync(lambda it: delta(it, head=5, held=TokenSet()))
        assert device.replica.needs_sync()

    def test_a5_an_empty_set_of_a_feed_that_had_changes_is_not_complete(
        self, device: Device
    ) -> None:
        device.sync(lambda it: compared(it, head=FIRST, missing=[FIRST]))
        device.sync(lambda it: delta(it, head=FIRST, held=TokenSet()))
        assert not device.held
        assert device.replica.needs_sync()

    def test_a_refusal_changes_nothing(self, device: Device) -> None:
        before = device.filled().replica.state
        result = device.sync(lambda it: refused(it, retry_after_s=3))
        assert result.refused is not None
        assert result.refused.retry_after_s == 3
        assert device.replica.state == before

    def test_a_set_that_cannot_be_read_changes_nothing(self, device: Device) -> None:
        asked = device.filled().ask()
        answer = delta(asked.id, head=9, changes=[change(9, put("a", b"A"))])
        assert answer.delta is not None
        broken = answer.model_copy(
            update={"delta": answer.delta.model_copy(update={"tokens": b"\xff" * 20})}
        )
        assert device.replica.on_answer(broken).fate is AnswerFate.UNREADABLE
        assert device.store.item("a") is None

    def test_the_base_never_changes_once_it_is_known(self, device: Device) -> None:
        device.filled().sync(void)
        assert device.ask().base == BASE
        device.filled()
        assert device.ask().base == BASE


class TestStep:
    """A push or an answer is one step: a store that fails in it leaves all as it was."""

    @pytest.fixture
    def broken(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> Device:
        device.filled().replica.on_push(push(6, put("a", b"A")))

        def full(_state: ReplicaState) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(type(device.store), "set_state", lambda _store, state: full(state))
        return device

    def assert_unchanged(self, device: Device) -> None:
        assert device.content("a") == b"A"
        assert device.item("a").n == 6
        assert list(device.held) == [(FIRST, 6)]
        assert device.store.state() == device.replica.state

    def test_of_a_push(self, broken: Device) -> None:
        with pytest.raises(OSError, match="disk full"):
            broken.replica.on_push(push(7, put("a", b"B")))
        self.assert_unchanged(broken)

    def test_of_an_answer(self, broken: Device) -> None:
        with pytest.raises(OSError, match="disk full"):
            broken.sync(lambda it: delta(it, head=7, changes=[change(7, "a")]))
        self.assert_unchanged(broken)

    def test_of_a_void_collection(self, broken: Device) -> None:
        with pytest.raises(OSError, match="disk full"):
            broken.sync(void)
        self.assert_unchanged(broken)
