"""Each row of "what is lost": only that is destroyed, and content bytes sent afterwards counted.

The rule for all of them: an item's content travels if and only if the device does not hold it.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from device_agent import DeviceAgent, SyncFailedError
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE as AGENT_FILE
from device_agent.results import AnswerResult, PushResult
from device_agent.schedule import Waits
from device_agent.store import ReplicaState
from gateway.notifier import Push
from gateway.outbound import Outbound
from gateway.responder import Response
from gateway.rows import Alter, Delete, Put
from gateway.run import Running, running
from gateway.service import LEDGER_DIR, STORE_FILE
from gateway.settings import load
from gateway.state_file import SqliteStore
from sync_protocol.messages import Answer, Notification, Request
from tests.eventually import eventually
from tests.integration.brokers import free_port
from tests.integration.edits import FEED, Held, difference, held_by_device, held_by_feed

WAITS = Waits(
    debounce_s=0.02, period_s=60.0, request_timeout_s=0.3, backoff_s=0.05, backoff_s_max=0.2
)
SYNC_S_MAX = 20.0
# Several pages, several portions, and what fits into one push.
SIZES = (0, 40, 700, 5_000, 70_000, 300_000)
ITEMS = 30
RETENTION_DAYS = 30


class Scales:
    """An observer who weighs the contents that come, and counts inventories."""

    def __init__(self) -> None:
        self.content_bytes = 0
        self.inventories = 0

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        del feed, payload, result
        if push.put is not None:
            self.content_bytes += len(push.put.content or b"")

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """See `Observer`."""

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        del feed, payload, result
        if answer.inventory is not None:
            self.inventories += 1
            assert all(put.content is None for put in answer.inventory.puts)
        if answer.delta is not None:
            puts = [it.put for it in answer.delta.changes if it.put is not None]
            self.content_bytes += sum(len(put.content or b"") for put in puts)
            self.content_bytes += sum(len(it.content) for it in answer.delta.remainders)


class Link:
    """A link that loses what it is told to."""

    def __init__(self, inner: Outbound) -> None:
        self._inner = inner
        self.deaf = False
        self.answers_to_lose = 0

    def push(self, feed: str, push: Push) -> bool:
        return True if self.deaf else self._inner.push(feed, push)

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        if self.answers_to_lose:
            self.answers_to_lose -= 1
        else:
            self._inner.answer(device, feed, payload, response)


class Device:
    """A device that can be switched off, opened and emptied."""

    def __init__(self, name: str, data_dir: Path, *, port: int, password: str) -> None:
        self.name = name
        self.data_dir = data_dir
        self.scales = Scales()
        self._port = port
        self.password = password
        self._agent: DeviceAgent | None = None

    def on(self) -> None:
        self.scales = Scales()
        self._agent = DeviceAgent(
            self.name,
            feeds=[FEED],
            host="127.0.0.1",
            port=self._port,
            password=self.password,
            data_dir=self.data_dir,
            observer=self.scales,
            waits=WAITS,
            refusals_max=1,
        )
        self._agent.start()

    def off(self) -> None:
        if self._agent is not None:
            self._agent.stop()

    def sync(self) -> None:
        assert self._agent is not None
        self._agent.sync(SYNC_S_MAX)

    def held(self) -> Held:
        return held_by_device(self.data_dir) if (self.data_dir / AGENT_FILE).exists() else {}


class Neighbourhood:
    """A gateway with two devices that hold all of its feed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = Random(7)
        self._port = free_port()
        self._stack = contextlib.ExitStack()
        self.days_later = 0
        self.link: Link | None = None
        self.gateway = self.start()
        service = self.gateway.service
        service.add_feed(FEED)
        for number in range(ITEMS):
            self.put(f"item-{number}", SIZES[number % len(SIZES)])
        self.phone, self.tablet = (
            Device(name, folder / name, port=self._port, password=service.devices.add(name, [FEED]))
            for name in ("phone", "tablet")
        )
        for device in (self.phone, self.tablet):
            device.on()
            device.sync()
            device.off()

    @property
    def state(self) -> Path:
        return self.folder / "gateway" / STORE_FILE

    def _wrap(self, inner: Outbound) -> Outbound:
        self.link = Link(inner)
        return self.link

    def start(self) -> Running:
        settings = load(
            data_dir=self.folder / "gateway",
            broker_port=self._port,
            api_port=0,
            ledger_flush_s=0.1,
            delete_marker_retention_days=RETENTION_DAYS,
        )
        self.gateway = self._stack.enter_context(
            running(
                settings,
                unix_time=lambda: time.time() + self.days_later * 86_400,
                wrap_outbound=self._wrap,
            )
        )
        return self.gateway

    def stop(self) -> None:
        self._stack.close()

    def put(self, item_id: str, size: int) -> None:
        content = self.random.randbytes(size)
        put = Put(item_id, content, kind="mail", media_type="message/rfc822")
        self.gateway.service.apply(FEED, put)

    def alter_and_delete(self) -> None:
        """Some of everything: new, changed, flags, folder, deleted."""
        service = self.gateway.service
        self.put("item-1", 900)
        self.put("item-4", 80_000)
        self.put(f"item-{self.random.random()}", 300)
        service.apply(FEED, Alter("item-5", flags=("$seen",)))
        service.apply(FEED, Alter("item-10", folder="Attic"))
        for item_id in ("item-2", "item-11"):
            service.apply(FEED, Delete(item_id))

    def feed(self) -> Held:
        return held_by_feed(self.gateway.service)

    def syncs_without_waste(self, device: Device) -> int:
        """Let a device sync: it ends equal, and what came is exactly what it did not hold."""
        held, feed = device.held(), self.feed()
        due = sum(
            len(content)
            for item_id, (content, *_) in feed.items()
            if item_id not in held or held[item_id][0] != content
        )
        device.on()
        device.sync()
        assert difference(device.held(), feed) == []
        assert device.scales.content_bytes == due
        device.off()
        return due


