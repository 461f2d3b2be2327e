"""Floods of connects and logins, and who tries to be somebody else."""

import contextlib

from sync_protocol.names import GATEWAY
from tests.abuse.devices import Liar
from tests.abuse.worlds import (
    ABUSER,
    FEED,
    HONEST,
    HONEST_S_MAX,
    MEMORY_BYTES_MAX,
    REMOVED,
    Door,
    World,
    meanwhile,
)
from tests.gateway.mqtt_probe import connect

NOTIFY = f"sync/v1/{HONEST}/{FEED}/notify"
IDLE_CONNECTIONS = 100
FOREIGN_IDS = (HONEST, GATEWAY, "", f"{HONEST} ", HONEST.upper(), f"{ABUSER}-2", "x" * 1000)


class TestClientIds:
    """A broker puts out whoever has the client id of somebody new (MQTT 3.1.1, section 3.1.4)."""

    def test_of_others_put_nobody_out(self, door: Door) -> None:
        """A broker refuses them, or takes the user's name for it whatever a client says."""
        with door.probe(HONEST) as tab, door.probe(GATEWAY) as gateway:
            tab.subscribe(NOTIFY)
            for client_id in FOREIGN_IDS:
                for clean_session in (True, False):
                    login(door, ABUSER, door.passwords[ABUSER], client_id, clean_session)
            gateway.publish(NOTIFY, b"push")
            assert tab.hear_until(b"push") == []
            assert not tab.has_ended
            assert not gateway.has_ended

    def test_of_others_who_are_away_keep_nobody_out(self, door: Door) -> None:
        for client_id in FOREIGN_IDS:
            with door.raw() as raw:
                raw.send(connect(ABUSER, door.passwords[ABUSER], client_id=client_id))
                raw.receive(4)
                with door.probe(HONEST) as tab, door.probe(GATEWAY) as gateway:
                    tab.subscribe(NOTIFY)
                    raw.send(connect(ABUSER, door.passwords[ABUSER], client_id=client_id))
                    gateway.publish(NOTIFY, b"push")
                    assert tab.hear().payload == b"push"

    def test_of_its_own_puts_out_nobody_but_itself(self, door: Door) -> None:
        with door.probe(HONEST) as tab, contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(door.probe(ABUSER))
            assert not tab.has_ended

    def test_leave_no_session_that_fills_the_memory(self, door: Door) -> None:
        """A broker may keep a session, and queue for it, if the device wants it to."""
        response = f"sync/v1/{ABUSER}/{FEED}/response"
        with door.probe(ABUSER, clean_session=False) as phone:
            phone.subscribe(response)
        before = door.memory_bytes()
        with door.probe(GATEWAY) as gateway:
            for _ in range(400):
                gateway.publish(response, bytes(256 * 1024))
        assert door.memory_bytes() - before < MEMORY_BYTES_MAX


class TestFlood:
    def test_of_bad_logins(self, world: World) -> None:
        # Where all come from one address, a password that was right before is not made to wait.
        world.honest_sync_s()

        def guess(number: int) -> None:
            user = (HONEST, ABUSER, GATEWAY, f"stranger-{number}")[number % 4]
            assert not login(world.door, user, f"guess {number}")

        with meanwhile(guess, abusers=4):
            assert world.slowest_sync_s() < HONEST_S_MAX

    def test_of_connects(self, world: World) -> None:
        password = world.door.passwords[ABUSER]
        with meanwhile(lambda _: login(world.door, ABUSER, password), abusers=4):
            assert world.slowest_sync_s() < HONEST_S_MAX

    def test_of_connections_that_say_nothing(self, world: World) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE_CONNECTIONS):
                stack.enter_context(world.door.raw())
            assert world.honest_sync_s() < HONEST_S_MAX


def login(
    door: Door,
    user: str,
    password: str,
    client_id: str | None = None,
    clean_session: bool = True,  # noqa: FBT001, FBT002 - one of the two that there are
) -> bool:
    """Try to log in, and go."""
    with door.raw() as raw:
        raw.send(connect(user, password, client_id=client_id, clean_session=clean_session))
        return raw.receive(4)[3:] == b"\0"


def test_a_connect_that_promises_much_gets_no_room(world: World) -> None:
    """256 MiB are announced, and 1 MiB of them sent piece by piece: nobody sets room aside."""
    before = world.door.memory_bytes()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            raw = stack.enter_context(world.door.raw())
            raw.send(b"\x10\xff\xff\xff\x7f\0\4MQTT\4\xc2\0\0")
            with contextlib.suppress(OSError):
                for _ in range(16):
                    raw.send(bytes(64 * 1024))
        assert world.door.memory_bytes() - before < MEMORY_BYTES_MAX
        assert world.honest_sync_s() < HONEST_S_MAX


class TestOldCredentials:
    def test_of_a_removed_device(self, world: World) -> None:
        assert not login(world.door, REMOVED, world.door.passwords[REMOVED])

    def test_that_was_rotated_ends_a_connection_that_is_open(self, world: World) -> None:
        old = world.door.passwords[ABUSER]
        with Liar(world.door) as phone:
            assert phone.ask().inventory is not None
            world.door.passwords[ABUSER] = world.service.devices.rotate(ABUSER)
            phone.probe.wait_until_ended()
        assert not login(world.door, ABUSER, old)
        with Liar(world.door) as phone:
            assert phone.ask().inventory is not None

    def test_that_was_taken_away_ends_a_connection_that_is_open(self, world: World) -> None:
        with Liar(world.door) as phone:
            assert phone.ask().inventory is not None
            world.service.devices.remove(ABUSER)
            phone.probe.wait_until_ended()
        assert not login(world.door, ABUSER, world.door.passwords[ABUSER])
        # The id, used again, is another device's.
        old = world.door.passwords[ABUSER]
        world.door.passwords[ABUSER] = world.service.devices.add(ABUSER, [FEED])
        assert not login(world.door, ABUSER, old)
        assert login(world.door, ABUSER, world.door.passwords[ABUSER])
        assert world.honest_sync_s() < HONEST_S_MAX
