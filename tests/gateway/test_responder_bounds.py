"""Answers keep their size, and no request whatsoever is more than answered."""

import functools
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.feed import FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.responder import AnswerLimits, respond
from gateway.rows import Alter, Delete, Mutation
from sync_protocol import inventory, limits, messages, wire
from sync_protocol.digests import DIGEST_BYTES, digest_of
from sync_protocol.errors import ProtocolError
from sync_protocol.limits import (
    ANSWER_BYTES_MAX,
    ANSWER_BYTES_MIN,
    INTEGER_MAX,
    TOKEN_SET_BYTES_MAX,
)
from sync_protocol.messages import Answer, Collection, Delta, Range, Request, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway import random_feeds
from tests.gateway.asking import GENERATION, REQUEST_ID, Walker, ask, collection, delta_of, lineage
from tests.gateway.sample_feeds import (
    EPOCH,
    FEED,
    NOW,
    change,
    contents,
    memory_feed,
    open_epoch,
    purge,
    put,
)

EPOCH_2 = b"epoch--2"
# What a hostile set costs is bounded, and not by milliseconds.
UNHURRIED = settings(deadline=None)
# As the settings allow at most.
LARGEST = AnswerLimits(answer_bytes_max=ANSWER_BYTES_MAX // 2)
BASES = (0, 1, 9, INTEGER_MAX - 1, INTEGER_MAX)


def _is_least(delta: Delta) -> bool:
    """Whether an answer holds nothing but the one change that every answer may hold."""
    bare = all(change.put is None or not change.put.content for change in delta.changes)
    return len(delta.changes) == 1 and bare and not delta.remainders


@UNHURRIED
@given(
    puts=st.lists(random_feeds.puts(), min_size=1, max_size=40),
    form=st.sampled_from(Format),
    asked=st.sampled_from((0, ANSWER_BYTES_MIN, 5_000, 30_000, 200_000)),
    inline_bytes_max=st.sampled_from((2_000, 64 * limits.KIB)),
)
def test_every_page_keeps_the_size_asked_for_and_all_arrives(
    puts: list[Mutation], form: Format, asked: int, inline_bytes_max: int
) -> None:
    store = memory_feed(*random_feeds.with_later_changes(puts))
    bounds = AnswerLimits(inline_bytes_max=inline_bytes_max)
    walker = Walker(store, form, asked, bounds)
    walker.ask_for_all(pages_max=3_000)
    for size, delta in walker.pages:
        assert size <= max(asked, ANSWER_BYTES_MIN) or _is_least(delta)
        assert delta.changes or delta.remainders or not delta.more
    with store.snapshot(FEED) as snapshot:
        assert {it: walker.contents.get(it, b"") for it in contents(snapshot)} == contents(snapshot)
    sent = [content for _, delta in walker.pages for content in _contents_in(delta)]
    assert sum(map(len, sent)) == sum(map(len, walker.contents.values()))  # nothing came twice


def _contents_in(delta: Delta) -> list[bytes]:
    puts = [it.put.content for it in delta.changes if it.put is not None]
    return [it for it in puts if it is not None] + [it.content for it in delta.remainders]


@UNHURRIED
@given(
    held=st.lists(st.tuples(st.integers(1, 3_000), st.integers(0, 40)), max_size=300),
    form=st.sampled_from(Format),
    asked=st.sampled_from((ANSWER_BYTES_MIN, 9_000)),
)
def test_the_token_set_counts_too(held: list[tuple[int, int]], form: Format, asked: int) -> None:
    presented = collection(*((first, first + more) for first, more in held))
    response = ask(_many_small_items(), presented, form=form, answer_bytes_max=asked)
    assert len(wire.encode(response.answer, form)) <= asked or _is_least(delta_of(response))


@functools.cache
def _many_small_items() -> FeedStore:
    """Items whose contents are old and whose changes are new, so that each c is a token of its own.

    Not to be changed.
    """
    puts = [put(f"item-{number}", b"x" * (number % 9)) for number in range(1_500)]
    return memory_feed(*puts, *(Alter(it.id, flags=("x",)) for it in puts))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("text", ['"' * 200, "\\" * 200, "ä" * 100, "a" * 200])
def test_escapes_count(form: Format, text: str) -> None:
    store = memory_feed(*(put(f"{text}{number}", b"", folder=text) for number in range(30)))
    delta = delta_of(response := ask(store, answer_bytes_max=ANSWER_BYTES_MIN, form=form))
    size = len(wire.encode(response.answer, form))
    assert ANSWER_BYTES_MIN * 2 // 3 < size <= ANSWER_BYTES_MIN
    assert delta.more


def test_the_set_that_travels_has_the_size_that_is_read() -> None:
    # What was presented was as long as it may be, and now a far-off content comes to it.
    longest = TokenSet.of(range(3, 10**9, 60_001)).newest_within(TOKEN_SET_BYTES_MAX)
    presented = collection(*longest)
    delta = delta_of(ask(_one_old_content(), presented))
    assert [it.item_id for it in delta.changes][:1] == ["old"]
    assert 0.97 * TOKEN_SET_BYTES_MAX < len(delta.tokens) <= TOKEN_SET_BYTES_MAX
    assert TokenSet.decode(delta.tokens)


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("asked", range(4_500, 5_400, 60))
def test_far_tokens_in_a_set_of_many_holes_cost_changes_not_bytes(form: Format, asked: int) -> None:
    # One content is far older than the others, so the set with its token is hundreds of bytes
    # longer than the one that was presented.
    presented = collection(*((n, n) for n in range(20_002, 23_000, 2)))
    response = ask(_one_old_content(), presented, form=form, answer_bytes_max=asked)
    delta = delta_of(response)
    assert len(wire.encode(response.answer, form)) <= asked
    assert len(delta.changes) > 1
    assert (delta.changes[0].item_id, delta.more) == ("old", True)
    new = TokenSet.decode(delta.tokens)
    assert 1 in new
    held = TokenSet.decode(presented.tokens)
    assert not held - new
    assert list(new.holes(delta.changes[-1].n, delta.head)) == []
    # What comes next is pending, and so not in the new set.
    *_, (_, pending) = held.holes(1, delta.changes[-1].n - 1)
    assert pending not in new


@functools.cache
def _one_old_content() -> FeedStore:
    """The newest change is of the oldest content, tens of thousands of changes ago.

    Not to be changed.
    """
    busy = [put("busy", b"%d" % number) for number in range(20_000)]
    items = [put(f"item-{number}", b"x" * 700) for number in range(3_000)]
    return memory_feed(put("old"), *busy, *items, Alter("old", flags=("x",)))


def test_one_too_many_wanted_is_refused() -> None:
    wanted = tuple(_wanted(number) for number in range(limits.REQUEST_WANTED_MAX))
    request = Request(v=1, id=REQUEST_ID, base=0, view_id=1, collection=collection(), wanted=wanted)
    encoded = wire.encode(request, Format.JSON)
    assert messages.decode_request(encoded) == request
    first, one_more = (wire.encode(it, Format.JSON) for it in (wanted[0], _wanted(64)))
    with pytest.raises(ProtocolError, match="wanted"):
        messages.decode_request(encoded.replace(first, first + b"," + one_more, 1))


def test_what_is_wanted_again_and_again_is_refused() -> None:
    # Each of them would cost the gateway the reading of a whole content.
    request = Request(
        v=1, id=REQUEST_ID, base=0, view_id=1, collection=collection(), wanted=(_wanted(0),)
    )
    encoded = wire.encode(request, Format.JSON)
    part = wire.encode(_wanted(0), Format.JSON)
    repeated = b",".join([part] * limits.REQUEST_WANTED_MAX)
    with pytest.raises(ProtocolError, match="a content is wanted once"):
        messages.decode_request(encoded.replace(part, repeated, 1))


def _wanted(number: int) -> Wanted:
    return Wanted(id=f"item-{number}", digest=bytes(DIGEST_BYTES))


# Hostile requests


@functools.cache
def _feed_with_a_past() -> MemoryFeedStore:
    """Some epochs, a purge, a large item, small ones, and one of each kind of change."""
    store = memory_feed(put("large", bytes(100_000)), put("gone"), put("moved", folder="Work"))
    store.add_feed("other", epoch_id=b"epoch--9", now=NOW)
    change(store, Delete("gone"), Alter("moved", folder="Home"))
    purge(store, before=NOW + 1)
    open_epoch(store, EPOCH_2)
    change(store, *(put(f"item-{number}", b"x" * 50) for number in range(30)))
    change(store, Delete("item-3"), Alter("item-4", flags=("x",)), put("item-5", b"new"))
    return store


@functools.cache
def _dense(step: int) -> bytes:
    """A long coding of a set of many holes."""
    return TokenSet.of(range(-100, 20_000, step)).newest_within(TOKEN_SET_BYTES_MAX).encode()


_integers = st.one_of(
    st.integers(-50, 50),
    st.sampled_from((INTEGER_MAX, -INTEGER_MAX, INTEGER_MAX - 1, 2**31, -(2**31))),
    st.integers(-INTEGER_MAX, INTEGER_MAX),
)
_naturals = _integers.map(abs)
_token_sets = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(_integers, _integers), max_size=20).map(
        lambda ranges: TokenSet.of_ranges(ranges).encode()
    ),
    st.integers(2, 5).map(_dense),
)


