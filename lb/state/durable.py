"""Files that are there whole or not at all: replaced in one step, on disk when the call returns, mode 0600."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_BEFORE = ".before"


def write(path: str, raw: bytes) -> None:
    """OSError leaves ``path`` as it was."""
    with replaced(path, raw):
        pass


@contextmanager
def replaced(path: str, raw: bytes) -> Iterator[None]:
    """``path`` holds ``raw`` from the block on; what it held before if the block raises. Undoing takes no room."""
    name = staged(path, raw)
    before = path + _BEFORE
    with contextlib.suppress(FileNotFoundError):
        os.unlink(before)  # of somebody who was killed in here
    try:
        with contextlib.suppress(FileNotFoundError):
            os.link(path, before)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
    _sync_folder(path)
    try:
        yield
    except BaseException:
        try:
            os.replace(before, path)
        except FileNotFoundError:
            os.unlink(path)
        raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(before)


def staged(path: str, raw: bytes) -> str:
    """A file beside ``path`` with that content, on disk; the caller renames or unlinks it."""
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".lb-", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return name


def _sync_folder(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def without_waiting(path: str, flags: int) -> int:
    """An opener that does not wait for the other end of a FIFO that somebody put where a file belongs."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
