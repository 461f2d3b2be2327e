"""Every message of notify, request and response (docs/protocol.md, M1 to M12)."""

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from annotated_types import Ge, Le, Len, MaxLen
from pydantic import AfterValidator, FailFast, model_validator

from sync_protocol import limits, names, wire
from sync_protocol.digests import Digest
from sync_protocol.errors import ProtocolError
from sync_protocol.inventory import (
    DIGITS,
    ENTRY_BYTES,
    FINGERPRINT_BYTES,
    ID_HASH_BYTES,
    PREFIX_DIGITS_MAX,
    Prefix,
    unpack,
)
from sync_protocol.names import Folder, ItemId, Kind, MediaType
from sync_protocol.tokens import EpochId, Integer, Natural, Word32
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format, Key, Message

VERSION: Final = 1
REQUEST_ID_BYTES: Final = 8

# Not a Literal, which would take True for 1.
Version = Annotated[int, Ge(VERSION), Le(VERSION)]
RequestId = Annotated[bytes, Len(REQUEST_ID_BYTES, REQUEST_ID_BYTES)]
SetBytes = Annotated[bytes, MaxLen(limits.TOKEN_SET_BYTES_MAX)]
Portion = Annotated[bytes, MaxLen(limits.ANSWER_BYTES_MAX)]


class Put(Message):
    """An item as it is now, without its token: the same bytes for every replica of a view (M1).

    Digest, size, media type and content are those of the representation that the view wants.
    `until` is the last moment that the item is about, Unix seconds; absent, that is its `date`.
    `content` is all of the content or its first portion, from byte 0; absent, the change came
    without content. An item of `size` 0 is whole without any.
    """

    id: Annotated[ItemId, Key(1)]
    kind: Annotated[Kind, Key(2)]
    folder: Annotated[Folder, Key(3)] = ""
    flags: Annotated[tuple[str, ...], FailFast(), AfterValidator(names.flags), Key(4)] = ()
    date: Annotated[Integer | None, Key(5)] = None
    digest: Annotated[Digest, Key(6)]
    size: Annotated[Natural, Key(7)]
    media_type: Annotated[MediaType, Key(8)] = "application/octet-stream"
    content: Annotated[Portion | None, Key(9)] = None
    until: Annotated[Integer | None, Key(10)] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > limits.CONTENT_BYTES_MAX:
            raise ValueError(f"size is over {limits.CONTENT_BYTES_MAX} bytes")
        if self.content is not None and len(self.content) > self.size:
            raise ValueError("content is longer than size")
        return self


class _PutOrRemove(Message):
    """What became of one item: exactly one of `put` and `remove`."""

    put: Annotated[Put | None, Key(6)] = None
    remove: Annotated[ItemId | None, Key(7)] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.put is None) == (self.remove is None):
            raise ValueError("exactly one of put and remove must be there")
        return self

    @property
    def item_id(self) -> str:
        """The item that changed."""
        if self.put is not None:
            return self.put.id
        assert self.remove is not None  # noqa: S101 - checked when it was made
        return self.remove


class Change(_PutOrRemove):
    """A change in an answer, with its token (M2)."""

    n: Annotated[Integer, Key(1)]


class NotificationHead(Message):
    """The part of a push that differs from replica to replica."""

    v: Annotated[Version, Key(0)]
    lineage: Annotated[Word32, Key(1)]
    n: Annotated[Integer, Key(2)]
    prev: Annotated[Integer | None, Key(3)] = None
    asof: Annotated[Integer, Key(4)]
    c: Annotated[Integer | None, Key(5)] = None


class Notification(NotificationHead, _PutOrRemove):
    """A push (M3, P2)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.prev is not None and self.prev >= self.n:
            raise ValueError("prev is older than n")
        if self.c is not None and self.c > self.n:
            raise ValueError("c is no newer than n")
        if self.asof < self.n:
            raise ValueError("asof is no older than n")
        return self


class Collection(Message):
    """What the gateway said a replica holds, with the device's own tokens added (M4)."""

    lineage: Annotated[Word32, Key(1)]
    epoch: Annotated[EpochId, Key(2)]
    asof: Annotated[Integer, Key(3)]
    p0: Annotated[Integer | None, Key(4)] = None
    tokens: Annotated[SetBytes, Key(5)] = b""


class Wanted(Message):
    """A content that a device holds only the first `offset` bytes of (M5)."""

    id: Annotated[ItemId, Key(1)]
    digest: Annotated[Digest, Key(2)]
    offset: Annotated[Natural, Key(3)] = 0


