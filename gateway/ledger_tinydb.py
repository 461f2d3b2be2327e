"""The ledger in TinyDB: one small database file for each device."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from tinydb import TinyDB
from tinydb.storages import Storage

from gateway.ledger import Record
from sync_protocol.errors import ProtocolError
from sync_protocol.token_set import TokenSet
from sync_protocol.tokens import Natural, Word32
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format

_LOG: Final = logging.getLogger(__name__)
_PRIVATE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
# A device has some feeds with a token set of at most 32 KiB each, twice that as hex.
LEDGER_FILE_BYTES_MAX: Final = 8 * 1024 * 1024


class AtomicJsonStorage(Storage):
    """A TinyDB storage that replaces its file as a whole.

    TinyDB's own file storage writes in place, and a kill in the middle leaves half a file. This
    one writes a temporary file, syncs it and renames it: the file is always the old or the new.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """What the file holds, or None if there is none. ValueError if it is damaged."""
        try:
            with self._path.open("rb") as file:
                data = file.read(LEDGER_FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        if len(data) > LEDGER_FILE_BYTES_MAX:
            raise ValueError(f"larger than {LEDGER_FILE_BYTES_MAX} bytes")
        try:
            tables = json.loads(data)
        except RecursionError:
            raise ValueError("too deep") from None
        if not isinstance(tables, dict):
            raise ValueError("no tables in it")  # noqa: TRY004 - one error for all damage
        return tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file. Its folder is made again if somebody took it away."""
        self._path.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(data, allow_nan=False, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


class _Document(BaseModel):
    """A record as TinyDB keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: str
    feed: str
    base: Natural
    view_id: Word32
    form: Format
    epoch: str
    tokens: str
    synced_at: int
    view: View = WHOLE_FEED


class TinyDbLedger:
    """One TinyDB file for each device, open only while it is read or written."""

    def __init__(self, folder: Path, *, count: Callable[[str], None] = lambda _name: None) -> None:
        self._folder = folder
        self._count = count
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)

    def path(self, device: str) -> Path:
        """The device's file: its name is derived from the id, never taken from it."""
        return self._folder / f"{hashlib.sha256(device.encode()).hexdigest()[:32]}.json"

    def load(self, device: str, generation: bytes) -> Mapping[str, Record]:
        """See `Ledger`. What cannot be read is as if it were not there: requests rebuild it."""
        try:
            return self._read(device, generation)
        except OSError:
            self._count("ledger reads failed")
            _LOG.exception("the ledger file of device %s cannot be read", device)
            return {}

    def _read(self, device: str, generation: bytes) -> Mapping[str, Record]:
        path = self.path(device)
        try:
            with TinyDB(path, storage=AtomicJsonStorage) as db:
                # As JSON, because a view is strict, and has tuples of which JSON makes lists.
                documents = [_Document.model_validate_json(json.dumps(dict(it))) for it in db.all()]
            return {
                document.feed: _record(document)
                for document in documents
                if document.generation == generation.hex()
            }
        except (ValueError, ValidationError, ProtocolError, AttributeError, TypeError) as error:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            self._count("ledger files damaged")
            _LOG.warning(
                "the ledger file of device %s is damaged (%s) and was moved to %s;"
                " the device's next sync makes a new one, and nothing is sent again",
                device,
                type(error).__name__,
                aside.name,
            )
            return {}

    def save(self, device: str, generation: bytes, records: Mapping[str, Record]) -> None:
        """See `Ledger`."""
        documents = [
            _Document(
                generation=generation.hex(),
                feed=feed,
                base=record.base,
                view_id=record.view_id,
                form=record.form,
                epoch=record.epoch.hex(),
                tokens=record.held.encode().hex(),
                synced_at=record.synced_at,
                view=record.view,
            ).model_dump(mode="json", exclude_defaults=True)
            for feed, record in records.items()
        ]
        # One write: TinyDB writes its storage after each call, and each write is a rename.
        table = {str(number): document for number, document in enumerate(documents, start=1)}
        with TinyDB(self.path(device), storage=AtomicJsonStorage) as db:
            db.storage.write({TinyDB.default_table_name: table})

    def forget(self, device: str) -> None:
        """See `Ledger`. A file that cannot be removed is of an enrolment that nobody asks for."""
        try:
            self.path(device).unlink(missing_ok=True)
        except OSError:
            self._count("ledger writes failed")
            _LOG.exception("the ledger file of device %s cannot be removed", device)


def _record(document: _Document) -> Record:
    return Record(
        generation=bytes.fromhex(document.generation),
        base=document.base,
        view_id=document.view_id,
        form=document.form,
        epoch=bytes.fromhex(document.epoch),
        held=TokenSet.decode(bytes.fromhex(document.tokens)),
        synced_at=document.synced_at,
        view=document.view,
    )
