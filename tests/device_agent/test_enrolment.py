"""The credential that a device keeps, and what it says below all settings."""

import contextlib
import dataclasses
import stat
from pathlib import Path

import pytest

from device_agent import enrolment
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.enrolment import ENROLMENT_BYTES_MAX, ENROLMENT_FILE, EnrolmentError
from device_agent.settings import Settings, load
from programs.secret_file import Secret
from programs.tls_settings import Tls
from sync_protocol.credential import Credential
from tests.certificates import ca_der
from tests.device_agent.commands import fill, text_item

pytestmark = pytest.mark.usefixtures("clean_environment")

CREDENTIAL = Credential(
    device="phone",
    secret="a-very-secret-one",
    host="mqtt.example.org",
    port=8883,
    feeds=("contacts", "mail"),
    topic_prefix="home/sync",
    tls=True,
    ca=ca_der(),
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestKeeping:
    def test_what_is_kept_is_private(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        assert enrolment.kept(folder) is None
        enrolment.keep(folder, CREDENTIAL)
        assert enrolment.kept(folder) == CREDENTIAL
        assert (mode(folder), mode(folder / ENROLMENT_FILE)) == (0o700, 0o600)

    def test_another_takes_its_place(self, tmp_path: Path) -> None:
        enrolment.keep(tmp_path, CREDENTIAL)
        rotated = dataclasses.replace(CREDENTIAL, secret="another")
        enrolment.keep(tmp_path, rotated)
        assert enrolment.kept(tmp_path) == rotated
        assert [path.name for path in tmp_path.iterdir()] == [ENROLMENT_FILE]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff",
            b"[]",
            b"{}",
            b"null",
            b"1" * 5000,
            b'{"credential": null}',
            b'{"credential": "tallysync://phone:a-very-secret-one@"}',
            b"[" * 10_000,
            b" " * (ENROLMENT_BYTES_MAX + 1),
        ],
    )
    def test_a_damaged_one_is_told(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / ENROLMENT_FILE).write_bytes(data)
        with pytest.raises(EnrolmentError) as damaged:
            enrolment.kept(tmp_path)
        assert f"{tmp_path / ENROLMENT_FILE} is damaged" in str(damaged.value)
        assert "device-agent enroll" in str(damaged.value)
        assert "secret-one" not in str(damaged.value)

    def test_the_largest_is_read(self, tmp_path: Path) -> None:
        large = dataclasses.replace(CREDENTIAL, ca=b"\x30\x82\x10\x00" + bytes(4096))
        enrolment.keep(tmp_path, large)
        assert enrolment.kept(tmp_path) == large

    def test_a_place_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert enrolment.kept(tmp_path / "file") is None
        with pytest.raises(EnrolmentError, match="--data DIR"):
            enrolment.keep(tmp_path / "file", CREDENTIAL)
        (tmp_path / ENROLMENT_FILE).mkdir()
        with pytest.raises(EnrolmentError, match="cannot be read: Is a directory"):
            enrolment.kept(tmp_path)


class TestADirectoryOfAnotherDevice:
    def test_stays_its(self, tmp_path: Path) -> None:
        enrolment.keep(tmp_path, CREDENTIAL)
        with contextlib.closing(AgentFile(tmp_path / STORE_FILE, device="phone")) as file:
            fill(file, "contacts", [text_item("ada", b"Ada"), text_item("bob", b"Bob")])
        with pytest.raises(EnrolmentError) as refused:
            enrolment.keep(tmp_path, dataclasses.replace(CREDENTIAL, device="pager"))
        assert "is of device phone and holds 2 items, which device pager" in str(refused.value)
        assert "--data DIR" in str(refused.value)
        assert enrolment.kept(tmp_path) == CREDENTIAL
        enrolment.keep(tmp_path, dataclasses.replace(CREDENTIAL, secret="another"))

    def test_that_is_nobodys_yet(self, tmp_path: Path) -> None:
        AgentFile(tmp_path / STORE_FILE).close()
        enrolment.keep(tmp_path, CREDENTIAL)
        enrolment.keep(tmp_path, dataclasses.replace(CREDENTIAL, device="pager"))


class TestBelowTheSettings:
    def test_it_says_what_nothing_else_says(self) -> None:
        found = enrolment.completed(load(), CREDENTIAL)
        assert (found.id, found.feeds) == ("phone", ("contacts", "mail"))
        assert found.broker == "mqtt.example.org:8883"
        assert (found.topic_prefix, found.tls) == ("home/sync", "on")
        assert enrolment.secret_of(found, CREDENTIAL) == Secret("a-very-secret-one")
        assert enrolment.tls_of(found, CREDENTIAL) == Tls(mode="on", ca=ca_der())

    @pytest.mark.parametrize(("tls", "mode"), [(None, "auto"), (True, "on"), (False, "off")])
    def test_tls(self, tls: bool | None, mode: str) -> None:  # noqa: FBT001 - of a credential
        credential = dataclasses.replace(CREDENTIAL, tls=tls)
        assert enrolment.completed(load(), credential).tls == mode

    def test_none_says_nothing(self) -> None:
        assert enrolment.completed(load(), None) == load()
        assert enrolment.secret_of(load(), None) is None
        assert enrolment.tls_of(load(), None) == Tls()

    @pytest.mark.parametrize("by", ["command line", "environment", "file"])
    def test_all_else_goes_before_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
    ) -> None:
        said = {"feeds": "tasks", "broker": "[::1]:1883", "topic_prefix": "x", "tls": "auto"}
        path = tmp_path / "agent.toml"
        path.write_text(
            'feeds = ["tasks"]\nbroker = "[::1]:1883"\ntopic_prefix = "x"\ntls = "auto"\n'
            if by == "file"
            else ""
        )
        if by == "environment":
            for key, value in said.items():
                monkeypatch.setenv(f"TALLYSYNC_AGENT_{key.upper()}", value)
        given = {**said, "feeds": ["tasks"]} if by == "command line" else {}
        found = enrolment.completed(load(path, **given), CREDENTIAL)
        assert found.id == "phone"
        assert (found.feeds, found.broker) == (("tasks",), "[::1]:1883")
        assert (found.topic_prefix, found.tls) == ("x", "auto")

    def test_a_password_file_and_a_ca_file_go_before_it(self, tmp_path: Path) -> None:
        settings = load(password_file=tmp_path / "password", ca_file=tmp_path / "ca.crt")
        found = enrolment.completed(settings, CREDENTIAL)
        assert enrolment.secret_of(found, CREDENTIAL) is None
        assert enrolment.tls_of(found, CREDENTIAL) == Tls(mode="on", ca_file=tmp_path / "ca.crt")

    def test_one_of_another_device_says_nothing(self) -> None:
        other: Settings = load(id="pager")
        assert enrolment.completed(other, CREDENTIAL) == other
        assert enrolment.secret_of(other, CREDENTIAL) is None
        assert enrolment.tls_of(other, CREDENTIAL) == Tls()
        same = enrolment.completed(load(id="phone"), CREDENTIAL)
        assert enrolment.secret_of(same, CREDENTIAL) == Secret("a-very-secret-one")
