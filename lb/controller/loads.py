"""Tells the other machines how many requests this one has in flight, and writes what they have into the segment.

Workers need nothing but ``SH_OTHERS``: a load is the sum over it and all workers. The numbers are as old as the
interval and a round trip; a machine that says nothing for ``_LIFE_MS`` has nothing in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lb.model import Backend, Snapshot
from lb.state.layout import SH_OTHERS
from lb.state.segment import Segment
from lb.state.store.link import Link, StoreError

INTERVAL_S = 0.1
_BACKENDS_PER_S = 10_000
"""Looked at by one loop: above a thousand backends it looks less often, and costs a percent or two of a core at most."""
_LIFE_MS = 3_000


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
        self._told: dict[str, int] = {}
        self._told_at = float("-inf")
        self._heard_at = float("-inf")

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        self._segment = segment
        pairs = [(pool, backend) for pool in snapshot.config.pools for backend in pool.backends]
        self._columns = {
            load_name(pool.id, backend): snapshot.columns[f"backend:{pool.id}/{backend.id}"] for pool, backend in pairs
        }
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
        if not (gone or changed or (now and is_due)):
            return
        if is_due:  # all of it: the store may have lost what we think it knows
            changed = now
        self._link.call(lambda client: self._send(client, gone, changed))
        self._told, self._told_at = now, self._clock()

    def _send(self, client: Any, gone: Iterable[str], changed: Mapping[str, int]) -> None:
        key = self._link.keys.inflight(self._link.name)
        pipeline = client.pipeline(transaction=False)
        if gone:
            pipeline.hdel(key, *gone)
        if changed:
            pipeline.hset(key, mapping=dict(changed))
        pipeline.pexpire(key, _LIFE_MS)
        pipeline.execute()

    def _hear(self) -> dict[str, int]:
        """Sums over the others."""
        names = list(self._peers())
        if not names:
            return {}
        sums: dict[str, int] = {}
        for said in self._link.call(lambda client: self._ask(client, names)):
            for name, count in said.items():
                if name in self._columns and count.isdigit() and len(count) < 10:
                    sums[name] = sums.get(name, 0) + int(count)
        return sums

    def _ask(self, client: Any, names: list[str]) -> list[dict[str, str]]:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(self._link.keys.inflight(name))
        return [answer if isinstance(answer, dict) else {} for answer in pipeline.execute(raise_on_error=False)]

    def _write(self, sums: Mapping[str, int]) -> None:
        assert self._segment is not None
        for name, column in self._columns.items():
            cells, others = self._segment.shared(column), sums.get(name, 0)
            if cells[SH_OTHERS] != others:
                cells[SH_OTHERS] = others

    def hear(self, words: list[str]) -> bool:
        return False

    def end(self) -> None:
        if self._segment is not None:
            self._write({})
        self._link.call(lambda client: client.delete(self._link.keys.inflight(self._link.name)))


def load_name(pool: str, backend: Backend) -> str:
    """``POOL/ID@PLACE``: two machines that call different processes by the same id do not add them up."""
    return f"{pool}/{backend.id}@{backend.address}"
