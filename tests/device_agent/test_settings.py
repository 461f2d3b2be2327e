"""Settings: where they come from, and what is wrong with them."""

import os
import tomllib
from pathlib import Path

import pytest

from device_agent.schedule import Waits
from device_agent.settings import Settings, SettingsError, broker_address, load
from device_agent.views import WantedView
from sync_protocol.views import ShownAs, View
from sync_protocol.wire import Format

EXAMPLE = Path(__file__).parents[2] / "config" / "device_agent.toml"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_defaults() -> None:
    found = load()
    assert (found.id, found.feeds, found.password_file) == (None, (), None)
    assert found.waits == Waits()
    assert found.format is Format.CBOR
    broker_address(found.broker)


def test_the_data_is_kept_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load().data_dir == tmp_path / "share" / "tallysync" / "agent"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load().data_dir == Path("/home/somebody/.local/share/tallysync/agent")


def test_the_example_is_the_defaults() -> None:
    assert load(EXAMPLE).model_dump() == load().model_dump()


def test_the_example_names_every_setting_and_no_other(file: Path) -> None:
    text = EXAMPLE.read_text()
    for line in (
        "id = ",
        "feeds = ",
        "data_dir = ",
        "ca_file = ",
        "cert_file = ",
        "key_file = ",
        "password_file = ",
        "[feed.mail]",
        "days = ",
    ):
        assert text.count(f"\n# {line}") == 1
        text = text.replace(f"\n# {line}", f"\n{line}")
    file.write_text(text)
    assert set(tomllib.loads(text)) == set(Settings.model_fields)
    assert load(file).id == "handheld-1"
    assert load(file).wanted("mail").days == 30


