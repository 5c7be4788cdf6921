"""The copy of the geo database that workers map, in ``state.dir``.

The file a configuration names belongs to somebody else: an update that writes it in place would pull a mapping's pages
away and kill a worker with SIGBUS. So it is read, checked and put beside its copy's place, and only renamed into it: a
mapping of the last copy stays whole until nobody uses it, and workers share the memory. A file that cannot be used
leaves the last copy as it is, over restarts too. The copy's name follows from the file's path.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from glob import escape, glob
from typing import TYPE_CHECKING

from lb.state import durable

if TYPE_CHECKING:
    from lb.geo.database import Database

MAX_BYTES = 512 << 20
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # opening a pipe would wait for its writer

Signature = tuple[int, ...]
"""Of a file as it is now; empty if there is none."""


class GeoFileError(Exception):
    """There is no new copy; the text says why, for a log line."""


def signature(path: str) -> Signature:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def copy_path(source: str, state_dir: str) -> str:
    return os.path.join(state_dir, f"geo-{hashlib.sha256(os.fsencode(source)).hexdigest()[:12]}.mmdb")


def renew(source: str, state_dir: str) -> None:
    """The copy is what ``source`` is now. GeoFileError: it stays what it was. Some 50 ms, of which most is the disk's."""
    copy = copy_path(source, state_dir)
    raw = _read(source)
    if _holds(copy, raw):
        return
    try:
        staged = durable.staged(copy, raw)
    except OSError as error:
        raise GeoFileError(f"{copy} cannot be written: {error.strerror}") from error
    try:
        _check(staged, source)
        os.replace(staged, copy)
    except OSError as error:
        raise GeoFileError(f"{copy} cannot be replaced: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(staged)


def remove_others(source: str, state_dir: str) -> None:
    """Copies of files that the configuration named before; ``source`` empty: all."""
    kept = copy_path(source, state_dir) if source else ""
    for path in glob(f"{escape(state_dir)}/geo-*.mmdb"):
        if path != kept:
            with suppress(OSError):
                os.unlink(path)


def open_copy(source: str, state_dir: str) -> Database:
    """DatabaseError if there is none yet. The import is left to those that have a database."""
    from lb.geo.database import Database

    return Database(copy_path(source, state_dir))


def built_s(source: str, state_dir: str) -> int | None:
    """When the database of the copy was built, in seconds since 1970; None if there is no copy."""
    from lb.geo.database import DatabaseError

    try:
        database = open_copy(source, state_dir)
    except DatabaseError:
        return None
    try:
        return database.built_s
    finally:
        database.close()


def _read(source: str) -> bytes:
    try:
        fd = os.open(source, _READ_FLAGS)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise GeoFileError(f"{source} is not a file")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise GeoFileError(f"{source} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise GeoFileError(f"{source} is larger than {MAX_BYTES >> 20} MiB")
    return raw


def _holds(path: str, raw: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == len(raw) and file.read() == raw
    except OSError:
        return False


def _check(staged: str, source: str) -> None:
    from lb.geo.database import DatabaseError, check

    try:
        check(staged)
    except DatabaseError as error:
        raise GeoFileError(f"{source} {error}") from error
