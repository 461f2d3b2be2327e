"""The HTTP API's client: finds the gateway of a data directory and asks it."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway import api_bulk
from gateway import api_models as models
from gateway.api_errors import ApiError, NoAnswerError, NoGatewayError
from gateway.data_dir import API_FILE
from gateway.device import Allowed
from sync_protocol import limits, names

# A connection to this machine is made at once or not at all. An answer may wait for the disk.
CONNECT_S_MAX: Final = 3.0
ANSWER_S_MAX: Final = 60.0
# The whole state is written and read once.
BACKUP_S_MAX: Final = 3_600.0
API_FILE_BYTES_MAX: Final = 16 * limits.KIB

M = TypeVar("M", bound=BaseModel)


class Address(BaseModel):
    """Where a broker is."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int


class Announcement(BaseModel):
    """What a running gateway writes into its data directory for the commands."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: str = Field(repr=False)
    broker: Address
    embedded: bool = True
    accounts: Literal["by-hand", "dynamic-security"] = "by-hand"
    pid: int

    @property
    def needs_operator(self) -> bool:
        """Whether an operator has to give devices their accounts at the broker."""
        return not self.embedded and self.accounts == "by-hand"


@dataclass(frozen=True, slots=True)
class Content:
    """An item's bytes, what they are, and their SHA-256 in hex."""

    content: bytes
    media_type: str
    digest: str


def announcement(data_dir: Path) -> Announcement:
    """What the gateway of that directory wrote. NoGatewayError if there is nothing to be read."""
    path = data_dir / API_FILE
    try:
        with path.open("rb") as file:
            return Announcement.model_validate_json(file.read(API_FILE_BYTES_MAX))
    except FileNotFoundError:
        raise NoGatewayError(data_dir, "it holds no api.json") from None
    except OSError as error:
        raise NoGatewayError(data_dir, f"{path} cannot be read: {error.strerror}") from error
    except ValidationError:
        raise NoGatewayError(data_dir, f"{path} is not what a gateway writes") from None


