"""Floods of messages and subscriptions, huge ones, and who does not read."""

import contextlib
import os
from collections.abc import Callable

import cbor2
import pytest

from gateway.rows import Put
from sync_protocol import limits, wire
from sync_protocol.messages import Range
from sync_protocol.names import GATEWAY
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.abuse.devices import Liar, collected
from tests.abuse.worlds import (
    ABUSER,
    FEED,
    HONEST,
    HONEST_S_MAX,
    MEMORY_BYTES_MAX,
    Door,
    World,
    counted,
    meanwhile,
)
from tests.gateway.mqtt_probe import connect, packet, text

PREFIX = "sync/v1"
NOTIFY = f"{PREFIX}/{ABUSER}/{FEED}/notify"
RESPONSE = f"{PREFIX}/{ABUSER}/{FEED}/response"
REQUEST = f"{PREFIX}/{ABUSER}/{FEED}/request"
STATUS = f"{PREFIX}/{ABUSER}/status"
LARGEST = limits.REQUEST_BYTES_MAX
# How many are sent on one connection.
BURST = 20


def inventory_of_much(phone: Liar) -> bytes:
    entries = b"".join(sorted(os.urandom(14) for _ in range(9_000)))
    return wire.encode(phone.request(inventory=(Range(entries=entries),)), Format.CBOR)


def set_of_holes(phone: Liar) -> bytes:
    compared = phone.compared()
    held = TokenSet.of(range(-3_000, 60_000, 2)).newest_within(limits.TOKEN_SET_BYTES_MAX)
    collection = collected(compared, tokens=held.encode())
    return wire.encode(phone.request(base=compared.base, collection=collection), Format.CBOR)


# What is no request, and what is one that is dear to answer.
REQUESTS: dict[str, Callable[[Liar], bytes]] = {
    "random": lambda _: os.urandom(300),
    "empty": lambda _: b"",
    "too large": lambda _: bytes(LARGEST + 1),
    "deep CBOR": lambda _: b"\xa1\x05" + b"\x81" * (LARGEST - 3) + b"\0",
    "deep JSON": lambda _: b'{"view":' + b"[" * (LARGEST - 8),
    "CBOR that promises": lambda _: b"\xa2\x00\x01\x06\x9b\0\0\0\xff\xff\xff\xff\xff",
    "tags": lambda _: b"\xa1\x05" + b"\xd8\x1c" * 60_000,
    "a long number": lambda _: b'{"v":' + b"9" * 100_000 + b"}",
    "another version": lambda _: cbor2.dumps({0: 99, 1: bytes(8)}),
    "an inventory": lambda phone: wire.encode(phone.request(), Format.CBOR),
    "a long inventory": inventory_of_much,
    "a set of holes": set_of_holes,
}


def flood(door: Door, payload: bytes, *, topic: str = REQUEST) -> None:
    """Connect as phone, if the broker lets it, and send a burst without waiting for anything."""
    with door.raw() as raw:
        raw.send(connect(ABUSER, door.passwords[ABUSER]))
        if raw.receive(4)[3:] != b"\0":
            return
        for _ in range(BURST):
            raw.send(packet(0x30, text(topic) + payload))


def test_requests_of_all_kinds(world: World) -> None:
    with Liar(world.door) as phone:
        payloads = [make(phone) for make in REQUESTS.values()]
    with meanwhile(lambda times: flood(world.door, payloads[times % len(payloads)]), times_min=1):
        assert world.slowest_sync_s() < HONEST_S_MAX
    assert counted(world, "errors in a handler") == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", REQUESTS)
def test_requests(world: World, kind: str) -> None:
    fill(world, items=3_000)
    world.honest_sync_s()
    with Liar(world.door) as phone:
        payload = REQUESTS[kind](phone)
    before = world.door.memory_bytes()
    with meanwhile(lambda _: flood(world.door, payload), times_min=1):
        assert world.slowest_sync_s(for_s=4) < HONEST_S_MAX
    assert counted(world, "errors in a handler") == 0
    assert world.door.memory_bytes() - before < 4 * MEMORY_BYTES_MAX


