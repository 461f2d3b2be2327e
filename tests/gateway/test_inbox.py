"""The inbox: order, replacement, fairness and bounds."""

import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.inbox import (
    FLOODS_MAX,
    REQUESTS_MAX,
    REQUESTS_PER_DEVICE_MAX,
    STATUSES_MAX,
    Inbox,
    Waiting,
    WaitingFlood,
    WaitingRequest,
    WaitingStatus,
)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def rest(inbox: Inbox) -> Iterator[Waiting]:
    inbox.close()
    while (waiting := inbox.take()) is not None:
        yield waiting


def test_statuses_and_requests_take_turns_each_in_order(inbox: Inbox) -> None:
    assert inbox.put_request(WaitingRequest("b", "mail", b"1")) == "taken"
    assert inbox.put_request(WaitingRequest("a", "mail", b"2")) == "taken"
    assert inbox.put_status("z", b"online")
    assert inbox.put_request(WaitingRequest("b", "tasks", b"3")) == "taken"
    assert inbox.put_status("a", b"online")
    assert list(rest(inbox)) == [
        WaitingStatus("z", b"online"),
        WaitingRequest("b", "mail", b"1"),
        WaitingStatus("a", b"online"),
        WaitingRequest("a", "mail", b"2"),
        WaitingRequest("b", "tasks", b"3"),
    ]


def test_what_is_newer_replaces_what_waits_in_its_place(inbox: Inbox) -> None:
    inbox.put_request(WaitingRequest("a", "mail", b"old"))
    inbox.put_request(WaitingRequest("b", "mail", b"other"))
    assert inbox.put_request(WaitingRequest("a", "mail", b"new")) == "replaced"
    inbox.put_status("a", b"online")
    inbox.put_status("b", b"online")
    assert inbox.put_status("a", b"offline")
    assert list(rest(inbox)) == [
        WaitingStatus("a", b"offline"),
        WaitingRequest("a", "mail", b"new"),
        WaitingStatus("b", b"online"),
        WaitingRequest("b", "mail", b"other"),
    ]


def test_after_its_turn_a_replica_queues_up_behind_the_others(inbox: Inbox) -> None:
    inbox.put_request(WaitingRequest("a", "mail", b"1"))
    inbox.put_request(WaitingRequest("b", "mail", b"2"))
    assert inbox.take() == WaitingRequest("a", "mail", b"1")
    assert inbox.put_request(WaitingRequest("a", "mail", b"3")) == "taken"
    assert list(rest(inbox)) == [
        WaitingRequest("b", "mail", b"2"),
        WaitingRequest("a", "mail", b"3"),
    ]


def test_a_flood_leaves_another_device_second_in_line(inbox: Inbox) -> None:
    for number in range(10_000):
        inbox.put_request(WaitingRequest("eve", "mail", b"%d" % number))
    assert inbox.put_request(WaitingRequest("phone", "mail", b"please")) == "taken"
    assert list(rest(inbox)) == [
        WaitingRequest("eve", "mail", b"9999"),
        WaitingRequest("phone", "mail", b"please"),
    ]


def test_requests_are_bounded_and_leave_statuses_their_room(inbox: Inbox) -> None:
    for number in range(REQUESTS_MAX):
        assert inbox.put_request(WaitingRequest(f"device{number}", "mail", b"")) == "taken"
    assert inbox.put_request(WaitingRequest("phone", "mail", b"")) == "full"
    assert inbox.put_request(WaitingRequest("device0", "mail", b"new")) == "replaced"
    assert inbox.put_status("phone", b"online")
    assert inbox.take() == WaitingStatus("phone", b"online")
    assert inbox.take() == WaitingRequest("device0", "mail", b"new")
    assert inbox.put_request(WaitingRequest("phone", "mail", b"")) == "taken"
    assert len(list(rest(inbox))) == REQUESTS_MAX


def test_one_device_with_many_feeds_leaves_the_others_their_room(inbox: Inbox) -> None:
    for number in range(REQUESTS_PER_DEVICE_MAX):
        assert inbox.put_request(WaitingRequest("eve", f"feed{number}", b"")) == "taken"
    assert inbox.put_request(WaitingRequest("eve", "one-more", b"")) == "full"
    assert inbox.put_request(WaitingRequest("phone", "mail", b"")) == "taken"
    assert inbox.take() == WaitingRequest("eve", "feed0", b"")
    assert inbox.put_request(WaitingRequest("eve", "one-more", b"")) == "taken"


