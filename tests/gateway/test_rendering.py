"""What feeds held before somebody wanted them so is rendered (docs/protocol.md, F1 and V4)."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.feed import NoSuchFeedError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.quarantine import TRIES_MAX
from gateway.rendering import BATCH_ITEMS_MAX
from gateway.representations.sandbox import Sandbox, SandboxError
from gateway.rows import Delete, Put
from gateway.snapshot_sqlite import SqliteSnapshot
from sync_protocol.errors import ProtocolError
from sync_protocol.views import NATIVE, WHOLE_FEED, ShownAs, View
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.damage import lose_content
from tests.gateway.rendered_feeds import BROKEN, HALF, HALF_VIEW, WHY_BROKEN, half
from tests.gateway.renderers import (
    RenderingGateway,
    half_representation,
    rendering_gateway,
    rendering_of,
)
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, put

COMPLETE: Final = replace(HALF, is_complete=True)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RenderingGateway]:
    with rendering_gateway(tmp_path / "gateway.sqlite3") as made:
        yield made


def many(count: int) -> list[Put]:
    return [put(f"item-{number:03}", b"%06d" % number) for number in range(count)]


# What is asked for


def test_v4_a_view_of_what_there_is_is_let_pass(gateway: RenderingGateway) -> None:
    native = View(shown_as=(ShownAs(kind="mail", representation=NATIVE),))
    with gateway.renders(start=False) as renders:
        for view in (WHOLE_FEED, HALF_VIEW, native):
            renders.check(view)


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("contact", "short", "no representation is called 'short' here, only native, half"),
        ("mail", "half", "the representation 'half' is for contact, event, not for 'mail'"),
    ],
)
def test_v4_a_view_of_what_there_is_not_is_refused(
    gateway: RenderingGateway, kind: str, name: str, says: str
) -> None:
    with gateway.renders(start=False) as renders, pytest.raises(ProtocolError) as refused:
        renders.check(View(shown_as=(ShownAs(kind=kind, representation=name),)))
    assert (refused.value.reason, str(refused.value)) == ("view", says)


# Contents of old


def test_v4_contents_of_old_are_rendered_in_batches(gateway: RenderingGateway) -> None:
    items = many(2 * BATCH_ITEMS_MAX + 1)
    gateway.change(*items, put("pad", kind="note"), put("gone"), Delete("gone"))
    before = gateway.transactions
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        assert gateway.is_complete
        assert gateway.transactions - before == 5, "to begin, three batches, and to end"
    assert sorted(gateway.sandbox.asked) == [(HALF.name, "contact", it.content) for it in items]
    first, last = gateway.kept("item-000"), gateway.kept(items[-1].id)
    assert (first and first.c, last and last.c) == (1, len(items))


def test_v4_nobody_sees_a_feed_before_all_of_it_is_rendered(gateway: RenderingGateway) -> None:
    gateway.change(*many(3))
    gateway.sandbox.hold()
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
        assert gateway.begun() == {HALF.name: HALF}
        assert not renders.wait(FEED, HALF.name, timeout_s=0)
        gateway.sandbox.release()
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)


def test_v4_what_is_rendered_is_not_rendered_again(gateway: RenderingGateway) -> None:
    gateway.change(*many(3))
    gateway.write(lambda work: work.add_feed("other", epoch_id=EPOCH, now=NOW))
    for _ in range(2):
        with gateway.renders() as renders:
            renders.want(FEED, [HALF.name, HALF.name])
            assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    before = gateway.transactions
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        renders.want("other", [HALF.name])
        assert renders.wait("other", HALF.name, timeout_s=PATIENCE_S)
    assert len(gateway.sandbox.asked) == 3
    assert gateway.transactions - before == 2, "to begin and to end the other feed"


def test_v4_a_restart_goes_on_where_it_was(gateway: RenderingGateway) -> None:
    items = many(BATCH_ITEMS_MAX + 10)
    gateway.change(*items)
    gateway.write(lambda work: work.begin_rendering(FEED, HALF))
    with gateway.store.snapshot(FEED) as snapshot:
        rows = snapshot.unrendered(HALF.name, limit=BATCH_ITEMS_MAX)

    def keep_some(work: SqliteTransaction) -> None:
        for row in rows:
            work.set_rendering(FEED, row, HALF.name, half(b"kept before"))

    gateway.write(keep_some)
    with gateway.renders() as renders:  # nobody asks again
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert len(gateway.sandbox.asked) == 10
    kept = gateway.kept(rows[0].id)
    assert kept is not None
    assert kept.size == len(b"kept before") // 2


def test_v4_closed_it_stops_within_the_batch_and_goes_on_at_the_next_start(
    gateway: RenderingGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.change(*many(BATCH_ITEMS_MAX))
    gateway.sandbox.hold(after=2)
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
    assert [it[2] for it in gateway.sandbox.asked] == [b"000000", b"000001", b"000002"]
    assert renders.problems() == []
    assert gateway.counters.read() == {}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    gateway.sandbox.asked.clear()
    with gateway.renders() as renders:
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert len(gateway.sandbox.asked) == BATCH_ITEMS_MAX - 2, "what was made is kept"


def test_v4_closed_it_stops_after_a_content_that_was_nearly_done(
    gateway: RenderingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.change(*many(BATCH_ITEMS_MAX))
    gateway.sandbox.hold()
    # This one ends nothing.
    monkeypatch.setattr(gateway.sandbox, "close", gateway.sandbox.release)
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
    assert len(gateway.sandbox.asked) == 1


def test_v4_a_batch_ends_when_much_has_come_of_it(
    gateway: RenderingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rendering.BATCH_BYTES_MAX", 4)
    gateway.change(*many(4))  # of which three bytes each are made
    before = gateway.transactions
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert gateway.transactions - before == 4, "to begin, two batches, and to end"


def test_v4_a_feed_is_rendered_in_one_after_the_other(gateway: RenderingGateway) -> None:
    gateway.write(lambda work: work.add_feed("other", epoch_id=EPOCH, now=NOW))
    gateway.change(put("ada", b"first"))
    gateway.change(put("bob", b"second"), name="other")
    with gateway.renders(start=False) as renders:
        renders.want(FEED, [HALF.name])
        renders.want("other", [HALF.name])
        renders.start()
        assert renders.wait("other", HALF.name, timeout_s=PATIENCE_S)
        assert gateway.is_complete
    assert [it[2] for it in gateway.sandbox.asked] == [b"first", b"second"]


# What changes with the gateway


def test_v4_a_representation_that_is_gone_is_forgotten_at_the_start(
    gateway: RenderingGateway,
) -> None:
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        gateway.put(renders, put("ada", b"1234"))
    with gateway.renders({}):
        assert gateway.begun() == {}
        assert gateway.kept() is None
        gateway.change(put("bob"))


def test_v4_a_newer_renderer_renders_all_anew(gateway: RenderingGateway) -> None:
    gateway.change(*many(3))
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    newer = {HALF.name: half_representation(version=2)}
    with gateway.renders(newer):
        expected = {HALF.name: replace(COMPLETE, version=2)}
        assert eventually(lambda: gateway.begun() == expected)
    assert len(gateway.sandbox.asked) == 6


def test_v4_a_renderer_of_more_kinds_renders_all_anew(gateway: RenderingGateway) -> None:
    gateway.change(put("pad", kind="note"))
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    kinds = HALF.kinds | {"note"}
    with gateway.renders({HALF.name: half_representation(kinds=kinds)}):
        expected = {HALF.name: replace(COMPLETE, kinds=kinds)}
        assert eventually(lambda: gateway.begun() == expected)
    assert gateway.kept("pad") is not None


def test_v4_what_nobody_has_installed_is_not_begun(gateway: RenderingGateway) -> None:
    with gateway.renders() as renders:
        renders.want(FEED, ["short", HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        assert list(gateway.begun()) == [HALF.name]


# What cannot be rendered


def test_v4_what_cannot_be_rendered_keeps_nothing_from_being_rendered(
    gateway: RenderingGateway,
) -> None:
    gateway.change(put("ada", BROKEN), put("bob", b"1234"))
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert gateway.problems() == [("ada", WHY_BROKEN)]
    assert gateway.counters.read() == {"contents not rendered as half": 1}


def test_v4_a_content_that_the_disk_lost_is_a_problem_and_no_more(
    gateway: RenderingGateway,
) -> None:
    gateway.change(put("ada", b"1234"), put("bob", b"1234"))
    lose_content(gateway.path, "ada")
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert gateway.problems() == [("ada", "has lost its content: put it again")]
    assert [it[2] for it in gateway.sandbox.asked] == [b"1234"]


def test_a_process_that_does_not_start_is_no_items_fault(
    gateway: RenderingGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.change(put("ada", b"1234"))
    gateway.sandbox.failing = SandboxError("no more processes")
    with gateway.renders() as renders, caplog.at_level(logging.ERROR):
        renders.want(FEED, [HALF.name])
        assert eventually(lambda: gateway.counters.read().get("errors in a handler"))
        assert not gateway.is_complete
        assert gateway.problems() == []
        assert eventually(renders.problems)
        (problem,) = renders.problems()
        assert problem == (
            f"feed {FEED} cannot be rendered as half: contents cannot be rendered now"
            " (no more processes): try again later"
        )
        renders.want(FEED, [HALF.name])  # the next request
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        assert eventually(lambda: not renders.problems())
        gateway.sandbox.failing = SandboxError("no more processes")
        with pytest.raises(StorageError, match=r"cannot be rendered now .*no more processes"):
            renders.prepared(FEED, [put("bob", b"1234")])
    assert f"feed {FEED} could not be rendered as half" in caplog.text


def test_what_failed_is_tried_again_even_if_nobody_asks(
    gateway: RenderingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rendering.RETRY_S", 0.01)
    gateway.change(*many(3))
    gateway.sandbox.failing = SandboxError("no more processes")
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        assert eventually(lambda: not renders.problems())
    assert len(gateway.sandbox.asked) == 4


def test_what_was_made_before_a_failure_is_kept(
    gateway: RenderingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.change(*many(3))
    gateway.sandbox.hold(after=2)
    monkeypatch.setattr("gateway.rendering.RETRY_S", 0.01)
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
        gateway.sandbox.failing = SandboxError("no more processes")
        gateway.sandbox.release()
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    assert len(gateway.sandbox.asked) == 4


def test_the_failure_of_a_feed_that_is_gone_is_no_problem(gateway: RenderingGateway) -> None:
    gateway.write(lambda work: work.add_feed("gone", epoch_id=EPOCH, now=NOW))
    gateway.change(put("ada", b"1234"), name="gone")
    gateway.sandbox.failing = SandboxError("no more processes")
    with gateway.renders() as renders:
        renders.want("gone", [HALF.name])
        assert eventually(renders.problems)
        gateway.write(lambda work: work.remove_feed("gone"))
        assert renders.problems() == []


def test_what_is_lacking_is_a_problem(gateway: RenderingGateway) -> None:
    renders = rendering_of(gateway.store, write=gateway.write, lacking=["short"])
    assert renders.problems() == [
        "the representation short cannot be used: the log of the gateway's start says why"
    ]


def test_a_process_that_did_not_start_is_a_problem(gateway: RenderingGateway) -> None:
    with contextlib.closing(Sandbox(memory_bytes_max=2**20)) as sandbox:
        renders = rendering_of(gateway.store, write=gateway.write, sandbox=sandbox)
        gateway.write(lambda work: work.begin_rendering(FEED, HALF))
        with pytest.raises(StorageError):
            renders.prepared(FEED, [put("ada", b"1234")])
        (problem,) = renders.problems()
    assert problem.startswith("contents cannot be rendered: the process that renders ended before")


def unreadable(monkeypatch: pytest.MonkeyPatch, item_id: str) -> None:
    """Have the disk not read an item's content."""
    read = SqliteSnapshot.content

    def fails(self: SqliteSnapshot, which: str, **how: Any) -> bytes:  # noqa: ANN401 - whatever it takes
        if which == item_id:
            raise StorageError("disk I/O error")
        return read(self, which, **how)

    monkeypatch.setattr(SqliteSnapshot, "content", fails)


