"""The accounts at a broker follow the devices; the plugin is one of our own, in memory."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway import broker_accounts
from gateway.broker_accounts import (
    LISTED_MAX,
    AccountError,
    AccountTakenError,
    NotConnectedError,
)
from gateway.control import ANSWERS_MAX, ControlTopic
from gateway.counters import Counters
from gateway.dynamic_security import DynamicSecurity
from sync_protocol.topics import Topics
from tests.eventually import eventually
from tests.gateway.fake_plugin import FakePlugin

SECRET = "the secret of this test"


class Broker:
    """A gateway's side of its accounts, and the plugin."""

    def __init__(self, *, answer_s_max: float = 10.0) -> None:
        self.enrolled: dict[str, list[str]] = {}
        self.unsettled: set[str] = set()
        self.counters = Counters()
        self.one_at_a_time = threading.Lock()
        self.thrown_out: list[str] = []
        self.control = ControlTopic(answer_s_max=answer_s_max)
        self.plugin = FakePlugin(self.control)
        self.accounts = DynamicSecurity(
            self.control,
            topics=Topics(),
            enrolled=lambda: self.enrolled,
            unsettled=lambda: frozenset(self.unsettled),
            on_settled=self.unsettled.difference_update,
            one_at_a_time=self.one_at_a_time,
            counters=self.counters,
            on_thrown_out=self.thrown_out.append,
            retry_s=0.05,
        )

    def add(self, device: str) -> None:
        with self.one_at_a_time:
            self.accounts.check_free(device, may_be_left=device in self.unsettled)
            self.accounts.set_up(device, ["f"], SECRET)
            self.unsettled.discard(device)
            self.enrolled[device] = ["f"]

    def leave(self, *devices: str) -> None:
        """Have accounts of devices that are not enrolled."""
        with self.one_at_a_time:
            for device in devices:
                self.accounts.set_up(device, ["f"], "theirs")
        self.accounts.recheck()


@pytest.fixture
def make() -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(**options: float) -> Broker:
        made.append(Broker(**options))
        made[-1].accounts.start()
        return made[-1]

    yield make
    for broker in made:
        broker.control.closed()
        broker.accounts.close()


@pytest.fixture
def broker(make: Callable[..., Broker]) -> Broker:
    broker = make()
    broker.plugin.connect()
    return broker


def test_set_up_and_removed(broker: Broker) -> None:
    broker.add("phone")
    assert broker.plugin.clients["phone"]["password"] == SECRET
    assert list(broker.plugin.roles) == ["device-phone"]
    del broker.enrolled["phone"]
    assert broker.accounts.removed("phone")
    assert (broker.plugin.clients, broker.plugin.roles) == ({}, {})
    assert broker.thrown_out == ["phone", "phone"]
    assert broker.accounts.removed("phone")  # what is gone is gone


def test_set_up_anew_it_is_thrown_out(broker: Broker) -> None:
    broker.add("phone")
    assert broker.plugin.kicked == []
    broker.accounts.set_up("phone", ["f", "g"], "another")
    assert broker.plugin.kicked == ["phone"]
    assert broker.thrown_out == ["phone", "phone"]
    assert broker.plugin.clients["phone"]["password"] == "another"
    assert "sync/v1/phone/g/request" in json.dumps(broker.plugin.roles)


def test_an_account_of_somebody_else_is_not_taken(broker: Broker) -> None:
    broker.plugin.roles["reader"] = []
    theirs = {"username": "grafana", "password": "theirs", "roles": [{"rolename": "reader"}]}
    broker.plugin.clients["grafana"] = theirs
    with pytest.raises(AccountTakenError, match="'grafana' that is no device's"):
        broker.add("grafana")
    assert broker.plugin.clients["grafana"] == theirs


def test_a_device_of_another_gateway_is_not_taken(broker: Broker) -> None:
    other = broker_accounts.set_up(Topics("office/v1"), "phone", ["f"], "theirs")
    broker.control.ask(other)
    with pytest.raises(AccountTakenError, match="no device's of this gateway"):
        broker.add("phone")
    assert broker.plugin.clients["phone"]["password"] == "theirs"
    assert "office/v1/phone/f/request" in json.dumps(broker.plugin.roles)


def test_what_a_crash_left_is_taken_over(broker: Broker) -> None:
    with broker.one_at_a_time:  # so that it is not found before
        broker.accounts.set_up("phone", ["f"], "never shown")
        broker.accounts.check_free("phone", may_be_left=True)
        broker.accounts.set_up("phone", ["f"], SECRET)
    assert broker.plugin.clients["phone"]["password"] == SECRET


