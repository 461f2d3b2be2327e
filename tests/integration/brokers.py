"""Mosquitto, as a process that can be killed and started again on its port."""

import os
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Self

import pytest

from gateway.broker_config.mosquitto import CONF_FILE
from gateway.broker_config.plugin import find_program
from gateway.broker_config.writing import CA_CERTIFICATE, PASSWORD_FILE, SETTINGS_FILE
from gateway.cli import main
from gateway.settings import Settings
from programs.tls_settings import Tls
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Probe, Will


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def run_gateway(*arguments: object) -> None:
    """A command of the gateway that is meant to succeed; it prints what it prints."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code == 0


def agent_tls(settings: Settings) -> Tls:
    """How an agent reaches the broker of a gateway: its own, or one with a private CA."""
    ca_file = settings.broker_ca_file
    return Tls(mode="auto" if ca_file is None else "on", ca_file=ca_file)


class Mosquitto:
    """A real broker on the loopback, with what `gateway broker-config mosquitto` writes.

    It lets in whoever has an account: the gateway with `settings_file`, and the devices that the
    gateway in `data_dir` has or adds later.
    """

    def __init__(
        self,
        folder: Path,
        *options: object,
        data_dir: Path | None = None,
        user: str | None = "root",
    ) -> None:
        """Write its files.

        Args:
            folder: for its files, its log and the gateway's data.
            options: more of the command's.
            data_dir: of the gateway, if it is not in `folder`.
            user: whom it becomes if root starts it; None is whom the command chooses.
        """
        program = find_program()
        if program is None:
            pytest.skip("there is no mosquitto here: 'apt install mosquitto' brings it")
        self.port = free_port()
        self.folder = folder / "broker"
        # Root's folders for tests are closed to all other accounts.
        account = ["--user", user] if user is not None and os.geteuid() == 0 else []
        self._configure = ["broker-config", "mosquitto", "--out", self.folder, *account]
        self._configure += ["--port", self.port, "--data", data_dir or folder / "gateway", *options]
        self.configure()
        self._command = [program, "-c", str(self.folder / CONF_FILE)]
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self) -> None:
        """Write its files, or write them anew."""
        run_gateway(*self._configure)

    @property
    def settings_file(self) -> Path:
        """With which a gateway uses it."""
        return self.folder / SETTINGS_FILE

    @property
    def ca_file(self) -> Path:
        """By which its certificate is checked."""
        return self.folder / CA_CERTIFICATE

    @property
    def password(self) -> str:
        """The gateway's."""
        return (self.folder / PASSWORD_FILE).read_text().strip()

    def tls(self) -> ssl.SSLContext:
        """For a client that trusts it and nobody else."""
        return ssl.create_default_context(cafile=self.ca_file)

    def probe(
        self,
        user: str | None,
        password: str | None,
        *,
        client_id: str | None = None,
        will: Will | None = None,
    ) -> Probe:
        """A client that may be anybody."""
        return Probe(self.port, user, password, client_id=client_id, will=will, tls=self.tls())

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def start(self) -> None:
        """Begin to listen."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        assert eventually(lambda: listens(self.port)), self.log()

    def reload(self) -> None:
        """Have it read its files again."""
        assert self._process is not None
        told = self.log().count("Reloading config")
        self._process.send_signal(signal.SIGHUP)
        assert eventually(lambda: self.log().count("Reloading config") > told)

    def kill(self) -> None:
        """End it without a goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
