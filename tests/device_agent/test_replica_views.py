"""Views of a replica: what changes one, what its time window drops, and what the gateway narrows.

F6, A3, V5.
"""

import pytest

from device_agent.replica import SINCE_BACK_S_MAX, Replica
from device_agent.results import AnswerFate, Event, Happened, PushResult
from device_agent.store import Inventory, ReplicaStore
from sync_protocol.views import WHOLE_FEED, ShownAs, View
from tests.device_agent.builders import BASE, change, compared, delta, push, put, void
from tests.device_agent.one_device import FIRST, VIEW_ID, Device

DAY_S = 86_400
NOW = 1_000 * DAY_S
VIEW = View(kinds=("contact",), since=NOW)
OTHER_VIEWS = [
    WHOLE_FEED,
    VIEW.model_copy(update={"since": None}),
    VIEW.model_copy(update={"kinds": ("contact", "mail")}),
    VIEW.model_copy(update={"folders": ("Inbox",)}),
    VIEW.model_copy(
        update={"shown_as": (ShownAs(kind="contact", representation="compact"),)},
    ),
    VIEW.model_copy(update={"portion_bytes": 10}),
    VIEW.model_copy(update={"item_bytes_max": 10}),
]


@pytest.fixture
def viewing(store: ReplicaStore) -> Device:
    """Synced at 5 with a time window, and with an item of now."""
    device = Device(store, VIEW)
    filled(device)
    device.replica.on_push(push(6, put("a", b"A", date=NOW)))
    return device


def filled(device: Device) -> None:
    device.sync(lambda it: compared(it, head=5))
    device.sync(lambda it: delta(it, head=5))


def assert_begins_anew(device: Device, *, view: View) -> None:
    """Tokens mean nothing, under another view id, and items are as they were."""
    state = device.replica.state
    assert state == device.store.state()
    assert (state.known, state.floor, state.more) == (Inventory(), None, False)
    assert (state.base, state.view, state.narrowed) == (BASE, view, None)
    asked = device.ask()
    assert (asked.view, asked.base, asked.collection) == (view, BASE, None)
    assert asked.view_id == state.view_id
    assert asked.inventory
    assert device.item("a").n is None
    assert device.content("a") == b"A"


class TestView:
    def test_q2_it_is_in_every_request(self, device: Device) -> None:
        device.start(VIEW)
        assert device.ask().view == VIEW
        device.sync(lambda it: compared(it, head=5))
        assert device.ask().view == VIEW

    @pytest.mark.parametrize("view", OTHER_VIEWS)
    def test_a3_another_view_has_another_id_and_leads_to_an_inventory(
        self, viewing: Device, view: View
    ) -> None:
        viewing.replica.on_push(push(8, "gone", prev=7))
        viewing.start(view)
        assert viewing.replica.state.view_id == VIEW_ID + 1
        assert viewing.store.remembered("gone") is None
        assert viewing.replica.needs_sync()
        assert_begins_anew(viewing, view=view)

    def test_a3_items_stay_until_they_are_told_to_go(self, viewing: Device) -> None:
        viewing.start(View(kinds=("mail",)))
        assert viewing.content("a") == b"A"
        told = viewing.sync(lambda it: compared(it, head=7, drops=["a"]))
        assert told.happened == (Happened(Event.REMOVED, "a", None),)
        assert viewing.store.item("a") is None

    def test_the_same_view_goes_on_after_a_restart(self, viewing: Device) -> None:
        viewing.replica.on_push(push(9, put("b", b"B", date=NOW), prev=8))
        before, state = viewing.ask(), viewing.replica.state
        viewing.start(VIEW)
        assert viewing.replica.state == state
        asked = viewing.ask()
        assert (asked.view_id, asked.collection) == (VIEW_ID, before.collection)

    @pytest.mark.parametrize("since", [NOW + DAY_S, NOW - 100 * DAY_S])
    def test_the_beginning_of_the_window_makes_no_other_view_at_a_restart(
        self, viewing: Device, since: int
    ) -> None:
        """It is moved by `move_window` alone."""
        state = viewing.replica.state
        viewing.start(VIEW.model_copy(update={"since": since}))
        assert viewing.replica.state == state

    def test_q1_another_view_closes_the_request(self, viewing: Device) -> None:
        asked = viewing.ask()
        viewing.replica.move_window(None)
        late = viewing.replica.on_answer(delta(asked.id, head=9, changes=[change(9, "a")]))
        assert late.fate is AnswerFate.NOT_AWAITED
        assert viewing.content("a") == b"A"


