"""Of views, what is said in docs/protocol.md and guarded nowhere else."""

from pathlib import Path

import cbor2
import pytest

from device_agent import DeviceAgent
from gateway.device import Allowed
from gateway.run import running
from gateway.settings import load
from gateway.viewed import ViewedFeed
from sync_protocol import wire
from sync_protocol.digests import digest_of
from sync_protocol.messages import Range, Wanted
from sync_protocol.views import View
from sync_protocol.wire import Format
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.asking import BOUNDS, ask, collection, compare, content_of, delta_of
from tests.gateway.rendered_feeds import AS_HALF, HALF_VIEW, half_feed, version_of
from tests.gateway.sample_feeds import FEED, memory_feed, put

LINES = b"alpha\nbeta\ngamma\n"


@pytest.mark.parametrize("folder", ["Work/Old", "Worker", "work", ""])
def test_v1_a_folder_is_wanted_without_those_below_it(folder: str) -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder=folder))
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, View(folders=("Work",)))
        assert [it.row.id for it in feed.changes(1, 2)] == ["ada"]
        assert feed.find("bob") is None


@pytest.mark.parametrize(
    ("portion_bytes", "offset", "comes"),
    [
        (12, 0, b"alpha\nbeta\n"),
        (12, 1, LINES[1:]),
        (len(LINES), 0, LINES),
        (0, 0, LINES),
        (None, 0, LINES),
    ],
)
def test_g4_what_is_wanted_from_byte_0_on_is_what_would_come_with_its_change(
    portion_bytes: int | None, offset: int, comes: bytes
) -> None:
    store = memory_feed(put("ada", LINES, media_type="text/plain"))
    wanted = Wanted(id="ada", digest=digest_of([LINES]), offset=offset)
    view = View(portion_bytes=portion_bytes)
    (found,) = delta_of(ask(store, collection((1, 1)), wanted=[wanted], view=view)).remainders
    assert (found.offset, found.content) == (offset, comes)


@pytest.mark.parametrize("form", Format)
def test_g4_what_is_wanted_from_byte_0_on_keeps_the_byte_limit(form: Format) -> None:
    content = bytes(20_000)
    store = memory_feed(put("ada", content))
    wanted = Wanted(id="ada", digest=digest_of([content]))
    response = ask(
        store,
        collection((1, 1)),
        wanted=[wanted],
        view=View(portion_bytes=10_000),
        answer_bytes_max=8_192,
        form=form,
    )
    (found,) = delta_of(response).remainders
    assert found.content
    assert len(wire.encode(response.answer, form)) <= 8_192


def test_v6_whether_a_content_comes_whole_is_told_by_the_size_of_what_is_shown() -> None:
    shown = BOUNDS.inline_bytes_max
    store = half_feed(put("ada", bytes(2 * shown)))
    for view, comes in [
        (HALF_VIEW, shown),
        (View(shown_as=AS_HALF, portion_bytes=shown - 1), shown - 1),
    ]:
        held = collection((0, 0), renderer_version=version_of(view))
        (change,) = delta_of(ask(store, held, view=view)).changes
        assert content_of(change) == bytes(comes)


def test_m11_since_of_a_comparison_has_the_key_of_the_page() -> None:
    store = memory_feed(put("ada", date=6))
    with store.snapshot(FEED) as snapshot:
        answer = compare(snapshot, Range(entries=b""), given=View(since=5)).answer
    assert cbor2.loads(wire.encode(answer, Format.CBOR))[5][11] == 5


def test_v5_what_a_device_is_no_longer_allowed_is_not_pushed_to_it(tmp_path: Path) -> None:
    """Nothing is, until it has asked under its new bounds."""
    settings = load(data_dir=tmp_path / "data", broker_port=0, api_port=0, ledger_flush_s=3600)
    with running(settings) as gateway:
        service = gateway.service
        service.add_feed(FEED)
        service.apply(FEED, put())
        with DeviceAgent(
            "phone",
            feeds=[FEED],
            host=gateway.broker_host,
            port=gateway.broker_port,
            password=service.devices.add("phone", [FEED]),
            data_dir=tmp_path / "phone",
        ) as agent:
            agent.sync(PATIENCE_S)
        assert eventually(lambda: not service.devices.one("phone").online)
        assert [it.synced_at is not None for it in service.devices.one("phone").replicas] == [True]
        service.devices.limit("phone", Allowed(folders=("Work",)))
        assert [it.synced_at is not None for it in service.devices.one("phone").replicas] == [False]
