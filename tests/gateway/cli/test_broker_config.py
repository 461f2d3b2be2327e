"""``gateway broker-config``, without a broker."""

import os
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gateway.api_models import Enrolled
from gateway.broker_config.mosquitto import CONF_FILE
from gateway.cli import credentials
from gateway.client import Address, Announcement
from gateway.run import Running, running
from gateway.settings import load
from tests.gateway.cli.conftest import Command, Outcome

FEED = "contacts"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "broker"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.so"
    path.touch()
    return path


@pytest.fixture
def make(command: Command, out: Path, plugin: Path, tmp_path: Path) -> "Make":
    return Make(command, out, plugin, tmp_path / "data")


class Make:
    """``gateway broker-config mosquitto`` with what each test needs."""

    def __init__(self, command: Command, out: Path, plugin: Path, data_dir: Path) -> None:
        self._command = command
        self._given = ["--out", out, "--data", data_dir]
        # Root would give the files to another account, who cannot reach the folders of tests.
        self._given += ["--user", "root"] if os.geteuid() == 0 else []
        self._plugin = ["--plugin", plugin]

    def __call__(self, *options: object, plugin: bool = True) -> Outcome:
        with_plugin = self._plugin if plugin else []
        return self._command("broker-config", "mosquitto", *self._given, *with_plugin, *options)


@pytest.fixture
def enrolled(tmp_path: Path) -> Iterator[Running]:
    """A gateway that runs and has a device."""
    with running(load(data_dir=tmp_path / "data", broker_port=0, api_port=0)) as gateway:
        gateway.service.add_feed(FEED)
        gateway.service.devices.add("phone", [FEED])
        yield gateway


def conf(out: Path) -> str:
    return (out / CONF_FILE).read_text()


def settings(out: Path) -> dict[str, object]:
    return tomllib.loads((out / "gateway.toml").read_text())


def test_it_says_what_comes_next(make: Make, out: Path) -> None:
    said = make("--host", "mqtt.example.org")
    assert (said.code, said.err) == (0, "")
    assert f"mosquitto -c {out}/mosquitto.conf\n" in said.out
    assert f"gateway run --config {out}/gateway.toml\n" in said.out
    first, then = said.out.index("gateway feed add FEED"), said.out.index("gateway device add ID")
    assert first < then
    assert "made: for the gateway, and for 0 devices" in said.out
    assert "this machine only" not in said.out


def test_all_devices_of_a_gateway_that_runs_have_accounts(
    make: Make, out: Path, enrolled: Running
) -> None:
    assert "for 1 device.\n" in make("--host", "mqtt.example.org").out
    assert '"device-phone"' in (out / "dynamic-security.json").read_text()
    enrolled.service.devices.add("tab", [FEED])
    # The gateway tells the broker of those that come later.
    assert "Its accounts are those that it had." in make("--host", "mqtt.example.org").out
    said = make("--host", "mqtt.example.org", "--accounts", "files", plugin=False)
    assert "for 2 devices.\n" in said.out
    assert "user tab\n" in (out / "mosquitto.acl").read_text()


def test_what_it_writes_are_settings_of_the_gateway(make: Make, out: Path) -> None:
    make("--host", "mqtt.example.org", "--require-certificates")
    read = load(out / "gateway.toml")
    assert (read.broker_host, read.broker_port, read.broker_tls) == ("mqtt.example.org", 8883, "on")
    assert read.broker_accounts == "dynamic-security"
    for name in ("broker_ca_file", "broker_cert_file", "broker_key_file", "broker_password_file"):
        assert getattr(read, name).is_file()


def test_without_a_host_it_serves_this_machine(make: Make, out: Path) -> None:
    assert "this machine only" in make().out
    assert "\nlistener 8883 127.0.0.1\n" in conf(out)
    assert settings(out)["broker_host"] == "localhost"
    assert "this machine only" not in make("--listen", "0.0.0.0").out  # noqa: S104 - as wanted


def test_where_it_listens(make: Make, out: Path) -> None:
    make("--host", "mqtt.example.org", "--port", 9000, "--listen", "192.0.2.7")
    assert "\nlistener 9000 192.0.2.7\n" in conf(out)
    make("--host", "2001:db8::7")
    assert "\nlistener 8883\n" in conf(out)
    assert settings(out)["devices_broker"] == "[2001:db8::7]:8883"