class Range(Message):
    """What a device holds of one range of id hashes (M10, Q3): exactly one of the two is there.

    `fingerprints` is that of the range, or those of its sixteen parts; `entries` is (id hash, etag)
    of each item, ascending.
    """

    prefix: Annotated[Prefix, Key(1)] = ""
    fingerprints: Annotated[bytes | None, Key(2)] = None
    entries: Annotated[bytes | None, Key(3)] = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (self.fingerprints is None) == (self.entries is None):
            raise ValueError("exactly one of fingerprints and entries must be there")
        if self.fingerprints is not None and len(self.fingerprints) not in {
            FINGERPRINT_BYTES,
            FINGERPRINT_BYTES * len(DIGITS),
        }:
            raise ValueError(f"fingerprints are 1 or {len(DIGITS)}")
        if (
            len(self.prefix) == PREFIX_DIGITS_MAX
            and len(self.fingerprints or b"") > FINGERPRINT_BYTES
        ):
            raise ValueError("a range of all digits has no parts")
        if self.entries is not None:
            if len(self.entries) % ENTRY_BYTES:
                raise ValueError(f"an entry has {ENTRY_BYTES} bytes")
            hashes = [id_hash for id_hash, _ in unpack(self.entries)]
            if hashes != sorted(hashes) or not all(
                id_hash.hex().startswith(self.prefix) for id_hash in (*hashes[:1], *hashes[-1:])
            ):
                raise ValueError("entries are ascending, and of this range")
        return self


class Request(Message):
    """A device asks what it lacks (M6, Q2): by its collection, or by an inventory (Q3).

    Key 8 is kept for edits.
    """

    v: Annotated[Version, Key(0)]
    id: Annotated[RequestId, Key(1)]
    base: Annotated[Natural | None, Key(2)] = None
    view_id: Annotated[Word32, Key(3)]
    answer_bytes_max: Annotated[Natural, Key(4)] = limits.ANSWER_BYTES_DEFAULT
    collection: Annotated[Collection | None, Key(5)] = None
    wanted: Annotated[
        tuple[Wanted, ...], FailFast(), MaxLen(limits.REQUEST_WANTED_MAX), Key(6)
    ] = ()
    inventory: Annotated[
        tuple[Range, ...], FailFast(), MaxLen(limits.INVENTORY_RANGES_MAX), Key(7)
    ] = ()
    view: Annotated[View, Key(9)] = WHOLE_FEED

    @model_validator(mode="after")
    def _based(self) -> Self:
        if (self.collection is None) == (not self.inventory):
            raise ValueError("exactly one of collection and inventory must be there")
        if self.collection is not None and self.base is None:
            raise ValueError("a collection needs the base that its tokens count from")
        if len({wanted.id for wanted in self.wanted}) < len(self.wanted):
            raise ValueError("a content is wanted once")
        prefixes = sorted(it.prefix for it in self.inventory)
        if any(after.startswith(before) for before, after in pairwise(prefixes)):
            raise ValueError("the ranges of an inventory do not overlap")
        return self


class Remainder(Message):
    """Bytes of a content from `offset` on (M7, G4)."""

    id: Annotated[ItemId, Key(1)]
    digest: Annotated[Digest, Key(2)]
    offset: Annotated[Natural, Key(3)] = 0
    content: Annotated[Portion, Key(4)]


class Delta(Message):
    """The changes that were absent, and a new collection (M8, G5).

    `withheld` names items whose contents are wanted and cannot be had (G4, F7). `since` is there
    if the operator lets the replica see less than it asked for (V5).
    """

    base: Annotated[Natural, Key(1)]
    head: Annotated[Integer, Key(2)]
    lineage: Annotated[Word32, Key(3)]
    epoch: Annotated[EpochId, Key(4)]
    p0: Annotated[Integer | None, Key(5)] = None
    tokens: Annotated[SetBytes, Key(6)] = b""
    changes: Annotated[
        tuple[Change, ...], FailFast(), MaxLen(limits.ANSWER_CHANGES_MAX), Key(7)
    ] = ()
    remainders: Annotated[
        tuple[Remainder, ...], FailFast(), MaxLen(limits.ANSWER_REMAINDERS_MAX), Key(8)
    ] = ()
    more: Annotated[bool, Key(9)] = False
    withheld: Annotated[
        tuple[ItemId, ...], FailFast(), MaxLen(limits.REQUEST_WANTED_MAX), Key(10)
    ] = ()
    since: Annotated[Integer | None, Key(11)] = None


