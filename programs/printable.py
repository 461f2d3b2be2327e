"""Foreign text, made harmless for a terminal."""


def safe_line(text: str) -> str:
    """`text` on one line, whatever it holds: what a terminal would obey is spelt out."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
