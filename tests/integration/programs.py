"""The programs as users run them, so that they can be killed."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from device_agent.store_sqlite import StoreError
from gateway import api_models as models
from gateway.api_errors import ApiError, NoAnswerError, NoGatewayError
from gateway.client import GatewayClient
from gateway.rows import Alter, Delete, Mutation, Put
from tests.eventually import eventually
from tests.integration.brokers import Mosquitto
from tests.integration.edits import FEED, Held, held_by_device


class Program:
    """``python -m something`` with its output in a file."""

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it without a goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it as a service manager does; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(20)
        self._process = None
        return status

    def end_at_last(self) -> None:
        """For the end of a test that failed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self._log.read_text()


class GatewayProgram:
    """``gateway run`` with its own broker or another, and a client of its HTTP API."""

    def __init__(self, folder: Path, *, broker_port: int, broker: Mosquitto | None = None) -> None:
        self.data_dir = folder / "gateway"
        arguments = ["gateway", "run", "--data", str(self.data_dir)]
        arguments += ["--broker-port", str(broker_port), "--api-port", "0"]
        if broker is not None:
            arguments += ["--config", str(broker.settings_file)]
        self.program = Program(arguments, environment={}, log=folder / "gateway.log")

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.program.start()
        assert eventually(self.serves), self.program.log()

    def serves(self) -> bool:
        with contextlib.suppress(NoGatewayError, NoAnswerError, ApiError), self.client() as client:
            # What a killed one left behind names another process.
            return client.announced.pid == self.program.pid and bool(client.status())
        return False

    def client(self) -> GatewayClient:
        return GatewayClient(self.data_dir)

    def feed(self) -> Held:
        with self.client() as client:
            return {
                item.id: (client.content(FEED, item.id).content, item.folder, item.flags)
                for item in client.items(FEED)
            }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.end_at_last()


def apply(client: GatewayClient, mutation: Mutation) -> None:
    """A mutation, as a user of the HTTP API would ask for it."""
    match mutation:
        case Put():
            client.put(
                FEED,
                models.PutMutation(
                    op="put",
                    id=mutation.id,
                    kind=mutation.kind,
                    media_type=mutation.media_type,
                    content=mutation.content,
                ),
            )
        case Alter():
            alteration = models.Alteration(folder=mutation.folder, flags=mutation.flags)
            client.alter(FEED, mutation.id, alteration)
        case Delete():
            client.delete(FEED, mutation.id)


class AgentProgram:
    """``device-agent run``."""

    def __init__(
        self,
        name: str,
        credential: str,
        folder: Path,
        *,
        broker_port: int,
        broker: Mosquitto | None = None,
    ) -> None:
        self.name = name
        self._data_dir = folder / name
        secret = folder / f"{name}.secret"
        secret.touch(0o600)
        secret.write_text(credential)
        arguments = ["device_agent", "run", "--id", name, "--feed", FEED]
        arguments += ["--broker", f"127.0.0.1:{broker_port}", "--data", str(self._data_dir)]
        arguments += ["--password-file", str(secret)]
        # A request that a killed gateway does not answer is soon asked again.
        environment = {
            "TALLYSYNC_AGENT_REQUEST_TIMEOUT_S": "1",
            "TALLYSYNC_AGENT_BACKOFF_S": "0.1",
            "TALLYSYNC_AGENT_BACKOFF_S_MAX": "0.5",
        }
        if broker is not None:
            environment["TALLYSYNC_AGENT_TLS"] = "on"
            environment["TALLYSYNC_AGENT_CA_FILE"] = str(broker.ca_file)
        self.program = Program(arguments, environment=environment, log=folder / f"{name}.log")

    def held(self) -> Held:
        return held_by_device(self._data_dir)

    def has_file(self) -> bool:
        """Whether it got as far as to make its file."""
        with contextlib.suppress(StoreError, sqlite3.Error):
            self.held()
            return True
        return False
