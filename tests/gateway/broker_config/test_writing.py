"""The folder of a configuration: what is in it, what stays, and what is refused."""

import json
import os
import stat
import subprocess
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from gateway.broker_config import writing
from gateway.broker_config.certificates import CertificateError, GivenPair
from gateway.broker_config.folder import FILE_BYTES_MAX, Account, Folder, FolderError, read_file
from gateway.broker_config.writing import Given, Plan, Written
from gateway.device import Device, hash_secret, verify_secret
from sync_protocol.topics import Topics
from tests.open_folder import open_folder

NOW = datetime.now(UTC)
PHONE = Device("phone", hash_secret("phone's", salt=bytes(12)), b"12345678", ("contacts",))
PLAN = Plan(
    hosts=("mqtt.example.org", "192.0.2.7"),
    port=8883,
    address=None,
    plugin=Path("/usr/lib/plugin.so"),
    given=None,
    require_certificates=False,
    topics=Topics("sync/v1"),
    devices=[PHONE],
    data_dir=Path("/var/lib/tallysync"),
    command="gateway broker-config mosquitto",
)
FILES = {
    "mosquitto.conf",
    "dynamic-security.json",
    "ca.crt",
    "ca.key",
    "server.crt",
    "server.key",
    "gateway.password",
    "gateway.toml",
}
# What a later run makes anew; the rest stays byte for byte.
RENEWED = {"server.crt"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "broker", Account.current())


def write(folder: Folder, *, now: datetime = NOW, **changes: object) -> Written:
    return writing.write(folder, replace(PLAN, **changes), now=now)  # type: ignore[arg-type]  # of Plan


def contents(folder: Folder) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.path.iterdir() if each.is_file()}


def settings(folder: Folder) -> dict[str, object]:
    return tomllib.loads((folder.path / "gateway.toml").read_text())


def test_all_that_is_needed_and_only_its_owner_reads_it(folder: Folder) -> None:
    written = write(folder)
    assert (written.accounts, written.renewed, written.changed) == ("made", False, [])
    assert folder.names() == FILES
    assert [name for name in folder.names() if name.endswith(".conf")] == ["mosquitto.conf"]
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.path.iterdir()}
    assert modes == dict.fromkeys(FILES, 0o600)


def test_a_folder_that_others_could_enter_is_closed(folder: Folder) -> None:
    folder.path.mkdir(0o755)
    write(folder)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_the_gateway_is_told_how_to_reach_it(folder: Folder) -> None:
    write(folder, data_dir=Path("/var/lib/tallysync"), topics=Topics("home/sync"))
    assert settings(folder) == {
        "data_dir": "/var/lib/tallysync",
        "topic_prefix": "home/sync",
        "broker_host": "mqtt.example.org",
        "broker_port": 8883,
        "broker_tls": "on",
        "broker_ca_file": str(folder.path / "ca.crt"),
        "broker_password_file": str(folder.path / "gateway.password"),
        "broker_accounts": "dynamic-security",
        "devices_broker": "mqtt.example.org:8883",
    }


def test_accounts_for_the_gateway_and_its_devices(folder: Folder) -> None:
    write(folder)
    password = (folder.path / "gateway.password").read_text().strip()
    made = json.loads(contents(folder)["dynamic-security.json"])
    hashes = {
        it["username"]: f"$7${it['iterations']}${it['salt']}${it['password']}"
        for it in made["clients"]
    }
    assert hashes["phone"] == PHONE.secret_hash
    assert verify_secret(password, hashes["gateway"])
    assert len(password) >= 32