class GatewayClient:
    """Asks one gateway. Every method may raise ApiError, NoGatewayError and NoAnswerError."""

    def __init__(self, data_dir: Path) -> None:
        """Find the gateway that runs with `data_dir`. NoGatewayError if none does."""
        self._data_dir = data_dir
        self.announced = announcement(data_dir)
        self._http = httpx.Client(
            base_url=self.announced.url,
            headers={"authorization": f"Bearer {self.announced.token}"},
            # A proxy has no business between two programs of one machine.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # Feeds

    def feeds(self) -> Sequence[models.Feed]:
        """All feeds, sorted by name."""
        return self._read(models.FeedList, "GET", "/v1/feeds").feeds

    def add_feed(self, name: str) -> models.Feed:
        """Make a feed."""
        new = models.NewFeed(name=_checked(names.feed_name, name))
        return self._read(models.Feed, "POST", "/v1/feeds", body=new)

    def remove_feed(self, name: str) -> None:
        """Delete a feed with all its items."""
        self._ask("DELETE", _feed_path(name))

    # Items

    def items(
        self, feed: str, *, after: str | None = None, page_items: int = models.PAGE_ITEMS_MAX
    ) -> Iterator[models.Attributes]:
        """All items of a feed in order of id, asked for page by page."""
        while True:
            page = self._page(feed, after=after, limit=page_items)
            yield from page.items
            if page.next is None:
                return
            after = page.next

    def _page(self, feed: str, *, after: str | None, limit: int) -> models.ItemPage:
        query = {"limit": limit} if after is None else {"limit": limit, "after": after}
        return self._read(models.ItemPage, "GET", f"{_feed_path(feed)}/items", query=query)

    def attributes(self, feed: str, item_id: str) -> models.Attributes:
        """An item without its content."""
        path = f"{_feed_path(feed)}/item/attributes"
        return self._read(models.Attributes, "GET", path, query=_which(item_id))

    def content(self, feed: str, item_id: str) -> Content:
        """An item's bytes."""
        response = self._ask("GET", f"{_feed_path(feed)}/item", query=_which(item_id))
        return Content(
            response.content,
            response.headers.get("content-type", ""),
            response.headers.get("etag", "").strip('"'),
        )

    def put(self, feed: str, mutation: models.PutMutation) -> models.Result:
        """Make an item, or replace its content."""
        query = {
            "id": mutation.id,
            "kind": mutation.kind,
            "folder": mutation.folder,
            "flag": mutation.flags,
            "date": mutation.date,
        }
        response = self._ask(
            "PUT",
            f"{_feed_path(feed)}/item",
            query={name: value for name, value in query.items() if value is not None},
            content=mutation.content,
            media_type=mutation.media_type,
        )
        return self._parsed(models.Result, response)

    def alter(self, feed: str, item_id: str, alteration: models.Alteration) -> models.Result:
        """Move an item to another folder, or set its flags."""
        path = f"{_feed_path(feed)}/item"
        return self._read(models.Result, "PATCH", path, query=_which(item_id), body=alteration)

    def delete(self, feed: str, item_id: str) -> models.Result:
        """Delete an item."""
        path = f"{_feed_path(feed)}/item"
        return self._read(models.Result, "DELETE", path, query=_which(item_id))

    def bulk(self, feed: str, mutations: Sequence[models.BulkMutation]) -> Sequence[models.Result]:
        """Change many items; what became of each, in their order."""
        response = self._ask(
            "POST",
            f"{_feed_path(feed)}/items",
            content=api_bulk.encode(mutations),
            media_type=models.CBOR,
        )
        results = self._parsed(models.BulkResult, response).results
        if len(results) != len(mutations):
            raise NoAnswerError(f"{self.announced.url} did not answer to every change")
        return results

    # Quarantine

    def quarantine(self, feed: str) -> Sequence[models.QuarantinedItem]:
        """The items of a feed that are held back from devices, in order of id."""
        return self._read(models.Quarantine, "GET", f"{_feed_path(feed)}/quarantine").items

    def retry(self, feed: str, item_id: str) -> models.Result:
        """Let an item out of quarantine, and have it rendered once more.

        It goes back in if it still breaks something.
        """
        path = f"{_feed_path(feed)}/quarantine/retry"
        return self._read(models.Result, "POST", path, query=_which(item_id))

    # Devices

    def devices(self) -> Sequence[models.Device]:
        """All devices, sorted by id."""
        return self._read(models.DeviceList, "GET", "/v1/devices").devices

    def device(self, device_id: str) -> models.Device:
        """One device."""
        return self._read(models.Device, "GET", _device_path(device_id))

    def add_device(
        self, device_id: str, feeds: Sequence[str], *, allowed: Allowed | None = None
    ) -> models.Enrolled:
        """Enrol a device; the answer holds its credential, which is kept nowhere.

        Args:
            device_id: of the device.
            feeds: that it may hold.
            allowed: what it may see of them; everything if None.
        """
        new = models.NewDevice.model_construct(
            id=_checked(names.device_id, device_id),
            feeds=tuple(_checked(names.feed_name, feed) for feed in feeds),
            allowed=Allowed() if allowed is None else allowed,
        )
        return self._read(models.Enrolled, "POST", "/v1/devices", body=new)

    def rotate_device(self, device_id: str) -> models.Enrolled:
        """Give a device another credential, and shut out the one before at once."""
        return self._read(models.Enrolled, "POST", f"{_device_path(device_id)}/rotate")

    def resync_device(self, device_id: str) -> None:
        """Have a device compare all that it holds with its feeds."""
        self._ask("POST", f"{_device_path(device_id)}/resync")

    def limit_device(self, device_id: str, allowed: Allowed) -> None:
        """Let a device see this of its feeds, and no more, from its next sync on."""
        self._ask("PUT", f"{_device_path(device_id)}/allowed", body=allowed)

    def remove_device(self, device_id: str) -> bool:
        """Take a device away, with its credential; False if the broker is to be told later."""
        return self._ask("DELETE", _device_path(device_id)).status_code != HTTPStatus.ACCEPTED

    # The whole

    def status(self) -> models.GatewayStatus:
        """How the gateway is."""
        return self._read(models.GatewayStatus, "GET", "/v1/status")

    def back_up(self, directory: Path) -> models.Backup:
        """Have the gateway save its state in a directory of its machine, an absolute path."""
        new = models.NewBackup.model_construct(
            directory=_checked(models.absolute_directory, str(directory))
        )
        return self._read(models.Backup, "POST", "/v1/backups", body=new, answer_s_max=BACKUP_S_MAX)

    # How it is asked

    def _read(self, model: type[M], method: str, path: str, **request: Any) -> M:  # noqa: ANN401 - see `_ask`
        return self._parsed(model, self._ask(method, path, **request))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        content: bytes | None = None,
        media_type: str = models.JSON,
        answer_s_max: float | None = None,
    ) -> httpx.Response:
        if answer_s_max is None:
            answer_s_max = ANSWER_S_MAX
        if body is not None:
            content = body.model_dump_json(exclude_none=True).encode()
        with self._explained(answer_s_max):
            response = self._http.request(
                method,
                path,
                params=query,
                content=content,
                headers={} if content is None else {"content-type": media_type},
                timeout=httpx.Timeout(answer_s_max, connect=CONNECT_S_MAX),
            )
        if response.is_success:
            return response
        problem = self._problem(response)
        raise ApiError(response.status_code, problem.reason, problem.message)

    @contextlib.contextmanager
    def _explained(self, answer_s_max: float) -> Iterator[None]:
        url = self.announced.url
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoGatewayError(self._data_dir, f"nothing answers at {url}") from error
        except httpx.TimeoutException as error:
            raise NoAnswerError(
                f"the gateway at {url} did not answer within {answer_s_max:.0f} s: 'gateway status'"
                " and its log say what it does"
            ) from error
        except httpx.TransportError as error:
            raise NoAnswerError(
                f"the gateway at {url} ended the connection: see whether it still runs"
            ) from error

    def _parsed(self, model: type[M], response: httpx.Response) -> M:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise self._stranger() from error

    def _problem(self, response: httpx.Response) -> models.Problem:
        try:
            return models.ErrorBody.model_validate(response.json()).error
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError):
            raise self._stranger() from None

    def _stranger(self) -> NoGatewayError:
        return NoGatewayError(
            self._data_dir, f"something else answers at {self.announced.url}, or another version"
        )


def _feed_path(name: str) -> str:
    return f"/v1/feeds/{_checked(names.feed_name, name)}"


def _device_path(device_id: str) -> str:
    return f"/v1/devices/{_checked(names.device_id, device_id)}"


def _which(item_id: str) -> Mapping[str, str]:
    return {"id": _checked(names.item_id, item_id)}


def _checked(check: Callable[[str], str], text: str) -> str:
    """`text`, if the gateway would take it; else what it would answer, if it could be asked."""
    try:
        return check(text)
    except ValueError as error:
        raise ApiError(400, "invalid", str(error)) from error
