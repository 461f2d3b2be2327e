"""What devices may see of their feeds, and what they ask for: options, and words."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.common import CommandError, day_text
from sync_protocol import limits

# Imported where they are used: `--help` must not wait for them.
if TYPE_CHECKING:
    from gateway.api_models import View
    from gateway.device import Allowed

DAYS_MAX: Final = 36_500
_PLURALS: Final[Mapping[str, str]] = {
    "contact": "contacts",
    "event": "events",
    "task": "tasks",
    "mail": "mails",
}
_OPTIONS: Final[Mapping[str, str]] = {
    "kinds": "--kind",
    "folders": "--folder",
    "days_max": "--days",
    "item_bytes_max": "--item-bytes-max",
}

Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="A kind of items that it may see: contact, event, task, mail or another word; can be"
        " repeated.",
        show_default="all",
    ),
]
Folders = Annotated[
    list[str] | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="A folder that it may see, without those below it, '' for the top one; can be"
        " repeated.",
        show_default="all",
    ),
]
Days = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=0,
        max=DAYS_MAX,
        metavar="N",
        help="How many days back it may see; what has no date it may see always.",
        show_default="all",
    ),
]
ItemBytes = Annotated[
    int | None,
    typer.Option(
        "--item-bytes-max",
        min=0,
        max=limits.INTEGER_MAX,
        metavar="N",
        help="Bytes of the largest item that it may see, in the form in which it gets it.",
        show_default="all",
    ),
]


def allowed(
    kinds: Sequence[str] | None,
    folders: Sequence[str] | None,
    *,
    days: int | None,
    item_bytes_max: int | None,
) -> "Allowed":
    """What these options allow. CommandError names the one that is wrong."""
    from pydantic import ValidationError  # noqa: PLC0415 - see TYPE_CHECKING above

    from gateway.device import Allowed  # noqa: PLC0415

    try:
        return Allowed(
            kinds=tuple(dict.fromkeys(kinds)) if kinds else None,
            folders=tuple(dict.fromkeys(folders)) if folders else None,
            days_max=days,
            item_bytes_max=item_bytes_max,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        option = _OPTIONS[str(first["loc"][0])]
        if first["type"] == "too_long":
            most = limits.VIEW_KINDS_MAX if option == "--kind" else limits.VIEW_FOLDERS_MAX
            raise CommandError(f"{option} can be given {most} times at most") from error
        raise CommandError(f"{option}: {first['msg'].removeprefix('Value error, ')}") from error


def allowed_text(allowed: "Allowed") -> str:
    """What a device may see, in words."""
    return _text(
        [
            *_kinds(allowed.kinds, {}),
            *_folders(allowed.folders),
            *([] if allowed.days_max is None else [_days(allowed.days_max)]),
            *_item_size(allowed.item_bytes_max),
        ]
    )


def view_text(view: "View") -> str:
    """What a device asked for, in words; a day is that of the user's time zone."""
    if view.kinds == () or view.folders == ():
        return "nothing: it may see nothing of what it asks for"
    return _text(
        [
            *_kinds(view.kinds, view.shown_as),
            *_folders(view.folders),
            *([] if view.since is None else [f"since {day_text(view.since)}"]),
            *([] if view.portion_bytes is None else [f"portions of {_size(view.portion_bytes)}"]),
            *_item_size(view.item_bytes_max),
        ]
    )


def _text(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "everything"


def _kinds(kinds: Sequence[str] | None, shown_as: Mapping[str, str]) -> list[str]:
    if kinds is None:
        return ["all kinds", *_kinds(tuple(shown_as), shown_as)] if shown_as else []
    return [
        _PLURALS.get(kind, f"{kind} items") + (f" as {shown_as[kind]}" if kind in shown_as else "")
        for kind in kinds
    ]


def _folders(folders: Sequence[str] | None) -> list[str]:
    # Quoted as somebody would write them after --folder: the top one is '', and some have commas.
    return [f"folder {shlex.quote(folder)}" for folder in folders or ()]


def _days(days: int) -> str:
    if not days:
        return "from today on"
    return f"from {days} day{'' if days == 1 else 's'} ago on"


def _item_size(bytes_max: int | None) -> list[str]:
    return [] if bytes_max is None else [f"items up to {_size(bytes_max)}"]


def _size(size_bytes: int) -> str:
    """A size as somebody set it, so not rounded."""
    if size_bytes and size_bytes % limits.MIB == 0:
        return f"{size_bytes // limits.MIB} MiB"
    if size_bytes % limits.KIB == 0 and size_bytes >= 10 * limits.KIB:
        return f"{size_bytes // limits.KIB} KiB"
    return f"{size_bytes} B"
