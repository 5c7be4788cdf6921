"""Families about requests: per backend (attempts), per route, pool and policy (requests).

Read it as a table of what we promise to count; the cells' meaning is ``lb.state.layout``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lb.metrics.family import Family
from lb.metrics.reading import Counted, Reading
from lb.metrics.rows import Cells, Rows
from lb.state.columns import STATUS_ROUTE
from lb.state.layout import (
    C_ABORTED,
    C_BAD_RESPONSE,
    C_BYTES_IN,
    C_BYTES_OUT,
    C_CLIENT_GONE,
    C_CONNECT_FAILED,
    C_CONNECTS,
    C_COUNT,
    C_LOAD_REPORTS,
    C_LOAD_REPORTS_JUNK,
    C_POLICY_FAILURES,
    C_POLICY_FALLBACKS,
    C_RATE_LIMITED,
    C_RESET,
    C_RETRIES,
    C_REUSES,
    C_STATUS,
    C_TIMEOUT,
    R_ELSEWHERE,
    R_LOCAL,
    SH_EJECTED_UNTIL_NS,
    SH_OTHERS,
    SH_PROBES_FAILED,
    SH_PROBES_OK,
    SH_TRANSITIONS,
)

CODES: Cells = tuple((f"{n}xx", C_STATUS + n) for n in range(1, 6))
ERRORS: Cells = (
    ("connect", C_CONNECT_FAILED),
    ("reset", C_RESET),
    ("timeout", C_TIMEOUT),
    ("bad_response", C_BAD_RESPONSE),
)
CONNECTIONS: Cells = (("new", C_CONNECTS), ("reused", C_REUSES))
DIRECTIONS: Cells = (("in", C_BYTES_IN), ("out", C_BYTES_OUT))
PICKS: Cells = (("local", R_LOCAL), ("elsewhere", R_ELSEWHERE))
REPORTS: Cells = (("read", C_LOAD_REPORTS), ("junk", C_LOAD_REPORTS_JUNK))
PROBES: Cells = (("ok", SH_PROBES_OK), ("failed", SH_PROBES_FAILED))


class RunningTotal:
    """A sum over routes that does not fall when a reload removes one. Who asks the status listener is
    no client: its scrapes and probes are left out."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], int] = {}
        self._gone = 0

    def take(self, routes: Sequence[Counted]) -> int:
        now = {route.labels: route.totals[C_COUNT] for route in routes if route.labels != (STATUS_ROUTE,)}
        self._gone += sum(count for labels, count in self._last.items() if labels not in now)
        self._last = now
        return self._gone + sum(now.values())


def traffic(reading: Reading, requests: int, now_ns: int) -> Iterator[Family]:
    """All families that come from backend, route, pool and algo columns. ``requests``: of all routes,
    those that are gone included."""
    yield from _contract(reading, requests)
    yield from _backends(reading.backends, now_ns)
    yield from _routes(reading.routes)
    pools = Rows(("pool",), reading.pools)
    yield pools.counter("lb_retries_total", "Attempts taken from the retry budget", C_RETRIES)
    yield pools.counter(
        "lb_policy_failures_total", "Picks at which a policy of the user's own failed", C_POLICY_FAILURES
    )
    yield pools.counter("lb_policy_fallbacks_total", "Picks that its fallback made instead", C_POLICY_FALLBACKS)
    if reading.regions:
        regions = Rows(("pool", "region"), reading.regions)
        yield regions.split("lb_region_picks_total", "Picks for a region's clients, by where they led", "where", PICKS)


def _contract(reading: Reading, requests: int) -> Iterator[Family]:
    """Names that other systems' dashboards already use."""
    algorithms = Rows(("algo",), reading.algorithms)
    inflight = sum(route.inflight for route in reading.routes)
    yield Family("load_balancer_requests_total", "counter", "Requests of clients that are over", (), [((), requests)])
    yield algorithms.durations("load_balancer_response_duration_seconds", "Time until the answer's end, by policy")
    yield algorithms.counter("load_balancer_algo_requests_total", "Requests answered, by policy", C_COUNT)
    yield Family("load_balancer_active_connections", "gauge", "Requests to pools under way now", (), [((), inflight)])


def _backends(backends: Sequence[Counted], now_ns: int) -> Iterator[Family]:
    rows = Rows(("pool", "backend"), backends)
    yield rows.split("lb_backend_requests_total", "Attempts that got an answer, by its class", "code", CODES)
    yield rows.split("lb_backend_errors_total", "Attempts that failed", "reason", ERRORS)
    yield rows.durations("lb_backend_request_duration_seconds", "Time of an attempt")
    yield rows.inflight("lb_backend_inflight", "Requests the backend is working on now")
    yield rows.of(
        "gauge",
        "lb_backend_inflight_elsewhere",
        "Requests that other machines have there, as they last said",
        lambda row: row.shared[SH_OTHERS],
    )
    yield rows.of("gauge", "lb_backend_up", "1: probes are good and connects succeed", lambda row: int(row.is_up))
    yield rows.of(
        "gauge",
        "lb_backend_ejected",
        "1: left out for a while because of errors in real requests",
        lambda row: int(row.shared[SH_EJECTED_UNTIL_NS] > now_ns),
    )
    yield rows.split("lb_backend_connections_total", "Attempts by the connection they used", "kind", CONNECTIONS)
    yield rows.split("lb_backend_bytes_total", "Bytes of bodies to (in) and from (out)", "direction", DIRECTIONS)
    yield rows.split("lb_load_reports_total", "Load reports in answers, where a policy reads them", "result", REPORTS)
    yield rows.split_shared("lb_probes_total", "Active probes", "result", PROBES)
    yield rows.of(
        "counter", "lb_health_transitions_total", "Changes between up and down", lambda row: row.shared[SH_TRANSITIONS]
    )


def _routes(routes: Sequence[Counted]) -> Iterator[Family]:
    rows = Rows(("route",), routes)
    yield rows.split("lb_route_requests_total", "Requests answered, by class of the answer", "code", CODES)
    yield rows.durations("lb_route_request_duration_seconds", "Time until the answer's end")
    yield rows.inflight("lb_route_inflight", "Requests to pools under way now")
    yield rows.split("lb_route_bytes_total", "Bytes of bodies from (in) and to (out) clients", "direction", DIRECTIONS)
    yield rows.counter("lb_client_aborts_total", "Requests whose client left before the end", C_CLIENT_GONE)
    yield rows.counter("lb_rate_limited_total", "Requests that the route's rate limit refused", C_RATE_LIMITED)
    yield rows.counter("lb_answers_aborted_total", "Answers that a backend broke off in their middle", C_ABORTED)
