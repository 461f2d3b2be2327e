"""Settings: where they come from, and what is wrong with them."""

import os
from pathlib import Path

import pytest

from device_agent.errors import AgentError
from device_agent.schedule import Waits
from device_agent.settings import SettingsError, load
from device_agent.views import WantedView
from programs.settings_file import PROBLEMS_MAX
from sync_protocol.addresses import broker_address
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


def test_the_example_file_holds_the_defaults() -> None:
    assert load(EXAMPLE).model_dump() == load().model_dump()


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
        ("brokre = 1", "no setting is called 'brokre'; did you mean broker?"),
        ("[broker]\nhost = 1", "broker is HOST:PORT, not a table"),
        ("[broker]\ncert_file = 1", "broker is HOST:PORT, not a table"),
        ("id = 'a/b'", "id: a device id is 1 to 64"),
        ("feeds = ['a', 'gateway']", "feeds (entry 2): 'gateway' is"),
        (
            "[feeds.mail]\ndays = 3",
            "feeds is a list of names of feeds, not a table; did you mean [feed.mail]?",
        ),
        ("broker = 'somewhere'", "broker: a broker is HOST:PORT"),
        ("sync_period_s = 0", "sync_period_s is a number from 1 to 86400, not 0"),
        ("sync_period_s = nan", "sync_period_s is a number from 1 to 86400, not nan"),
        ("answer_bytes_max = 1", "answer_bytes_max is a whole number from 4096 to 524288, not 1"),
        ("format = 'xml'", 'format is "cbor" or "json", not \'xml\''),
        ("topic_prefix = 'a/#'", "topic_prefix: a topic prefix is levels"),
        ("kinds = []", 'kinds is a list of kinds, 1 to 16, or "all", not an empty list'),
        (f"kinds = {[f'k{n}' for n in range(17)]}", "kinds is a list of kinds, 1 to 16, or "),
        ("kinds = ['A']", "kinds (entry 1): a kind is a word of a-z, 0-9 and -, at most 32, "),
        (f"folders = {[f'k{n}' for n in range(65)]}", "folders is a list of folders, 1 to 64, or "),
        ('folders = ["a\\u0007"]', "folders (entry 1): a folder has no control characters"),
        ("days = 0", 'days is a whole number from 1 to 36500, or "all", not 0'),
        ("days = 36501", 'days is a whole number from 1 to 36500, or "all", not 36501'),
        ("days = true", 'days is a whole number from 1 to 36500, or "all", not true'),
        ("portion_bytes = -1", "portion_bytes is a whole number from 0 to 26214400 (25 MiB), or "),
        ("item_bytes_max = -1", "item_bytes_max is a whole number from 0 to 26214400 (25 MiB), or"),
        ("remainder_bytes_max = 26214401", "remainder_bytes_max is a whole number from 0 to 26214"),
        ("representations = 'contact'", "representations is a table of kinds with their repr"),
        ("feeds = 'contacts'", "feeds is a list of names of feeds, not 'contacts'"),
        ("[feed.mail]\nkinds = 'mail'", "feed.mail.kinds is a list of kinds, 1 to 16, or "),
        ("representations = { C = 'compact' }", "representations.C: a kind is a word"),
        ("representations = { c = 'a b' }", "representations.c: a representation is a"),
        (
            "[feed.mail]\ndayz = 3",
            "no setting of [feed.mail] is called 'dayz'; did you mean days?",
        ),
        (
            "[feed.mail]\nbroker = 'a:1'",
            "no setting of [feed.mail] is called 'broker'; settings that are for all stand above",
        ),
        ("[feed.mail]\ndays = 0", 'feed.mail.days is a whole number from 1 to 36500, or "all"'),
        ("[feed.'a/b']\ndays = 1", "feed.a/b: a feed name is"),
        ("backoff_s = 61", "backoff_s makes the first wait (61 s) longer than the longest (60 s, "),
        ("backoff_s_max = 0.5", "backoff_s_max makes the first wait (1 s) longer than the longest"),
        ("cert_file = 'a'", "cert_file is set and key_file is not: mutual TLS needs both"),
        ("key_file = 'a'", "key_file is set and cert_file is not: mutual TLS needs both"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(file)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{file}: {said}")


@pytest.mark.parametrize("header", ["[feeds.mail]", " [ feeds . mail ] # ours"])
def test_a_table_that_is_named_like_a_list_above(file: Path, header: str) -> None:
    file.write_text(f"feeds = ['mail']\r\n{header}\r\ndays = 3\n")
    with pytest.raises(SettingsError) as refused:
        load(file)
    assert str(refused.value).startswith(f"{file}, line 2, column ")
    assert str(refused.value).endswith("; did you mean [feed.mail]?")


def test_all_that_is_wrong_is_told(file: Path) -> None:
    file.write_text("".join(f"x{n} = 1\n" for n in range(PROBLEMS_MAX + 1)))
    with pytest.raises(AgentError) as refused:
        load(file)
    assert len(refused.value.lines) == PROBLEMS_MAX + 1
    assert refused.value.lines[-1] == "and 1 more"


def test_the_longest_wait_may_be_the_first(file: Path) -> None:
    file.write_text("backoff_s = 60\n")
    assert load(file).waits.backoff_s == 60


def test_paths_are_relative_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("data_dir = 'data'\npassword_file = '-'\nca_file = '~/ca'\n")
    monkeypatch.setenv("HOME", "/home/me")
    found = load(file)
    assert found.data_dir == file.parent / "data"
    assert found.password_file == Path("-")
    assert found.ca_file == Path("/home/me/ca")


def test_what_is_wrong_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_AGENT_DEBOUNCE_S", "soon")
    with pytest.raises(SettingsError) as refused:
        load()
    assert str(refused.value) == (
        "the environment: TALLYSYNC_AGENT_DEBOUNCE_S is a number from 0 to 60, not 'soon'"
    )


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
            ("DAYS", "x", r"_DAYS is a whole number from 1 to 36500, or \"all\", not 'x'$"),
            ("REPRESENTATIONS", "contact", r"it is KIND=REPRESENTATION, .*, not 'contact'$"),
            ("REPRESENTATIONS", "a=b,a=c", r"_REPRESENTATIONS: a is there twice$"),
            ("FEED", "{}", r"_FEED is a table like \[feed.mail\], which only a settings file can"),
            ("FEED", "mail", r"not 'mail'; did you mean TALLYSYNC_AGENT_FEEDS\?$"),
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
    with pytest.raises(
        SettingsError, match=r"did you mean TALLYSYNC_AGENT_PASSWORD_FILE\?$"
    ) as refused:
        load()
    assert "a secret" not in str(refused.value)


def test_what_is_wrong_on_the_command_line_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^the command line: broker: a broker"):
        load(broker="x")
