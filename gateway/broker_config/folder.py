"""The folder of a broker's configuration: files that are whole or not there, and of one account."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER_MODE: Final = 0o700
# Of a folder that two accounts write into: with its sticky bit, each changes what is its own.
_SHARED_FOLDER_MODE: Final = 0o1770
_FILE_MODE: Final = 0o600
_UNFINISHED: Final = ".unfinished"
# The accounts of many thousand devices are the largest.
FILE_BYTES_MAX: Final = 256 * 1024 * 1024


class FolderError(Exception):
    """The folder cannot be used; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "Account | None":
        """The account of that name, if there is one."""
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(found.pw_name, found.pw_uid, found.pw_gid)

    @classmethod
    def current(cls) -> "Account":
        """The account that runs this program."""
        uid = os.geteuid()
        try:
            found = pwd.getpwuid(uid)
        except KeyError:
            raise FolderError(
                f"the account with the number {uid} has no name here, and Mosquitto's"
                " configuration names the one that runs it: give it a name in /etc/passwd"
            ) from None
        return cls(found.pw_name, found.pw_uid, found.pw_gid)


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder, which no others can enter than its owner and the account that runs this program.

    Attributes:
        owner: gets what is written for it, and may write here, too; another than the account that
            runs this program only if that is root. Root then believes nothing that it could have
            put here in place of root's own files, or have root copy.
    """

    path: Path
    owner: Account

    @property
    def _is_shared(self) -> bool:
        return self.owner.uid != os.geteuid()

    def make(self) -> None:
        """Make it, if it is not there, and close it to others. The folder above must be there."""
        try:
            self.path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            if self.path.lstat().st_uid not in (self.owner.uid, os.geteuid()):
                raise FolderError(
                    f"{self.path} belongs to another account than {self.owner.name}: move it away,"
                    " or name another folder with --out DIR"
                )
            if self._is_shared:
                os.chown(self.path, os.geteuid(), self.owner.gid)
            self.path.chmod(_SHARED_FOLDER_MODE if self._is_shared else _FOLDER_MODE)
        except OSError as error:
            raise FolderError(f"{self.path} cannot be made or used: {error.strerror}") from error

    def check_reachable(self) -> None:
        """That the owner can come to it through the folders above. FolderError if not."""
        if not self.path.parent.is_dir():
            raise FolderError(f"there is no folder {self.path.parent}: make it first")
        if self.owner.uid in (0, os.geteuid()):
            return
        groups = os.getgrouplist(self.owner.name, self.owner.gid)
        for above in self.path.parents:
            found = above.stat()
            if found.st_uid == self.owner.uid:
                needed = stat.S_IXUSR
            elif found.st_gid in groups:
                needed = stat.S_IXGRP
            else:
                needed = stat.S_IXOTH
            if not found.st_mode & needed:
                raise FolderError(
                    f"the account {self.owner.name}, which is to run Mosquitto, cannot reach"
                    f" {self.path}, because {above} is closed to it: name another folder with --out"
                    " DIR, like /etc/mosquitto/tallysync, or another account with --user NAME"
                )

    def names(self) -> set[str]:
        """The names of what is there, but for what a crash left half written."""
        try:
            names = {each.name for each in self.path.iterdir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise FolderError(f"{self.path} cannot be read: {error.strerror}") from error
        return {name for name in names if not name.endswith(_UNFINISHED)}

    def read(self, name: str, *, for_owner: bool) -> bytes | None:
        """What is in a file that `write` wrote for the same account, or None if it is not there."""
        path = self.path / name
        uid = None
        if self._is_shared:
            uid = self.owner.uid if for_owner else os.geteuid()
        try:
            return read_file(path, uid=uid)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, *, for_owner: bool) -> None:
        """Write a file that one account alone can read, whole or not at all.

        It is the folder's owner's, or of the account that runs this program.
        """
        path = self.path / name
        temporary = self.path / f"{name}{_UNFINISHED}"
        try:
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                if for_owner and self._is_shared:
                    os.fchown(descriptor, self.owner.uid, self.owner.gid)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
            self._sync()
        except OSError as error:
            raise FolderError(f"{path} cannot be written: {error.strerror}") from error

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_file(path: Path, *, uid: int | None = None) -> bytes:
    """What is in a file.

    Args:
        path: of the file.
        uid: whose file it has to be; None is anybody's.

    Raises:
        FileNotFoundError: it is not there.
        FolderError: it cannot be read, is another account's, or is larger than anything that
            belongs here.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            size_bytes = found.st_size
            if uid not in (None, found.st_uid):
                raise FolderError(
                    f"{path} belongs to the account with the number {found.st_uid}, and is to"
                    f" belong to {uid}: somebody may have put it there. If it is the right one,"
                    f" 'chown {uid} {path}'"
                )
            content = file.read() if size_bytes <= FILE_BYTES_MAX else b""
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FolderError(f"{path} cannot be read: {error.strerror}") from error
    if size_bytes > FILE_BYTES_MAX:
        raise FolderError(f"{path} has more than {FILE_BYTES_MAX} bytes: it is another file")
    return content