def test_secrets_are_new_in_each_folder(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = Folder(tmp_path / name, Account.current())
        write(folder)
        made.append(contents(folder))
    for name in ("ca.key", "server.key", "gateway.password", "dynamic-security.json"):
        assert made[0][name] != made[1][name]


def test_the_same_again_renews_the_certificate_and_keeps_the_rest(folder: Folder) -> None:
    first = write(folder)
    before = contents(folder)
    later = NOW + timedelta(days=800)
    again = write(folder, now=later, devices=[])
    assert (again.accounts, again.renewed, again.changed) == ("kept", True, [])
    assert first.certificate_ends is not None
    assert again.certificate_ends is not None
    assert again.certificate_ends - first.certificate_ends > timedelta(days=799)
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == RENEWED


def test_what_the_broker_did_to_its_accounts_stays(folder: Folder) -> None:
    write(folder)
    path = folder.path / "dynamic-security.json"
    changed = json.loads(path.read_text())
    changed["clients"].pop()
    path.write_text(json.dumps(changed))
    write(folder)
    assert json.loads(path.read_text()) == changed


@pytest.mark.parametrize("text", [b"", b'{"roles": ['])
def test_accounts_that_a_crash_damaged_are_made_anew(folder: Folder, text: bytes) -> None:
    write(folder)
    (folder.path / "dynamic-security.json").write_bytes(text)
    password = contents(folder)["gateway.password"]
    assert write(folder).accounts == "mended"
    made = json.loads(contents(folder)["dynamic-security.json"])
    assert [it["username"] for it in made["clients"]] == ["gateway", "phone"]
    assert contents(folder)["gateway.password"] == password


def test_another_topic_prefix_needs_other_accounts(folder: Folder) -> None:
    write(folder)
    before = contents(folder)
    with pytest.raises(FolderError, match=r"cannot be kept: .* prefix than home/sync.* stop Mosq"):
        write(folder, topics=Topics("home/sync"))
    assert contents(folder) == before
    (folder.path / "dynamic-security.json").unlink()
    assert write(folder, topics=Topics("home/sync")).accounts == "made"


def test_a_password_that_is_gone_fits_no_account(folder: Folder) -> None:
    write(folder)
    password = folder.path / "gateway.password"
    password.unlink()
    with pytest.raises(FolderError, match=r"gateway\.password is gone"):
        write(folder)
    for damaged in (b"", b"\n", b"\xff"):
        password.write_bytes(damaged)
        with pytest.raises(FolderError, match=r"gateway\.password holds no password"):
            write(folder)
    (folder.path / "dynamic-security.json").unlink()
    password.unlink()
    assert write(folder).accounts == "made"


def test_accounts_in_files_are_those_of_the_gateway_each_time(folder: Folder) -> None:
    write(folder, plugin=None)
    before = contents(folder)
    assert before["mosquitto.passwd"].splitlines()[1] == f"phone:{PHONE.secret_hash}".encode()
    assert b"user phone\n" in before["mosquitto.acl"]
    assert settings(folder)["broker_accounts"] == "by-hand"
    assert write(folder, plugin=None, devices=[]).accounts == "made"
    after = contents(folder)
    assert b"phone" not in after["mosquitto.passwd"] + after["mosquitto.acl"]
    assert after["gateway.password"] == before["gateway.password"]


def test_lines_that_were_changed_by_hand_are_kept_beside(folder: Folder) -> None:
    write(folder)
    conf = folder.path / "mosquitto.conf"
    made = conf.read_text()
    conf.write_text(made.replace("max_connections 1000", "max_connections 5000"))
    assert write(folder).changed == ["mosquitto.conf"]
    assert conf.read_text() == made
    before = folder.path / "mosquitto.conf.before"
    assert "max_connections 5000" in before.read_text()
    assert stat.S_IMODE(before.stat().st_mode) == 0o600


def test_what_a_broker_that_runs_can_read(folder: Folder) -> None:
    def needs_restart(**changes: object) -> bool:
        return write(folder, **changes).needs_restart  # type: ignore[arg-type]  # of Plan

    needs_restart()
    assert not needs_restart()
    assert not needs_restart(command="another", hosts=("b.lan",))
    for changes in ({"port": 8884}, {"address": "::1"}, {"require_certificates": True}):
        assert needs_restart(**changes)
        assert not needs_restart(**changes)
    assert needs_restart(plugin=None)
    # Accounts in files are read again; those of the plugin are not.
    assert not needs_restart(plugin=None, devices=[])
    assert needs_restart()
    (folder.path / "dynamic-security.json").write_text("")
    assert needs_restart()
    (folder.path / "dynamic-security.json").unlink()
    assert needs_restart()


def test_addresses_that_devices_may_have(folder: Folder) -> None:
    def gone(*hosts: str, port: int = 8883) -> list[str]:
        return list(write(folder, hosts=hosts, port=port).addresses_gone)

    assert gone("localhost") == []
    assert gone("a.lan", "2001:db8::7") == []
    assert gone("b.lan", "a.lan", "2001:db8::7") == []
    assert gone("b.lan", "a.lan") == ["[2001:db8::7]:8883"]
    assert gone("b.lan", "a.lan", port=8884) == ["b.lan:8883", "a.lan:8883"]
    assert gone("b.lan", "a.lan", port=8884) == []


def test_settings_that_were_added_stay(folder: Folder) -> None:
    write(folder)
    path = folder.path / "gateway.toml"
    added = path.read_text() + "api_port = 4711\n"
    path.write_text(added)
    assert write(folder).changed == []
    assert path.read_text() == added
    # Unless they say something else about the broker; or nothing that can be read.
    assert write(folder, port=8884).changed == ["mosquitto.conf", "gateway.toml"]
    assert (folder.path / "gateway.toml.before").read_text() == added
    assert settings(folder)["broker_port"] == 8884
    for damaged in (b"\xff", b"broker_port = "):
        path.write_bytes(damaged)
        assert write(folder, port=8884).changed == ["gateway.toml"]


# What it leaves alone


@pytest.mark.parametrize("name", ["mosquitto.conf", "gateway.toml", "server.key", "any"])
def test_a_folder_of_others_is_left_alone(folder: Folder, name: str) -> None:
    folder.path.mkdir()
    (folder.path / name).write_text("of somebody else\n")
    with pytest.raises(
        FolderError, match=r"/broker is not known as a folder of this command: .*" + name
    ):
        write(folder)
    assert contents(folder) == {name: b"of somebody else\n"}


@pytest.mark.parametrize("name", ["mosquitto.conf", "gateway.toml"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_is_known_though_a_file_was_edited(
    folder: Folder, name: str, *, is_there: bool
) -> None:
    write(folder)
    before = contents(folder)
    path = folder.path / name
    path.write_bytes(b"# without the line\n") if is_there else path.unlink()
    write(folder)
    for each in ("ca.key", "dynamic-security.json", "mosquitto.conf", "gateway.toml"):
        assert contents(folder)[each] == before[each]


def test_a_comment_above_the_first_line_does_not_hide_the_command(folder: Folder) -> None:
    write(folder)
    conf = folder.path / "mosquitto.conf"
    conf.write_text(f"# mine\n{conf.read_text()}")
    (folder.path / "gateway.toml").unlink()
    written = write(folder)
    assert (written.command_before, written.changed) == (None, ["mosquitto.conf"])


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"there is no folder .*/above: make it first"):
        write(Folder(tmp_path / "above" / "broker", Account.current()))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FolderError, match="Not a directory"):
        write(Folder(file, Account.current()))


def test_a_file_that_is_too_large_to_be_one_of_these(folder: Folder) -> None:
    write(folder)
    with (folder.path / "ca.key").open("r+b") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(FolderError, match="it is another file"):
        write(folder)
    with pytest.raises(FolderError, match="Is a directory"):
        read_file(folder.path)


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("count", range(len(FILES)))
def test_stopped_at_any_moment_the_same_again_finishes_it(
    folder: Folder, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = 0
    replace_file = Path.replace

    def stop(self: Path, target: Path) -> Path:
        nonlocal replaced
        if replaced == count:
            raise _StoppedError
        replaced += 1
        return replace_file(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(_StoppedError):
            write(folder)
    # Half a file is never there by its name.
    assert len(folder.names() & FILES) == count
    halfway = contents(folder)
    write(folder)
    assert folder.names() == FILES
    for name in halfway.keys() & FILES - RENEWED:
        assert contents(folder)[name] == halfway[name], name


# Certificates


@pytest.fixture(scope="module")
def others() -> trustme.CA:
    return trustme.CA()


def given(others: trustme.CA, *hosts: str, ca: bool) -> Given:
    leaf = others.issue_cert(*hosts)
    pair = GivenPair(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())
    return Given(pair, others.cert_pem.bytes() if ca else None, ("my.crt", "my.key"))


@pytest.mark.parametrize("with_ca", [True, False])
def test_certificates_of_another_ca(folder: Folder, others: trustme.CA, *, with_ca: bool) -> None:
    its = given(others, *PLAN.hosts, ca=with_ca)
    assert write(folder, given=its).certificate_ends is None
    assert {"ca.crt", "ca.key"} & folder.names() == set()
    assert contents(folder)["server.crt"] == its.pair.certificate
    assert contents(folder)["server.key"] == its.pair.key
    ca_file = str(folder.path / "server-ca.crt") if with_ca else None
    assert settings(folder).get("broker_ca_file") == ca_file
    if with_ca:
        assert contents(folder)["server-ca.crt"] == its.ca
    # And back to one of its own, and once more.
    assert not write(folder, given=its).is_other_ca
    written = write(folder)
    assert written.certificate_ends is not None
    assert written.is_other_ca
    assert settings(folder)["broker_ca_file"] == str(folder.path / "ca.crt")
    written = write(folder, given=its)
    assert (written.changed, written.is_other_ca) == (["gateway.toml"], True)
    assert settings(folder).get("broker_ca_file") == ca_file


def test_a_ca_that_was_named_by_hand_stays(folder: Folder, others: trustme.CA) -> None:
    its = given(others, *PLAN.hosts, ca=False)
    write(folder, given=its)
    with (folder.path / "gateway.toml").open("a") as file:
        file.write('broker_ca_file = "/etc/ssl/mine.pem"\n')
    written = write(folder, given=its)
    assert (written.changed, written.is_other_ca) == ([], False)
    assert settings(folder)["broker_ca_file"] == "/etc/ssl/mine.pem"


def test_a_given_certificate_that_is_not_for_the_host(folder: Folder, others: trustme.CA) -> None:
    with pytest.raises(CertificateError, match=r"not for mqtt\.example\.org"):
        write(folder, given=given(others, "other.example.org", ca=False))
    assert not folder.path.exists()


def test_a_ca_whose_key_is_gone(folder: Folder) -> None:
    write(folder)
    (folder.path / "ca.key").unlink()
    with pytest.raises(FolderError, match=r"ca\.key is gone"):
        write(folder)


def test_a_ca_that_is_lost_is_not_replaced_unless_that_is_wanted(folder: Folder) -> None:
    write(folder)
    for name in ("ca.key", "ca.crt"):
        (folder.path / name).unlink()
    before = contents(folder)
    with pytest.raises(FolderError, match=r"are gone, .* cut off all devices, .* server\.key away"):
        write(folder)
    assert contents(folder) == before
    for name in ("server.key", "server.crt"):
        (folder.path / name).unlink()
    assert write(folder).is_other_ca
    assert not write(folder).is_other_ca


def test_a_certificate_that_is_damaged_is_made_anew(folder: Folder) -> None:
    write(folder)
    (folder.path / "server.crt").write_bytes(b"")
    assert not write(folder).is_other_ca


def test_a_ca_that_ends(folder: Folder) -> None:
    write(folder)
    with pytest.raises(CertificateError, match=r"the CA ended on .* new folder"):
        write(folder, now=NOW + timedelta(days=3_650))


def test_clients_with_certificates(folder: Folder) -> None:
    write(folder, require_certificates=True)
    clients = folder.path / "clients"
    assert stat.S_IMODE(clients.stat().st_mode) == 0o700
    assert {each.name for each in clients.iterdir()} == {"gateway.crt", "gateway.key"}
    assert settings(folder)["broker_cert_file"] == str(clients / "gateway.crt")
    assert settings(folder)["broker_key_file"] == str(clients / "gateway.key")
    cert_file, key_file = writing.issue_client(folder, "phone", now=NOW)
    (certificate,) = x509.load_pem_x509_certificates(cert_file.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=phone"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    # Again: another certificate of the same key.
    before = cert_file.read_bytes(), key_file.read_bytes()
    writing.issue_client(folder, "phone", now=NOW)
    assert cert_file.read_bytes() != before[0]
    assert key_file.read_bytes() == before[1]


def test_a_client_without_a_ca_to_sign_for_it(folder: Folder, others: trustme.CA) -> None:
    write(folder, given=given(others, *PLAN.hosts, ca=True))
    with pytest.raises(FolderError, match=r"there is no .*ca\.key"):
        writing.issue_client(folder, "phone", now=NOW)
    # It is made where clients need certificates, whoever signed the broker's.
    write(folder, given=given(others, *PLAN.hosts, ca=True), require_certificates=True)
    assert settings(folder)["broker_ca_file"] == str(folder.path / "server-ca.crt")
    assert f"cafile {folder.path / 'ca.crt'}\n" in contents(folder)["mosquitto.conf"].decode()
    writing.issue_client(folder, "phone", now=NOW)


# Accounts of the machine


def test_an_account_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(FolderError, match=r"has no name here, .* give it a name in /etc/passwd"):
        Account.current()


@pytest.fixture
def another() -> Account:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another account")
    return Account("nobody", 65_534, 65_534)


def test_root_gives_the_broker_what_it_reads_and_nothing_else(another: Account) -> None:
    with open_folder() as above:
        folder = Folder(above / "broker", another)
        write(folder, require_certificates=True)
        write(folder, require_certificates=True, port=8884)
        owners = {each.name: each.stat().st_uid for each in folder.path.iterdir()}
        kept = {"ca.key", "gateway.password", "gateway.toml", "gateway.toml.before", "clients"}
        assert {name for name, uid in owners.items() if uid == 0} == kept
        assert {owners[name] for name in owners.keys() - kept} == {another.uid}
        assert "user nobody\n" in contents(folder)["mosquitto.conf"].decode()
        # That account makes its files there, and changes none of root's.
        found = folder.path.stat()
        assert (found.st_uid, found.st_gid) == (0, another.gid)
        assert stat.S_IMODE(found.st_mode) == 0o1770
        assert as_account(another, "rm -f server.key && touch new", folder) == 0
        for command in ("rm -f ca.key", "mv ca.key server.key", "cat ca.key"):
            assert as_account(another, command, folder) != 0
        # To root alone it is closed to that account, too.
        (folder.path / "new").unlink()
        for each in folder.path.iterdir():
            os.chown(each, 0, 0)
        write(Folder(folder.path, Account.current()))
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def as_account(account: Account, command: str, folder: Folder) -> int:
    """The exit status of a shell's command that this account gives in the folder."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder.path,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


@pytest.mark.parametrize("name", ["server.key", "mosquitto.conf", "ca.crt"])
def test_root_copies_nothing_of_its_own_for_the_broker(another: Account, name: str) -> None:
    with open_folder() as above:
        folder = Folder(above / "broker", another)
        write(folder)
        ca_key = folder.path / "ca.key"
        (folder.path / name).unlink()
        (folder.path / name).symlink_to(ca_key)
        with pytest.raises(FolderError, match=rf"{name} belongs to the account with the number 0"):
            write(folder)
        assert ca_key.read_bytes() not in [
            each.read_bytes() for each in folder.path.iterdir() if each.stat().st_uid != 0
        ]


@pytest.mark.parametrize("name", ["ca.key", "gateway.password", "gateway.toml"])
def test_root_believes_nothing_that_the_broker_put_there(another: Account, name: str) -> None:
    with open_folder() as above:
        folder = Folder(above / "broker", another)
        write(folder)
        os.chown(folder.path / name, another.uid, another.gid)
        with pytest.raises(FolderError, match=rf"{name} belongs to .* number {another.uid}, .*"):
            write(folder)


def test_certificates_of_clients_are_not_put_where_the_broker_says(another: Account) -> None:
    with open_folder() as above:
        folder = Folder(above / "broker", another)
        write(folder)
        clients = folder.path / "clients"
        clients.mkdir()
        os.chown(clients, another.uid, another.gid)
        with pytest.raises(FolderError, match="clients belongs to another account than root"):
            writing.issue_client(Folder(folder.path, Account.current()), "phone", now=NOW)
        assert not list(clients.iterdir())


def test_a_folder_that_the_brokers_account_cannot_reach(another: Account, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = Folder(tmp_path / "broker", another)
    with pytest.raises(FolderError, match=r"account nobody, .* because .* is closed to it"):
        write(folder)
    assert not folder.path.exists()
