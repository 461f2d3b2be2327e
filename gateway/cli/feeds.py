"""``gateway feed``: the feeds."""

import sys
from typing import Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import AsJson, CommandError, DataDir, FeedArgument

app: Final = typer.Typer(help="Add, list and remove feeds.")


@app.command("add")
def add(feed: FeedArgument, data: DataDir = None) -> None:
    """Make a feed."""
    with common.client(data) as client:
        client.add_feed(feed)
    option = common.data_option(data)
    typer.echo(f"The feed {feed} is there. 'gateway import {feed} PATH...{option}' fills it.")


@app.command("list")
def list_(*, data: DataDir = None, as_json: AsJson = False) -> None:
    """List the feeds."""
    with common.client(data) as client:
        feeds = client.feeds()
    if as_json:
        common.show_json([feed.model_dump() for feed in feeds])
    elif not feeds:
        typer.echo(
            f"There is no feed yet. 'gateway feed add FEED{common.data_option(data)}' makes one."
        )
    else:
        common.show_table(
            [{"feed": feed.name, "items": feed.items} for feed in feeds], right=["items"]
        )


@app.command("remove")
def remove(
    feed: FeedArgument,
    *,
    data: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even if it holds items.")] = False,
) -> None:
    """Remove a feed with all its items."""
    with common.client(data) as client:
        held = next((found.items for found in client.feeds() if found.name == feed), 0)
        if held and not yes:
            items = common.count_text(held, "item")
            if not sys.stdin.isatty():
                raise CommandError(f"the feed {feed} holds {items}: --yes removes it all the same")
            typer.confirm(f"Remove the feed {feed} with its {items}?", abort=True, err=True)
        client.remove_feed(feed)
    typer.echo(f"The feed {feed} was removed.")
