import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.importing.found import Found, FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from sync_protocol import limits

_CARD = b"BEGIN:VCARD\nFN:%s\nEND:VCARD\n"
_EVENT = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:e\nEND:VEVENT\nEND:VCALENDAR\n"
_MAIL = b"Message-ID: <m>\n\nhello\n"
_NOBODY = 65534


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _walk(*roots: Path) -> list[tuple[str, str]]:
    """Each file's name and its folder, or why it is left."""
    return [
        (Path(found.where).name, found.reason if isinstance(found, Left) else found.folder)
        for found in source_files(roots)
    ]


def _import(*roots: Path) -> list[Found]:
    ids = IdRegistry()
    found: list[Found] = []
    for source in source_files(roots):
        found += [source] if isinstance(source, Left) else read_source(source, ids)
    return found


def _read(path: Path) -> list[Found]:
    return list(read_source(SourceFile(path, path.name, "", 1), IdRegistry()))


def test_files_come_in_sorted_order_with_their_folders(tmp_path: Path) -> None:
    for name in ("b.vcf", "a.EML", "sub/c.ics", "sub/deep er/d.vcf", "sub-a/e.vcf"):
        _put(tmp_path / name, b"x")
    assert _walk(tmp_path) == [
        ("a.EML", ""),
        ("b.vcf", ""),
        ("c.ics", "sub"),
        ("d.vcf", "sub/deep er"),
        ("e.vcf", "sub-a"),
    ]


def test_roots_are_sorted_too(tmp_path: Path) -> None:
    a, b = _put(tmp_path / "x/a.vcf", b"x"), _put(tmp_path / "b.vcf", b"x")
    expected = [("b.vcf", ""), ("a.vcf", "")]
    assert _walk(b, a) == _walk(a, b) == _walk(a, b, a) == expected


def test_a_source_says_how_large_it_is(tmp_path: Path) -> None:
    path = _put(tmp_path / "a.vcf", b"xyz")
    assert list(source_files([path])) == [SourceFile(path, str(path), "", 3)]


def test_what_is_not_read_is_left(tmp_path: Path) -> None:
    _put(tmp_path / "a.txt", b"x")
    _put(tmp_path / "b.vcf", b"")
    (tmp_path / "c.vcf").symlink_to(tmp_path / "a.txt")
    (tmp_path / "d").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "e.vcf")
    (tmp_path / "f").mkdir()
    _put(tmp_path / ".vcf", b"x")
    assert _walk(tmp_path) == [
        (".vcf", "not one of .eml .ics .vcf"),
        ("a.txt", "not one of .eml .ics .vcf"),
        ("b.vcf", "empty"),
        ("c.vcf", "a symbolic link, which is not followed: name its target to import it"),
        ("d", "a symbolic link, which is not followed: name its target to import it"),
        ("e.vcf", "no regular file"),
    ]


