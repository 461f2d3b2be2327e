"""Breaks of P1 to P4: what is pushed."""

from typing import Final

from tests.rules.rule import broken

_NOTIFIER: Final = "gateway/notifier.py"
_NOTIFYING: Final = "gateway/notifying.py"
_REGISTRY: Final = "gateway/registry.py"
_VIEW: Final = "gateway/view.py"
_TOKENS: Final = "sync_protocol/tokens.py"

_PACKED: Final = 'struct.pack(">8sqII8s", epoch, base, view_id, renderer_version, generation)'

BREAKS: Final = (
    broken(
        "P1",
        "a start sets the cursor to 0",
        (_NOTIFYING, "self._cursors[feed] = self._head(feed)", "self._cursors[feed] = 0"),
    ),
    broken(
        "P1",
        "the cursor is not moved",
        (_NOTIFYING, "self._cursors[feed] = snapshot.head", "self._cursors[feed] = cursor"),
    ),
    broken(
        "P1",
        "the change at the cursor is pushed again",
        (
            _NOTIFIER,
            "snapshot.rows(cursor + 1, snapshot.head):",
            "snapshot.rows(cursor, snapshot.head):",
        ),
    ),
    broken(
        "P1",
        "the newest change is pushed first",
        (
            _NOTIFIER,
            "snapshot.rows(cursor + 1, snapshot.head):",
            "snapshot.rows(cursor + 1, snapshot.head, newest_first=True):",
        ),
    ),
    broken(
        "P1",
        "replicas that are offline are pushed to",
        (
            _REGISTRY,
            "                for device in self._online\n",
            "                for device in self._records\n",
        ),
    ),
    broken(
        "P2",
        "content comes though it was pushed before",
        (
            _NOTIFIER,
            "with_content = not row.deleted and row.c > cursor",
            "with_content = not row.deleted",
        ),
    ),
    broken(
        "P2",
        "no content comes",
        (
            _NOTIFIER,
            "with_content = not row.deleted and row.c > cursor",
            "with_content = False",
        ),
    ),
    broken(
        "P2",
        "c is not told",
        (_NOTIFIER, "if content is not None and row.c != row.seq", "if row.c < 0"),
    ),
    broken(
        "P2",
        "c is told though no content comes",
        (_NOTIFIER, "if content is not None and row.c != row.seq", "if row.c != row.seq"),
    ),
    broken(
        "P3",
        "prev is always n - 1",
        (
            _VIEW,
            "    if not snapshot.purged:\n        return newest\n",
            "    return seq - 1 or None\n",
        ),
    ),
    broken(
        "P3",
        "purges do not count",
        (_VIEW, "if not snapshot.purged:", "if snapshot.purged >= 0:"),
    ),
    broken(
        "P3",
        "prev is P though n is not above it",
        (
            _VIEW,
            "min(max(newest or 0, snapshot.purged), seq - 1)",
            "max(newest or 0, snapshot.purged)",
        ),
    ),
    broken(
        "P3",
        "asof is n",
        (
            _NOTIFIER,
            "asof=tokens.compress(snapshot.head, target.base)",
            "asof=tokens.compress(row.seq, target.base)",
        ),
    ),
    broken(
        "P4",
        "the lineage does not tell the epoch",
        (_TOKENS, _PACKED, _PACKED.replace("epoch,", "bytes(8),")),
    ),
    broken(
        "P4",
        "the lineage does not tell the base",
        (_TOKENS, _PACKED, _PACKED.replace("base,", "0,")),
    ),
    broken(
        "P4",
        "the lineage does not tell the view",
        (_TOKENS, _PACKED, _PACKED.replace("view_id,", "0,")),
    ),
    broken(
        "P4",
        "the lineage does not tell the renderer",
        (_TOKENS, _PACKED, _PACKED.replace("renderer_version,", "0,")),
    ),
    broken(
        "P4",
        "the lineage does not tell the generation",
        (_TOKENS, _PACKED, _PACKED.replace("generation)", "bytes(8))")),
    ),
    broken(
        "P4",
        "the bytes of the lineage are read from the last one",
        (_TOKENS, '.digest()[:4], "big")', '.digest()[:4], "little")'),
    ),
)
