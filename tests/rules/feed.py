"""Breaks of F1 to F7: rows, epochs, purges and quarantine."""

from typing import Final

from tests.rules.rule import broken

_FEED: Final = "gateway/feed.py"
_SQLITE: Final = "gateway/feed_sqlite.py"
_STATE_FILE: Final = "gateway/state_file.py"
_SERVICE: Final = "gateway/service.py"
_QUARANTINE: Final = "gateway/quarantine.py"
_RESPONDER: Final = "gateway/responder.py"
_RESPONDING: Final = "gateway/responding.py"
_INVENTORY: Final = "gateway/inventory.py"
_MEMORY: Final = "gateway/feed_memory.py"
_VIEW: Final = "gateway/view.py"

BREAKS: Final = (
    broken(
        "F1",
        "c moves though the content stays",
        (
            _FEED,
            "c=live.c if live is not None and live.digest == digest else seq",
            "c=seq",
        ),
    ),
    broken(
        "F1",
        "c stays though the content changes",
        (
            _FEED,
            "c=live.c if live is not None and live.digest == digest else seq",
            "c=live.c if live is not None else seq",
        ),
    ),
    broken(
        "F1",
        "a delete does not leave its folder",
        (
            _FEED,
            "deleted=True, left=left, at=now",
            "deleted=True, left=old.left, at=now",
        ),
    ),
    broken(
        "F1",
        "an item that moves does not leave its folder",
        (
            _FEED,
            "left = _leave(old, seq=seq, now=now) if folder != old.folder else old.left",
            "left = old.left",
        ),
    ),
    broken(
        "F1",
        "an item that is put again forgets what it left",
        (_FEED, "left=old.left if old is not None else {}", "left={}"),
    ),
    broken(
        "F2",
        "seq grows by two",
        (
            _SQLITE,
            "row = next_row(old, mutation, seq=head + 1, now=now)",
            "row = next_row(old, mutation, seq=head + 2, now=now)",
        ),
    ),
    broken(
        "F2",
        "half of a transaction that fails is kept",
        (_STATE_FILE, 'self._writer.execute("ROLLBACK")', 'self._writer.execute("COMMIT")'),
    ),
    broken(
        "F2",
        "a snapshot changes while it is looked at",
        (
            _STATE_FILE,
            'db = self._reader()\n            db.execute("BEGIN")\n',
            "db = self._reader()\n",
        ),
    ),
    broken(
        "F3",
        "a start opens no epoch",
        (_SERVICE, "        self._write(self._open_epochs)\n", ""),
    ),
    broken(
        "F3",
        "every epoch has the same id",
        (
            _SERVICE,
            "epoch_id=os.urandom(tokens.EPOCH_ID_BYTES))\n\n\ndef",
            "epoch_id=bytes(8))\n\n\ndef",
        ),
    ),
    broken(
        "F3",
        "an epoch begins with the last change of the one before",
        (_SQLITE, "(number, epoch_id, head + 1)", "(number, epoch_id, head)"),
    ),
    broken(
        "F3",
        "an epoch ends where the next one begins",
        (_SQLITE, "(SELECT min(first) - 1 FROM epoch", "(SELECT min(first) FROM epoch"),
    ),
    broken(
        "F3",
        "old epochs are forgotten",
        (
            _SQLITE,
            (
                "        number, head = self._feed(feed)\n"
                "        self._db.execute(\n"
                '            "INSERT INTO epoch'
            ),
            (
                "        number, head = self._feed(feed)\n"
                '        self._db.execute("DELETE FROM epoch WHERE feed = ?", (number,))\n'
                '        self._db.execute(\n            "INSERT INTO epoch'
            ),
        ),
    ),
    broken(
        "F4",
        "P does not tell what a purge removed",
        (_SQLITE, "SET purged = max(purged, ?)", "SET purged = max(purged, 0 * ?)"),
    ),
    broken(
        "F4",
        "P falls with a purge that removes nothing",
        (_SQLITE, "SET purged = max(purged, ?)", "SET purged = ?"),
    ),
    broken(
        "F4",
        "a purge removes delete markers of any age",
        (_FEED, "if row.deleted and row.at < before:", "if row.deleted:"),
    ),
    broken(
        "F4",
        "a purge leaves delete markers",
        (_FEED, "if row.deleted and row.at < before:", "if row.deleted and row.at < 0:"),
    ),
    broken(
        "F4",
        "a purge leaves left folders",
        (_FEED, "in row.left.items() if left.at < before}", "in row.left.items() if left.at < 0}"),
    ),
    broken(
        "F4",
        "P does not tell left folders",
        (_FEED, "return replace(row, left=kept), newest", "return replace(row, left=kept), 0"),
    ),
    broken(
        "F7",
        "what is quarantined is sent",
        (
            _SQLITE,
            'f" AND quarantined IS NULL ORDER BY seq {order}"',
            'f" ORDER BY seq {order}"',
        ),
    ),
    broken(
        "F7",
        "what is quarantined counts as a previous change",
        (
            _SQLITE,
            'AND seq < ? AND quarantined IS NULL"',
            'AND seq < ?"',
        ),
    ),
    broken(
        "F7",
        "an inventory tells of what is quarantined",
        (
            _INVENTORY,
            "healthy = [entry for entry in ours if entry.quarantined is None]",
            "healthy = list(ours)",
        ),
    ),
    broken(
        "F7",
        "bytes of what is quarantined are sent if they are wanted",
        (_RESPONDER, "if row is not None and row.quarantined is not None:", "if row is False:"),
    ),
    broken(
        "F7",
        "a request that an item breaks is refused with another reason",
        (_RESPONDING, 'ProtocolError("poison", ', 'ProtocolError("internal", '),
    ),
    broken(
        "F7",
        "a content that cannot be read is quarantined the first time",
        (_QUARANTINE, "if tries >= TRIES_MAX:", "if tries >= 1:"),
    ),
    broken(
        "F7",
        "a content that cannot be read is never quarantined",
        (_QUARANTINE, "if tries >= TRIES_MAX:", "if tries < 0:"),
    ),
    broken(
        "F7",
        "an item let out of quarantine keeps its seq",
        (
            _FEED,
            "return replace(row, seq=seq, at=now, quarantined=None)",
            "return replace(row, at=now, quarantined=None)",
        ),
    ),
    broken(
        "F7",
        "an item that is put again stays in quarantine",
        (
            _FEED,
            "        left=old.left if old is not None else {},\n",
            (
                "        left=old.left if old is not None else {},\n"
                "        quarantined=live.quarantined if live is not None else None,\n"
            ),
        ),
    ),
    broken(
        "F7",
        "a deleted item stays in quarantine",
        (
            _FEED,
            "deleted=True, left=left, at=now, quarantined=None)",
            "deleted=True, left=left, at=now)",
        ),
    ),
    broken(
        "F7",
        "tries that are not apart count",
        (_QUARANTINE, "if now - at >= TRIES_APART_S:", "if now >= at:"),
    ),
    broken(
        "F7",
        "a content that is damaged is tried again before it is quarantined",
        (_QUARANTINE, "if poison.lasting:", "if poison.seq < 0:"),
    ),
    broken(
        "F7",
        "a content that cannot be read is quarantined as one that is damaged",
        (
            _VIEW,
            "raise PoisonError(row.id, row.seq, why, lasting=False)",
            "raise PoisonError(row.id, row.seq, why)",
        ),
    ),
    broken(
        "F7",
        "to quarantine takes no seq, in SQLite",
        (
            _SQLITE,
            'self._db.execute("UPDATE feed SET head = ? WHERE id = ?", (head + 1, number))',
            'self._db.execute("UPDATE feed SET head = ? WHERE id = ?", (head, number))',
        ),
    ),
    broken(
        "F7",
        "to quarantine takes no seq, in memory",
        (
            _MEMORY,
            "        state.head += 1\n        state.rows[item_id] = replace(",
            "        state.rows[item_id] = replace(",
        ),
    ),
    broken(
        "F7",
        "an answer that a damaged item spoils is refused",
        (_RESPONDING, "if not self._on_poison(feed, poison):", "if self._on_poison(feed, poison):"),
    ),
    broken(
        "F7",
        "healthy items of the id hash of a quarantined one are not told of",
        (_INVENTORY, "            self._lack(healthy, found)\n", ""),
    ),
)
