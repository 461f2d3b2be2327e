"""Breaks of V6: how much of a large content comes with its change."""

from typing import Final

from tests.rules.rule import broken

_VIEWED: Final = "gateway/viewed.py"
_RESPONDER: Final = "gateway/responder.py"
_NOTIFIER: Final = "gateway/notifier.py"
_PORTIONS: Final = "gateway/portions.py"
_COMPACT: Final = "gateway/representations/compact.py"
_SHOWING: Final = "device_agent/showing.py"

BREAKS: Final = (
    broken(
        "V6",
        "a portion is as large as the gateway likes, whatever the view asks for",
        (
            _RESPONDER,
            "return self._bounds.portion_bytes if asked is None else asked",
            "return self._bounds.portion_bytes",
        ),
    ),
    broken(
        "V6",
        "a content comes whole if the gateway likes, though the view asks for a portion",
        (
            _RESPONDER,
            "inline = self._bounds.inline_bytes_max if asked is None else asked",
            "inline = self._bounds.inline_bytes_max",
        ),
    ),
    broken(
        "V6",
        "a push brings as much as the view asks for, though the gateway lets it carry less",
        (
            _NOTIFIER,
            "bytes_max=bytes_max if portion is None else min(portion, bytes_max)",
            "bytes_max=bytes_max if portion is None else portion",
        ),
    ),
    broken(
        "V6",
        "a push brings as much as it may carry, though the view asks for less",
        (
            _NOTIFIER,
            "bytes_max=bytes_max if portion is None else min(portion, bytes_max)",
            "bytes_max=bytes_max",
        ),
    ),
    broken(
        "V6",
        "a portion ends anywhere",
        (_VIEWED, "return beginning[:count]", "return beginning"),
    ),
    broken(
        "V6",
        "a portion of a card ends within a line that is folded",
        (_PORTIONS, "if of_one and line[0] not in _FOLDS and", "if of_one and"),
    ),
    broken(
        "V6",
        "a photo takes the room of a portion, though the name stands before it",
        (_PORTIONS, "heavy = found.name in self.heavy", "heavy = False"),
    ),
    broken(
        "V6",
        "a portion ends before the photo, though the name stands behind it",
        (_PORTIONS, "if heavy and named:", "if heavy:"),
    ),
    broken(
        "V6",
        "an attachment takes the room of a portion",
        (_PORTIONS, 'heavy=frozenset({b"ATTACH"})', "heavy=frozenset()"),
    ),
    broken(
        "V6",
        "a portion of a mail has nothing of its text",
        (
            _PORTIONS,
            "return _message_text(beginning, header_bytes=line_end)",
            "return line_end",
        ),
    ),
    broken(
        "V6",
        "a portion of a mail of a long header ends within a field",
        (
            _PORTIONS,
            "return fields_end or _character_end(beginning)",
            "return _character_end(beginning)",
        ),
    ),
    broken(
        "V6",
        "a portion of JSON ends within a line",
        (_PORTIONS, "return _at_line if is_json or media", "return _at_line if media"),
    ),
    broken(
        "V6",
        "a portion ends within a character",
        (
            _PORTIONS,
            "return len(beginning) - len(cut_off) or len(beginning)",
            "return len(beginning)",
        ),
    ),
    broken(
        "V6",
        "an item of which a portion is held is listed as if all was here",
        (_SHOWING, 'size if one.whole else f"{size_text(one.held_bytes)} of {size}",', "size,"),
    ),
    broken(
        "V6",
        "JSON has several properties of the outermost object on a line",
        (_COMPACT, '",\\n".join(lines)', '",".join(lines)'),
    ),
    broken(
        "V6",
        "the summary of an alarm names the event",
        (_PORTIONS, "            and nesting.innermost in self.components\n", ""),
    ),
    broken(
        "V6",
        "N names no card",
        (_PORTIONS, 'frozenset({b"FN", b"N"})', 'frozenset({b"FN"})'),
    ),
    broken(
        "V6",
        "whether a content comes whole is told by the size of what was put",
        (_RESPONDER, "self._content_bytes_max(rendering)", "self._content_bytes_max(row.native)"),
    ),
)
