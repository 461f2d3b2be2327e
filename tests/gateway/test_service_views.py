"""What the service does for views: contents are rendered as they come, and devices are bounded."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.device import Allowed, NoSuchDeviceError
from gateway.rows import Alter, Delete, Mutation, Rendering
from gateway.service import STORE_FILE, Service
from gateway.settings import load
from gateway.state_file import SqliteStore
from tests.gateway.kept import begin_compact
from tests.gateway.sample_feeds import put

FEED = "contacts"


def card(name: str) -> bytes:
    return f"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{name}\r\nEND:VCARD\r\n".encode()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One with a feed that is rendered as compact, and without a broker."""
    made = Service(load(data_dir=tmp_path), unix_time=time.time)
    with contextlib.closing(made):
        made.add_feed(FEED)
        begin_compact(made, FEED)
        yield made


@contextlib.contextmanager
def beside(service: Service) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(service.settings.data_dir / STORE_FILE)) as store:
        yield store


def compact(service: Service, item_id: str) -> tuple[Rendering, bytes]:
    with beside(service) as store, store.snapshot(FEED) as snapshot:
        found = snapshot.rendering(item_id, "compact")
        assert found is not None
        content = snapshot.content(
            item_id, offset=0, bytes_max=found.size, representation="compact"
        )
    return found, content


def test_v4_a_put_is_rendered(service: Service) -> None:
    service.apply(FEED, put("ada", card("Ada")))
    rendering, content = compact(service, "ada")
    assert rendering.media_type == "application/jscontact+json"
    assert b"Ada" in content
    assert service.quarantined(FEED) == []


@pytest.mark.parametrize(
    "together",
    [
        [Delete("ada"), put("ada", card("Ada"))],
        [put("ada", card("Eve")), put("ada", card("Ada"))],
        [Alter("ada", folder="x"), put("ada", card("Ada"))],
        [put("ada", card("Ada"), kind="note"), put("ada", card("Ada"))],
    ],
    ids=["deleted", "another content", "moved", "another kind"],
)
def test_v4_several_changes_of_an_item_at_once_are_all_rendered(
    service: Service, together: Sequence[Mutation]
) -> None:
    service.apply(FEED, put("ada", card("Ada")))
    outcomes = service.apply_many(FEED, [*together, put("bob", card("Bob"))])
    assert all(it.error is None for it in outcomes)
    assert b"Ada" in compact(service, "ada")[1]
    assert b"Bob" in compact(service, "bob")[1]


def test_v4_what_cannot_be_rendered_is_told_and_kept(service: Service) -> None:
    service.apply(FEED, put("ada", b"no card"))
    (held,) = service.quarantined(FEED)
    assert (held.row.id, held.representation) == ("ada", "compact")
    assert service.content(FEED, "ada")[1] == b"no card"


def test_v5_a_device_is_bounded_from_its_enrolment_on_or_later(service: Service) -> None:
    service.devices.add("phone", [FEED], allowed=Allowed(days_max=7))
    service.devices.add("tablet", [FEED])
    with beside(service) as store:
        before = {it.id: it for it in store.devices()}
    service.devices.limit("tablet", Allowed(kinds=("mail",)))
    with beside(service) as store:
        after = {it.id: it for it in store.devices()}
    assert before["phone"].allowed == after["phone"].allowed == Allowed(days_max=7)
    assert after["phone"] == before["phone"]
    assert (before["tablet"].allowed, after["tablet"].allowed) == (
        Allowed(),
        Allowed(kinds=("mail",)),
    )
    # Its tokens end: what they say was of another choice of items.
    assert after["tablet"].generation != before["tablet"].generation
    with pytest.raises(NoSuchDeviceError):
        service.devices.limit("watch", Allowed())
