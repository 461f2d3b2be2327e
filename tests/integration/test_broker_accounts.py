"""Devices come, change and go while a real Mosquitto keeps their accounts."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from gateway import broker_accounts
from gateway.backup import restore
from gateway.broker_accounts import AccountTakenError, NotConnectedError
from gateway.broker_roles import CONTROL_TOPIC
from gateway.device import NoSuchDeviceError
from gateway.dynamic_security import DynamicSecurity
from gateway.run import Running, running
from gateway.service import LEDGER_DIR, STORE_FILE, Service
from gateway.settings import load
from gateway.state_file import SqliteStore
from sync_protocol.topics import ONLINE, Topics
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Probe
from tests.integration.brokers import Mosquitto

pytestmark = pytest.mark.mosquitto

FEED, OTHER = "contacts", "tasks"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as made:
        yield made


@contextmanager
def a_gateway(broker: Mosquitto, folder: Path) -> Iterator[Running]:
    settings = load(broker.settings_file, data_dir=folder / "gateway", api_port=0)
    with running(settings) as gateway:
        yield gateway


@pytest.fixture
def gateway(broker: Mosquitto, tmp_path: Path) -> Iterator[Running]:
    with a_gateway(broker, tmp_path) as made:
        for feed in (FEED, OTHER):
            made.service.add_feed(feed)
        yield made


def lets_in(broker: Mosquitto, user: str, secret: str) -> bool:
    with_broker = broker.probe(user, secret)
    try:
        return with_broker.connect() == "Success"
    finally:
        with_broker.close()


@contextmanager
def connected(broker: Mosquitto, user: str, secret: str) -> Iterator[Probe]:
    with broker.probe(user, secret) as probe:
        yield probe


def online(gateway: Running) -> list[str]:
    return [it.id for it in gateway.service.devices.all() if it.online]


def connected_again(service: Service) -> bool:
    return eventually(lambda: service.wait_connected(0))


def test_added_while_the_broker_runs_a_device_can_log_in(
    broker: Mosquitto, gateway: Running
) -> None:
    assert not lets_in(broker, "phone", "x")
    secret = gateway.service.devices.add("phone", [FEED])
    with connected(broker, "phone", secret) as phone:
        assert phone.subscribe(f"sync/v1/phone/{FEED}/notify") != [128]
        assert phone.subscribe(f"sync/v1/phone/{OTHER}/notify") == [128]


def test_rotated_while_connected_it_is_thrown_out(broker: Mosquitto, gateway: Running) -> None:
    old = gateway.service.devices.add("phone", [FEED])
    with connected(broker, "phone", old) as phone:
        new = gateway.service.devices.rotate("phone")
        phone.wait_until_ended()
    assert not lets_in(broker, "phone", old)
    assert lets_in(broker, "phone", new)


def test_removed_while_connected_it_is_shut_out(broker: Mosquitto, gateway: Running) -> None:
    secret = gateway.service.devices.add("phone", [FEED])
    with connected(broker, "phone", secret) as phone:
        assert gateway.service.devices.remove("phone")
        phone.wait_until_ended()
    assert not lets_in(broker, "phone", secret)


def test_what_was_done_outlives_the_broker(broker: Mosquitto, gateway: Running) -> None:
    devices = gateway.service.devices
    phone, tablet = devices.add("phone", [FEED]), devices.add("tablet", [FEED])
    devices.remove("tablet")
    broker.kill()
    broker.start()
    assert lets_in(broker, "phone", phone)
    assert not lets_in(broker, "tablet", tablet)


def test_without_the_broker_nobody_is_added_or_rotated(broker: Mosquitto, gateway: Running) -> None:
    devices = gateway.service.devices
    secret = devices.add("phone", [FEED])
    broker.kill()
    assert eventually(lambda: not gateway.service.wait_connected(0))
    with pytest.raises(NotConnectedError, match="nothing was changed"):
        devices.add("tablet", [FEED])
    with pytest.raises(NotConnectedError, match="nothing was changed"):
        devices.rotate("phone")
    assert [it.id for it in devices.all()] == ["phone"]
    broker.start()
    assert connected_again(gateway.service)
    assert lets_in(broker, "phone", secret)


def test_removed_without_the_broker_it_is_shut_out_when_that_is_back(
    broker: Mosquitto, gateway: Running
) -> None:
    devices = gateway.service.devices
    secret = devices.add("phone", [FEED])
    broker.kill()
    assert eventually(lambda: not gateway.service.wait_connected(0))
    assert not devices.remove("phone")
    broker.start()
    assert eventually(lambda: not lets_in(broker, "phone", secret))


def test_removed_without_the_broker_it_is_shut_out_by_the_next_gateway(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        secret = gateway.service.devices.add("phone", [FEED])
        broker.kill()
        assert eventually(lambda: not gateway.service.wait_connected(0))
        assert not gateway.service.devices.remove("phone")
    broker.start()
    assert lets_in(broker, "phone", secret)
    with a_gateway(broker, tmp_path) as gateway:
        assert eventually(lambda: not lets_in(broker, "phone", secret))
        assert gateway.service.problems() == []


def test_an_account_deleted_behind_our_back_is_told_and_rotate_mends_it(
    broker: Mosquitto, gateway: Running
) -> None:
    service = gateway.service
    secret = service.devices.add("phone", [FEED])
    tell(broker, gateway, '{"commands":[{"command":"deleteClient","username":"phone"}]}')
    assert not lets_in(broker, "phone", secret)
    assert eventually(lambda: service.devices.one("phone").warning)
    (problem,) = service.problems()
    assert "device phone: it has no account" in problem
    assert "gateway device rotate phone" in problem
    assert lets_in(broker, "phone", service.devices.rotate("phone"))
    assert service.problems() == []
    assert service.devices.one("phone").warning is None


def test_rights_taken_behind_our_back_are_given_again(broker: Mosquitto, gateway: Running) -> None:
    service = gateway.service
    secret = service.devices.add("phone", [FEED])
    tell(
        broker,
        gateway,
        '{"commands":[{"command":"modifyRole","rolename":"device-phone","acls":[]},'
        '{"command":"disableClient","username":"phone"}]}',
    )
    assert eventually(lambda: lets_in(broker, "phone", secret))
    with connected(broker, "phone", secret) as phone:
        assert phone.subscribe(f"sync/v1/phone/{FEED}/notify") != [128]


def test_with_a_feed_its_topics_go(broker: Mosquitto, gateway: Running) -> None:
    secret = gateway.service.devices.add("phone", [FEED, OTHER])
    with connected(broker, "phone", secret) as phone:
        gateway.service.remove_feed(OTHER)
        topic = f"sync/v1/phone/{OTHER}/notify"
        assert eventually(lambda: phone.subscribe(topic) == [128])
        assert phone.subscribe(f"sync/v1/phone/{FEED}/notify") != [128]


class KilledError(BaseException):
    """Stands for the end of the process."""


def test_killed_between_broker_and_store_it_leaves_no_account(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets: list[str] = []

    def set_up(
        accounts: DynamicSecurity, device: str, feeds: Sequence[str], secret: str
    ) -> NoReturn:
        really(accounts, device, feeds, secret)
        secrets.append(secret)
        raise KilledError

    really = DynamicSecurity.set_up
    monkeypatch.setattr(DynamicSecurity, "set_up", set_up)
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        with pytest.raises(KilledError):
            gateway.service.devices.add("phone", [FEED])
        assert gateway.service.devices.all() == []
        assert lets_in(broker, "phone", secrets[0])
    monkeypatch.undo()
    with a_gateway(broker, tmp_path) as gateway:
        assert eventually(lambda: not lets_in(broker, "phone", secrets[0]))
        assert lets_in(broker, "phone", gateway.service.devices.add("phone", [FEED]))


def test_shut_out_it_comes_in_again_later(broker: Mosquitto, gateway: Running) -> None:
    devices = gateway.service.devices
    secret = devices.add("phone", [FEED])
    with connected(broker, "phone", secret) as phone:
        devices.shut_out("phone", 1.0)
        phone.wait_until_ended()
    assert "shut out" in (devices.one("phone").warning or "")
    assert not lets_in(broker, "phone", secret)
    assert eventually(lambda: lets_in(broker, "phone", secret))
    assert devices.one("phone").warning is None


@pytest.mark.parametrize("thrown_out_by", ["rotate", "remove"])
def test_who_was_thrown_out_is_not_online_for_a_gateway_that_starts(
    broker: Mosquitto, tmp_path: Path, thrown_out_by: str
) -> None:
    """The plugin publishes no last will of those whom it throws out."""
    with contextlib.ExitStack() as probes:
        with a_gateway(broker, tmp_path) as first:
            first.service.add_feed(FEED)
            devices = first.service.devices
            for name in ("phone", "tablet"):
                secret = devices.add(name, [FEED])
                probe = probes.enter_context(connected(broker, name, secret))
                probe.publish(f"sync/v1/{name}/status", ONLINE, retain=True)
            assert eventually(lambda: devices.online_count() == 2)
            getattr(devices, thrown_out_by)("phone")
        with a_gateway(broker, tmp_path) as second:
            assert eventually(lambda: "tablet" in online(second))
            assert online(second) == ["tablet"]


def test_nobody_takes_the_account_of_somebody_else(broker: Mosquitto, gateway: Running) -> None:
    tell(
        broker,
        gateway,
        '{"commands":[{"command":"createClient","username":"grafana","password":"theirs"}]}',
    )
    with pytest.raises(AccountTakenError, match="no device's"):
        gateway.service.devices.add("grafana", [FEED])
    assert lets_in(broker, "grafana", "theirs")


def test_nobody_takes_a_device_of_another_gateway(broker: Mosquitto, gateway: Running) -> None:
    other = broker_accounts.set_up(Topics("office/v1"), "phone", [FEED], "theirs")
    tell(broker, gateway, json.dumps({"commands": other}))
    with pytest.raises(AccountTakenError, match="no device's of this gateway"):
        gateway.service.devices.add("phone", [FEED])
    assert lets_in(broker, "phone", "theirs")


def test_a_gateway_that_is_let_in_no_more_is_told_how_to_mend_that(
    broker: Mosquitto, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.password"
    wrong.write_text("not the password\n")
    wrong.chmod(0o600)
    settings = load(
        broker.settings_file, data_dir=tmp_path / "g", api_port=0, broker_password_file=wrong
    )
    with running(settings) as gateway:
        assert eventually(
            lambda: any("'gateway broker-config'" in it for it in gateway.service.problems())
        )


def test_many_are_compared_page_by_page(broker: Mosquitto, tmp_path: Path) -> None:
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        accounts = gateway.service.devices.accounts
        for number in range(50):
            accounts.set_up(f"d{number}", [FEED], "secret")
        accounts.recheck()
        assert eventually(
            lambda: any("accounts of 50 devices" in it for it in gateway.service.problems())
        )
    # As if they had all been removed while the broker was away.
    with (
        closing(SqliteStore(gateway.service.settings.data_dir / STORE_FILE)) as store,
        store.transaction() as transaction,
    ):
        for number in range(50):
            transaction.unsettle_account(f"d{number}")
    with a_gateway(broker, tmp_path) as gateway:
        assert eventually(
            lambda: gateway.service.counters.read().get("accounts of no device taken away") == 50
        )
        assert gateway.service.problems() == []
    assert not lets_in(broker, "d49", "secret")


def test_a_gateway_with_another_data_directory_leaves_all_accounts_alone(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        devices = gateway.service.devices
        secrets = {name: devices.add(name, [FEED]) for name in ("phone", "tablet")}
    with a_gateway(broker, tmp_path / "empty") as other:
        assert eventually(other.service.problems)
        (problem,) = other.service.problems()
        assert "accounts of 2 devices that are not enrolled here (phone, tablet)" in problem
        other.service.add_feed(FEED)
        with pytest.raises(AccountTakenError, match="'gateway device remove phone' takes it away"):
            other.service.devices.add("phone", [FEED])
    with a_gateway(broker, tmp_path) as gateway:
        assert connected_again(gateway.service)
        for name, secret in secrets.items():
            assert lets_in(broker, name, secret)
            assert gateway.service.devices.one(name).warning is None
        assert gateway.service.problems() == []


def test_what_is_left_over_can_be_removed(broker: Mosquitto, tmp_path: Path) -> None:
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        old = gateway.service.devices.add("phone", [FEED])
    with a_gateway(broker, tmp_path / "anew") as gateway:
        service = gateway.service
        service.add_feed(FEED)
        assert eventually(service.problems)
        with connected(broker, "phone", old) as phone:
            assert service.devices.remove("phone")
            phone.wait_until_ended()
        assert service.problems() == []
        with pytest.raises(NoSuchDeviceError):
            service.devices.remove("phone")
        assert lets_in(broker, "phone", service.devices.add("phone", [FEED]))
        assert not lets_in(broker, "phone", old)


def test_a_device_enrolled_since_the_backup_keeps_its_account(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with a_gateway(broker, tmp_path) as gateway:
        gateway.service.add_feed(FEED)
        gateway.service.back_up(tmp_path / "backup")
        secret = gateway.service.devices.add("phone", [FEED])
        data_dir = gateway.service.settings.data_dir
    restore(
        tmp_path / "backup", data_dir / STORE_FILE, data_dir / LEDGER_DIR, unix_time=time.time()
    )
    with a_gateway(broker, tmp_path) as gateway:
        assert eventually(gateway.service.problems)
        (problem,) = gateway.service.problems()
        assert "not enrolled here (phone)" in problem
        assert lets_in(broker, "phone", secret)
        assert gateway.service.devices.remove("phone")
        assert not lets_in(broker, "phone", secret)


def test_nobody_removes_the_account_of_somebody_else(broker: Mosquitto, gateway: Running) -> None:
    other = broker_accounts.set_up(Topics("office/v1"), "phone", [FEED], "theirs")
    grafana = {"command": "createClient", "username": "grafana", "password": "theirs"}
    tell(broker, gateway, json.dumps({"commands": [*other, grafana]}))
    for name in ("phone", "grafana"):
        with pytest.raises(NoSuchDeviceError):
            gateway.service.devices.remove(name)
        assert lets_in(broker, name, "theirs")
    assert gateway.service.problems() == []


def tell(broker: Mosquitto, gateway: Running, commands: str) -> None:
    """Change accounts as an operator may; the gateway is put out by that, and connects again."""
    with connected(broker, "gateway", broker.password) as operator:
        operator.publish(CONTROL_TOPIC, commands.encode())
    assert eventually(lambda: gateway.service.counters.read().get("broker connections lost"))
    assert connected_again(gateway.service)