def test_at_each_connect_who_was_removed_goes(broker: Broker) -> None:
    for device in ("phone", "tablet"):
        broker.add(device)
    broker.control.closed()
    del broker.enrolled["phone"]
    broker.unsettled.add("phone")
    assert not broker.accounts.removed("phone")
    broker.plugin.connect()
    assert eventually(lambda: list(broker.plugin.clients) == ["tablet"])
    assert eventually(lambda: broker.counters.read().get("accounts of no device taken away") == 1)
    assert broker.unsettled == set()


def test_strangers_stay_and_are_told(broker: Broker) -> None:
    broker.unsettled.add("gone")
    broker.leave("phone", "tablet", "gone")
    assert eventually(lambda: "gone" not in broker.plugin.clients)
    assert eventually(broker.accounts.problems)
    (problem,) = broker.accounts.problems()
    assert "accounts of 2 devices that are not enrolled here (phone, tablet)" in problem
    assert {"phone", "tablet"} <= broker.plugin.clients.keys()
    assert "device-phone" in broker.plugin.roles


def test_a_stranger_is_not_taken_and_can_be_removed(broker: Broker) -> None:
    broker.leave("phone")
    with pytest.raises(AccountTakenError, match="'gateway device remove phone'"):
        broker.add("phone")
    assert broker.plugin.clients["phone"]["password"] == "theirs"
    assert eventually(broker.accounts.problems)
    assert broker.accounts.is_stranger("phone")
    assert not broker.accounts.is_stranger("tablet")
    assert broker.accounts.removed("phone")
    assert broker.accounts.problems() == []  # at once
    assert (broker.plugin.clients, broker.plugin.roles) == ({}, {})
    broker.add("phone")


def test_what_the_plugin_did_not_answer_is_not_settled(make: Callable[..., Broker]) -> None:
    broker = make(answer_s_max=0.05)
    broker.plugin.connect()
    broker.leave("phone")
    assert eventually(broker.accounts.problems)
    broker.plugin.is_silent = True
    broker.unsettled.add("phone")
    broker.accounts.recheck()
    assert eventually(lambda: broker.counters.read().get("broker accounts not set right"))
    assert broker.unsettled == {"phone"}
    broker.plugin.is_silent = False
    assert eventually(lambda: not broker.unsettled)
    assert not broker.plugin.clients
    assert eventually(lambda: broker.accounts.problems() == [])


def test_who_has_no_account_is_told(broker: Broker) -> None:
    broker.add("phone")
    broker.plugin.clients.clear()
    broker.accounts.recheck()
    assert eventually(lambda: broker.accounts.without_account() == ["phone"])
    broker.accounts.set_up("phone", ["f"], SECRET)
    assert broker.accounts.without_account() == []


def test_more_than_a_page(broker: Broker) -> None:
    with broker.one_at_a_time:
        for number in range(45):
            broker.accounts.set_up(f"d{number}", ["f"], SECRET)
            broker.unsettled.add(f"d{number}")
    broker.accounts.recheck()
    assert eventually(lambda: not broker.plugin.roles)
    assert not broker.plugin.clients


def test_lists_without_an_end_are_not_read(broker: Broker) -> None:
    with broker.one_at_a_time:
        for number in range(LISTED_MAX + 1):
            broker.plugin.clients[f"x{number}"] = {"username": f"x{number}", "roles": []}
    broker.accounts.recheck()
    assert eventually(broker.accounts.problems)
    (problem,) = broker.accounts.problems()
    assert f"more than {LISTED_MAX} accounts" in problem


def test_shut_out_for_a_time(broker: Broker) -> None:
    broker.add("phone")
    broker.accounts.shut_out("phone", 0.2)
    assert eventually(lambda: broker.plugin.clients["phone"].get("disabled"))
    assert broker.plugin.kicked == ["phone"]
    assert eventually(lambda: broker.thrown_out == ["phone", "phone"])
    assert 0 < broker.accounts.shut_out_s("phone") <= 0.2
    assert eventually(lambda: not broker.plugin.clients["phone"].get("disabled"))
    assert broker.accounts.shut_out_s("phone") == 0


def test_whoever_has_the_next_secret_is_not_shut_out(broker: Broker) -> None:
    broker.add("phone")
    broker.accounts.shut_out("phone", 3_600)
    assert eventually(lambda: broker.plugin.clients["phone"].get("disabled"))
    with broker.one_at_a_time:
        broker.accounts.set_up("phone", ["f"], "another")
    assert broker.accounts.shut_out_s("phone") == 0
    assert eventually(lambda: not broker.plugin.clients["phone"].get("disabled"))