@st.composite
def _collections(draw: st.DrawFn, base: int, view_id: int) -> Collection:
    epoch = draw(st.sampled_from((EPOCH, EPOCH_2, b"epoch--9", b"\xff" * 8)))
    right = lineage(base=base, view_id=view_id, epoch=epoch)
    return Collection(
        lineage=draw(st.one_of(st.just(right), st.integers(0, 2**32 - 1))),
        epoch=epoch,
        asof=draw(_integers),
        p0=draw(st.one_of(st.none(), _integers)),
        tokens=draw(_token_sets),
    )


@st.composite
def _ranges(draw: st.DrawFn) -> Range:
    """Of items that are there and of others."""
    count = draw(st.sampled_from((0, 1, 16)))
    digits_max = inventory.PREFIX_DIGITS_MAX - (count > 1)  # one of all digits has no parts
    prefix = draw(st.text(inventory.DIGITS, max_size=digits_max))
    if count:
        size = count * inventory.FINGERPRINT_BYTES
        return Range(prefix=prefix, fingerprints=draw(st.binary(min_size=size, max_size=size)))
    first, _ = inventory.bounds(prefix)
    hashes = [*map(inventory.id_hash, ("large", "moved", "item-1", "item-3", "x")), first]
    held = st.lists(st.tuples(st.sampled_from(hashes), st.binary(min_size=8, max_size=8)))
    entries = [it for it in draw(held) if it[0].hex().startswith(prefix)]
    return Range(prefix=prefix, entries=inventory.pack(entries))


