"""Breaks of P1 to P4: what is pushed."""

from typing import Final

from tests.rules.rule import broken

_NOTIFIER: Final = "gateway/notifier.py"
_NOTIFYING: Final = "gateway/notifying.py"
_REGISTRY: Final = "gateway/registry.py"
_VIEWED: Final = "gateway/viewed.py"
_LEDGER: Final = "gateway/ledger_tinydb.py"
_SQLITE: Final = "gateway/feed_sqlite.py"
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
            "self._feed.rows(self._cursor + 1, self._head)",
            "self._feed.rows(self._cursor, self._head)",
        ),
    ),
    broken(
        "P1",
        "the newest change is pushed first",
        (
            _NOTIFIER,
            "self._feed.rows(self._cursor + 1, self._head)",
            "self._feed.rows(self._cursor + 1, self._head, newest_first=True)",
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
        "P1",
        "the ledger does not know the view of a replica",
        (_LEDGER, "        view=document.view,\n", ""),
    ),
    broken(
        "P1",
        "a device that is to ask is reminded once, and that may be lost",
        (_NOTIFYING, "for device in self._registry.awaited():", "for device in ():"),
    ),
    broken(
        "P1",
        "a reminder has a lineage that may be the device's",
        (_NOTIFYING, "lineage = int.from_bytes(os.urandom(4))", "lineage = 7"),
    ),
    broken(
        "P2",
        "content comes though it was pushed before",
        (_NOTIFIER, "is_new = change.rendering.c > self._cursor", "is_new = change.seq > 0"),
    ),
    broken(
        "P2",
        "no content comes",
        (_NOTIFIER, "content = self._content(change, content_bytes_max)", "content = None"),
    ),
    broken(
        "P2",
        "c is not told",
        (
            _NOTIFIER,
            "if content is not None and change.rendering.c != change.seq:",
            "if change.rendering.c < 0:",
        ),
    ),
    broken(
        "P2",
        "c is told though no content comes",
        (
            _NOTIFIER,
            "if content is not None and change.rendering.c != change.seq:",
            "if change.rendering.c != change.seq:",
        ),
    ),
    broken(
        "P2",
        "no content comes with what entered the view",
        (
            _NOTIFIER,
            "is_new or self._feed.has_entered(change.row, since=self._cursor)",
            "is_new",
        ),
    ),
    broken(
        "P2",
        "content comes with what moved within the view, or only came back",
        (
            _VIEWED,
            "return bool(moved) and not any(self.view.wants(*place) for place in moved)",
            "return bool(moved)",
        ),
    ),
    broken(
        "P2",
        "content comes with what came back by way of another folder",
        (
            _VIEWED,
            "not any(self.view.wants(*place) for place in moved)",
            "not self.view.wants(*max(moved, key=lambda place: row.left[place].seq))",
        ),
    ),
    broken(
        "P2",
        "content comes with what entered the view before the cursor",
        (_VIEWED, "if left.seq > since]", "if left.seq > 0]"),
    ),
    broken(
        "P3",
        "prev is always n - 1",
        (
            _VIEWED,
            "        if not self.snapshot.purged:\n            return newest\n",
            "        return seq - 1 or None\n",
        ),
    ),
    broken(
        "P3",
        "purges do not count",
        (
            _VIEWED,
            "        if not self.snapshot.purged:\n            return newest\n",
            "        return newest\n",
        ),
    ),
    broken(
        "P3",
        "prev is P though n is not above it",
        (
            _VIEWED,
            "min(max(newest or 0, self.snapshot.purged), seq - 1)",
            "max(newest or 0, self.snapshot.purged)",
        ),
    ),
    broken(
        "P3",
        "asof is n",
        (
            _NOTIFIER,
            "asof=tokens.compress(self._head, target.base)",
            "asof=tokens.compress(change.seq, target.base)",
        ),
    ),
    broken(
        "P3",
        "prev is a change that the view does not see",
        (
            _VIEWED,
            "        if newest is None:\n            newest = self._newest_below(seq)\n",
            (
                "        rows = self.snapshot.rows(1, seq - 1, newest_first=True)\n"
                "        newest = next((row.seq for row in rows), None)\n"
            ),
        ),
    ),
    broken(
        "P3",
        "prev passes over what left the view",
        (
            _VIEWED,
            "            newest = next((seq for seq, _ in left), newest)\n",
            "",
        ),
    ),
    broken(
        "P3",
        "prev is not looked for among changes that are far away",
        (
            _VIEWED,
            "for first in sorted({1, max(1, seq - NEAR_SEQS)}, reverse=True):",
            "for first in [max(1, seq - NEAR_SEQS)]:",
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
    broken(
        "P4",
        "the version of the renderer is 1 however contents come",
        (
            _VIEWED,
            "self._renderer_version = renderer_version(view, representations)",
            "self._renderer_version = NATIVE_RENDERER_VERSION",
        ),
    ),
    broken(
        "P4",
        "the version of the renderer does not tell which kinds are rendered",
        (_VIEWED, 'f"{it.kind}={it.representation}/', 'f"{it.representation}/'),
    ),
    broken(
        "P4",
        "the version of the renderer tells no version",
        (
            _VIEWED,
            "/{representations[it.representation].version}",
            "/1",
        ),
    ),
    broken(
        "P4",
        "what comes as it was put counts among what renders a view that names it",
        (
            _VIEWED,
            "{representations[it.representation].version}",
            "{1 if it.representation == NATIVE else representations[it.representation].version}",
        ),
        (
            _VIEWED,
            "        for it in view.shown_as\n        if it.representation != NATIVE\n    ]",
            "        for it in view.shown_as\n    ]",
        ),
    ),
    broken(
        "P4",
        "tokens go on when the operator lets a device see something else",
        (_SQLITE, "        self.set_generation(device_id, generation)\n", ""),
    ),
)