def test_f7_what_cannot_be_read_now_is_rendered_later(gateway: RenderingGateway) -> None:
    gateway.change(put("ada", b"1234"), put("bob", b"5678"))
    with gateway.renders() as renders:
        with pytest.MonkeyPatch.context() as patch:
            unreadable(patch, "ada")
            renders.want(FEED, [HALF.name])
            assert eventually(renders.problems)
            assert "item 'ada' has a content that cannot be read" in renders.problems()[0]
            assert gateway.problems() == []
            assert not gateway.is_complete
            assert gateway.kept("bob") is not None
            assert gateway.counters.read() == {"errors in a handler": 1}, "it is not in a hurry"
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        assert eventually(lambda: not renders.problems())
    assert gateway.kept("ada") is not None
    assert len(gateway.sandbox.asked) == 2


def test_f7_what_cannot_be_read_for_long_is_a_problem_and_no_more(
    gateway: RenderingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rendering.RETRY_S", 0.01)
    monkeypatch.setattr("gateway.quarantine.TRIES_APART_S", 0.0)
    gateway.change(put("ada", b"1234"))
    unreadable(monkeypatch, "ada")
    with gateway.renders() as renders:
        renders.want(FEED, [HALF.name])
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
    ((item_id, why),) = gateway.problems()
    assert (item_id, why.partition(":")[0]) == ("ada", "has a content that cannot be read")
    assert gateway.counters.read() == {"errors in a handler": TRIES_MAX - 1}


def test_a_feed_that_is_removed_meanwhile_is_let_alone(gateway: RenderingGateway) -> None:
    gateway.write(lambda work: work.add_feed("gone", epoch_id=EPOCH, now=NOW))
    gateway.change(put("ada", b"1234"), name="gone")
    gateway.change(put("bob", b"5678"))
    gateway.sandbox.hold()
    with gateway.renders() as renders:
        renders.want("gone", [HALF.name])
        assert gateway.sandbox.waiting.wait(PATIENCE_S)
        gateway.write(lambda work: work.remove_feed("gone"))
        renders.want("never", [HALF.name])
        renders.want(FEED, [HALF.name])
        gateway.sandbox.release()
        assert renders.wait(FEED, HALF.name, timeout_s=PATIENCE_S)
        with pytest.raises(NoSuchFeedError):
            renders.prepared("gone", [put()])
    assert gateway.counters.read() == {}


def test_closing_without_a_start_is_no_error(gateway: RenderingGateway) -> None:
    with gateway.renders(start=False) as renders:
        renders.want(FEED, [HALF.name])
    assert gateway.sandbox.asked == []
