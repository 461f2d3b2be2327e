"""Breaks of G1 to G7: the gateway answers."""

from typing import Final

from tests.rules.rule import broken

_RESPONDER: Final = "gateway/responder.py"
_INVENTORY: Final = "gateway/inventory.py"

_NEW_SET_END: Final = "c for n, c in self._fetched if c != n or pending is None or n > pending"

BREAKS: Final = (
    broken(
        "G1",
        "an unknown epoch is trusted",
        (
            _RESPONDER,
            "epoch = snapshot.epoch(collection.epoch)\n",
            "epoch = snapshot.epoch(collection.epoch) or snapshot.newest_epoch()\n",
        ),
        (
            _RESPONDER,
            "if collection.lineage != lineages.of(epoch.id):",
            "if collection.lineage < 0:",
        ),
    ),
    broken(
        "G1",
        "a device that heard more than its epoch had is trusted",
        (
            _RESPONDER,
            "return epoch.end is not None and asof >",
            "return epoch.end is not None and -asof > 2**60 +",
        ),
    ),
    broken(
        "G1",
        "another lineage is trusted",
        (
            _RESPONDER,
            "if collection.lineage != lineages.of(epoch.id):",
            "if collection.lineage < 0:",
        ),
    ),
    broken(
        "G1",
        "a token set that cannot be read counts as empty",
        (_RESPONDER, 'return Void(why="tokens")', "held = TokenSet()"),
    ),
    broken(
        "G1",
        "a set with a hole at or below P is trusted",
        (
            _RESPONDER,
            "unseen and not held.covers(tokens.oldest(base), purged)",
            "unseen and not held.covers(tokens.oldest(base), purged) and purged < -(2**60)",
        ),
    ),
    broken(
        "G1",
        "a hole at P itself is trusted",
        (
            _RESPONDER,
            "held.covers(tokens.oldest(base), purged)",
            "held.covers(tokens.oldest(base), purged - 1)",
        ),
    ),
    broken(
        "G1",
        "a hole at or below P voids though p0 tells that it was filled",
        (_RESPONDER, "(collection.p0 is None or purged > collection.p0)", "purged > -(2**60)"),
    ),
    broken(
        "G3",
        "all changes are sent, held or not",
        (
            _RESPONDER,
            "holes = list(self._held.holes(tokens.oldest(self._base), head))",
            "holes = [(tokens.oldest(self._base), head)]",
        ),
        (
            _RESPONDER,
            "if tokens.compress(row.seq, self._base) not in self._held:",
            "if row.seq > 0:",
        ),
    ),
    broken(
        "G3",
        "changes that are held are sent if they lie near a hole",
        (
            _RESPONDER,
            "if tokens.compress(row.seq, self._base) not in self._held:",
            "if row.seq > 0:",
        ),
    ),
    broken(
        "G3",
        "the oldest change comes first",
        (_RESPONDER, "for first, last in reversed(holes):", "for first, last in holes:"),
        (
            _RESPONDER,
            "if span is not None and span[0] - last < _HOLES_APART_MIN:",
            "if span is not None and first < span[0]:",
        ),
        (
            _RESPONDER,
            "                newest_first=True,\n            ):\n                if",
            "            ):\n                if",
        ),
    ),
    broken(
        "G3",
        "changes are sent beyond the byte limit",
        (
            _RESPONDER,
            "if content_bytes > room or cost > self._bytes_left:",
            "if content_bytes < 0:",
        ),
    ),
    broken(
        "G3",
        "not even one change is sent if it is large",
        (
            _RESPONDER,
            "            if self._added:\n                return False\n            content_bytes",
            (
                "            if self._added or cost:\n"
                "                return False\n"
                "            content_bytes"
            ),
        ),
    ),
    broken(
        "G3",
        "content is sent though c is presented",
        (
            _RESPONDER,
            "not (row.deleted or c in self._held or fetched)",
            "not (row.deleted or fetched)",
        ),
    ),
    broken(
        "G3",
        "content is not sent though c is not presented",
        (_RESPONDER, "not (row.deleted or c in self._held or fetched)", "row.seq < 0"),
    ),
    broken(
        "G3",
        "content that is wanted comes with its change, too",
        (
            _RESPONDER,
            "not (row.deleted or c in self._held or fetched)",
            "not (row.deleted or c in self._held)",
        ),
    ),
    broken(
        "G3",
        "the new set claims what is pending",
        (
            _RESPONDER,
            "if pending is None else pending + 1",
            "if pending is None else tokens.oldest(self._base)",
        ),
    ),
    broken(
        "G3",
        "the new set claims the newest change that is pending",
        (_RESPONDER, "if pending is None else pending + 1", "if pending is None else pending"),
    ),
    broken(
        "G3",
        "the new set lacks what was presented",
        (
            _RESPONDER,
            "new = self._held | TokenSet.span(first, head)",
            "new = TokenSet.span(first, head)",
        ),
    ),
    broken(
        "G3",
        "the new set claims nothing more than what was presented",
        (
            _RESPONDER,
            "new = self._held | TokenSet.span(first, head)",
            "new = self._held if pending is not None else TokenSet.span(first, head)",
        ),
    ),
    broken(
        "G3",
        "the new set lacks the c of what was sent",
        (
            _RESPONDER,
            "        new |= TokenSet.of(added.c for added in self._added if added.c is not None)\n",
            "",
        ),
    ),
    broken(
        "G3",
        "the new set lacks the c of what is wanted",
        (_RESPONDER, _NEW_SET_END, "c for n, c in self._fetched if n < c"),
    ),
    broken(
        "G3",
        "the new set claims the n of a pending change whose content is wanted",
        (_RESPONDER, _NEW_SET_END, "c for n, c in self._fetched"),
    ),
    broken(
        "G4",
        "bytes of another content are sent",
        (
            _RESPONDER,
            "if row is None or row.deleted or row.wire_digest != wanted.digest:",
            "if row is None or row.deleted:",
        ),
    ),
    broken(
        "G4",
        "bytes are sent from the first one on",
        (
            _RESPONDER,
            "content = view.content(self._snapshot, row, offset=wanted.offset, bytes_max=room)",
            "content = view.content(self._snapshot, row, offset=0, bytes_max=room)",
        ),
    ),
    broken(
        "G4",
        "bytes are sent beyond the byte limit",
        (
            _RESPONDER,
            "offset=wanted.offset, bytes_max=room)",
            "offset=wanted.offset, bytes_max=row.size)",
        ),
    ),
    broken(
        "G4",
        "a wanted content of a quarantined item is passed over without a word",
        (_RESPONDER, "                    self._withheld.append(row.id)\n", ""),
    ),
    broken(
        "G4",
        "what is withheld takes no room of the answer",
        (_RESPONDER, "                    self._bytes_left -= cost\n", ""),
    ),
    broken(
        "G4",
        "what is withheld is named though there is no room for it",
        (_RESPONDER, "if cost <= self._bytes_left:", "if cost:"),
    ),
    broken(
        "G5",
        "p0 becomes P though changes are pending",
        (_RESPONDER, "if pending is None:  # its holes", "if pending or True:  # its holes"),
    ),
    broken(
        "G5",
        "p0 stays though nothing is pending",
        (_RESPONDER, "if pending is None:  # its holes", "if pending and False:  # its holes"),
    ),
    broken("G5", "more is never said", (_RESPONDER, "more=pending is not None", "more=False")),
    broken(
        "G5",
        "an answer stays in the epoch that was presented",
        (
            _RESPONDER,
            "epoch = self._snapshot.newest_epoch().id\n        new",
            "epoch = self._collection.epoch\n        new",
        ),
    ),
    broken(
        "G5",
        "head is that of the changes sent",
        (
            _RESPONDER,
            "head=tokens.compress(self._snapshot.head, self._base)",
            "head=max((it.change.n for it in self._added), default=0)",
        ),
    ),
    broken(
        "G6",
        "an item that is not listed is passed over",
        (
            _INVENTORY,
            "        self._lack(ours, found)",
            "        self._lack(ours if theirs else (), found)",
        ),
    ),
    broken(
        "G6",
        "missing does not tell c",
        (_INVENTORY, "for seq in {entry.seq, entry.c}]", "for seq in {entry.seq}]"),
    ),
    broken(
        "G6",
        "an item that differs in flags alone is missing",
        (
            _INVENTORY,
            "if len(ours) == len(theirs) == 1 and inventory.is_same_content(",
            "if len(ours) == -1 and inventory.is_same_content(",
        ),
    ),
    broken(
        "G6",
        "an item that differs in flags alone is passed over",
        (_INVENTORY, "            found.puts.append(view.put_of(row, None))\n", ""),
    ),
    broken(
        "G6",
        "an item that the feed has no more is passed over",
        (_INVENTORY, "        found.drops += listed\n", ""),
    ),
    broken(
        "G6",
        "a range for which there is no room is not split",
        (
            _INVENTORY,
            "if len(prefix) < inventory.PREFIX_DIGITS_MAX:",
            "if len(prefix) < 0:",
        ),
    ),
    broken(
        "G6",
        "ranges are answered beyond the byte limit",
        (
            _INVENTORY,
            "return not self._fits(_joined(found[:count]))",
            "return count < 0",
        ),
    ),
    broken(
        "G6",
        "a fingerprint that does not fit counts as equal",
        (_INVENTORY, "split=[] if fits else [presented.prefix]", "split=[]"),
    ),
    broken(
        "G6",
        "a fingerprint that fits is split",
        (_INVENTORY, "split=[] if fits else [presented.prefix]", "split=[presented.prefix]"),
    ),
    broken(
        "G6",
        "parts that fit are split",
        (_INVENTORY, "if inventory.fingerprint(held) != fingerprint", "if held"),
    ),
    broken(
        "G6",
        "of items of one id hash, what is listed beyond them is not dropped",
        (_INVENTORY, "if len(theirs) > len(ours):", "if not ours:"),
    ),
    broken(
        "G6",
        "items of one id hash are equal if one of them is",
        (
            _INVENTORY,
            "if sorted(entry.etag for entry in ours) == sorted(theirs):",
            "if {entry.etag for entry in ours} & set(theirs):",
        ),
    ),
    broken(
        "G6",
        "the base of a new replica is 0",
        (
            _RESPONDER,
            "base = snapshot.head if request.base is None else request.base",
            "base = 0 if request.base is None else request.base",
        ),
    ),
    broken(
        "G6",
        "an inventory does not tell P",
        (_INVENTORY, "p0=view.purge_mark(self._snapshot, self._base)", "p0=None"),
    ),
    broken(
        "G7",
        "what was presented once is held for ever",
        (
            _RESPONDER,
            "        held = TokenSet.decode(collection.tokens)\n",
            (
                "        held = TokenSet.decode(collection.tokens)\n"
                "        held |= _HELD.get(collection.lineage, TokenSet())\n"
                "        _HELD[collection.lineage] = held\n"
            ),
        ),
        (
            _RESPONDER,
            "_REMAINDER_BYTES_MIN: Final = 1024\n",
            "_REMAINDER_BYTES_MIN: Final = 1024\n_HELD: dict[int, TokenSet] = {}\n",
        ),
    ),
)
