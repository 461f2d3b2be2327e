"""What is said of an item's content."""

from dataclasses import replace

import pytest

from device_agent.inspection import content_text
from tests.device_agent.test_store import held

UMLAUT = "ä".encode()


@pytest.mark.parametrize(
    "media_type",
    ["text/vcard", "message/rfc822", "application/json", "application/jscontact+json",
     "application/jscalendar+json"],
)  # fmt: skip
class TestText:
    def test_it_is_shown_whatever_is_wrong_with_it(self, media_type: str) -> None:
        item = replace(held("a"), media_type=media_type)
        assert content_text(item, b'{\n"a": 1}') == '{\n"a": 1}'
        assert content_text(item, b"a\xffb\0") == "a\ufffdb\0"
        assert content_text(item, b"a" + UMLAUT[:1]) == "a\ufffd"

    def test_a_part_may_end_within_a_character(self, media_type: str) -> None:
        item = replace(held("a", whole=False), media_type=media_type)
        assert content_text(item, b"a" + UMLAUT[:1]) == "a"


class TestOther:
    ITEM = replace(held("a"), media_type="application/octet-stream")

    def test_what_can_be_text_is_shown(self) -> None:
        assert content_text(self.ITEM, UMLAUT) == "ä"
        assert content_text(replace(self.ITEM, whole=False), b"a" + UMLAUT[:1]) == "a"

    @pytest.mark.parametrize("content", [b"a\0", b"\xff", UMLAUT[:1]])
    def test_what_cannot_is_not(self, content: bytes) -> None:
        assert content_text(self.ITEM, content) is None
