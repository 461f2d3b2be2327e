"""Every ledger keeps one contract; what TinyDB's files add to it."""

import json
import logging
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import Ledger, MemoryLedger, Record
from gateway.ledger_tinydb import LEDGER_FILE_BYTES_MAX, TinyDbLedger
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, ShownAs, View
from sync_protocol.wire import Format
from tests.gateway.killed import DEVICE, GENERATION, kill_while_writing, records, write_ledger

KILLS = 80
RECORD = Record(
    generation=GENERATION,
    base=7,
    view_id=2**32 - 1,
    form=Format.CBOR,
    epoch=b"\0\1\2\3\xfc\xfd\xfe\xff",
    held=TokenSet.of_ranges([(-6, 3), (5, 900)]),
    synced_at=1_700_000_000,
)
OTHER = Record(GENERATION, 0, 0, Format.JSON, bytes(8), TokenSet(), 0)
VIEWED = replace(
    RECORD,
    view=View(
        kinds=("contact", "event"),
        folders=("", "größe"),
        since=-5,
        shown_as=(ShownAs(kind="event", representation="compact"),),
        portion_bytes=0,
        item_bytes_max=0,
    ),
)
EMPTY = replace(RECORD, view=View(kinds=(), folders=()))
HUGE = replace(OTHER, base=INTEGER_MAX, held=TokenSet.span(-INTEGER_MAX, INTEGER_MAX))


class LedgerContract:
    """What every ledger must do."""

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Ledger:
        raise NotImplementedError

    def test_nothing_is_known_of_a_new_device(self, ledger: Ledger) -> None:
        assert ledger.load(DEVICE, GENERATION) == {}

    def test_what_was_saved_is_loaded(self, ledger: Ledger) -> None:
        kept = {"contacts": RECORD, "mail": OTHER, "notes": HUGE, "events": VIEWED, "none": EMPTY}
        ledger.save(DEVICE, GENERATION, kept)
        assert ledger.load(DEVICE, GENERATION) == kept
        assert ledger.load(DEVICE, GENERATION) == kept  # reading changes nothing

    def test_saving_replaces_all(self, ledger: Ledger) -> None:
        ledger.save(DEVICE, GENERATION, {"contacts": RECORD, "mail": OTHER})
        ledger.save(DEVICE, GENERATION, {"mail": RECORD})
        assert ledger.load(DEVICE, GENERATION) == {"mail": RECORD}
        ledger.save(DEVICE, GENERATION, {})
        assert ledger.load(DEVICE, GENERATION) == {}

    def test_what_is_saved_is_no_view_of_what_was_handed_in(self, ledger: Ledger) -> None:
        mine = {"contacts": RECORD}
        ledger.save(DEVICE, GENERATION, mine)
        mine["mail"] = OTHER
        assert ledger.load(DEVICE, GENERATION) == {"contacts": RECORD}

    def test_another_enrolment_of_the_id_gets_nothing(self, ledger: Ledger) -> None:
        ledger.save(DEVICE, b"the old!", {"contacts": RECORD})
        assert ledger.load(DEVICE, GENERATION) == {}
        ledger.save(DEVICE, GENERATION, {"mail": OTHER})
        assert ledger.load(DEVICE, b"the old!") == {}
        assert ledger.load(DEVICE, GENERATION) == {"mail": OTHER}

    def test_devices_are_apart(self, ledger: Ledger) -> None:
        ledger.save("phone", GENERATION, {"contacts": RECORD})
        ledger.save("Phone", GENERATION, {"contacts": OTHER})
        ledger.forget("tablet")
        assert ledger.load("phone", GENERATION) == {"contacts": RECORD}
        assert ledger.load("tablet", GENERATION) == {}

    def test_forgotten(self, ledger: Ledger) -> None:
        ledger.save(DEVICE, GENERATION, {"contacts": RECORD})
        ledger.forget(DEVICE)
        ledger.forget(DEVICE)
        assert ledger.load(DEVICE, GENERATION) == {}


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return MemoryLedger()


class TestTinyDbLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Ledger:
        return TinyDbLedger(tmp_path / "ledger")


# The files


