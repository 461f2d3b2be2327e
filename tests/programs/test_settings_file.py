"""Settings of a made-up program: where they come from, and what is wrong with them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from annotated_types import Ge, Gt, Le, Len
from pydantic_settings import NoDecode, SettingsConfigDict

from programs.settings_file import (
    PROBLEMS_MAX,
    SETTINGS_FILE_BYTES_MAX,
    Loaded,
    SettingsError,
    read,
)
from programs.settings_model import ProgramSettings, SettingsTable, Source
from programs.settings_types import (
    BrokerAddress,
    BrokerHost,
    FilePath,
    FolderPath,
    OrAll,
    PasswordFilePath,
    TopicPrefix,
    Words,
    comma_separated,
    comma_separated_pairs,
    or_all,
)


class Room(SettingsTable):
    chairs: Annotated[int, Ge(1), Le(9)] = 1
    colour: str = "red"
    guests: Annotated[
        Annotated[tuple[str, ...], Len(1, 2)] | None,
        NoDecode,
        comma_separated,
        or_all,
        OrAll(),
        Words("a list of guests"),
    ] = None


class House(ProgramSettings):
    model_config = SettingsConfigDict(env_prefix="TALLYSYNC_HOUSE_")
    program: ClassVar[str] = "house"

    floors: Annotated[int, Ge(0), Le(20)] = 1
    height_m: Annotated[float, Gt(0), Le(90.5)] = 3.0
    roof: Literal["flat", "steep", "none"] = "flat"
    lit: bool = False
    name: str | None = None
    names: Annotated[tuple[str, ...], NoDecode, comma_separated, Words("a list of names")] = ()
    rents: Annotated[
        dict[str, str], NoDecode, comma_separated_pairs, Words("a table of rents")
    ] = {}  # noqa: RUF012 - pydantic copies it
    cellar: FolderPath = Path("cellar")
    plan: FilePath | None = None
    key_password_file: PasswordFilePath | None = None
    gate: BrokerAddress = "gate:1"
    gate_host: BrokerHost | None = None
    street: TopicPrefix = "a/b"
    room: Annotated[dict[str, Room], NoDecode, Words("a table like [room.hall]")] = {}  # noqa: RUF012

    def contradictions(self) -> Iterator[tuple[str, str]]:
        if self.floors == 0 and self.roof != "none":
            yield "roof", f'is "{self.roof}", and there is no floor below it'


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def loaded(text: str | bytes, **overrides: object) -> Loaded[House]:
    """The settings of a file ``h.toml`` with that text."""
    Path("h.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(House, Path("h.toml"), overrides)


def settings(text: str | bytes) -> House:
    return loaded(text).settings


def problems(text: str | bytes, **overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(text, **overrides)
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    return list(caught.value.problems)


class TestWhereTheyComeFrom:
    def test_nothing_says_anything(self) -> None:
        found = read(House)
        assert (found.settings.floors, found.path) == (1, None)
        assert found.source("floors") == Source("default")

    def test_who_goes_before_whom(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_FLOORS", "3")
        monkeypatch.setenv("TALLYSYNC_HOUSE_NAME", "of the environment")
        found = loaded('floors = 2\nname = "of the file"\nlit = true\n', floors=4, lit=None)
        assert (found.settings.floors, found.settings.name) == (4, "of the environment")
        assert found.settings.lit is True
        assert found.source("floors") == Source("command line")
        assert found.source("name") == Source("variable", "TALLYSYNC_HOUSE_NAME")
        assert found.source("lit") == Source("file", "h.toml")

    def test_what_is_overridden_may_be_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_FLOORS", "3")
        assert settings("floors = -1").floors == 3

    def test_variables_in_any_case(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("tallysync_house_floors", "3")
        assert settings("floors = 2").floors == 3

    def test_the_variable_that_names_the_file_is_no_setting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_CONFIG", "h.toml")
        assert read(House).settings.floors == 1

    def test_lists_and_pairs_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_NAMES", " a, b ")
        monkeypatch.setenv("TALLYSYNC_HOUSE_RENTS", "a=1, b = 2,")
        assert read(House).settings.names == ("a", "b")
        assert read(House).settings.rents == {"a": "1", "b": "2"}
        monkeypatch.setenv("TALLYSYNC_HOUSE_NAMES", "")
        assert read(House).settings.names == ()

    def test_all(self) -> None:
        room = settings("[room.hall]\nguests = 'all'\n[room.attic]\nguests = ['a']").room
        assert (room["hall"].guests, room["attic"].guests) == (None, ("a",))

    def test_a_byte_order_mark_is_no_text(self) -> None:
        assert settings(b"\xef\xbb\xbffloors = 2").floors == 2


class TestPaths:
    def test_in_a_file_they_are_relative_to_its_folder(self) -> None:
        folder = Path("etc")
        folder.mkdir()
        (folder / "h.toml").write_text("cellar = '../var'\nplan = '/plan'\n")
        found = read(House, folder / "h.toml").settings
        assert found.cellar == Path.cwd() / "etc" / ".." / "var"
        assert found.plan == Path("/plan")

    def test_elsewhere_to_the_working_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_CELLAR", "deep")
        found = loaded("cellar = 'high'", plan=Path("plan")).settings
        assert (found.cellar, found.plan) == (Path("deep"), Path("plan"))

    def test_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        monkeypatch.setenv("TALLYSYNC_HOUSE_PLAN", "~/plan")
        found = settings("cellar = '~/cellar'")
        assert (found.cellar, found.plan) == (Path("/home/me/cellar"), Path("/home/me/plan"))

    def test_the_folder_of_the_file(self) -> None:
        assert settings("cellar = '.'").cellar == Path.cwd()

    def test_standard_input_is_in_no_folder(self) -> None:
        assert settings("key_password_file = '-'").key_password_file == Path("-")

    def test_no_path(self) -> None:
        assert problems(
            'cellar = ""\nplan = "a\\u0000b"\nkey_password_file = "~nobody-is-it/a"'
        ) == [
            "h.toml: cellar: it is a path, and not empty",
            "h.toml: plan: it is a path of printable characters",
            "h.toml: key_password_file: it begins with ~ and the name of a user who is not known",
        ]


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("floors = 'abc'", "floors is a whole number from 0 to 20, not 'abc'"),
            ("floors = 21", "floors is a whole number from 0 to 20, not 21"),
            ("floors = -1", "floors is a whole number from 0 to 20, not -1"),
            ("floors = 1.5", "floors is a whole number from 0 to 20, not 1.5"),
            ("floors = true", "floors is a whole number from 0 to 20, not true"),
            ("floors = []", "floors is a whole number from 0 to 20, not an empty list"),
            ("floors = 2020-01-01", "floors is a whole number from 0 to 20, not '2020-01-01'"),
            ("height_m = 0", "height_m is a number above 0, to 90.5, not 0"),
            ("height_m = 91", "height_m is a number above 0, to 90.5, not 91"),
            ("height_m = nan", "height_m is a number above 0, to 90.5, not nan"),
            ("height_m = false", "height_m is a number above 0, to 90.5, not false"),
            ("roof = 'stepp'", 'roof is "flat", "steep" or "none", not \'stepp\''),
            ("roof = false", 'roof is "flat", "steep" or "none", not false'),
            ("lit = 'maybe'", "lit is true or false, not 'maybe'"),
            ("name = 5", "name is text, not 5"),
            ("name = true", "name is text, not true"),
            ("names = 5", "names is a list of names, not 5"),
            ("names = ['a', 5]", "names (entry 2) is text, not 5"),
            ("rents = 'x'", "rents is a table of rents, not 'x'"),
            ("rents = { a = 5 }", "rents.a is text, not 5"),
            ("plan = 5", "plan is a path, not 5"),
            ("gate = 'x'", "gate: a broker is HOST:PORT, like mqtt.example.org:1883, not 'x'"),
            ("street = 'a/#'", "street: a topic prefix is levels"),
            ("room = 5", "room is a table like [room.hall], not 5"),
            ("[room.hall]\nchairs = 10", "room.hall.chairs is a whole number from 1 to 9, not 10"),
            ("[room.hall]\nchairs = true", "room.hall.chairs is a whole number from 1 to 9, not t"),
            (
                "[room.hall]\nguests = []",
                'room.hall.guests is a list of guests, 1 to 2, or "all", not an empty list',
            ),
            (
                "[room.hall]\nguests = ['a', 'b', 'c']",
                'room.hall.guests is a list of guests, 1 to 2, or "all", not a list of 3',
            ),
            ("name = 5" + "0" * 60, "name is text, not 5" + "0" * 39 + "..."),
            ("lit = '" + "x" * 60 + "'", "lit is true or false, not '" + "x" * 40 + "...'"),
        ],
    )
    def test_a_value(self, text: str, said: str) -> None:
        (problem,) = problems(text)
        assert problem.startswith(f"h.toml: {said}")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("flors = 1", "no setting is called 'flors'; did you mean floors?"),
            ("xyz = 1", "no setting is called 'xyz'; 'house config show' lists all"),
            ("_env_file = 'x'", "no setting is called '_env_file'; 'house config show' lists all"),
            ('"a\\u001bb" = 1', r"no setting is called 'a\x1bb'; 'house config show' lists all"),
            ("[rooms.hall]\nchairs = 1", "no setting is called 'rooms'; did you mean [room.hall]?"),
            ("[hall]\nchairs = 1", "no setting is called 'hall'; did you mean [room.hall]?"),
            ("[roof.hall]\na = 1", 'roof is "flat", "steep" or "none", not a table; did you mean '),
            (
                "[gate]\nhost = 'x'",
                "gate is HOST:PORT, not a table; did you mean gate_host, without a table?",
            ),
            (
                "[room.hall]\nchair = 1",
                "no setting of [room.hall] is called 'chair'; did you mean chairs?",
            ),
            (
                "[room.hall]\nxyz = 1",
                "no setting of [room.hall] is called 'xyz'; there are chairs, colour, guests",
            ),
            (
                "[room.hall]\nlit = true",
                (
                    "no setting of [room.hall] is called 'lit'; settings that are for all stand"
                    " above the first table in the file"
                ),
            ),
        ],
    )
    def test_a_key(self, text: str, said: str) -> None:
        (problem,) = problems(text)
        assert problem.startswith(f"h.toml: {said}")

    def test_all_at_once(self) -> None:
        found = problems("flors = 1\nroof = 5\n[room.hall]\nguests = [5, true]\nchairs = 0")
        assert found == [
            "h.toml: no setting is called 'flors'; did you mean floors?",
            'h.toml: roof is "flat", "steep" or "none", not 5',
            "h.toml: room.hall.chairs is a whole number from 1 to 9, not 0",
            "h.toml: room.hall.guests (entry 1) is text, not 5",
            "h.toml: room.hall.guests (entry 2) is text, not true",
        ]

    def test_as_many_as_can_be_read(self) -> None:
        def lines(count: int) -> tuple[str, ...]:
            with pytest.raises(SettingsError) as caught:
                loaded("".join(f"x{n} = 1\n" for n in range(count)))
            assert len(caught.value.problems) == count
            assert str(caught.value) == "\n".join(caught.value.lines)
            return caught.value.lines

        assert len(lines(PROBLEMS_MAX)) == PROBLEMS_MAX
        assert len(lines(PROBLEMS_MAX + 2)) == PROBLEMS_MAX + 1
        assert lines(PROBLEMS_MAX + 2)[-1] == "and 2 more"

    def test_contradictions_are_told_of_where_they_are_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = 'roof{} is "{}", and there is no floor below it'
        assert problems("floors = 0") == [said.format("", "flat")]
        assert problems("floors = 0\nroof = 'steep'") == ["h.toml: " + said.format("", "steep")]
        monkeypatch.setenv("TALLYSYNC_HOUSE_ROOF", "steep")
        assert problems("floors = 0") == [
            'the environment: TALLYSYNC_HOUSE_ROOF is "steep", and there is no floor below it'
        ]
        assert problems("", floors=0, roof="flat") == [
            "the command line: " + said.format("", "flat")
        ]

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_FLOORS", "x")
        monkeypatch.setenv("TALLYSYNC_HOUSE_HEIGTH_M", "1")
        monkeypatch.setenv("TALLYSYNC_HOUSE_CONFG", "1")
        monkeypatch.setenv("tallysync_house_room", "{}")
        monkeypatch.setenv("TALLYSYNC_HOUSE_XYZ", "1")
        with pytest.raises(SettingsError) as caught:
            read(House)
        assert sorted(caught.value.problems) == [
            "the environment: TALLYSYNC_HOUSE_FLOORS is a whole number from 0 to 20, not 'x'",
            (
                "the environment: no setting is called TALLYSYNC_HOUSE_CONFG; did you mean"
                " TALLYSYNC_HOUSE_CONFIG?"
            ),
            (
                "the environment: no setting is called TALLYSYNC_HOUSE_HEIGTH_M; did you mean"
                " TALLYSYNC_HOUSE_HEIGHT_M?"
            ),
            (
                "the environment: no setting is called TALLYSYNC_HOUSE_XYZ; 'house config show'"
                " lists all"
            ),
            "the environment: tallysync_house_room is a table like [room.hall], not '{}'",
        ]

    def test_pairs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_HOUSE_RENTS", "a=1,a=2")
        with pytest.raises(SettingsError, match=r"TALLYSYNC_HOUSE_RENTS: a is there twice$"):
            read(House)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("key_password_file = 12345", "key_password_file is a path"),
            ("key_password_file = ['12345']", "key_password_file is a path"),
            (
                "gate = 'me:12345@gate:1'",
                "gate: it is HOST:PORT alone, like mqtt.example.org:1883,",
            ),
            (
                "gate_host = 'me:12345@gate'",
                "gate_host: it is a host alone, like mqtt.example.org,",
            ),
        ],
    )
    def test_a_secret_is_never_quoted(self, text: str, said: str) -> None:
        (problem,) = problems(text)
        assert problem.startswith(f"h.toml: {said}")
        assert "12345" not in problem
        with pytest.raises(SettingsError) as caught:
            loaded(text)
        assert caught.value.__suppress_context__  # what pydantic says would quote it

    @pytest.mark.parametrize("host", ["", "a b", "a/b", "[::1]", "a:1", "mqtt://a", "a\n"])
    def test_no_host(self, host: str) -> None:
        with pytest.raises(SettingsError, match=r"^the command line: gate_host: it is a host"):
            read(House, overrides={"gate_host": host})

    @pytest.mark.parametrize("host", ["a", "mqtt.example.org", "127.0.0.1", "::1"])
    def test_a_host(self, host: str) -> None:
        assert read(House, overrides={"gate_host": host}).settings.gate_host == host


class TestFilesThatAreNone:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("floors = ", "h.toml: this is not TOML: Invalid value (at end of document)"),
            (
                '\nname = "a\n',
                r"h.toml, line 2, column 10: this is not TOML: Illegal character '\n'",
            ),
            (b"floors = 1\n# \xff", "h.toml, line 2: this is not text in UTF-8"),
            ("a = " + "[" * 5_000, "h.toml: this is nested too deep for a settings file"),
            ("floors = " + "9" * 5_000, "h.toml: a number in it has too many digits"),
        ],
    )
    def test_no_toml(self, text: str | bytes, said: str) -> None:
        assert problems(text) == [said]

    def test_as_large_as_it_may_be(self) -> None:
        text = "floors = 2\n"
        text += "#" * (SETTINGS_FILE_BYTES_MAX - len(text))
        assert settings(text).floors == 2
        assert problems(text + "#") == [
            "h.toml is larger than 262144 bytes, so it is no settings file"
        ]

    def test_no_file(self) -> None:
        Path("h.toml").touch()
        for path, said in {
            Path("none.toml"): "there is no settings file none.toml",
            Path(): "the settings file . cannot be read: Is a directory",
            Path("h.toml/a"): "the settings file h.toml/a cannot be read: Not a directory",
            Path("a\0b"): r"the settings file a\x00b cannot be read: embedded null byte",
        }.items():
            with pytest.raises(SettingsError) as caught:
                read(House, path)
            assert caught.value.problems == (said,)
