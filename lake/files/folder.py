"""Photographs in a folder. A link that leads out of it is named, not followed, unless that is asked for."""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.errors import SourceError
from lake.files import (
    File,
    RefusedFileError,
    composed,
    frames,
    is_hidden,
    is_image_name,
    modified_ns,
    printable,
    refuse_too_large,
)

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY
# Without blocking: a pipe that has taken a file's place since the listing would hold the reader for ever.
_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class FolderFiles:
    """All files below a folder, ordered by the parts of their paths.

    Two names that differ only in how they write é have one ``file_name``; both are listed.
    """

    folder: Path
    follow_links: bool = False  # also out of the folder; a link to a place inside of it is always followed
    apart: Path | None = None  # a folder inside of it that is not looked into: taxalake's own

    @property
    def uri(self) -> str:
        """The folder, absolute, without links on its way."""
        return str(self.folder.resolve())

    def listing(self, folders: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the files as ``lake.files.Files`` says it. Holds the names of one folder at a time, and of those above.

        Raises:
            SourceError: If there is no such folder, or it cannot be listed.
        """
        root = self.uri
        if printable(root) != root:
            raise SourceError(f"the bytes of the path {printable(root)} are no UTF-8: rename the folder")
        top = root.rstrip("/") + "/"
        try:
            first = _entered(top, top, None)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError(f"there is no folder {self.folder}: {error.strerror}") from error
        except OSError as error:
            raise SourceError(f"the folder {self.folder} cannot be listed: {error.strerror}") from error
        return frames(self._rows(first, folders))

    def read(self, file: File) -> bytes:
        """Return the bytes of a file as ``lake.files.Files`` says it."""
        refuse_too_large(file)
        try:
            held = _open(file.location, _OPEN_FILE)
            try:
                _refuse_changed(held, file)
                content = os.read(held, file.byte_count)
                # One call reads all of it, but on some network file systems.
                while len(content) < file.byte_count and (more := os.read(held, file.byte_count - len(content))):
                    content += more
                # Again: what was overwritten while it was read is half of each.
                _refuse_changed(held, file)
            finally:
                os.close(held)
        except OSError as error:
            raise RefusedFileError("cannot_be_opened", f"the file cannot be read: {error.strerror}") from error
        if len(content) != file.byte_count:
            raise RefusedFileError("changed_while_reading", f"{len(content):,} of {file.byte_count:,} bytes are there")
        return content

    def _rows(self, first: "_Folder", folders: Collection[str] | None) -> Iterator[tuple[object, ...]]:
        top = first.path
        apart = None if self.apart is None else str(self.apart.resolve())
        trail = [first]  # not a recursion: a path may have more parts than Python has frames
        while trail:
            here = trail[-1]
            name = next(here.names, None)
            if name is None:
                trail.pop()
                continue
            path = here.path + name
            if path == apart:
                continue
            try:
                status, target = (None, None) if name in here.subfolders else _looked_at(path)
            except OSError as error:
                if _is_asked_for(trail, "", folders):
                    yield _row(top, path, None, "unreadable", f"the file cannot be read: {error.strerror}")
                continue
            is_folder = status is None or stat.S_ISDIR(status.st_mode)
            if not _is_asked_for(trail, composed(name) if is_folder else "", folders):
                continue
            if target is not None and not self.follow_links and not f"{target}/".startswith(top):
                detail = f"it is a link to {printable(target)}; follow_links takes it in"
                yield _row(top, path, None, "link_outside_root", detail)
            elif is_folder:
                try:
                    child = _child(trail, name, target)
                except OSError as error:
                    detail = f"the folder cannot be listed: {error.strerror}"
                    yield _row(top, path, None, "folder_unreadable", detail, is_folder=True)
                    continue
                if child is not None:
                    trail.append(child)
            elif status is not None and not stat.S_ISREG(status.st_mode):
                yield _row(top, path, None, "not_a_file", "it is a pipe, a socket or a device")
            else:
                yield _row(top, path, status)


@dataclass(frozen=True)
class _Folder:
    """A folder that is being listed. Paths end with a slash."""

    path: str  # by way of the links
    real: str
    names: Iterator[str]  # those that are still to come
    subfolders: frozenset[str]  # of the names, without links
    behind: set[str] | None  # real paths of what has been entered behind the first link on the way; None: there is none


def _entered(path: str, real: str, behind: set[str] | None) -> _Folder:
    held = _open(path, _OPEN_FOLDER)
    try:
        names, subfolders = [], set()
        with os.scandir(held) as entries:
            for entry in entries:
                if not is_hidden(entry.name):
                    names.append(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        subfolders.add(entry.name)
    finally:
        os.close(held)
    names.sort()
    # The same order wherever the folder lies; by the bytes only where two names are one.
    names.sort(key=composed)
    return _Folder(path, real, iter(names), frozenset(subfolders), behind)


def _child(trail: list[_Folder], name: str, target: str | None) -> _Folder | None:
    """Enter a folder; None where a link leads back to it.

    Behind a link every folder is entered once: a few folders that link to one another have millions of paths.
    """
    here = trail[-1]
    real = f"{here.real}{name}/" if target is None else target.rstrip("/") + "/"
    behind = here.behind
    if target is not None or behind is not None:
        behind = set() if behind is None else behind
        if real in behind or any(real == folder.real for folder in trail):
            return None
        behind.add(real)
    return _entered(f"{here.path}{name}/", real, behind)


def _looked_at(path: str) -> tuple[os.stat_result, str | None]:
    """Return what a path is, or leads to, and where to if it is a link."""
    status = _status(path)
    if not stat.S_ISLNK(status.st_mode):
        return status, None
    there = Path(path)
    return there.stat(), str(there.resolve())


def _is_asked_for(trail: list[_Folder], outermost: str, folders: Collection[str] | None) -> bool:
    return folders is None or len(trail) > 1 or outermost in folders


def _row(
    top: str,
    path: str,
    status: os.stat_result | None,
    kind: str | None = None,
    detail: str | None = None,
    is_folder: bool = False,
) -> tuple[object, ...]:
    name = path[len(top) :]
    text = printable(name)
    if text != name:
        kind, detail = "name_not_text", "the bytes of its name are no UTF-8: rename it"
    size, modified = (None, None) if status is None else (status.st_size, modified_ns(status))
    is_image = not is_folder and is_image_name(text)
    return composed(text), top + text, size, modified, None, is_image, kind, detail


def _refuse_changed(held: int, file: File) -> None:
    status = os.fstat(held)
    found = (status.st_size, modified_ns(status))
    if not stat.S_ISREG(status.st_mode) or found != (file.byte_count, file.modified_ns):
        raise RefusedFileError(
            "changed_while_reading",
            f"listed with {file.byte_count:,} bytes, changed at {file.modified_ns} ns; "
            f"found with {found[0]:,} bytes, changed at {found[1]} ns",
        )


def _open(path: str, flags: int) -> int:
    """Open a path, part by part where it is longer than the system takes at once (4,096 bytes)."""
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    root, *parts = Path(path).parts
    held = os.open(root, _OPEN_FOLDER)
    for place, part in enumerate(parts, start=1):
        try:
            following = os.open(part, flags if place == len(parts) else _OPEN_FOLDER, dir_fd=held)
        finally:
            os.close(held)
        held = following
    return held


def _status(path: str) -> os.stat_result:
    """Return what a path itself is, of any length."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    folder, _, name = path.rpartition("/")
    held = _open(folder, _OPEN_FOLDER)
    try:
        return os.stat(name, dir_fd=held, follow_symlinks=False)
    finally:
        os.close(held)
