"""Breaks of G6 and G7: the gateway answers an inventory, and forgets."""

from typing import Final

from tests.rules.rule import broken

_RESPONDER: Final = "gateway/responder.py"
_INVENTORY: Final = "gateway/inventory.py"
_VIEWED: Final = "gateway/viewed.py"

BREAKS: Final = (
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
        (
            _INVENTORY,
            "            found.puts.append(viewed.put_of(change.row, change.rendering, None))\n",
            "",
        ),
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
        (_INVENTORY, "p0=viewed.purge_mark(self._snapshot, self._base)", "p0=None"),
    ),
    broken(
        "G6",
        "items that are not in view are compared, too",
        (
            _INVENTORY,
            "ours = self._feed.entries(*inventory.bounds(presented.prefix))",
            "ours = self._snapshot.entries(*inventory.bounds(presented.prefix))",
        ),
    ),
    broken(
        "G6",
        "items of other folders are compared, too",
        (_VIEWED, "if not view.wants(entry.kind, entry.folder):", "if entry.seq < 0:"),
    ),
    broken(
        "G6",
        "items that are out of the time window are compared, too",
        (_VIEWED, "if view.has_in_window(entry.date, entry.until) and self", "if self"),
    ),
    broken(
        "G6",
        "items that are too large for the view are compared, too",
        (_VIEWED, "entry.until) and self._is_small(entry.size):", "entry.until):"),
    ),
    broken(
        "G6",
        "the etag is of the content as it was put",
        (_VIEWED, "etag = found.row.etag(rendering)", "etag = entry.etag"),
    ),
    broken(
        "G6",
        "c of an item that is missing is that of its content as it was put",
        (_VIEWED, "etag=etag, c=rendering.c, size=", "etag=etag, size="),
    ),
    broken(
        "G6",
        "puts say digest and size of what was put, not of what the view shows",
        (
            _INVENTORY,
            "viewed.put_of(change.row, change.rendering, None)",
            "viewed.put_of(change.row, change.row.native, None)",
        ),
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
