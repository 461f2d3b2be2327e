"""Any message that can be, for hypothesis."""

from hypothesis import strategies as st

from sync_protocol import inventory, limits
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.messages import (
    Answer,
    Change,
    Collection,
    Compared,
    Delta,
    Notification,
    Put,
    Range,
    Refused,
    Remainder,
    Request,
    Void,
    Wanted,
)
from sync_protocol.views import WHOLE_FEED, ShownAs, View

integers = st.integers(-INTEGER_MAX, INTEGER_MAX)
naturals = st.integers(0, INTEGER_MAX)
words = st.integers(0, 2**32 - 1)
printable = st.characters(exclude_categories=["Cc", "Cs"])
# Four bytes of UTF-8 at most for each character.
item_ids = st.text(printable, min_size=1, max_size=limits.ITEM_ID_BYTES_MAX // 4)
folders = st.text(printable, max_size=limits.FOLDER_BYTES_MAX // 4)
flags = st.lists(st.from_regex(r"[$\\]?[A-Za-z]{1,20}", fullmatch=True), max_size=5).map(tuple)
digests = st.binary(min_size=16, max_size=16)
epochs = st.binary(min_size=8, max_size=8)
request_ids = st.binary(min_size=8, max_size=8)
contents = st.binary(max_size=300)
coded_sets = st.binary(max_size=100)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    content = draw(st.none() | contents)
    return Put(
        id=draw(item_ids),
        kind=draw(st.sampled_from(["contact", "event", "x-1"])),
        folder=draw(folders),
        flags=draw(flags),
        date=draw(st.none() | integers),
        until=draw(st.none() | integers),
        digest=draw(digests),
        size=draw(st.integers(len(content or b""), limits.CONTENT_BYTES_MAX)),
        media_type=draw(st.sampled_from(["application/octet-stream", "text/vcard"])),
        content=content,
    )


kinds = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)


@st.composite
def views(draw: st.DrawFn) -> View:
    shown = st.lists(kinds, max_size=limits.VIEW_KINDS_MAX, unique=True)
    return View(
        kinds=draw(st.none() | st.lists(kinds, max_size=3).map(tuple)),
        folders=draw(st.none() | st.lists(folders, max_size=3).map(tuple)),
        since=draw(st.none() | integers),
        shown_as=tuple(
            ShownAs(kind=kind, representation=draw(st.sampled_from(["native", "compact"])))
            for kind in sorted(draw(shown))
        ),
        portion_bytes=draw(st.none() | naturals),
        item_bytes_max=draw(st.none() | naturals),
    )


changes = st.builds(Change, n=integers, put=puts()) | st.builds(Change, n=integers, remove=item_ids)


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    n = draw(st.integers(1 - INTEGER_MAX, INTEGER_MAX))
    put = draw(st.none() | puts())
    return Notification(
        v=1,
        lineage=draw(words),
        n=n,
        prev=draw(st.none() | st.integers(-INTEGER_MAX, n - 1)),
        asof=draw(st.integers(n, INTEGER_MAX)),
        c=draw(st.none() | st.integers(-INTEGER_MAX, n)),
        put=put,
        remove=draw(item_ids) if put is None else None,
    )


collections = st.builds(
    Collection,
    lineage=words,
    epoch=epochs,
    asof=integers,
    p0=st.none() | integers,
    tokens=coded_sets,
)
wanted = st.builds(Wanted, id=item_ids, digest=digests, offset=naturals)
prefixes = st.text(inventory.DIGITS, max_size=inventory.PREFIX_DIGITS_MAX)
fingerprint = st.binary(min_size=6, max_size=6)
fingerprints = fingerprint | st.binary(min_size=96, max_size=96)


@st.composite
def entries(draw: st.DrawFn, prefix: str) -> bytes:
    """What a device lists of a range."""
    first, last = (int.from_bytes(it) for it in inventory.bounds(prefix))
    hashes = draw(st.lists(st.integers(first, last), max_size=4))
    etags = st.binary(min_size=inventory.ETAG_BYTES, max_size=inventory.ETAG_BYTES)
    return inventory.pack((it.to_bytes(inventory.ID_HASH_BYTES), draw(etags)) for it in hashes)


@st.composite
def ranges(draw: st.DrawFn, prefix: str) -> Range:
    if draw(st.booleans()):
        whole = len(prefix) == inventory.PREFIX_DIGITS_MAX  # it has no parts
        return Range(prefix=prefix, fingerprints=draw(fingerprint if whole else fingerprints))
    return Range(prefix=prefix, entries=draw(entries(prefix)))


# Parts of one range do not overlap.
inventories = prefixes.flatmap(ranges).map(lambda it: (it,)) | st.lists(
    st.sampled_from(inventory.parts("0")), min_size=1, max_size=4, unique=True
).flatmap(lambda parts: st.tuples(*map(ranges, parts)))
_asking = {
    "v": st.just(1),
    "id": request_ids,
    "view_id": words,
    "answer_bytes_max": naturals,
    "wanted": st.lists(wanted, max_size=3, unique_by=lambda it: it.id).map(tuple),
    "view": st.just(WHOLE_FEED) | views(),
}
requests = st.builds(Request, base=naturals, collection=collections, **_asking) | st.builds(
    Request, base=st.none() | naturals, inventory=inventories, **_asking
)
remainders = st.builds(Remainder, id=item_ids, digest=digests, offset=naturals, content=contents)
deltas = st.builds(
    Delta,
    base=naturals,
    head=integers,
    lineage=words,
    epoch=epochs,
    p0=st.none() | integers,
    tokens=coded_sets,
    changes=st.lists(changes, max_size=3).map(tuple),
    remainders=st.lists(remainders, max_size=2).map(tuple),
    more=st.booleans(),
    withheld=st.lists(item_ids, max_size=3).map(tuple),
    since=st.none() | integers,
)
id_hashes = st.binary(min_size=6, max_size=6)
comparisons = st.builds(
    Compared,
    base=naturals,
    head=integers,
    lineage=words,
    epoch=epochs,
    p0=st.none() | integers,
    missing=coded_sets,
    puts=st.lists(puts(), max_size=3).map(tuple),
    drops=st.lists(id_hashes, max_size=3).map(b"".join),
    answered=naturals,
    split=st.lists(prefixes, max_size=3).map(tuple),
    since=st.none() | integers,
)
refusals = st.builds(
    Refused,
    reason=texts,
    message=texts,
    retry_after_s=st.none() | naturals,
    versions=st.lists(naturals, max_size=16).map(tuple),
)
answers = (
    st.builds(Answer, v=st.just(1), id=request_ids, delta=deltas)
    | st.builds(Answer, v=st.just(1), id=request_ids, void=st.builds(Void, why=st.just("purged")))
    | st.builds(Answer, v=st.just(1), id=request_ids, refused=refusals)
    | st.builds(Answer, v=st.just(1), id=request_ids, inventory=comparisons)
)
