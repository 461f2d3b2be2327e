"""Whatever request comes, it is answered: nothing is raised, and the answer can be sent."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feed_memory import MemoryFeedStore
from gateway.responder import AnswerLimits, Response, respond
from gateway.rows import Alter, Delete
from sync_protocol import inventory, limits, messages, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.messages import Answer, Range, Request, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.views import NATIVE, View
from sync_protocol.wire import Format, Message
from tests.gateway.asking import GENERATION, REQUEST_ID, VIEW_ID, collection
from tests.gateway.rendered_feeds import AS_HALF, BROKEN, change_halved, half_feed, version_of
from tests.gateway.sample_feeds import EPOCH, FEED, change, open_epoch, purge, put
from tests.sync_protocol import strategies
from tests.sync_protocol.mutations import fuzzed, hostile

OTHER_EPOCH = b"epoch--2"
PURGED_BEFORE = 500


def feed() -> MemoryFeedStore:
    """Of all that a feed can have: portions, flags, deletes, purged ones, two epochs."""
    store = half_feed(put("early", b"A"))
    change(store, Delete("early"), now=1)
    purge(store, before=PURGED_BEFORE)
    change_halved(store, *(put(f"item-{number}", b"x" * number * 50) for number in range(40)))
    change_halved(store, put("large", bytes(200_000)), Delete("item-3"), Delete("item-4"))
    open_epoch(store, OTHER_EPOCH)
    change_halved(
        store,
        *(Alter("item-5", folder="moved", flags=("$seen",)), put("item-6", b"new")),
        *(put("item-7", BROKEN), put("item-8", b"dated", date=5), Alter("item-2", folder="moved")),
        *(Alter("item-2", folder=""), Delete("item-5")),
    )
    return store


STORE = feed()  # nothing here changes it
with STORE.snapshot(FEED) as _snapshot:
    ENTRIES = [(it.id_hash, it.etag) for it in _snapshot.entries(*inventory.bounds(""))]
    LARGE = _snapshot.row("large")
    HEAD = _snapshot.head
assert LARGE is not None
PARTS = b"".join(map(inventory.fingerprint, inventory.by_part("", ENTRIES).values()))
STALE = [(id_hash, etag[:5] + b"xyz") for id_hash, etag in ENTRIES]

_ranges = [
    Range(entries=b""),
    Range(entries=inventory.pack(ENTRIES[:20])),
    Range(entries=inventory.pack(STALE)),
    Range(entries=inventory.pack((it[0], bytes(8)) for it in ENTRIES)),
    Range(entries=inventory.pack([ENTRIES[0], ENTRIES[0], (bytes(6), bytes(8)), STALE[1]])),
    Range(fingerprints=inventory.fingerprint(ENTRIES)),
    Range(fingerprints=bytes(6)),
    Range(fingerprints=PARTS),
    Range(fingerprints=bytes(96)),
    Range(prefix="f" * 12, entries=b""),
    Range(prefix=ENTRIES[0][0].hex(), entries=inventory.pack([STALE[0]] * 5)),
    Range(prefix=ENTRIES[0][0].hex()[:5], fingerprints=bytes(96)),
]
views = st.builds(
    View,
    kinds=st.sampled_from([None, ("contact",), ("mail",)]),
    folders=st.sampled_from([None, ("",), ("moved",), ("", "moved")]),
    since=st.sampled_from([None, 5, 6]),
    shown_as=st.sampled_from([(), AS_HALF]),
    portion_bytes=st.sampled_from([None, 0, 700, INTEGER_MAX]),
    item_bytes_max=st.sampled_from([None, 0, 300]),
)
inventories: st.SearchStrategy[Message] = st.builds(
    Request,
    v=st.just(1),
    id=st.just(REQUEST_ID),
    base=st.sampled_from([None, 0, 7, HEAD, INTEGER_MAX]),
    view_id=st.just(VIEW_ID),
    answer_bytes_max=st.sampled_from([0, 4_096, 2**18, INTEGER_MAX]),
    inventory=st.sampled_from([(it,) for it in _ranges])
    | st.lists(st.sampled_from(inventory.parts("")), min_size=1, max_size=16, unique=True).flatmap(
        lambda prefixes: st.tuples(*map(strategies.ranges, prefixes))
    ),
    view=views,
)
spans = st.tuples(st.integers(-60, 60), st.integers(0, 30)).map(lambda it: (it[0], it[0] + it[1]))


@st.composite
def collections(draw: st.DrawFn) -> Request:
    """One whose lineage is right, with any tokens."""
    view = draw(views)
    base = draw(st.sampled_from([0, 7, HEAD, INTEGER_MAX]))
    held = draw(st.lists(spans, max_size=5) | st.just([(-INTEGER_MAX, INTEGER_MAX)]) | st.just([]))
    presented = collection(
        base=base,
        epoch=draw(st.sampled_from([EPOCH, OTHER_EPOCH])),
        asof=draw(st.sampled_from([0, -base, HEAD - base if base < INTEGER_MAX else 0])),
        p0=draw(st.sampled_from([None, 0, 2 - min(base, 9), INTEGER_MAX])),
        renderer_version=version_of(view),
    ).model_copy(update={"tokens": TokenSet.of_ranges(held).encode()})
    names = st.sampled_from(["large", "item-9", "item-3", "nobody"])
    wanted = draw(st.lists(names, max_size=4, unique=True))
    digest = LARGE.wire_digest if LARGE is not None else b""
    return Request(
        v=1,
        id=REQUEST_ID,
        base=base,
        view_id=VIEW_ID,
        answer_bytes_max=draw(st.sampled_from([0, 4_096, 2**18, INTEGER_MAX])),
        collection=presented,
        view=view,
        wanted=tuple(
            Wanted(id=it, digest=digest, offset=draw(st.sampled_from([0, 1, 199_999, 2**40])))
            for it in wanted
        ),
    )


requests: st.SearchStrategy[Message] = inventories | collections() | strategies.requests


def answered(request: Request, form: Format) -> Response:
    """Anything that is raised fails the test; the answer can be sent and read."""
    bounds = AnswerLimits()
    view = request.view
    if any(it.representation != NATIVE and it not in AS_HALF for it in view.shown_as):
        view = view.model_copy(update={"shown_as": AS_HALF})  # the gateway refuses others
    with STORE.snapshot(FEED) as snapshot:
        response = respond(
            request,
            snapshot,
            view=view,
            generation=GENERATION,
            form=form,
            bounds=bounds,
        )
    encoded = wire.encode(response.answer, form)
    assert len(encoded) <= limits.ANSWER_BYTES_MAX
    assert wire.decode(Answer, encoded, bytes_max=limits.ANSWER_BYTES_MAX) == response.answer
    assert response.answer.id == request.id
    if request.inventory:
        compared = response.answer.inventory
        assert compared is not None
        assert 0 < compared.answered <= len(request.inventory)
        assert len(set(compared.split)) == len(compared.split)
        asked = [it.prefix for it in request.inventory[: compared.answered]]
        assert all(it in asked or it[:-1] in asked for it in compared.split)
    return response


@given(hostile(requests))
@fuzzed
def test_damaged_requests(data: bytes) -> None:
    try:
        request = messages.decode_request(data)
    except ProtocolError:
        return
    answered(request, wire.form_of(data))


@given(requests, st.sampled_from(Format))
@fuzzed
def test_any_request(request: Request, form: Format) -> None:
    answered(request, form)


@given(inventories, st.sampled_from(Format))
@fuzzed
def test_any_inventory_is_answered_within_its_limit(request: Request, form: Format) -> None:
    answer = answered(request, form).answer
    asked = max(request.answer_bytes_max, limits.ANSWER_BYTES_MIN)
    assert len(wire.encode(answer, form)) <= asked
