"""The snapshot file: how a validated configuration reaches workers and the controller.

JSON by msgspec, straight from and to the values of ``lb.model``. Read in every worker, so this
module must not know YAML, pydantic or how a configuration is validated.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lb.errors import ConfigError
from lb.model import Snapshot
from lb.structs import msgspec

SCHEMA = 1
"""The only major this code reads and writes; raised when an older reader would misread a field."""
COPY_SUFFIX = ".bak"
"""A second file of the same content beside each snapshot, for the day the first one is damaged or gone."""


class _Envelope(msgspec.Struct):
    schema: int


class Found(NamedTuple):
    """``problem``: why it comes from the copy, in one line; empty if it does not."""

    snapshot: Snapshot
    problem: str = ""


def read_or_copy(path: str) -> Found:
    """For whoever has no snapshot yet and must not stay without one: ``path``, or else its copy.

    The copy, not the generation before: what is started from it serves what was in force, and counts as
    being on it. ConfigError with what is wrong with ``path`` if the copy cannot be read either.
    """
    try:
        return Found(read(path))
    except ConfigError as error:
        with suppress(ConfigError):
            return Found(read(path + COPY_SUFFIX), f"{error}; its copy {path + COPY_SUFFIX} is in force")
        raise


def read(path: str) -> Snapshot:
    """The snapshot in ``path``. ConfigError if it is missing, damaged or from another major.

    Safe at any moment: writers replace the file by rename, so a reader sees one whole version.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot read snapshot: {error.strerror}"]) from error
    return _decode(raw, path)


def _decode(raw: bytes, path: str) -> Snapshot:
    try:
        schema = msgspec.json.decode(raw, type=_Envelope).schema
        if schema != SCHEMA:
            raise ConfigError([f"{path}: snapshot has schema {schema}, this version of lb reads schema {SCHEMA}"])
        return msgspec.json.decode(raw, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: damaged snapshot: {error}"]) from error


def write(path: str, snapshot: Snapshot) -> None:
    """Replace ``path`` in one step, then its copy, both mode 0600 (they may hold the admin token).

    They are on disk when this returns. OSError (disk full, no right to write) leaves the old files as
    they were.
    """
    if snapshot.schema != SCHEMA:
        raise ConfigError([f"{path}: cannot write a snapshot of schema {snapshot.schema}"])
    raw = encode(snapshot)
    with _staged(path, raw) as first, _staged(path, raw) as second:
        os.replace(first, path)
        os.replace(second, path + COPY_SUFFIX)
    _sync_folder(os.path.dirname(path) or ".")


def encode(snapshot: Snapshot) -> bytes:
    """As it stands in the file."""
    return msgspec.json.encode(snapshot)


@contextmanager
def _staged(path: str, raw: bytes) -> Iterator[str]:
    """A file beside ``path`` that is on disk; gone afterwards unless it was renamed."""
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".snapshot-", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _sync_folder(folder: str) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
