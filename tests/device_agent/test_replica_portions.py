"""Contents that come in part: left so, or completed from the byte that is held on (D6, A2)."""

import pytest

from device_agent.replica import FETCHES_MAX, completes_up_to
from device_agent.results import Event, Happened
from sync_protocol.messages import Remainder, Wanted
from sync_protocol.views import View
from tests.device_agent.builders import change, compared, delta, digest, push, put
from tests.device_agent.one_device import Device, remainder

LARGE = b"0123456789"
SMALL = b"0123"
MOST = len(SMALL)


@pytest.fixture
def partly(device: Device) -> Device:
    """With a large item and a small one, of each of which two bytes are here."""
    device.start(remainder_bytes_max=MOST).filled()
    device.replica.on_push(push(6, put("large", LARGE, held=2)))
    device.replica.on_push(push(7, put("small", SMALL, held=2)))
    return device


def wanted(device: Device) -> list[tuple[str, int]]:
    """What a request asks for; it names the digest and just the bytes that are held."""
    asked = device.ask().wanted
    for each in asked:
        item = device.item(each.id)
        held = len(device.content(each.id))
        assert each == Wanted(id=item.id, digest=item.digest, offset=held)
        assert held == item.held_bytes
    return [(each.id, each.offset) for each in asked]


class TestPortion:
    def test_d6_it_is_shown_as_a_part(self, partly: Device) -> None:
        item = partly.item("large")
        assert (item.whole, item.held_bytes, item.size) == (False, 2, len(LARGE))
        assert partly.content("large") == LARGE[:2]

    def test_only_up_to_a_size_the_rest_comes_by_itself(self, partly: Device) -> None:
        assert partly.replica.needs_sync()
        assert wanted(partly) == [("small", 2)]
        rest = [remainder("small", SMALL, 2)]
        told = partly.sync(lambda it: delta(it, head=7, remainders=rest))
        assert told.happened == (Happened(Event.COMPLETED, "small", 7),)
        assert not partly.replica.needs_sync()
        assert wanted(partly) == []

    def test_none_comes_by_itself_if_none_is_to(self, partly: Device) -> None:
        partly.start(remainder_bytes_max=0)
        assert not partly.replica.needs_sync()
        assert wanted(partly) == []

    def test_all_come_by_themselves_without_a_limit(self, partly: Device) -> None:
        partly.start(remainder_bytes_max=None)
        assert wanted(partly) == [("small", 2), ("large", 2)]

    @pytest.mark.parametrize("remainder_bytes_max", [0, 1, 3])
    def test_d6_what_is_no_larger_than_a_portion_is_completed(
        self, device: Device, remainder_bytes_max: int
    ) -> None:
        """A push may bring less of it than an answer would (V6)."""
        view = View(portion_bytes=MOST)
        device.start(view, remainder_bytes_max=remainder_bytes_max).filled()
        device.replica.on_push(push(6, put("large", LARGE, held=2)))
        device.replica.on_push(push(7, put("small", SMALL, held=2)))
        device.replica.on_push(push(8, put("larger", SMALL + b"4", held=2)))
        assert device.replica.needs_sync()
        assert wanted(device) == [("small", 2)]
        rest = [remainder("small", SMALL, 2)]
        device.sync(lambda it: delta(it, head=8, remainders=rest))
        assert device.item("small").whole
        assert not device.replica.needs_sync()

    @pytest.mark.parametrize(
        ("portion_bytes", "remainder_bytes_max", "most"),
        [(None, None, None), (9, None, None), (None, 3, 3), (0, 3, 3), (4, 3, 4), (2, 3, 3)],
    )
    def test_d6_up_to_which_size(
        self, portion_bytes: int | None, remainder_bytes_max: int | None, most: int | None
    ) -> None:
        assert completes_up_to(View(portion_bytes=portion_bytes), remainder_bytes_max) == most


