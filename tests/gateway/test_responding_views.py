"""Requests with views: bounded, refused, put off and answered (docs/protocol.md, V4 and V5)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.device import Allowed
from gateway.notifier import Target
from sync_protocol import wire
from sync_protocol.inventory import id_hash, pack
from sync_protocol.messages import Range, Request
from sync_protocol.views import WHOLE_FEED, ShownAs, View
from sync_protocol.wire import Format
from tests.eventually import PATIENCE_S
from tests.gateway.answering import BreakingStore, Gateway, refusal
from tests.gateway.asking import GENERATION, REQUEST_ID, VIEW_ID, collection
from tests.gateway.rendered_feeds import HALF, HALF_VIEW, version_of
from tests.gateway.sample_feeds import FEED, change, put

REQUESTS = f"sync/v1/phone/{FEED}/request"
STATUS = "sync/v1/phone/status"
DAY_S = 86_400
NOTHING_HELD = Range(entries=b"")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """The clock of it says 1234.5."""
    store = BreakingStore(tmp_path / "gateway.sqlite3")
    gateway = Gateway(store)
    yield gateway
    gateway.rendering.close()
    store.close()


def request(view: View = WHOLE_FEED, form: Format = Format.CBOR, *, version: int = 1) -> bytes:
    """Of a device that holds nothing."""
    held = collection(renderer_version=version)
    asked = Request(v=1, id=REQUEST_ID, view_id=VIEW_ID, base=0, collection=held, view=view)
    return wire.encode(asked, form)


def inventory(view: View, presented: Range = NOTHING_HELD) -> bytes:
    asked = Request(v=1, id=REQUEST_ID, view_id=VIEW_ID, inventory=(presented,), view=view)
    return wire.encode(asked, Format.CBOR)


def allow(gateway: Gateway, **allowed: Any) -> None:  # noqa: ANN401 - of `Allowed`
    with gateway.store.transaction() as transaction:
        transaction.set_allowed("phone", Allowed(**allowed), GENERATION)


def sent(gateway: Gateway, view: View, *, version: int = 1) -> tuple[list[str], int | None]:
    """The items that are put, and where the window begins if that is told."""
    (answered,) = gateway.take((REQUESTS, request(view, version=version)))
    delta = answered.answer.delta
    assert delta is not None
    return sorted(it.item_id for it in delta.changes if it.put is not None), delta.since


# What is wanted and allowed


def test_v1_a_view_is_answered_and_known_from_then_on(gateway: Gateway) -> None:
    change(gateway.store, put("cyd", folder="Work"))
    view = View(folders=("Work",), portion_bytes=0)
    assert sent(gateway, view) == (["cyd"], None)
    record = gateway.registry.record("phone", FEED)
    assert record is not None
    assert record.view == view
    gateway.take((STATUS, b"online"))
    assert gateway.registry.targets(FEED) == [
        Target("phone", GENERATION, 0, VIEW_ID, Format.CBOR, view)
    ]


def test_v5_a_device_gets_only_what_it_is_allowed(gateway: Gateway) -> None:
    change(gateway.store, put("cyd", folder="Work"), put("dan", b"larger than that", folder="Work"))
    allow(gateway, folders=("Work",), item_bytes_max=11)
    assert sent(gateway, WHOLE_FEED) == (["cyd"], None)
    record = gateway.registry.record("phone", FEED)
    assert record is not None
    assert record.view == View(folders=("Work",), item_bytes_max=11), "and so are its pushes"


@pytest.mark.parametrize(
    ("asked", "told"),
    [(None, -DAY_S), (-DAY_S - 1, -DAY_S), (-DAY_S, None), (-DAY_S + 1, None)],
)
def test_v5_where_the_window_begins_is_told_if_it_is_narrower(
    gateway: Gateway, asked: int | None, told: int | None
) -> None:
    change(gateway.store, put("old", date=-DAY_S - 1), put("new", date=-DAY_S + 1))
    allow(gateway, days_max=1)
    assert sent(gateway, View(since=asked)) == (["ada", "bob", "new"], told)
    (answered,) = gateway.take((REQUESTS, inventory(View(since=asked))))
    assert answered.answer.inventory is not None
    assert answered.answer.inventory.since == told


def test_v5_who_wants_nothing_that_it_is_allowed_gets_nothing(gateway: Gateway) -> None:
    allow(gateway, kinds=("mail",))
    contacts = View(kinds=("contact",))
    assert sent(gateway, contacts) == ([], None)
    record = gateway.registry.record("phone", FEED)
    assert record is not None
    assert record.view == View(kinds=())
    held = Range(entries=pack([(id_hash("ada"), bytes(8))]))
    (answered,) = gateway.take((REQUESTS, inventory(contacts, held)))
    compared = answered.answer.inventory
    assert compared is not None
    assert (compared.drops, compared.missing) == (id_hash("ada"), b"")


# Representations


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("contact", "short", "no representation is called 'short' here, only native, half"),
        ("mail", "half", "the representation 'half' is for contact, event, not for 'mail'"),
    ],
)
def test_v4_a_representation_that_there_is_not_is_refused(
    gateway: Gateway, kind: str, name: str, says: str
) -> None:
    view = View(shown_as=(ShownAs(kind=kind, representation=name),))
    (answered,) = gateway.take((REQUESTS, request(view)))
    assert refusal(answered) == ("view", says)
    with gateway.store.snapshot(FEED) as snapshot:
        assert snapshot.representations() == {}


@pytest.mark.parametrize("form", Format)
def test_v4_who_wants_what_is_not_rendered_yet_is_busy_and_served_afterwards(
    gateway: Gateway, form: Format
) -> None:
    gateway.sandbox.hold()
    gateway.rendering.start()
    asked = request(HALF_VIEW, form, version=version_of(HALF_VIEW))
    (answered,) = gateway.take((REQUESTS, asked))
    assert refusal(answered) == ("busy", "the feed is being rendered as this view wants it")
    assert answered.answer.refused is not None
    assert answered.answer.refused.retry_after_s == 1  # a second is enough for a few items
    assert wire.form_of(answered.payload) is form
    assert gateway.registry.record("phone", FEED) is None
    # It goes on, and asks in vain, until all is rendered.
    assert gateway.sandbox.waiting.wait(PATIENCE_S)
    (answered,) = gateway.take((REQUESTS, asked))
    assert refusal(answered)[0] == "busy"
    # Others are answered meanwhile.
    assert sent(gateway, WHOLE_FEED) == (["ada", "bob"], None)
    gateway.sandbox.release()
    assert gateway.rendering.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    (answered,) = gateway.take((REQUESTS, asked))
    assert answered.answer.delta is not None
    contents = [it.put.content for it in answered.answer.delta.changes if it.put is not None]
    assert contents == [b"BEGIN", b"BEGIN"]
    assert gateway.counts("errors in a handler") == [0]


def test_v4_an_inventory_is_put_off_as_well(gateway: Gateway) -> None:
    (answered,) = gateway.take((REQUESTS, inventory(HALF_VIEW)))
    assert refusal(answered)[0] == "busy"
    gateway.rendering.start()
    assert gateway.rendering.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    (answered,) = gateway.take((REQUESTS, inventory(HALF_VIEW)))
    compared = answered.answer.inventory
    assert compared is not None
    assert compared.missing


def test_v4_who_may_not_hold_a_feed_has_it_not_rendered(gateway: Gateway) -> None:
    gateway.take((f"sync/v1/eve/{FEED}/request", request(HALF_VIEW)))
    gateway.take(("sync/v1/phone/private/request", request(HALF_VIEW)))
    gateway.rendering.start()
    gateway.rendering.close()
    with gateway.store.snapshot(FEED) as snapshot:
        assert snapshot.representations() == {}


def test_v5_an_answer_to_what_a_device_might_see_before_does_not_leave(gateway: Gateway) -> None:
    change(gateway.store, put("ada", folder="Work"))
    gateway.registry.let_be("phone", b"the new!")  # after the request has looked who it is of
    (answered,) = gateway.take((REQUESTS, request()))
    refused = answered.answer.refused
    assert refused is not None
    assert (refused.reason, refused.retry_after_s) == ("busy", 1)
    assert gateway.registry.record("phone", FEED) is None
