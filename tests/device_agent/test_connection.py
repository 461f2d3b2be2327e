"""What an agent knows and says of its connection."""

import logging
from collections import Counter

import pytest

from device_agent import SyncFailedError, events
from device_agent.connection import Connection

REFUSED = events.Refused("Not authorized", lasting=False)


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


@pytest.fixture
def connection(counts: Counter[str]) -> Connection:
    return Connection("phone", ("::1", 1883), refusals_max=3, counts=counts)


def test_what_may_keep_a_sync_from_being_done(connection: Connection) -> None:
    broker = "the broker at [::1]:1883"
    assert connection.hindrance == f"no connection to {broker}: the broker has not answered yet"
    was_up = [connection.is_up]
    connection.take(events.Connected())
    was_up.append(connection.is_up)
    assert connection.hindrance == f"is a gateway connected to {broker}?"
    connection.take(events.Lost("the broker closed it", rival=False))
    assert connection.hindrance == f"no connection to {broker}: the broker closed it"
    was_up.append(connection.is_up)
    assert was_up == [False, True, False]
    connection.take(events.Unreachable("no route"))
    assert connection.hindrance.endswith(": no route")
    connection.take(events.Lost("", rival=True))
    assert "another" in connection.hindrance


def test_it_is_given_up_when_it_was_refused_often_in_a_row(
    connection: Connection, counts: Counter[str]
) -> None:
    for event in (REFUSED, REFUSED, events.Connected(), REFUSED, REFUSED):
        connection.take(event)
    with pytest.raises(SyncFailedError, match=r"refuses device phone: Not auth") as refused:
        connection.take(REFUSED)
    assert "gateway device rotate" in str(refused.value)
    assert "device-agent enroll" in str(refused.value)
    assert counts["logins refused"] == 5


def test_it_is_given_up_at_once_when_that_will_not_change(connection: Connection) -> None:
    with pytest.raises(SyncFailedError, match="it may not subscribe"):
        connection.take(events.Refused("it may not subscribe to x", lasting=True))


def test_the_log_says_once_what_goes_on(
    connection: Connection, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for event in [events.Unreachable("no route")] * 3 + [events.Lost("", rival=True)] * 3:
        connection.take(event)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert counts == {"connects failed": 3, "connections lost to another agent": 3}
    connection.take(events.Connected())
    connection.take(events.Lost("gone", rival=False))
    assert [record.levelname for record in caplog.records[2:]] == ["INFO", "WARNING"]
