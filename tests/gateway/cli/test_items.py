"""``gateway put``, ``delete``, ``items`` and ``export``."""

import io
import stat
import sys
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api_models import NO_END, Attributes
from gateway.cli.common import day_text
from gateway.cli.export import file_path
from gateway.rows import Put
from gateway.run import Running
from sync_protocol import limits
from tests.gateway.cli.conftest import Command

ODD_IDS = ["a/b", "..", "../../x", "a?b#c", "100%", "a+b c", "ü€😀", "[bold]x[/bold]", "x" * 255]
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card/1\r\nFN:A\r\nEND:VCARD\r\n"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.vcf"
    path.write_bytes(CARD)
    return path


class TestPut:
    def test_id_kind_and_media_type_come_from_the_file(
        self, ask: Command, gateway: Running, feed: str, card: Path
    ) -> None:
        assert ask("put", feed, card).out == "card/1: created\n"
        assert ask("put", feed, card).out == "card/1: unchanged\n"
        row, content = gateway.service.content(feed, "card/1")
        assert (content, row.kind, row.media_type) == (CARD, "contact", "text/vcard")

    def test_a_task_is_known_as_one(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "task.ics"
        path.write_bytes(
            b"BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nUID:t\r\nDUE:20300101T000000Z\r\nEND:VTODO\r\n"
            b"END:VCALENDAR\r\n"
        )
        assert ask("put", feed, path).code == 0
        assert gateway.service.row(feed, "t").kind == "task"

    def test_all_options(self, ask: Command, gateway: Running, feed: str, tmp_path: Path) -> None:
        path = tmp_path / "note"
        path.write_bytes(b"\0\xff")
        options = ["--id", "-n", "--kind", "note", "--media-type", "text/plain"]
        options += ["--folder", "a/b", "--flag", "x", "--flag", "y", "--json"]
        assert ask("put", feed, path, *options).json == {"id": "-n", "status": "created", "seq": 1}
        row, content = gateway.service.content(feed, "-n")
        assert (content, row.folder, row.flags) == (b"\0\xff", "a/b", ("x", "y"))
        assert ask("delete", feed, "--", "-n").code == 0

    def test_from_standard_input(
        self, ask: Command, gateway: Running, feed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CARD)))
        assert ask("put", feed, "-", "--id", "a", "--media-type", "text/vcard").code == 0
        assert gateway.service.content(feed, "a")[1] == CARD

    @pytest.mark.parametrize(
        ("name", "content", "options", "message"),
        [
            ("none.vcf", None, [], "cannot be read: No such file"),
            ("a.txt", b"x", [], "--id ID"),
            ("a.txt", b"x", ["--id", "a"], "--kind KIND"),
            ("a.unknown", b"x", ["--id", "a"], "--media-type TYPE"),
            ("a.vcf", b"no card", [], "--id ID"),
            ("a.vcf", CARD + CARD.replace(b"/1", b"/2"), [], "holds 2 items"),
            ("a.txt", b"x", ["--id", "a\0", "--kind", "note"], "an item id has no control"),
            ("a.txt", b"x", ["--id", "x" * 256, "--kind", "note"], "1 to 255 bytes"),
            ("a.txt", b"x", ["--id", "", "--kind", "note"], "1 to 255 bytes"),
            ("a.txt", b"x", ["--id", "a", "--kind", "A"], "a kind is"),
            ("a.txt", b"x", ["--id", "a", "--kind", "note", "--flag", "a b"], "a flag is"),
            ("a.txt", b"x", ["--id", "a", "--kind", "note", "--folder", "\n"], "a folder has no"),
            ("a.txt", b"x", ["--id", "a", "--kind", "a", "--media-type", "a"], "a media type"),
            ("a.vcf", b"x" * (limits.CONTENT_BYTES_MAX + 1), ["--id", "a"], "larger than 25 MiB"),
        ],
        ids=lambda value: str(value)[:40] if isinstance(value, str | list) else "",
    )
    def test_what_cannot_be_put(
        self,
        ask: Command,
        feed: str,
        tmp_path: Path,
        *,
        name: str,
        content: bytes | None,
        options: list[str],
        message: str,
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        outcome = ask("put", feed, tmp_path / name, *options)
        assert (outcome.code, outcome.out) == (1, "")
        assert message in outcome.err

    def test_unknown_feed(self, ask: Command, card: Path) -> None:
        outcome = ask("put", "nofeed", card)
        assert outcome.code == 1
        assert "gateway feed add nofeed" in outcome.err


class TestUntil:
    def ics(self, uid: str, *lines: str) -> bytes:
        event = ["BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT"]
        return "".join(
            f"{line}\r\n" for line in ["BEGIN:VCALENDAR", "VERSION:2.0", *event, "END:VCALENDAR"]
        ).encode()

    def test_a_recurring_event_from_its_file_to_the_list(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        start = "DTSTART:20260105T100000Z"
        files = {
            "counted": self.ics("counted", start, "RRULE:FREQ=WEEKLY;COUNT=3"),
            "endless": self.ics("endless", start, "RRULE:FREQ=DAILY"),
            "ends": self.ics("ends", start, "RRULE:FREQ=DAILY;UNTIL=20260201T100000Z"),
            "single": self.ics("single", start),
        }
        for name, content in files.items():
            (tmp_path / f"{name}.ics").write_bytes(content)
        assert ask("put", feed, tmp_path / "counted.ics").code == 0
        assert ask("import", feed, tmp_path).code == 0  # the others, in bulk
        found = {it["id"]: it for it in ask("items", feed, "--json").json}
        assert set(found) == set(files)
        date = 1_767_607_200  # 2026-01-05 10:00 UTC
        assert {it["date"] for it in found.values()} == {date}
        assert found["counted"]["until"] == date + 14 * 86_400
        assert found["endless"]["until"] == NO_END
        assert found["ends"]["until"] == date + 27 * 86_400
        assert found["single"]["until"] is None
        listed = {line.split()[0]: line for line in ask("items", feed).out.splitlines()}
        assert listed["id"].split() == ["id", "kind", "date", "until", "size"]
        assert f"  {day_text(date + 14 * 86_400)}  " in listed["counted"]
        assert "  no end  " in listed["endless"]
        assert gateway.service.row(feed, "counted").until == found["counted"]["until"]

    def test_no_column_where_there_is_none(self, ask: Command, feed: str, tmp_path: Path) -> None:
        path = tmp_path / "a.ics"
        path.write_bytes(self.ics("a", "DTSTART:20260105T100000Z"))
        ask("put", feed, path)
        assert ask("items", feed).out.splitlines()[0].split() == ["id", "kind", "date", "size"]


class TestDelete:
    def test_odd_ids(self, ask: Command, gateway: Running, feed: str) -> None:
        for item_id in ODD_IDS:
            gateway.service.apply(feed, Put(item_id, b"", "note", "text/plain"))
            assert ask("delete", feed, item_id).out == f"{item_id}: deleted\n"
            gone = ask("delete", feed, item_id)
            assert (gone.code, gone.out) == (1, "")
            assert "there is no item" in gone.err

    @pytest.mark.parametrize("item_id", ["", "a\0", "\udcff", "x" * 300])
    def test_bad_ids(self, ask: Command, feed: str, item_id: str) -> None:
        outcome = ask("delete", feed, item_id)
        assert (outcome.code, outcome.out) == (1, "")
        assert "an item id" in outcome.err


class TestItems:
    @pytest.fixture
    def filled(self, gateway: Running, feed: str) -> str:
        odd = [
            Put(item_id, b"x" * 3000, "note", "text/plain", "in/box", ("seen",), 0)
            for item_id in ODD_IDS
        ]
        many = [Put(f"{n:04}", b"", "note", "text/plain") for n in range(1_200)]
        gateway.service.apply_many(feed, odd + many)
        return feed

    def test_all_as_json(self, ask: Command, filled: str) -> None:
        found = ask("items", filled, "--json").json
        assert [item["id"] for item in found] == sorted(
            [*ODD_IDS, *(f"{n:04}" for n in range(1_200))]
        )
        odd = next(item for item in found if item["id"] == "a/b")
        assert (odd["size"], odd["flags"], odd["folder"]) == (3000, ["seen"], "in/box")

    def test_a_page(self, ask: Command, filled: str) -> None:
        page = ask("items", filled, "--after", "0997", "--limit", "2", "--json").json
        assert [item["id"] for item in page] == ["0998", "0999"]
        table = ask("items", filled)
        assert len(table.out.splitlines()) == 101
        assert "--limit 0 all" in table.err
        assert len(ask("items", filled, "--limit", "0").out.splitlines()) == 1_200 + 10

    def test_nothing_is_cut_off_in_a_pipe(self, ask: Command, filled: str) -> None:
        out = ask("items", filled, "--limit", "0").out
        assert all(f"\n{item_id} " in out for item_id in ODD_IDS)

    def test_none(self, ask: Command, feed: str) -> None:
        assert "holds no items yet" in ask("items", feed).out
        assert ask("items", feed, "--json").json == []
        assert ask("items", "nofeed").code == 1


class TestExport:
    def test_byte_for_byte_and_only_once(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        contents = {item_id: item_id.encode() + bytes(range(256)) for item_id in ODD_IDS}
        gateway.service.apply_many(
            feed,
            [Put(i, c, "note", "text/plain", folder="../a/b") for i, c in contents.items()],
        )
        out = tmp_path / "out"
        first = ask("export", feed, out, "--json").json
        assert first == {"written": len(ODD_IDS), "unchanged": 0, "left": []}
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert all(path.is_relative_to(out) for path in files)
        assert sorted(path.read_bytes() for path in files) == sorted(contents.values())
        assert ask("export", feed, out, "--json").json["unchanged"] == len(ODD_IDS)

    def test_other_files_are_left_alone(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        gateway.service.apply(feed, Put("a", b"old", "note", "text/plain"))
        ask("export", feed, tmp_path)
        (path,) = tmp_path.iterdir()
        path.write_bytes(b"own")
        held = ask("export", feed, tmp_path)
        assert held.code == 1
        assert str(path) in held.out
        assert path.read_bytes() == b"own"
        assert ask("export", feed, tmp_path, "--overwrite").code == 0
        assert path.read_bytes() == b"old"
        # What a link points to belongs to somebody else.
        other = tmp_path / "other"
        other.write_bytes(b"other")
        path.unlink()
        path.symlink_to(other)
        assert ask("export", feed, tmp_path).code == 1
        assert ask("export", feed, tmp_path, "--overwrite").code == 0
        assert (path.is_symlink(), other.read_bytes()) == (False, b"other")

    def test_where_nothing_can_be_written(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        gateway.service.apply(feed, Put("a", b"", "note", "text/plain"))
        (tmp_path / "file").write_text("")
        outcome = ask("export", feed, tmp_path / "file" / "below")
        assert (outcome.code, outcome.out) == (1, "")
        assert "cannot be written" in outcome.err

    def test_files_are_private(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        gateway.service.apply(feed, Put("a", b"", "mail", "message/rfc822"))
        ask("export", feed, tmp_path)
        (path,) = tmp_path.iterdir()
        assert path.suffix == ".eml"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@given(
    item_id=st.text(min_size=1, max_size=255), folder=st.text(max_size=255), media_type=st.text()
)
def test_file_names_stay_in_their_folder(item_id: str, folder: str, media_type: str) -> None:
    item = Attributes(
        id=item_id.encode(errors="replace").decode(),
        folder=folder.encode(errors="replace").decode(),
        media_type=media_type.encode(errors="replace").decode(),
        kind="note",
        flags=(),
        date=None,
        size=0,
        digest="",
        seq=1,
    )
    path = file_path(item)
    assert not path.is_absolute()
    for part in PurePath(path).parts:
        assert 0 < len(part.encode()) <= 255
        assert not part.startswith((".", "-", "~"))
        assert part.isprintable()
        assert not set(part) & set('/\\\0:*?"<>|')
