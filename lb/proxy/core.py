"""The core that both request paths share: match -> admit -> pick and attempt -> an ``Answer``, then record.

Knows no socket of a client and no WSGI; whoever has one hands in an ``Exchange`` and writes the answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from time import monotonic

from lb.errors import REASONS, LbError, RequestError
from lb.http1.forwarded import goes_in_circles
from lb.http1.request import KNOWN_METHODS, RequestHead
from lb.model import CUSTOM, ErrorStyle
from lb.proxy.access_log import AccessLogWriter
from lb.proxy.answer import Answer
from lb.proxy.cells import Cells
from lb.proxy.deadlines import Expired
from lb.proxy.exchange import Exchange
from lb.proxy.forward import forward
from lb.proxy.local import error_answer
from lb.proxy.pool import LivePool
from lb.proxy.router import Router
from lb.proxy.routes import LiveRoute
from lb.state.layout import (
    BUCKET_BOUNDS_US,
    C_ABORTED,
    C_BUCKETS,
    C_BYTES_IN,
    C_BYTES_OUT,
    C_CLIENT_GONE,
    C_COUNT,
    C_DURATION_US,
    C_STATUS,
)


class Core:
    """Everything one generation of a configuration means on this worker. Replaced, never changed."""

    def __init__(
        self,
        generation: int,
        router: Router,
        pools: Iterable[LivePool],
        algo_cells: dict[str, Cells],
        unrouted: Cells,
        log: AccessLogWriter,
        *,
        unknown_methods: bool,
        basis: object = None,
    ) -> None:
        """``basis``: what must not go while this core is in use."""
        self.generation = generation
        self.pools = tuple(pools)
        self.log = log
        self._router = router
        self._algo_cells = algo_cells
        self._unrouted = unrouted
        self._unknown_methods = unknown_methods
        self._basis = basis

    def match(self, exchange: Exchange) -> LiveRoute:
        """The exchange's route from here on; if that leads to a pool it counts as under way until ``record``.
        RequestError as ``route``, or if it has come through here too often."""
        live = exchange.route = self.route(exchange.head, exchange.caller.scheme)
        if live.pool is not None:
            live.cells.inflight[live.cells.slot] += 1
            identity = exchange.head.fields.identity
            if identity and goes_in_circles(identity):
                raise RequestError("loop_detected")
        return live

    def route(self, head: RequestHead, scheme: bytes = b"http") -> LiveRoute:
        """The route of a request by ``scheme``; RequestError if it has none or its method is not for us."""
        if head.method not in KNOWN_METHODS and not self._unknown_methods:
            raise RequestError("unknown_method", head.method.decode("ascii", "replace"))
        route: LiveRoute | None = self._router.match(head, scheme)
        if route is None:
            raise RequestError("route_not_found")
        return route

    def answer(self, exchange: Exchange) -> Answer:
        """The answer to a routed request. LbError says why there is none (see ``error``)."""
        live = exchange.route
        assert live is not None
        if live.limit is not None:
            live.limit.admit()
        if live.pool is not None:
            exchange.policy = policy = self._policy(live, exchange.head)
            answer = forward(exchange, live.pool, policy)
            if live.pool.sticky is not None:
                live.pool.sticky.tell(exchange, answer)
            return answer
        assert live.local is not None
        return live.local(exchange)

    def _policy(self, live: LiveRoute, head: RequestHead) -> str:
        if not live.route.algo_override or b"algo=" not in head.query:
            return live.policy
        named = live.algo_named(head)
        if named is None:
            return live.policy
        if named not in self._algo_cells or (
            named == CUSTOM and live.pool is not None and live.pool.pool.custom is None
        ):
            raise RequestError("invalid_algorithm")
        return named

    def error(self, exchange: Exchange, error: LbError | Expired) -> Answer:
        """What the client is told about an error, in the style of the route it took."""
        exchange.reason = reason = error.reason if error.reason in REASONS else "internal_error"
        style: ErrorStyle = exchange.route.route.error_style if exchange.route else "json"
        retry_after_s = 0 if isinstance(error, Expired) else error.retry_after_s
        return error_answer(reason, style, exchange.told_id, retry_after_s)

    def count(self, exchange: Exchange) -> None:
        """Counts a request whose answer is about to be sent, exactly once and before ``record``: whoever gets an answer
        was counted, whatever becomes of this process."""
        live = exchange.route
        counters = (self._unrouted if live is None else live.cells).counters
        counters[C_COUNT] += 1
        status_cell = C_STATUS + exchange.status // 100
        if 1 <= status_cell <= 5:
            counters[status_cell] += 1
        if exchange.policy:
            self._algo_cells[exchange.policy].counters[C_COUNT] += 1

    def record(self, exchange: Exchange) -> None:
        """Measures and logs a request that is over. Exactly once per request."""
        exchange.ended = ended = monotonic()
        if exchange.is_answering:
            exchange.release()
        microseconds = int((ended - exchange.started) * 1e6)
        in_bucket = C_BUCKETS + bisect_left(BUCKET_BOUNDS_US, microseconds)
        live = exchange.route
        if live is not None:
            cells = live.cells
            if live.pool is not None:
                cells.inflight[cells.slot] -= 1
        else:
            cells = self._unrouted
        counters = cells.counters
        counters[C_DURATION_US] += microseconds
        counters[in_bucket] += 1
        counters[C_BYTES_OUT] += exchange.bytes_out
        if exchange.body is not None:
            exchange.bytes_in = exchange.body.received
        counters[C_BYTES_IN] += exchange.bytes_in
        if exchange.reason:
            if exchange.reason == "client_gone":
                counters[C_CLIENT_GONE] += 1
            elif exchange.reason == "upstream_truncated":
                counters[C_ABORTED] += 1
        member = exchange.member
        if member is not None:
            member.counters[C_BYTES_OUT] += exchange.bytes_out
            member.counters[C_BYTES_IN] += exchange.bytes_in
        if exchange.policy:
            algo = self._algo_cells[exchange.policy].counters
            algo[C_DURATION_US] += microseconds
            algo[in_bucket] += 1
        exchange.upload = None  # it knows its exchange: only the collector, which comes late, would free the two
        self.log.add(exchange)

    def refresh(self) -> None:
        """Verdicts changed."""
        for pool in self.pools:
            pool.refresh()

    def tick(self, now: float) -> None:
        """About once a second: what holds for a time only may have run out."""
        for pool in self.pools:
            if pool.needs_watch():
                pool.refresh()
            pool.settle()
            for member in pool.members:
                if member.idle:
                    member.close_old(now)

    def close(self) -> None:
        for pool in self.pools:
            pool.close()