def test_the_command_that_it_keeps_does_the_same(make: Make, command: Command, out: Path) -> None:
    make("--host", "a.lan", "--host", "b.lan", "--port", 9000, "--require-certificates")
    before = conf(out)
    (line,) = [line for line in before.splitlines() if line.startswith("#   gateway ")]
    program, *again = shlex.split(line.removeprefix("#   "))
    assert program == "gateway"
    assert command(*again).code == 0
    assert conf(out) == before


@pytest.mark.usefixtures("enrolled")
def test_what_is_to_be_done_with_a_broker_that_runs(make: Make, out: Path) -> None:
    restart, reload = "restart it: some of this", "pkill -HUP -x mosquitto"

    def steps(*options: object) -> tuple[bool, bool, bool, bool]:
        said = make(*options).out
        assert "gateway device add" not in said
        told = (restart, reload, "If the gateway runs, restart it", "gateway device rotate ID")
        return tuple(each in said for each in told)  # type: ignore[return-value]  # of these four

    assert steps("--host", "a.lan") == (False, False, False, False)
    assert steps("--host", "a.lan") == (False, True, False, False)
    assert steps("--host", "a.lan", "--listen", "192.0.2.7") == (True, False, False, False)
    assert steps("--host", "a.lan", "--port", 9000) == (True, False, True, True)
    assert steps("--host", "b.lan", "--port", 9000) == (False, True, True, True)
    (out / "dynamic-security.json").write_text("")
    assert steps("--host", "b.lan", "--port", 9000) == (True, False, False, False)
    for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
        (out / name).unlink()
    assert "another CA than before" in make("--host", "b.lan", "--port", 9000).out


def test_another_account_means_the_same_gateway(
    command: Command, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ["broker-config", "mosquitto", "--out", out, "--accounts", "files"]
    plain += ["--user", "root"] if os.geteuid() == 0 else []
    for home in ("one", "two"):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / home))
        assert command(*plain).code == 0
        assert settings(out)["data_dir"] == str(tmp_path / "one" / "tallysync" / "gateway")
    assert command(*plain, "--data", tmp_path / "three").code == 0
    assert settings(out)["data_dir"] == str(tmp_path / "three")
    # Named by hand, as settings may be: beside the file.
    (out / "gateway.toml").write_text('data_dir = "mine"\n')
    assert command(*plain).code == 0
    assert settings(out)["data_dir"] == str(out / "mine")


def test_a_credential_says_how_accounts_in_files_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Enrolled(id="phone", feeds=(FEED,), credential="its password", line="tallysync://")
    broker = Address(host="mqtt.example.org", port=8883)
    announced = Announcement(url="", token="", broker=broker, embedded=False, pid=1)
    credentials.show(found, announced, out=None, qr=False)
    said = capsys.readouterr().out
    assert "run the same command again" in said
    assert "the user phone with the password its password." in said
    credentials.show(found, announced, out=Path("file"), qr=False)
    assert "its password" not in capsys.readouterr().out


def test_options_that_are_left_out_are_told_of(make: Make, out: Path) -> None:
    make("--host", "a.lan", "--require-certificates")
    before = conf(out)
    said = make()
    assert (said.code, "was made for --host a.lan" in said.err) == (1, True)
    assert conf(out) == before
    said = make("--host", "a.lan")
    assert "Other options made it before:\n  gateway broker-config mosquitto" in said.out
    assert "--require-certificates" in said.out
    assert "Other options" not in make("--host", "a.lan").out
    # The broker's account may have written there what a terminal would obey.
    (out / "mosquitto.conf").write_text(conf(out).replace("#   gateway", "#   \x1b[2Jgateway"))
    assert "\n  \\x1b[2Jgateway" in make("--host", "a.lan").out
    assert make("--host", "localhost").code == 0
    assert make().code == 0


def test_settings_of_the_gateway_in_a_file(make: Make, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'topic_prefix = "home/sync"\ndata_dir = "{tmp_path}/data"\n')
    assert make("--config", file).code == 0
    assert settings(out)["topic_prefix"] == "home/sync"
    assert settings(out)["data_dir"] == f"{tmp_path}/data"
    file.write_text("topic_prefix = 3")
    assert "topic_prefix" in make("--config", file).err


