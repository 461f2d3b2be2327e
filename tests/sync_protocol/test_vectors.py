"""docs/vectors.json holds what docs/protocol.md promises; ``python -m`` this writes it anew."""

import json
from pathlib import Path
from typing import Any, Final

import cbor2

from sync_protocol import inventory, messages, tokens, wire
from sync_protocol.digests import digest_of
from sync_protocol.errors import ProtocolError
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
from sync_protocol.token_set import TokenSet
from sync_protocol.views import ShownAs, View
from sync_protocol.wire import Format, Message

PATH: Final = Path(__file__).parents[2] / "docs" / "vectors.json"
CARD: Final = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada\r\nEND:VCARD\r\n"
EPOCH: Final = bytes.fromhex("0123456789abcdef")
REQUEST_ID: Final = bytes.fromhex("00112233445566ff")
GENERATION: Final = bytes.fromhex("8877665544332211")
LINEAGE: Final = tokens.lineage(
    EPOCH, base=40, view_id=7, renderer_version=1, generation=GENERATION
)

PUT: Final = Put(
    id="ada@example.org",
    kind="contact",
    folder="Friends",
    flags=("$flagged",),
    date=1_767_225_600,
    digest=digest_of([CARD]),
    size=len(CARD),
    media_type="text/vcard",
    content=CARD,
)
EVENT: Final = Put(
    id="stand-up",
    kind="event",
    folder="Team",
    date=1_767_225_600,
    until=1_798_761_600,
    digest=digest_of([b"{}"]),
    size=2,
    media_type="application/jscalendar+json",
    content=b"{}",
)
PLAIN: Final = Put(id="größe", kind="mail", digest=digest_of([b""]), size=0)
HELD: Final = TokenSet.of_ranges([(-39, 4), (6, 9), (11, 12)])


def entry(put: Put) -> tuple[bytes, bytes]:
    """The item as an inventory compares it."""
    etag = inventory.etag(
        put.digest,
        kind=put.kind,
        folder=put.folder,
        flags=put.flags,
        date=put.date,
        until=put.until,
        media_type=put.media_type,
    )
    return inventory.id_hash(put.id), etag


def id_prefix(put: Put, digits: int) -> str:
    """A range that the item is in."""
    return inventory.id_hash(put.id).hex()[:digits]


MESSAGES: Final[dict[str, Message]] = {
    "notification: a put with its content": Notification(
        v=1, lineage=LINEAGE, n=12, prev=11, asof=12, put=PUT
    ),
    "notification: flags, after content that is also new": Notification(
        v=1, lineage=LINEAGE, n=12, prev=9, asof=13, c=10, put=PUT
    ),
    "notification: a remove, with nothing before it": Notification(
        v=1, lineage=LINEAGE, n=-3, asof=0, remove="ada@example.org"
    ),
    "request: the first, of a device that holds nothing": Request(
        v=1, id=REQUEST_ID, view_id=7, inventory=(Range(entries=b""),)
    ),
    "request: an inventory, all items as one range": Request(
        v=1,
        id=REQUEST_ID,
        base=40,
        view_id=7,
        inventory=(Range(fingerprints=inventory.fingerprint([entry(PUT), entry(PLAIN)])),),
    ),
    "request: an inventory, one range by its sixteen parts, two by their entries": Request(
        v=1,
        id=REQUEST_ID,
        view_id=7,
        inventory=(
            Range(prefix="0", fingerprints=inventory.fingerprint([]) * 16),
            Range(prefix=id_prefix(PUT, 1), entries=inventory.pack([entry(PUT)])),
            Range(prefix=id_prefix(PLAIN, 12), entries=inventory.pack([entry(PLAIN)])),
        ),
    ),
    "request: two pushes were lost, one content is wanted": Request(
        v=1,
        id=REQUEST_ID,
        base=40,
        view_id=7,
        answer_bytes_max=65_536,
        collection=Collection(lineage=LINEAGE, epoch=EPOCH, asof=12, p0=-5, tokens=HELD.encode()),
        wanted=(Wanted(id="big", digest=digest_of([b"big"]), offset=4096),),
    ),
    "request: a view of some folders, in another representation": Request(
        v=1,
        id=REQUEST_ID,
        base=40,
        view_id=7,
        collection=Collection(lineage=LINEAGE, epoch=EPOCH, asof=12, tokens=HELD.encode()),
        view=View(
            kinds=("contact", "event"),
            folders=("", "Team"),
            since=1_767_139_200,
            shown_as=(ShownAs(kind="event", representation="compact"),),
            portion_bytes=0,
            item_bytes_max=65_536,
        ),
    ),
    "answer: a delta": Answer(
        v=1,
        id=REQUEST_ID,
        delta=Delta(
            base=40,
            head=12,
            lineage=LINEAGE,
            epoch=EPOCH,
            tokens=TokenSet.span(-39, 12).encode(),
            changes=(Change(n=10, put=PUT), Change(n=5, remove="gone")),
            remainders=(
                Remainder(id="big", digest=digest_of([b"big"]), offset=4096, content=b"rest"),
            ),
        ),
    ),
    "answer: a delta of less than was asked for": Answer(
        v=1,
        id=REQUEST_ID,
        delta=Delta(
            base=40,
            head=12,
            lineage=LINEAGE,
            epoch=EPOCH,
            tokens=TokenSet.span(-39, 12).encode(),
            changes=(Change(n=12, put=EVENT),),
            since=1_767_225_600,
        ),
    ),
    "answer: an inventory": Answer(
        v=1,
        id=REQUEST_ID,
        inventory=Compared(
            base=40,
            head=12,
            lineage=LINEAGE,
            epoch=EPOCH,
            p0=-5,
            missing=TokenSet.of([5, 10]).encode(),
            puts=(PUT.model_copy(update={"content": None}),),
            drops=inventory.id_hash("gone"),
            answered=3,
            split=("00", "0f"),
        ),
    ),
    "answer: void": Answer(v=1, id=REQUEST_ID, void=Void(why="purged")),
    "answer: refused": Answer(
        v=1,
        id=REQUEST_ID,
        refused=Refused(reason="version", message="version 2 is not spoken here", versions=(1,)),
    ),
}
TOKEN_SETS: Final[list[list[tuple[int, int]]]] = [
    [],
    [(1, 1)],
    [(-39, 12)],
    [(-39, 4), (6, 9), (11, 12)],
    [(1, 499), (1_000, 5_000)],
    [(1, 1), (3, 3), (5, 5), (7, 7)],
    [(0, 2**40)],
    [(1, 10), (1_000_000, 1_000_000), (2_000_000, 2_000_001)],
]


