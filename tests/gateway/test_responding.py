"""The responder's thread: every request is answered or counted, and none ends it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.device import Device
from gateway.device_limits import (
    FLOOD_FACTOR,
    REFUSALS_BURST,
    RETRY_AFTER_S_MAX,
    SHUT_OUT_S,
    STATUSES_PER_MINUTE_MAX,
    WORK_BURST_S,
    Bounds,
)
from gateway.inbox import REQUESTS_MAX, STATUSES_MAX
from gateway.ledger import Record
from gateway.notifier import Target
from gateway.responding import Responding
from gateway.rivals import WARNING
from sync_protocol import messages, wire
from sync_protocol.limits import REQUEST_BYTES_MAX
from sync_protocol.messages import Range, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.topics import Topics
from sync_protocol.wire import Format
from tests.gateway.answering import BreakingStore, Gateway, refusal
from tests.gateway.asking import GENERATION, REQUEST_ID, VIEW_ID, collection, lineage
from tests.gateway.sample_feeds import EPOCH, FEED, NOW

REQUESTS = f"sync/v1/phone/{FEED}/request"
STATUS = "sync/v1/phone/status"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    store = BreakingStore(tmp_path / "gateway.sqlite3")
    yield Gateway(store)
    store.close()


def request(form: Format = Format.CBOR, *, base: int = 2) -> bytes:
    """Of a device that holds nothing."""
    held = collection(base=base)
    asked = Request(v=1, id=REQUEST_ID, view_id=VIEW_ID, base=base, collection=held)
    return wire.encode(asked, form)


def inventory(form: Format = Format.CBOR) -> bytes:
    """Of a device that begins."""
    asked = Request(v=1, id=REQUEST_ID, view_id=VIEW_ID, inventory=(Range(entries=b""),))
    return wire.encode(asked, form)


# Requests


@pytest.mark.parametrize("form", Format)
def test_a_request_is_answered_in_its_form(gateway: Gateway, form: Format) -> None:
    (answered,) = gateway.take((REQUESTS, request(form)))
    assert (answered.device, answered.feed) == ("phone", FEED)
    assert wire.form_of(answered.payload) is form
    assert answered.answer == answered.response.answer
    assert answered.answer.delta is not None
    assert [it.item_id for it in answered.answer.delta.changes] == ["bob", "ada"]
    assert gateway.counts("requests", "changes resent") == [1, 2]


def test_requests_are_answered_in_turn(gateway: Gateway) -> None:
    answers = gateway.take(*((REQUESTS, request(base=base)) for base in range(50)))
    assert [it.answer.delta and it.answer.delta.base for it in answers] == list(range(50))


def test_a_request_makes_the_replica_known(gateway: Gateway) -> None:
    gateway.take((REQUESTS, request(Format.JSON)))
    assert gateway.registry.record("phone", FEED) == Record(
        generation=GENERATION,
        base=2,
        view_id=VIEW_ID,
        form=Format.JSON,
        epoch=EPOCH,
        held=TokenSet.span(-1, 0),
        synced_at=1234,
    )
    assert list(gateway.registry.take_unsaved()) == ["phone"]


@pytest.mark.parametrize("form", Format)
def test_an_inventory_is_answered_and_tells_nothing_of_the_replica(
    gateway: Gateway, form: Format
) -> None:
    (answered,) = gateway.take((REQUESTS, inventory(form)))
    assert wire.form_of(answered.payload) is form
    compared = answered.answer.inventory
    assert compared is not None
    assert (compared.base, compared.head, compared.answered) == (2, 0, 1)
    assert compared.lineage == lineage(base=2)
    assert list(TokenSet.decode(compared.missing)) == [(-1, 0)]
    assert gateway.registry.record("phone", FEED) is None
    assert gateway.counts("requests", "changes resent") == [1, 0]


def test_two_agents_of_one_device_are_told_once(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(view_id: int) -> bytes:
        inventory = '"inventory":[{"entries":""}]'
        return f'{{"v":1,"id":"AAAAAAAAAAA=","view_id":{view_id},{inventory}}}'.encode()

    gateway.take((REQUESTS, asked(1)), (REQUESTS, asked(2)))
    assert not gateway.registry.are_two("phone", now=1234.5)
    gateway.take((REQUESTS, asked(1)), (REQUESTS, asked(2)))
    assert gateway.registry.are_two("phone", now=1234.5)
    assert caplog.messages == [f"device phone: {WARNING}"]
    assert gateway.counts("device ids found with two agents") == [1]


def test_an_unknown_device_is_refused(gateway: Gateway) -> None:
    (answered,) = gateway.take((f"sync/v1/eve/{FEED}/request", request()))
    assert refusal(answered) == ("device", "device 'eve' is not enrolled here")
    assert gateway.registry.record("eve", FEED) is None
    assert not gateway.registry.is_known("eve")
    assert gateway.counts("requests refused: device") == [1]


@pytest.mark.parametrize("feed", ["private", "none"])
def test_a_feed_that_is_not_the_devices_is_refused(gateway: Gateway, feed: str) -> None:
    (answered,) = gateway.take((f"sync/v1/phone/{feed}/request", request()))
    # Whether there is such a feed is not told.
    assert refusal(answered) == ("feed", f"device 'phone' may not hold a feed '{feed}'")


@pytest.mark.parametrize("form", Format)
def test_another_version_is_refused_and_told_ours(gateway: Gateway, form: Format) -> None:
    encoded = {
        Format.CBOR: b"\xa2\x00\x02\x01\x48" + REQUEST_ID,
        Format.JSON: b'{"v":2,"id":"cmVxdWVzdCE=","news":[1]}',
    }[form]
    (answered,) = gateway.take((REQUESTS, encoded))
    assert refusal(answered)[0] == "version"
    assert wire.form_of(answered.payload) is form
    assert answered.answer.refused is not None
    assert answered.answer.refused.versions == (messages.VERSION,)


def test_a_wrong_request_is_refused_with_the_reason(gateway: Gateway) -> None:
    (answered,) = gateway.take((REQUESTS, b'{"v":1,"id":"cmVxdWVzdCE=","view_id":-1}'))
    reason, message = refusal(answered)
    assert reason == "invalid"
    assert "view_id" in message


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "form"),
        (b"\xff" * 30, "form"),
        (b"\xbf" + b"\x00" * 30, "unreadable"),
        (b"{" * 5_000, "invalid"),
        (b'{"v":1}', "invalid"),
        (b"{" + b" " * REQUEST_BYTES_MAX + b"}", "too-large"),
        (b"\xa0" + bytes(5_000_000), "too-large"),
    ],
    ids=["empty", "neither form", "endless", "deep", "no id", "one byte too many", "huge"],
)
def test_what_has_no_readable_id_is_counted_and_nobody_told(
    gateway: Gateway, payload: bytes, reason: str
) -> None:
    answers = gateway.take((REQUESTS, payload), (REQUESTS, request()))
    assert len(answers) == 1  # the second one's: the thread goes on
    assert gateway.counts("requests", f"requests refused: {reason}") == [2, 1]


@given(
    payloads=st.lists(st.binary(max_size=100), max_size=20),
    damage=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=5),
    form=st.sampled_from(Format),
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bytes_end_nothing(
    gateway: Gateway, payloads: list[bytes], damage: list[tuple[int, int]], form: Format
) -> None:
    damaged = bytearray(request(form, base=1))
    for place, value in damage:
        damaged[place % len(damaged)] = value
    sent = [bytes(damaged), *payloads, request()]
    answers = gateway.take(*((REQUESTS, payload) for payload in sent))
    assert answers[-1].answer.delta is not None
    assert gateway.counts("errors in a handler") == [0]


def test_a_failure_of_the_store_is_told_counted_and_survived(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.store.broken = True
    with caplog.at_level(logging.ERROR):
        first, second = gateway.take((REQUESTS, request()), (REQUESTS, request()))
    assert refusal(first) == ("internal", "the gateway failed; try later")
    assert second.answer.delta is not None
    assert gateway.counts("errors in a handler", "requests") == [1, 2]
    assert "disk I/O error" in caplog.text


def test_a_failure_of_the_outbound_is_counted_and_survived(gateway: Gateway) -> None:
    gateway.outbox.broken = True
    (answered,) = gateway.take((REQUESTS, request()), (REQUESTS, request()))
    assert answered.answer.delta is not None
    assert gateway.counts("errors in a handler") == [1]


# Statuses


def test_who_says_online_is_pushed_to_as_the_ledger_knows_it(gateway: Gateway) -> None:
    record = Record(GENERATION, 1, 9, Format.JSON, EPOCH, TokenSet(), 5)
    gateway.ledger.save("phone", GENERATION, {FEED: record})
    gateway.take((STATUS, b"online"))
    assert gateway.registry.targets(FEED) == [Target("phone", GENERATION, 1, 9, Format.JSON)]
    gateway.take((STATUS, b"offline"))
    assert gateway.registry.targets(FEED) == []


def test_an_empty_status_is_offline(gateway: Gateway) -> None:
    gateway.take((STATUS, b"online"), (STATUS, b""))
    assert gateway.registry.online() == []


def test_another_enrolment_is_not_known_from_the_ledger(gateway: Gateway) -> None:
    record = Record(GENERATION, 1, 9, Format.JSON, EPOCH, TokenSet(), 5)
    gateway.ledger.save("phone", b"the old!", {FEED: record})
    gateway.take((STATUS, b"online"))
    assert gateway.registry.online() == ["phone"]
    assert gateway.registry.targets(FEED) == []


def test_a_collection_of_another_enrolment_is_void_and_makes_nothing_known(
    gateway: Gateway,
) -> None:
    with gateway.store.transaction() as transaction:
        transaction.remove_device("phone")
        transaction.add_device(Device("phone", "", b"the new!", (FEED,)), now=NOW)
    (answered,) = gateway.take((STATUS, b"online"), (REQUESTS, request()))
    assert answered.answer.void == messages.Void(why="lineage")
    assert gateway.registry.record("phone", FEED) is None
    assert gateway.registry.targets(FEED) == []


def test_a_request_before_the_status_leaves_the_other_feeds_known(gateway: Gateway) -> None:
    # The statuses and requests that meet a gateway that has just started come in any order.
    record = Record(GENERATION, 1, 9, Format.JSON, EPOCH, TokenSet(), 5)
    gateway.ledger.save("phone", GENERATION, {FEED: record, "mail": record})
    gateway.take((REQUESTS, request()), (STATUS, b"online"))
    assert gateway.registry.targets("mail") == [Target("phone", GENERATION, 1, 9, Format.JSON)]
    assert gateway.registry.targets(FEED) == [Target("phone", GENERATION, 2, VIEW_ID, Format.CBOR)]
    assert gateway.registry.take_unsaved()["phone"]["mail"] == record


def test_a_status_of_nobody_we_know(gateway: Gateway) -> None:
    gateway.take(("sync/v1/eve/status", b"online"), (STATUS, b"ONLINE"), (STATUS, bytes(99_999)))
    assert gateway.registry.online() == []
    assert gateway.counts("messages of unknown devices", "statuses refused") == [1, 2]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "sync/v1",
        f"sync/v1/phone/{FEED}/response",
        f"sync/v1/phone/{FEED}/notify",
        f"sync/v2/phone/{FEED}/request",
        f"sync/v1/../{FEED}/request",
        f"sync/v1/ph\0ne/{FEED}/request",
        f"sync/v1/{'x' * 65}/{FEED}/request",
        "sync/v1/phone/../request",
        "+/#",
        "\ud800",
    ],
)
def test_a_strange_topic_is_counted(gateway: Gateway, topic: str) -> None:
    (answered,) = gateway.take((topic, request()), (REQUESTS, request()))
    assert answered.answer.delta is not None
    assert gateway.counts("messages on strange topics", "errors in a handler") == [1, 0]


def test_its_own_status_is_nothing_strange(gateway: Gateway) -> None:
    gateway.take(("sync/v1/gateway/status", b"online"))
    assert gateway.registry.online() == []
    assert gateway.counters.read() == {}


# The queue


def worked_off(responding: Responding) -> None:
    responding.start()
    responding.close()


def test_a_newer_request_replaces_a_waiting_one(gateway: Gateway) -> None:
    responding = gateway.responding()
    for base in range(3):
        responding.take(REQUESTS, request(base=base))
    worked_off(responding)
    (answered,) = gateway.outbox.answers
    assert answered.answer.delta is not None
    assert answered.answer.delta.base == 2
    assert gateway.counts("requests replaced by newer ones", "requests") == [2, 1]


def test_a_flood_starves_nobody_and_drops_no_status(gateway: Gateway) -> None:
    responding = gateway.responding()
    for _ in range(10_000):
        responding.take(f"sync/v1/eve/{FEED}/request", request())
        responding.take("sync/v1/eve/status", b"online")
    responding.take(REQUESTS, request())
    responding.take(STATUS, b"online")
    worked_off(responding)
    assert [it.device for it in gateway.outbox.answers] == ["eve", "phone"]
    assert gateway.registry.online() == ["phone"]
    assert gateway.counts("messages dropped, queue full") == [0]


def test_a_full_inbox_drops_and_counts_but_takes_statuses(gateway: Gateway) -> None:
    responding = gateway.responding()
    for number in range(REQUESTS_MAX + 5):
        responding.take(f"sync/v1/device{number}/{FEED}/request", b"")
    assert gateway.counts("messages dropped, queue full") == [5]
    responding.take(STATUS, b"online")
    assert gateway.counts("messages dropped, queue full") == [5]
    worked_off(responding)
    assert gateway.registry.online() == ["phone"]
    assert gateway.counts("requests") == [REQUESTS_MAX]


def test_statuses_of_too_many_devices_are_dropped_and_counted(gateway: Gateway) -> None:
    responding = gateway.responding()
    for number in range(STATUSES_MAX + 5):
        responding.take(f"sync/v1/device{number}/status", b"offline")
    assert gateway.counts("messages dropped, queue full") == [5]


def test_nothing_is_raised_to_the_transport(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    responding = gateway.responding()
    with mock.patch.object(Topics, "parse", side_effect=RuntimeError("a bug in the parser")):
        responding.take(REQUESTS, request())
    assert gateway.counts("errors in a handler") == [1]
    assert "a bug in the parser" in caplog.text


def test_closing_twice_or_without_a_start_is_no_error(gateway: Gateway) -> None:
    responding = gateway.responding()
    responding.close()
    responding.start()
    responding.close()
    responding.close()


class TestLimits:
    def limited(
        self,
        gateway: Gateway,
        *,
        requests_per_minute_max: int = 10**6,
        bytes_per_hour_max: int = 10**12,
        work_share_max: float = 1.0,
    ) -> None:
        gateway.limits = Bounds(requests_per_minute_max, bytes_per_hour_max, work_share_max)

    def test_g8_requests_that_are_too_many_are_refused_with_the_time_to_wait(
        self, gateway: Gateway
    ) -> None:
        self.limited(gateway, requests_per_minute_max=6)
        *answers, refused = gateway.take(*[(REQUESTS, request())] * 7)
        assert all(it.answer.delta is not None for it in answers)
        assert refusal(refused) == (
            "busy",
            "this device asks for more than its share: ask again later",
        )
        assert refused.answer.refused is not None
        assert refused.answer.refused.retry_after_s == 10

    def test_g8_of_many_refused_requests_only_a_few_are_told_so(self, gateway: Gateway) -> None:
        self.limited(gateway, requests_per_minute_max=1)
        answers = gateway.take(*[(REQUESTS, request())] * 30)
        assert len(answers) == 1 + REFUSALS_BURST
        assert gateway.counts(
            "requests", "requests refused: too much for one device", "requests dropped, too many"
        ) == [1 + REFUSALS_BURST, REFUSALS_BURST, 30 - 1 - REFUSALS_BURST]

    @pytest.mark.parametrize("form", Format)
    def test_g8_nothing_but_the_id_is_read_of_what_is_refused(
        self, gateway: Gateway, form: Format
    ) -> None:
        self.limited(gateway, requests_per_minute_max=1)
        wrong = {
            Format.CBOR: b"\xa2\x00\x01\x01\x48" + REQUEST_ID,
            Format.JSON: b'{"v":1,"id":"cmVxdWVzdCE=","view_id":-1}',
        }[form]
        _, refused = gateway.take((REQUESTS, request()), (REQUESTS, wrong))
        assert refusal(refused)[0] == "busy"
        assert wire.form_of(refused.payload) is form

    def test_g8_who_was_sent_too_much_waits(self, gateway: Gateway) -> None:
        self.limited(gateway, bytes_per_hour_max=10)
        first, refused = gateway.take((REQUESTS, request()), (REQUESTS, request()))
        assert first.answer.delta is not None
        assert refusal(refused)[0] == "busy"
        assert refused.answer.refused is not None
        assert refused.answer.refused.retry_after_s == RETRY_AFTER_S_MAX

    def test_g8_who_had_its_share_of_the_work_waits(self, gateway: Gateway) -> None:
        self.limited(gateway, work_share_max=0.5)
        gateway.work_s = WORK_BURST_S + 1
        first, refused = gateway.take((REQUESTS, request()), (REQUESTS, request()))
        assert first.answer.delta is not None
        assert refusal(refused)[0] == "busy"
        assert refused.answer.refused is not None
        assert refused.answer.refused.retry_after_s == 2

    def test_g8_the_limits_of_one_device_are_not_those_of_another(self, gateway: Gateway) -> None:
        self.limited(gateway, requests_per_minute_max=1)
        eve = f"sync/v1/eve/{FEED}/request"
        *_, answered = gateway.take(*[(eve, request())] * 40, (REQUESTS, request()))
        assert answered.answer.delta is not None

    def test_g8_a_request_that_the_broker_had_kept_is_dropped(self, gateway: Gateway) -> None:
        responding = gateway.responding()
        responding.start()
        responding.take(REQUESTS, request(), retained=True)
        responding.take(STATUS, b"online", retained=True)
        responding.close()
        assert gateway.outbox.answers == []
        assert gateway.registry.online() == ["phone"]
        assert gateway.counts("requests dropped, retained") == [1]

    def test_statuses_that_are_too_many_are_dropped(self, gateway: Gateway) -> None:
        gateway.take(*[(STATUS, b"online")] * STATUSES_PER_MINUTE_MAX, (STATUS, b"offline"))
        assert gateway.registry.online() == ["phone"]
        assert gateway.counts("statuses dropped, too many") == [1]

    def test_who_sends_far_too_much_is_shut_out_once(self, gateway: Gateway) -> None:
        self.limited(gateway, requests_per_minute_max=1)
        flood = FLOOD_FACTOR * STATUSES_PER_MINUTE_MAX
        gateway.take(*[(REQUESTS, request())] * flood)
        assert gateway.floods == []
        gateway.take(*[(REQUESTS, request())] * (flood + 100))
        assert gateway.floods == [("phone", SHUT_OUT_S)]
        assert gateway.counts("floods of a device") == [1]
