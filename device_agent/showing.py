"""What items, show and status print."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import typer

from device_agent import enrolment, inspection
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.errors import AgentError
from device_agent.inspection import FeedStatus
from device_agent.printing import (
    age_text,
    date_text,
    json_text,
    moment_text,
    safe_line,
    safe_text,
    size_text,
    table,
    view_text,
)
from device_agent.replica import completes_up_to
from device_agent.settings import Settings
from device_agent.store import HeldItem
from sync_protocol.addresses import address_text
from sync_protocol.credential import Credential

_RANGES_SHOWN: Final = 6


def items(settings: Settings, only: Sequence[str], *, as_json: bool) -> None:
    """Print the items held."""
    with _opened(settings) as file:
        feeds = inspection.feeds(file, only)
        if as_json:
            _print_json_list(
                inspection.fields(feed, item)
                for feed in feeds
                for item in file.replica(feed).items()
            )
            return
        for number, feed in enumerate(feeds):
            if number:
                typer.echo()
            _print_items(file, feed)


def item(settings: Settings, only: Sequence[str], named: str, *, as_json: bool) -> None:
    """Print one item with its content."""
    with _opened(settings) as file:
        feed, found = inspection.find(file, only, named)
        content = b"".join(file.replica(feed).checked_content(found))
    if as_json:
        fields = inspection.fields(feed, found) | inspection.content_fields(content)
        typer.echo(json_text(fields))
        return
    for label, value in (
        ("id", found.id),
        ("feed", feed),
        ("kind", found.kind),
        ("folder", found.folder),
        ("flags", " ".join(found.flags)),
        ("date", date_text(found.date)),
        ("content", f"{found.media_type}, {size_text(found.size)}"),
        ("", "" if found.whole else _incomplete(settings, feed, found)),
    ):
        if value:
            typer.echo(f"{label:9}{safe_line(value)}")
    text = inspection.content_text(found, content)
    binary = "(not text; --raw writes it as it is)"
    typer.echo("\n" + (binary if text is None else safe_text(text).removesuffix("\n")))


def raw(settings: Settings, only: Sequence[str], named: str) -> None:
    """Write the bytes of one item to stdout, nothing else.

    Raises:
        AgentError: not all of them are here; those that are have been written.
    """
    with _opened(settings) as file:
        feed, found = inspection.find(file, only, named)
        for piece in file.replica(feed).checked_content(found):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    if not found.whole:
        raise AgentError(f"{found.id}: {_incomplete(settings, feed, found)}")


def status(settings: Settings, only: Sequence[str], *, as_json: bool) -> None:
    """Print what is held, and how fresh it is."""
    path = settings.data_dir / STORE_FILE
    enrolled = enrolment.kept(settings.data_dir)
    found, size, hindrance = [], 0, None
    if path.exists() or enrolled is None:  # and if there is neither, this says what to do
        with _opened(settings) as file:
            found = [
                inspection.status(
                    file,
                    feed,
                    now=time.time(),
                    period_s=settings.sync_period_s,
                    remainder_bytes_max=settings.wanted(feed).remainder_bytes_max,
                )
                for feed in inspection.feeds(file, only)
            ]
            size = inspection.file_bytes(path)
            hindrance = file.hindrance
    if as_json:
        each = [inspection.status_fields(one) for one in found]
        shown = None if enrolled is None else _enrolment_fields(enrolled)
        all_of_it = {
            "file": str(path),
            "file_bytes": size,
            "feeds": each,
            "enrolment": shown,
            "hindrance": None if hindrance is None else asdict(hindrance),
        }
        typer.echo(json_text(all_of_it))
        return
    if enrolled is not None:
        typer.echo(safe_line(f"enrolled as {_summary(settings, enrolled)}"))
    if hindrance is not None:
        since = moment_text(hindrance.since)
        typer.echo(safe_line(f"HINDERED since {since}: {hindrance.text}"))
    for one in found:
        _print_status(one)
    typer.echo(f"{safe_line(str(path))}: {size_text(size)}")


def _summary(settings: Settings, enrolled: Credential) -> str:
    """As whom and where, with the broker that is used if that is another."""
    used = enrolment.completed(settings, enrolled)
    if used.id != enrolled.device:
        return enrolled.summary
    return f"{enrolled.device} at {used.broker}, for {', '.join(enrolled.feeds)}"


def _enrolment_fields(enrolled: Credential) -> dict[str, object]:
    return {
        "device": enrolled.device,
        "broker": address_text(enrolled.host, enrolled.port),
        "feeds": list(enrolled.feeds),
        "topic_prefix": enrolled.topic_prefix,
        "has_ca": enrolled.ca is not None,
    }


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[AgentFile]:
    file = AgentFile(settings.data_dir / STORE_FILE, readonly=True)
    with contextlib.closing(file), file.snapshot():
        yield file


def _print_items(file: AgentFile, feed: str) -> None:
    store = file.replica(feed)

    def rows() -> Iterator[Sequence[str]]:
        for one in store.items():
            size = size_text(one.size)
            yield (
                safe_line(one.id),
                one.kind,
                safe_line(one.folder),
                " ".join(one.flags),
                date_text(one.date),
                size if one.whole else f"{size_text(one.held_bytes)} of {size}",
            )

    typer.echo(f"{feed}: {_counted(store.item_count(), store.incomplete_count())}")
    # What is not read by a person at a terminal is not cut short.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(("ID", "KIND", "FOLDER", "FLAGS", "DATE", "SIZE"), rows, width=width):
        typer.echo(line)


def _print_status(one: FeedStatus) -> None:
    last = "never"
    if one.synced_at is not None and one.ago_s is not None:
        last = f"{moment_text(one.synced_at)}, {age_text(one.ago_s)}"
    stale = "  (stale: is an agent running, and a gateway?)" if one.stale else ""
    missing = "nothing that is known of"
    if one.missing:
        missing = "something; the next sync brings it"
    elif one.incomplete:
        missing += "; 'device-agent fetch ITEM' completes an item"
    view = view_text(one.view, since=one.since)
    typer.echo(f"{one.feed}")
    if view:
        typer.echo(f"  view       {view}")
    typer.echo(f"  items      {_counted(one.items, one.incomplete)}")
    typer.echo(f"  last sync  {last}{stale}")
    typer.echo(f"  missing    {missing}")
    typer.echo(f"  tokens     {_ranges(one.tokens)}")


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    if not ranges:
        return "none"
    shown = [f"{first}..{last}" for first, last in ranges[-_RANGES_SHOWN:]]
    older = len(ranges) - len(shown)
    return ", ".join(([f"{older} older ranges"] if older else []) + shown)


def _counted(count: int, incomplete: int) -> str:
    noun = "item" if count == 1 else "items"
    return f"{count} {noun}" + (f", {incomplete} incomplete" if incomplete else "")


def _incomplete(settings: Settings, feed: str, found: HeldItem) -> str:
    wanted = settings.wanted(feed)
    most = completes_up_to(wanted.view, wanted.remainder_bytes_max)
    if found.is_withheld:
        rest = "the gateway cannot give the rest now"
    elif found.is_fetched or most is None or found.size <= most:
        rest = "the next sync brings the rest"
    else:
        rest = f"'device-agent fetch {found.id}' brings the rest"
    return f"INCOMPLETE: {found.held_bytes} of {found.size} bytes are here; {rest}"


def _print_json_list(values: Iterable[object]) -> None:
    """Print one value a line, as they come: a large feed is not kept in memory."""
    before = "["
    for value in values:
        typer.echo(before + json_text(value), nl=False)
        before = ",\n "
    typer.echo("[]" if before == "[" else "]")
