"""Breaks of I1 to I5: what an inventory compares."""

from typing import Final

from tests.rules.rule import broken

_INVENTORY: Final = "sync_protocol/inventory.py"

BREAKS: Final = (
    broken(
        "I1",
        "the id hash is of the id in lower case",
        (
            _INVENTORY,
            "hashlib.sha256(item_id.encode())",
            "hashlib.sha256(item_id.lower().encode())",
        ),
    ),
    broken(
        "I2",
        "the etag does not tell flags",
        (
            _INVENTORY,
            "fields = [kind, folder, media_type, *moments, *flags]",
            "fields = [kind, folder, media_type, *moments]",
        ),
    ),
    broken(
        "I2",
        "the fields of an etag have no length before them",
        (_INVENTORY, 'sha.update(b"%d:%b" % (len(encoded), encoded))', "sha.update(encoded)"),
    ),
    broken(
        "I2",
        "folder and kind change places in the etag",
        (_INVENTORY, "fields = [kind, folder,", "fields = [folder, kind,"),
    ),
    broken(
        "I2",
        "two items of the same content must be equal in all else",
        (
            _INVENTORY,
            "return one[:_DIGEST_PART_BYTES] == other[:_DIGEST_PART_BYTES]",
            "return one == other",
        ),
    ),
    broken(
        "I2",
        "the etag does not tell until",
        (_INVENTORY, "for moment in (date, until)]", "for moment in (date,)]"),
    ),
    broken(
        "I3",
        "entries stand in any order",
        (_INVENTORY, "sorted(id_hash + etag for", "list(id_hash + etag for"),
    ),
    broken(
        "I3",
        "the etag stands before the id hash",
        (_INVENTORY, "sorted(id_hash + etag for", "sorted(etag + id_hash for"),
    ),
    broken(
        "I4",
        "a fingerprint is of the id hashes alone",
        (
            _INVENTORY,
            "hashlib.sha256(pack(entries))",
            "hashlib.sha256(pack((it, b'') for it, _ in entries))",
        ),
    ),
    broken(
        "I5",
        "a range ends where it begins",
        (
            _INVENTORY,
            'prefix.ljust(PREFIX_DIGITS_MAX, "f")',
            'prefix.ljust(PREFIX_DIGITS_MAX, "0")',
        ),
    ),
    broken(
        "I5",
        "a range has fifteen parts",
        (
            _INVENTORY,
            "return [prefix + digit for digit in DIGITS]",
            "return [prefix + digit for digit in DIGITS[:15]]",
        ),
    ),
)