@pytest.fixture
def all_of_it(tmp_path: Path) -> Iterator[Neighbourhood]:
    neighbourhood = Neighbourhood(tmp_path)
    yield neighbourhood
    for device in (neighbourhood.phone, neighbourhood.tablet):
        device.off()
    neighbourhood.stop()


def test_nothing_is_lost(all_of_it: Neighbourhood) -> None:
    assert all_of_it.syncs_without_waste(all_of_it.phone) == 0
    assert all_of_it.phone.scales.inventories == 0


def test_pushes(all_of_it: Neighbourhood) -> None:
    phone, link = all_of_it.phone, all_of_it.link
    assert link is not None
    phone.on()
    phone.sync()
    held = phone.held()
    link.deaf = True
    all_of_it.alter_and_delete()
    link.deaf = False
    phone.sync()
    feed = all_of_it.feed()
    assert difference(phone.held(), feed) == []
    new = [content for item, (content, *_) in feed.items() if held.get(item, (b"",))[0] != content]
    assert phone.scales.content_bytes == sum(map(len, new)) > 0
    assert phone.scales.inventories == 0


def test_answers(all_of_it: Neighbourhood) -> None:
    all_of_it.alter_and_delete()
    assert all_of_it.link is not None
    all_of_it.link.answers_to_lose = 3
    assert all_of_it.syncs_without_waste(all_of_it.phone) > 0
    assert all_of_it.link.answers_to_lose == 0


def test_the_whole_ledger(all_of_it: Neighbourhood) -> None:
    all_of_it.stop()
    shutil.rmtree(all_of_it.state.parent / LEDGER_DIR)
    all_of_it.start()
    assert all_of_it.syncs_without_waste(all_of_it.phone) == 0
    assert all_of_it.phone.scales.inventories == 0
    all_of_it.alter_and_delete()
    assert all_of_it.syncs_without_waste(all_of_it.tablet) > 0


