"""``gateway quarantine``: the items that are held back from devices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.api_errors import ApiError
from gateway.cli import common
from gateway.cli.common import AsJson, DataDir, FeedArgument

# Imported where it is used: `--help` must not wait for it.
if TYPE_CHECKING:
    from gateway.client import GatewayClient

app: Final = typer.Typer(
    help="List the items that are held back from devices because they break something or cannot be"
    " rendered, and try them again."
)


@app.command("list")
def list_(
    feed: Annotated[
        str | None,
        typer.Argument(metavar="FEED", help="Name of the feed; else all.", show_default=False),
    ] = None,
    *,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the items that are held back from devices, and why.

    Those that break something are held back from all devices, and what devices have of them stays
    there. Those that cannot be rendered in a representation are held back from the devices that
    want it, which drop what they have of them. All other items go on.
    """
    with common.client(data) as client:
        feeds = [feed] if feed is not None else [found.name for found in client.feeds()]
        found = [
            {"feed": name, **item.model_dump()}
            for name in feeds
            for item in client.quarantine(name)
        ]
    if as_json:
        common.show_json(found)
        return
    if not found:
        typer.echo(_nothing(feed))
        return
    are_some = any(item["representation"] for item in found)
    common.show_table([_row(item, with_from=are_some) for item in found])
    typer.echo()
    if are_some:
        common.show_text(
            "An item that is put again or deleted leaves the quarantine; one that cannot be"
            " rendered has to be put with another content."
        )
    else:
        typer.echo("An item that is put again or deleted leaves the quarantine.")
    option = common.data_option(data)
    typer.echo(f"'gateway quarantine retry FEED ID{option}' tries one as it is.")


def _row(item: Mapping[str, object], *, with_from: bool) -> dict[str, object]:
    representation = item["representation"]
    held = "all devices" if representation is None else f"those that want {representation}"
    return {
        "feed": item["feed"],
        "id": item["id"],
        "from": held if with_from else None,
        "why": item["why"],
    }


@app.command("retry")
def retry(
    feed: FeedArgument,
    item_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of the item.", show_default=False)
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All items of the feed.")] = False,
    data: DataDir = None,
) -> None:
    """Send an item to devices again as it is, once it is rendered anew where that failed.

    For when the cause is gone: a disk that failed, say, and is well again, or a limit of rendering
    that was too low. An item that is still damaged or cannot be rendered stays where it is: put it
    again.
    """
    if (item_id is None) is not all_:
        raise typer.BadParameter("name the item by its ID, or say --all, and not both")
    with common.client(data) as client:
        if item_id is not None:
            client.retry(feed, item_id)
            typer.echo(f"1 item of {feed} may go to devices again.")
            return
        # One that cannot be rendered in two representations is there twice.
        item_ids = list(dict.fromkeys(item.id for item in client.quarantine(feed)))
        stay = [error for each in item_ids if (error := _let_out(client, feed, each))]
    for why in stay:
        typer.echo(f"warning: {why}", err=True)
    items = common.count_text(len(item_ids) - len(stay), "item")
    typer.echo(f"{items} of {feed} may go to devices again." if item_ids else _nothing(feed))
    if stay:
        raise typer.Exit(common.EXIT_FAILED)


def _let_out(client: "GatewayClient", feed: str, item_id: str) -> str | None:
    """Why an item stays in quarantine, if it does; the others go on."""
    try:
        client.retry(feed, item_id)
    except ApiError as error:
        if error.reason != "invalid":
            raise
        return str(error)
    return None


def _nothing(feed: str | None) -> str:
    return f"Nothing{f' of {feed}' if feed else ''} is in quarantine: no item is held back."
