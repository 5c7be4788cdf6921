"""Where the names of backends last led to, in a file: for workers that start while nobody can be asked.

Each worker writes all that it knows; they know the same. Nothing waits for the disk, and nothing depends on it: without the
file a name has no address until it resolves, as on the first start.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Mapping

from lb.config.addresses import Found, backends_only
from lb.state.durable import without_waiting
from lb.structs import msgspec

NAME = "addresses.json"
MOST_AGE_S = 86_400.0
"""Since somebody last knew them to be in use; stale answers are good for one to three days (RFC 8767 section 5)."""
MOST_BYTES = 16 << 20
"""Ten thousand names of a dozen addresses each have 5 MB."""
_Entry = list[tuple[int, list[str | int]]]
_File = dict[str, _Entry]
_NUMBERS = {socket.AF_INET: (0xFFFF,), socket.AF_INET6: (0xFFFF, 0xFFFFF, 0xFFFFFFFF)}
"""The most that may stand behind the host: the port, then the flow and the zone."""


class NameFile:
    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, NAME)

    def read(self) -> dict[tuple[str, int], Found]:
        """By host and port; nothing of a file that is missing, damaged, old, or not one of ours. Never waits."""
        try:
            with open(self._path, "rb", opener=without_waiting) as file:
                status = os.fstat(file.fileno())
                is_old = time.time() - status.st_mtime > MOST_AGE_S
                if is_old or not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                    return {}
                return dict(map(_decoded, msgspec.json.decode(file.read(MOST_BYTES), type=_File).items()))
        except (OSError, ValueError):
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


def _decoded(item: tuple[str, _Entry]) -> tuple[tuple[str, int], Found]:
    name, found = item
    host, _, port = name.rpartition(":")
    if not found:
        raise ValueError(f"{name}: no address")
    return (host, int(port)), backends_only(tuple(_address(family, parts, int(port)) for family, parts in found))


def _address(family: int, parts: list[str | int], port: int) -> tuple[int, tuple[str | int, ...]]:
    """OSError or ValueError unless one can be connected to it as it stands: nothing in it is looked up again."""
    host, *numbers = parts or [""]
    most = _NUMBERS.get(family, ())  # type: ignore[call-overload]
    if not isinstance(host, str) or len(numbers) != len(most) or not numbers or numbers[0] != port:
        raise ValueError(f"{parts} is no address")
    if not all(isinstance(number, int) and 0 <= number <= bound for number, bound in zip(numbers, most, strict=True)):
        raise ValueError(f"{parts} is no address")
    socket.inet_pton(family, host.partition("%")[0])
    return family, (host, *numbers)
