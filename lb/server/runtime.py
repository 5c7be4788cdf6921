"""The composition root of a data-plane worker: snapshot -> router, pools, cells; and again when it changes.

One ``Runtime`` per worker and hub. It follows the segment's generation and verdicts by looking at two
cells ten times a second; a request never looks. A snapshot or segment that cannot be read leaves the
worker on what it has, and is looked at again; a worker that has nothing yet takes the snapshot's copy.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from random import Random, SystemRandom
from time import monotonic, monotonic_ns
from typing import Any

import gevent

from lb.config import snapshot as snapshots
from lb.config.usable_policies import is_regional
from lb.errors import ConfigError
from lb.http1.forwarded import TrustedProxies
from lb.model import Backend, Pool, Route, Snapshot, State, summary
from lb.policies.groups import Standing
from lb.policies.subset import place_of_name, place_of_number
from lb.policies.table import POLICIES
from lb.proxy.access_log import AccessLogWriter
from lb.proxy.answer import Answer
from lb.proxy.cells import CellDirectory, Cells
from lb.proxy.connection import Entrance
from lb.proxy.core import Core
from lb.proxy.deadlines import Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member
from lb.proxy.pool import LivePool, TicketSource
from lb.proxy.regions import RegionalPolicies, Regions
from lb.proxy.resolver import Resolver
from lb.proxy.router import Router, StrictRouter
from lb.proxy.routes import LiveRoute, local_action
from lb.server import coming, control
from lb.server.coming import Composition, MemberKey, Turns
from lb.server.garbage import Collector
from lb.server.geo import GeoLocator
from lb.server.local_tickets import LocalTickets
from lb.server.missed import Missed
from lb.server.refused import RefusedReload
from lb.server.retired import Basis, RetiredSegments
from lb.server.route_limits import RouteLimits
from lb.server.status import readiness, status_routes
from lb.state.clients import Clients, open_table
from lb.state.layout import DRAINING, H_NUMBER, READY, SH_CURSOR, SH_CURSOR_OTHER, SH_CURSOR_WEIGHTED
from lb.state.name_file import NameFile
from lb.state.segment import Segment, SegmentError
from lb.state.slot import WorkerSlot
from lb.state.tables import MappedTables
from lb.state.tickets import Tickets

SEGMENT_CHECK_S = 1.0
LARGE_BYTES = 50_000
"""A snapshot of some two hundred backends."""
_CURSORS = {"round_robin": SH_CURSOR, "weighted_round_robin": SH_CURSOR_WEIGHTED}
_log = logging.getLogger("lb.runtime")


class Runtime:
    """``traffic`` and ``status`` are the cores that requests are answered by, swapped as a whole."""

    traffic: Core
    status: Core
    trusted: TrustedProxies

    def __init__(self, snapshot_path: str, hub: Any, sweeper: Sweeper, collector: Collector | None = None) -> None:
        self.snapshot_path = snapshot_path
        self.hub = hub
        self.sweeper = sweeper
        self._collector = collector or Collector()
        self.is_draining = False
        self.snapshot, self.problem = snapshots.read_or_copy(snapshot_path)
        if self.problem:
            _log.error("generation=%d problem=%s", self.snapshot.generation, self.problem)
        self._first_generation = self.snapshot.generation
        self._random = Random(SystemRandom().getrandbits(64)).random
        self._members: dict[MemberKey, Member] = {}
        self._pools: dict[str, LivePool] = {}
        self._log: AccessLogWriter | None = None
        self._health_seen = -1
        self._checked_at = 0.0
        self._missed = Missed()
        self._refused = RefusedReload()
        self._flushed_at = 0.0
        self._clients: memoryview | None = None
        self._basis = Basis()
        self._retired = RetiredSegments()
        self.entrances: list[Entrance] = []
        """Of this worker's listeners; a reload tells them."""
        self._resolver = Resolver(self._named_members, file=NameFile(self.snapshot.config.state.dir))
        self._locator = GeoLocator()
        self._regions: Regions | None = None
        self._prepared = self._first_generation
        self._preparing: Any = None
        self._coming: dict[MemberKey, Member] = {}
        """Members that the next composition may need."""
        self._next: Composition | None = None
        self._cells: CellDirectory | None = None
        self._route_limits = RouteLimits()
        self.segment, self.slot = self._join(self.snapshot)
        self._compose()

    # --- shared state

    def _join(self, snapshot: Snapshot) -> tuple[Segment, WorkerSlot]:
        """The machine's segment and a slot in it; a missing or damaged segment is made anew."""
        segment = Segment.for_snapshot(snapshot)
        try:
            return segment, segment.claim_slot()
        except SegmentError:
            segment.close()
            raise

    def start(self) -> None:
        """Begins to follow changes; after the fork, on the worker's hub. Waits for the addresses of named backends,
        for a bounded time: until then requests for them would be answered 503."""
        self.sweeper.every_sweep(self._follow)
        self._resolver.resolve_all()
        gevent.spawn(self._resolver.run)

    def beat(self) -> None:
        """Tells the machine that this worker lives, and cleans up after those that do not; about once a second."""
        self.segment.reap()
        if not self.slot.beat(monotonic_ns(), self.traffic.generation, DRAINING if self.is_draining else READY):
            self._rejoin()

    def _follow(self, now: float) -> None:
        if now - self._checked_at >= SEGMENT_CHECK_S:
            self._checked_at = now
            if self.segment.is_stale():
                self._rejoin()
                return
            self._retired.close_unused()
            self._refused.look(self.snapshot.config.state.dir)
            if self._regions is not None and self._locator.look():
                self._regions.clear()
            self.traffic.tick(now)
        generation = self.segment.generation
        if generation != self.snapshot.generation and not self._missed.is_to_wait(generation, now):
            self._reload(generation, now)
        else:
            self._look_at_verdicts()
        if now - self._flushed_at >= 0.5:
            self._flushed_at = now
            self.traffic.log.flush()

    def _look_at_verdicts(self) -> None:
        if self.segment.health_version != self._health_seen:
            self._health_seen = self.segment.health_version
            self.traffic.refresh()
            self.slot.knows(self._health_seen)

    def _reload(self, generation: int, now: float) -> None:
        """Moves to the snapshot file's generation; ``generation`` is the one that the segment announces."""
        if self._preparing is not None and not self._preparing.ready():
            return
        kept, members = self.snapshot, self._members
        try:
            prepared = self._prepared_for(generation)
            snapshot = prepared.snapshot if prepared is not None else self._read()
            if snapshot.generation == kept.generation:  # the header is ahead of the file
                self._missed = self._missed.once_more(generation, now)
                return
            if self._has_to_prepare(snapshot):
                return
            self.snapshot = snapshot
            self.segment.refresh()
            self._compose(prepared)
        except (OSError, ValueError, ConfigError, SegmentError) as error:
            if generation != self._missed.generation:
                _log.error("generation=%d kept=%d error=%s", generation, kept.generation, error)
            self._missed = self._missed.once_more(generation, now)
            if self.snapshot is not kept:  # a file it names cannot be read here: members are halfway
                self.snapshot, self._members = kept, members
                self._compose()
            return
        self._missed, self.problem = Missed(), ""
        listeners = {listener.id: listener for listener in snapshot.config.listeners}
        for entrance in self.entrances:
            if entrance.id in listeners:
                entrance.follow(listeners[entrance.id])
        gevent.spawn(self._resolver.resolve_all)
        _log.info(
            "generation=%d pools=%d routes=%d",
            snapshot.generation,
            len(snapshot.config.pools),
            len(snapshot.config.routes),
        )

    def _read(self) -> Snapshot:
        with self._collector.building() if _size(self.snapshot_path) > LARGE_BYTES else nullcontext():
            return snapshots.read(self.snapshot_path)

    def _prepared_for(self, generation: int) -> Composition | None:
        """What was prepared, if that is what is wanted now, and the segment is still the one it counts in."""
        ready, self._next = self._next, None
        if ready is None or (ready.snapshot.generation == generation and ready.cells is self._cells):
            return ready
        ready.drop()
        return None

    def _has_to_prepare(self, snapshot: Snapshot) -> bool:
        """Whether it names hosts whose addresses nobody has asked for: that is done first, once, for a bounded time,
        so that no backend is without an address only because it is new. A name that does not resolve delays one
        reload, not each. Or whether it has so many members that it is made ready beside requests."""
        if snapshot.generation == self._prepared:
            return False
        self._prepared = snapshot.generation
        pools = snapshot.config.pools
        if not coming.is_large(pools) and self._resolver.knows_all(pools):
            return False
        self._preparing = gevent.spawn_later(coming.PAUSE_S, self._prepare, snapshot)
        return True

    def _prepare(self, snapshot: Snapshot) -> None:
        pools = snapshot.config.pools
        self._resolver.prepare(pools, Turns())
        if not coming.is_large(pools):
            return
        try:
            self.segment.refresh()
            cells = self._cells = CellDirectory(snapshot.columns, self.segment, self.slot, self._cells)
            existing = self._coming | self._members
            composition, pause = Composition(snapshot, cells), Turns()
            with self._collector.building():
                composition.arrange(existing, self._member, pause)
            self._coming |= composition.members
            self._make_live(composition, pause)
            for live in composition.live.values():
                live.build_ahead()
                pause()
            self._next = composition
        except (OSError, ValueError, ConfigError, SegmentError) as error:  # ``_compose`` meets it as well, and says so
            _log.debug("generation=%d error=%s", snapshot.generation, error)

    def _member(self, backend: Backend, pool: Pool, cells: Cells) -> Member:
        member = Member(backend, pool, cells, self.hub)
        member.addresses = self._resolver.known(backend)
        return member

    def _rejoin(self) -> None:
        """The segment was deleted, replaced or damaged: count in a new one."""
        left = self.segment
        try:
            self.segment, self.slot = self._join(self.snapshot)
        except (OSError, SegmentError) as error:
            _log.error("segment=%s error=%s", self.snapshot.segment, error)
            return
        _log.warning("segment=%s slot=%d rejoined", self.snapshot.segment, self.slot.index)
        self._retired.add(left, self._basis)
        self._basis = Basis()
        self._health_seen = -1
        self._compose()

    # --- composition

    def _compose(self, prepared: Composition | None = None) -> None:
        """Builds the cores of the current snapshot; members whose backend did not change live on."""
        config = self.snapshot.config
        self.trusted = TrustedProxies(config.trusted_proxies, makes_traces=config.traceparent)
        old_members = self._coming | self._members
        now = prepared or self._arranged(old_members)
        cells = self._cells = now.cells
        self._locator.follow(config.geo, config.state.dir)
        self._members, self._coming = now.members, {}
        now.tell()
        if prepared is None:
            self._make_live(now, coming.at_once)
        else:
            self._health_seen = -1  # whatever came since it was made ready
        self._regions, pools = now.regions, now.live
        coming.close_left(old_members, now.members)
        self.worker_cells = cells.of("worker")
        log = self._log_writer()
        self._route_limits.follow(config)
        routes = [(route, self._live_route(route, pools, cells)) for route in config.routes]
        algo_cells = {name: cells.of(f"algo:{name}") for name in POLICIES}
        unrouted = cells.of("route:(unrouted)")
        kind = StrictRouter if config.ambiguous_paths == "reject" else Router
        self.traffic = Core(
            self.snapshot.generation, kind(routes), pools.values(), algo_cells, unrouted, log,
            unknown_methods=config.unknown_methods, basis=self._basis,
        )  # fmt: skip
        self._replace(pools)
        cells.settle()
        status = status_routes(cells.of("route:(status)"), self._ready, control.metrics_from(pools[now.pools[-1].id]))
        quiet = AccessLogWriter("", "json", self.worker_cells.counters)
        self.status = Core(
            self.snapshot.generation, Router(status), (), algo_cells, unrouted, quiet,
            unknown_methods=False, basis=self._basis,
        )  # fmt: skip

    def _replace(self, pools: dict[str, LivePool]) -> None:
        """Who waits in a pool of before waits in its successor. In one that is gone they wait for what they were to get."""
        for name, old in self._pools.items():
            old.retire(pools.get(name))
        self._pools = pools

    def _log_writer(self) -> AccessLogWriter:
        """One for the worker's life: requests that an older core began are logged by it too."""
        wanted = self.snapshot.config.access_log
        if self._log is None:
            self._log = AccessLogWriter(wanted.path, wanted.format, self.worker_cells.counters)
        else:
            self._log.configure(wanted.path, wanted.format, self.worker_cells.counters)
        return self._log

    def _arranged(self, existing: dict[MemberKey, Member]) -> Composition:
        composition = Composition(
            self.snapshot, CellDirectory(self.snapshot.columns, self.segment, self.slot, self._cells)
        )
        composition.arrange(existing, self._member)
        return composition

    def _make_live(self, composition: Composition, pause: Callable[[], None]) -> None:
        geo = composition.snapshot.config.geo
        if geo:
            composition.regions = Regions(geo, self._locator.place_of, composition.cells.of("worker"))
        for pool in composition.pools:
            live = composition.live[pool.id] = self._live_pool(pool, composition)
            pause()
            live.refresh()
            pause()

    def _live_pool(self, pool: Pool, composition: Composition) -> LivePool:
        cells, columns, config = composition.cells, composition.snapshot.columns, composition.snapshot.config
        column_name = f"pool:{pool.id}"
        state = config.state
        regional = self._regional(pool, composition)
        order = regional.order if regional is not None else lambda policy: (column_name, policy)
        live = LivePool(
            pool,
            composition.members_of(pool),
            cells.of(column_name),
            lambda policy: self._tickets(columns, *order(policy)),
            self._random,
            monotonic,
            config.workers,
            state.on_store_loss if state.redis else None,
            MappedTables(state.dir),
            regional,
            Standing(config.zone, lambda: self._place(state)),
            composition.sums_of(pool),
        )
        live.clients = Clients(pool.id, [one.id for one in pool.backends], pool.remember_s, self._client_table)
        return live

    def _client_table(self) -> memoryview:
        """Of this machine; there from the first client that is to be remembered."""
        if self._clients is None:
            self._clients = open_table(os.path.join(self.snapshot.config.state.dir, "clients"))
        return self._clients

    @staticmethod
    def _regional(pool: Pool, composition: Composition) -> RegionalPolicies | None:
        if composition.regions is None or not is_regional(composition.usable.get(pool.id, set())):
            return None
        return RegionalPolicies(pool, composition.regions, composition.cells.of)

    def _place(self, state: State) -> float:
        """This machine's place on the circle of subsets: by its number among those it shares a store with, or its name."""
        number = self.segment.header[H_NUMBER] if state.redis else 0
        return place_of_number(number - 1) if number else place_of_name(state.machine)

    def _tickets(self, columns: dict[str, int], column_name: str, policy: str) -> TicketSource:
        column = columns.get(column_name)
        if column is None:
            return LocalTickets()
        return Tickets(self.segment, column, 1, cell=_CURSORS.get(policy, SH_CURSOR_OTHER))

    def _live_route(self, route: Route, pools: dict[str, LivePool], cells: CellDirectory) -> LiveRoute:
        column = cells.of(f"route:{route.id}")
        upgrades = frozenset(name.lower().encode() for name in route.upgrades)
        limit = self._route_limits.of(route, self.snapshot, column, self.segment.fd)
        if route.action == "metrics":
            return LiveRoute(route, column, None, control.metrics_from(pools["control"]), "", frozenset(), limit)
        if route.action == "pool":
            pool = pools[route.pool]
            return LiveRoute(route, column, pool, None, route.policy or pool.pool.policy, upgrades, limit)
        return LiveRoute(route, column, None, local_action(route), "", frozenset(), limit)

    def _ready(self, _: Exchange) -> Answer:
        self._look_at_verdicts()  # who is told that all were probed may ask for more at once
        problem = self.problem or self._refused.problem or summary(self.snapshot.problems)
        return readiness(
            self.segment,
            self.snapshot.generation,
            self._first_generation,
            is_draining=self.is_draining,
            problem=problem,
        )

    def _named_members(self) -> Iterable[Member]:
        return self._members.values()

    def close(self) -> None:
        """The last thing a worker does."""
        self.traffic.log.close()
        self.traffic.close()
        self.slot.close()


def _size(path: str) -> int:
    """0: there is no file, as whoever reads it will say."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
