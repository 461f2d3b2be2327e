"""The gateway's HTTP API: who may ask, what may be asked, and what is answered (docs/api.md)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway import api_models as models
from gateway import api_values
from gateway.api_guard import HEALTH_PATH, Guard
from gateway.api_values import (
    REFUSALS,
    RefusedError,
    checked_name,
    read_json,
    read_query,
    refusal_of,
)
from gateway.device import Allowed, DeviceError
from gateway.feed import FeedError
from gateway.rows import Alter, Delete, Mutation, Put
from gateway.service import Service
from sync_protocol import limits, names

# Threads of our own: each keeps a connection to the store, so they must not come and go.
THREADS: Final = 8
BODY_SECONDS_MAX: Final = 60.0
# What `curl --data-binary` says when nobody told it what it sends.
_FORM: Final = "application/x-www-form-urlencoded"

_HTTP_REASONS: Final[Mapping[int, str]] = {404: "no-such-path", 405: "method"}

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")


def create_app(service: Service, *, token: str, port: int) -> ASGIApp:
    """The API as an ASGI application.

    Args:
        service: the gateway.
        token: what every request but that for the health must bring.
        port: that it is reached at, for the check of the Host header.
    """
    endpoints = _Endpoints(service)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            endpoints.close()

    return Starlette(
        routes=[
            Route(HEALTH_PATH, endpoints.health),
            Route("/v1/status", endpoints.status),
            Route("/v1/backups", endpoints.back_up, methods=["POST"]),
            Route("/v1/feeds", endpoints.feeds),
            Route("/v1/feeds", endpoints.add_feed, methods=["POST"]),
            Route("/v1/feeds/{feed}", endpoints.remove_feed, methods=["DELETE"]),
            Route("/v1/feeds/{feed}/items", endpoints.items),
            Route("/v1/feeds/{feed}/items", endpoints.bulk, methods=["POST"]),
            # The id is a parameter: in a path, ids like "a/b" and ".." would not arrive.
            Route("/v1/feeds/{feed}/item", endpoints.content),
            Route("/v1/feeds/{feed}/item", endpoints.put, methods=["PUT"]),
            Route("/v1/feeds/{feed}/item", endpoints.alter, methods=["PATCH"]),
            Route("/v1/feeds/{feed}/item", endpoints.delete, methods=["DELETE"]),
            Route("/v1/feeds/{feed}/item/attributes", endpoints.attributes),
            Route("/v1/feeds/{feed}/quarantine", endpoints.quarantine),
            Route("/v1/feeds/{feed}/quarantine/retry", endpoints.retry, methods=["POST"]),
            Route("/v1/devices", endpoints.devices),
            Route("/v1/devices", endpoints.add_device, methods=["POST"]),
            Route("/v1/devices/{device}", endpoints.device),
            Route("/v1/devices/{device}", endpoints.remove_device, methods=["DELETE"]),
            Route("/v1/devices/{device}/rotate", endpoints.rotate_device, methods=["POST"]),
            Route("/v1/devices/{device}/resync", endpoints.resync_device, methods=["POST"]),
            Route("/v1/devices/{device}/allowed", endpoints.limit_device, methods=["PUT"]),
        ],
        middleware=[Middleware(Guard, token=token, port=port, refuse=endpoints.refuse)],
        exception_handlers={
            RefusedError: endpoints.refused,
            HTTPException: endpoints.not_served,
            ClientDisconnect: _gone,
            **{kind: endpoints.failed for kind, _, _ in REFUSALS},
        },
        lifespan=lifespan,
    )


class _Endpoints:
    """What each path does. The service blocks, so it is called in threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")

    def close(self) -> None:
        self._threads.shutdown()

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    # The whole

    async def health(self, _request: Request) -> Response:
        problems = await self._run(self._service.problems)
        return _answer(models.Health(health=_health(problems)))

    async def status(self, request: Request) -> Response:
        _query(request, models.NoQuery)
        status = await self._run(self._service.status)
        return _answer(
            models.GatewayStatus.model_validate({"health": _health(status["problems"]), **status}),
        )

    async def back_up(self, request: Request) -> Response:
        wanted = await _json(request, models.NewBackup)
        saved = await self._run(self._service.back_up, Path(wanted.directory))
        return _answer(models.Backup(directory=wanted.directory, **asdict(saved)), status=201)

    # Feeds

    async def feeds(self, request: Request) -> Response:
        _query(request, models.NoQuery)
        found = await self._run(self._service.feeds)
        feeds = (models.Feed(name=feed.name, items=feed.items, head=feed.head) for feed in found)
        return _answer(models.FeedList(feeds=tuple(feeds)))

    async def add_feed(self, request: Request) -> Response:
        feed = await _json(request, models.NewFeed)
        try:
            await self._run(self._service.add_feed, feed.name)
        except FeedError as error:
            raise RefusedError(409, "exists", str(error)) from error
        return _answer(models.Feed(name=feed.name, items=0, head=0), status=201)

    async def remove_feed(self, request: Request) -> Response:
        await self._run(self._service.remove_feed, _feed(request))
        return Response(status_code=204)

    # Items

    async def items(self, request: Request) -> Response:
        page = _query(request, models.PageQuery)
        rows = await self._run(
            self._service.items, _feed(request), after=page.after, limit=page.limit
        )
        more = rows[-1].id if len(rows) == page.limit else None
        return _answer(models.ItemPage(items=tuple(map(api_values.attributes, rows)), next=more))

    async def attributes(self, request: Request) -> Response:
        query = _query(request, models.ItemQuery)
        return _answer(
            api_values.attributes(await self._run(self._service.row, _feed(request), query.id))
        )

    async def content(self, request: Request) -> Response:
        query = _query(request, models.ItemQuery)
        row, content = await self._run(self._service.content, _feed(request), query.id)
        headers = {
            "content-type": row.media_type,
            "etag": f'"{row.digest.hex()}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        return Response(content, headers=headers)

    async def put(self, request: Request) -> Response:
        query = _query(request, models.PutQuery)
        media_type = _media_type(request)
        kind = query.kind or models.default_kind(media_type)
        if kind is None:
            raise RefusedError(400, "invalid", api_values.no_kind(media_type))
        try:
            names.media_type(media_type)
        except ValueError as error:
            raise RefusedError(415, "media-type", str(error)) from error
        put = Put(
            query.id,
            await _body(request, bytes_max=limits.CONTENT_BYTES_MAX),
            kind,
            media_type,
            folder=query.folder,
            flags=query.flag,
            date=query.date,
        )
        return await self._apply(_feed(request), put)

    async def alter(self, request: Request) -> Response:
        query = _query(request, models.ItemQuery)
        wanted = await _json(request, models.Alteration)
        return await self._apply(
            _feed(request), Alter(query.id, folder=wanted.folder, flags=wanted.flags)
        )

    async def delete(self, request: Request) -> Response:
        return await self._apply(_feed(request), Delete(_query(request, models.ItemQuery).id))

    async def _apply(self, feed: str, mutation: Mutation) -> Response:
        (outcome,) = await self._run(self._service.apply_many, feed, [mutation])
        if outcome.error is not None:
            raise outcome.error
        return _answer(api_values.result(outcome), status=201 if outcome.created else 200)

    async def bulk(self, request: Request) -> Response:
        if _media_type(request) != models.CBOR:
            raise RefusedError(415, "media-type", f"the body of a bulk request is {models.CBOR}")
        body = await _body(request, bytes_max=models.BULK_BYTES_MAX)
        return _answer(await self._run(self._apply_bulk, _feed(request), body))

    def _apply_bulk(self, feed: str, body: bytes) -> models.BulkResult:
        read = [api_values.read_mutation(raw) for raw in api_values.read_bulk(body)]
        good = [mutation for mutation in read if not isinstance(mutation, models.Result)]
        outcomes = iter(self._service.apply_many(feed, good))
        results = [
            item if isinstance(item, models.Result) else api_values.result(next(outcomes))
            for item in read
        ]
        failures = sum(result.status == "failed" for result in results)
        self._service.counters.count("api refusals: in bulk requests", failures)
        return models.BulkResult(results=tuple(results))

    # Quarantine

    async def quarantine(self, request: Request) -> Response:
        _query(request, models.NoQuery)
        found = await self._run(self._service.quarantined, _feed(request))
        return _answer(models.Quarantine(items=tuple(map(api_values.quarantined, found))))

    async def retry(self, request: Request) -> Response:
        query = _query(request, models.ItemQuery)
        row = await self._run(self._service.retry, _feed(request), query.id)
        return _answer(models.Result(id=row.id, status="changed", seq=row.seq))

    # Devices

    async def devices(self, request: Request) -> Response:
        _query(request, models.NoQuery)
        found = await self._run(self._service.devices.all)
        return _answer(models.DeviceList(devices=tuple(map(api_values.device, found))))

    async def device(self, request: Request) -> Response:
        return _answer(
            api_values.device(await self._run(self._service.devices.one, _device_id(request)))
        )

    async def add_device(self, request: Request) -> Response:
        new = await _json(request, models.NewDevice)
        try:
            credential = await self._run(
                self._service.devices.add, new.id, new.feeds, allowed=new.allowed
            )
        except DeviceError as error:
            raise RefusedError(409, "exists", str(error)) from error
        return _answer(self._enrolled(new.id, new.feeds, credential), status=201)

    async def rotate_device(self, request: Request) -> Response:
        device_id = _device_id(request)
        credential = await self._run(self._service.devices.rotate, device_id)
        found = await self._run(self._service.devices.one, device_id)
        feeds = tuple(replica.feed for replica in found.replicas)
        return _answer(self._enrolled(device_id, feeds, credential))

    def _enrolled(self, device_id: str, feeds: Sequence[str], secret: str) -> models.Enrolled:
        feeds = tuple(sorted(set(feeds)))
        line = self._service.devices.credential(device_id, feeds, secret).line()
        return models.Enrolled(id=device_id, feeds=feeds, credential=secret, line=line)

    async def resync_device(self, request: Request) -> Response:
        await self._run(self._service.devices.resync, _device_id(request))
        return Response(status_code=204)

    async def limit_device(self, request: Request) -> Response:
        allowed = await _json(request, Allowed)
        await self._run(self._service.devices.limit, _device_id(request), allowed)
        return Response(status_code=204)

    async def remove_device(self, request: Request) -> Response:
        is_out = await self._run(self._service.devices.remove, _device_id(request))
        return Response(status_code=204 if is_out else 202)

    # Errors

    async def refused(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)  # noqa: S101 - registered for it
        return self.refuse(error.status, error.reason, str(error))

    async def failed(self, _request: Request, error: Exception) -> Response:
        status, reason = refusal_of(error)
        return self.refuse(status, reason, str(error))

    async def not_served(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
        reason = _HTTP_REASONS.get(error.status_code, "http")
        message = f"{request.method} {request.url.path!a:.200}: {error.detail}; see docs/api.md"
        return self.refuse(error.status_code, reason, message)

    def refuse(self, status: int, reason: str, message: str) -> Response:
        """The answer to a request that is refused, which is counted."""
        self._service.counters.count(f"api refusals: {reason}")
        return _error(status, reason, message)


def _health(problems: object) -> models.HealthWord:
    return "degraded" if problems else "ok"


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


def _answer(body: BaseModel, *, status: int = 200) -> Response:
    return Response(
        body.model_dump_json(),
        status_code=status,
        media_type=models.JSON,
        headers={"cache-control": "no-store"},
    )


def _error(status: int, reason: str, message: str) -> Response:
    response = _answer(
        models.ErrorBody(error=models.Problem(reason=reason, message=message)), status=status
    )
    # What is left of a body that was refused must not be taken for the next request.
    response.headers["connection"] = "close"
    if reason == "token":
        response.headers["www-authenticate"] = "Bearer"
    return response


def _feed(request: Request) -> str:
    return checked_name(names.feed_name, request.path_params["feed"])


def _device_id(request: Request) -> str:
    return checked_name(names.device_id, request.path_params["device"])


def _query(request: Request, model: type[M]) -> M:
    return read_query(request.scope["query_string"], model)


async def _json(request: Request, model: type[M]) -> M:
    if _media_type(request) != models.JSON:
        raise RefusedError(415, "media-type", f"the body of this request is {models.JSON}")
    body = await _body(request, bytes_max=models.JSON_BYTES_MAX)
    return read_json(body, model)


def _media_type(request: Request) -> str:
    text = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not text or text == _FORM:
        raise RefusedError(
            415, "media-type", "say what the body is: a Content-Type header like text/vcard"
        )
    return text


async def _body(request: Request, *, bytes_max: int) -> bytes:
    too_large = RefusedError(
        413, "too-large", f"the body of this request has at most {bytes_max} bytes"
    )
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > bytes_max:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for piece in request.stream():
                body += piece
                if len(body) > bytes_max:
                    raise too_large
    except TimeoutError as error:
        raise RefusedError(
            408, "too-slow", f"the body did not arrive within {BODY_SECONDS_MAX:.0f} s"
        ) from error
    return bytes(body)
