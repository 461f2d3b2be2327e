"""``gateway import``: what is taken and left, the same again, and ``--mirror``."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli import importer as importer_module
from gateway.client import GatewayClient
from gateway.importing.found import FoundItem
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from gateway.rows import Put
from gateway.run import Running
from sync_protocol import limits
from tests.gateway.cli.conftest import Command


def card(uid: str, name: str = "A") -> bytes:
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nEND:VCARD\r\n".encode()


def held(gateway: Running, feed: str) -> dict[str, tuple[bytes, str]]:
    """Content and folder of all items."""
    rows = gateway.service.items(feed, after=None, limit=10_000)
    return {row.id: (gateway.service.content(feed, row.id)[1], row.folder) for row in rows}


def found(*paths: Path) -> dict[str, tuple[bytes, str]]:
    """What the readers find."""
    ids = IdRegistry()
    return {
        item.id: (item.content, item.folder)
        for source in source_files(paths)
        if isinstance(source, SourceFile)
        for item in read_source(source, ids)
        if isinstance(item, FoundItem)
    }


def _failing_on(name: str) -> Callable[..., Iterator[object]]:
    """A reader with a bug that files of this name show."""

    def failing(source: SourceFile, ids: IdRegistry, *, progress: object) -> Iterator[object]:
        del progress
        if source.path.name == name:
            raise IndexError("a bug")
        return read_source(source, ids)

    return failing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    (path / "sub").mkdir(parents=True)
    (path / "many.vcf").write_bytes(b"".join(card(f"m{n}") for n in range(5)))
    (path / "one.vcf").write_bytes(card("one"))
    (path / "sub" / "two.vcf").write_bytes(card("two"))
    (path / "broken.vcf").write_bytes(card("whole") + b"BEGIN:VCARD\r\nFN:half")
    (path / "readme.txt").write_text("no card")
    return path


class TestImport:
    def test_what_was_taken_and_left(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        summary = ask("import", feed, folder, "--json").json
        assert (summary["new"], summary["changed"], summary["unchanged"]) == (8, 0, 0)
        assert (summary["files"], summary["left"], summary["deleted"]) == (5, 2, None)
        reports = {Path(report["file"]).name: report for report in summary["reports"]}
        assert set(reports) == {"broken.vcf", "readme.txt"}
        assert (reports["broken.vcf"]["new"], reports["broken.vcf"]["left"]) == (1, 1)
        assert "cut off" in reports["broken.vcf"]["reasons"][0]["reason"]
        assert held(gateway, feed) == found(folder)
        assert held(gateway, feed)["two"] == (card("two"), "sub")

    def test_for_people(self, ask: Command, feed: str, folder: Path) -> None:
        outcome = ask("import", feed, folder)
        assert (outcome.code, outcome.err) == (0, "")
        *_, total = lines = outcome.out.splitlines()
        assert f"took     {folder}/broken.vcf: 1 new" in lines
        assert f"skipped  {folder}/readme.txt: not one of .eml .ics .vcf" in lines
        assert "one.vcf" not in outcome.out
        assert total == "5 files: 8 items new, 0 changed, 0 unchanged; 2 skipped."
        assert f"took     {folder}/one.vcf: 1 unchanged" in ask("import", feed, folder, "-v").out

    def test_the_same_again_changes_nothing(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        ask("import", feed, folder)
        before = gateway.service.items(feed, after=None, limit=100)
        summary = ask("import", feed, folder, "--json").json
        assert (summary["new"], summary["changed"], summary["unchanged"]) == (0, 0, 8)
        assert gateway.service.items(feed, after=None, limit=100) == before

    def test_updates(self, ask: Command, gateway: Running, feed: str, folder: Path) -> None:
        ask("import", feed, folder)
        (folder / "one.vcf").write_bytes(card("one", "B"))
        (folder / "sub" / "two.vcf").rename(folder / "two.vcf")
        summary = ask("import", feed, folder, "--json").json
        assert (summary["new"], summary["changed"], summary["unchanged"]) == (0, 2, 6)
        assert held(gateway, feed) == found(folder)

    def test_flags_set_elsewhere_stay(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        gateway.service.apply(feed, Put("one", b"old", "contact", "text/vcard", flags=("seen",)))
        ask("import", feed, folder)
        assert gateway.service.row(feed, "one").flags == ("seen",)

    def test_batches_are_bounded(
        self, ask: Command, feed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[tuple[int, int]] = []
        real = GatewayClient.bulk

        def watched(self: GatewayClient, name: str, mutations: list[object]) -> object:
            contents = [len(getattr(mutation, "content", b"")) for mutation in mutations]
            sizes.append((len(contents), sum(contents)))
            return real(self, name, mutations)  # type: ignore[arg-type]  # as it was called

        monkeypatch.setattr(GatewayClient, "bulk", watched)
        monkeypatch.setattr(importer_module, "BATCH_BYTES_MAX", 10_000)
        big = [card(f"big{n}", "x" * 4_000) for n in range(7)]
        small = [card(f"small{n}") for n in range(1_200)]
        (tmp_path / "all.vcf").write_bytes(b"".join(big[:3] + small + big[3:]))
        assert ask("import", feed, tmp_path, "--json").json["new"] == 1_207
        assert all(count <= 500 and size <= 10_000 for count, size in sizes)
        assert sum(count for count, _ in sizes) == 1_207

    def test_many_reasons_of_one_file_are_counted(
        self, ask: Command, feed: str, tmp_path: Path
    ) -> None:
        (tmp_path / "copies.vcf").write_bytes(card("a") * 101)
        (report,) = ask("import", feed, tmp_path, "--json").json["reports"]
        assert (report["new"], report["left"], len(report["reasons"])) == (1, 100, 20)
        assert "80 more" in ask("import", feed, tmp_path).out

    def test_a_path_that_is_not_there(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        outcome = ask("import", feed, folder / "none", folder / "one.vcf")
        assert outcome.code == 1
        assert f"there is no {folder / 'none'}" in outcome.err
        assert set(held(gateway, feed)) == {"one"}

    def test_a_file_that_was_named_and_gave_nothing(
        self, ask: Command, feed: str, folder: Path
    ) -> None:
        outcome = ask(
            "import", feed, *[folder / "one.vcf"] * 2, folder / "readme.txt", folder / "sub"
        )
        assert outcome.code == 1
        assert outcome.err == f"error: no item was taken from {folder / 'readme.txt'}\n"
        assert outcome.out.endswith("3 files: 2 items new, 0 changed, 0 unchanged; 1 skipped.\n")

    def test_an_unknown_feed(self, ask: Command, folder: Path) -> None:
        outcome = ask("import", "nofeed", folder)
        assert (outcome.code, outcome.out) == (1, "")
        assert "gateway feed add nofeed" in outcome.err

    def test_a_reader_that_fails_stops_nothing(
        self, ask: Command, feed: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importer_module, "read_source", _failing_on("many.vcf"))
        summary = ask("import", feed, folder, "--json").json
        assert summary["new"] == 3
        reasons = [reason for report in summary["reports"] for reason in report["reasons"]]
        assert any("IndexError" in reason["reason"] for reason in reasons)


class TestMirror:
    def test_deletes_what_is_gone(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        ask("import", feed, folder)
        (folder / "one.vcf").unlink()
        (folder / "many.vcf").write_bytes(card("m0"))
        (folder / "broken.vcf").write_bytes(card("whole"))
        assert ask("import", feed, folder, "--json").json["deleted"] is None
        assert len(held(gateway, feed)) == 8
        summary = ask("import", feed, folder, "--mirror", "--json").json
        assert (summary["unchanged"], summary["deleted"]) == (3, 5)
        assert held(gateway, feed) == found(folder)
        assert ask("import", feed, folder, "--mirror", "--json").json["deleted"] == 0

    def test_not_if_something_was_not_read(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        ask("import", feed, folder)
        outcome = ask(
            "import", feed, folder / "one.vcf", folder / "none", "--mirror", "--confirm-deletes"
        )
        assert outcome.code == 1
        unread = f"not all was read ({folder / 'none'}: cannot be read: No such file or directory)"
        assert f"nothing was deleted: 7 of 8 items would go, but {unread}\n" in outcome.err
        assert "--confirm-deletes" not in outcome.err
        outcome = ask("import", feed, folder, folder / "none", "--mirror")
        assert outcome.code == 1
        assert f"nothing was deleted: {unread}\n" in outcome.err
        assert len(held(gateway, feed)) == 8

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("one.vcf", b"", "empty"),
            ("one.vcf", card("one")[:-13], "BEGIN:VCARD without its END:VCARD: cut off"),
            ("one.vcf", b"one", "no vCard in it"),
            ("one.vcf", card("one").decode().encode("utf-16"), "text in UTF-16"),
            ("many.vcf", card("m0") + b"FN:M1\r\n", "text outside of the cards"),
            ("many.vcf", card("m0") + card("m1", "x" * limits.CONTENT_BYTES_MAX), "larger than 25"),
            ("new.ics", b"none", "no event, task or journal entry in it"),
            ("new.eml", b"none", "no header fields: not a mail"),
        ],
        ids=lambda value: value[:20] if isinstance(value, str) else "",
    )
    def test_not_if_a_file_is_damaged(
        self,
        ask: Command,
        gateway: Running,
        feed: str,
        folder: Path,
        *,
        name: str,
        content: bytes,
        reason: str,
    ) -> None:
        (folder / "broken.vcf").unlink()
        ask("import", feed, folder)
        (folder / "sub" / "two.vcf").unlink()
        (folder / name).write_bytes(content)
        outcome = ask("import", feed, folder, "--mirror")
        assert outcome.code == 1
        assert outcome.err.startswith("error: nothing was deleted: ")
        assert f"{folder / name}" in outcome.err
        assert reason in outcome.err
        assert "--mirror --confirm-deletes" in outcome.err
        assert len(held(gateway, feed)) == 7
        assert ask("import", feed, folder, "--mirror", "--confirm-deletes").code == 0
        assert held(gateway, feed) == found(folder)

    def test_what_is_no_item_holds_nothing_back(
        self, ask: Command, gateway: Running, feed: str, folder: Path
    ) -> None:
        (folder / "broken.vcf").unlink()
        ask("import", feed, folder)
        (folder / "sub" / "two.vcf").unlink()
        (folder / "copy.vcf").write_bytes(card("one"))
        (folder / "other.vcf").write_bytes(card("one", "B"))
        (folder / "link.vcf").symlink_to(folder / "one.vcf")
        (folder / "busy.ics").write_bytes(
            b"BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nEND:VFREEBUSY\nEND:VCALENDAR\n"
        )
        summary = ask("import", feed, folder, "--mirror", "--json").json
        assert (summary["left"], summary["deleted"]) == (5, 1)
        assert held(gateway, feed) == found(folder)

    def test_a_damaged_file_matters_only_if_something_would_go(
        self, ask: Command, feed: str, folder: Path
    ) -> None:
        assert ask("import", feed, folder, "--mirror", "--json").json["deleted"] == 0

    def test_not_if_a_reader_failed(
        self, ask: Command, feed: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "broken.vcf").unlink()
        ask("import", feed, folder)
        monkeypatch.setattr(importer_module, "read_source", _failing_on("many.vcf"))
        outcome = ask("import", feed, folder, "--mirror")
        assert outcome.code == 1
        assert f"5 of 7 items would go, and some may be in {folder / 'many.vcf'}" in outcome.err
        assert (
            ask("import", feed, folder, "--mirror", "--confirm-deletes", "--json").json["deleted"]
            == 5
        )

    def test_an_empty_source_looks_like_a_mistake(
        self, ask: Command, gateway: Running, feed: str, folder: Path, tmp_path: Path
    ) -> None:
        ask("import", feed, folder)
        (tmp_path / "empty").mkdir()
        outcome = ask("import", feed, tmp_path / "empty", "--mirror")
        assert outcome.code == 1
        assert "8 of 8 items would go" in outcome.err
        assert len(held(gateway, feed)) == 8
        assert ask("import", feed, tmp_path / "empty", "--mirror", "--confirm-deletes").code == 0
        assert held(gateway, feed) == {}

    @pytest.mark.parametrize(
        ("held_count", "gone", "options", "deletes"),
        [
            (12, 10, [], True),
            (12, 11, [], False),
            (100, 20, [], True),
            (100, 21, [], False),
            (100, 21, ["--deletes-share-max", "0.21"], True),
            (100, 11, ["--deletes-share-max", "0"], False),
            (100, 99, ["--deletes-share-max", "1"], True),
        ],
    )
    def test_how_much_goes_unasked(
        self,
        ask: Command,
        feed: str,
        tmp_path: Path,
        *,
        held_count: int,
        gone: int,
        options: list[str],
        deletes: bool,
    ) -> None:
        path = tmp_path / "all.vcf"
        cards = [card(f"{n:04}") for n in range(held_count)]
        path.write_bytes(b"".join(cards))
        ask("import", feed, path)
        path.write_bytes(b"".join(cards[gone:]))
        outcome = ask("import", feed, path, "--mirror", *options, "--json")
        assert outcome.code == (0 if deletes else 1)
        summary = json.loads(outcome.out)
        assert summary["deleted"] == (gone if deletes else None)
        assert summary["deletes_held"] == (0 if deletes else gone)

    def test_much_is_held_back_until_it_is_confirmed(
        self, ask: Command, gateway: Running, feed: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "all of it.vcf"
        path.write_bytes(b"".join(card(f"{n:04}") for n in range(1_300)))
        ask("import", feed, path)
        path.write_bytes(card("0001", "changed") + card("new"))
        outcome = ask("import", feed, path, "--mirror")
        assert outcome.code == 1
        assert "1,299 of 1,301 items would go" in outcome.err
        # What is there was put all the same.
        assert held(gateway, feed)["0001"] == (card("0001", "changed"), "")
        assert len(held(gateway, feed)) == 1_301
        told = shlex.split(outcome.err.partition("To delete them: gateway ")[2])
        assert told[-4:-1] == ["--mirror", "--confirm-deletes", "--data"]
        assert ask(*told, "--json").json["deleted"] == 1_299
        assert held(gateway, feed) == found(path)


class TestRealInput:
    def test_twice_and_out_again(
        self, ask: Command, gateway: Running, feed: str, shared_data: Path, tmp_path: Path
    ) -> None:
        first = ask("import", feed, shared_data, "--json").json
        assert held(gateway, feed) == found(shared_data)
        assert first["new"] == len(found(shared_data)) > 200
        assert all(report["reasons"] for report in first["reports"])
        second = ask("import", feed, shared_data, "--json").json
        assert (second["new"], second["changed"], second["unchanged"]) == (0, 0, first["new"])

        out = tmp_path / "out"
        assert ask("export", feed, out, "--json").json["written"] == first["new"]
        exported = Counter(path.read_bytes() for path in out.rglob("*") if path.is_file())
        assert exported == Counter(content for content, _ in held(gateway, feed).values())

        # And in again: the same items in another feed, and no change in this one.
        other = f"{feed}-again"
        gateway.service.add_feed(other)
        again = ask("import", other, out, "--json").json
        assert (again["new"], again["left"]) == (first["new"], 0)
        assert held(gateway, other) == held(gateway, feed)
        assert ask("import", feed, out, "--mirror", "--json").json["unchanged"] == first["new"]


def test_the_summary_is_one_document(ask: Command, feed: str, folder: Path) -> None:
    outcome = ask("import", feed, folder, folder / "none", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["missing"] == [str(folder / "none")]