def test_devices_take_turns_whatever_each_has_waiting(inbox: Inbox) -> None:
    for number in range(3):
        inbox.put_request(WaitingRequest("eve", f"feed{number}", b""))
    inbox.put_request(WaitingRequest("phone", "mail", b""))
    inbox.put_request(WaitingRequest("tablet", "mail", b""))
    inbox.put_request(WaitingRequest("phone", "tasks", b""))
    assert list(rest(inbox)) == [
        WaitingRequest("eve", "feed0", b""),
        WaitingRequest("phone", "mail", b""),
        WaitingRequest("tablet", "mail", b""),
        WaitingRequest("eve", "feed1", b""),
        WaitingRequest("phone", "tasks", b""),
        WaitingRequest("eve", "feed2", b""),
    ]


def test_who_is_to_be_shut_out_waits_for_nobody(inbox: Inbox) -> None:
    inbox.put_status("phone", b"online")
    inbox.put_request(WaitingRequest("phone", "mail", b""))
    inbox.put_flood(WaitingFlood("eve", 60.0))
    assert inbox.take() == WaitingFlood("eve", 60.0)
    assert len(list(rest(inbox))) == 2
    inbox.put_flood(WaitingFlood("eve", 60.0))  # closed
    assert inbox.take() is None


def test_of_many_floods_at_once_some_are_remembered(inbox: Inbox) -> None:
    for number in range(FLOODS_MAX + 1):
        inbox.put_flood(WaitingFlood(f"device{number}", 60.0))
    assert len(list(rest(inbox))) == FLOODS_MAX


def test_a_flood_of_statuses_starves_no_request(inbox: Inbox) -> None:
    inbox.put_request(WaitingRequest("phone", "mail", b"please"))
    taken = []
    for _ in range(3):
        inbox.put_status("eve", b"online")
        taken.append(inbox.take())
    assert WaitingRequest("phone", "mail", b"please") in taken


def test_statuses_are_bounded_and_leave_requests_their_room(inbox: Inbox) -> None:
    for number in range(STATUSES_MAX):
        assert inbox.put_status(f"device{number}", b"online")
    assert not inbox.put_status("phone", b"online")
    assert inbox.put_status("device0", b"offline")
    assert inbox.put_request(WaitingRequest("phone", "mail", b"")) == "taken"
    assert inbox.take() == WaitingStatus("device0", b"offline")
    assert inbox.put_status("phone", b"online")
    assert len(list(rest(inbox))) == STATUSES_MAX + 1


def test_once_closed_it_ends_after_what_waits_and_takes_nothing_in(inbox: Inbox) -> None:
    inbox.put_request(WaitingRequest("a", "mail", b"1"))
    inbox.close()
    inbox.close()
    assert not inbox.put_status("a", b"online")
    assert inbox.put_request(WaitingRequest("a", "mail", b"2")) == "full"
    assert inbox.take() == WaitingRequest("a", "mail", b"1")
    assert inbox.take() is None
    assert inbox.take() is None


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda it: it.put_status("a", b"online"), WaitingStatus("a", b"online")),
        (
            lambda it: it.put_request(WaitingRequest("a", "mail", b"1")),
            WaitingRequest("a", "mail", b"1"),
        ),
        (lambda it: it.put_flood(WaitingFlood("a", 1.0)), WaitingFlood("a", 1.0)),
        (Inbox.close, None),
    ],
    ids=["status", "request", "flood", "close"],
)
def test_a_blocked_take_is_woken(
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Inbox], object],
    expected: Waiting | None,
) -> None:
    is_waiting = threading.Event()
    wait = threading.Condition.wait

    def told_wait(condition: threading.Condition, timeout: float | None = None) -> bool:
        # Its lock is still held: whoever acts now is let in by the wait only.
        if threading.current_thread() is taker:
            is_waiting.set()
        return wait(condition, timeout)

    taken: list[Waiting | None] = []
    taker = threading.Thread(target=lambda: taken.append(inbox.take()), daemon=True)
    monkeypatch.setattr(threading.Condition, "wait", told_wait)
    taker.start()
    assert is_waiting.wait(60)
    act(inbox)
    taker.join(60)
    assert taken == [expected]


def test_nothing_is_lost_between_threads(inbox: Inbox) -> None:
    def put(device: str) -> None:
        for number in range(200):
            assert inbox.put_request(WaitingRequest(f"{device}-{number}", "mail", b"")) == "taken"

    putters = [threading.Thread(target=put, args=(f"device{it}",)) for it in range(4)]
    for putter in putters:
        putter.start()
    taken = [inbox.take() for _ in range(4 * 200)]
    for putter in putters:
        putter.join()
    assert len(set(taken)) == 4 * 200
    assert list(rest(inbox)) == []
