"""Where the names of backends last led to, in a file: for workers that start while nobody can be asked.

Each worker writes all that it knows; they know the same. Nothing waits for the disk, and nothing depends on it: without the
file a name has no address until it resolves, as on the first start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from lb.config.addresses import Found, backends_only

NAME = "addresses.json"
MOST_AGE_S = 86_400.0
"""Since somebody last knew them to be in use; stale answers are good for one to three days (RFC 8767 section 5)."""
_File = dict[str, list[tuple[int, list[Any]]]]


class NameFile:
    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, NAME)

    def read(self) -> dict[tuple[str, int], Found]:
        """By host and port; nothing of a file that is missing, damaged or old."""
        try:
            if time.time() - os.stat(self._path).st_mtime > MOST_AGE_S:
                return {}
            with open(self._path, "rb") as file:
                return dict(map(_decoded, msgspec.json.decode(file.read(), type=_File).items()))
        except (OSError, ValueError, IndexError):
            return {}

    def write(self, known: Mapping[tuple[str, int], Found]) -> None:
        """Replace it, or leave it as it was where that cannot be."""
        staged = f"{self._path}.{os.getpid()}"
        try:
            with open(staged, "wb") as file:
                file.write(msgspec.json.encode({f"{host}:{port}": found for (host, port), found in known.items()}))
            os.replace(staged, self._path)
        except OSError:
            return

    def confirm(self) -> None:
        """What it says is still in use."""
        try:
            os.utime(self._path)
        except OSError:
            return


def _decoded(item: tuple[str, list[tuple[int, list[Any]]]]) -> tuple[tuple[str, int], Found]:
    name, found = item
    host, _, port = name.rpartition(":")
    return (host, int(port)), backends_only(tuple((family, tuple(address)) for family, address in found))