def vectors() -> dict[str, Any]:
    """Everything in the file."""
    return {
        "token sets": [
            {
                "ranges": [list(span) for span in ranges],
                "hex": TokenSet.of_ranges(ranges).encode().hex(),
            }
            for ranges in TOKEN_SETS
        ],
        "lineage": {
            "epoch": EPOCH.hex(), "base": 40, "view_id": 7, "renderer_version": 1,
            "generation": GENERATION.hex(), "lineage": LINEAGE,
        },
        "digest": {"content hex": CARD.hex(), "digest": digest_of([CARD]).hex()},
        "inventory": {
            "entries": [
                {
                    "id": put.id, "kind": put.kind, "folder": put.folder, "flags": list(put.flags),
                    "date": put.date, "until": put.until, "media_type": put.media_type,
                    "digest": put.digest.hex(),
                    "id hash": entry(put)[0].hex(), "etag": entry(put)[1].hex(),
                }
                for put in (PUT, PLAIN, EVENT)
            ],
            "fingerprints": [
                {
                    "ids": [put.id for put in puts],
                    "fingerprint": inventory.fingerprint(map(entry, puts)).hex(),
                }
                for puts in ([], [PUT], [PUT, PLAIN])
            ],
        },
        "messages": {
            name: {
                "cbor": wire.encode(message, Format.CBOR).hex(),
                "json": wire.encode(message, Format.JSON).decode(),
            }
            for name, message in MESSAGES.items()
        },
        "refused requests": {
            "another version": {"hex": "a200020148" + REQUEST_ID.hex(), "reason": "version"},
            "no map": {"hex": "83010203", "reason": "form"},
            "cut off": {"hex": "a2000101", "reason": "unreadable"},
            "no version": {"hex": b"{}".hex(), "reason": "invalid"},
            "neither collection nor inventory": {
                "hex": "a3000101" + cbor2.dumps(REQUEST_ID).hex() + "0307", "reason": "invalid",
            },
            "ranges that overlap": {
                "hex": (
                    "a4000101" + cbor2.dumps(REQUEST_ID).hex() + "0307"
                    + "07" + cbor2.dumps([{3: b""}, {1: "a", 3: b""}]).hex()
                ),
                "reason": "invalid",
            },
        },
    }  # fmt: skip


def test_the_file_is_what_the_code_makes() -> None:
    assert json.loads(PATH.read_text()) == vectors()


def test_every_message_decodes_to_itself_in_both_forms() -> None:
    kept = json.loads(PATH.read_text())["messages"]
    for name, message in MESSAGES.items():
        for data in (bytes.fromhex(kept[name]["cbor"]), kept[name]["json"].encode()):
            assert wire.decode(type(message), data, bytes_max=10_000) == message


def test_every_token_set_decodes_to_itself() -> None:
    for vector in json.loads(PATH.read_text())["token sets"]:
        ranges = [tuple(span) for span in vector["ranges"]]
        assert list(TokenSet.decode(bytes.fromhex(vector["hex"]))) == ranges


def test_every_wrong_request_is_refused_for_its_reason() -> None:
    for vector in json.loads(PATH.read_text())["refused requests"].values():
        try:
            messages.decode_request(bytes.fromhex(vector["hex"]))
        except ProtocolError as error:
            assert error.reason == vector["reason"]  # noqa: PT017 - the reason is what is promised
        else:
            raise AssertionError(vector)


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n")