def _apart(ranges: list[Range]) -> tuple[Range, ...]:
    """Those of the ranges that lie over none before them."""
    kept: list[Range] = []
    for each in ranges:
        prefixes = [each.prefix, *(it.prefix for it in kept)]
        if not any(one.startswith(two) for one, two in permutations(prefixes, 2)):
            kept.append(each)
    return tuple(kept)


@st.composite
def _requests(draw: st.DrawFn) -> Request:
    base = draw(st.one_of(st.none(), st.sampled_from(BASES), _naturals))
    view_id = draw(st.sampled_from((0, 1, 2**32 - 1)))
    names = st.sampled_from(("large", "gone", "moved", "item-1", "item-3", "x", "\U0001f600"))
    digests = st.sampled_from((digest_of([bytes(100_000)]), digest_of([b"x" * 50]), bytes(16)))
    each = st.builds(Wanted, id=names, digest=digests, offset=_naturals)
    wanted = st.lists(each, max_size=limits.REQUEST_WANTED_MAX, unique_by=lambda it: it.id)
    presented = None if base is None else draw(st.none() | _collections(base, view_id))
    ranges = st.lists(_ranges(), min_size=1, max_size=20).map(_apart)
    return Request(
        v=messages.VERSION,
        id=draw(st.binary(min_size=8, max_size=8)),
        base=base,
        view_id=view_id,
        answer_bytes_max=draw(_naturals),
        collection=presented,
        wanted=tuple(draw(wanted)),
        inventory=draw(ranges) if presented is None else (),
    )


@UNHURRIED
@given(request=_requests(), form=st.sampled_from(Format))
def test_whatever_is_asked_is_answered_and_can_be_read(request: Request, form: Format) -> None:
    with _feed_with_a_past().snapshot(FEED) as snapshot:
        response = respond(
            request,
            snapshot,
            view=request.view,
            generation=GENERATION,
            form=form,
            bounds=LARGEST,
        )
    encoded = wire.encode(response.answer, form)
    assert wire.decode(Answer, encoded, bytes_max=ANSWER_BYTES_MAX) == response.answer
    assert response.answer.id == request.id
    if response.answer.delta is not None:
        TokenSet.decode(response.answer.delta.tokens)
        assert response.replica is not None
    if response.answer.inventory is not None:
        TokenSet.decode(response.answer.inventory.missing)
        assert 0 < response.answer.inventory.answered <= len(request.inventory)


@UNHURRIED
@given(data=st.binary(max_size=300), form=st.sampled_from(Format))
def test_random_bytes_are_no_token_set_or_one(data: bytes, form: Format) -> None:
    presented = collection(asof=5).model_copy(update={"tokens": data})
    answer = ask(_feed_with_a_past(), presented, form=form).answer
    assert answer.delta is not None or answer.void is not None


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("form", Format)
def test_a_replica_of_any_base_gets_all(base: int, form: Format) -> None:
    walker = Walker(_feed_with_a_past(), form)
    first = ask(_feed_with_a_past(), base=base, form=form)
    assert wire.encode(first.answer, form)
    assert {it.item_id for it in delta_of(first).changes} >= {"item-1", "item-4", "moved"}
    walker.ask_for_all(pages_max=100)
    assert len(walker.contents["large"]) == 100_000