def test_statuses(world: World) -> None:
    """Each may have the gateway read what it knows of the device."""
    with meanwhile(
        lambda times: flood(world.door, (b"online", b"offline")[times % 2], topic=STATUS),
        times_min=1,
    ):
        assert world.slowest_sync_s() < HONEST_S_MAX
    assert counted(world, "errors in a handler") == 0


def fill(world: World, *, items: int, size: int = 100) -> None:
    puts = [Put(f"item-{n}", os.urandom(size), "contact", "text/vcard") for n in range(items)]
    world.service.apply_many(FEED, puts)


def test_subscriptions_without_end(world: World) -> None:
    before = world.door.memory_bytes()

    def subscribe(times: int) -> None:
        with world.door.raw() as raw:
            raw.login(ABUSER, world.door.passwords[ABUSER])
            for burst in range(BURST):
                filters = (f"{PREFIX}/{ABUSER}/feed-{times}-{burst}-{n}/notify" for n in range(100))
                body = b"\0\1" + b"".join(text(each) + b"\0" for each in filters)
                raw.send(packet(0x82, body))
                raw.receive(5)

    with meanwhile(subscribe, times_min=1):
        assert world.slowest_sync_s() < HONEST_S_MAX
    assert world.door.memory_bytes() - before < MEMORY_BYTES_MAX


def test_a_packet_that_is_too_large(door: Door) -> None:
    with door.probe(GATEWAY) as gateway, door.probe(HONEST) as tab, door.raw() as phone:
        gateway.subscribe(f"{PREFIX}/+/+/request")
        phone.login(ABUSER, door.passwords[ABUSER])
        with contextlib.suppress(OSError):
            phone.send(packet(0x30, text(REQUEST) + bytes(4 * limits.MIB)))
        assert phone.receive(1) == b""
        tab.publish(f"{PREFIX}/{HONEST}/{FEED}/request", b"end")
        assert gateway.hear_until(b"end") == []


@pytest.mark.parametrize(
    ("topic", "qos", "size"),
    [
        # As large as pushes are unless told otherwise: Mosquitto bounds these by their number.
        pytest.param(NOTIFY, 0, 5_000, marks=pytest.mark.slow),
        (RESPONSE, 1, 256 * limits.KIB),
    ],
)
def test_who_does_not_read(door: Door, topic: str, qos: int, size: int) -> None:
    """Others hear all that is for them meanwhile, and no more is kept than a bounded part."""
    to_tab = topic.replace(ABUSER, HONEST)
    burst = 1 * limits.MIB // size
    before = door.memory_bytes()
    with door.probe(GATEWAY) as gateway, door.probe(HONEST) as tab, door.raw() as phone:
        phone.login(ABUSER, door.passwords[ABUSER])
        phone.subscribe(topic, qos=qos)
        tab.subscribe(to_tab)
        for number in range(2 * MEMORY_BYTES_MAX // limits.MIB):
            for _ in range(burst):
                gateway.publish(topic, bytes(size), qos=qos)
            gateway.publish(to_tab, b"%d" % number)
            assert tab.hear().payload == b"%d" % number
        assert door.memory_bytes() - before < MEMORY_BYTES_MAX


def test_who_does_not_read_what_it_asks_for(world: World) -> None:
    """A request of 60 bytes is answered with up to 256 KiB."""
    fill(world, items=4, size=60_000)
    with Liar(world.door) as phone:
        compared = phone.compared()
        collection = collected(compared)
        ask = phone.request(base=compared.base, collection=collection)
        assert len(wire.encode(phone.ask(ask), Format.CBOR)) > 200_000
    before = world.door.memory_bytes()
    with world.door.raw() as raw:
        raw.login(ABUSER, world.door.passwords[ABUSER])
        raw.subscribe(RESPONSE, qos=1)
        for _ in range(MEMORY_BYTES_MAX // 200_000 * 4):
            payload = wire.encode(
                phone.request(base=compared.base, collection=collection), Format.CBOR
            )
            raw.send(packet(0x30, text(REQUEST) + payload))
        assert world.slowest_sync_s() < HONEST_S_MAX
        # What the gateway has not got rid of yet counts, too, where the broker is in its process.
        assert world.door.memory_bytes() - before < 2 * MEMORY_BYTES_MAX
