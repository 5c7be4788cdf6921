"""The segment as a file: checked before it is mapped, put in place in one step.

Reads and writes with ``pread``/``pwrite`` only, because touching a mapping of a truncated file
kills the process with SIGBUS. Knows the header, not what the cells behind it mean.
"""

from __future__ import annotations

import glob
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from lb.state import layout, locks
from lb.state.process import start_ticks

MAX_SLOTS, MAX_COLUMNS = 1 << 16, 1 << 20
"""More than this in a header is damage, not a size."""
_HEADER = struct.Struct("=6q")
_OPEN_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class SegmentError(Exception):
    """The segment cannot be used; the text says which file and why, for a log line."""


class Geometry(NamedTuple):
    """How many slots and columns a segment has; every offset follows from it."""

    slots: int
    columns: int

    @property
    def size_bytes(self) -> int:
        return 8 * layout.column_offset(self.columns, self.slots)


def open_checked(path: str) -> tuple[int, Geometry]:
    """A descriptor and the geometry of a file that is safe to map. SegmentError otherwise."""
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise SegmentError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        return fd, read_geometry(fd, path)
    except BaseException:
        os.close(fd)
        raise


def read_geometry(fd: int, path: str) -> Geometry:
    """The header's numbers, once they are plausible and the file is really that long."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
        raise SegmentError(f"{path}: not a plain file of this user")
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        raise SegmentError(f"{path}: too short for a header: {len(head)} bytes")
    magic, version, slots, columns, _, _ = _HEADER.unpack(head)
    if magic != layout.MAGIC:
        raise SegmentError(f"{path}: not a segment: its magic number is {magic:#x}")
    if version != layout.VERSION:
        raise SegmentError(f"{path}: version {version}, this program needs {layout.VERSION}")
    if not (1 <= slots <= MAX_SLOTS and 0 <= columns <= MAX_COLUMNS):
        raise SegmentError(f"{path}: damaged header: {slots} slots, {columns} columns")
    geometry = Geometry(slots, columns)
    if status.st_size < geometry.size_bytes:
        raise SegmentError(f"{path}: truncated: {status.st_size} of {geometry.size_bytes} bytes")
    return geometry


def reserve(fd: int, size_bytes: int) -> None:
    """Make the file at least this long, with memory behind it.

    Not ``ftruncate``: that could shrink the file under somebody's feet, and on a full /dev/shm it
    succeeds and the first write then dies of SIGBUS. This fails here, with ENOSPC.
    """
    os.posix_fallocate(fd, 0, size_bytes)


def place(path: str, geometry: Geometry, generation: int) -> bool:
    """Put an empty segment at ``path``, whole or not at all.

    A missing file is added; one that is damaged or has fewer slots is replaced. False: somebody
    else was quicker, look again. OSError if the directory has no room or is not ours to write.
    """
    with _temporary(path) as (fd, name):
        reserve(fd, geometry.size_bytes)
        os.pwrite(fd, _HEADER.pack(layout.MAGIC, layout.VERSION, *geometry, generation, 0), 0)
        try:
            os.link(name, path)
            return True
        except FileExistsError:
            return _replace(path, name, geometry)


@contextmanager
def _temporary(path: str) -> Iterator[tuple[int, str]]:
    """A new file beside ``path`` that is gone afterwards unless it was renamed."""
    _sweep(path)
    name = f"{path}.{os.getpid()}.tmp"
    fd = os.open(name, _OPEN_FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield fd, name
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(name)


def _sweep(path: str) -> None:
    """Remove what creators that were killed half-way have left."""
    for name in glob.glob(f"{glob.escape(path)}.*.tmp"):
        pid = name.removeprefix(f"{path}.").removesuffix(".tmp")
        if pid.isascii() and pid.isdigit() and start_ticks(int(pid)) is None:
            with suppress(FileNotFoundError):  # somebody else sweeps too
                os.unlink(name)


def _replace(path: str, name: str, geometry: Geometry) -> bool:
    """Rename over what is at ``path``, if under its lock it still is not good enough.

    If the lock's holder is stopped we go ahead after a while: at worst two replace one after the
    other, and whoever mapped the first notices by ``Segment.is_stale``.
    """
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError:  # a symbolic link, a file of somebody else: rename decides whether we may
        os.rename(name, path)
        return True
    try:
        locks.lock_within(fd, locks.REPLACE_BYTE)
        if not is_same_file(fd, path) or _is_enough(fd, path, geometry):
            return False
        os.rename(name, path)
        return True
    finally:
        os.close(fd)


def _is_enough(fd: int, path: str, wanted: Geometry) -> bool:
    try:
        return read_geometry(fd, path).slots >= wanted.slots
    except SegmentError:
        return False


def is_same_file(fd: int, path: str) -> bool:
    """Whether ``path`` still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
