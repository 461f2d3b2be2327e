"""The representation `compact`: JSON for a pager that shows a name and a number.

It is written with one property of the whole on each line, so that a beginning of it that ends
anywhere can be read (`read_beginning`): first what names the item, last what is heavy.
"""

import json
import warnings
from collections.abc import Callable
from typing import Final

from gateway.representations.models import Model
from gateway.representations.representation import Rendered, RenderError, Representation

JSCONTACT: Final = "application/jscontact+json"
JSCALENDAR: Final = "application/jscalendar+json"
JSON: Final = "application/json"


def written(model: Model) -> bytes:
    """The document in UTF-8, one property on each line; the same model gives the same bytes."""
    properties = model.model_dump(by_alias=True, exclude_none=True)
    lines = [f"{_json(name)}:{_json(value)}" for name, value in properties.items()]
    return ("{\n" + ",\n".join(lines) + "\n}").encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_beginning(data: bytes) -> dict[str, object]:
    """The properties of a document, or of as many of its bytes as are there.

    A last line that may be incomplete is dropped. ValueError if it is no such document.
    """
    begin, *lines = data.split(b"\n")
    if begin not in {b"{", b""}:
        raise ValueError("it does not begin as a document of this representation does")
    # What follows the last line end is the brace, nothing, or a part of a line.
    text = b"{" + b"".join(lines[:-1]).removesuffix(b",") + b"}"
    properties: dict[str, object] = json.loads(text)
    return properties


def _compact(make: Callable[[bytes], Model], media_type: str, content: bytes) -> Rendered:
    """What `make` makes of the content; whatever goes wrong in it is a RenderError.

    The libraries that read contents raise nearly anything for those that are broken. What their
    errors say may quote the content, and is dropped.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Rendered(written(make(content)), media_type)
    except (RenderError, MemoryError):
        raise
    except Exception as error:
        raise RenderError(f"it cannot be read ({type(error).__name__})") from error


def _contact(content: bytes) -> Rendered:
    from gateway.representations.contacts import card  # noqa: PLC0415 - heavy, and not of the gateway

    return _compact(card, JSCONTACT, content)


def _event(content: bytes) -> Rendered:
    from gateway.representations.calendars import event  # noqa: PLC0415 - as above

    return _compact(event, JSCALENDAR, content)


def _task(content: bytes) -> Rendered:
    from gateway.representations.calendars import task  # noqa: PLC0415 - as above

    return _compact(task, JSCALENDAR, content)


def _mail(content: bytes) -> Rendered:
    from gateway.representations.mails import mail  # noqa: PLC0415 - as above

    return _compact(mail, JSON, content)


COMPACT: Final = Representation(
    "compact", 1, {"contact": _contact, "event": _event, "task": _task, "mail": _mail}
)
