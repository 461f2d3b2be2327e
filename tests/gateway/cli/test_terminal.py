"""What the commands look like on a terminal: nothing unreadable, at 60 columns and at 200."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.rows import Put
from gateway.run import Running

LONG_ID = "".join(f"<part-{n:02}>" for n in range(12))
_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    gateway: Running, columns: int, *arguments: str, rows: int = 24
) -> tuple[int, list[str]]:
    """Exit status and lines of a command whose output is a terminal of so many columns."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "COLUMNS": str(columns),
            "LINES": str(rows),
            "TERM": "xterm",
            "TALLYSYNC_GATEWAY_DATA_DIR": str(gateway.service.settings.data_dir),
        },
    ) as process:
        os.close(theirs)
        output = bytearray()
        try:
            while piece := os.read(ours, 65_536):
                output += piece
        except OSError:
            pass  # how Linux tells that nobody has the other end any more (pty(7))
        finally:
            os.close(ours)
        code = process.wait(10)
    return code, _STYLES.sub("", output.decode()).replace("\r\n", "\n").split("\n")


@pytest.fixture
def filled(gateway: Running, feed: str) -> str:
    folder = "a folder with a name of some length"
    gateway.service.apply_many(
        feed,
        [
            Put(LONG_ID, b"x" * 5_000, "contact", "text/vcard", folder, ("seen", "vip"), 0),
            Put("short", b"", "contact", "text/vcard"),
        ],
    )
    return feed


@pytest.mark.parametrize("columns", [60, 200])
def test_a_table_of_items(gateway: Running, filled: str, columns: int) -> None:
    code, lines = on_terminal(gateway, columns, "items", filled)
    assert code == 0
    assert max(map(len, lines)) <= columns
    words = lines[0].split()
    assert words == ["id", "kind", "folder", "flags", "date", "size"]
    row, *_ = [line for line in lines if "5 KiB" in line]
    shown = row.split()[0]
    if columns < len(LONG_ID):
        assert shown.endswith("…")  # or somebody would copy a part of it
        assert LONG_ID.startswith(shown[:-1])
    else:
        assert shown == LONG_ID
    assert "contact" in row
    assert "1970-01-01" in row
    assert len(lines) == 4  # one for each item, the heading, and the last line's end


@pytest.mark.parametrize("columns", [60, 200])
def test_devices_and_status(gateway: Running, filled: str, columns: int) -> None:
    name = f"device-with-a-name-that-is-rather-long-for-a-table-{columns}"
    gateway.service.devices.add(name, [filled])
    for arguments in (["status"], ["device", "list"], ["device", "show", name]):
        code, lines = on_terminal(gateway, columns, *arguments)
        assert code == 0
        tables = [line for line in lines if "  " in line.strip() and "/" not in line]
        assert max(map(len, tables)) <= columns
        assert "never" in "\n".join(lines)


def test_an_import_shows_how_far_it_is(gateway: Running, feed: str, tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_bytes(b"BEGIN:VCARD\r\nUID:a\r\nEND:VCARD\r\n" * 2)
    code, lines = on_terminal(gateway, 60, "import", feed, str(tmp_path))
    assert code == 0
    text = "\n".join(lines)
    assert "importing" in text
    assert "duplicate of" in text
    assert "1 file: 1 item new, 0 changed, 0 unchanged; 1 skipped." in text


def test_a_qr_code_is_drawn_where_it_is_on_the_screen_at_once(gateway: Running, feed: str) -> None:
    code, lines = on_terminal(gateway, 80, "device", "add", "drawn", "--feed", feed, rows=12)
    assert code == 0
    text = " ".join(lines)
    said = re.search(r"needs a terminal of \d+ x (\d+) \(columns x lines\)", text)
    assert said
    assert "--qr draws it all the same" in text
    for rows in (int(said[1]), int(said[1]) - 1):
        _, lines = on_terminal(gateway, 80, "device", "rotate", "drawn", rows=rows)
        assert (set(lines[-2]) <= set("█▀▄ ")) is (rows == int(said[1]))