class TestFetch:
    def test_it_is_wanted_from_the_byte_that_is_held(self, partly: Device) -> None:
        assert partly.replica.fetch("large")
        assert partly.item("large").is_fetched
        assert wanted(partly) == [("large", 2), ("small", 2)], "what somebody waits for comes first"
        rest = [remainder("large", LARGE, 2, 5)]
        partly.sync(lambda it: delta(it, head=7, remainders=rest))
        assert wanted(partly) == [("large", 5), ("small", 2)]
        rest = [remainder("large", LARGE, 5)]
        told = partly.sync(lambda it: delta(it, head=7, remainders=rest))
        assert told.happened == (Happened(Event.COMPLETED, "large", 6),)
        assert partly.content("large") == LARGE

    def test_of_nothing(self, partly: Device) -> None:
        assert not partly.replica.fetch("never there")

    def test_the_mark_and_the_bytes_last_over_a_restart(self, partly: Device) -> None:
        partly.replica.fetch("large")
        rest = [remainder("large", LARGE, 2, 5)]
        partly.sync(lambda it: delta(it, head=7, remainders=rest))
        partly.start(remainder_bytes_max=0)
        assert partly.replica.needs_sync()
        assert wanted(partly) == [("large", 5)]

    def test_another_content_drops_the_mark_and_the_part(self, partly: Device) -> None:
        partly.replica.fetch("large")
        partly.replica.on_push(push(8, put("large", LARGE[::-1], held=3)))
        item = partly.item("large")
        assert (item.is_fetched, item.held_bytes, item.whole) == (False, 3, False)
        assert partly.content("large") == LARGE[::-1][:3]
        assert wanted(partly) == [("small", 2)]
        partly.replica.fetch("large")
        late = Remainder(id="large", digest=digest(LARGE), offset=3, content=LARGE[3:])
        partly.sync(lambda it: delta(it, head=8, remainders=[late]))
        assert wanted(partly) == [("large", 3), ("small", 2)], "the old rest does not fit"
        rest = [remainder("large", LARGE[::-1], 3)]
        partly.sync(lambda it: delta(it, head=8, remainders=rest))
        assert partly.content("large") == LARGE[::-1]

    @pytest.mark.parametrize("held", [0, 1])
    def test_another_state_of_the_same_content_drops_neither(
        self, partly: Device, held: int
    ) -> None:
        partly.replica.fetch("large")
        partly.replica.on_push(push(8, put("large", LARGE, held=held, flags=("$seen",))))
        assert partly.item("large").flags == ("$seen",)
        assert wanted(partly) == [("large", 2), ("small", 2)]

    def test_nor_does_an_inventory(self, partly: Device) -> None:
        partly.replica.fetch("large")
        partly.replica.move_window(0)
        partly.replica.move_window(None)
        moved = put("large", LARGE, held=0, folder="Elsewhere")
        partly.sync(lambda it: compared(it, head=8, puts=[moved]))
        assert (partly.item("large").folder, partly.item("large").is_fetched) == ("Elsewhere", True)
        # Both have lost their tokens, so it is by id.
        assert wanted(partly) == [("large", 2), ("small", 2)]

    def test_what_falls_out_of_the_window_is_not_wanted(self, partly: Device) -> None:
        partly.replica.on_push(push(8, put("old", LARGE, held=2, date=5)))
        partly.replica.fetch("old")
        partly.replica.move_window(6)
        assert wanted(partly) == [("small", 2)]


class TestWithheld:
    """G4: the gateway cannot give the rest."""

    @pytest.fixture
    def withheld(self, partly: Device) -> Device:
        partly.replica.fetch("large")
        partly.sync(lambda it: delta(it, head=7, withheld=["large"]))
        return partly

    def test_it_is_noted_and_the_mark_stays(self, withheld: Device) -> None:
        item = withheld.item("large")
        assert (item.is_withheld, item.is_fetched, item.held_bytes) == (True, True, 2)
        assert wanted(withheld) == [("small", 2)]

    def test_who_asks_again_has_it_wanted_again(self, withheld: Device) -> None:
        withheld.replica.fetch("large")
        assert not withheld.item("large").is_withheld
        withheld.replica.try_again()
        assert wanted(withheld) == [("large", 2), ("small", 2)]

    def test_a_rest_that_comes_ends_it(self, withheld: Device) -> None:
        withheld.replica.try_again()
        rest = [remainder("large", LARGE, 2, 4)]
        withheld.sync(lambda it: delta(it, head=7, remainders=rest))
        assert not withheld.item("large").is_withheld

    def test_a_change_ends_it(self, withheld: Device) -> None:
        seen = change(8, put("large", LARGE, held=0, flags=("$seen",)))
        withheld.sync(lambda it: delta(it, head=8, changes=[seen]))
        assert not withheld.item("large").is_withheld
        assert wanted(withheld) == [("large", 2), ("small", 2)]

    def test_who_asks_has_what_did_not_fit_wanted_again(self, partly: Device) -> None:
        for _ in range(FETCHES_MAX):
            offset = partly.item("small").held_bytes
            wrong = Remainder(
                id="small", digest=digest(SMALL), offset=offset, content=b"XXXX"[offset:]
            )
            partly.sync(lambda it, wrong=wrong: delta(it, head=7, remainders=[wrong]))  # type: ignore[misc]
        assert wanted(partly) == []
        partly.replica.try_again()
        assert wanted(partly) == [("small", 0)]
