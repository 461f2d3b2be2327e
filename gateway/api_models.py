"""The bodies of the HTTP API, which its server and its client share (docs/api.md)."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from annotated_types import Len
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from gateway.device import Allowed
from sync_protocol import limits
from sync_protocol.names import DeviceId, FeedName, Flags, Folder, ItemId, Kind, MediaType

# One item of the largest size with its head, or many small ones.
BULK_BYTES_MAX: Final = 32 * limits.MIB
BULK_MUTATIONS_MAX: Final = 1_000
# Of bodies in JSON, none of which carries content.
JSON_BYTES_MAX: Final = 64 * limits.KIB
PAGE_ITEMS_MAX: Final = 1_000
PAGE_ITEMS_DEFAULT: Final = 100
PATH_BYTES_MAX: Final = 4_096

CBOR: Final = "application/cbor"
JSON: Final = "application/json"

_KIND_BY_MEDIA_TYPE: Final[Mapping[str, str]] = {
    "text/vcard": "contact",
    "text/calendar": "event",
    "message/rfc822": "mail",
}

# What recurs for ever is about all moments that can be said.
NO_END: Final = limits.INTEGER_MAX

UnixSeconds = Annotated[int, Field(ge=-limits.INTEGER_MAX, le=limits.INTEGER_MAX)]


def default_kind(media_type: str) -> str | None:
    """The kind of an item whose kind was not said, or None where the media type does not tell."""
    return _KIND_BY_MEDIA_TYPE.get(media_type)


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class ItemQuery(_Model):
    """Which item a request is about."""

    id: ItemId


class PutQuery(ItemQuery):
    """What is put beside content and media type; what is None stays, or takes the default."""

    kind: Kind | None = None
    folder: Folder | None = None
    flag: Flags | None = None
    date: UnixSeconds | None = None


class PageQuery(_Model):
    """A page of a feed's items."""

    after: ItemId | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS_DEFAULT


class NoQuery(_Model):
    """No parameters."""


class NewFeed(_Model):
    """A feed to make."""

    name: FeedName


class Feed(_Model):
    """A feed: how many live items, and the newest seq."""

    name: str
    items: int
    head: int


class FeedList(_Model):
    """All feeds, sorted by name."""

    feeds: tuple[Feed, ...]


class Attributes(_Model):
    """A live item without its content. `digest` is its SHA-256 in hex, `date` Unix seconds.

    `until` is the last moment that it is about, if that is not its date; `NO_END` if there is none.
    """

    id: str
    kind: str
    media_type: str
    folder: str
    flags: tuple[str, ...]
    date: int | None
    until: int | None = None
    size: int
    digest: str
    seq: int


class ItemPage(_Model):
    """Some items in order of id; `next` is the `after` of the next page, None at the end."""

    items: tuple[Attributes, ...]
    next: str | None


class Alteration(_Model):
    """What of an item to change beside its content; what is None stays."""

    folder: Folder | None = None
    flags: Flags | None = None


class PutMutation(_Model):
    """Make an item, or replace its content."""

    op: Literal["put"] = "put"
    id: ItemId
    content: Annotated[bytes, Len(0, limits.CONTENT_BYTES_MAX)]
    media_type: MediaType
    kind: Kind | None = None
    folder: Folder | None = None
    flags: Flags | None = None
    date: UnixSeconds | None = None


class AlterMutation(_Model):
    """Move an item to another folder, or set its flags."""

    op: Literal["alter"] = "alter"
    id: ItemId
    folder: Folder | None = None
    flags: Flags | None = None


class DeleteMutation(_Model):
    """Delete an item."""

    op: Literal["delete"] = "delete"
    id: ItemId


BulkMutation = PutMutation | AlterMutation | DeleteMutation
BULK_MUTATION: Final[TypeAdapter[BulkMutation]] = TypeAdapter(
    Annotated[BulkMutation, Field(discriminator="op")]
)


