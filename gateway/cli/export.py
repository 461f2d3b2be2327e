"""``gateway export``: a feed's items as files."""

import contextlib
import hashlib
import mimetypes
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.api_errors import ApiError
from gateway.cli import common
from gateway.cli.common import EXIT_FAILED, AsJson, CommandError, DataDir, FeedArgument

if TYPE_CHECKING:
    from gateway.api_models import Attributes
    from gateway.client import GatewayClient

_SUFFIXES: Final = {
    "text/vcard": ".vcf",
    "text/calendar": ".ics",
    "message/rfc822": ".eml",
    "text/plain": ".txt",
}
_SUFFIX_UNKNOWN: Final = ".bin"
_SLUG_CHARS_MAX: Final = 40
_HASH_HEX_CHARS: Final = 12
_PUNCTUATION: Final = " ._-"


def export(
    feed: FeedArgument,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for the files; made if need be.")
    ],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that have other contents.")
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Write the items of a feed to files, byte for byte, each to its own.

    The file of an item always has the same name, so that another export writes only what is new.
    A file that is there with other contents is left alone, unless --overwrite is given.
    """
    written = unchanged = 0
    left: list[str] = []
    with common.client(data) as client:
        try:
            for item in client.items(feed):
                path = directory / file_path(item)
                if _holds(path, item):
                    unchanged += 1
                elif os.path.lexists(path) and not overwrite:
                    left.append(str(path))
                elif _write(client, feed, item, path):
                    written += 1
        except OSError as error:
            raise CommandError(
                f"{error.filename or directory} cannot be written: {error.strerror}"
            ) from error
    if as_json:
        common.show_json({"written": written, "unchanged": unchanged, "left": left})
    else:
        for path_text in left:
            typer.echo(f"left  {path_text}: there is such a file with other contents")
        typer.echo(
            f"{common.count_text(written, 'file')} written to {directory},"
            f" {unchanged:,} there already"
            + (f", {len(left):,} left: --overwrite replaces them." if left else ".")
        )
    return EXIT_FAILED if left else 0


def file_path(item: "Attributes") -> Path:
    """Where an item goes, below the folder of the export, whatever its id and folder are."""
    digest = hashlib.sha256(item.id.encode()).hexdigest()[:_HASH_HEX_CHARS]
    suffix = (
        _SUFFIXES.get(item.media_type)
        or mimetypes.guess_extension(item.media_type)
        or _SUFFIX_UNKNOWN
    )
    parents = [_folder_name(name) for name in item.folder.split("/")] if item.folder else []
    return Path(*parents, f"{_slug(item.id)}-{digest}{suffix}".lstrip("-"))


def _folder_name(name: str) -> str:
    slug = _slug(name)
    if slug == name:
        return name
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:_HASH_HEX_CHARS]}".lstrip("-")


def _slug(text: str) -> str:
    """`text` as part of a file name: no separators, nothing hidden, of bounded length."""
    plain = "".join(char if char.isalnum() or char in _PUNCTUATION else "-" for char in text)
    return plain[:_SLUG_CHARS_MAX].strip(_PUNCTUATION)


def _holds(path: Path, item: "Attributes") -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != item.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == item.digest
    except OSError:
        return False


def _write(client: "GatewayClient", feed: str, item: "Attributes", path: Path) -> bool:
    """Write the file, whole or not at all; False if the item was deleted meanwhile."""
    try:
        content = client.content(feed, item.id).content
    except ApiError as error:
        if error.reason == "no-such-item":
            return False
        raise
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".export-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return True
