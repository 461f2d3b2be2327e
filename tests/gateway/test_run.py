"""The gateway as a whole: in this process, and as a program that signals end."""

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.client import GatewayClient
from gateway.data_dir import API_FILE
from gateway.run import RunError, running
from gateway.service import STORE_FILE
from gateway.settings import Settings, load
from tests.gateway.mqtt_probe import Probe

STOP_S_MAX = 15


def settings(path: Path, **overrides: object) -> Settings:
    return load(**{"data_dir": path, "broker_port": 0, "api_port": 0, **overrides})  # type: ignore[arg-type]  # no path among them


class TestInProcess:
    def test_all_of_it(self, tmp_path: Path) -> None:
        with running(settings(tmp_path / "data")) as gateway:
            assert (gateway.embedded, gateway.connected) == (True, True)
            health = httpx.get(f"{gateway.api_url}/v1/health", trust_env=False)
            assert health.json() == {"health": "ok"}
            announced = tmp_path / "data" / API_FILE
            assert json.loads(announced.read_text())["token"] == gateway.token
            assert gateway.token not in repr(health.headers)
            with GatewayClient(tmp_path / "data") as client:
                client.add_feed("mail")
                enrolled = client.add_device("phone", ["mail"])
                assert client.announced.broker.port == gateway.broker_port
            # The credential lets the device in, and lets it hear the gateway's status.
            with Probe(gateway.broker_port, "phone", enrolled.credential) as device:
                device.subscribe("sync/v1/gateway/status")
                assert device.hear().payload == b"online"
        assert not announced.exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.broker_port), 10)

    def test_files_are_private(self, tmp_path: Path) -> None:
        with running(settings(tmp_path / "data")) as gateway:
            gateway.service.add_feed("mail")
            files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
            assert {path.name for path in files} >= {API_FILE, STORE_FILE, "lock"}
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700

    def test_the_same_data_again(self, tmp_path: Path) -> None:
        with running(settings(tmp_path)) as gateway:
            gateway.service.add_feed("mail")
            token = gateway.token
        with running(settings(tmp_path)) as gateway:
            assert [feed.name for feed in gateway.service.feeds()] == ["mail"]
            assert gateway.token != token

    def test_a_second_gateway_with_the_same_data(self, tmp_path: Path) -> None:
        with running(settings(tmp_path)) as gateway:
            with pytest.raises(RunError, match="another gateway runs"), running(settings(tmp_path)):
                pass
            with GatewayClient(tmp_path) as client:
                assert client.status().health == "ok"
            assert gateway.service.feeds() == []

    def test_what_goes_wrong_inside_is_not_renamed(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="of the caller"), running(settings(tmp_path)):
            raise ValueError("of the caller")
        assert not (tmp_path / API_FILE).exists()

    @pytest.mark.parametrize("port", ["broker_port", "api_port"])
    def test_a_taken_port(self, tmp_path: Path, port: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            number = other.getsockname()[1]
            with (
                pytest.raises(RunError) as caught,
                running(settings(tmp_path, **{port: number})),
            ):
                pass
        assert f"port {number}" in str(caught.value)
        assert f"--{port.replace('_', '-')} PORT" in str(caught.value)
        assert not (tmp_path / API_FILE).exists()
        with running(settings(tmp_path)):  # nothing is held on to
            pass

    def test_a_damaged_store(self, tmp_path: Path) -> None:
        (tmp_path / STORE_FILE).write_bytes(b"no database" * 1_000)
        with pytest.raises(RunError, match=STORE_FILE), running(settings(tmp_path)):
            pass
        assert (tmp_path / STORE_FILE).read_bytes() == b"no database" * 1_000


class TestExternalBroker:
    def test_down_at_the_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.run.EXTERNAL_CONNECT_S_MAX", 0.1)
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
        external = settings(tmp_path, broker_host="127.0.0.1", broker_port=port)
        with running(external) as gateway:
            assert (gateway.embedded, gateway.connected) == (False, False)
            health = httpx.get(f"{gateway.api_url}/v1/health", trust_env=False)
            assert health.json() == {"health": "degraded"}
            assert any(str(port) in problem for problem in gateway.service.problems())
            gateway.service.add_feed("mail")

    def test_its_account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.run.EXTERNAL_CONNECT_S_MAX", 0.1)
        came = threading.Event()
        packets: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def take_one() -> None:
                connection, _ = listener.accept()
                with connection:
                    packets.append(connection.recv(4096))
                    came.set()

            thread = threading.Thread(target=take_one)
            thread.start()
            password_file = tmp_path / "password"
            password_file.write_text("a secret\n")
            external = settings(
                tmp_path / "data",
                broker_host="127.0.0.1",
                broker_port=listener.getsockname()[1],
                broker_user="tally",
                broker_password_file=password_file,
            )
            with running(external):
                assert came.wait(10)
            thread.join(10)
        # MQTT 3.1.1, 3.1.3: user name and password end the CONNECT, each with its length before.
        assert packets[0].endswith(b"\0\x05tally\0\x08a secret")

    @pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x" * 100_000])
    def test_a_password_file_that_is_none(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "password"
        if content is not None:
            path.write_bytes(content)
        external = settings(tmp_path, broker_host="127.0.0.1", broker_password_file=path)
        with pytest.raises(RunError, match=str(path)), running(external):
            pass


@dataclass
class Program:
    """``gateway run`` as a process of its own."""

    process: subprocess.Popen[str]
    greeting: str

    def end(self, by: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(by)
        _, errors = self.process.communicate(timeout=STOP_S_MAX)
        return self.process.returncode, errors


@contextmanager
def program(data_dir: Path) -> Iterator[Program]:
    # With -W error a socket or file that is left open becomes a message of the interpreter.
    command = [sys.executable, "-W", "error", "-m", "gateway", "run"]
    with subprocess.Popen(
        [*command, "--data", str(data_dir), "--broker-port", "0", "--api-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("Ctrl-C"):
                    break
            yield Program(process, "".join(lines))
        finally:
            process.kill()


class TestProgram:
    @pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
    def test_signals_drain_and_end_well(self, tmp_path: Path, by: signal.Signals) -> None:
        with program(tmp_path) as gateway:
            with GatewayClient(tmp_path) as client:
                client.add_feed("mail")
                announced = client.announced
            assert announced.pid == gateway.process.pid
            assert announced.url in gateway.greeting
            assert f"127.0.0.1:{announced.broker.port}" in gateway.greeting
            assert f"gateway feed add contacts --data {tmp_path}" in gateway.greeting
            assert announced.token not in gateway.greeting
            gateway.process.send_signal(by)
            code, errors = gateway.end(by)  # and again, by somebody who cannot wait
        assert (code, errors) == (0, "")
        assert not (tmp_path / API_FILE).exists()

    def test_killed_and_started_again(self, tmp_path: Path) -> None:
        with program(tmp_path) as gateway:
            with GatewayClient(tmp_path) as client:
                client.add_feed("mail")
            assert gateway.end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert (tmp_path / API_FILE).exists()
        with program(tmp_path) as gateway:
            with GatewayClient(tmp_path) as client:
                assert [feed.name for feed in client.feeds()] == ["mail"]
            assert gateway.end(signal.SIGTERM)[0] == 0
        assert not (tmp_path / API_FILE).exists()
