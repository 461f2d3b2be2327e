"""What is pushed after commits, rule by rule (docs/protocol.md, P1 to P4)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.feed import FeedSnapshot, FeedStore
from gateway.notifier import Push, Target, pushes, reminder
from gateway.rows import Alter, Delete, Mutation, Row
from gateway.viewed import ViewedFeed
from sync_protocol import messages, wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import INTEGER_MAX, NOTIFICATION_BYTES_MAX
from sync_protocol.messages import Notification
from sync_protocol.views import WHOLE_FEED
from sync_protocol.wire import Format
from tests.gateway.asking import lineage
from tests.gateway.damage import hold_back, retry
from tests.gateway.recording import RecordingSnapshot
from tests.gateway.sample_feeds import (
    EPOCH,
    FEED,
    NOW,
    change,
    memory_feed,
    open_epoch,
    purge,
    put,
)

PHONE = Target("phone", b"one-time", base=0, view_id=7, form=Format.CBOR)
TABLET = Target("tablet", b"another!", base=2, view_id=8, form=Format.JSON)
CONTENT_BYTES_MAX = 100


def push_all(store: FeedStore, cursor: int, *targets: Target) -> list[Push]:
    with store.snapshot(FEED) as snapshot:
        return list(_pushes(snapshot, cursor, targets or (PHONE,)))


def _pushes(snapshot: FeedSnapshot, cursor: int, targets: Sequence[Target]) -> Iterator[Push]:
    return pushes(
        snapshot,
        cursor=cursor,
        targets=targets,
        notification_content_bytes_max=CONTENT_BYTES_MAX,
    )


def read(push: Push) -> Notification:
    return wire.decode(Notification, push.payload, bytes_max=NOTIFICATION_BYTES_MAX)


def read_all(store: FeedStore, cursor: int, target: Target = PHONE) -> list[Notification]:
    return [read(push) for push in push_all(store, cursor, target)]


# The cursor, P1


def test_what_is_newer_than_the_cursor_in_order() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"), put("ada", b"new"), Delete("bob"))
    assert [(it.item_id, it.n) for it in read_all(store, 2)] == [
        ("cyd", 3),
        ("ada", 4),
        ("bob", 5),
    ]
    assert [(it.device, it.item_id, it.seq) for it in push_all(store, 4)] == [("phone", "bob", 5)]
    assert push_all(store, 5) == []


def test_of_changes_between_two_looks_only_the_newest_of_an_item_is_pushed() -> None:
    store = memory_feed(*(put("ada", b"%d" % number) for number in range(9)))
    assert [it.n for it in read_all(store, 0)] == [9]


def test_each_target_gets_each_change() -> None:
    store = memory_feed(put("ada"), put("bob"))
    assert [(it.device, it.seq) for it in push_all(store, 0, PHONE, TABLET)] == [
        ("phone", 1),
        ("tablet", 1),
        ("phone", 2),
        ("tablet", 2),
    ]


# What a push says, P2


def test_a_push_says_all_of_its_item() -> None:
    store = memory_feed(put("ada", b"hello", folder="Work", flags=("b", "a"), date=-7))
    assert read_all(store, 0) == [
        Notification(
            v=messages.VERSION,
            lineage=lineage(base=0, view_id=7, generation=b"one-time"),
            n=1,
            prev=None,
            asof=1,
            c=None,
            put=messages.Put(
                id="ada",
                kind="contact",
                folder="Work",
                flags=("a", "b"),
                date=-7,
                digest=digest_of([b"hello"]),
                size=5,
                media_type="text/vcard",
                content=b"hello",
            ),
        )
    ]


def test_a_delete_is_pushed_as_a_remove_without_content() -> None:
    (got,) = read_all(memory_feed(put("ada"), Delete("ada")), 0)
    assert (got.n, got.remove, got.put, got.c) == (2, "ada", None, None)


def test_only_the_first_portion_of_a_large_content() -> None:
    (got,) = read_all(memory_feed(put("ada", b"x" * 101)), 0)
    assert got.put is not None
    assert (got.put.size, got.put.content) == (101, b"x" * CONTENT_BYTES_MAX)


def test_content_only_if_it_changed_since_the_cursor() -> None:
    store = memory_feed(put("ada", b"one"), put("bob"), Alter("ada", flags=("x",)))
    (_, got) = read_all(store, 0)
    assert got.put is not None
    assert (got.n, got.c, got.put.content) == (3, 1, b"one")
    (got,) = read_all(store, 2)
    assert got.put is not None
    assert (got.n, got.c, got.put.content) == (3, None, None)
    assert got.put.digest == digest_of([b"one"])


def test_c_only_if_it_is_not_n() -> None:
    assert [it.c for it in read_all(memory_feed(put("ada"), put("bob")), 0)] == [None, None]


def test_tokens_count_from_the_base_of_the_target() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"), Alter("bob", flags=("x",)))
    got = read_all(store, 0, TABLET)
    assert [(it.n, it.prev, it.asof, it.c) for it in got] == [
        (-1, None, 2, None),
        (1, -1, 2, None),
        (2, 1, 2, 0),
    ]


# What it presupposes, P3


def test_prev_is_the_newest_change_before() -> None:
    store = memory_feed(put("ada"), put("bob"), put("bob", b"new"), put("cyd"))
    assert [(it.n, it.prev) for it in read_all(store, 1)] == [(3, 1), (4, 3)]


def test_prev_is_past_what_was_purged() -> None:
    store = memory_feed(put("ada"), put("bob"), Delete("bob"))
    purge(store, before=NOW + 1)
    change(store, put("cyd"))
    assert [(it.n, it.prev) for it in read_all(store, 3)] == [(4, 3)]


def test_asof_is_the_head_in_every_push() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"))
    assert [it.asof for it in read_all(store, 0)] == [3, 3, 3]


# What its tokens mean, P4


def lineage_of(target: Target, epoch: bytes = EPOCH) -> int:
    return lineage(
        epoch=epoch, base=target.base, view_id=target.view_id, generation=target.generation
    )


@pytest.mark.parametrize("target", [PHONE, TABLET])
def test_the_lineage_is_that_of_the_target_in_the_newest_epoch(target: Target) -> None:
    store = memory_feed(put("ada"))
    open_epoch(store, b"epoch--2")
    (got,) = read_all(store, 0, target)
    assert got.lineage == lineage_of(target, b"epoch--2")


# What is held back, F7


def test_what_is_held_back_is_pushed_to_nobody_and_presupposed_by_nobody() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"))
    hold_back(store, "bob")
    assert [(it.item_id, it.n, it.prev, it.asof) for it in read_all(store, 0)] == [
        ("ada", 1, None, 4),
        ("cyd", 3, 1, 4),
    ]
    assert read_all(store, 3) == [], "that it is held back is no change"


def test_let_out_it_is_pushed_as_a_change_of_old_content() -> None:
    store = memory_feed(put("ada", b"one"), put("bob"))
    hold_back(store)
    retry(store)
    (got,) = read_all(store, 2)
    assert got.put is not None
    assert (got.n, got.prev, got.c, got.put.content) == (4, 2, None, None)
    assert got.put.digest == digest_of([b"one"])


# One push more


@pytest.mark.parametrize("form", Format)
def test_a_reminder_says_nothing_of_any_item(form: Format) -> None:
    got = read(reminder("phone", form, lineage=7))
    assert got == Notification(v=1, lineage=7, n=0, asof=0, remove="-")


# Encoded once


@pytest.mark.parametrize("count", [1, 2, 500])
def test_content_is_read_once(count: int) -> None:
    old = memory_feed(put("old"), put("ada"), put("bob"), Alter("old", flags=("x",)), Delete("bob"))
    targets = [
        Target(f"device-{number}", bytes(8), number, number, list(Format)[number % 2])
        for number in range(count)
    ]
    with old.snapshot(FEED) as snapshot:
        recording = RecordingSnapshot(snapshot)
        made = list(_pushes(recording, 1, targets))
    assert len(made) == 3 * count
    # Not of `old`, whose content is older than the cursor, nor of `bob`, who is deleted.
    assert recording.read == ["ada"]


def test_nothing_is_read_for_nobody() -> None:
    with memory_feed(put("ada")).snapshot(FEED) as snapshot:
        recording = RecordingSnapshot(snapshot)
        assert list(_pushes(recording, 0, [])) == []
    assert recording.read == []


def modelled(snapshot: FeedSnapshot, row: Row, target: Target, cursor: int) -> Notification:
    """The notification of a change, made as one message."""
    with_content = not row.deleted and row.c > cursor
    item = messages.Put(
        id=row.id,
        kind=row.kind,
        folder=row.folder,
        flags=row.flags,
        date=row.date,
        digest=row.digest[:16],
        size=row.size,
        media_type=row.media_type,
        content=snapshot.content(row.id, offset=0, bytes_max=CONTENT_BYTES_MAX)
        if with_content
        else None,
    )
    prev = ViewedFeed(snapshot, WHOLE_FEED).previous(row.seq)
    return Notification(
        v=messages.VERSION,
        lineage=lineage_of(target),
        n=row.seq - target.base,
        prev=None if prev is None else prev - target.base,
        asof=snapshot.head - target.base,
        c=row.c - target.base if with_content and row.c != row.seq else None,
        put=None if row.deleted else item,
        remove=row.id if row.deleted else None,
    )


_texts = st.text(min_size=1, max_size=20).filter(str.isprintable)


@st.composite
def _changes(draw: st.DrawFn) -> list[Mutation]:
    names = draw(st.lists(_texts, min_size=1, max_size=6, unique=True))
    made: list[Mutation] = [
        put(
            name,
            draw(st.binary(max_size=150)),
            folder=draw(st.none() | _texts),
            flags=tuple(draw(st.lists(st.sampled_from(("\\Seen", "$x", "a'b")), max_size=3))),
            date=draw(st.none() | st.integers(-INTEGER_MAX, INTEGER_MAX)),
        )
        for name in names
    ]
    return [*made, Delete(names[0]), *(Alter(name, folder="x") for name in names[1:3])]


@settings(deadline=None)  # a busy machine is no error
@given(
    mutations=_changes(),
    form=st.sampled_from(Format),
    base=st.sampled_from((0, 3, INTEGER_MAX)),
    cursor=st.integers(0, 3),
)
def test_the_joined_bytes_say_what_the_whole_message_says(
    mutations: list[Mutation], form: Format, base: int, cursor: int
) -> None:
    target = replace(PHONE, base=base, form=form)
    with memory_feed(*mutations).snapshot(FEED) as snapshot:
        made = list(_pushes(snapshot, cursor, [target]))
        wholes = [modelled(snapshot, row, target, cursor) for row in snapshot.rows(cursor + 1, 99)]
    assert [read(push) for push in made] == wholes
    for push, whole in zip(made, wholes, strict=True):
        assert wire.form_of(push.payload) is form
        assert push.item_id == whole.item_id
        if form is Format.CBOR:  # the same bytes, but for the order of the keys
            assert len(push.payload) == len(wire.encode(whole, form))
