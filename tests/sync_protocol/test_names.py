"""What a device, a feed, an item, a folder and a flag may be called."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol import limits, names
from tests.sync_protocol import strategies

STRAYS = ["a/b", "a+", "#", "a b", "a\0", "ä", "..", "a.b", "a\n", "$SYS", "٣"]


@pytest.mark.parametrize("check", [names.device_id, names.feed_name])
class TestDeviceAndFeed:
    @pytest.mark.parametrize("name", ["a", "-", "_", "A-z_09", "x" * 64, "Gateway"])
    def test_what_may_be(self, check: Callable[[str], str], name: str) -> None:
        assert check(name) == name

    @pytest.mark.parametrize("name", ["", "x" * 65, "x" * 10_000, *STRAYS])
    def test_what_may_not(self, check: Callable[[str], str], name: str) -> None:
        with pytest.raises(ValueError, match="is 1 to 64 of A-Z") as refused:
            check(name)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 300

    def test_the_gateways_own(self, check: Callable[[str], str]) -> None:
        with pytest.raises(ValueError, match="the gateway's own name"):
            check("gateway")


class TestItemAndFolder:
    @given(strategies.item_ids)
    def test_any_printable_text_may_be_an_item(self, text: str) -> None:
        assert names.item_id(text) == text
        assert names.folder(text) == text

    def test_only_a_folder_may_be_empty(self) -> None:
        assert names.folder("") == ""
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            names.item_id("")

    @pytest.mark.parametrize("char", ["x", "ä", "€", "😀"])
    def test_the_limit_counts_bytes(self, char: str) -> None:
        most = char * (limits.ITEM_ID_BYTES_MAX // len(char.encode()))
        assert names.item_id(most) == most
        assert names.folder(most) == most
        with pytest.raises(ValueError, match="255 bytes of UTF-8"):
            names.item_id(most + char)
        with pytest.raises(ValueError, match="255 bytes of UTF-8"):
            names.folder(most + char)

    @pytest.mark.parametrize("text", ["a\0", "\n", "\x1b[2J", "\x7f", "\x85"])
    def test_no_control_characters(self, text: str) -> None:
        for check in (names.item_id, names.folder):
            with pytest.raises(ValueError, match="no control characters") as refused:
                check(text)
            assert str(refused.value).isprintable()

    @pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
    def test_no_lone_surrogates(self, text: str) -> None:
        for check in (names.item_id, names.folder):
            with pytest.raises(ValueError, match="surrogates"):
                check(text)

    @pytest.mark.parametrize("text", ["../../etc/passwd", "a/b", "+", "#", "<x@y>", "CON", "-rf"])
    def test_what_would_be_a_strange_file_or_topic_is_a_fine_id(self, text: str) -> None:
        assert names.item_id(text) == text


class TestKindAndMediaType:
    @pytest.mark.parametrize("kind", ["contact", "x", "a-1", "x" * 32])
    def test_kind(self, kind: str) -> None:
        assert names.kind(kind) == kind

    @pytest.mark.parametrize("kind", ["", "Contact", "1a", "-a", "x" * 33, "a_b", "mail\n", "ä"])
    def test_no_kind(self, kind: str) -> None:
        with pytest.raises(ValueError, match="a kind is a word"):
            names.kind(kind)

    @pytest.mark.parametrize("name", ["native", "compact", "x", "a-1", "x" * 32])
    def test_representation(self, name: str) -> None:
        assert names.representation(name) == name

    @pytest.mark.parametrize("name", ["", "Compact", "1a", "x" * 33, "a_b", "a/b", "a\n", "ä"])
    def test_no_representation(self, name: str) -> None:
        with pytest.raises(ValueError, match="a representation is a word") as refused:
            names.representation(name)
        assert str(refused.value).isprintable()

    @pytest.mark.parametrize("media_type", ["text/vcard", "a/b", "x" * 63 + "/" + "y" * 63])
    def test_media_type(self, media_type: str) -> None:
        assert len(media_type) <= limits.MEDIA_TYPE_CHARS_MAX
        assert names.media_type(media_type) == media_type

    @pytest.mark.parametrize(
        "media_type", ["", "text", "text/", "/b", "Text/vcard", "text/a;b=c", "a/b/c", "a/b\n"]
    )
    def test_no_media_type(self, media_type: str) -> None:
        with pytest.raises(ValueError, match="a media type is like"):
            names.media_type(media_type)


class TestFlags:
    @pytest.mark.parametrize("flag", ["$seen", "\\Seen", "a", "~", "x" * 64, "a/b", "=>"])
    def test_flag(self, flag: str) -> None:
        assert names.flag(flag) == flag

    @pytest.mark.parametrize("flag", ["", "a b", "(a", "{", "a]", "%", "*", '"', "ä", "x" * 65])
    def test_no_flag(self, flag: str) -> None:
        with pytest.raises(ValueError, match="a flag is 1 to 64"):
            names.flag(flag)

    @given(st.lists(st.sampled_from(["a", "b", "B", "$c"]), max_size=limits.FLAGS_MAX))
    def test_are_a_sorted_set(self, values: list[str]) -> None:
        assert names.flags(tuple(values)) == tuple(sorted(set(values)))

    def test_not_too_many(self) -> None:
        most = tuple(f"f{number:02}" for number in range(limits.FLAGS_MAX))
        assert names.flags(most) == most
        with pytest.raises(ValueError, match="at most 32 flags, not 33"):
            names.flags((*most, "more"))
