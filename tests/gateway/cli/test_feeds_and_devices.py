"""``gateway feed``, ``device`` and ``status``."""

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.rivals import WARNING
from gateway.rows import Put
from gateway.run import Running, running
from gateway.settings import load
from sync_protocol.credential import SCHEME, Credential
from tests.gateway.cli.conftest import Command, Outcome
from tests.gateway.mqtt_probe import Probe


def shown_credential(outcome: Outcome) -> Credential:
    """The credential that a command showed."""
    (line,) = [text for text in outcome.out.splitlines() if text.startswith(SCHEME)]
    return Credential.parse(line)


class TestFeed:
    def test_added_listed_removed(self, ask: Command) -> None:
        assert ask("feed", "add", "book").code == 0
        assert {"name": "book", "items": 0, "head": 0} in ask("feed", "list", "--json").json
        assert "book" in ask("feed", "list").out
        again = ask("feed", "add", "book")
        assert (again.code, again.out) == (1, "")
        assert "already" in again.err
        assert ask("feed", "remove", "book").code == 0
        gone = ask("feed", "remove", "book")
        assert (gone.code, gone.out) == (1, "")
        assert "gateway feed add book" in gone.err

    @pytest.mark.parametrize("name", ["a/b", "a+", "#", "..", "", "x" * 300, "a\nb"])
    def test_bad_names(self, ask: Command, name: str) -> None:
        outcome = ask("feed", "add", name)
        assert (outcome.code, outcome.out) == (1, "")
        assert "a feed name is 1 to 64 of" in outcome.err

    def test_items_are_not_removed_by_mistake(
        self, ask: Command, gateway: Running, feed: str
    ) -> None:
        gateway.service.apply(feed, Put("a", b"", "note", "text/plain"))
        held = ask("feed", "remove", feed)
        assert held.code == 1
        assert "holds 1 item: --yes" in held.err
        assert ask("feed", "remove", feed, "--yes").code == 0


