"""The service: what an operator may ask, and what is forgotten with a device or a feed."""

import errno
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from device_agent.agent import DeviceAgent
from gateway.device import DeviceError, NoSuchDeviceError
from gateway.feed import FeedError, NoSuchFeedError, NoSuchItemError, PoisonError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.ledger_tinydb import TinyDbLedger
from gateway.rows import Alter, Delete, Mutation
from gateway.run import Running, running
from gateway.service import LEDGER_DIR, STORE_FILE, Account, Service
from gateway.settings import load
from gateway.state_file import SqliteStore
from gateway.writer import WriterClosedError
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.damage import hold_back_in, lose_content
from tests.gateway.sample_feeds import put

FEED = "contacts"
OTHER = "tasks"
DEVICE = "phone"
# Longer than any test: the ledger is written when the service is closed, and not before.
NEVER_S = 3600


def made(data_dir: Path) -> Service:
    return Service(load(data_dir=data_dir, ledger_flush_s=NEVER_S), unix_time=time.time)


@contextmanager
def opened(data_dir: Path) -> Iterator[Service]:
    service = made(data_dir)
    try:
        yield service
    finally:
        service.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One with a feed, and without a broker."""
    with opened(tmp_path) as service:
        service.add_feed(FEED)
        yield service


@contextmanager
def served(data_dir: Path) -> Iterator[Running]:
    """A gateway with two feeds and a broker."""
    settings = load(data_dir=data_dir, broker_port=0, api_port=0, ledger_flush_s=NEVER_S)
    with running(settings) as gateway:
        for feed in (FEED, OTHER):
            gateway.service.add_feed(feed)
            gateway.service.apply(feed, put())
        yield gateway


@contextmanager
def synced_device(gateway: Running, data_dir: Path) -> Iterator[DeviceAgent]:
    """A device that is online and holds both feeds."""
    service = gateway.service
    with a_device(gateway, data_dir, [FEED, OTHER]) as agent:
        agent.sync(PATIENCE_S)
        assert eventually(lambda: service.devices.one(DEVICE).online)
        assert is_known(service)
        yield agent


@contextmanager
def a_device(gateway: Running, data_dir: Path, feeds: Sequence[str]) -> Iterator[DeviceAgent]:
    """A device that asks as soon as it is connected."""
    agent = DeviceAgent(
        DEVICE,
        feeds=feeds,
        host=gateway.broker_host,
        port=gateway.broker_port,
        password=gateway.service.devices.add(DEVICE, feeds),
        data_dir=data_dir,
    )
    with agent:
        yield agent


def is_known(service: Service) -> bool:
    """Whether the gateway knows what the device holds; of all its feeds or of none."""
    known = {replica.synced_at is not None for replica in service.devices.one(DEVICE).replicas}
    assert len(known) == 1
    return known.pop()


def ledger_file(data_dir: Path) -> Path:
    return TinyDbLedger(data_dir / LEDGER_DIR).path(DEVICE)


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "no space left")


class TestForgetting:
    def test_a_removed_device_is_not_online(self, tmp_path: Path) -> None:
        with served(tmp_path / "data") as gateway, synced_device(gateway, tmp_path / DEVICE):
            assert gateway.service.devices.online_count() == 1
            gateway.service.devices.remove(DEVICE)
            assert gateway.service.devices.online_count() == 0
            assert gateway.service.devices.all() == []

    def test_a_device_enrolled_again_has_nothing_of_the_old_at_hand(self, tmp_path: Path) -> None:
        with served(tmp_path / "data") as gateway:
            service = gateway.service
            with synced_device(gateway, tmp_path / DEVICE):
                pass
            assert eventually(lambda: not service.devices.one(DEVICE).online)
            assert is_known(service)
            service.devices.remove(DEVICE)
            service.devices.add(DEVICE, [FEED, OTHER])
            assert not is_known(service)
        assert not ledger_file(tmp_path / "data").exists()

    def test_a_device_enrolled_again_is_sent_nothing_that_it_holds(self, tmp_path: Path) -> None:
        with served(tmp_path / "data") as gateway:
            with synced_device(gateway, tmp_path / DEVICE):
                pass
            sent = gateway.service.counters.read()["changes resent"]
            assert sent == 2
            gateway.service.devices.remove(DEVICE)
            with synced_device(gateway, tmp_path / DEVICE):  # its collection is another's
                pass
            assert gateway.service.counters.read()["changes resent"] == sent

    def test_the_ledger_file_goes_with_the_device(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"
        with served(data_dir) as gateway, synced_device(gateway, tmp_path / DEVICE):
            pass
        file = ledger_file(data_dir)
        with opened(data_dir) as service:
            assert is_known(service)  # the file tells
            old = file.read_bytes()
            service.devices.remove(DEVICE)
            assert not file.exists()
            # Were it written late, it would still be another enrolment's.
            service.devices.add(DEVICE, [FEED, OTHER])
            file.write_bytes(old)
            assert not is_known(service)

    def test_replicas_go_with_their_feed(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"
        with served(data_dir) as gateway:
            with synced_device(gateway, tmp_path / DEVICE):
                pass
            gateway.service.remove_feed(FEED)
            (left,) = gateway.service.devices.one(DEVICE).replicas
            assert (left.feed, left.behind) == (OTHER, 0)
        written = ledger_file(data_dir).read_text()
        assert f'"{OTHER}"' in written
        assert f'"{FEED}"' not in written

    def test_what_is_not_there(self, service: Service) -> None:
        with pytest.raises(NoSuchFeedError, match="attic"):
            service.remove_feed("attic")
        with pytest.raises(NoSuchDeviceError, match=DEVICE):
            service.devices.remove(DEVICE)
        with pytest.raises(NoSuchDeviceError, match=DEVICE):
            service.devices.one(DEVICE)


class TestResync:
    def test_what_is_known_of_the_device_stays(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "data"
        with served(data_dir) as gateway, synced_device(gateway, tmp_path / DEVICE):
            before = gateway.service.devices.one(DEVICE)
            gateway.service.devices.resync(DEVICE)
            assert gateway.service.devices.one(DEVICE) == before
        for _ in range(2):  # of a device that is offline, too
            with opened(data_dir) as service:
                assert is_known(service)
                service.devices.resync(DEVICE)
                assert is_known(service)

    def test_no_such_device(self, service: Service) -> None:
        with pytest.raises(NoSuchDeviceError, match=DEVICE):
            service.devices.resync(DEVICE)


class TestQuarantine:
    @pytest.fixture
    def lost(self, tmp_path: Path, service: Service) -> str:
        """An item that has lost its content."""
        service.apply_many(FEED, [put("ada"), put("bob")])
        lose_content(tmp_path / STORE_FILE, "ada")
        return "ada"

    def test_it_can_neither_be_read_nor_does_it_keep_others_from_it(
        self, service: Service, lost: str
    ) -> None:
        with pytest.raises(PoisonError, match="put it again"):
            service.content(FEED, lost)
        assert service.content(FEED, "bob")[1] == put().content
        assert [row.id for row in service.items(FEED, after=None, limit=9)] == [lost, "bob"]

    def test_held_back_it_is_a_problem_until_it_is_put_again(
        self, service: Service, lost: str
    ) -> None:
        hold_back_in(service, FEED, lost)
        assert [it.row.id for it in service.quarantined(FEED)] == [lost]
        assert service.problems()[1:] == [
            "1 item is held back from devices: 'gateway quarantine list' shows why"
        ]
        with pytest.raises(FeedError, match=r"it stays in quarantine: .* lost its content"):
            service.retry(FEED, lost)
        assert [it.row.id for it in service.quarantined(FEED)] == [lost]
        service.apply(FEED, put(lost))
        assert service.problems()[1:] == []
        assert service.content(FEED, lost)[1] == put().content

    def test_what_is_sound_again_is_let_out(self, service: Service) -> None:
        service.apply(FEED, put("ada"))
        row = service.row(FEED, "ada")
        service._write(  # noqa: SLF001 - as the responder's thread does, of a disk that failed once
            lambda it: it.quarantine(FEED, "ada", seq=row.seq, why="cannot be read")
        )
        assert service.retry(FEED, "ada").seq == row.seq + 2
        assert service.quarantined(FEED) == []

    def test_what_is_not_there(self, service: Service) -> None:
        with pytest.raises(NoSuchFeedError, match="attic"):
            service.quarantined("attic")
        with pytest.raises(NoSuchFeedError, match="attic"):
            service.retry("attic", "ada")
        with pytest.raises(FeedError, match="not in quarantine"):
            service.retry(FEED, "ada")


class TestApplyMany:
    def test_one_that_fails_leaves_the_others_alone(self, service: Service) -> None:
        mutations: list[Mutation] = [
            put("ada"),
            Alter("nobody", folder="Work"),
            put("ada"),
            put("bob"),
            Alter("bob", flags=("$seen",)),
            Delete("ada"),
        ]
        outcomes = service.apply_many(FEED, mutations)
        assert [outcome.item_id for outcome in outcomes] == [each.id for each in mutations]
        assert [outcome.seq for outcome in outcomes] == [1, None, None, 2, 3, 4]
        assert [outcome.created for outcome in outcomes] == [True, False, False, True, False, False]
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        assert failed == [outcomes[1]]
        assert isinstance(failed[0].error, NoSuchItemError)
        assert [row.id for row in service.items(FEED, after=None, limit=9)] == ["bob"]

    def test_no_such_feed(self, service: Service) -> None:
        with pytest.raises(NoSuchFeedError, match="attic"):
            service.apply_many("attic", [put()])


class TestDevices:
    def test_authenticate(self, service: Service) -> None:
        secret = service.devices.add(DEVICE, [FEED])
        other = service.devices.add("tablet", [FEED])
        assert service.devices.authenticate(DEVICE, secret)
        assert not service.devices.authenticate(DEVICE, other)
        assert not service.devices.authenticate(DEVICE, "")
        assert not service.devices.authenticate("nobody", secret)
        service.devices.remove(DEVICE)
        assert not service.devices.authenticate(DEVICE, secret)
        assert service.devices.add(DEVICE, [FEED]) != secret
        assert not service.devices.authenticate(DEVICE, secret)

    def test_a_new_one(self, service: Service) -> None:
        service.add_feed(OTHER)
        service.devices.add(DEVICE, [OTHER, FEED, OTHER])
        (device,) = service.devices.all()
        assert device == service.devices.one(DEVICE)
        assert (device.id, device.online) == (DEVICE, False)
        assert [replica.feed for replica in device.replicas] == [FEED, OTHER]
        assert [replica.behind for replica in device.replicas] == [None, None]

    @pytest.mark.parametrize(
        ("device_id", "feeds", "error", "says"),
        [
            (DEVICE, [], DeviceError, "at least one feed"),
            ("a/b", [FEED], DeviceError, "a/b"),
            ("", [FEED], DeviceError, "1 to 64"),
            (DEVICE, [FEED, "attic"], NoSuchFeedError, "attic"),
            ("tablet", [FEED], DeviceError, "already"),
        ],
    )
    def test_one_that_cannot_be(
        self,
        service: Service,
        device_id: str,
        feeds: list[str],
        error: type[Exception],
        says: str,
    ) -> None:
        secret = service.devices.add("tablet", [FEED])
        with pytest.raises(error, match=says):
            service.devices.add(device_id, feeds)
        assert [device.id for device in service.devices.all()] == ["tablet"]
        assert service.devices.authenticate("tablet", secret)


class TestState:
    def test_not_started(self, service: Service) -> None:
        assert not service.wait_connected(0)
        assert service.status() == {
            "problems": ["not started"],
            "broker": "not started",
            "feeds": 1,
            "devices": 0,
            "online": [],
            "counters": {},
        }

    def test_a_broker_that_is_not_there(self, service: Service) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))  # and does not listen
            port = silent.getsockname()[1]
            service.start(Account("127.0.0.1", port, "gateway", None))
            assert not service.wait_connected(0)
            status = service.status()
            assert f"127.0.0.1:{port}" in str(status["broker"])
            (problem,) = service.problems()
            assert f"127.0.0.1:{port}" in problem
            service.close()

    def test_all_is_well(self, tmp_path: Path) -> None:
        with served(tmp_path / "data") as gateway, synced_device(gateway, tmp_path / DEVICE):
            status = gateway.service.status()
            assert gateway.service.problems() == []
            counters = status["counters"]
            assert isinstance(counters, dict)
            assert counters["requests"] >= 2
            assert {**status, "counters": None} == {
                "problems": [],
                "broker": "connected",
                "feeds": 2,
                "devices": 1,
                "online": [DEVICE],
                "counters": None,
            }

    def test_a_store_that_refuses(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as full:
            full.setattr(SqliteTransaction, "apply", refuse)
            with pytest.raises(StorageError, match="no space left") as caught:
                service.apply(FEED, put())
        assert str(service.settings.data_dir) in str(caught.value)
        assert service.problems() == ["not started", str(caught.value)]
        with pytest.raises(NoSuchItemError):
            service.row(FEED, "ada")
        # A mistake of the caller says nothing of the disk; a change that is stored does.
        with pytest.raises(FeedError):
            service.add_feed(FEED)
        assert len(service.problems()) == 2
        assert service.apply(FEED, put()) is not None
        assert service.problems() == ["not started"]


def test_f3_every_start_opens_an_epoch_of_a_new_id(tmp_path: Path) -> None:
    ids = []
    for start in range(2):
        with opened(tmp_path) as service:
            if start == 0:
                service.add_feed(FEED)
            service.start(Account("127.0.0.1", 1, "gateway", None))
        store = SqliteStore(tmp_path / STORE_FILE)
        with store.snapshot(FEED) as snapshot:
            ids.append(snapshot.newest_epoch().id)
            assert all(snapshot.epoch(each) for each in ids), "all are kept"
        store.close()
    assert ids[0] != ids[1]


class TestClose:
    @pytest.fixture(autouse=True)
    def no_thread_is_left(self) -> Iterator[None]:
        before = set(threading.enumerate())
        yield
        # The embedded broker does not wait for its threads that check logins; they end at once.
        assert eventually(lambda: set(threading.enumerate()) <= before), threading.enumerate()

    def test_twice(self, tmp_path: Path) -> None:
        service = made(tmp_path)
        service.close()
        service.close()
        with pytest.raises(WriterClosedError):
            service.add_feed(FEED)

    def test_twice_after_a_start(self, tmp_path: Path) -> None:
        others = set(threading.enumerate())  # other tests in this process may have left some
        with served(tmp_path / "data") as gateway:
            names = {"writer", "housekeeper", "responder"}
            own = [it for it in set(threading.enumerate()) - others if it.name in names]
            assert len(own) == len(names)
            gateway.service.close()
            assert not [it for it in own if it.is_alive()]
            gateway.service.close()

    def test_after_a_start_that_failed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = made(tmp_path)
        service.add_feed(FEED)
        monkeypatch.setattr(SqliteTransaction, "open_epoch", refuse)
        with pytest.raises(StorageError, match="no space left"):
            service.start(Account("127.0.0.1", 1, "gateway", None))
        service.close()
        service.close()

    def test_a_store_that_cannot_be_opened(self, tmp_path: Path) -> None:
        (tmp_path / STORE_FILE).write_bytes(b"no database" * 1_000)
        with pytest.raises(FeedError, match=STORE_FILE):
            made(tmp_path)
