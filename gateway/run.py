"""Puts the gateway together: data directory, service, broker, HTTP API; and takes it apart."""

import contextlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.accounts import EmbeddedAccounts
from gateway.api import create_app
from gateway.api_server import HOST, ApiServer, ApiServerError
from gateway.data_dir import API_FILE, DataDirError, locked
from gateway.embedded_broker import BrokerError, EmbeddedBroker
from gateway.feed import FeedError, StorageError
from gateway.outbound import Outbound
from gateway.service import Account, Service
from gateway.settings import Settings
from programs.secret_file import SecretFileError, read_secret, write_private
from programs.tls_settings import TlsError
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Topics

_LOG: Final = logging.getLogger(__name__)

TOKEN_BYTES: Final = 32
EMBEDDED_CONNECT_S_MAX: Final = 10.0
# A broker elsewhere may be down for long: the gateway goes on without it, and says so.
EXTERNAL_CONNECT_S_MAX: Final = 3.0


class RunError(Exception):
    """The gateway cannot run; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs.

    Attributes:
        service: for a demo or a test in the same process.
        broker_host: of the broker, for the gateway and its devices.
        embedded: whether that is the broker inside this process.
        connected: whether the gateway was connected to it when this was made.
        api_url: of the HTTP API, without a path.
        token: of the HTTP API.
    """

    service: Service
    broker_host: str
    broker_port: int
    embedded: bool
    connected: bool
    api_url: str
    token: str


@contextlib.contextmanager
def running(
    settings: Settings,
    *,
    unix_time: Callable[[], float] = time.time,
    wrap_outbound: Callable[[Outbound], Outbound] = lambda outbound: outbound,
) -> Iterator[Running]:
    """A gateway, as long as the `with` lasts; then it drains and stops.

    What is asked for last is stopped first: the API, then the service, then the broker.

    Args:
        settings: of the gateway; a port of 0 is any that is free.
        unix_time: see `Service`.
        wrap_outbound: see `Service`.

    Raises:
        RunError: it cannot run.
    """
    with contextlib.ExitStack() as stack:
        try:
            started = _start(stack, settings, unix_time=unix_time, wrap_outbound=wrap_outbound)
        except (DataDirError, FeedError, StorageError, ApiServerError, TlsError) as error:
            raise RunError(str(error)) from error
        yield started


def _start(
    stack: contextlib.ExitStack,
    settings: Settings,
    *,
    unix_time: Callable[[], float],
    wrap_outbound: Callable[[Outbound], Outbound],
) -> Running:
    external = _external_account(settings)
    topics = Topics(settings.topic_prefix)
    data_dir = stack.enter_context(locked(settings.data_dir))
    service = Service(settings, unix_time=unix_time, wrap_outbound=wrap_outbound)
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(service.close)
        account = external or stack.enter_context(_embedded_account(settings, service, topics))
        # The broker asks the service who its users are, and yet has to be there when it says
        # goodbye: made after it, stopped after it.
        stack.push(unfinished.pop_all())
    service.start(account)
    connected = _connected(service, account, embedded=external is None)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    server = stack.enter_context(
        ApiServer(lambda port: create_app(service, token=token, port=port), port=settings.api_port)
    )
    announced = {
        "url": server.url,
        "token": token,
        "broker": {"host": account.host, "port": account.port},
        "embedded": external is None,
        "accounts": settings.broker_accounts,
        "pid": os.getpid(),
    }
    stack.enter_context(_announced(data_dir / API_FILE, announced))
    return Running(
        service=service,
        broker_host=account.host,
        broker_port=account.port,
        embedded=external is None,
        connected=connected,
        api_url=server.url,
        token=token,
    )


def _external_account(settings: Settings) -> Account | None:
    if settings.broker_host is None:
        return None
    return Account(
        settings.broker_host,
        settings.broker_port,
        settings.broker_user,
        _password(settings.broker_password_file),
        settings.tls,
    )


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        secret = read_secret(path, named="broker_password_file")
    except SecretFileError as error:
        raise RunError(str(error)) from error
    if secret.warning is not None:
        _LOG.warning("%s", secret.warning)
    return secret.text


@contextlib.contextmanager
def _embedded_account(settings: Settings, service: Service, topics: Topics) -> Iterator[Account]:
    password = secrets.token_urlsafe(TOKEN_BYTES)

    def authenticate(user: str, given: str) -> bool:
        if user == GATEWAY:
            return secrets.compare_digest(given.encode(), password.encode())
        return service.devices.authenticate(user, given)

    try:
        broker = EmbeddedBroker(
            host=HOST,
            port=settings.broker_port,
            topics=topics,
            authenticate=authenticate,
            connections_max=settings.embedded_connections_max,
            count=lambda name: service.counters.count(name.replace("_", " ")),
        )
        broker.start()
        service.devices.accounts = EmbeddedAccounts(broker.disconnect, counters=service.counters)
    except BrokerError as error:
        raise RunError(f"{error}: --broker-port PORT, 0 for any that is free") from error
    try:
        yield Account(HOST, broker.port, GATEWAY, password)
    finally:
        broker.stop()


def _connected(service: Service, account: Account, *, embedded: bool) -> bool:
    if not embedded:
        return service.wait_connected(EXTERNAL_CONNECT_S_MAX)
    if not service.wait_connected(EMBEDDED_CONNECT_S_MAX):
        raise RunError(
            f"the gateway cannot connect to its own broker on {account.host}, port {account.port}:"
            f" {'; '.join(service.problems())}"
        )
    return True


@contextlib.contextmanager
def _announced(path: Path, announced: Mapping[str, object]) -> Iterator[None]:
    """The file by which commands find this gateway (gateway.client)."""
    write_private(path, json.dumps(announced))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
