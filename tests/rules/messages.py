"""Breaks of M1 to M11: what each message must say."""

from typing import Final

from tests.rules.rule import broken

_MESSAGES: Final = "sync_protocol/messages.py"

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
)
