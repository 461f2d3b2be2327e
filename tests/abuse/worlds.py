"""A gateway at each kind of broker, an honest device, and the hands of whoever abuses them."""

import contextlib
import itertools
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from device_agent import DeviceAgent
from device_agent.feed_sync import Observer
from gateway.embedded_broker import EmbeddedBroker
from gateway.rows import Put
from gateway.run import Running, running
from gateway.service import Service
from gateway.settings import load
from programs.tls_settings import Tls
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Topics
from tests.gateway.mqtt_probe import Probe, Raw, Will
from tests.integration.brokers import Mosquitto
from tests.integration.edits import held_by_device

_LOG: Final = logging.getLogger(__name__)

# Phone is the abuser, tab is honest, and gone was removed. All may hold `FEED`, tab also `PRIVATE`.
ABUSER: Final = "phone"
HONEST: Final = "tab"
REMOVED: Final = "gone"
FEED: Final = "contacts"
PRIVATE: Final = "private"
SECRET: Final = b"nobody but tab may see this"
SYNC_S_MAX: Final = 60.0
# A sync of an honest device takes less, whatever an abuser does. Without one it takes 0.1 s.
HONEST_S_MAX: Final = 10.0
# What one device may make a broker keep, though more than 100 MiB are thrown at it.
MEMORY_BYTES_MAX: Final = 48 * 1024 * 1024
# How long an honest device is watched while others do harm.
MEASURED_S: Final = 0.7
# Not so often that it is taken for an abuser itself.
MEASURED_CONNECTS: Final = 3
MEASURED_SYNCS_MAX: Final = 200
# No abuser goes on for longer than this, whatever a test does.
ABUSE_S_MAX: Final = 20.0


@dataclass(frozen=True)
class Door:
    """A broker, and the passwords of those who may come in.

    Attributes:
        knows_feeds: whether it keeps a device off the topics of feeds that it does not hold.
        pid: of the broker's process; None is this one.
    """

    port: int
    passwords: dict[str, str]
    knows_feeds: bool = False
    tls: ssl.SSLContext | None = None
    pid: int | None = None

    def probe(
        self,
        user: str | None,
        *,
        password: str | None = None,
        client_id: str | None = None,
        will: Will | None = None,
        clean_session: bool = True,
    ) -> Probe:
        """A client that has not connected yet; with the right password unless told otherwise."""
        if password is None and user is not None:
            password = self.passwords.get(user)
        return Probe(
            self.port,
            user,
            password,
            client_id=client_id,
            will=will,
            clean_session=clean_session,
            tls=self.tls,
        )

    def raw(self) -> Raw:
        """A connection on which nothing has been said."""
        return Raw(self.port, tls=self.tls)

    def memory_bytes(self) -> int:
        """What the process of the broker takes of the machine's memory."""
        status = Path(f"/proc/{self.pid or 'self'}/status").read_text()
        (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kib) * 1024


@dataclass
class World:
    """A gateway that runs, and the door to its broker."""

    gateway: Running
    door: Door
    folder: Path
    tls: Tls | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def service(self) -> Service:
        return self.gateway.service

    def agent(self, device: str = HONEST, *, observer: Observer | None = None) -> DeviceAgent:
        """The real agent of a device; all of one device have the same data."""
        return DeviceAgent(
            device,
            feeds=[FEED],
            observer=observer,
            host=self.gateway.broker_host,
            port=self.gateway.broker_port,
            password=self.door.passwords[device],
            data_dir=self.folder / device,
            tls=self.tls,
        )

    def honest_sync_s(self) -> float:
        """How long tab takes to connect and sync an item that is new. It gets all that it may."""
        began = time.monotonic()
        with self.agent() as agent:
            self._sync_s(agent)
        return time.monotonic() - began

    def _sync_s(self, agent: DeviceAgent) -> float:
        item_id = f"news-{next(self._numbers)}"
        self.service.apply(FEED, Put(item_id, item_id.encode(), "contact", "text/vcard"))
        began = time.monotonic()
        agent.sync(SYNC_S_MAX)
        took_s = time.monotonic() - began
        assert held_by_device(self.folder / HONEST)[item_id][0] == item_id.encode()
        return took_s

    def slowest_sync_s(self, *, for_s: float = MEASURED_S) -> float:
        """The slowest of the syncs of tab: some for which it connects, and one behind the other."""
        over = time.monotonic() + for_s
        took_s = [self.honest_sync_s() for _ in range(MEASURED_CONNECTS)]
        with self.agent() as agent:
            while time.monotonic() < over and len(took_s) < MEASURED_SYNCS_MAX:
                took_s.append(self._sync_s(agent))
        _LOG.info("%d syncs, the slowest took %.2f s", len(took_s), max(took_s))
        return max(took_s)

    def reconnect_gateway(self) -> None:
        """Have the gateway lose its connection; it comes back by itself."""
        if GATEWAY in self.door.passwords:
            with self.door.probe(GATEWAY):  # takes its place
                return
        self.service.devices.accounts.changed(GATEWAY)