def test_the_command_line_goes_before_the_environment_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('id = "file"\nfeeds = ["file"]\nkeepalive_s = 7\n')
    monkeypatch.setenv("TALLYSYNC_AGENT_FEEDS", "mail, contacts")
    monkeypatch.setenv("TALLYSYNC_AGENT_ID", "environment")
    found = load(file, id="line", feeds=None)
    assert (found.id, found.feeds, found.keepalive_s) == ("line", ("mail", "contacts"), 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("brokre = 1", r"no setting is called brokre \(.*agent.toml\); known are kinds, .*broker"),
        ("[broker]\nhost = 1", r"broker \(.*agent.toml\): Input should be a valid string"),
        ("id = 'a/b'", r"id \(.*agent.toml\): a device id is 1 to 64"),
        ("feeds = ['a', 'gateway']", r"feeds.1 \(.*agent.toml\): 'gateway' is"),
        ("broker = 'somewhere'", r"broker \(.*\): a broker is HOST:PORT"),
        ("sync_period_s = 0", r"sync_period_s \(.*\): Input should be greater"),
        ("sync_period_s = nan", r"sync_period_s \("),
        ("answer_bytes_max = 1", r"answer_bytes_max \(.*\): .*4096"),
        ("format = 'xml'", r"format \(.*\): Input should be 'cbor' or 'json'"),
        ("topic_prefix = 'a/#'", r"topic_prefix \(.*\): a topic prefix is levels"),
        ("id = ", "agent.toml is not TOML"),
        ("kinds = []", r"kinds \(.*agent.toml\): .*at least 1 item.*, or \"all\"$"),
        (f"kinds = {[f'k{n}' for n in range(17)]}", r"kinds \(.*\): .*at most 16 items"),
        ("kinds = ['A']", r"kinds.0 \(.*\): a kind is a word of a-z, 0-9 and -, .*not 'A'$"),
        (f"folders = {[f'k{n}' for n in range(65)]}", r"folders \(.*\): .*at most 64 items"),
        ('folders = ["a\\u0007"]', r"folders.0 \(.*\): a folder has no control characters"),
        ("days = 0", r"days \(.*\): .*greater than or equal to 1, or \"all\"$"),
        ("days = 36501", r"days \(.*\): .*less than or equal to 36500"),
        ("portion_bytes = -1", r"portion_bytes \(.*\): .*greater than or equal to 0, or"),
        ("item_bytes_max = -1", r"item_bytes_max \(.*\): .*greater than or equal to 0, or"),
        ("remainder_bytes_max = 26214401", r"remainder_bytes_max \(.*\): .*26214400, or"),
        ("representations = 'contact'", r"representations \(.*\): it is KIND=REPRESENTATION"),
        ("representations = { C = 'compact' }", r"representations.C \(.*\): a kind is a word"),
        ("representations = { c = 'a b' }", r"representations.c \(.*\): a representation is a"),
        (
            "[feed.mail]\ndayz = 3",
            r"no setting is called feed.mail.dayz .*; known are kinds, .*max$",
        ),
        ("[feed.mail]\ndays = 0", r"feed.mail.days \(.*agent.toml\): .*, or \"all\"$"),
        ("[feed.'a/b']\ndays = 1", r"feed.a/b \(.*agent.toml\): a feed name is"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as refused:
        load(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"agent\.toml (cannot be read|is not TOML)"):
        load(file)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(file)


def test_what_is_wrong_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_AGENT_DEBOUNCE_S", "soon")
    with pytest.raises(SettingsError, match=r"debounce_s \(TALLYSYNC_AGENT_DEBOUNCE_S\)"):
        load()


class TestWanted:
    """What is wanted of a feed."""

    def test_by_default_all_of_it_but_the_rest_of_what_is_large(self) -> None:
        assert load().wanted("mail") == WantedView(remainder_bytes_max=1024 * 1024)

    def test_what_a_file_says(self, file: Path) -> None:
        file.write_text(
            "kinds = ['mail', 'contact']\nfolders = ['', 'Inbox']\ndays = 30\n"
            "representations = { mail = 'compact', contact = 'compact', event = 'native' }\n"
            "portion_bytes = 0\nitem_bytes_max = 7\nremainder_bytes_max = 0\n"
        )
        view = View(
            kinds=("contact", "mail"),
            folders=("", "Inbox"),
            shown_as=(
                ShownAs(kind="contact", representation="compact"),
                ShownAs(kind="mail", representation="compact"),
            ),
            portion_bytes=0,
            item_bytes_max=7,
        )
        assert load(file).wanted("any") == WantedView(view, days=30, remainder_bytes_max=0)

    def test_of_one_feed_goes_before_that_of_all(self, file: Path) -> None:
        file.write_text(
            "kinds = ['mail']\ndays = 30\nportion_bytes = 5\n[feed.mail]\ndays = 'all'\n"
            "kinds = 'all'\n[feed.other]\nportion_bytes = 'all'\nremainder_bytes_max = 'all'\n"
            "representations = { mail = 'compact' }\n"
        )
        found = load(file)
        most = 1024 * 1024
        assert found.wanted("mail") == WantedView(View(portion_bytes=5), None, most)
        shown = (ShownAs(kind="mail", representation="compact"),)
        assert found.wanted("other") == WantedView(View(kinds=("mail",), shown_as=shown), 30, None)
        assert found.wanted("any") == WantedView(View(kinds=("mail",), portion_bytes=5), 30, most)

    def test_what_the_environment_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "KINDS": "mail, contact",
            "FOLDERS": "all",
            "DAYS": "7",
            "REPRESENTATIONS": "contact=compact, mail=compact,",
            "REMAINDER_BYTES_MAX": "all",
        }.items():
            monkeypatch.setenv(f"TALLYSYNC_AGENT_{name}", value)
        wanted = load().wanted("mail")
        assert (wanted.view.kinds, wanted.view.folders) == (("contact", "mail"), None)
        assert (wanted.days, wanted.remainder_bytes_max) == (7, None)
        assert [shown.kind for shown in wanted.view.shown_as] == ["contact", "mail"]

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("DAYS", "x", r"days \(TALLYSYNC_AGENT_DAYS\): .*integer.*, or \"all\"$"),
            ("REPRESENTATIONS", "contact", r"it is KIND=REPRESENTATION, .*, not 'contact'$"),
            ("REPRESENTATIONS", "a=b,a=c", r"representations \(TALLY.*\): a is there twice$"),
            ("FEED", "{}", r"no setting is called TALLYSYNC_AGENT_FEED "),
        ],
    )
    def test_what_is_wrong_in_the_environment_is_named(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
    ) -> None:
        monkeypatch.setenv(f"TALLYSYNC_AGENT_{name}", value)
        with pytest.raises(SettingsError, match=said):
            load()


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_AGENT_PASSWORD", "a secret")
    with pytest.raises(SettingsError, match=r"PASSWORD \(env.*TALLYSYNC_AGENT_BROKER") as refused:
        load()
    assert "a secret" not in str(refused.value)


def test_what_is_wrong_on_the_command_line_is_named() -> None:
    with pytest.raises(SettingsError, match=r"broker \(the command line\)"):
        load(broker="x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:1", ("localhost", 1)),
        ("mqtt.example.org:65535", ("mqtt.example.org", 65_535)),
        ("[::1]:1883", ("::1", 1883)),
        ("127.0.0.1:21883", ("127.0.0.1", 21_883)),
    ],
)
def test_a_broker(text: str, address: tuple[str, int]) -> None:
    assert broker_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1x", "a:\N{ARABIC-INDIC DIGIT ONE}",
     "::1:1883", "[::1]", "[]:1", "a b:1", "mqtt://a:1", "me:secret@a:1", "a\n:1"],
)  # fmt: skip
def test_no_broker(text: str) -> None:
    with pytest.raises(ValueError, match=r"broker|brackets"):
        broker_address(text)
