"""The composition root of a data-plane worker: snapshot -> router, pools, cells; and again when it changes.

One ``Runtime`` per worker and hub. It follows the segment's generation and verdicts by looking at two
cells ten times a second; a request never looks. A snapshot or segment that cannot be read leaves the
worker on what it has.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from random import Random, SystemRandom
from time import monotonic, monotonic_ns
from typing import Any

import gevent

from lb.config import snapshot as snapshots
from lb.errors import ConfigError
from lb.http1.forwarded import TrustedProxies
from lb.model import Backend, Health, Pool, PoolTimeouts, Route, Snapshot
from lb.policies.table import POLICIES
from lb.proxy.access_log import AccessLogWriter
from lb.proxy.answer import Answer
from lb.proxy.cells import CellDirectory
from lb.proxy.core import Core
from lb.proxy.deadlines import Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.local import local_answer
from lb.proxy.member import Member, literal_address
from lb.proxy.pool import LivePool, TicketSource
from lb.proxy.resolver import Resolver
from lb.proxy.router import Router
from lb.proxy.routes import LiveRoute, healthy, local_action
from lb.state.layout import H_PROBED_GENERATION, SH_CURSOR, SH_CURSOR_OTHER, SH_CURSOR_WEIGHTED
from lb.state.segment import Segment, SegmentError
from lb.state.slot import WorkerSlot
from lb.state.tickets import Tickets

SEGMENT_CHECK_S = 1.0
CONTROL_TIMEOUT_S = 5.0
"""Its socket is held by the supervisor: with the controller dead nobody would answer for long."""
_CURSORS = {"round_robin": SH_CURSOR, "weighted_round_robin": SH_CURSOR_WEIGHTED}
_log = logging.getLogger("lb.runtime")


class Runtime:
    """``traffic`` and ``status`` are the cores that requests are answered by, swapped as a whole."""

    traffic: Core
    status: Core

    def __init__(self, snapshot_path: str, hub: Any, sweeper: Sweeper) -> None:
        self.snapshot_path = snapshot_path
        self.hub = hub
        self.sweeper = sweeper
        self.is_draining = False
        self.snapshot: Snapshot = snapshots.read(snapshot_path)
        self.trusted = TrustedProxies(self.snapshot.config.trusted_proxies)
        self._random = Random(SystemRandom().getrandbits(64)).random
        self._members: dict[tuple[str, Backend], Member] = {}
        self._log: AccessLogWriter | None = None
        self._health_seen = -1
        self._checked_at = 0.0
        self._failed_generation = 0
        self._flushed_at = 0.0
        self.segment, self.slot = self._join(self.snapshot)
        self._compose()
        self._resolver = Resolver(self._named_members)

    # --- shared state

    def _join(self, snapshot: Snapshot) -> tuple[Segment, WorkerSlot]:
        """The machine's segment and a slot in it; a missing or damaged segment is made anew."""
        segment = Segment.for_snapshot(snapshot)
        return segment, segment.claim_slot()

    def start(self) -> None:
        """Begins to follow changes; after the fork, on the worker's hub."""
        self.sweeper.every_sweep(self._follow)
        gevent.spawn(self._resolver.run)

    def beat(self) -> None:
        """Tells the machine that this worker lives, and cleans up after those that do not; about once a second."""
        self.segment.reap()
        if not self.slot.beat(monotonic_ns(), self.traffic.generation, 2 if self.is_draining else 1):
            self._rejoin()

    def _follow(self, now: float) -> None:
        if now - self._checked_at >= SEGMENT_CHECK_S:
            self._checked_at = now
            if self.segment.is_stale():
                self._rejoin()
                return
            self.traffic.tick(now)
        if self.segment.generation not in (self.snapshot.generation, self._failed_generation):
            self._reload()
        elif self.segment.health_version != self._health_seen:
            self._health_seen = self.segment.health_version
            self.traffic.refresh()
        if now - self._flushed_at >= 0.5:
            self._flushed_at = now
            self.traffic.log.flush()

    def _reload(self) -> None:
        generation = self.segment.generation
        kept, members = self.snapshot, self._members
        try:
            self.snapshot = snapshot = snapshots.read(self.snapshot_path)
            self.segment.refresh()
            self._compose()
        except (OSError, ValueError, ConfigError, SegmentError) as error:
            self._failed_generation = generation
            _log.error("generation=%d kept=%d error=%s", generation, kept.generation, error)
            if self.snapshot is not kept:  # a file it names cannot be read here: members are halfway
                self.snapshot, self._members = kept, members
                self._compose()
            return
        if snapshot.generation != generation:
            self._failed_generation = generation
        gevent.spawn(self._resolver.resolve_all)
        _log.info(
            "generation=%d pools=%d routes=%d",
            snapshot.generation,
            len(self.traffic.pools),
            len(snapshot.config.routes),
        )

    def _rejoin(self) -> None:
        """The segment was deleted, replaced or damaged: count in a new one."""
        try:
            self.segment, self.slot = self._join(self.snapshot)
        except (OSError, SegmentError) as error:
            _log.error("segment=%s error=%s", self.snapshot.segment, error)
            return
        _log.warning("segment=%s slot=%d rejoined", self.snapshot.segment, self.slot.index)
        self._health_seen = -1
        self._compose()

    # --- composition

    def _compose(self) -> None:
        """Builds the cores of the current snapshot; members whose backend did not change live on."""
        config = self.snapshot.config
        self.trusted = TrustedProxies(config.trusted_proxies)
        cells = CellDirectory(self.snapshot.columns, self.segment, self.slot)
        old_members, self._members = self._members, {}
        control = _control_pool(config.state.dir)
        pools = {pool.id: self._live_pool(pool, cells, old_members) for pool in (*config.pools, control)}
        kept = set(map(id, self._members.values()))
        for member in old_members.values():
            if id(member) not in kept:
                member.close()
        self.worker_cells = cells.of("worker")
        log = self._log_writer()
        routes = [(route, self._live_route(route, pools, cells, control.id)) for route in config.routes]
        algo_cells = {name: cells.of(f"algo:{name}") for name in POLICIES}
        unrouted = cells.of("route:(unrouted)")
        self.traffic = Core(
            self.snapshot.generation, Router(routes), pools.values(), algo_cells, unrouted, log,
            unknown_methods=config.unknown_methods,
        )  # fmt: skip
        status = self._status_routes(pools[control.id], cells)
        quiet = AccessLogWriter("", "json", self.worker_cells.counters)
        self.status = Core(
            self.snapshot.generation, Router(status), (), algo_cells, unrouted, quiet, unknown_methods=False
        )

    def _log_writer(self) -> AccessLogWriter:
        """One for the worker's life: requests that an older core began are logged by it too."""
        wanted = self.snapshot.config.access_log
        if self._log is None:
            self._log = AccessLogWriter(wanted.path, wanted.format, self.worker_cells.counters)
        else:
            self._log.configure(wanted.path, wanted.format, self.worker_cells.counters)
        return self._log

    def _live_pool(self, pool: Pool, cells: CellDirectory, old: dict[tuple[str, Backend], Member]) -> LivePool:
        members = []
        for backend in pool.backends:
            key = (pool.id, backend)
            column = cells.of(f"backend:{pool.id}/{backend.id}")
            member = old.get(key)
            if member is None or member.pool.tls != pool.tls:
                member = Member(backend, pool, column, self.hub)
                member.addresses = literal_address(backend)
            else:
                member.pool = pool
                member.use_cells(column)
            self._members[key] = member
            members.append(member)
        column_name = f"pool:{pool.id}"
        return LivePool(
            pool,
            members,
            cells.of(column_name),
            lambda policy: self._tickets(column_name, policy),
            self._random,
            monotonic,
            self.snapshot.config.workers,
        )

    def _tickets(self, column_name: str, policy: str) -> TicketSource:
        column = self.snapshot.columns.get(column_name)
        if column is None:
            return LocalTickets()
        return Tickets(self.segment, column, 1, cell=_CURSORS.get(policy, SH_CURSOR_OTHER))

    def _live_route(self, route: Route, pools: dict[str, LivePool], cells: CellDirectory, control: str) -> LiveRoute:
        column = cells.of(f"route:{route.id}")
        upgrades = frozenset(name.lower().encode() for name in route.upgrades)
        if route.action == "metrics":
            return LiveRoute(route, column, pools[control], None, "random", frozenset(), b"/metrics")
        if route.action == "pool":
            pool = pools[route.pool]
            return LiveRoute(route, column, pool, None, route.policy or pool.pool.policy, upgrades)
        return LiveRoute(route, column, None, local_action(route), "", frozenset())

    def _status_routes(self, control: LivePool, cells: CellDirectory) -> list[tuple[Route, LiveRoute]]:
        """The three resources of status listeners, and nothing else."""
        column = cells.of("route:(status)")
        live = Route("live", "health", path="/health/live", exact=True)
        ready = Route("ready", "health", path="/health/ready", exact=True)
        metrics = Route("metrics", "metrics", path="/metrics", exact=True)
        return [
            (live, LiveRoute(live, column, None, healthy, "", frozenset())),
            (ready, LiveRoute(ready, column, None, self._ready, "", frozenset())),
            (metrics, LiveRoute(metrics, column, control, None, "random", frozenset(), b"/metrics")),
        ]

    def _ready(self, exchange: Exchange) -> Answer:
        """200 once this generation's backends have been probed; 503 before, and while draining."""
        probed = self.segment.header[H_PROBED_GENERATION] >= self.snapshot.generation
        current = self.segment.generation == self.snapshot.generation
        state = "draining" if self.is_draining else "ready" if probed else "not probed yet"
        body = {"status": state, "generation": self.snapshot.generation, "current": current}
        ok = probed and not self.is_draining
        return local_answer(200 if ok else 503, "application/json", json.dumps(body).encode())

    def _named_members(self) -> Iterable[Member]:
        return self._members.values()

    def close(self) -> None:
        """The last thing a worker does."""
        self.traffic.log.close()
        self.traffic.close()
        self.slot.close()


class LocalTickets:
    """An order of this worker alone, for pools that no other process counts."""

    def __init__(self) -> None:
        self.cycle = 1
        self._next = 0

    def next(self) -> int:
        self._next += 1
        return self._next - 1

    def settle(self) -> None:
        """Nobody else waits for these."""


def _control_pool(state_dir: str) -> Pool:
    backend = Backend("control", unix_path=os.path.join(state_dir, "control.sock"))
    timeouts = PoolTimeouts(first_byte_s=CONTROL_TIMEOUT_S, total_s=CONTROL_TIMEOUT_S)
    return Pool("control", (backend,), policy="random", health=Health(type="none"), timeouts=timeouts)