def test_a_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    _put(tmp_path / "real/a.vcf", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert _walk(tmp_path / "link") == [("a.vcf", "")]


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert _walk(tmp_path / "a.vcf") == [("a.vcf", "cannot be read: No such file or directory")]
    ((_, reason),) = _walk(Path("a\0b"))
    assert reason.startswith("cannot be read: ")


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.vcf")
        assert _walk(Path("s.vcf")) == [("s.vcf", "no regular file")]


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Be a user who may not read everything, as root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_left() -> None:
    # Not tmp_path: nobody else may even pass through that.
    with tempfile.TemporaryDirectory(prefix="tallysync-test-") as folder:
        root = Path(folder)
        path = _put(root / "a/b.vcf", b"x")
        root.chmod(0o755)
        path.chmod(0)
        with _as_nobody():
            assert _import(path) == [
                Left(str(path), "cannot be read: Permission denied", Missing.UNREAD)
            ]
        path.parent.chmod(0)
        with _as_nobody():
            assert _walk(root) == [("a", "cannot be read: Permission denied")]
        path.parent.chmod(0o700)


def test_a_file_that_goes_away_is_left(tmp_path: Path) -> None:
    path = _put(tmp_path / "a.vcf", b"x")
    (source,) = source_files([path])
    path.unlink()
    assert isinstance(source, SourceFile)
    assert list(read_source(source, IdRegistry())) == [
        Left(str(path), "cannot be read: No such file or directory", Missing.UNREAD)
    ]


def test_a_folder_that_goes_away_is_left(tmp_path: Path) -> None:
    _put(tmp_path / "a.vcf", b"x")
    _put(tmp_path / "b/c.vcf", b"x")
    found = source_files([tmp_path])
    next(found)
    (tmp_path / "b/c.vcf").unlink()
    (tmp_path / "b").rmdir()
    assert list(found) == [
        Left(str(tmp_path / "b"), "cannot be read: No such file or directory", Missing.UNREAD)
    ]


def test_a_folder_that_no_feed_can_have_is_left(tmp_path: Path) -> None:
    _put(tmp_path / "a\nb/c.vcf", b"x")
    _put(tmp_path / ("x" * 200) / ("y" * 100) / "d.vcf", b"x")
    lefts = list(source_files([tmp_path]))
    assert len(lefts) == 2
    for left, name in zip(lefts, ("a\\nb", "y" * 100), strict=True):
        assert isinstance(left, Left)
        assert Path(left.where).name == name
        assert left.reason.startswith("left with all that is in it: a folder ")
        assert left.reason.endswith("; rename the folder")
        assert left.missing is Missing.UNREAD


def test_names_that_are_no_text_are_shown_safely(tmp_path: Path) -> None:
    for name in (b"\xff.vcf", b"\x1b[2J.vcf", b"f\xff/x.vcf"):
        _put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), b"x")
    wheres = [found.where.removeprefix(f"{tmp_path}/") for found in source_files([tmp_path])]
    assert wheres == ["\\x1b[2J.vcf", "f\\xff", "\\xff.vcf"]


def test_each_suffix_has_its_reader(tmp_path: Path) -> None:
    _put(tmp_path / "a.VCF", _CARD % b"a" + _CARD % b"b")
    _put(tmp_path / "b.ics", _EVENT)
    _put(tmp_path / "Sent/c.Eml", _MAIL)
    items = [item for item in _import(tmp_path) if isinstance(item, FoundItem)]
    assert [(item.kind, item.folder, item.content) for item in items] == [
        ("mail", "Sent", _MAIL),
        ("contact", "", _CARD % b"a"),
        ("contact", "", _CARD % b"b"),
        ("event", "", _EVENT),
    ]


def test_the_first_file_in_order_keeps_an_id(tmp_path: Path) -> None:
    a, b, c = (_put(tmp_path / name, _EVENT) for name in ("a.ics", "b.ics", "c.ics"))
    c.write_bytes(_EVENT + b"\n")
    for _ in range(2):
        item, *left = _import(c, b, a)
        assert isinstance(item, FoundItem)
        assert left == [
            Left(str(b), f"duplicate of {a}"),
            Left(str(c), f"its id is already that of {a}, which has other content"),
        ]


@pytest.mark.parametrize("suffix", [".vcf", ".ics", ".eml"])
def test_text_in_utf16_is_left(tmp_path: Path, suffix: str) -> None:
    path = _put(tmp_path / f"a{suffix}", _CARD.decode().encode("utf-16"))
    assert _read(path) == [Left(path.name, "text in UTF-16: save it as UTF-8", Missing.DAMAGED)]


@pytest.mark.parametrize(
    ("suffix", "mib_max"), [(".eml", limits.CONTENT_BYTES_MAX // limits.MIB), (".ics", 64)]
)
def test_files_that_are_too_large_are_not_even_read(
    tmp_path: Path, suffix: str, mib_max: int
) -> None:
    path = _put(tmp_path / f"a{suffix}", b"")
    reads: list[int] = []
    os.truncate(path, mib_max * limits.MIB + 1)
    source = SourceFile(path, path.name, "", 1)
    assert list(read_source(source, IdRegistry(), progress=reads.append)) == [
        Left(path.name, f"larger than {mib_max} MiB: too large for one file", Missing.DAMAGED)
    ]
    assert not reads


@pytest.mark.parametrize(
    ("suffix", "content"), [(".vcf", _CARD), (".ics", _EVENT), (".eml", _MAIL)]
)
def test_progress_adds_up_to_the_size(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = _put(tmp_path / f"a{suffix}", content * 10_000)
    (source,) = source_files([path])
    assert isinstance(source, SourceFile)
    reads: list[int] = []
    for _ in read_source(source, IdRegistry(), progress=reads.append):
        pass
    assert sum(reads) == source.size_bytes
