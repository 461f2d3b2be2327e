"""What a request is answered, rule by rule (docs/protocol.md, G1 to G7 and Q2)."""

from dataclasses import replace

import pytest

from gateway.feed_memory import MemoryFeedStore
from gateway.responder import AnswerLimits
from gateway.rows import Alter, Delete, Mutation
from sync_protocol import limits, messages
from sync_protocol.digests import digest_of
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.messages import Answer, Collection, Range, Remainder, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway.asking import (
    REQUEST_ID,
    VIEW_ID,
    ask,
    collection,
    compare,
    compared_of,
    content_of,
    delta_of,
    held_in,
    lineage,
    void_of,
)
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, memory_feed, open_epoch, purge, put

EPOCH_2 = b"epoch--2"
LARGE = bytes(range(256)) * 40


def items(count: int, *, size: int = 10) -> list[Mutation]:
    return [put(f"item-{number}", b"%d" % (number % 10) * size) for number in range(1, count + 1)]


def wanted(item_id: str, content: bytes, offset: int = 0) -> Wanted:
    return Wanted(id=item_id, digest=digest_of([content]), offset=offset)


# G1, what voids a collection


def test_an_unknown_epoch_voids() -> None:
    store = memory_feed(*items(3))
    assert void_of(ask(store, collection((1, 3), epoch=b"strange!", asof=3))) == "epoch"


def test_the_epoch_of_another_feed_voids() -> None:
    store = memory_feed(*items(3))
    store.add_feed("other", epoch_id=EPOCH_2, now=NOW)
    assert void_of(ask(store, collection((1, 3), epoch=EPOCH_2, asof=3))) == "epoch"


@pytest.mark.parametrize("base", [0, 2])
def test_an_epoch_that_ended_before_what_was_heard_of_voids(base: int) -> None:
    # A device has heard of 4 changes, and the backup that was restored has 3.
    store = memory_feed(*items(3))
    open_epoch(store, EPOCH_2)
    presented = collection((1 - base, 4 - base), base=base, asof=4 - base)
    assert void_of(ask(store, presented, base=base)) == "restored"


def test_an_epoch_that_ended_after_what_was_heard_of_counts() -> None:
    store = memory_feed(*items(3))
    open_epoch(store, EPOCH_2)
    change(store, *items(4))
    delta = delta_of(ask(store, collection((1, 3), asof=3)))
    assert [it.item_id for it in delta.changes] == ["item-4"]
    assert delta.epoch == EPOCH_2


def test_the_newest_epoch_has_no_end() -> None:
    store = memory_feed(*items(3))
    assert delta_of(ask(store, collection((1, 3), asof=99))).changes == ()


def test_another_lineage_voids() -> None:
    store = memory_feed(*items(3))
    presented = collection((1, 3), asof=3)
    assert void_of(ask(store, presented, base=1)) == "lineage"
    other_view = presented.model_copy(update={"lineage": lineage(view_id=VIEW_ID + 1)})
    assert void_of(ask(store, other_view)) == "lineage"
    assert delta_of(ask(store, presented)).changes == ()


def test_unreadable_tokens_void() -> None:
    presented = collection((1, 3)).model_copy(update={"tokens": b"\xff" * 9})
    assert void_of(ask(memory_feed(*items(3)), presented)) == "tokens"


def purged_feed() -> MemoryFeedStore:
    """Items 1, 3 and 4; the delete of item 2, at 5, is forgotten."""
    store = memory_feed(*items(4), Delete("item-2"))
    purge(store, before=NOW + 1)
    return store


@pytest.mark.parametrize("p0", [None, 4])
@pytest.mark.parametrize("base", [0, 3])
def test_a_hole_where_markers_were_purged_voids(p0: int | None, base: int) -> None:
    p0 = None if p0 is None else p0 - base
    presented = collection((1 - base, 4 - base), base=base, asof=4 - base, p0=p0)
    assert void_of(ask(purged_feed(), presented, base=base)) == "purged"


def test_a_hole_that_a_purge_did_not_reach_counts() -> None:
    store = purged_feed()
    change(store, put("item-6"), put("item-7"))
    presented = collection((1, 5), (7, 7), asof=7, p0=None)
    assert [it.n for it in delta_of(ask(store, presented)).changes] == [6]