class TestDevice:
    def test_the_line_to_paste(self, ask: Command, gateway: Running, feed: str) -> None:
        outcome = ask("device", "add", "phone", "--feed", feed)
        assert outcome.code == 0
        credential = shown_credential(outcome)
        assert gateway.service.devices.authenticate("phone", credential.secret)
        assert (credential.host, credential.port) == ("127.0.0.1", gateway.broker_port)
        assert (credential.device, credential.feeds) == ("phone", (feed,))
        assert "  device-agent enroll\n  device-agent run\n" in outcome.out
        assert "\x1b" not in outcome.out  # a QR code is for a terminal
        again = ask("device", "add", "phone", "--feed", feed)
        assert (again.code, again.out) == (1, "")
        for name in ("rotate", "remove"):
            assert f"gateway device {name} phone" in again.err

    def test_rotated(self, ask: Command, gateway: Running, feed: str) -> None:
        old = shown_credential(ask("device", "add", "turning", "--feed", feed))
        outcome = ask("device", "rotate", "turning")
        assert outcome.code == 0
        assert "the old one is worth nothing" in outcome.out
        new = shown_credential(outcome)
        assert replace(new, secret=old.secret) == old
        authenticate = gateway.service.devices.authenticate
        assert authenticate("turning", new.secret)
        assert not authenticate("turning", old.secret)
        ask("device", "rotate", "turning", "--json")
        assert not authenticate("turning", new.secret)
        gone = ask("device", "rotate", "nobody")
        assert (gone.code, gone.out) == (1, "")
        assert "gateway device add nobody" in gone.err

    def test_a_qr_code_if_asked_for(
        self, ask: Command, feed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("LINES", "10")  # it is forced
        outcome = ask("device", "add", "seen", "--feed", feed, "--qr")
        last = outcome.out.splitlines()[-1]  # what follows would scroll it away
        assert set(last) <= set("█▀▄ ")
        monkeypatch.setenv("COLUMNS", "30")
        narrow = ask("device", "rotate", "seen", "--qr").out
        assert re.search(
            r"needs a terminal of \d\d x \d\d \(columns x lines\), and this one has 30 x 10\.\n",
            narrow,
        )
        shown_credential(outcome)

    def test_into_a_file(self, ask: Command, gateway: Running, feed: str, tmp_path: Path) -> None:
        file = tmp_path / "credential"
        outcome = ask("device", "add", "filed", "--feed", feed, "--out", file)
        assert outcome.code == 0
        assert f"device-agent enroll --file {file.name}" in outcome.out
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        credential = Credential.parse(file.read_text())
        assert credential.secret not in outcome.out
        assert gateway.service.devices.authenticate("filed", credential.secret)

        # Nothing is done where it cannot be kept, and nothing is left where nothing was done.
        again = ask("device", "rotate", "filed", "--out", file)
        assert (again.code, again.out) == (1, "")
        assert "nothing was done: File exists" in again.err
        assert gateway.service.devices.authenticate("filed", credential.secret)
        other = tmp_path / "other"
        assert ask("device", "rotate", "nobody", "--out", other).code == 1
        assert not other.exists()
        quiet = ask("device", "rotate", "filed", "--out", other, "--json").json
        assert quiet == {"id": "filed", "feeds": [feed]}

    def test_as_json(self, ask: Command, gateway: Running, feed: str) -> None:
        added = ask("device", "add", "tablet", "--feed", feed, "--json").json
        assert gateway.service.devices.authenticate("tablet", added["credential"])
        assert Credential.parse(added["line"]).secret == added["credential"]
        shown = ask("device", "show", "tablet", "--json").json
        assert shown["replicas"] == [
            {"feed": feed, "synced_at": None, "behind": None, "view": None}
        ]
        assert shown in ask("device", "list", "--json").json

    def test_shown_and_removed(self, ask: Command, feed: str) -> None:
        ask("device", "add", "watch", "--feed", feed)
        shown = ask("device", "show", "watch").out
        assert shown.startswith("watch is offline.")
        assert feed in shown
        assert "never" in shown
        assert "watch" in ask("device", "list").out
        assert ask("device", "remove", "watch").code == 0
        for name in ("show", "remove"):
            gone = ask("device", name, "watch")
            assert (gone.code, gone.out) == (1, "")
            assert "no device 'watch'" in gone.err

    def test_one_whose_feed_was_removed(self, ask: Command, gateway: Running, feed: str) -> None:
        ask("device", "add", "lonely", "--feed", feed)
        gateway.service.remove_feed(feed)
        assert "feeds were removed" in ask("device", "show", "lonely").out
        assert "lonely" in ask("device", "list").out
        assert ask("status").code == 0

    def test_a_warning_of_two_agents(self, ask: Command, gateway: Running, feed: str) -> None:
        password = ask("device", "add", "twin", "--feed", feed, "--json").json["credential"]
        with Probe(gateway.broker_port, "twin", password) as probe:
            probe.subscribe(f"sync/v1/twin/{feed}/response")
            for view_id in (1, 2, 1):
                asked = (
                    f'{{"v":1,"id":"AAAAAAAAAAA=","view_id":{view_id},'
                    '"inventory":[{"entries":""}]}'
                )
                probe.publish(f"sync/v1/twin/{feed}/request", asked.encode())
                probe.hear()
        assert f"Warning: {WARNING}.\n" in ask("device", "show", "twin").out
        assert f"Warning: twin: {WARNING}.\n" in ask("device", "list").out
        assert ask("device", "show", "twin", "--json").json["warning"] == WARNING
        # Who is enrolled anew is another.
        ask("device", "remove", "twin")
        ask("device", "add", "twin", "--feed", feed)
        assert ask("device", "show", "twin", "--json").json["warning"] is None

    @pytest.mark.parametrize("name", ["a/b", "gateway", "", "..", "+", "x" * 65])
    def test_bad_ids(self, ask: Command, feed: str, name: str) -> None:
        outcome = ask("device", "add", name, "--feed", feed)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith("error: ")

    def test_unknown_feed(self, ask: Command) -> None:
        outcome = ask("device", "add", "lost", "--feed", "nofeed")
        assert outcome.code == 1
        assert "gateway feed add nofeed" in outcome.err


def test_hints_name_the_data_directory(command: Command, tmp_path: Path) -> None:
    data = tmp_path / "a b"
    option = f" --data '{data}'"
    with running(load(data_dir=data, broker_port=0, api_port=0)):
        status = command("status", "--data", data).out
        assert f"'gateway feed add FEED{option}' makes one" in status
        assert f"'gateway device add ID --feed FEED{option}' enrols one" in status
        assert f"'gateway feed add FEED{option}'" in command("feed", "list", "--data", data).out
        added = command("feed", "add", "book", "--data", data).out
        assert f"'gateway import book PATH...{option}' fills it" in added


class TestStatus:
    def test_for_people(self, ask: Command, gateway: Running, feed: str) -> None:
        ask("device", "add", "statusphone", "--feed", feed)
        out = ask("status", "--counters").out
        for text in (
            str(gateway.service.settings.data_dir),
            f"127.0.0.1:{gateway.broker_port}, connected",
            gateway.api_url,
            feed,
            "statusphone",
        ):
            assert text in out
        assert gateway.token not in out

    def test_for_programs(self, ask: Command, gateway: Running, feed: str) -> None:
        found = ask("status", "--json").json
        assert found["health"] == "ok"
        assert found["problems"] == []
        assert found["broker_address"] == {"host": "127.0.0.1", "port": gateway.broker_port}
        assert feed in [each["name"] for each in found["feeds"]]
        assert gateway.token not in str(found)
