"""The names of the field: what a device, a feed, an item, a folder and a flag may be called."""

import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator

from sync_protocol import limits

GATEWAY: Final = "gateway"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")
_FLAG: Final = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\\^_`a-z|~]{1,64}")


def device_id(text: str) -> str:
    """`text`, if a device may be called that; ValueError says what is wrong with it."""
    if text == GATEWAY:
        raise ValueError(f"'{GATEWAY}' is the gateway's own name: choose another device id")
    return _name("a device id", text)


def feed_name(text: str) -> str:
    """`text`, if a feed may be called that; ValueError says what is wrong with it."""
    if text == GATEWAY:
        raise ValueError(f"'{GATEWAY}' is the gateway's own name: choose another feed name")
    return _name("a feed name", text)


def _name(what: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{what} is 1 to 64 of A-Z a-z 0-9 _ and -, not {_shown(text)}")
    return text


def item_id(text: str) -> str:
    """`text`, if an item may be called that.

    Ids come from other programs (the UID of RFC 5545 and RFC 6350, the Message-ID of RFC 5322), so
    all printable text is allowed. They never become file names or topics.
    """
    return _text("an item id", text, bytes_max=limits.ITEM_ID_BYTES_MAX, empty=False)


def folder(text: str) -> str:
    """`text`, if a folder may be called that; the empty string is the feed's top folder."""
    return _text("a folder", text, bytes_max=limits.FOLDER_BYTES_MAX, empty=True)


def _text(what: str, text: str, *, bytes_max: int, empty: bool) -> str:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} is Unicode text, without lone surrogates") from None
    if size_bytes > bytes_max or (size_bytes == 0 and not empty):
        least = 0 if empty else 1
        raise ValueError(f"{what} is {least} to {bytes_max} bytes of UTF-8, not {size_bytes}")
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError(f"{what} has no control characters, unlike {_shown(text)}")
    return text


def kind(text: str) -> str:
    """`text`, if it is a kind: "contact", "event", "task", "mail" or a word like them."""
    if not _KIND.fullmatch(text):
        raise ValueError(f"a kind is a word of a-z, 0-9 and -, at most 32, not {_shown(text)}")
    return text


def representation(text: str) -> str:
    """`text`, if a representation may be called that; ValueError says what is wrong with it."""
    if not _KIND.fullmatch(text):
        raise ValueError(
            f"a representation is a word of a-z, 0-9 and -, at most 32, not {_shown(text)}"
        )
    return text


def media_type(text: str) -> str:
    """`text`, if it is a media type without parameters (RFC 6838, section 4.2), in lower case."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError(f"a media type is like text/vcard, in lower case, not {_shown(text)}")
    return text


def flag(text: str) -> str:
    """`text`, if it is a flag: an IMAP keyword or system flag (RFC 9051), in any case."""
    if not _FLAG.fullmatch(text):
        raise ValueError(
            f"a flag is 1 to {limits.FLAG_CHARS_MAX} printable ASCII characters without"
            f' blanks and ( ) {{ }} [ ] % * ", not {_shown(text)}'
        )
    return text


def flags(values: tuple[str, ...]) -> tuple[str, ...]:
    """`values` sorted and each once: flags are a set, and equal sets must be equal bytes."""
    if len(values) > limits.FLAGS_MAX:
        raise ValueError(f"an item has at most {limits.FLAGS_MAX} flags, not {len(values)}")
    return tuple(sorted({flag(value) for value in values}))


def _shown(text: str) -> str:
    short = text if len(text) <= limits.DEVICE_ID_CHARS_MAX else text[:40] + "..."
    return ascii(short)


DeviceId = Annotated[str, AfterValidator(device_id)]
FeedName = Annotated[str, AfterValidator(feed_name)]
ItemId = Annotated[str, AfterValidator(item_id)]
Folder = Annotated[str, AfterValidator(folder)]
Kind = Annotated[str, AfterValidator(kind)]
Representation = Annotated[str, AfterValidator(representation)]
MediaType = Annotated[str, AfterValidator(media_type)]
Flags = Annotated[tuple[str, ...], AfterValidator(flags)]
