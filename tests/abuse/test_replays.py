"""What was said once is said again: by the same device, by another one, to another one."""

from device_agent.results import AnswerResult, PushResult
from gateway.rows import Put
from sync_protocol import wire
from sync_protocol.messages import Answer, Notification, Request
from tests.abuse.devices import Liar
from tests.abuse.worlds import ABUSER, FEED, HONEST, HONEST_S_MAX, World, counted
from tests.eventually import eventually
from tests.integration.edits import held_by_device, held_by_feed


class Wiretap:
    """Keeps all that an agent says and hears."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.pushes: list[bytes] = []

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        """See `Observer`."""
        del feed, push, result
        self.pushes.append(payload)

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """See `Observer`."""
        del feed, request
        self.requests.append(payload)

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        """See `Observer`."""
        del feed, answer, result
        self.answers.append(payload)


def tapped(world: World, device: str) -> Wiretap:
    """All that passes while a device syncs, is pushed something, and syncs again."""
    tap = Wiretap()
    with world.agent(device, observer=tap) as agent:
        agent.sync(20)
        assert eventually(lambda: world.service.devices.one(device).online)
        world.service.apply(FEED, Put(f"for-{device}", b"news", "contact", "text/vcard"))
        assert eventually(lambda: tap.pushes)
        agent.sync(20)
    return tap


def holds_all(world: World, device: str) -> bool:
    return held_by_device(world.folder / device) == held_by_feed(world.service)


def test_old_requests_of_its_own(world: World) -> None:
    tap = tapped(world, ABUSER)
    world.service.apply(FEED, Put("later", b"later", "contact", "text/vcard"))
    with world.agent(ABUSER) as agent:
        agent.sync(20)
    with Liar(world.door) as phone:
        for payload in tap.requests:
            answer = phone.answer(payload, wire.decode(Request, payload, bytes_max=10**6).id)
            assert answer.refused is None
    with world.agent(ABUSER) as agent:
        agent.sync(20)
        assert eventually(lambda: world.service.devices.one(ABUSER).online)
        pushes = agent.counts.get("pushes", 0)
        world.service.apply(FEED, Put("last", b"last", "contact", "text/vcard"))
        assert eventually(lambda: agent.counts.get("pushes", 0) > pushes)
        agent.sync(20)
    assert holds_all(world, ABUSER)
    assert counted(world, "errors in a handler") == 0


def test_another_devices_requests(world: World) -> None:
    tap = tapped(world, HONEST)
    with Liar(world.door) as phone:
        for payload in tap.requests:
            request = wire.decode(Request, payload, bytes_max=10**6)
            answer = phone.answer(payload, request.id)
            assert (answer.void is not None) == (request.collection is not None)
    assert counted(world, "errors in a handler") == 0
    assert world.honest_sync_s() < HONEST_S_MAX


def test_to_another_device_and_as_what_it_is_not(world: World) -> None:
    """Pushes and answers do not reach another device, and are no requests."""
    tap = tapped(world, HONEST)
    told = Wiretap()
    with world.agent(HONEST, observer=told) as tab, Liar(world.door) as phone:
        tab.sync(20)
        heard = len(told.pushes), len(told.answers)
        requests = counted(world, "requests")
        own = f"sync/v1/{HONEST}/{FEED}"
        for payload in tap.pushes + tap.answers:
            for channel in ("notify", "response", "request"):
                phone.probe.publish(f"{own}/{channel}", payload)
        for payload in tap.pushes + tap.answers:
            phone.send(payload)
        assert phone.ask().inventory is not None
        assert (len(told.pushes), len(told.answers)) == heard
        # What it said on its own topic was counted, and nothing that it said on tab's.
        assert 0 < counted(world, "requests") - requests <= len(tap.pushes + tap.answers) + 1
        tab.sync(20)
    assert holds_all(world, HONEST)
    assert counted(world, "errors in a handler") == 0


def test_an_old_request_after_a_new_enrolment(world: World) -> None:
    tap = tapped(world, ABUSER)
    world.service.devices.remove(ABUSER)
    world.door.passwords[ABUSER] = world.service.devices.add(ABUSER, [FEED])
    with Liar(world.door) as phone:
        for payload in tap.requests:
            request = wire.decode(Request, payload, bytes_max=10**6)
            answer = phone.answer(payload, request.id)
            assert (answer.void is not None) == (request.collection is not None)