def test_a_certificate_of_another_ca(make: Make, out: Path, tmp_path: Path) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("mqtt.example.org")
    cert, key, ca_file = (tmp_path / name for name in ("my.crt", "my.key", "ca.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    leaf.private_key_pem.write_to_path(str(key))
    ca.cert_pem.write_to_path(str(ca_file))
    given = ["--cert", cert, "--key", key]
    said = make("--host", "mqtt.example.org", *given, "--ca", ca_file)
    assert (said.code, "certificate ends" in said.out) == (0, False)
    assert settings(out)["broker_ca_file"] == str(out / "server-ca.crt")
    said = make("--host", "other.example.org", *given)
    assert "is for mqtt.example.org, not for other.example.org" in said.err
    assert "no certificate in PEM" in make("--host", "a.lan", *given, "--ca", key).err
    assert "there is no file" in make("--host", "a.lan", "--cert", cert, "--key", out / "no").err


def test_accounts_that_cannot_be_kept(make: Make, out: Path) -> None:
    make()
    (out / "dynamic-security.json").write_text("")
    assert "Its accounts were damaged, and are made anew: for the gateway" in make().out
    (out / "dynamic-security.json").write_text('{"roles": []}')
    said = make()
    assert (said.code, "cannot be kept" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--cert", "a"], "--cert and --key belong together"),
        (["--key", "a"], "--cert and --key belong together"),
        (["--ca", "a"], "--cert and --key belong together"),
        (["--cert", "a", "--key", "b"], "--cert needs --host NAME"),
        (["--host", "a.lan:8883"], "a host is a name like"),
        (["--host", "0.0.0.0"], "--listen is where it listens"),  # noqa: S104 - refused
        (["--host", "a.lan", "--host", "0::0"], "--listen is where it listens"),
        (["--listen", "two words"], "a host is a name like"),
        (["--listen", "9.9.9.9x"], "'9.9.9.9x' is no address"),
        (["--port", "0"], "--port"),
        (["--plugin", "a\nlistener 1883"], "no control characters"),
        (["--accounts", "ldap"], "--accounts"),
        (["--accounts", "files"], "--plugin is not used with --accounts files"),
    ],
)
def test_options_that_do_not_fit(make: Make, out: Path, options: list[str], why: str) -> None:
    said = make(*options)
    assert (said.code, why in said.err) == (2, True), said.err
    assert not out.exists()


@pytest.mark.parametrize("out_option", ["", ".", "a\nlistener 1883"])
def test_a_folder_that_cannot_be_named(command: Command, out_option: str) -> None:
    said = command("broker-config", "mosquitto", "--out", out_option)
    assert (said.code, "--out names a folder of its own" in said.err) == (2, True)


def test_a_file_is_no_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["mosquitto"], ["client-certificate", "--name", "phone"]):
        said = command("broker-config", *words, "--out", tmp_path / "file")
        assert (said.code, "--out names a folder, and" in said.err) == (2, True)


def test_a_plugin_that_is_not_there(command: Command, out: Path, tmp_path: Path) -> None:
    user = ["--user", "root"] if os.geteuid() == 0 else []
    said = command("broker-config", "mosquitto", "--out", out, *user, "--plugin", tmp_path / "no")
    assert (said.code, f"there is no file {tmp_path}/no" in said.err) == (1, True)
    assert not out.exists()


def test_an_account_that_is_not_there(command: Command, out: Path) -> None:
    said = command("broker-config", "mosquitto", "--out", out, "--user", "no-such-account")
    why = "there is no account" if os.geteuid() == 0 else "only root can give files"
    assert (said.code, why in said.err) == (1, True)


def test_a_certificate_for_a_device(make: Make, command: Command, out: Path) -> None:
    def sign(name: str) -> Outcome:
        return command("broker-config", "client-certificate", "--out", out, "--name", name)

    assert "no " in sign("phone").err
    assert "client-certificate --out" in make("--require-certificates").out
    said = sign("phone")
    assert (said.code, f"{out}/clients/phone.crt\n" in said.out) == (0, True)
    assert "asks nobody for a certificate" not in said.out
    assert "cert_file and key_file" in said.out
    assert (out / "clients" / "phone.key").is_file()
    assert "broker_cert_file and broker_key_file" in sign("gateway").out
    make()
    said = sign("phone")
    assert (said.code, "asks nobody for a certificate" in said.out) == (0, True)
    said = sign("../phone")
    assert (said.code, "a device id is" in said.err) == (2, True)
