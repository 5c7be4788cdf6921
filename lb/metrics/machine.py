"""Families about ourselves: workers, generations, the listeners' side of connections, the build."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from lb.metrics.family import Family
from lb.metrics.processes import Place, own_place, parent_of, starters
from lb.metrics.reading import Counted
from lb.native.finder import is_compiled
from lb.state.layout import DRAINING as DRAINING
from lb.state.layout import (
    GEO_LOADED,
    GEO_NONE,
    H_CONTROLLER_PID,
    H_GEO,
    H_GEO_BUILT_S,
    H_GEO_REFUSED,
    H_MACHINES,
    H_STORE,
    SLOT_GENERATION,
    SLOT_PID,
    SLOT_READY,
    STORE_NONE,
    STORE_UP,
    W_ACCEPTED,
    W_CLOSED,
    W_GEO_LOOK_UPS,
    W_GEO_UNKNOWN,
    W_HEAD_ERRORS,
    W_HEAD_TIMEOUTS,
    W_LOG_DROPPED,
    W_REFUSED,
    W_TLS_FAILED,
    W_UNDERSCORE_DROPPED,
)
from lb.state.layout import READY as READY
from lb.state.reload import Reload
from lb.state.segment import Segment

WORKER_COUNTERS = (
    ("lb_connections_accepted_total", "Connections accepted from clients", W_ACCEPTED),
    ("lb_connections_closed_total", "Connections with clients that have ended in an orderly way", W_CLOSED),
    ("lb_request_head_errors_total", "Request heads refused", W_HEAD_ERRORS),
    ("lb_request_head_timeouts_total", "Request heads that took too long", W_HEAD_TIMEOUTS),
    ("lb_tls_handshake_failures_total", "TLS handshakes with clients that failed", W_TLS_FAILED),
    ("lb_access_log_dropped_total", "Access log lines dropped because the log could not take them", W_LOG_DROPPED),
    ("lb_connections_refused_total", "Connections over max_connections_per_client", W_REFUSED),
    ("lb_underscore_fields_dropped_total", "Request fields dropped for an underscore", W_UNDERSCORE_DROPPED),
    ("lb_geo_look_ups_total", "Client addresses looked up in the geo database", W_GEO_LOOK_UPS),
    ("lb_geo_unknown_total", "Of these, those that it does not know", W_GEO_UNKNOWN),
)


def connections(worker: Counted) -> Iterator[Family]:
    """What all workers together count. Open ones are the column's inflight: accepted minus closed
    would keep for ever what a killed worker could not close."""
    for name, text, cell in WORKER_COUNTERS:
        yield _single(name, "counter", text, worker.totals[cell])
    yield _single("lb_connections_open", "gauge", "Connections with clients, idle ones too", worker.inflight)


def workers(segment: Segment, live: Sequence[int], generation: int) -> Iterator[Family]:
    """``live`` are the slots that have a worker; ``generation`` is that of the snapshot we have read."""
    rows = [(slot, segment.slot_cells(slot)) for slot in live]
    states = [row[SLOT_READY] for _, row in rows]
    yield _single("lb_workers_ready", "gauge", "Workers that accept connections", states.count(READY))
    yield _single("lb_workers_draining", "gauge", "Workers that only end what they have", states.count(DRAINING))
    yield _single("lb_snapshot_generation", "gauge", "Generation of the configuration in force", generation)
    series = [((str(slot),), row[SLOT_GENERATION]) for slot, row in rows]
    yield Family(
        "lb_worker_generation", "gauge", "Generation of the configuration a worker is on", ("slot",), [*series]
    )


def reloads(last: Reload | None) -> Iterator[Family]:
    """Nothing while no attempt is on record."""
    if last is None:
        return
    text = "1: the last attempt to put a configuration in force succeeded"
    yield _single("lb_config_last_reload_successful", "gauge", text, int(not last.problems))
    yield _single("lb_config_last_reload_timestamp_seconds", "gauge", "When that attempt was made", last.at_s)


def store(segment: Segment) -> Iterator[Family]:
    """Nothing while no store is configured."""
    if segment.header[H_STORE] == STORE_NONE:
        return
    text = "1: the store that machines share is in use"
    yield _single("lb_store_up", "gauge", text, int(segment.header[H_STORE] == STORE_UP))
    yield _single("lb_store_machines", "gauge", "Machines that share it, as last known", segment.header[H_MACHINES])


def geo(segment: Segment) -> Iterator[Family]:
    """Nothing while no geo database is configured."""
    header = segment.header
    if header[H_GEO] == GEO_NONE:
        return
    is_loaded = header[H_GEO] == GEO_LOADED
    yield _single("lb_geo_database_loaded", "gauge", "1: clients are looked up in a geo database", int(is_loaded))
    text = "1: the database's file as it is now cannot be used"
    yield _single("lb_geo_database_refused", "gauge", text, header[H_GEO_REFUSED])
    if is_loaded:
        text = "When the database in use was built"
        yield _single("lb_geo_database_build_timestamp_seconds", "gauge", text, header[H_GEO_BUILT_S])


def build_info() -> Family:
    labels = ("version", "python", "gevent", "gunicorn", "compiled")
    compiled = str(is_compiled()).lower()
    values = (version("lb"), platform.python_version(), version("gevent"), version("gunicorn"), compiled)
    return Family("lb_build_info", "gauge", "Always 1; the labels say what runs", labels, [(values, 1)])


def places(segment: Segment, live: Sequence[int]) -> dict[Place, int]:
    """The pids of the workers, of this process and, if it is the machine's controller, of all that started them."""
    pids = {slot: segment.slot_cells(slot)[SLOT_PID] for slot in live}
    found: dict[Place, int] = {("worker", str(slot)): pid for slot, pid in pids.items()}
    arbiter = parent_of(pids.values())
    if arbiter is not None:
        found["arbiter", ""] = arbiter
    if segment.header[H_CONTROLLER_PID] == os.getpid():
        found |= starters(os.environ)
    return found | own_place()


def _single(name: str, kind: str, text: str, value: float) -> Family:
    return Family(name, "counter" if kind == "counter" else "gauge", text, (), [((), value)])
