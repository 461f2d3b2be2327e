"""``gateway status``: how the gateway, its feeds and its devices are."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import AsJson, DataDir

if TYPE_CHECKING:
    from gateway.api_models import Device

# A device that is in use syncs more often than this; one that does not may have given up.
STALE_S: Final = 7 * 86_400


def status(
    *,
    data: DataDir = None,
    as_json: AsJson = False,
    counters: Annotated[bool, typer.Option("--counters", help="Show all counters, too.")] = False,
) -> None:
    """Show how the gateway, its feeds and its devices are."""
    with common.client(data) as client:
        found = client.status()
        feeds = client.feeds()
        devices = client.devices()
        announced = client.announced
    if as_json:
        common.show_json(
            {
                **found.model_dump(),
                "api": announced.url,
                "broker_address": announced.broker.model_dump(),
                "pid": announced.pid,
                "feeds": [feed.model_dump() for feed in feeds],
                "devices": [device.model_dump() for device in devices],
            }
        )
        return
    typer.echo(f"The gateway runs with {common.chosen(data)}, process {announced.pid}.")
    typer.echo(f"  broker    {announced.broker.host}:{announced.broker.port}, {found.broker}")
    typer.echo(f"  HTTP API  {announced.url}")
    for problem in found.problems:
        typer.echo(f"  PROBLEM   {problem}")
    typer.echo()
    if feeds:
        common.show_table(
            [{"feed": feed.name, "items": feed.items} for feed in feeds], right=["items"]
        )
    else:
        typer.echo(
            f"There is no feed yet. 'gateway feed add FEED{common.data_option(data)}' makes one."
        )
    typer.echo()
    if devices:
        now = int(time.time())
        common.show_table(
            [row for device in devices for row in _rows(device, now)], right=["changes since"]
        )
    else:
        typer.echo(
            "There is no device yet."
            f" 'gateway device add ID --feed FEED{common.data_option(data)}' enrols one."
        )
    if counters and found.counters:
        typer.echo()
        common.show_table(
            [{"since the start": name, "count": count} for name, count in found.counters.items()],
            right=["count"],
        )


def _rows(device: "Device", now: int) -> list[dict[str, object]]:
    return [
        {
            "device": device.id,
            "feed": replica.feed,
            "online": "yes" if device.online else "no",
            "last sync": common.time_text(replica.synced_at)
            + (" (stale)" if replica.synced_at and now - replica.synced_at > STALE_S else ""),
            "changes since": common.behind_text(replica),
        }
        for replica in device.replicas
    ]
