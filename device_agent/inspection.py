"""What an agent's file holds, read beside a running agent: the data of items, show and status."""

import base64
import codecs
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_agent.agent_file import AgentFile
from device_agent.errors import NotFoundError
from device_agent.replica import completes_up_to, is_behind
from device_agent.store import HeldItem
from sync_protocol.views import WHOLE_FEED, View

# A sync that is this many periods late is worth a warning: jitter and a retry are well within.
STALE_PERIODS: Final = 3
_CANDIDATES_SHOWN: Final = 5
# What begins so, or ends so, is text in UTF-8 (RFC 6839, section 3.1).
_TEXT_TYPES: Final = ("text/", "message/", "application/json")
_TEXT_SUFFIXES: Final = ("+json",)


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How one replica is doing.

    Attributes:
        synced_at: when a sync was last complete, in Unix seconds; None if never.
        ago_s: how many seconds ago that was, by the clock of this place.
        stale: that is too long ago.
        missing: something is known to be missing. What is left out until somebody asks for it is
            not meant.
        tokens: the ranges (first, last) of the changes held.
        view: what is wanted of the feed.
        since: the beginning of its time window, Unix seconds, as the gateway gives it.
    """

    feed: str
    items: int
    incomplete: int
    synced_at: int | None
    ago_s: int | None
    stale: bool
    missing: bool
    tokens: tuple[tuple[int, int], ...]
    view: View
    since: int | None


def feeds(file: AgentFile, wanted: Sequence[str]) -> Sequence[str]:
    """The feeds held, or those of `wanted`.

    Raises:
        NotFoundError: a wanted one is not held.
    """
    held = file.feeds()
    for feed in wanted:
        if feed not in held:
            raise NotFoundError(f"no feed {feed!a} is held here, only {', '.join(held) or 'none'}")
    return [feed for feed in held if not wanted or feed in wanted]


def find(file: AgentFile, wanted: Sequence[str], named: str) -> tuple[str, HeldItem]:
    """The item called `named`, or the only one whose id begins so, and its feed.

    Raises:
        NotFoundError: there is none, or more than one.
    """
    searched = feeds(file, wanted)
    exact = [
        (feed, item) for feed in searched if (item := file.replica(feed).item(named)) is not None
    ]
    # A table cuts long ids short.
    start = named.removesuffix("…")
    found = exact or [
        (feed, item)
        for feed in searched
        for item in file.replica(feed).items()
        if item.id.startswith(start)
    ]
    match found:
        case [one]:
            return one
        case []:
            raise NotFoundError(
                f"no item {named!a} is held in {', '.join(searched) or 'any feed'}:"
                " 'device-agent items' lists them"
            )
        case _:
            names = [f"{item.id!a} in {feed}" for feed, item in found[:_CANDIDATES_SHOWN]]
            more = ", ..." if len(found) > _CANDIDATES_SHOWN else ""
            raise NotFoundError(
                f"{len(found)} items are called {named!a}: {', '.join(names)}{more};"
                " write more of the id, or --feed FEED"
            )


def status(
    file: AgentFile,
    feed: str,
    *,
    now: float,
    period_s: float,
    remainder_bytes_max: int | None,
) -> FeedStatus:
    """How the replica of `feed` is doing.

    Args:
        file: the agent's.
        feed: its name.
        now: a Unix time.
        period_s: between its syncs.
        remainder_bytes_max: larger contents are completed only if somebody asks for it, or if they
            are no larger than a portion.
    """
    store = file.replica(feed)
    state = store.state()
    collection = None if state is None else state.collection
    synced_at = store.synced_at()
    ago_s = None if synced_at is None else int(now) - synced_at
    return FeedStatus(
        feed=feed,
        items=store.item_count(),
        incomplete=store.incomplete_count(),
        synced_at=synced_at,
        ago_s=ago_s,
        stale=ago_s is None or ago_s > STALE_PERIODS * period_s,
        missing=(
            state is None
            or is_behind(state)
            or bool(
                store.wanted(
                    1,
                    size_max=completes_up_to(state.view, remainder_bytes_max),
                    portions=state.view.portion_bytes != 0,
                )
            )
        ),
        tokens=() if collection is None else tuple(collection.held),
        view=WHOLE_FEED if state is None else state.view,
        since=None if state is None else state.since,
    )


def status_fields(one: FeedStatus) -> dict[str, object]:
    """How a replica is doing, for JSON; `view` has what is restricted."""
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    view = one.view.model_copy(update={"since": one.since})
    del values["since"]
    return values | {"view": view.model_dump(mode="json", exclude_defaults=True)}


def file_bytes(path: Path) -> int:
    """How many bytes the file takes, with SQLite's journal beside it."""
    return sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))


def fields(feed: str, item: HeldItem) -> dict[str, object]:
    """An item without its content, for JSON."""
    return {
        "feed": feed,
        "id": item.id,
        "kind": item.kind,
        "folder": item.folder,
        "flags": list(item.flags),
        "date": item.date,
        "media_type": item.media_type,
        "size": item.size,
        "held_bytes": item.held_bytes,
        "whole": item.whole,
        "fetched": item.is_fetched,
        "withheld": item.is_withheld,
        "digest": item.digest.hex(),
    }


def content_fields(held: bytes) -> dict[str, object]:
    """The bytes held of an item, for JSON: ``content`` if they are text, else in Base64."""
    try:
        return {"content": held.decode()}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(held).decode("ascii")}


def content_text(item: HeldItem, held: bytes) -> str | None:
    """The bytes held of an item as text, None if they are none. Not safe for a terminal yet."""
    media_type = item.media_type
    is_text = media_type.startswith(_TEXT_TYPES) or media_type.endswith(_TEXT_SUFFIXES)
    if not is_text and b"\0" in held:
        return None
    decoder = codecs.getincrementaldecoder("utf-8")("replace" if is_text else "strict")
    try:
        return decoder.decode(held, final=item.whole)  # a part may end within a character
    except UnicodeDecodeError:
        return None
