"""Breaks of the coding of a token set, which is called C here."""

from typing import Final

from tests.rules.rule import broken

_CODEC: Final = "sync_protocol/token_set_codec.py"

BREAKS: Final = (
    broken(
        "C",
        "negative tokens are coded one too low",
        (_CODEC, "else -2 * first - 1)", "else -2 * first + 1)"),
    ),
    broken(
        "C",
        "a varint is written with the most significant bits first",
        (
            _CODEC,
            "    coded.append(value)\n    return bytes(coded)",
            "    coded.append(value)\n    return bytes(reversed(coded))",
        ),
    ),
    broken(
        "C",
        "overlong varints are read",
        (_CODEC, "if byte == 0 and index:", "if byte < 0:"),
    ),
    broken(
        "C",
        "the last byte is filled up with zeros",
        (_CODEC, 'bits += "1" * (-len(bits) % 8)', 'bits += "0" * (-len(bits) % 8)'),
    ),
    broken(
        "C",
        "more than seven ones at the end are read",
        (_CODEC, "_PADDING_BITS_MAX: Final = 7", "_PADDING_BITS_MAX: Final = 70"),
    ),
    broken(
        "C",
        "a parameter of 0 is read for runs",
        (_CODEC, "if not (k >= _RUNS_K_MIN and _RUNS_K_MIN <= k_present", "if not (k_present"),
    ),
    broken(
        "C",
        "modes are read that do not exist",
        (_CODEC, '        raise _wrong("an unknown mode")', "        return"),
    ),
    broken(
        "C",
        "a set without a newest token is read, in gaps",
        (
            _CODEC,
            (
                "if boundaries[-1] == absent_from or (mode == _GAPS_ABSENT and"
                " boundaries[-1] != edge - 1):"
            ),
            "if not boundaries:",
        ),
    ),
    broken(
        "C",
        "an odd number of runs is read",
        (_CODEC, "if len(boundaries) % 2 or edge == boundaries[1]:", "if edge == boundaries[1]:"),
    ),
    broken(
        "C",
        "the encoder writes gaps between absent tokens though another coding is shorter",
        (_CODEC, "        key=itemgetter(0),\n", "        key=itemgetter(1),\n"),
    ),
)
