"""What docs/representations.md shows is so."""

import re
from pathlib import Path

from gateway.representations.compact import read_beginning
from gateway.representations.registry import Representation
from gateway.representations.representation import Rendered
from gateway.representations.sandbox import Sandbox

PAGE = (Path(__file__).parents[3] / "docs" / "representations.md").read_text()
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Example\r\nTEL:+49 170 1\r\nEND:VCARD\r\n"


def _block(language: str, beginning: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if block.startswith(beginning))


def test_the_compact_card_looks_like_that(sandbox: Sandbox) -> None:
    rendered = sandbox.render("compact", "contact", CARD)
    assert isinstance(rendered, Rendered)
    assert rendered.content.decode() + "\n" == _block("", "{\n")


def test_its_beginning_can_be_read() -> None:
    document = _block("", "{\n").encode()
    for end in range(len(document)):
        read = read_beginning(document[:end])
        assert list(read) == ["@type", "version", "name", "phones"][: len(read)]


def test_the_representation_of_ones_own_works() -> None:
    names: dict[str, object] = {}
    exec(_block("python", "from gateway"), names)  # noqa: S102 - the page's example
    shouting = names["SHOUTING"]
    assert isinstance(shouting, Representation)
    assert shouting.renderers["contact"](CARD).content == CARD.upper()
