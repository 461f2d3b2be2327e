"""Memory does not grow with the size of a file of cards, but for the ids to remember."""

import tracemalloc
from pathlib import Path

from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from sync_protocol import limits

_CARDS_COUNT = 20_000
_CARD = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{0:08}\r\nFN:{0}\r\nNOTE:{1}\r\nEND:VCARD\r\n"
_REGISTRY_BYTES_PER_ITEM_MAX = 250


def test_a_large_file_of_cards_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "cards.vcf"
    with path.open("w", newline="") as file:
        file.writelines(_CARD.format(number, "x" * 500) for number in range(_CARDS_COUNT))
    assert path.stat().st_size > 10 * limits.MIB
    (source,) = source_files([path])
    assert isinstance(source, SourceFile)
    ids = IdRegistry()
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_source(source, ids))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(ids) == _CARDS_COUNT
    assert peak_bytes < 1 * limits.MIB + _CARDS_COUNT * _REGISTRY_BYTES_PER_ITEM_MAX