class Damage:
    """A ledger with one device's file, which can be damaged."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.ledger = TinyDbLedger(folder, count=lambda name: self.counts.update([name]))
        self.ledger.save(DEVICE, GENERATION, {"contacts": RECORD})
        self.path = self.ledger.path(DEVICE)

    def document(self, **changed: object) -> bytes:
        """The file with some fields of its one document changed."""
        tables: dict[str, dict[str, dict[str, Any]]] = json.loads(self.path.read_bytes())
        for document in tables["_default"].values():
            document.update(changed)
        return json.dumps(tables).encode()


@pytest.fixture
def damage(tmp_path: Path) -> Damage:
    return Damage(tmp_path / "ledger")


@pytest.mark.parametrize(
    "device", ["phone", "../../etc/passwd", "a/b", "/", "", ".", "x" * 300, "nul\0", "ä+#"]
)
def test_a_file_name_is_derived_never_taken(tmp_path: Path, device: str) -> None:
    ledger = TinyDbLedger(tmp_path / "ledger")
    ledger.save(device, GENERATION, {"contacts": RECORD})
    (file,) = tmp_path.rglob("*.json")
    assert file == ledger.path(device)
    assert file.parent == tmp_path / "ledger"
    assert len(file.name) < 50
    assert ledger.load(device, GENERATION) == {"contacts": RECORD}


def test_only_the_owner_reads_the_files(damage: Damage) -> None:
    assert stat.S_IMODE(damage.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(damage.path.parent.stat().st_mode) == 0o700
    assert [file.name for file in damage.path.parent.iterdir()] == [damage.path.name]


DAMAGED: Mapping[str, Callable[[Damage], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda it: it.path.read_bytes()[:-9],
    "zeros": lambda it: bytes(it.path.stat().st_size),
    "not UTF-8": lambda _: b"\xff\xfe",
    "deep": lambda _: b"[" * 100_000,
    "a list": lambda _: b"[]",
    "a table of numbers": lambda _: b'{"_default": {"1": 5}}',
    "no table": lambda _: b'{"_default": 5}',
    "a field is missing": lambda _: b'{"_default": {"1": {}}}',
    "another form": lambda it: it.document(form="xml"),
    "a strange field": lambda it: it.document(extra=1),
    "tokens that are no hex": lambda it: it.document(tokens="xyz"),
    "tokens that are no set": lambda it: it.document(tokens="ffffffffffffffffffff"),
    "epoch that is no hex": lambda it: it.document(epoch="g"),
    "base that is no number": lambda it: it.document(base="seven"),
    "base that cannot be": lambda it: it.document(base=-1),
    "a view that cannot be": lambda it: it.document(view={"kinds": ["Mail"]}),
    "a view that is no view": lambda it: it.document(view=[1]),
    "view id of 33 bits": lambda it: it.document(view_id=2**32),
    "too large": lambda _: b" " * (LEDGER_FILE_BYTES_MAX + 1),
}


@pytest.mark.parametrize("content_of", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_moved_aside_counted_and_told(
    damage: Damage, content_of: Callable[[Damage], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    content = content_of(damage)
    damage.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert damage.ledger.load(DEVICE, GENERATION) == {}
    assert damage.counts == {"ledger files damaged": 1}
    assert damage.path.with_suffix(".damaged").read_bytes() == content
    (told,) = caplog.records
    assert DEVICE in told.getMessage()
    assert RECORD.held.encode().hex() not in caplog.text
    assert "xyz" not in caplog.text  # what was in it is nobody's business

    damage.ledger.save(DEVICE, GENERATION, {"contacts": OTHER})
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": OTHER}
    assert damage.counts == {"ledger files damaged": 1}


def test_a_file_of_the_largest_size_is_read(damage: Damage) -> None:
    content = damage.path.read_bytes()
    damage.path.write_bytes(content + b" " * (LEDGER_FILE_BYTES_MAX - len(content)))
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": RECORD}


def test_a_file_from_before_there_were_views_is_of_the_whole_feed(damage: Damage) -> None:
    damage.ledger.save(DEVICE, GENERATION, {"contacts": VIEWED})
    tables = json.loads(damage.path.read_bytes())
    for document in tables["_default"].values():
        del document["view"]
    damage.path.write_text(json.dumps(tables))
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": RECORD}
    assert RECORD.view == WHOLE_FEED
    assert not damage.counts


def test_a_view_of_the_whole_feed_takes_no_room(damage: Damage) -> None:
    assert b'view"' not in damage.path.read_bytes()


def test_a_file_that_cannot_be_read_is_as_if_it_were_not_there(damage: Damage) -> None:
    damage.path.unlink()
    damage.path.mkdir()
    assert damage.ledger.load(DEVICE, GENERATION) == {}
    assert damage.counts == {"ledger reads failed": 1}


def test_a_folder_that_somebody_took_away_is_made_again(damage: Damage) -> None:
    shutil.rmtree(damage.path.parent)
    assert damage.ledger.load(DEVICE, GENERATION) == {}
    damage.ledger.save(DEVICE, GENERATION, {"contacts": OTHER})
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": OTHER}
    assert stat.S_IMODE(damage.path.parent.stat().st_mode) == 0o700
    assert not damage.counts


def test_a_file_that_cannot_be_removed_keeps_no_device(damage: Damage) -> None:
    damage.path.unlink()
    damage.path.mkdir()
    damage.ledger.forget(DEVICE)
    assert damage.counts == {"ledger writes failed": 1}


def test_a_half_written_file_of_a_killed_gateway_disturbs_nobody(damage: Damage) -> None:
    damage.path.with_suffix(".tmp").write_bytes(b'{"_default": {"1": {"gener')
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": RECORD}
    newer = replace(RECORD, synced_at=9)
    damage.ledger.save(DEVICE, GENERATION, {"contacts": newer})
    assert damage.ledger.load(DEVICE, GENERATION) == {"contacts": newer}


def test_killed_at_any_moment_it_keeps_the_old_or_the_new(damage: Damage) -> None:
    number = 0
    for kill in range(KILLS):
        durable = kill_while_writing(write_ledger, damage.path.parent, seed=number + 1)
        found = damage.ledger.load(DEVICE, GENERATION)
        number = found["feed-0"].base
        assert durable <= number <= durable + 1, f"kill {kill}"
        assert found == records(number)
    assert not damage.counts