class Compared(Message):
    """What an inventory came to, for the first ranges of the request (M11, G6).

    Attributes:
        missing: `n` and `c` of the changes whose content the device lacks.
        puts: items whose content it has, and which differ in something else.
        drops: id hashes of what is no longer in the feed, one behind the other.
        answered: how many ranges of the request this is about.
        split: the ranges to present next instead of those of them that do not fit.
        since: as in a delta.
    """

    base: Annotated[Natural, Key(1)]
    head: Annotated[Integer, Key(2)]
    lineage: Annotated[Word32, Key(3)]
    epoch: Annotated[EpochId, Key(4)]
    p0: Annotated[Integer | None, Key(5)] = None
    missing: Annotated[SetBytes, Key(6)] = b""
    puts: Annotated[tuple[Put, ...], FailFast(), MaxLen(limits.ANSWER_CHANGES_MAX), Key(7)] = ()
    drops: Annotated[Portion, Key(8)] = b""
    answered: Annotated[Natural, Key(9)]
    split: Annotated[
        tuple[Prefix, ...], FailFast(), MaxLen(limits.INVENTORY_RANGES_MAX * len(DIGITS)), Key(10)
    ] = ()
    since: Annotated[Integer | None, Key(11)] = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if len(self.drops) % ID_HASH_BYTES:
            raise ValueError(f"an id hash has {ID_HASH_BYTES} bytes")
        return self


class Void(Message):
    """The presented collection means nothing any more (G1): take an inventory (A3)."""

    why: Annotated[Literal["epoch", "restored", "purged", "lineage", "tokens"], Key(1)]


class Refused(Message):
    """The request was not served: `reason` for a program, `message` for a person."""

    reason: Annotated[str, MaxLen(limits.REASON_CHARS_MAX), Key(1)]
    message: Annotated[str, MaxLen(limits.MESSAGE_CHARS_MAX), Key(2)]
    retry_after_s: Annotated[Natural | None, Key(3)] = None
    versions: Annotated[tuple[Natural, ...], FailFast(), MaxLen(16), Key(4)] = ()


class Answer(Message):
    """What a request gets (M9): exactly one of `delta`, `void`, `refused` and `inventory`."""

    v: Annotated[Version, Key(0)]
    id: Annotated[RequestId, Key(1)]
    delta: Annotated[Delta | None, Key(2)] = None
    void: Annotated[Void | None, Key(3)] = None
    refused: Annotated[Refused | None, Key(4)] = None
    inventory: Annotated[Compared | None, Key(5)] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = [self.delta, self.void, self.refused, self.inventory]
        if kinds.count(None) != len(kinds) - 1:
            raise ValueError("exactly one of delta, void, refused and inventory must be there")
        return self


class _Envelope(Message):
    """The two fields that every version of a request has in the same place (W6)."""

    v: Annotated[Natural, Key(0)]
    id: Annotated[RequestId | None, Key(1)] = None


def encode_notification(
    head: NotificationHead, *, removed: bool, body: bytes, form: Format
) -> bytes:
    """A `Notification` whose shared part is already encoded.

    Args:
        head: the replica's own part.
        removed: whether `body` is an item id (a remove) or a `Put`.
        body: the shared part, encoded in `form`.
        form: the form of the replica's last request.
    """
    key, name = (7, "remove") if removed else (6, "put")
    return wire.splice(wire.encode(head, form), key=key, name=name, body=body, form=form)


def decode_request(data: bytes) -> Request:
    """The request in `data`.

    Raises:
        ProtocolError: it is none. Reason ``version`` if it is one of another version.
    """
    try:
        return wire.decode(Request, data, bytes_max=limits.REQUEST_BYTES_MAX)
    except ProtocolError:
        version = envelope(data)[0]
        if version is not None and version != VERSION:
            raise ProtocolError(
                "version", f"version {version} is not spoken here, only {VERSION}"
            ) from None
        raise


def envelope(data: bytes) -> tuple[int | None, bytes | None]:
    """The version and the request id of `data` where they can be read, whatever else it holds."""
    try:
        found = wire.decode(_Envelope, data, bytes_max=limits.REQUEST_BYTES_MAX)
    except ProtocolError:
        return None, None
    return found.v, found.id
