"""Which backend a client was given last: a table of a fixed size that all workers of a machine share.

A cell is one 64-bit number, read and written whole, so there is no lock and none is ever half written: of the
client's digest what the cell's place does not say, the backend, and when the client was last seen. Eight
cells that lie together are the places of one client; who comes to full ones takes the place of whoever was seen
longest ago. So memory is bounded, and an attacker with many addresses can make others be forgotten, no more.

Not exact: two requests of a new client that come to two workers in the same moment may both be new, and the later one
counts from then on; one client in some 100,000 is taken for another one, and shares its backend.
"""

from __future__ import annotations

import logging
import mmap
import os
from array import array
from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Final

from lb.state.segment_file import reserve

WAYS: Final = 8
SETS: Final = 1 << 14
CELLS: Final = SETS * WAYS
"""131,072 clients of a machine, 1 MiB."""
TAG_BITS: Final = 20
OWNER_BITS: Final = 28
TIME_BITS: Final = 15
UNIT_S: Final = 2.0
LONGEST_S: Final = 12 * 3600.0
"""Times are counted modulo 18 hours."""
_TAG_SHIFT: Final = OWNER_BITS + TIME_BITS
_OWNERS: Final = (1 << OWNER_BITS) - 1
_TIMES: Final = (1 << TIME_BITS) - 1
_log = logging.getLogger("lb.clients")


def open_table(path: str) -> memoryview:
    """The machine's table; a private one if that file cannot be had (no room, no rights), which is said.

    It need not be empty: what was left in it is at worst a backend that a client is given once more.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            reserve(fd, 8 * CELLS)
            return memoryview(mmap.mmap(fd, 8 * CELLS)).cast("q")
        finally:
            os.close(fd)
    except OSError as error:
        _log.warning("file=%s error=%s each worker remembers its own clients", path, error.strerror)
        return private_table()


def private_table() -> memoryview:
    return memoryview(array("q", bytes(8 * CELLS)))


class Clients:
    """Of one pool. ``table`` is asked for when the first client is looked for. ``clock``: monotonic seconds, those of
    all workers of the machine."""

    def __init__(
        self,
        pool_id: str,
        backends: Sequence[str],
        keep_s: float,
        table: Callable[[], memoryview],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._seed = blake2b(pool_id.encode(), digest_size=16).digest()
        self._open = table
        self._cells: memoryview | None = None
        self._keep = max(1, int(min(keep_s, LONGEST_S) / UNIT_S))
        self._clock = clock
        self._backends = backends
        self._owners: list[int] = []
        self._positions: dict[int, int] = {}

    def recall(self, key: bytes) -> int:
        """The position of its backend; -1: we do not know that client, or not any more. Who is looked up is seen."""
        cells = self._table()
        start, tag = self._place(key)
        now = int(self._clock() / UNIT_S) & _TIMES
        for at in range(start, start + WAYS):
            cell = cells[at]
            if cell >> _TAG_SHIFT == tag and cell:
                age = (now - cell) & _TIMES
                if age > self._keep:
                    return -1
                if age:
                    cells[at] = cell - (cell & _TIMES) + now
                return self._positions.get((cell >> TIME_BITS) & _OWNERS, -1)
        return -1

    def remember(self, key: bytes, i: int) -> None:
        cells = self._table()
        start, tag = self._place(key)
        now = int(self._clock() / UNIT_S) & _TIMES
        oldest, found = -1, start
        for at in range(start, start + WAYS):
            cell = cells[at]
            if not cell or cell >> _TAG_SHIFT == tag:
                found = at
                break
            age = (now - cell) & _TIMES
            if age > oldest:
                oldest, found = age, at
        cells[found] = tag << _TAG_SHIFT | self._owners[i] << TIME_BITS | now

    def _table(self) -> memoryview:
        if self._cells is None:
            self._owners = _numbers(self._backends)
            self._positions = {owner: i for i, owner in enumerate(self._owners)}
            self._cells = self._open()
        return self._cells

    def _place(self, key: bytes) -> tuple[int, int]:
        """The first of its cells, and what tells it from others there."""
        number = int.from_bytes(blake2b(key, digest_size=5, key=self._seed).digest(), "big")
        return (number >> TAG_BITS) % SETS * WAYS, number & ((1 << TAG_BITS) - 1)


def _numbers(backends: Sequence[str]) -> list[int]:
    """A number for each that does not depend on the others (but for two of one digest), and is not 0."""
    taken: dict[int, str] = {}
    for backend in backends:
        text = backend
        while (number := _digest(text)) in taken:
            text += "\0"
        taken[number] = backend
    return list(taken)


def _digest(text: str) -> int:
    return 1 + int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") % _OWNERS
