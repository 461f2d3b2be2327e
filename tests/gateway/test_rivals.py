"""Two agents with one id, told by the view ids of their requests."""

from collections.abc import Iterable

from gateway.rivals import DEVICES_MAX, RIVALS_S, VIEW_IDS_MAX, Rivals

NOW = 1000.0


def asked(rivals: Rivals, view_ids: Iterable[int], *, now: float = NOW) -> list[bool]:
    return [rivals.asked("phone", "mail", each, now=now) for each in view_ids]


def test_one_agent_keeps_its_view_id() -> None:
    rivals = Rivals()
    assert asked(rivals, (1, 1, 1)) == [False] * 3
    assert not rivals.are_two("phone", now=NOW)


def test_a_device_that_begins_anew_is_one_agent() -> None:
    rivals = Rivals()
    assert asked(rivals, (1, 1, 2, 2, 3, 3)) == [False] * 6
    assert not rivals.are_two("phone", now=NOW)


def test_a_view_id_that_comes_back_is_another_agents_and_told_once() -> None:
    rivals = Rivals()
    assert asked(rivals, (1, 2, 1, 2, 1)) == [False, False, True, False, False]
    assert rivals.are_two("phone", now=NOW)
    assert not rivals.are_two("tablet", now=NOW)
    assert rivals.devices(now=NOW) == ["phone"]


def test_three_agents_are_seen_too() -> None:
    assert any(asked(Rivals(), (1, 2, 3, 1, 2, 3)))


def test_each_feed_has_view_ids_of_its_own_and_the_device_one_warning() -> None:
    rivals = Rivals()
    told = [
        rivals.asked("phone", feed, view_id, now=NOW)
        for view_id in (1, 2, 1)
        for feed in ("mail", "work")
    ]
    assert told == [False, False, False, False, True, False]
    assert rivals.devices(now=NOW) == ["phone"]


def test_all_whose_id_two_agents_use_are_named() -> None:
    rivals = Rivals()
    for device in ("tablet", "one agent", "phone"):
        for view_id in (1, 2, 3) if device == "one agent" else (1, 2, 1):
            rivals.asked(device, "mail", view_id, now=NOW)
    assert rivals.devices(now=NOW) == ["phone", "tablet"]
    assert rivals.devices(now=NOW + RIVALS_S) == []


def test_it_is_over_when_no_other_has_asked_for_long() -> None:
    rivals = Rivals()
    asked(rivals, (1, 2, 1))
    asked(rivals, (1,), now=NOW + RIVALS_S - 1)
    assert rivals.are_two("phone", now=NOW + RIVALS_S - 1)
    assert not rivals.are_two("phone", now=NOW + RIVALS_S)
    assert asked(rivals, (2,), now=NOW + RIVALS_S) == [True]


def test_few_view_ids_are_remembered() -> None:
    rivals = Rivals()
    newer = range(2, 2 + VIEW_IDS_MAX)
    assert not any(asked(rivals, (1, *newer, 100, 1)))
    assert any(asked(rivals, (100,)))


def test_few_devices_are_remembered() -> None:
    rivals = Rivals()
    asked(rivals, (1, 2, 1))
    for number in range(DEVICES_MAX - 1):
        rivals.asked(f"other-{number}", "mail", 1, now=NOW)
    assert rivals.are_two("phone", now=NOW)
    rivals.asked("one more", "mail", 1, now=NOW)
    assert not rivals.are_two("phone", now=NOW)


def test_a_removed_device_is_forgotten() -> None:
    rivals = Rivals()
    asked(rivals, (1, 2, 1))
    rivals.forget("phone")
    rivals.forget("stranger")
    assert not rivals.are_two("phone", now=NOW)