@pytest.mark.parametrize("changed", [False, True])
def test_the_collection(all_of_it: Neighbourhood, changed: bool) -> None:  # noqa: FBT001 - a parameter
    file = AgentFile(all_of_it.phone.data_dir / AGENT_FILE, device="phone")
    store = file.replica(FEED)
    state = store.state()
    assert state is not None
    with store.transaction():
        store.forget_tokens()
        store.set_state(ReplicaState(view_id=state.view_id))
    file.close()
    if changed:
        all_of_it.alter_and_delete()
    assert (all_of_it.syncs_without_waste(all_of_it.phone) > 0) is changed
    assert all_of_it.phone.scales.inventories > 0


def test_delete_markers_purged_meanwhile(all_of_it: Neighbourhood) -> None:
    all_of_it.alter_and_delete()
    assert all_of_it.syncs_without_waste(all_of_it.tablet) > 0
    all_of_it.stop()
    all_of_it.days_later = RETENTION_DAYS + 1
    all_of_it.start()
    assert eventually(partial(_is_purged, all_of_it.state))
    # Who held the markers goes on as before; who did not compares all it holds.
    assert all_of_it.syncs_without_waste(all_of_it.tablet) == 0
    assert all_of_it.tablet.scales.inventories == 0
    assert all_of_it.syncs_without_waste(all_of_it.phone) > 0
    assert all_of_it.phone.scales.inventories > 0


def _is_purged(state: Path) -> bool:
    store = SqliteStore(state)
    try:
        with store.snapshot(FEED) as snapshot:
            return bool(snapshot.purged)
    finally:
        store.close()


def test_markers_younger_than_the_retention_stay(all_of_it: Neighbourhood) -> None:
    all_of_it.alter_and_delete()
    all_of_it.stop()
    all_of_it.days_later = RETENTION_DAYS - 1
    all_of_it.start()
    assert all_of_it.syncs_without_waste(all_of_it.phone) > 0
    assert all_of_it.phone.scales.inventories == 0


@pytest.mark.parametrize("order", [("phone", "tablet"), ("tablet", "phone")])
@pytest.mark.parametrize("on_top", [False, True])
def test_the_feed_restored_from_a_backup(
    all_of_it: Neighbourhood,
    order: tuple[str, str],
    on_top: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Nobody tells the gateway, and of the devices only the tablet has seen what is gone now."""
    backup = all_of_it.folder / "backup"
    all_of_it.gateway.service.back_up(backup)
    all_of_it.alter_and_delete()
    all_of_it.syncs_without_waste(all_of_it.tablet)
    all_of_it.stop()
    shutil.copy(backup / STORE_FILE, all_of_it.state)
    all_of_it.start()
    if on_top:
        # As many changes as were lost, of other items: the same numbers mean something else now.
        for number in range(12, 20):
            all_of_it.put(f"item-{number}", 50)
    devices = {device.name: device for device in (all_of_it.phone, all_of_it.tablet)}
    for name in order:
        all_of_it.syncs_without_waste(devices[name])
    assert all_of_it.phone.scales.inventories == 0
    assert all_of_it.tablet.scales.inventories > 0
    all_of_it.alter_and_delete()
    for name in order:
        assert all_of_it.syncs_without_waste(devices[name]) > 0
        assert devices[name].scales.inventories == 0


def test_the_enrolment(all_of_it: Neighbourhood) -> None:
    """The id belongs to another device now: neither the old password nor old tokens count."""
    phone, service = all_of_it.phone, all_of_it.gateway.service
    service.devices.remove("phone")
    password = service.devices.add("phone", [FEED])
    phone.on()
    with pytest.raises(SyncFailedError, match="refuses device phone"):
        phone.sync()
    phone.off()
    phone.password = password
    assert all_of_it.syncs_without_waste(phone) == 0
    assert phone.scales.inventories > 0


def test_the_device_s_data(all_of_it: Neighbourhood) -> None:
    before = all_of_it.feed()
    shutil.rmtree(all_of_it.phone.data_dir)
    due = all_of_it.syncs_without_waste(all_of_it.phone)
    assert due == sum(len(content) for content, *_ in before.values())
    assert all_of_it.feed() == before
