"""``gateway put``, ``delete`` and ``items``: single items of a feed."""

import itertools
import mimetypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import AsJson, CommandError, DataDir, FeedArgument
from sync_protocol import limits

if TYPE_CHECKING:
    from gateway.importing.found import FoundItem

_STDIN: Final = Path("-")
_TABLE_ITEMS_DEFAULT: Final = 100
_MEDIA_TYPES: Final = {
    ".vcf": "text/vcard",
    ".ics": "text/calendar",
    ".eml": "message/rfc822",
}

ItemArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the item.")]


def put(
    feed: FeedArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to put; - is standard input.")],
    *,
    item_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Id of the item; else its UID or Message-ID."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="contact, event, task, mail or another word."),
    ] = None,
    media_type: Annotated[
        str | None,
        typer.Option("--media-type", metavar="TYPE", help="As text/vcard; else by FILE's suffix."),
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--folder", metavar="FOLDER", help="Folder of the item.")
    ] = None,
    flag: Annotated[
        list[str] | None,
        typer.Option("--flag", metavar="FLAG", help="A flag of the item; can be repeated."),
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put one file into a feed as one item, byte for byte."""
    content = _content(file)
    found = _found(file) if media_type in (None, _MEDIA_TYPES.get(file.suffix.lower())) else []
    only = found[0] if len(found) == 1 else None
    if item_id is None:
        item_id = _own_id(file, found)
    media_type = media_type or _media_type(file)

    from gateway import api_models as models  # noqa: PLC0415 - heavy
    from sync_protocol import names  # noqa: PLC0415 - heavy

    kind = kind or (only.kind if only else models.default_kind(media_type))
    if kind is None:
        raise CommandError(f"say what kind of item a {media_type} is: --kind KIND")
    try:
        mutation = models.PutMutation.model_construct(
            id=names.item_id(item_id),
            content=content,
            media_type=names.media_type(media_type),
            kind=names.kind(kind),
            folder=folder if folder is None else names.folder(folder),
            flags=names.flags(tuple(flag)) if flag else None,
            date=only.date if only else None,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    with common.client(data) as client:
        result = client.put(feed, mutation)
    if as_json:
        common.show_json(result.model_dump(exclude={"error"}))
    else:
        typer.echo(f"{item_id}: {result.status}")


def _content(file: Path) -> bytes:
    try:
        if file == _STDIN:
            content = sys.stdin.buffer.read(limits.CONTENT_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(limits.CONTENT_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > limits.CONTENT_BYTES_MAX:
        raise CommandError(
            f"{file} is larger than {limits.CONTENT_BYTES_MAX // limits.MIB} MiB, which is the"
            " limit for one item"
        )
    return content


def _found(file: Path) -> list["FoundItem"]:
    """What an import would find in the file."""
    if file.suffix.lower() not in _MEDIA_TYPES:
        return []

    from gateway.importing.found import FoundItem  # noqa: PLC0415 - not for every command
    from gateway.importing.identity import IdRegistry  # noqa: PLC0415
    from gateway.importing.sources import SourceFile, read_source  # noqa: PLC0415

    source = SourceFile(file, str(file), folder="", size_bytes=0)
    return [found for found in read_source(source, IdRegistry()) if isinstance(found, FoundItem)]


def _own_id(file: Path, found: list["FoundItem"]) -> str:
    match found:
        case [only]:
            return only.id
        case []:
            raise CommandError(f"{file} does not say what its id is: --id ID")
        case _:
            raise CommandError(
                f"{file} holds {len(found)} items: 'gateway import' puts each of them, --id ID puts"
                " the file as one"
            )


def _media_type(file: Path) -> str:
    media_type = _MEDIA_TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0]
    if media_type is None:
        raise CommandError(f"{file} does not say by its suffix what it is: --media-type TYPE")
    return media_type


def delete(feed: FeedArgument, item_id: ItemArgument, data: DataDir = None) -> None:
    """Delete one item."""
    with common.client(data) as client:
        client.delete(feed, item_id)
    typer.echo(f"{item_id}: deleted")


def items(
    feed: FeedArgument,
    *,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Begin after this id.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="At most so many, 0 for all.",
            show_default=f"{_TABLE_ITEMS_DEFAULT}, all as JSON",
        ),
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the items of a feed in order of their ids.

    "until" is the last day that something recurring or lasting is about, where that is not its
    date.

    On a terminal, what is too long ends in an ellipsis; --json shows it in full.
    """
    if limit is None:
        limit = 0 if as_json else _TABLE_ITEMS_DEFAULT
    with common.client(data) as client:
        found = client.items(feed, after=after)
        shown = itertools.islice(found, limit or None)
        if as_json:
            common.show_json_list(item.model_dump() for item in shown)
            return
        rows = [
            {
                "id": item.id,
                "kind": item.kind,
                "folder": item.folder,
                "flags": " ".join(item.flags),
                "date": common.day_text(item.date),
                "until": _until_text(item.until),
                "size": common.size_text(item.size),
            }
            for item in shown
        ]
        more = next(found, None)
    if rows:
        common.show_table(rows, right=["date", "until", "size"], cut=["id", "folder", "flags"])
    else:
        typer.echo(f"The feed {feed} holds no items{' after that' if after else ' yet'}.")
    if more is not None:
        typer.echo("There are more: --limit N shows N, --limit 0 all.", err=True)


def _until_text(until: int | None) -> str:
    # That of the API's NO_END, whose module loads too slowly for --help.
    return "no end" if until == limits.INTEGER_MAX else common.day_text(until)