def test_a_hole_that_was_there_after_the_purge_counts() -> None:
    presented = collection((1, 2), (4, 5), asof=5, p0=5)
    assert [it.n for it in delta_of(ask(purged_feed(), presented)).changes] == [3]


def test_a_void_does_nothing_else() -> None:
    store = memory_feed(put("ada", LARGE))
    presented = collection((1, 1), epoch=b"strange!")
    response = ask(store, presented, wanted=[wanted("ada", LARGE)])
    assert response.answer == Answer(
        v=messages.VERSION, id=REQUEST_ID, void=messages.Void(why="epoch")
    )
    assert response.replica is None
    assert response.sent == ()


# G3, which changes come


def test_just_what_is_absent_newest_first() -> None:
    store = memory_feed(*items(6), put("item-2", b"new"), Delete("item-4"))
    response = ask(store, collection((1, 2), (4, 4), (6, 6), asof=6))
    # Of 3, 5, 7 and 8: item-2 stands at 7 and item-4 at 8; 2 and 4 exist no more.
    assert [(it.n, it.item_id) for it in delta_of(response).changes] == [
        (8, "item-4"),
        (7, "item-2"),
        (5, "item-5"),
        (3, "item-3"),
    ]
    assert [it.remove for it in delta_of(response).changes] == ["item-4", None, None, None]
    assert response.sent == (("item-4", 8), ("item-2", 7), ("item-5", 5), ("item-3", 3))


def test_many_holes_are_no_different() -> None:
    # More of them than are looked into one by one.
    store = memory_feed(*items(1_000))
    every_other = [(n, n) for n in range(1, 1_001, 2)]
    delta = delta_of(ask(store, collection(*every_other, asof=1_000)))
    assert [it.n for it in delta.changes] == list(range(1_000, 0, -2))
    assert held_in(delta) == [(1, 1_000)]


def test_who_holds_all_gets_nothing() -> None:
    delta = delta_of(ask(memory_feed(*items(5)), collection((1, 5), asof=5)))
    assert (delta.changes, delta.remainders, delta.more) == ((), (), False)


def test_tokens_count_from_the_base() -> None:
    store = memory_feed(*items(5))
    delta = delta_of(ask(store, collection((-2, 0), (2, 2), base=3, asof=2), base=3))
    assert [(it.n, it.item_id) for it in delta.changes] == [(1, "item-4")]
    assert (delta.base, delta.head, held_in(delta)) == (3, 2, [(-2, 2)])


