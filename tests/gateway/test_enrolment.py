"""Devices come, change and go: at the broker and in the store, in the right order."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.broker_accounts import AccountError, AccountTakenError
from gateway.device import DeviceError, DeviceExistsError, NoSuchDeviceError
from gateway.enrolment import NAMED_MAX
from gateway.feed import NoSuchFeedError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.run import Running, running
from gateway.service import STORE_FILE, Service
from gateway.settings import load
from gateway.state_file import SqliteStore
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Probe
from tests.gateway.recorded_accounts import Recorded

FEED = "contacts"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(load(data_dir=tmp_path), unix_time=time.time)
    made.add_feed(FEED)
    yield made
    made.close()


@pytest.fixture
def accounts(service: Service) -> Recorded:
    made = Recorded(service)
    service.devices.accounts = made
    return made


def ids(service: Service) -> list[str]:
    return [device.id for device in service.devices.all()]


class TestOrder:
    def test_the_broker_first_when_one_comes_or_changes(
        self, service: Service, accounts: Recorded
    ) -> None:
        service.devices.add("phone", [FEED])
        service.devices.rotate("phone")
        assert accounts.asked == [
            ("set up", "phone", False),  # the store does not know of it yet
            ("set up", "phone", False),
            ("changed", "phone", False),
        ]

    def test_where_the_broker_refuses_nothing_is_changed(
        self, service: Service, accounts: Recorded
    ) -> None:
        secret = service.devices.add("phone", [FEED])
        accounts.refuses = True
        with pytest.raises(AccountError, match="nothing was changed"):
            service.devices.add("tablet", [FEED])
        with pytest.raises(AccountError, match="nothing was changed"):
            service.devices.rotate("phone")
        assert ids(service) == ["phone"]
        assert service.devices.authenticate("phone", secret)

    def test_one_that_goes_is_gone_whatever_the_broker_says(
        self, service: Service, accounts: Recorded
    ) -> None:
        service.devices.add("phone", [FEED])
        accounts.refuses = True
        assert not service.devices.remove("phone")
        assert ids(service) == []

    def test_what_must_be_refused_does_not_reach_the_broker(
        self, service: Service, accounts: Recorded
    ) -> None:
        secret = service.devices.add("phone", [FEED])
        service.add_feed("other")
        service.devices.add("lonely", ["other"])
        service.remove_feed("other")
        accounts.asked.clear()
        with pytest.raises(DeviceExistsError, match="gateway device rotate phone"):
            service.devices.add("phone", [FEED])
        with pytest.raises(NoSuchFeedError):
            service.devices.add("tablet", [FEED, "none"])
        with pytest.raises(DeviceError):
            service.devices.add("tablet", [])
        with pytest.raises(NoSuchDeviceError):
            service.devices.rotate("tablet")
        with pytest.raises(DeviceError, match="at least one feed"):
            service.devices.rotate("lonely")
        with pytest.raises(NoSuchDeviceError):
            service.devices.remove("tablet")
        assert accounts.asked == []
        assert service.devices.authenticate("phone", secret)

    def test_what_the_store_refuses_is_undone_at_the_broker(
        self, service: Service, accounts: Recorded
    ) -> None:
        accounts.meanwhile = lambda: service.remove_feed(FEED)
        with pytest.raises(NoSuchFeedError):
            service.devices.add("phone", [FEED])
        assert [what for what, _, _ in accounts.asked] == ["set up", "removed"]
        assert ids(service) == []

    def test_what_the_store_cannot_keep_after_the_broker_took_it_is_told(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = service.devices.add("phone", [FEED])

        def fails(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(SqliteTransaction, "set_secret_hash", fails)
        with pytest.raises(StorageError, match=r"No space left.*rotate phone' again"):
            service.devices.rotate("phone")
        monkeypatch.undo()
        assert service.devices.authenticate("phone", secret)
        assert service.devices.rotate("phone") != secret


class TestUnsettled:
    """Accounts that the gateway has to take away outlast it."""

    @pytest.fixture
    def unsettled(self, tmp_path: Path) -> Iterator[Callable[[], frozenset[str]]]:
        with closing(SqliteStore(tmp_path / STORE_FILE)) as store:
            yield store.unsettled_accounts

    def test_one_that_comes_until_it_is_enrolled(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        seen: list[frozenset[str]] = []
        accounts.meanwhile = lambda: seen.append(unsettled())
        service.devices.add("phone", [FEED])
        assert seen == [{"phone"}]  # should the gateway be killed now, it is taken away
        assert unsettled() == frozenset()
        service.devices.rotate("phone")
        assert seen[1:] == [frozenset()]  # and an enrolled one never

    def test_one_that_the_store_refuses_until_the_broker_confirms(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        accounts.meanwhile = lambda: service.remove_feed(FEED)
        with pytest.raises(NoSuchFeedError):
            service.devices.add("phone", [FEED])
        assert unsettled() == frozenset()

        def refuse() -> None:
            service.remove_feed(FEED)
            accounts.refuses = True

        service.add_feed(FEED)
        accounts.meanwhile = refuse
        with pytest.raises(NoSuchFeedError):
            service.devices.add("phone", [FEED])
        assert unsettled() == {"phone"}

    def test_one_that_the_broker_refuses_may_be_there(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        accounts.refuses = True
        with pytest.raises(AccountError):
            service.devices.add("phone", [FEED])
        assert unsettled() == {"phone"}
        accounts.refuses, accounts.strangers = False, {"phone"}
        service.devices.add("phone", [FEED])  # what we left there is ours
        assert unsettled() == frozenset()

    def test_one_that_goes_until_the_broker_confirms(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        for device in ("phone", "tablet"):
            service.devices.add(device, [FEED])
        assert service.devices.remove("phone")
        assert unsettled() == frozenset()
        accounts.refuses = True
        service.devices.remove("tablet")
        assert unsettled() == {"tablet"}
        service.devices.settled({"tablet"})
        assert unsettled() == frozenset()

    def test_a_stranger_is_refused_until_it_is_removed(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        accounts.strangers = {"phone"}
        with pytest.raises(AccountTakenError, match="gateway device remove phone"):
            service.devices.add("phone", [FEED])
        assert unsettled() == frozenset()  # so nothing takes it away
        assert accounts.asked == []
        accounts.refuses = True
        assert not service.devices.remove("phone")
        assert accounts.asked == [("removed", "phone", False)]
        assert unsettled() == {"phone"}
        with pytest.raises(NoSuchDeviceError):
            service.devices.remove("tablet")

    def test_where_others_make_the_accounts_nothing_is(
        self,
        service: Service,
        unsettled: Callable[[], frozenset[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        service.devices.add("phone", [FEED])
        service.devices.remove("phone")
        with pytest.raises(NoSuchDeviceError):
            service.devices.remove("phone")
        assert unsettled() == frozenset()

        def fails(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(SqliteTransaction, "add_device", fails)
        with pytest.raises(StorageError, match="No space left"):
            service.devices.add("phone", [FEED])
        assert unsettled() == frozenset()

    def test_what_cannot_be_written_is_settled_later(
        self, service: Service, accounts: Recorded, unsettled: Callable[[], frozenset[str]]
    ) -> None:
        service.devices.add("phone", [FEED])
        accounts.refuses = True
        service.devices.remove("phone")
        service.close()
        service.devices.settled({"phone"})
        assert unsettled() == {"phone"}


def test_only_who_is_enrolled_is_shut_out(service: Service, accounts: Recorded) -> None:
    service.devices.shut_out("admin", 60)
    service.devices.add("phone", [FEED])
    service.devices.shut_out("phone", 60)
    assert [(what, who) for what, who, _ in accounts.asked] == [
        ("set up", "phone"),
        ("shut out", "phone"),
    ]


def test_what_is_wrong_with_accounts_is_told(service: Service, accounts: Recorded) -> None:
    names = [f"d{number}" for number in range(NAMED_MAX + 2)]
    for name in names:
        service.devices.add(name, [FEED])
    accounts.missing, accounts.refuses = names, True
    told = service.devices.problems()
    assert told[0] == "the plugin is silent"
    assert told[1] == (
        "device d0: it has no account at the broker: 'gateway device rotate d0' makes one"
    )
    assert told[-1].startswith("2 more devices have no account")
    assert len(told) == NAMED_MAX + 2
    assert set(told) <= set(service.problems())
    assert "no account" in (service.devices.one("d6").warning or "")


class TestOwnBroker:
    @pytest.fixture
    def gateway(self, tmp_path: Path) -> Iterator[Running]:
        with running(load(data_dir=tmp_path, broker_port=0, api_port=0)) as made:
            made.service.add_feed(FEED)
            yield made

    def test_rotated_while_connected_it_is_thrown_out(self, gateway: Running) -> None:
        devices = gateway.service.devices
        old = devices.add("phone", [FEED])
        generation = _generation(gateway)
        with Probe(gateway.broker_port, "phone", old) as probe:
            probe.publish("sync/v1/phone/status", b"online", retain=True)
            assert eventually(lambda: devices.one("phone").online)
            new = devices.rotate("phone")
            probe.wait_until_ended()
        assert eventually(lambda: not devices.one("phone").online)
        assert _login(gateway, old) != "Success"
        assert _login(gateway, new) == "Success"
        assert _generation(gateway) == generation  # so nothing is sent again

    def test_shut_out_for_a_time(self, gateway: Running) -> None:
        devices = gateway.service.devices
        secret = devices.add("phone", [FEED])
        with Probe(gateway.broker_port, "phone", secret) as probe:
            devices.shut_out("phone", 0.5)
            probe.wait_until_ended()
        assert _login(gateway, secret) != "Success"
        assert "shut out for another" in (devices.one("phone").warning or "")
        assert eventually(lambda: _login(gateway, secret) == "Success")
        assert devices.one("phone").warning is None

    def test_the_credential_leads_to_it(self, gateway: Running) -> None:
        credential = gateway.service.devices.credential("phone", [FEED], "secret")
        assert (credential.host, credential.port) == ("127.0.0.1", gateway.broker_port)


def _login(gateway: Running, secret: str) -> str:
    probe = Probe(gateway.broker_port, "phone", secret)
    try:
        return probe.connect()
    finally:
        probe.close()


def _generation(gateway: Running) -> bytes:
    with closing(SqliteStore(gateway.service.settings.data_dir / STORE_FILE)) as store:
        found = store.device("phone")
    assert found is not None
    return found.generation
