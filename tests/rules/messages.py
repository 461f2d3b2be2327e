"""Breaks of M1 to M12: what each message must say."""

from typing import Final

from tests.rules.rule import broken

_MESSAGES: Final = "sync_protocol/messages.py"
_VIEWS: Final = "sync_protocol/views.py"

_SINCE: Final = "    since: Annotated[Integer | None, Key(11)] = None\n"

BREAKS: Final = (
    broken(
        "M1",
        "content may be longer than size",
        (
            _MESSAGES,
            "if self.content is not None and len(self.content) > self.size:",
            "if self.size < 0:",
        ),
    ),
    broken("M1", "size has another key", (_MESSAGES, "Natural, Key(7)", "Natural, Key(17)")),
    broken(
        "M1",
        "until has another key",
        (
            _MESSAGES,
            "until: Annotated[Integer | None, Key(10)]",
            "until: Annotated[Integer | None, Key(11)]",
        ),
    ),
    broken(
        "M2",
        "a change may be both a put and a remove, or neither",
        (_MESSAGES, "if (self.put is None) == (self.remove is None):", "if False:"),
    ),
    broken(
        "M3",
        "prev may be n",
        (_MESSAGES, "self.prev >= self.n", "self.prev > self.n"),
    ),
    broken("M3", "asof may be below n", (_MESSAGES, "if self.asof < self.n:", "if False:")),
    broken(
        "M3",
        "c may be newer than n",
        (_MESSAGES, "if self.c is not None and self.c > self.n:", "if False:"),
    ),
    broken(
        "M4",
        "asof and p0 have each other's key",
        (_MESSAGES, "    asof: Annotated[Integer, Key(3)]", "    asof: Annotated[Integer, Key(4)]"),
        (
            _MESSAGES,
            "    p0: Annotated[Integer | None, Key(4)] = None\n",
            "    p0: Annotated[Integer | None, Key(3)] = None\n",
        ),
    ),
    broken(
        "M5",
        "the default of offset is 1",
        (
            _MESSAGES,
            (
                "    digest: Annotated[Digest, Key(2)]\n"
                "    offset: Annotated[Natural, Key(3)] = 0\n\n\nclass Range"
            ),
            (
                "    digest: Annotated[Digest, Key(2)]\n"
                "    offset: Annotated[Natural, Key(3)] = 1\n\n\nclass Range"
            ),
        ),
    ),
    broken(
        "M6",
        "a request may have both a collection and an inventory, or neither",
        (_MESSAGES, "if (self.collection is None) == (not self.inventory):", "if False:"),
    ),
    broken(
        "M6",
        "a collection needs no base",
        (_MESSAGES, "if self.collection is not None and self.base is None:", "if False:"),
    ),
    broken(
        "M6",
        "ranges of an inventory may share items",
        (
            _MESSAGES,
            "if any(after.startswith(before) for before, after in pairwise(prefixes)):",
            "if any(() for _ in pairwise(prefixes)):",
        ),
    ),
    broken(
        "M6",
        "a content may be wanted twice",
        (
            _MESSAGES,
            "if len({wanted.id for wanted in self.wanted}) < len(self.wanted):",
            "if False:",
        ),
    ),
    broken("M6", "the view has another key", (_MESSAGES, "View, Key(9)", "View, Key(8)")),
    broken(
        "M7",
        "content has another key",
        (
            _MESSAGES,
            "content: Annotated[Portion, Key(4)]",
            "content: Annotated[Portion, Key(5)]",
        ),
    ),
    broken("M8", "more has another key", (_MESSAGES, "bool, Key(9)", "bool, Key(10)")),
    broken(
        "M8",
        "since has another key",
        (
            _MESSAGES,
            _SINCE + "\n\nclass Compared",
            _SINCE.replace("11", "12") + "\n\nclass Compared",
        ),
    ),
    broken(
        "M9",
        "an answer may be several things, or nothing",
        (_MESSAGES, "if kinds.count(None) != len(kinds) - 1:", "if False:"),
    ),
    broken(
        "M9",
        "void may have any reason",
        (
            _MESSAGES,
            'Literal["epoch", "restored", "purged", "lineage", "tokens"]',
            "str",
        ),
    ),
    broken(
        "M10",
        "a range may have both fingerprints and entries, or neither",
        (_MESSAGES, "if (self.fingerprints is None) == (self.entries is None):", "if False:"),
    ),
    broken(
        "M10",
        "any number of fingerprints is taken",
        (
            _MESSAGES,
            "if self.fingerprints is not None and len(self.fingerprints) not in {",
            "if self.fingerprints is not None and len(self.fingerprints) in {1, 2} - {",
        ),
    ),
    broken(
        "M10",
        "a range of twelve digits may have parts",
        (_MESSAGES, "len(self.prefix) == PREFIX_DIGITS_MAX", "len(self.prefix) == -1"),
    ),
    broken(
        "M10",
        "an entry may be cut off",
        (_MESSAGES, "if len(self.entries) % ENTRY_BYTES:", "if False:"),
    ),
    broken(
        "M10",
        "entries may be in any order",
        (_MESSAGES, "if hashes != sorted(hashes) or not all(", "if not all("),
    ),
    broken(
        "M10",
        "entries may be of another range",
        (
            _MESSAGES,
            "id_hash.hex().startswith(self.prefix) for id_hash",
            "id_hash.hex() for id_hash",
        ),
    ),
    broken(
        "M11",
        "an id hash in drops may be cut off",
        (_MESSAGES, "if len(self.drops) % ID_HASH_BYTES:", "if False:"),
    ),
    broken(
        "M11",
        "since has another key",
        (
            _MESSAGES,
            _SINCE + "\n    @model_validator",
            _SINCE.replace("11", "12") + "\n    @model_validator",
        ),
    ),
    broken(
        "M12",
        "since has another key",
        (
            _VIEWS,
            "since: Annotated[Integer | None, Key(3)]",
            "since: Annotated[Integer | None, Key(7)]",
        ),
    ),
    broken(
        "M12",
        "portion_bytes and item_bytes_max have each other's key",
        (
            _VIEWS,
            "portion_bytes: Annotated[Natural | None, Key(5)]",
            "portion_bytes: Annotated[Natural | None, Key(6)]",
        ),
        (
            _VIEWS,
            "item_bytes_max: Annotated[Natural | None, Key(6)]",
            "item_bytes_max: Annotated[Natural | None, Key(5)]",
        ),
    ),
    broken(
        "M12",
        "kind and representation have each other's key",
        (_VIEWS, "kind: Annotated[Kind, Key(1)]", "kind: Annotated[Kind, Key(2)]"),
        (
            _VIEWS,
            "representation: Annotated[Representation, Key(2)]",
            "representation: Annotated[Representation, Key(1)]",
        ),
    ),
    broken(
        "M12",
        "shown_as may name a kind twice, and kinds in any order",
        (_VIEWS, "if kinds != sorted(set(kinds)):", "if False:"),
    ),
    broken(
        "M12",
        "views that name the same in another order are not equal",
        (
            _VIEWS,
            "return None if values is None else tuple(sorted(set(values)))",
            "return values",
        ),
    ),
    broken(
        "M12",
        "a view that names no kind is one of all kinds",
        (
            _VIEWS,
            "return None if values is None else tuple(sorted(set(values)))",
            "return tuple(sorted(set(values))) if values else None",
        ),
    ),
)
