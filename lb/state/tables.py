"""The tables of hash policies as files in ``state.dir/tables``: whoever publishes builds them, workers map them.

A worker that built a table itself would let its requests wait for up to 0.2 s. A file is named by the digest of all
that its table follows from, put in place by one rename and never changed, so one that is there and whole is right, for
this generation and any other. What is missing (state.dir was emptied) a worker builds itself, as it does without a
publisher. Knows no policy but by the tables that it wants.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct
from zlib import crc32

from lb.config.usable_policies import usable_policies
from lb.model import Config
from lb.policies.tables import Table, Wanted, build_table, columns_of, table_from, wanted_by
from lb.state import durable

_MAGIC = b"lbTABLE1"
_HEADER = Struct("=8sIII4x")
"""Magic, number of columns, numbers in each, CRC-32 of what follows: the columns, unsigned 32-bit."""
_SUFFIX = ".table"
_log = logging.getLogger("lb.tables")


def prepare(state_dir: str, config: Config) -> None:
    """Every table that ``config`` needs is there afterwards. OSError: it is not. Takes up to 0.2 s for each new one."""
    for needed in _wanted_by(config):
        if find(state_dir, needed) is None:
            os.makedirs(_folder(state_dir), mode=0o700, exist_ok=True)
            durable.write(_path(state_dir, needed), _encode(build_table(needed)))


def prune(state_dir: str, configs: Iterable[Config]) -> None:
    """Removes what none of ``configs`` needs. Whoever has mapped it keeps it."""
    kept = {os.path.basename(_path(state_dir, needed)) for config in configs for needed in _wanted_by(config)}
    with suppress(OSError):
        for name in os.listdir(_folder(state_dir)):
            if name.endswith(_SUFFIX) and name not in kept:
                os.unlink(os.path.join(_folder(state_dir), name))


def find(state_dir: str, needed: Wanted) -> Table | None:
    """The table, mapped from its file; None if there is no such file, or it is damaged."""
    try:
        with open(_path(state_dir, needed), "rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # ValueError: it is empty
        return None
    if len(mapped) < _HEADER.size:
        return None
    magic, count, length, checksum = _HEADER.unpack_from(mapped)
    body = mapped[_HEADER.size :]
    if magic != _MAGIC or len(body) != 4 * count * length or crc32(body) != checksum:
        return None
    numbers = body.cast("I")
    return table_from(needed, [numbers[at * length : (at + 1) * length] for at in range(count)])


class MappedTables:
    """Where the policies of a worker get their tables from."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir

    def __call__(self, needed: Wanted) -> Table:
        table = find(self._state_dir, needed)
        if table is not None:
            return table
        began = time.monotonic()
        table = build_table(needed)
        took_ms = (time.monotonic() - began) * 1e3
        _log.warning("table=%s members=%d built_here_ms=%.0f", needed.kind, len(needed.shares), took_ms)
        return table


def _wanted_by(config: Config) -> Iterable[Wanted]:
    usable = usable_policies(config)
    for pool in config.pools:
        yield from wanted_by(pool, usable[pool.id])


def _folder(state_dir: str) -> str:
    return os.path.join(state_dir, "tables")


def _path(state_dir: str, needed: Wanted) -> str:
    return os.path.join(_folder(state_dir), needed.digest + _SUFFIX)


def _encode(table: Table) -> bytes:
    columns = columns_of(table)
    body = b"".join(array("I", column).tobytes() for column in columns)
    return _HEADER.pack(_MAGIC, len(columns), len(columns[0]), crc32(body)) + body
