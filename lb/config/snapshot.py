"""The snapshot file: how a validated configuration reaches workers and the controller.

JSON by msgspec, straight from and to the values of ``lb.model``. Read in every worker, so this
module must not know YAML, pydantic or how a configuration is validated.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from lb.errors import ConfigError
from lb.model import Snapshot

SCHEMA = 1
"""The only major this code reads and writes; raised when an older reader would misread a field."""


class _Envelope(msgspec.Struct):
    schema: int


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
    """Replace ``path`` in one step, mode 0600 (it may hold the admin token).

    It is on disk when this returns. OSError (disk full, no right to write) leaves the old file as
    it was.
    """
    if snapshot.schema != SCHEMA:
        raise ConfigError([f"{path}: cannot write a snapshot of schema {snapshot.schema}"])
    folder = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".snapshot-", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(msgspec.json.encode(snapshot))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
