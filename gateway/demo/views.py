"""``--views``: five devices that each want something else, and what of a feed they are to hold.

What is to be held is told here once more, in plain words and from nothing but the contents as they
were put, so that a gateway that is wrong about a view is found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from device_agent.views import WantedView
from gateway import portions
from gateway.importing.found import ICALENDAR
from gateway.representations.compact import COMPACT
from gateway.representations.representation import Problem, Rendered
from gateway.representations.sandbox import Sandbox
from gateway.rows import Row
from sync_protocol.views import NATIVE, ShownAs, View

DAYS: Final = 30
FOLDER: Final = "Inbox"
# What is pushed of a content must not be less than a portion, or what a device holds of one would
# depend on how it came.
CARD_PORTION_BYTES: Final = 256
MAIL_PORTION_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Viewer:
    """A device of the demo, what it wants, and that in a few words."""

    name: str
    wanted: WantedView
    words: str


VIEWERS: Final = (
    Viewer(
        "pager",
        WantedView(
            View(
                kinds=("contact",),
                shown_as=(ShownAs(kind="contact", representation=COMPACT.name),),
                portion_bytes=CARD_PORTION_BYTES,
            ),
            remainder_bytes_max=0,
        ),
        f"contacts, compact, the first {CARD_PORTION_BYTES} bytes",
    ),
    Viewer(
        "heads",
        WantedView(View(kinds=("mail",), portion_bytes=MAIL_PORTION_BYTES), remainder_bytes_max=0),
        f"mail, the first {MAIL_PORTION_BYTES} bytes",
    ),
    Viewer("recent", WantedView(days=DAYS), f"the last {DAYS} days and what is to come"),
    Viewer("inbox", WantedView(View(folders=(FOLDER,))), f"the folder {FOLDER}"),
    Viewer("pc", WantedView(), "everything"),
)


def view_json(view: View) -> Mapping[str, object]:
    """What of a view restricts something, as the gateway's API says it."""
    told: dict[str, object] = {
        name: value
        for name in ("kinds", "folders", "since", "portion_bytes")
        if (value := getattr(view, name)) is not None
    }
    if view.shown_as:
        told["shown_as"] = {it.kind: it.representation for it in view.shown_as}
    return told


class Shown:
    """What of a feed's items a device is to hold."""

    def __init__(self, wanted: WantedView, view: View, sandbox: Sandbox) -> None:
        """Begin.

        Args:
            wanted: by the device.
            view: the same, with the time window as it is.
            sandbox: where contents are rendered.
        """
        self._view = view
        self._sandbox = sandbox
        self._remainder_bytes_max = wanted.remainder_bytes_max

    def of(self, row: Row, content: bytes) -> bytes | None:
        """What is to be held of a live item; None if it is not in view."""
        if not self._has(row, content):
            return None
        rendered: Rendered | Problem = Rendered(content, row.media_type)
        name = self._view.representation(row.kind)
        if name != NATIVE:
            rendered = self._sandbox.render(name, row.kind, content)
        return None if isinstance(rendered, Problem) else self._held(rendered)

    def _has(self, row: Row, content: bytes) -> bool:
        view = self._view
        if view.kinds is not None and row.kind not in view.kinds:
            return False
        if view.folders is not None and row.folder not in view.folders:
            return False
        until = None
        if view.since is not None and row.media_type == ICALENDAR:
            until = self._sandbox.until(row.kind, content)
        last = row.date if until is None else until
        return view.since is None or last is None or last >= view.since

    def _held(self, rendered: Rendered) -> bytes:
        size = len(rendered.content)
        portion, complete = self._view.portion_bytes, self._remainder_bytes_max
        if portion is None or size <= portion or complete is None or size <= complete:
            return rendered.content
        beginning = rendered.content[:portion]
        count = portions.portion_bytes(
            beginning, media_type=rendered.media_type, size=size, bytes_max=portion
        )
        return beginning[:count]
