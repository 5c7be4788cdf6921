"""Keeps the round robin orders of this machine and the others one order each: the hands of ``lb.state.store.order``.

A timer of the hub looks at the cursors a hundred times a second, which is a memory read each, and no worker ever waits for
it; only when it finds one that was moved does the greenlet wake that talks to the store. A machine that is busy keeps
its own order undisturbed: it pushes and moves at looks that find a cursor where the last one did, and pushes at the first
that does not. Without the store nothing is touched: each machine goes on alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from lb.model import Config, Pool, Snapshot
from lb.state.columns import region_column
from lb.state.layout import (
    SH_CURSOR,
    SH_CURSOR_WEIGHTED,
    SH_CYCLE,
    SH_CYCLE_WEIGHTED,
    SH_ORDERS,
    SH_RUN,
    SH_RUN_WEIGHTED,
)
from lb.state.locks import column_byte
from lb.state.segment import Segment
from lb.state.store.errors import StoreError
from lb.state.store.order import Answer, Known, Report, Step, digest, moved, read_news, step, tell

if TYPE_CHECKING:
    from lb.state.store.link import Link

LOOK_S = 0.010
IDLE_LOOK_S = 0.020
"""After ``IDLE_AFTER_S`` without a ticket. Leaves 30 ms of the 50 that requests are promised to be apart."""
TELL_APART_S = 0.015
"""Less than two looks: with many pools there is always somebody to tell of, and a call costs as much as fifty looks."""
IDLE_AFTER_S = 1.0
POLL_S = 1.0
"""All orders are asked for so often, for news may be lost, and so may keys."""
CYCLES_S = 0.1
"""Members change without a ticket too."""
MOST_AT_ONCE = 64
"""Orders in one script: about half a millisecond in which the store does nothing else."""

_CELLS = {
    "round_robin": (SH_CURSOR, SH_CYCLE, SH_RUN, 0),
    "weighted_round_robin": (SH_CURSOR_WEIGHTED, SH_CYCLE_WEIGHTED, SH_RUN_WEIGHTED, 31),
}
_HALF = (1 << 31) - 1
_NEVER = float("-inf")
_log = logging.getLogger("lb.store")


class _Order:
    """One policy's order in one pool, as this machine stands to it. What must outlive this process is in the cells."""

    def __init__(
        self, key: Callable[[str], str], pool: Pool, policy: str, cells: memoryview, byte: int, region: str = ""
    ) -> None:
        """``key``: its name in the store for a digest. ``region``: of the clients whose order it is; empty: of all."""
        self.pool = pool
        self.policy = policy
        self.region = region
        self.cells = cells
        self.byte = byte
        self.cursor_cell, self.cycle_cell, self._run_cell, self._shift = _CELLS[policy]
        self._key = key
        self.key = ""
        self.cycle = 0
        self.known = Known()
        self.is_in_doubt = True
        """Whether the store may have counted a part of the run that we do not know of."""
        self.seen: int = cells[self.cursor_cell]
        self.is_moving = False
        """Whether the last look found the cursor moved."""
        self.is_due = False
        """Whether the next look has something to do even if it is not moved."""

    def __repr__(self) -> str:
        return (
            f"<_Order {self.key} run={self.begin}..{self.seen} {self.known} {'in doubt' if self.is_in_doubt else ''}>"
        )

    @property
    def begin(self) -> int:
        return self.cells[self._run_cell]

    @begin.setter
    def begin(self, ticket: int) -> None:
        self.cells[self._run_cell] = ticket

    def enter(self, cycle: int) -> None:
        """Another cycle, another order. A run in it that an earlier controller left is gone on with."""
        name = digest(self.pool, self.policy, cycle, self.region)
        self.key, self.cycle = self._key(name), cycle
        self.known, self.is_in_doubt = Known(), True
        tag = int(name, 16) & _HALF
        if self.cells[SH_ORDERS] >> self._shift & _HALF != tag:
            self.begin = self.seen
            self.cells[SH_ORDERS] = self.cells[SH_ORDERS] & ~(_HALF << self._shift) | tag << self._shift

    def step(self) -> Step:
        return Step.REST if self.is_in_doubt else step(self.begin, self.cells[self.cursor_cell], self.cycle, self.known)

    def report(self, life: int) -> Report:
        taken = self.cells[self.cursor_cell] - self.begin
        is_told = self.is_in_doubt or self.step() is Step.PUSH
        return Report(self.key, life, self.begin, taken if is_told else 0, self.cycle, self.known)