class Problem(_Model):
    """Why something was refused: a word for programs, and a sentence for people."""

    reason: str
    message: str


class ErrorBody(_Model):
    """The body of every answer that is an error."""

    error: Problem


Status = Literal["created", "changed", "unchanged", "failed"]


class Result(_Model):
    """What became of one mutation. `seq` is None unless something changed."""

    id: str | None
    status: Status
    seq: int | None = None
    error: Problem | None = None


class BulkResult(_Model):
    """What became of each mutation, in their order."""

    results: tuple[Result, ...]


class QuarantinedItem(_Model):
    """A live item that is held back from devices, and why.

    `representation` is None if from all devices, else only from those that want it so.
    """

    id: str
    seq: int
    kind: str
    folder: str
    why: str
    representation: str | None = None


class Quarantine(_Model):
    """The items of a feed that are held back from devices, in order of id."""

    items: tuple[QuarantinedItem, ...]


class NewDevice(_Model):
    """A device to enrol, and what of its feeds it may see."""

    id: DeviceId
    feeds: Annotated[tuple[FeedName, ...], Len(1, limits.DEVICE_FEEDS_MAX)]
    allowed: Allowed = Allowed()


class Enrolled(_Model):
    """An enrolled device with its credential, which is told this once.

    `credential` is its password; `line` has all that the device needs, the password included.
    """

    id: str
    feeds: tuple[str, ...]
    credential: str
    line: str


class View(_Model):
    """What of a feed a replica wants, and may have. What is None restricts nothing.

    `since` is in Unix seconds. `shown_as` has the representation of each kind whose contents do not
    come as they are.
    """

    kinds: tuple[str, ...] | None = None
    folders: tuple[str, ...] | None = None
    since: int | None = None
    shown_as: Mapping[str, str] = {}
    portion_bytes: int | None = None
    item_bytes_max: int | None = None


class Replica(_Model):
    """A device's copy of a feed.

    `synced_at` (Unix seconds) is None until it synced, and so are `view`, what it asked for then as
    far as that is allowed, and `behind`, the number of changes that this sync did not cover.
    `behind` is also None while the feed is being rendered as the view wants it.
    """

    feed: str
    synced_at: int | None
    behind: int | None
    view: View | None = None


class Device(_Model):
    """An enrolled device, and what of its feeds it may see.

    `warning` says what is wrong with it, and how to mend that.
    """

    id: str
    online: bool
    replicas: tuple[Replica, ...]
    allowed: Allowed = Allowed()
    warning: str | None = None


class DeviceList(_Model):
    """All devices, sorted by id."""

    devices: tuple[Device, ...]


def absolute_directory(text: str) -> str:
    """`text`, if it can name a directory wherever the gateway was started. ValueError."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        size_bytes = 0
    if not text.startswith("/") or "\0" in text or not 0 < size_bytes <= PATH_BYTES_MAX:
        raise ValueError(
            f"a directory is named by an absolute path of at most {PATH_BYTES_MAX} bytes of UTF-8"
        )
    return text


class NewBackup(_Model):
    """A backup to make in a directory of the gateway's machine."""

    directory: Annotated[str, AfterValidator(absolute_directory)]


class Backup(_Model):
    """A backup, and what it holds: live items, and the size of its file.

    `damaged_items` have lost or damaged contents; `damaged_named` are the first as FEED/ID.
    """

    directory: str
    feeds: int
    items: int
    devices: int
    size_bytes: int
    damaged_items: int
    damaged_named: tuple[str, ...]


HealthWord = Literal["ok", "degraded"]


class Health(_Model):
    """Whether the gateway can do all of its work."""

    health: HealthWord


class GatewayStatus(Health):
    """How the gateway is: what is wrong, its broker connection, and its counters since its start.

    `online` are the ids of the devices that are connected.
    """

    problems: tuple[str, ...]
    broker: str
    feeds: int
    devices: int
    online: tuple[str, ...]
    counters: Mapping[str, int]
