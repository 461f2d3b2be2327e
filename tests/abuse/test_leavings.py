"""What a client leaves behind: wills and retained messages on topics that are not its own."""

from collections.abc import Iterator

from sync_protocol import wire
from sync_protocol.names import GATEWAY
from sync_protocol.wire import Format
from tests.abuse.devices import Liar
from tests.abuse.test_topics import GATEWAY_STATUS, P, may_write
from tests.abuse.worlds import ABUSER, FEED, HONEST, HONEST_S_MAX, PRIVATE, Door, World, counted
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Heard, Probe, Will

STATUS = f"{P}/{ABUSER}/status"
REQUEST = f"{P}/{ABUSER}/{FEED}/request"
FOREIGN = (
    GATEWAY_STATUS,
    f"{P}/{HONEST}/status",
    f"{P}/{HONEST}/{FEED}/request",
    f"{P}/{HONEST}/{FEED}/notify",
    f"{P}/{HONEST}/{FEED}/response",
    f"{P}/{ABUSER}/{FEED}/notify",
    f"{P}/{ABUSER}/{PRIVATE}/response",
)


def test_a_will_for_others_reaches_nobody(door: Door) -> None:
    with door.probe(GATEWAY) as gateway, door.probe(HONEST) as tab:
        gateway.subscribe(f"{P}/+/+/request", f"{P}/+/status")
        tab.subscribe(
            GATEWAY_STATUS, *(f"{P}/{HONEST}/{FEED}/{it}" for it in ("notify", "response"))
        )
        for topic in FOREIGN:
            assert not may_write(door, ABUSER, topic)
            for retain in (False, True):
                dying = door.probe(ABUSER, will=Will(topic, b"forged", retain=retain))
                if dying.connect() == "Success":  # a broker may look at a will when it is due
                    dying.vanish()
                dying.close()
        # Its own is sent, after all those.
        with door.probe(ABUSER, will=Will(STATUS, b"offline")) as phone:
            phone.vanish()
        assert gateway.hear_until(b"offline") == []
        gateway.publish(f"{P}/{HONEST}/{FEED}/notify", b"end")
        assert tab.hear_until(b"end") == []
    for user, topics in (
        (GATEWAY, (f"{P}/+/+/request", f"{P}/+/status")),
        (HONEST, (GATEWAY_STATUS,)),
    ):
        with door.probe(user) as late:
            late.subscribe(*topics)
            assert [heard for heard in nothing_more(door, late) if heard == b"forged"] == []


def nothing_more(door: Door, probe: Probe) -> Iterator[bytes]:
    """The payloads of all that `probe` has heard up to now."""
    writer, topic = (
        (ABUSER, REQUEST) if probe.user == GATEWAY else (GATEWAY, f"{P}/{probe.user}/{FEED}/notify")
    )
    if writer == GATEWAY:
        probe.subscribe(topic)
    with door.probe(writer) as other:
        other.publish(topic, b"end")
        yield from (heard.payload for heard in probe.hear_until(b"end"))


def test_a_message_left_for_others_reaches_nobody(door: Door) -> None:
    with door.probe(ABUSER) as phone:
        for topic in FOREIGN:
            phone.publish(topic, b"forged", retain=True)
    for user, topics in (
        (GATEWAY, (f"{P}/+/+/request", f"{P}/+/status")),
        (HONEST, (GATEWAY_STATUS, f"{P}/{HONEST}/{FEED}/notify", f"{P}/{HONEST}/{FEED}/response")),
        (ABUSER, (f"{P}/{ABUSER}/{FEED}/notify",)),
    ):
        with door.probe(user) as late:
            late.subscribe(*topics)
            assert b"forged" not in list(nothing_more(door, late))


def test_feeds_that_are_invented_fill_nothing(door: Door) -> None:
    invented = [f"{P}/{ABUSER}/invented-{number}/request" for number in range(200)]
    with door.probe(ABUSER) as phone:
        for topic in invented:
            phone.publish(topic, bytes(1024), retain=True)
    with door.probe(GATEWAY) as gateway:
        gateway.subscribe(f"{P}/+/+/request", f"{P}/+/status")
        assert list(nothing_more(door, gateway)) == []


def test_a_request_that_is_left_is_not_served_again_and_again(world: World) -> None:
    with Liar(world.door) as phone:
        request = phone.request()
        left = wire.encode(request, Format.CBOR)
        assert phone.answer(left, request.id, retain=True).inventory is not None
    served = counted(world, "requests")
    with Liar(world.door) as phone:
        phone.probe.subscribe(GATEWAY_STATUS)
        world.reconnect_gateway()
        while phone.probe.hear() != Heard(GATEWAY_STATUS, b"online"):
            pass  # what was left, and that it goes
        phone.compared()
        assert phone.others == []
    assert counted(world, "requests") == served + 1


def test_a_status_that_lies_harms_only_its_maker(world: World) -> None:
    with Liar(world.door) as phone:
        for payload in (b"", b"online" * 10_000, b"\xff\0", b"offline"):
            phone.say_status(payload)
        assert eventually(lambda: not world.service.devices.one(ABUSER).online)
        assert world.honest_sync_s() < HONEST_S_MAX
    assert counted(world, "errors in a handler") == 0
