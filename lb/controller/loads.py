"""Tells the other machines how many requests this one has in flight, and writes what they have into the segment.

Workers need nothing but ``SH_OTHERS``: a load is the sum over it and all workers. The numbers are as old as the
interval and a round trip; a machine that says nothing for ``_LIFE_MS`` has nothing in flight.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from lb.model import Backend, Snapshot
from lb.state.columns import sum_column
from lb.state.layout import SH_OTHERS
from lb.state.segment import Segment
from lb.state.store.errors import StoreError
from lb.state.store.script import Script

if TYPE_CHECKING:
    from lb.state.store.link import Link

INTERVAL_S = 0.1
_BACKENDS_PER_S = 10_000
"""Looked at by one loop: above a thousand backends it looks less often, and costs a percent or two of a core at most."""
_LIFE_MS = 3_000
_FEWEST_READ = 1_000
"""Entries of one machine that are read at least; beyond, twice as many as we have backends ourselves."""
_log = logging.getLogger("lb.store")

_TELL = Script("""
-- KEYS inflight:ME.  ARGV life ms, 1: what follows is all of it, name, count (0: none any more), ...
-- Returns whether something else than a hash was there; it is made anew.
local kind = redis.call('TYPE', KEYS[1]).ok
local is_other = kind ~= 'hash' and kind ~= 'none'
if is_other or ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return is_other and 1 or 0
""")
_HEAR = Script("""
-- KEYS inflight:MACHINE, ...  ARGV most entries of one that are read.
-- Returns how many keys and entries nobody understands, and name, count, ... of the others.
local heard, dropped = {0}, 0
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' and redis.call('HLEN', key) <= tonumber(ARGV[1]) then
    local said = redis.call('HGETALL', key)
    for i = 1, #said, 2 do
      if #said[i] <= 400 and #said[i + 1] < 10 and string.match(said[i + 1], '^%d+$') then
        heard[#heard + 1], heard[#heard + 2] = said[i], said[i + 1]
      else
        dropped = dropped + 1
      end
    end
  elseif kind ~= 'none' then
    dropped = dropped + 1
  end
end
heard[1] = dropped
return heard
""")


class Loads:
    """A part of ``lb.controller.sync``. ``peers``: the names of the other machines that are alive."""

    name = "loads"
    news = ""

    def __init__(
        self, link: Link, peers: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.interval_s = INTERVAL_S
        self._link = link
        self._peers = peers
        self._clock = clock
        self._segment: Segment | None = None
        self._columns: dict[str, int] = {}
        self._sums: list[tuple[int, list[str]]] = []
        """Of each pool whose sum is wanted: its column, and the names it is the sum of."""
        self._told: dict[str, int] = {}
        self._told_at = float("-inf")
        self._heard_at = float("-inf")
        self._has_dropped = False

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        self._segment = segment
        pairs = [(pool, backend) for pool in snapshot.config.pools for backend in pool.backends]
        self._columns = {
            load_name(pool.id, backend): snapshot.columns[f"backend:{pool.id}/{backend.id}"] for pool, backend in pairs
        }
        self._sums = [
            (column, [load_name(pool.id, backend) for backend in pool.backends])
            for pool in snapshot.config.pools
            if (column := snapshot.columns.get(sum_column(pool.id))) is not None
        ]
        self.interval_s = max(INTERVAL_S, len(self._columns) / _BACKENDS_PER_S)
        self._write({})

    def round(self) -> None:
        assert self._segment is not None
        try:
            self._tell(
                {name: count for name, column in self._columns.items() if (count := self._segment.inflight(column))}
            )
            self._write(self._hear())
        except StoreError:
            if self._clock() - self._heard_at > _LIFE_MS / 1000:
                self._write({})
            raise
        self._heard_at = self._clock()

    def _tell(self, now: dict[str, int]) -> None:
        """What has changed; now and then that nothing has, before it runs out."""
        gone = self._told.keys() - now.keys()
        changed = {name: count for name, count in now.items() if self._told.get(name) != count}
        is_due = self._clock() - self._told_at > _LIFE_MS / 3000
        if not (gone or changed or is_due):
            return
        if is_due:  # all of it: the store may have lost what we think it knows, or got it from somebody else
            changed = now
        key, args = self._link.keys.inflight(self._link.name), [_LIFE_MS, int(is_due), *_pairs(gone, changed)]
        if self._link.call(lambda client: _TELL(client, [key], args)):
            _log.warning("loads key=%s reason='it was no hash: it is made anew'", key)
        self._told, self._told_at = now, self._clock()

    def _hear(self) -> dict[str, int]:
        """Sums over the others."""
        keys = [self._link.keys.inflight(name) for name in self._peers()]
        if not keys:
            return {}
        most = _FEWEST_READ + 2 * len(self._columns)
        dropped, *said = self._link.call(lambda client: _HEAR(client, keys, [most]))
        self._say_dropped(int(dropped))
        sums: dict[str, int] = {}
        for name, count in zip(said[::2], said[1::2], strict=True):
            if name in self._columns:
                sums[name] = sums.get(name, 0) + int(count)
        return sums

    def _say_dropped(self, count: int) -> None:
        """Once, until all is well again."""
        if count and not self._has_dropped:
            _log.warning("loads dropped=%d reason='nobody understands what other machines say'", count)
        self._has_dropped = count > 0

    def _write(self, sums: Mapping[str, int]) -> None:
        for name, column in self._columns.items():
            self._write_others(column, sums.get(name, 0))
        for column, names in self._sums:
            self._write_others(column, sum(sums.get(name, 0) for name in names))

    def _write_others(self, column: int, others: int) -> None:
        assert self._segment is not None
        cells = self._segment.shared(column)
        if cells[SH_OTHERS] != others:
            cells[SH_OTHERS] = others

    def hear(self, words: list[str]) -> bool:
        return False

    def end(self) -> None:
        if self._segment is not None:
            self._write({})
        self._link.call(lambda client: client.delete(self._link.keys.inflight(self._link.name)))


def _pairs(gone: Iterable[str], changed: Mapping[str, int]) -> list[str | int]:
    words: list[str | int] = []
    for name in gone:
        words += [name, 0]
    for name, count in changed.items():
        words += [name, count]
    return words


def load_name(pool: str, backend: Backend) -> str:
    """``POOL/ID@PLACE``: two machines that call different processes by the same id do not add them up."""
    return f"{pool}/{backend.id}@{backend.address}"
