"""What is put comes with its renderings, and is known to end some time (F1, F7 and V2)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from gateway.rendering import Rendering
from gateway.representations.representation import Problem
from gateway.rows import Alter, Delete, Mutation, Put
from tests.eventually import PATIENCE_S
from tests.gateway.damage import hold_back
from tests.gateway.rendered_feeds import BROKEN, HALF, WHY_BROKEN, halves
from tests.gateway.renderers import RenderingGateway, rendering_gateway
from tests.gateway.sample_feeds import FEED, put

CALENDAR: Final = "text/calendar"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RenderingGateway]:
    with rendering_gateway(tmp_path / "gateway.sqlite3") as made:
        yield made


def rendered_so(gateway: RenderingGateway, renders: Rendering) -> None:
    renders.want(FEED, [HALF.name])
    assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    gateway.sandbox.asked.clear()


def test_f1_a_put_comes_with_its_renderings(gateway: RenderingGateway) -> None:
    with gateway.renders() as renders:
        assert renders.prepared(FEED, [put("ada", b"1234")]) == [put("ada", b"1234")]
        rendered_so(gateway, renders)
        others: list[Mutation] = [Alter("ada", folder="x"), Delete("ada"), put("pad", kind="note")]
        assert renders.prepared(FEED, others) == others
        (prepared,) = renders.prepared(FEED, [put("ada", b"1234")])
        assert prepared == replace(put("ada", b"1234"), renderings=halves(b"1234"))
        (broken,) = renders.prepared(FEED, [put("ada", BROKEN)])
        assert isinstance(broken, Put)
        assert broken.renderings == {HALF.name: Problem(WHY_BROKEN)}
        assert gateway.counters.read() == {"contents not rendered as half": 1}


def test_f1_a_content_that_is_there_is_not_rendered_again(gateway: RenderingGateway) -> None:
    with gateway.renders() as renders:
        rendered_so(gateway, renders)
        gateway.put(renders, put("ada", b"1234"))
        gateway.put(renders, put("ada", b"1234", date=5), put("ada", b"1234", flags=("x",)))
        assert len(gateway.sandbox.asked) == 2, "the second of a pair, for it cannot be known"
        gateway.sandbox.asked.clear()
        for other in ({"kind": "event"}, {"media_type": "text/x"}):
            gateway.put(renders, put("ada", b"1234", **other))  # type: ignore[arg-type]  # texts only
        assert len(gateway.sandbox.asked) == 2


def test_f7_put_again_what_is_held_back_is_rendered_again(gateway: RenderingGateway) -> None:
    with gateway.renders() as renders:
        rendered_so(gateway, renders)
        gateway.put(renders, put("ada", b"1234"))
        hold_back(gateway.store)
        gateway.put(renders, put("ada", b"1234"))
        assert len(gateway.sandbox.asked) == 2
        with gateway.store.snapshot(FEED) as snapshot:
            assert snapshot.quarantined() == []


@pytest.mark.parametrize(
    "together",
    [
        [Delete("ada"), put("ada", b"1234")],
        [put("ada", b"other"), put("ada", b"1234")],
        [put("ada", b"1234", kind="note"), put("ada", b"1234")],
        [Alter("ada", folder="x"), put("ada", b"1234")],
        [put("bob", b"1234"), put("bob", b"1234")],
    ],
    ids=["deleted", "another content", "another kind", "moved", "new"],
)
def test_f1_of_several_changes_of_an_item_each_has_what_it_needs(
    gateway: RenderingGateway, together: list[Mutation]
) -> None:
    with gateway.renders() as renders:
        rendered_so(gateway, renders)
        gateway.put(renders, put("ada", b"1234"))
        gateway.put(renders, *together)
        kept = gateway.kept(together[-1].id)
        assert kept is not None
        assert kept.size == 2


def test_f1_puts_are_rendered_while_those_of_old_are(gateway: RenderingGateway) -> None:
    gateway.change(put("ada", b"1234"), put("bob", b"1234"))
    gateway.sandbox.hold()
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
        newer = replace(put("ada", b"12345678"), renderings=halves(b"12345678"))
        gateway.change(newer, Delete("bob"))
        gateway.sandbox.release()
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    kept = gateway.kept()
    assert kept is not None
    assert (kept.size, kept.c) == (4, 3)
    assert gateway.kept("bob") is None


# How long items are about something


@pytest.mark.parametrize(
    ("mutation", "until"),
    [
        (put("ada", b"UNTIL=9", kind="event", media_type=CALENDAR, date=5), 9),
        (put("ada", b"UNTIL=5", kind="event", media_type=CALENDAR, date=5), None),
        (put("ada", b"UNTIL=9", kind="event", media_type=CALENDAR), 9),
        (put("ada", b"nothing", kind="event", media_type=CALENDAR, date=5), None),
        (put("ada", b"UNTIL=9", kind="event", media_type="text/x", date=5), None),
        (
            replace(put("ada", b"UNTIL=9", kind="event", media_type=CALENDAR, date=5), until=7),
            7,
        ),
        (replace(put("ada", date=5), until=5), None),
        (replace(put("ada", date=5), until=6), 6),
    ],
    ids=[
        *("later", "at its date", "without a date", "unknown", "no calendar", "said"),
        *("said, at its date", "said of a contact"),
    ],
)
def test_v2_a_calendar_tells_until_when_it_is_about_something(
    gateway: RenderingGateway, mutation: Put, until: int | None
) -> None:
    with gateway.renders(start=False) as renders:
        (prepared,) = renders.prepared(FEED, [mutation])
    assert prepared == replace(mutation, until=until)
