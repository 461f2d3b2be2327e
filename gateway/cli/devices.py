"""``gateway device``: the devices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common, credentials, views
from gateway.cli.common import AsJson, DataDir
from gateway.cli.credentials import Out, Qr
from gateway.cli.views import Days, Folders, ItemBytes, Kinds

if TYPE_CHECKING:
    from gateway.api_models import Enrolled

app: Final = typer.Typer(help="Add, list, show, limit, rotate, resync and remove devices.")

DeviceArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the device.")]
Feeds = Annotated[
    list[str], typer.Option("--feed", metavar="FEED", help="A feed it may hold; can be repeated.")
]


@app.command("add")
def add(
    device: DeviceArgument,
    feed: Feeds,
    *,
    kind: Kinds = None,
    folder: Folders = None,
    days: Days = None,
    item_bytes_max: ItemBytes = None,
    out: Out = None,
    qr: Qr = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a device, and show its credential, which 'device-agent enroll' takes there.

    It is shown this once: the gateway keeps only a hash of the password in it.

    What the device may see of its feeds holds whatever it asks for; 'gateway device limit' changes
    it.
    """
    allowed = views.allowed(kind, folder, days=days, item_bytes_max=item_bytes_max)
    with common.client(data) as client:
        found = credentials.enrolled(
            lambda: client.add_device(device, feed, allowed=allowed), out=out
        )
        announced = client.announced
    if as_json:
        common.show_json(_for_programs(found, out))
        return
    typer.echo(f"The device {found.id} is enrolled.")
    credentials.show(found, announced, out=out, qr=qr)


@app.command("rotate")
def rotate(
    device: DeviceArgument,
    *,
    out: Out = None,
    qr: Qr = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a device a new credential, and shut the old one out at once.

    The device stays the same, with what it holds: nothing is sent again.
    """
    with common.client(data) as client:
        found = credentials.enrolled(lambda: client.rotate_device(device), out=out)
        announced = client.announced
    if as_json:
        common.show_json(_for_programs(found, out))
        return
    typer.echo(f"The device {found.id} has a new credential; the old one is worth nothing.")
    credentials.show(found, announced, out=out, qr=qr)


def _for_programs(found: "Enrolled", out: Path | None) -> dict[str, object]:
    secrets = {"credential", "line"} if out is not None else None
    return found.model_dump(exclude=secrets)


@app.command("list")
def list_(*, data: DataDir = None, as_json: AsJson = False) -> None:
    """List the devices."""
    with common.client(data) as client:
        devices = client.devices()
    if as_json:
        common.show_json([device.model_dump() for device in devices])
    elif not devices:
        typer.echo("There is no device yet. 'gateway device add ID --feed FEED' enrols one.")
    else:
        common.show_table(
            [
                {
                    "device": device.id,
                    "online": "yes" if device.online else "no",
                    "feeds": ", ".join(replica.feed for replica in device.replicas),
                    "last sync": common.time_text(
                        max(
                            (r.synced_at for r in device.replicas if r.synced_at is not None),
                            default=None,
                        )
                    ),
                }
                for device in devices
            ]
        )
        for device in devices:
            if device.warning is not None:
                typer.echo(f"Warning: {device.id}: {device.warning}.")


@app.command("show")
def show(device: DeviceArgument, *, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show one device: what it may see, its copies of feeds, and what it asks for of each.

    What it asks for is that of its last sync, as far as it is allowed.
    """
    with common.client(data) as client:
        found = client.device(device)
    if as_json:
        common.show_json(found.model_dump())
        return
    typer.echo(f"{found.id} is {'online' if found.online else 'offline'}.")
    if found.warning is not None:
        typer.echo(f"Warning: {found.warning}.")
    common.show_text(f"may see: {views.allowed_text(found.allowed)}", hanging=True)
    if not found.replicas:
        typer.echo("Its feeds were removed. Remove it, and add it again with others.")
        return
    common.show_table(
        [
            {
                "feed": replica.feed,
                "last sync": common.time_text(replica.synced_at),
                "changes since": common.behind_text(replica),
            }
            for replica in found.replicas
        ],
        right=["changes since"],
    )
    for replica in found.replicas:
        if replica.view is not None:
            common.show_text(f"{replica.feed} sees: {views.view_text(replica.view)}", hanging=True)


@app.command("limit")
def limit(
    device: DeviceArgument,
    *,
    kind: Kinds = None,
    folder: Folders = None,
    days: Days = None,
    item_bytes_max: ItemBytes = None,
    all_: Annotated[bool, typer.Option("--all", help="It may see everything.")] = False,
    data: DataDir = None,
) -> None:
    """Say anew what a device may see of its feeds, whatever it asks for.

    A limit that is not named here is gone. With its next sync, at once if it is online, the device
    drops what it may no longer see, and gets what it may see now. What it holds is not sent again.
    """
    limits = (kind, folder, days, item_bytes_max)
    if all_ is any(each not in (None, []) for each in limits):
        raise typer.BadParameter(
            "say what it may see, by --kind, --folder, --days or --item-bytes-max, or --all, and"
            " not both"
        )
    allowed = views.allowed(kind, folder, days=days, item_bytes_max=item_bytes_max)
    with common.client(data) as client:
        client.limit_device(device, allowed)
        online = client.device(device).online
    common.show_text(f"The device {device} may see: {views.allowed_text(allowed)}.", hanging=True)
    when = "now" if online else "when it is back online"
    common.show_text(f"It drops what else it holds, and gets what it lacks of that, {when}.")


@app.command("resync")
def resync(device: DeviceArgument, data: DataDir = None) -> None:
    """Have a device compare all that it holds with its feeds.

    It does so at once if it is online, and else when it is back. What it holds is not sent again.
    """
    with common.client(data) as client:
        client.resync_device(device)
        online = client.device(device).online
    when = "now" if online else "when it is back online"
    typer.echo(f"The device {device} compares all that it holds with its feeds {when}.")


@app.command("remove")
def remove(device: DeviceArgument, data: DataDir = None) -> None:
    """Take a device away, with its credential, and shut it out at once.

    Also one that is not enrolled here any more, and has still an account at the broker.
    """
    with common.client(data) as client:
        is_out = client.remove_device(device)
        by_hand = client.announced.needs_operator
    typer.echo(f"The device {device} was removed, and is not served any more.")
    if by_hand:
        common.show_text(
            "The broker still lets it in. Where 'gateway broker-config' wrote accounts into files,"
            " run the same command again, which is in the first lines of mosquitto.conf, and have"
            " Mosquitto read them (docs/mosquitto.md). At another broker take its account away."
        )
    elif not is_out:
        typer.echo("The broker could not be told, and still lets it in. It is told by itself,")
        typer.echo("when the gateway is connected to it again: 'gateway status' says so.")