class Orders:
    """A part of ``lb.controller.sync``."""

    name = "orders"
    news = "order"

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval_s = 0.0
        self.look_s = LOOK_S
        self._link = link
        self._clock = clock
        self._segment: Segment | None = None
        self._life = 0
        self._orders: list[_Order] = []
        self._by_key: dict[str, _Order] = {}
        self._untold: list[_Order] = []
        self._polled_at = self._told_at = self._cycles_at = self._moved_at = _NEVER
        self._wake = Event()
        self._timer: Any = None
        link.on_up.append(self._wake.set)

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        orders = []
        for pool in snapshot.config.pools:
            for policy, region in _kinds(snapshot.config, pool):
                column = snapshot.columns[region_column(pool.id, region) if region else f"pool:{pool.id}"]
                name = _namer(self._link, pool, f"{policy}@{region}" if region else policy)
                orders.append(_Order(name, pool, policy, segment.shared(column), column_byte(column), region))
        self._segment, self._life = segment, os.fstat(segment.fd).st_ino
        self._orders, self._by_key = orders, {}
        self._polled_at = self._cycles_at = _NEVER
        self._look_at_cycles()

    def round(self) -> None:
        """Waits until there is something to tell or to ask."""
        self._watch()
        self._wake.wait(POLL_S)
        self._wake.clear()
        self.tell()

    def tell(self) -> None:
        """What the looks have found; and now and then, and as soon as the store is up, all of it."""
        if not self._link.is_up:
            self._polled_at = _NEVER
            return
        self._told_at = now = self._clock()
        is_poll = now - self._polled_at >= POLL_S
        told, self._untold = list(self._by_key.values()) if is_poll else self._untold, []
        for first in range(0, len(told), MOST_AT_ONCE):
            self._tell(told[first : first + MOST_AT_ONCE])
        if is_poll:
            self._polled_at = now

    def look(self) -> bool:
        """A glance at the cursors, in the hub: waits for nothing and nobody. Whether there is something to tell."""
        now = self._clock()
        if now - self._cycles_at >= CYCLES_S:
            self._cycles_at = now
            self._look_at_cycles()
        self.look_s = LOOK_S if now - self._moved_at < IDLE_AFTER_S else IDLE_LOOK_S
        if not self._link.is_up or now - self._told_at < TELL_APART_S:
            return False
        found = [one for one in self._orders if one.is_due or one.cells[one.cursor_cell] != one.seen]
        self._untold = [order for order in found if self._visit(order, now)]
        for order in self._untold:
            order.is_due = True  # until it has been told: the next look may come first
        return bool(self._untold)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = gevent.get_hub().loop.timer(self.look_s, self.look_s)
            self._timer.start(self._on_time)

    def _unwatch(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _on_time(self) -> None:
        before_s = self.look_s
        try:
            if self.look():
                self._wake.set()
        except Exception:  # noqa: BLE001  the outer edge: the next round starts the timer again
            _log.exception("orders: a look failed")
            self._unwatch()
        else:
            if self.look_s != before_s:
                self._unwatch()
                self._watch()

    def _look_at_cycles(self) -> None:
        for order in self._orders:
            if order.cells[order.cycle_cell] != order.cycle:
                self._enter(order)
            if not self._link.is_up:
                order.seen = order.cells[order.cursor_cell]

    def _enter(self, order: _Order) -> None:
        self._by_key.pop(order.key, None)
        order.enter(order.cells[order.cycle_cell])
        order.is_due = True
        self._by_key[order.key] = order

    def _visit(self, order: _Order, now: float) -> bool:
        cursor: int = order.cells[order.cursor_cell]
        if order.cells[order.cycle_cell] != order.cycle:
            self._enter(order)  # before ``seen`` goes on: those taken since the last look are of the new order
        was_moving, order.is_moving = order.is_moving, cursor != order.seen
        order.seen, order.is_due = cursor, order.is_moving
        if order.is_moving:
            self._moved_at = now
        if not order.cycle:  # no worker that says so has taken a ticket yet
            return False
        if order.is_in_doubt:
            return True
        step = order.step()
        if step is Step.FORGET:
            order.begin = cursor
        elif step is Step.MOVE and not order.is_moving:
            order.is_due = not self._move(order)
        return step is Step.PUSH and not (order.is_moving and was_moving)

    def _move(self, order: _Order) -> bool:
        """Whether it is done, or no longer to be done. Never waits for the lock."""
        assert self._segment is not None
        if not self._segment.try_lock(order.byte):
            return False
        try:
            if order.step() is Step.MOVE:
                order.begin = order.seen = moved(order.cells[order.cursor_cell], order.cycle, order.known)
                order.cells[order.cursor_cell] = order.seen
        finally:
            self._segment.unlock(order.byte)
        return True

    def _tell(self, orders: Sequence[_Order]) -> None:
        reports = [order.report(self._life) for order in orders]
        for order, report in zip(orders, reports, strict=True):
            order.is_in_doubt = order.is_in_doubt or report.taken != 0
        try:
            keys = self._link.keys
            answers = self._link.call(lambda client: tell(client, keys.news, self._link.name, reports))
        except StoreError:
            for order in orders:
                order.is_due = True
            raise
        for order, report, answer in zip(orders, reports, answers, strict=True):
            if self._by_key.get(report.key) is order:  # it was not left for another one meanwhile
                self._hear_answer(order, report, answer)

    def _hear_answer(self, order: _Order, report: Report, answer: Answer) -> None:
        if order.begin == report.begin:  # or somebody else has: while one controller replaces another there are two
            order.begin += answer.done
        order.is_in_doubt = False
        if answer.known.version >= order.known.version:
            order.known = answer.known
        order.is_due = True

    def hear(self, words: list[str]) -> bool:
        for key, known in read_news(words):
            order = self._by_key.get(key)
            if order is not None and known.version > order.known.version:
                order.known = known
                is_still = not order.is_moving and order.cells[order.cursor_cell] == order.seen
                order.is_due = not (is_still and order.step() is Step.MOVE and self._move(order))
        return False

    def end(self) -> None:
        """The others know all that was taken here."""
        self._unwatch()
        reports = [order for order in self._by_key.values() if order.is_in_doubt or order.step() is Step.PUSH]
        for first in range(0, len(reports), MOST_AT_ONCE):
            self._tell(reports[first : first + MOST_AT_ONCE])


def _namer(link: Link, pool: Pool, policy: str) -> Callable[[str], str]:
    return lambda name: link.keys.order(pool.id, policy, name)


def _kinds(config: Config, pool: Pool) -> Iterator[tuple[str, str]]:
    """The ordered policies that a request to this pool can have, each with the region whose order it is; empty: of all."""
    routes = [route for route in config.routes if route.pool == pool.id]
    is_open = any(route.algo_override for route in routes)
    named = {pool.policy, *(route.policy for route in routes)}
    for policy in _CELLS:
        if is_open or policy in named:
            yield policy, ""
    if config.geo is not None and pool.geo_inner in _CELLS and (is_open or "geo" in named):
        for region in config.geo.regions:
            yield pool.geo_inner, region
