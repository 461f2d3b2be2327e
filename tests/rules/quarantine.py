"""Breaks of F7: items that are held back."""

from typing import Final

from tests.rules.rule import broken

_ROWS: Final = "gateway/rows.py"
_SNAPSHOT: Final = "gateway/snapshot_sqlite.py"
_FEED: Final = "gateway/feed.py"
_SQLITE: Final = "gateway/feed_sqlite.py"
_MEMORY: Final = "gateway/feed_memory.py"
_VIEWED: Final = "gateway/viewed.py"
_QUARANTINE: Final = "gateway/quarantine.py"
_RESPONDER: Final = "gateway/responder.py"
_RESPONDING: Final = "gateway/responding.py"
_INVENTORY: Final = "gateway/inventory.py"

BREAKS: Final = (
    broken(
        "F7",
        "what is quarantined is sent",
        (
            _SNAPSHOT,
            'f" AND quarantined IS NULL ORDER BY seq {order}",\n                (self',
            'f" ORDER BY seq {order}",\n                (self',
        ),
    ),
    broken(
        "F7",
        "what is quarantined counts as a previous change",
        (
            _VIEWED,
            "            newest = self._newest_below(seq)\n",
            (
                "            newest = self._newest_below(seq)\n"
                "        held = [it.seq for it in self.snapshot.quarantined() if it.seq < seq]\n"
                "        newest = max([newest or 0, *held]) or None\n"
            ),
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
        (_RESPONDER, "if found.row.quarantined is not None:", "if found.seq < 0:"),
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
            _ROWS,
            "return replace(row, seq=seq, at=now, quarantined=None)",
            "return replace(row, at=now, quarantined=None)",
        ),
    ),
    broken(
        "F7",
        "an item that is put again stays in quarantine",
        (
            _ROWS,
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
            _ROWS,
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
            _VIEWED,
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
    broken(
        "F7",
        "what is quarantined is effective in a view of its folder",
        (
            _VIEWED,
            "return row.seq if row.quarantined is None else None",
            "return row.seq",
        ),
        (
            _SNAPSHOT,
            'f" AND NOT deleted AND quarantined IS NULL ORDER BY seq {order}"',
            'f" AND NOT deleted ORDER BY seq {order}"',
        ),
        (_MEMORY, "if row.quarantined is None and is_there:", "if is_there:"),
    ),
    broken(
        "F7",
        "what is quarantined and has left a view is not removed",
        (
            _VIEWED,
            "== seq and not self._has(row):",
            "== seq and not self._has(row) and row.quarantined is None:",
        ),
    ),
    broken(
        "F7",
        "what is quarantined is removed from a view in which it is",
        (
            _VIEWED,
            "return row.seq if row.quarantined is None else None",
            "return row.seq",
        ),
        (
            _VIEWED,
            "        if not self._has(row):\n            return None\n",
            (
                "        if not self._has(row) or row.quarantined is not None:\n"
                "            return None\n"
            ),
        ),
        (
            _SNAPSHOT,
            'f" AND NOT deleted AND quarantined IS NULL ORDER BY seq {order}"',
            'f" AND NOT deleted ORDER BY seq {order}"',
        ),
        (_MEMORY, "if row.quarantined is None and is_there:", "if is_there:"),
    ),
    broken(
        "F7",
        "fingerprints do not count what is quarantined",
        (
            _VIEWED,
            "if not view.wants(entry.kind, entry.folder):",
            "if entry.quarantined is not None or not view.wants(entry.kind, entry.folder):",
        ),
    ),
    broken(
        "F7",
        "of what is quarantined and not in view is told that it is withheld",
        (
            _RESPONDER,
            "            if found is None or found.rendering is None:\n",
            (
                "            row = self._snapshot.row(wanted.id)\n"
                "            if found is None and row and row.quarantined is not None:\n"
                "                self._withheld.append(wanted.id)\n"
                "            if found is None or found.rendering is None:\n"
            ),
        ),
    ),
    broken(
        "F7",
        "moving an item lets it out of quarantine",
        (
            _ROWS,
            "folder=folder, flags=flags, left=left, at=now)",
            "folder=folder, flags=flags, left=left, at=now, quarantined=None)",
        ),
    ),
)