class TestWindow:
    def test_f6_forward_drops_what_falls_out_and_remembers_its_n(self, viewing: Device) -> None:
        viewing.replica.on_push(push(7, put("later", b"B", date=NOW + DAY_S)))
        viewing.replica.on_push(push(8, put("long", b"C", date=NOW, until=NOW + DAY_S)))
        viewing.replica.on_push(push(9, put("short", b"D", date=NOW + DAY_S, until=NOW)))
        viewing.replica.on_push(push(10, put("always", b"E")))
        happened = viewing.replica.move_window(NOW + DAY_S)
        assert sorted(happened, key=lambda it: it.item_id) == [
            Happened(Event.REMOVED, "a", 6),
            Happened(Event.REMOVED, "short", 9),
        ]
        assert [item.id for item in viewing.store.items()] == ["always", "later", "long"]
        assert viewing.content("a") == b""
        assert (viewing.store.remembered("a"), viewing.store.remembered("short")) == (6, 9)
        state = viewing.replica.state
        assert state == viewing.store.state()
        assert (state.view.since, state.view_id) == (NOW + DAY_S, VIEW_ID)
        assert not viewing.replica.needs_sync()
        assert viewing.ask().view.since == NOW + DAY_S

    def test_f6_what_has_no_token_leaves_nothing_to_remember(self, viewing: Device) -> None:
        viewing.start(View(since=NOW))
        happened = viewing.replica.move_window(NOW + DAY_S)
        assert happened == (Happened(Event.REMOVED, "a", None),)
        assert viewing.store.remembered("a") is None

    def test_f6_an_older_change_of_what_fell_out_is_not_applied(self, viewing: Device) -> None:
        viewing.replica.on_push(push(8, put("a", b"B", date=NOW), prev=7))
        viewing.replica.move_window(NOW + DAY_S)
        late = push(7, put("a", b"A", date=NOW + DAY_S))
        assert viewing.replica.on_push(late) == (PushResult.STORED, ())
        assert viewing.store.item("a") is None

    def test_f6_a_push_from_before_the_window_is_not_applied_and_remembered(
        self, viewing: Device
    ) -> None:
        viewing.replica.move_window(NOW + DAY_S)
        # It was made for the window as it was before.
        assert viewing.replica.on_push(push(8, put("b", b"B", date=NOW), prev=7)) == (
            PushResult.GAP,
            (),
        )
        assert viewing.store.item("b") is None
        assert viewing.store.remembered("b") == 8
        assert list(viewing.held) == [(FIRST, 6), (8, 8)]
        assert viewing.replica.on_push(push(7, put("b", b"C", date=NOW + DAY_S)))[1] == ()
        assert viewing.store.item("b") is None

    def test_f6_a_push_that_moves_an_item_out_removes_it(self, viewing: Device) -> None:
        out = push(7, put("a", b"A", date=NOW - 1))
        assert viewing.replica.on_push(out)[1] == (Happened(Event.REMOVED, "a", 7),)
        assert viewing.store.item("a") is None
        assert viewing.replica.on_push(push(8, put("a", b"A", date=NOW)))[1] != ()

    @pytest.mark.parametrize("back_s", [1, DAY_S, SINCE_BACK_S_MAX])
    def test_f6_a_little_back_is_not_back(self, viewing: Device, back_s: int) -> None:
        before = viewing.replica.state
        assert viewing.replica.move_window(NOW - back_s) == ()
        assert viewing.replica.state == before == viewing.store.state()

    @pytest.mark.parametrize("since", [NOW - SINCE_BACK_S_MAX - 1, 0, -5, None])
    def test_f6_far_back_is_another_view(self, viewing: Device, since: int | None) -> None:
        assert viewing.replica.move_window(since) == ()
        assert viewing.replica.state.view_id == VIEW_ID + 1
        assert_begins_anew(viewing, view=VIEW.model_copy(update={"since": since}))

    def test_from_none_to_some_and_back(self, device: Device) -> None:
        filled(device)
        device.replica.on_push(push(6, put("a", b"A", date=NOW)))
        device.replica.on_push(push(7, put("old", b"B", date=NOW - 1)))
        assert device.replica.move_window(None) == ()
        assert device.start(View(since=NOW)).replica.state.view_id == VIEW_ID
        assert device.replica.move_window(NOW) == (Happened(Event.REMOVED, "old", 7),)
        assert (device.replica.state.view_id, device.replica.state.since) == (VIEW_ID, NOW)
        assert not device.replica.needs_sync()
        device.start(WHOLE_FEED)
        assert device.replica.state.view_id == VIEW_ID + 1
        assert_begins_anew(device, view=WHOLE_FEED)

    def test_that_stays_writes_nothing(
        self, viewing: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def transaction() -> None:
            raise AssertionError("it writes")

        monkeypatch.setattr(viewing.store, "transaction", transaction)
        assert viewing.replica.move_window(NOW) == ()
        assert viewing.replica.move_window(NOW - 1) == ()


class TestWindowThatWasSaidToBeAnother:
    """F6: what a clock may do is not what somebody wants."""

    @pytest.fixture
    def viewing(self, store: ReplicaStore) -> Device:
        device = Device(store, VIEW).start(VIEW, window="1 days")
        filled(device)
        device.replica.on_push(push(6, put("a", b"A", date=NOW)))
        device.replica.move_window(NOW)
        return device

    def test_it_is_noted_from_the_first_time_on(self, store: ReplicaStore) -> None:
        made = Replica(store, make_view_id=lambda: VIEW_ID, view=VIEW, window="1 days")
        assert made.state.window == "1 days"
        assert made.state == store.state()

    @pytest.mark.parametrize("back_s", [1, DAY_S, SINCE_BACK_S_MAX])
    def test_any_earlier_is_another_view(self, viewing: Device, back_s: int) -> None:
        viewing.start(VIEW, window="3 days")
        assert viewing.replica.move_window(NOW - back_s) == ()
        state = viewing.replica.state
        assert (state.view_id, state.window) == (VIEW_ID + 1, "3 days")
        assert_begins_anew(viewing, view=VIEW.model_copy(update={"since": NOW - back_s}))
        viewing.start(VIEW, window="3 days").replica.move_window(NOW - back_s - DAY_S)
        assert viewing.replica.state == state, "that is the clock"

    @pytest.mark.parametrize("later_s", [0, DAY_S])
    def test_no_earlier_is_the_same(self, viewing: Device, later_s: int) -> None:
        viewing.start(VIEW, window="3 days")
        happened = viewing.replica.move_window(NOW + later_s)
        assert [it.item_id for it in happened] == (["a"] if later_s else [])
        state = viewing.replica.state
        assert state == viewing.store.state()
        assert (state.view_id, state.window) == (VIEW_ID, "3 days")
        viewing.start(VIEW, window="1 days").replica.move_window(NOW + later_s - 1)
        assert viewing.replica.state.view_id == VIEW_ID + 1

    def test_the_same_words_leave_it_to_the_clock(self, viewing: Device) -> None:
        state = viewing.replica.state
        viewing.start(VIEW, window="1 days").replica.move_window(NOW - DAY_S)
        assert viewing.replica.state == state == viewing.store.state()

    def test_no_words_are_the_same_words(self, viewing: Device) -> None:
        state = viewing.replica.state
        viewing.start(VIEW).replica.move_window(NOW - DAY_S)
        assert viewing.replica.state == state == viewing.store.state()

    def test_a_clock_that_only_moves_on_says_nothing_of_it(self, viewing: Device) -> None:
        viewing.start(VIEW, window="3 days")
        assert viewing.replica.move_on(NOW - DAY_S) == ()
        assert viewing.replica.move_on(None) == ()
        assert viewing.replica.state.window == "1 days"
        assert viewing.replica.state.view_id == VIEW_ID
        viewing.replica.move_window(NOW - DAY_S)
        assert viewing.replica.state.view_id == VIEW_ID + 1

    @pytest.mark.parametrize("how", ["void", "narrowed", "another view"])
    def test_it_lasts(self, viewing: Device, how: str) -> None:
        if how == "void":
            viewing.sync(void)
        elif how == "narrowed":
            viewing.sync(lambda it: delta(it, head=6, since=NOW + 10 * DAY_S))
            assert viewing.sync(lambda it: delta(it, head=6)).fate is AnswerFate.VOID
        else:
            viewing.start(VIEW.model_copy(update={"item_bytes_max": 9}), window="1 days")
        state = viewing.replica.state
        assert (state.collection, state.window) == (None, "1 days")
        assert state == viewing.store.state()


class TestNarrowed:
    """V5: the gateway gives less of the time window than was asked for."""

    def test_by_a_delta(self, viewing: Device) -> None:
        new = change(7, put("b", b"B", date=NOW + DAY_S))
        told = viewing.sync(lambda it: delta(it, head=7, changes=[new], since=NOW + DAY_S))
        assert told.fate is AnswerFate.TAKEN
        assert Happened(Event.REMOVED, "a", 6) in told.happened
        assert [item.id for item in viewing.store.items()] == ["b"]
        state = viewing.replica.state
        assert state == viewing.store.state()
        assert (state.narrowed, state.since) == (NOW + DAY_S, NOW + DAY_S)
        assert viewing.ask().view == VIEW, "what is wanted stays what it was"
        late = push(8, put("c", b"C", date=NOW))
        assert viewing.replica.on_push(late)[1] == ()
        assert viewing.store.item("c") is None

    def test_by_an_inventory(self, viewing: Device) -> None:
        viewing.start(View(kinds=("mail",), since=NOW))
        told = viewing.sync(lambda it: compared(it, head=7, split=["1"], since=NOW + DAY_S))
        assert told.happened == (Happened(Event.REMOVED, "a", None),)
        state = viewing.replica.state
        assert state == viewing.store.state()
        assert (state.narrowed, state.view.since) == (NOW + DAY_S, NOW)

    def test_without_a_window_of_its_own(self, device: Device) -> None:
        filled(device)
        device.replica.on_push(push(6, put("a", b"A", date=NOW - 1)))
        device.sync(lambda it: delta(it, head=6, since=NOW))
        assert device.store.item("a") is None
        assert (device.replica.state.since, device.ask().view) == (NOW, WHOLE_FEED)

    def test_it_lasts_over_a_restart(self, viewing: Device) -> None:
        viewing.sync(lambda it: delta(it, head=6, since=NOW + DAY_S))
        viewing.start(VIEW)
        late = push(7, put("c", b"C", date=NOW))
        assert viewing.replica.on_push(late)[1] == ()
        assert viewing.store.item("c") is None

    def test_further_each_day(self, viewing: Device) -> None:
        for day in (1, 2, 3):
            since = NOW + day * DAY_S
            viewing.sync(lambda it, since=since: delta(it, head=6, since=since))  # type: ignore[misc]
            assert viewing.replica.state.since == since
        assert viewing.replica.state.view_id == VIEW_ID

    @pytest.mark.parametrize("back_s", [1, SINCE_BACK_S_MAX])
    def test_a_little_back_is_not_back(self, viewing: Device, back_s: int) -> None:
        most = NOW + 10 * DAY_S
        viewing.sync(lambda it: delta(it, head=6, since=most))
        told = viewing.sync(lambda it: delta(it, head=6, since=most - back_s))
        assert told.fate is AnswerFate.TAKEN
        assert (viewing.replica.state.narrowed, viewing.replica.state.view_id) == (most, VIEW_ID)

    @pytest.mark.parametrize("since", [None, NOW, NOW + 8 * DAY_S - 1])
    @pytest.mark.parametrize("inventory", [True, False])
    def test_what_comes_back_into_it_is_told_anew(
        self, viewing: Device, since: int | None, *, inventory: bool
    ) -> None:
        most = NOW + 10 * DAY_S
        viewing.replica.on_push(push(7, put("a", b"A", date=most)))
        viewing.sync(lambda it: delta(it, head=7, since=most))
        if inventory:
            viewing.start(View(since=NOW))
            viewing.sync(lambda it: compared(it, head=7, split=["1"], since=most))
            told = viewing.sync(lambda it: compared(it, head=8, drops=["a"], since=since))
        else:
            gone = change(8, "a")
            told = viewing.sync(lambda it: delta(it, head=8, changes=[gone], since=since))
        assert (told.fate, told.progress, told.happened) == (AnswerFate.VOID, True, ())
        assert viewing.replica.state.view_id > VIEW_ID + inventory
        view = View(since=NOW) if inventory else VIEW
        assert_begins_anew(viewing, view=view)

    def test_not_if_its_own_window_has_overtaken_it(self, viewing: Device) -> None:
        """A gateway that narrows nothing any more says nothing."""
        viewing.replica.on_push(push(7, put("b", b"B", date=NOW + 9 * DAY_S)))
        viewing.sync(lambda it: delta(it, head=7, since=NOW + DAY_S))
        viewing.replica.move_window(NOW + 9 * DAY_S)
        assert viewing.sync(lambda it: delta(it, head=7)).fate is AnswerFate.TAKEN
        assert viewing.replica.state.view_id == VIEW_ID
        assert viewing.replica.state.since == NOW + 9 * DAY_S
