"""``gateway demo``: gateway, broker and devices in one process, over a bad link."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.common import AsJson, CommandError

DEVICES_MAX: Final = 50
CHANGES_MAX: Final = 100_000
# Those of `gateway.demo.views`, and the default.
VIEWS_DEVICES: Final = 5


def demo(
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder to import instead of the sample."),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, max=DEVICES_MAX, help="How many devices take part.")
    ] = VIEWS_DEVICES,
    loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of notifications that get lost.")
    ] = 0.3,
    away: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the time that devices are away.")
    ] = 0.2,
    changes: Annotated[
        int, typer.Option(min=0, max=CHANGES_MAX, help="How many items change.")
    ] = 500,
    seed: Annotated[
        int,
        typer.Option(help="The same seed draws the same changes and losses; timing differs."),
    ] = 1,
    views: Annotated[
        bool, typer.Option("--views", help="Five devices, each of which wants something else.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show the whole in one go: import, change, lose, sync, compare.

    Needs no gateway, and leaves nothing behind.

    With --views there are a pager with the first bytes of compact cards, one with heads of mail
    only, one with the last 30 days, one with the folder Inbox, and one with everything; changes
    bring items into these views and out of them, and what each device holds is compared with what
    its view shows of the feed.

    The columns of the summary, for each device: items that it holds; pushed: notifications sent;
    came: those received; resent: changes sent again at a sync; lacked: of these, how many it really
    lacked; rests: remainders of contents; syncs: requests; bytes: of all payloads, K and M being
    1024 and 1024 times that.
    """
    if views and devices != VIEWS_DEVICES:
        raise typer.BadParameter(f"--views has {VIEWS_DEVICES} devices: leave out --devices")
    from gateway.demo.main import DemoError, Options, run_demo  # noqa: PLC0415 - heavy
    from gateway.run import RunError  # noqa: PLC0415 - heavy
    from gateway.settings import SettingsError  # noqa: PLC0415 - heavy

    options = Options(
        devices=devices, loss=loss, away=away, changes=changes, seed=seed, views=views
    )
    try:
        return run_demo(options, data, as_json=as_json)
    except SettingsError as error:
        raise CommandError(*error.lines) from error
    except (DemoError, RunError) as error:
        raise CommandError(str(error)) from error
