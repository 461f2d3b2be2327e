"""``gateway backup`` and ``restore``, with a gateway that runs and without one."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.data_dir import locked
from gateway.run import Running
from gateway.service import STORE_FILE
from tests.gateway.cli.conftest import Command
from tests.gateway.damage import flip_byte, lose_content
from tests.gateway.sample_feeds import FEED, put
from tests.gateway.states import held, make_state

OLD = {"ada": b"old", "bob": b"old"}
NEW = {"ada": b"new"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    make_state(tmp_path / "data", *(put(name, content) for name, content in OLD.items()))
    return tmp_path / "data"


@pytest.fixture
def backup(command: Command, tmp_path: Path) -> Path:
    make_state(tmp_path / "other", *(put(name, content) for name, content in NEW.items()))
    assert command("backup", tmp_path / "backup", "--data", tmp_path / "other").code == 0
    return tmp_path / "backup"


class TestBackup:
    def test_of_a_gateway_that_runs(
        self,
        ask: Command,
        gateway: Running,
        feed: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        gateway.service.apply(feed, put("ada"))
        gateway.service.devices.add(f"device-{feed}", [feed])
        # The gateway has another working directory than who asks it.
        monkeypatch.chdir(tmp_path)
        made = ask("backup", "saved", "--json").json
        file = tmp_path / "saved" / STORE_FILE
        assert made["directory"] == str(tmp_path / "saved")
        assert made["feeds"] == len(gateway.service.feeds())
        assert made["items"] == sum(found.items for found in gateway.service.feeds())
        assert made["devices"] == len(gateway.service.devices.all())
        assert made["size_bytes"] == file.stat().st_size
        again = ask("backup", "saved")
        assert (again.code, again.out) == (1, "")
        assert f"{tmp_path / 'saved'} holds a backup already: name a new directory" in again.err

    def test_of_a_gateway_that_was_killed(
        self, command: Command, data_dir: Path, tmp_path: Path
    ) -> None:
        outcome = command("backup", tmp_path / "saved", "--data", data_dir)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(
            f"Saved in {tmp_path / 'saved'}: 1 feed, 2 items, 0 devices, "
        )
        assert held(tmp_path / "saved" / STORE_FILE) == OLD

    def test_of_damaged_contents(self, command: Command, data_dir: Path, tmp_path: Path) -> None:
        lose_content(data_dir / STORE_FILE, "ada")
        outcome = command("backup", tmp_path / "saved", "--data", data_dir)
        assert outcome.code == 0
        assert outcome.err == (
            f"warning: the contents of 1 item are lost or damaged: {FEED}/ada. Put them again;"
            " those that the gateway came across are in 'gateway quarantine list --data"
            f" {data_dir}'.\n"
        )
        flip_byte(data_dir / STORE_FILE, "bob")
        outcome = command("backup", tmp_path / "again", "--data", data_dir, "--json")
        assert outcome.code == 0
        made = json.loads(outcome.out)
        assert made["damaged_items"] == 2
        assert made["damaged_named"] == [f"{FEED}/ada", f"{FEED}/bob"]
        assert "the contents of 2 items are lost or damaged" in outcome.err
        outcome = command("restore", tmp_path / "again", "--data", tmp_path / "new")
        assert outcome.code == 0
        assert "the contents of 2 items are lost or damaged" in outcome.err

    def test_more_damaged_contents_than_are_named(self, command: Command, tmp_path: Path) -> None:
        state = make_state(tmp_path / "data", *(put(str(number)) for number in range(7)))
        for number in range(7):
            lose_content(state, str(number))
        outcome = command("backup", tmp_path / "saved", "--data", tmp_path / "data")
        assert outcome.code == 0
        assert "7 items are lost or damaged: " in outcome.err
        assert f"{FEED}/4 and 2 more. " in outcome.err

    @pytest.mark.parametrize("verb", ["backup", "restore"])
    def test_a_variable_that_is_not_set(
        self, command: Command, data_dir: Path, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        (data_dir.parent / "here").mkdir()
        monkeypatch.chdir(data_dir.parent / "here")
        outcome = command(verb, "", "--data", data_dir)
        assert (outcome.code, outcome.out) == (2, "")
        assert "DIR is empty: name a directory" in outcome.err
        assert list(Path().iterdir()) == []

    def test_of_nothing(self, command: Command, tmp_path: Path) -> None:
        outcome = command("backup", tmp_path / "saved", "--data", tmp_path / "none")
        assert (outcome.code, outcome.out) == (1, "")
        assert f"there is nothing to save, no {tmp_path / 'none' / STORE_FILE}" in outcome.err
        assert list(tmp_path.iterdir()) == []

    def test_of_a_gateway_that_cannot_be_asked(
        self, command: Command, data_dir: Path, tmp_path: Path
    ) -> None:
        with locked(data_dir):
            outcome = command("backup", tmp_path / "saved", "--data", data_dir)
        assert outcome.code == 1
        assert "another gateway runs with" in outcome.err
        assert not (tmp_path / "saved").exists()


class TestRestore:
    def test_in_the_place_of_a_state(self, command: Command, data_dir: Path, backup: Path) -> None:
        outcome = command("restore", backup, "--data", data_dir, "--yes")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"Restored from {backup}: 1 feed, 1 item, 0 devices, ")
        (kept,) = data_dir.glob("before-restore-*")
        assert f"What was there is kept in {kept}, " in outcome.out
        assert "Changes since the backup are gone" in outcome.out
        assert held(data_dir / STORE_FILE) == NEW

    def test_where_no_state_is(self, command: Command, backup: Path, tmp_path: Path) -> None:
        outcome = command("restore", backup, "--data", tmp_path / "new")
        assert (outcome.code, outcome.err, outcome.out.count("\n")) == (0, "", 1)
        assert held(tmp_path / "new" / STORE_FILE) == NEW

    def test_in_the_place_of_a_journal(
        self, command: Command, data_dir: Path, backup: Path
    ) -> None:
        (data_dir / STORE_FILE).unlink()
        outcome = command("restore", backup, "--data", data_dir)
        assert (outcome.code, outcome.out) == (1, "")
        assert "--yes replaces it all the same" in outcome.err
        outcome = command("restore", backup, "--data", data_dir, "--yes")
        assert outcome.code == 0
        assert "It is damaged or of another version, and cannot be restored." in outcome.out
        (kept,) = data_dir.glob("before-restore-*")
        assert [path.name for path in kept.iterdir()] == [f"{STORE_FILE}-wal"]

    def test_in_the_place_of_a_damaged_state(
        self, command: Command, data_dir: Path, backup: Path
    ) -> None:
        (data_dir / STORE_FILE).write_bytes(b"damaged" * 1_000)
        (data_dir / f"{STORE_FILE}-wal").unlink()
        restored = command("restore", backup, "--data", data_dir, "--yes", "--json").json
        assert restored["kept_is_backup"] is False
        assert (Path(restored["kept"]) / STORE_FILE).read_bytes() == b"damaged" * 1_000

    def test_of_the_state_itself(self, command: Command, backup: Path) -> None:
        before = (backup / STORE_FILE).read_bytes()
        outcome = command("restore", backup, "--data", backup, "--yes")
        assert (outcome.code, outcome.out) == (1, "")
        assert f"{backup} is the gateway's data directory" in outcome.err
        assert {path.name: path.read_bytes() for path in backup.iterdir()} == {STORE_FILE: before}

    def test_what_was_kept(self, command: Command, data_dir: Path, backup: Path) -> None:
        kept = command("restore", backup, "--data", data_dir, "--yes", "--json").json["kept"]
        other = data_dir.with_name("again")
        # Where nothing is there is nothing to ask for.
        restored = command("restore", kept, "--data", other, "--json").json
        assert (restored["items"], restored["kept"]) == (2, None)
        assert held(other / STORE_FILE) == OLD

    def test_not_by_mistake(self, command: Command, data_dir: Path, backup: Path) -> None:
        outcome = command("restore", backup, "--data", data_dir)
        assert (outcome.code, outcome.out) == (1, "")
        assert f"{data_dir} holds a state: --yes replaces it all the same" in outcome.err
        assert held(data_dir / STORE_FILE) == OLD

    def test_not_while_the_gateway_runs(self, ask: Command, gateway: Running, backup: Path) -> None:
        outcome = ask("restore", backup, "--yes")
        assert (outcome.code, outcome.out) == (1, "")
        data_dir = gateway.service.settings.data_dir
        assert f"the gateway runs with {data_dir}: stop it first" in outcome.err
        # What is wrong with the backup is told before anything has to be stopped.
        shutil.rmtree(backup)
        assert f"{backup} holds no backup" in ask("restore", backup, "--yes").err

    def test_what_is_no_backup(self, command: Command, data_dir: Path, tmp_path: Path) -> None:
        outcome = command("restore", tmp_path / "none", "--data", data_dir, "--yes")
        assert (outcome.code, outcome.out) == (1, "")
        assert f"{tmp_path / 'none'} holds no backup" in outcome.err

    @pytest.mark.parametrize(("answer", "code", "after"), [("n", 1, OLD), ("y", 0, NEW)])
    def test_asks_on_a_terminal(
        self, data_dir: Path, backup: Path, *, answer: str, code: int, after: dict[str, bytes]
    ) -> None:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "gateway", "restore", str(backup), "--data", str(data_dir)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(theirs)
            os.write(ours, f"{answer}\n".encode())
            out, said = process.communicate(timeout=30)
            os.close(ours)
        assert f"Replace the state in {data_dir} with {backup}, 1 feed, 1 item," in said
        assert process.returncode == code
        assert ("Nothing was changed." in said) is (after == OLD)
        assert (f"Restored from {backup}: " in out) is (after == NEW)
        assert "error" not in said
        assert held(data_dir / STORE_FILE) == after