def test_a_change_says_all_of_its_item() -> None:
    store = memory_feed(put("ada", b"hello", folder="Work", flags=("b", "a"), date=-7))
    (got,) = delta_of(ask(store)).changes
    assert got == messages.Change(
        n=1,
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


def test_content_only_if_its_c_is_not_presented() -> None:
    store = memory_feed(put("ada", b"one"), put("bob", b"two"), Alter("ada", flags=("x",)))
    held = delta_of(ask(store, collection((1, 2), asof=2)))
    assert [(it.n, content_of(it)) for it in held.changes] == [(3, None)]
    absent = delta_of(ask(store, collection((2, 2), asof=2)))
    assert [(it.n, content_of(it)) for it in absent.changes] == [(3, b"one")]


def test_at_least_one_change_however_large() -> None:
    store = memory_feed(put("ada", LARGE), put("bob", LARGE))
    response = ask(store, answer_bytes_max=0)
    (got,) = delta_of(response).changes
    content = content_of(got)
    assert got.item_id == "bob"
    assert content is not None
    assert 0 < len(content) < ANSWER_BYTES_MIN
    assert LARGE.startswith(content)
    assert delta_of(response).more


def test_pages_go_from_the_newest_on() -> None:
    store = memory_feed(*items(5, size=1_500))
    first = delta_of(ask(store, answer_bytes_max=ANSWER_BYTES_MIN))
    assert ([it.n for it in first.changes], first.more) == ([5, 4], True)
    assert held_in(first) == [(4, 5)]
    presented = collection(*held_in(first), asof=5)
    second = delta_of(ask(store, presented, answer_bytes_max=ANSWER_BYTES_MIN))
    assert ([it.n for it in second.changes], second.more) == ([3, 2], True)
    assert held_in(second) == [(2, 5)]
    presented = collection(*held_in(second), asof=5)
    third = delta_of(ask(store, presented, answer_bytes_max=ANSWER_BYTES_MIN))
    assert ([it.n for it in third.changes], third.more) == ([1], False)
    assert held_in(third) == [(1, 5)]


def test_what_is_pending_is_not_in_the_new_set() -> None:
    store = memory_feed(*items(9, size=1_500))
    delta = delta_of(ask(store, collection((3, 4), (7, 7)), answer_bytes_max=ANSWER_BYTES_MIN))
    assert [it.n for it in delta.changes] == [9, 8]
    assert held_in(delta) == [(3, 4), (7, 9)]


def test_the_new_set_is_one_range_once_nothing_is_pending() -> None:
    store = memory_feed(*items(9), put("item-3", b"new"), Delete("item-4"))
    delta = delta_of(ask(store, collection((1, 2), (5, 6))))
    assert (held_in(delta), delta.more) == ([(1, 11)], False)


def test_presented_tokens_stay_in_the_new_set() -> None:
    # The device heard of a push that this snapshot does not know yet.
    delta = delta_of(ask(memory_feed(*items(3)), collection((1, 3), (5, 5), asof=5)))
    assert held_in(delta) == [(1, 3), (5, 5)]


def test_presented_tokens_stay_however_full_the_page_is() -> None:
    store = memory_feed(*items(2_000, size=100))
    odd = [(n, n) for n in range(1, 2_000, 2)]
    delta = delta_of(ask(store, collection(*odd), answer_bytes_max=ANSWER_BYTES_MIN))
    assert delta.more
    assert len(delta.changes) == 16  # the tokens take their share of the bytes, and no more
    assert not TokenSet.of_ranges(odd) - TokenSet.decode(delta.tokens)


def test_content_that_was_sent_is_presented_from_then_on() -> None:
    large = [put(f"large-{number}", bytes(3_000)) for number in range(3)]
    store = memory_feed(put("ada", b"one"), *large, Alter("ada", flags=("x",)))
    first = delta_of(ask(store, answer_bytes_max=ANSWER_BYTES_MIN))
    assert [it.n for it in first.changes] == [5, 4]
    assert content_of(first.changes[0]) == b"one"
    assert held_in(first) == [(1, 1), (4, 5)]  # 1 is the c of the content that came with 5
    change(store, Alter("ada", folder="Work"))
    second = delta_of(ask(store, collection(*held_in(first), asof=5)))
    assert [(it.n, it.item_id) for it in second.changes] == [
        (6, "ada"),
        (3, "large-1"),
        (2, "large-0"),
    ]
    assert content_of(second.changes[0]) is None


def test_a_remove_comes_to_whoever_lacks_its_token() -> None:
    store = memory_feed(*items(3), Delete("item-2"))
    delta = delta_of(ask(store, collection((1, 2), asof=2)))
    assert [(it.n, it.remove) for it in delta.changes] == [(4, "item-2"), (3, None)]


def test_a_large_content_comes_as_a_portion() -> None:
    media_type = "application/octet-stream"  # cut anywhere
    store = memory_feed(
        put("ada", LARGE, media_type=media_type), put("bob", LARGE[:5_000], media_type=media_type)
    )
    bounds = AnswerLimits(portion_bytes=100, inline_bytes_max=5_000)
    delta = delta_of(ask(store, bounds=bounds))
    assert [content_of(it) for it in delta.changes] == [LARGE[:5_000], LARGE[:100]]
    assert not delta.more


@pytest.mark.parametrize("form", Format)
def test_the_gateway_bounds_an_answer_too(form: Format) -> None:
    store = memory_feed(*items(9, size=2_000))
    bounds = AnswerLimits(answer_bytes_max=ANSWER_BYTES_MIN)
    delta = delta_of(ask(store, answer_bytes_max=limits.INTEGER_MAX, bounds=bounds, form=form))
    assert len(delta.changes) == 1
    assert delta.more


def test_no_more_changes_than_an_answer_may_have() -> None:
    store = memory_feed(*items(limits.ANSWER_CHANGES_MAX + 1, size=0))
    bounds = AnswerLimits(answer_bytes_max=limits.ANSWER_BYTES_MAX)
    delta = delta_of(ask(store, answer_bytes_max=limits.ANSWER_BYTES_MAX, bounds=bounds))
    assert len(delta.changes) == limits.ANSWER_CHANGES_MAX
    assert (delta.changes[-1].n, delta.more) == (2, True)
    assert held_in(delta) == [(2, limits.ANSWER_CHANGES_MAX + 1)]


# G4, the remainders


def test_a_remainder_begins_at_the_byte_held() -> None:
    store = memory_feed(put("ada", LARGE))
    delta = delta_of(ask(store, collection((1, 1), asof=1), wanted=[wanted("ada", LARGE, 1_000)]))
    assert delta.changes == ()
    assert delta.remainders == (
        Remainder(id="ada", digest=digest_of([LARGE]), offset=1_000, content=LARGE[1_000:]),
    )


@pytest.mark.parametrize(
    "strange",
    [
        wanted("ada", b"an older version", 3),
        wanted("eve", LARGE),
        wanted("gone", LARGE),
        wanted("ada", LARGE, len(LARGE)),
        wanted("ada", LARGE, limits.INTEGER_MAX),
    ],
    ids=["old digest", "no such item", "deleted", "all held", "more than all held"],
)
def test_no_remainder_of_what_is_not_current(strange: Wanted) -> None:
    store = memory_feed(put("ada", LARGE), put("gone", LARGE), Delete("gone"), put("bob", LARGE))
    presented = collection((1, 4), asof=4)
    delta = delta_of(ask(store, presented, wanted=[strange, wanted("bob", LARGE, 5)]))
    assert [(it.id, it.offset) for it in delta.remainders] == [("bob", 5)]
    assert delta.withheld == ()


def test_remainders_share_what_room_there_is() -> None:
    store = memory_feed(put("ada", LARGE), put("bob", LARGE[:2_000]), put("cyd", LARGE))
    names = [wanted("bob", LARGE[:2_000]), wanted("ada", LARGE), wanted("cyd", LARGE)]
    presented = collection((1, 3), asof=3)
    delta = delta_of(ask(store, presented, wanted=names, answer_bytes_max=ANSWER_BYTES_MIN))
    assert [it.id for it in delta.remainders] == ["bob", "ada"]
    assert delta.remainders[0].content == LARGE[:2_000]
    assert len(delta.remainders[1].content) > 1_000
    assert LARGE.startswith(delta.remainders[1].content)


def test_changes_come_before_remainders() -> None:
    store = memory_feed(put("ada", LARGE), put("bob", bytes(3_500)))
    delta = delta_of(
        ask(store, collection((1, 1)), wanted=[wanted("ada", LARGE)], answer_bytes_max=4_096)
    )
    assert [it.item_id for it in delta.changes] == ["bob"]
    assert delta.remainders == ()


def test_a_content_that_the_device_fetches_counts_as_sent() -> None:
    # Its change of flags is pending, and must not bring the content when it comes.
    later = [put(f"later-{number}", bytes(3_000)) for number in range(2)]
    store = memory_feed(put("ada", LARGE), *items(2), Alter("ada", flags=("x",)), *later)
    presented = collection((2, 3), asof=3)
    delta = delta_of(
        ask(store, presented, wanted=[wanted("ada", LARGE, 9)], answer_bytes_max=ANSWER_BYTES_MIN)
    )
    assert [it.n for it in delta.changes] == [6]
    assert held_in(delta) == [(1, 3), (6, 6)]


def test_a_pending_change_is_not_claimed_because_its_content_is_wanted() -> None:
    # Deleted and put again with the same bytes: c is n of the change that is still to come.
    again = replace(put("ada", LARGE), folder="Archive")
    later = [put(f"later-{number}", bytes(3_000)) for number in range(2)]
    store = memory_feed(put("ada", LARGE), Delete("ada"), again, *later)
    presented = collection((1, 1), asof=1)
    want = [wanted("ada", LARGE, 9)]
    first = delta_of(ask(store, presented, wanted=want, answer_bytes_max=ANSWER_BYTES_MIN))
    assert [it.n for it in first.changes] == [5]
    assert 3 not in TokenSet.decode(first.tokens)
    second = delta_of(
        ask(store, collection(*held_in(first), asof=5), wanted=want, answer_bytes_max=8_000)
    )
    # With its change no content comes: what is wanted comes from the byte held.
    assert [(it.n, content_of(it) is None) for it in second.changes] == [(4, False), (3, True)]
    assert [it.offset for it in second.remainders] == [9]
    assert held_in(second) == [(1, 5)]


# G5, G7 and Q2, the rest of the answer


def test_an_answer_names_its_request_and_the_newest_epoch() -> None:
    store = memory_feed(*items(3))
    open_epoch(store, EPOCH_2)
    response = ask(store, collection((1, 3), asof=3))
    delta = delta_of(response)
    assert response.answer.id == REQUEST_ID
    assert (delta.epoch, delta.lineage, delta.head) == (EPOCH_2, lineage(epoch=EPOCH_2), 3)


def test_p0_is_the_purge_mark_once_nothing_is_pending() -> None:
    store = purged_feed()
    assert delta_of(ask(store, collection((1, 2), (4, 5), asof=5, p0=5))).p0 == 5
    assert delta_of(ask(store, collection((1, 5), asof=5, p0=None))).p0 == 5
    presented = collection((-2, 2), base=3, asof=2)
    assert delta_of(ask(store, presented, base=3)).p0 == 2
    assert delta_of(ask(memory_feed(*items(3)), collection((1, 3), asof=3, p0=2))).p0 is None


def test_p0_stays_as_presented_while_something_is_pending() -> None:
    store = purged_feed()
    change(store, *items(4, size=3_000))
    for p0 in (5, 6, None):
        presented = collection((1, 5), asof=5, p0=p0)
        delta = delta_of(ask(store, presented, answer_bytes_max=ANSWER_BYTES_MIN))
        assert (delta.more, delta.p0) == (True, p0)


def test_who_has_no_collection_is_answered_with_a_comparison() -> None:
    # Of all that is not listed nothing but tokens comes, and they make no replica known.
    with memory_feed(*items(3), Delete("item-2")).snapshot(FEED) as snapshot:
        response = compare(snapshot, Range(entries=b""), base=None)
    compared = compared_of(response)
    assert (compared.base, compared.head, compared.lineage) == (4, 0, lineage(base=4))
    assert list(TokenSet.decode(compared.missing)) == [(-3, -3), (-1, -1)]
    assert (response.answer.id, response.answer.delta) == (REQUEST_ID, None)
    assert (response.replica, response.sent) == (None, ())


def test_a_set_that_holds_nothing_has_missed_a_purge() -> None:
    assert void_of(ask(purged_feed(), collection(asof=5))) == "purged"
    assert delta_of(ask(purged_feed(), collection(asof=5, p0=5))).changes


def test_an_empty_feed() -> None:
    delta = delta_of(ask(memory_feed(), collection()))
    assert (delta.base, delta.head, delta.changes, delta.tokens) == (0, 0, (), b"")


@pytest.mark.parametrize("form", Format)
def test_the_gateway_knows_a_replica_from_its_request_alone(form: Format) -> None:
    store = memory_feed(*items(3))
    response = ask(store, collection((-1, 0), base=2, asof=0), base=2, form=form)
    known = response.replica
    assert known is not None
    assert (known.base, known.view_id, known.form, known.epoch) == (2, VIEW_ID, form, EPOCH)
    assert known.held == TokenSet.decode(delta_of(response).tokens)


def test_asking_again_is_answered_again() -> None:
    store = memory_feed(*items(9, size=2_000))
    presented: Collection = collection((2, 4), asof=4)
    one, two = (ask(store, presented, answer_bytes_max=ANSWER_BYTES_MIN) for _ in range(2))
    assert one == two
    with store.snapshot(FEED) as snapshot:
        assert snapshot.head == 9