def test_a_shut_out_that_was_not_answered_is_told_again(make: Callable[..., Broker]) -> None:
    broker = make(answer_s_max=0.05)
    broker.plugin.connect()
    broker.add("phone")
    broker.plugin.is_silent = True
    broker.accounts.shut_out("phone", 3_600)
    assert eventually(broker.accounts.problems)
    del broker.plugin.clients["phone"]["disabled"]  # it had not done it
    broker.plugin.is_silent = False
    assert eventually(lambda: broker.plugin.clients["phone"].get("disabled"))
    assert eventually(lambda: broker.thrown_out == ["phone", "phone"])


def test_a_shut_out_without_the_broker_is_told_when_that_is_back(broker: Broker) -> None:
    broker.add("phone")
    tried = threading.Event()

    def lost(_payload: bytes) -> bool:
        tried.set()
        return False

    broker.control.opened(lost)
    broker.accounts.shut_out("phone", 3_600)
    assert tried.wait(10)
    broker.plugin.connect()
    assert eventually(lambda: broker.plugin.clients["phone"].get("disabled"))


def test_who_is_enrolled_anew_is_not_shut_out_for_the_one_before() -> None:
    broker = Broker()
    broker.plugin.connect()
    broker.add("phone")
    broker.add("tablet")
    for device in ("phone", "tablet"):
        broker.accounts.shut_out(device, 3_600)
    broker.accounts.removed("phone")
    broker.add("phone")
    broker.plugin.kicked.clear()
    broker.accounts.start()
    assert eventually(lambda: broker.plugin.kicked)
    broker.control.closed()
    broker.accounts.close()
    assert broker.plugin.kicked == ["tablet"]


def test_a_shut_out_outlasts_the_connection(broker: Broker) -> None:
    broker.add("phone")
    broker.accounts.shut_out("phone", 3600)
    assert eventually(lambda: broker.plugin.clients["phone"].get("disabled"))
    broker.control.closed()
    broker.unsettled.add("gone")
    broker.plugin.clients["gone"] = {"username": "gone", "roles": [{"rolename": "device-gone"}]}
    broker.plugin.roles["device-gone"] = []
    broker.plugin.connect()
    assert eventually(lambda: "gone" not in broker.plugin.clients)  # they were compared
    assert eventually(lambda: "gone" in broker.thrown_out)
    assert broker.plugin.clients["phone"]["disabled"]
    # Who is enrolled anew is another.
    del broker.enrolled["phone"]
    broker.accounts.removed("phone")
    assert broker.accounts.shut_out_s("phone") == 0


class TestConnection:
    def test_without_one_nothing_is_done(self, make: Callable[..., Broker]) -> None:
        broker = make()
        with pytest.raises(NotConnectedError, match="nothing was changed: 'gateway status'"):
            broker.add("phone")
        assert broker.plugin.clients == {}
        assert broker.accounts.problems() == []  # that of the connection is told already

    def test_no_answer_in_time(self, make: Callable[..., Broker]) -> None:
        broker = make(answer_s_max=0.05)
        broker.plugin.connect()
        broker.plugin.is_silent = True
        broker.unsettled.add("phone")
        with pytest.raises(AccountError, match=r"did not answer within 0\.05 s"):
            broker.accounts.set_up("phone", ["f"], SECRET)
        assert eventually(broker.accounts.problems)
        # What of that was done is undone, once the plugin answers again.
        broker.plugin.is_silent = False
        assert eventually(lambda: not broker.plugin.clients)
        assert eventually(lambda: broker.accounts.problems() == [])

    def test_lost_before_the_answer(self, make: Callable[..., Broker]) -> None:
        broker = make()
        asked = threading.Event()

        def lose(_payload: bytes) -> bool:
            if not asked.is_set():
                asked.set()
                broker.control.closed()
            return True

        broker.control.opened(lose)
        with pytest.raises(AccountError, match=r"was lost before it answered|not connected"):
            broker.accounts.set_up("phone", ["f"], SECRET)

    def test_a_broker_that_does_not_let_us(self, make: Callable[..., Broker]) -> None:
        broker = make()
        broker.control.refused()
        with pytest.raises(AccountError, match='set broker_accounts = "by-hand"'):
            broker.add("phone")
        assert eventually(broker.accounts.problems)

    def test_answers_that_nobody_asked_for(self, broker: Broker) -> None:
        late = b'{"responses":[{"command":"x","error":"late","correlationData":"0"}]}'
        for _ in range(ANSWERS_MAX + 1):
            broker.control.received(late)
        broker.add("phone")
        assert "phone" in broker.plugin.clients
