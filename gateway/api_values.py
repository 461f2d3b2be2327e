"""What the HTTP API's requests say and its answers tell, between bytes and the service's values."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from gateway import api_bulk
from gateway import api_models as models
from gateway.backup_sqlite import BackupError
from gateway.broker_accounts import AccountError
from gateway.device import DeviceError, NoSuchDeviceError
from gateway.feed import FeedError, NoSuchFeedError, NoSuchItemError, PoisonError, StorageError
from gateway.info import DeviceInfo, HeldBack, Outcome
from gateway.rows import Alter, Delete, Mutation, Put, Row
from gateway.writer import WriterClosedError
from sync_protocol import limits
from sync_protocol.views import View

QUERY_FIELDS_MAX: Final = limits.FLAGS_MAX + 8
_REPEATABLE: Final = frozenset({"flag"})

M = TypeVar("M", bound=BaseModel)

# Status and reason of the errors of the service; the first class that fits counts.
REFUSALS: Final[Sequence[tuple[type[Exception], int, str]]] = (
    (NoSuchFeedError, 404, "no-such-feed"),
    (NoSuchItemError, 404, "no-such-item"),
    (NoSuchDeviceError, 404, "no-such-device"),
    (FeedError, 400, "invalid"),
    (PoisonError, 500, "damaged"),
    (DeviceError, 400, "invalid"),
    (BackupError, 409, "backup"),
    (AccountError, 503, "broker"),
    (StorageError, 503, "storage"),
    (WriterClosedError, 503, "busy"),
)


class RefusedError(Exception):
    """The request is answered with this error.

    Attributes:
        status: of HTTP.
        reason: a word for programs and counters.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def refusal_of(error: Exception) -> tuple[int, str]:
    """Status and reason for an error of the service."""
    return next((status, reason) for kind, status, reason in REFUSALS if isinstance(error, kind))


def checked_name(check: Callable[[str], str], text: str) -> str:
    """`text`, a name out of a path, if `check` finds it good. RefusedError."""
    try:
        return check(text)
    except ValueError as error:
        raise RefusedError(400, "invalid", str(error)) from error


def read_query(query_string: bytes, model: type[M]) -> M:
    """The parameters of a request, each once, but for flags. RefusedError."""
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError as error:
        raise RefusedError(
            400,
            "invalid",
            f"the parameters must be percent-encoded UTF-8, and at most {QUERY_FIELDS_MAX}",
        ) from error
    for name, value in pairs:
        if name in _REPEATABLE:
            repeated.setdefault(name, []).append(value)
        elif name in values:
            raise RefusedError(400, "invalid", f"the parameter {name!a:.80} is given twice")
        else:
            values[name] = value
    try:
        return model.model_validate({**values, **repeated})
    except ValidationError as error:
        raise RefusedError(400, "invalid", _complaint(error)) from error


def read_json(body: bytes, model: type[M]) -> M:
    """A body in JSON. RefusedError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(400, "invalid", _complaint(error)) from error


def read_bulk(body: bytes) -> Sequence[object]:
    """The mutations of a bulk request, each of which has still to be read. RefusedError."""
    try:
        read = api_bulk.decode(body)
    except api_bulk.BulkError as error:
        raise RefusedError(400, "unreadable", str(error)) from None
    if not isinstance(read, list) or len(read) > models.BULK_MUTATIONS_MAX:
        raise RefusedError(
            400, "invalid", f"the body is an array of at most {models.BULK_MUTATIONS_MAX} mutations"
        )
    mutations: list[object] = read
    return mutations


def read_mutation(raw: object) -> Mutation | models.Result:
    """One mutation of a bulk request, or why it is none."""
    try:
        read = models.BULK_MUTATION.validate_python(raw)
    except ValidationError as error:
        return failed(_safe_id(raw), "invalid", _complaint(error))
    match read:
        case models.PutMutation():
            kind = read.kind or models.default_kind(read.media_type)
            if kind is None:
                return failed(read.id, "invalid", no_kind(read.media_type))
            return Put(
                read.id,
                read.content,
                kind,
                read.media_type,
                folder=read.folder,
                flags=read.flags,
                date=read.date,
            )
        case models.AlterMutation():
            return Alter(read.id, folder=read.folder, flags=read.flags)
        case models.DeleteMutation():
            return Delete(read.id)


def _safe_id(raw: object) -> str | None:
    try:
        return models.ItemQuery.model_validate({"id": raw["id"]}).id  # type: ignore[index]  # hence the except
    except (KeyError, TypeError, ValueError):
        return None


def result(outcome: Outcome) -> models.Result:
    """What became of one mutation."""
    if outcome.error is not None:
        return failed(outcome.item_id, refusal_of(outcome.error)[1], str(outcome.error))
    if outcome.seq is None:
        return models.Result(id=outcome.item_id, status="unchanged")
    return models.Result(
        id=outcome.item_id, status="created" if outcome.created else "changed", seq=outcome.seq
    )


def failed(item_id: str | None, reason: str, message: str) -> models.Result:
    """A mutation that was refused."""
    problem = models.Problem(reason=reason, message=message)
    return models.Result(id=item_id, status="failed", error=problem)


def no_kind(media_type: str) -> str:
    """The message to who put an item without saying what it is."""
    return f"say what kind of item this is (kind=...): {media_type!a:.80} does not tell"


def attributes(row: Row) -> models.Attributes:
    """An item without its content."""
    return models.Attributes(
        id=row.id,
        kind=row.kind,
        media_type=row.media_type,
        folder=row.folder,
        flags=row.flags,
        date=row.date,
        until=row.until,
        size=row.size,
        digest=row.digest.hex(),
        seq=row.seq,
    )


def quarantined(held_back: HeldBack) -> models.QuarantinedItem:
    """An item that is held back."""
    row = held_back.row
    return models.QuarantinedItem(
        id=row.id,
        seq=row.seq,
        kind=row.kind,
        folder=row.folder,
        why=held_back.why,
        representation=held_back.representation,
    )


def device(info: DeviceInfo) -> models.Device:
    """A device."""
    return models.Device(
        id=info.id,
        online=info.online,
        replicas=tuple(
            models.Replica(
                feed=replica.feed,
                synced_at=replica.synced_at,
                behind=replica.behind,
                view=None if replica.view is None else _view(replica.view),
            )
            for replica in info.replicas
        ),
        allowed=info.allowed,
        warning=info.warning,
    )


def _view(view: View) -> models.View:
    return models.View(
        kinds=view.kinds,
        folders=view.folders,
        since=view.since,
        shown_as={each.kind: each.representation for each in view.shown_as},
        portion_bytes=view.portion_bytes,
        item_bytes_max=view.item_bytes_max,
    )


def _complaint(error: ValidationError) -> str:
    """The first thing that is wrong, naming the field and never quoting what it held."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where!a:.80}: {message}" if where else message
