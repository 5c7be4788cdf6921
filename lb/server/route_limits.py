"""The rate limits of a worker's routes, from one configuration to the next."""

from __future__ import annotations

from time import monotonic_ns

from lb.model import Config, Route, Snapshot
from lb.proxy.cells import Cells
from lb.proxy.rate_limit import RouteLimit
from lb.proxy.room import FIRST_SLICE_NS
from lb.resilience.gcra import Gcra
from lb.state.bucket import Bucket


class RouteLimits:
    """Knows which of them begin only with the machine's first share of them."""

    def __init__(self) -> None:
        self._routes: tuple[Route, ...] = ()
        self._unlimited: set[str] = set()

    def follow(self, config: Config) -> None:
        """Those of routes that had none until now. At a start, all: but with ``closed`` nothing goes without a share."""
        if self._routes:
            self._unlimited = {route.id for route in self._routes if route.rate_limit is None}
        elif config.state.on_store_loss == "open":
            self._unlimited = {route.id for route in config.routes}
        self._routes = config.routes

    def of(self, route: Route, snapshot: Snapshot, cells: Cells, fd: int) -> RouteLimit | None:
        """``cells``: the route's, in the segment that ``fd`` is open on."""
        if route.rate_limit is None:
            return None
        state, column = snapshot.config.state, snapshot.columns[f"route:{route.id}"]
        gcra = Gcra(route.rate_limit.rate_per_s, route.rate_limit.burst)
        rule = state.on_store_loss if state.redis else None
        bucket = Bucket(fd, column, cells.shared, gcra, rule, monotonic_ns() + FIRST_SLICE_NS)
        return RouteLimit(bucket, cells.counters, is_new=route.id in self._unlimited)