def counted(world: World, name: str) -> int:
    """One of the gateway's counters."""
    return world.service.counters.read().get(name, 0)


@contextlib.contextmanager
def meanwhile(
    abuse: Callable[[int], object], *, abusers: int = 1, times_min: int = 20
) -> Iterator[None]:
    """Have `abuse` done again and again as long as the `with` lasts, by some at once.

    It is handed how often its abuser did it before. A connection that the broker ends is what it
    may do; anything else that `abuse` raises is raised at the end. None goes on for longer than
    `ABUSE_S_MAX`, and all together do it at least `times_min` times, or it was no flood.
    """
    enough = threading.Event()
    timer = threading.Timer(ABUSE_S_MAX, enough.set)

    def go_on() -> int:
        for times in itertools.count():
            if enough.is_set():
                return times
            with contextlib.suppress(OSError):
                abuse(times)
        raise AssertionError

    timer.start()
    with ThreadPoolExecutor(abusers, thread_name_prefix="abuser") as pool:
        done = [pool.submit(go_on) for _ in range(abusers)]
        try:
            yield
            assert not enough.is_set(), "the abuse was over before its effect was measured"
        finally:
            enough.set()
            timer.cancel()
    assert sum(future.result() for future in done) >= times_min


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[World]:
    """A gateway with the broker inside it."""
    settings = load(data_dir=folder / "gateway", broker_port=0, api_port=0)
    with running(settings) as gateway:
        door = Door(gateway.broker_port, passwords={})
        yield peopled(World(gateway, door, folder))


@contextlib.contextmanager
def embedded_door(folder: Path) -> Iterator[Door]:
    """An embedded broker alone, where gateway is a user like the devices, who are enrolled."""
    with embedded(folder) as world:
        passwords = world.door.passwords | {GATEWAY: "the password of the gateway"}

        def authenticate(user: str, password: str) -> bool:
            if user == GATEWAY:
                return password == passwords[GATEWAY]
            return world.service.devices.authenticate(user, password)

        with EmbeddedBroker(
            host="127.0.0.1", port=0, topics=Topics(), authenticate=authenticate
        ) as broker:
            yield Door(broker.port, passwords)


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[World]:
    """A gateway at a real Mosquitto, with the files that ``gateway broker-config`` writes."""
    with Mosquitto(folder) as broker, _at(broker, folder) as world:
        yield world


@contextlib.contextmanager
def mosquitto_door(folder: Path) -> Iterator[Door]:
    """A real Mosquitto with the same accounts, after the gateway has gone."""
    with Mosquitto(folder) as broker:
        with _at(broker, folder) as world:
            door = world.door
        with door.probe(GATEWAY) as gateway:  # has left its goodbye
            gateway.publish(Topics().status(GATEWAY), b"", retain=True)
        yield door


@contextlib.contextmanager
def _at(broker: Mosquitto, folder: Path) -> Iterator[World]:
    settings = load(broker.settings_file, data_dir=folder / "gateway", api_port=0)
    with running(settings) as gateway:
        assert gateway.connected
        door = Door(
            broker.port,
            passwords={GATEWAY: broker.password},
            knows_feeds=True,
            tls=broker.tls(),
            pid=broker.pid,
        )
        yield peopled(World(gateway, door, folder, tls=settings.tls))


def peopled(world: World) -> World:
    """With two feeds and three devices, of which one was removed."""
    service = world.service
    for feed in (FEED, PRIVATE):
        service.add_feed(feed)
    service.apply(FEED, Put("ada", b"the card of ada", "contact", "text/vcard"))
    service.apply(PRIVATE, Put("secret", SECRET, "contact", "text/vcard"))
    for device, feeds in ((ABUSER, [FEED]), (HONEST, [FEED, PRIVATE]), (REMOVED, [FEED])):
        world.door.passwords[device] = service.devices.add(device, feeds)
    service.devices.remove(REMOVED)
    return world


EMBEDDED: Final = "embedded"
MOSQUITTO: Final = "mosquitto"
WORLDS: Final = {EMBEDDED: embedded, MOSQUITTO: mosquitto}
DOORS: Final = {EMBEDDED: embedded_door, MOSQUITTO: mosquitto_door}
