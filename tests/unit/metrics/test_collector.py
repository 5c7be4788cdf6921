from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from lb.metrics.collector import SegmentCollector
from lb.metrics.family import Buckets, Value
from lb.model import Snapshot
from lb.state.layout import (
    C_BUCKETS,
    C_BYTES_OUT,
    C_CLIENT_GONE,
    C_CONNECT_FAILED,
    C_COUNT,
    C_DURATION_US,
    C_RATE_LIMITED,
    C_RETRIES,
    C_REUSES,
    C_STATUS,
    SH_EJECTED_UNTIL_NS,
    SH_PROBE_OK_NS,
    SH_PROBES_OK,
    SH_REFUSED_NS,
    SH_VERDICT,
    UP,
    W_ACCEPTED,
)
from lb.state.reload import record
from lb.state.segment import Segment
from lb.state.slot import WorkerSlot
from lb.structs import replace
from tests.support.shared_state import bucket
from tests.unit.metrics.counted import fill, machine

Scrape = dict[str, dict[tuple[str, ...], Value]]


def scrape(snapshot: Snapshot | None, segment: Segment | None) -> Scrape:
    families = SegmentCollector(lambda: (snapshot, segment)).families()
    return {family.name: dict(family.series) for family in families}


def answered(slot: WorkerSlot, column: int, code: int, duration_us: int) -> None:
    cells = slot.counters(column)
    cells[C_COUNT] += 1
    cells[C_STATUS + code // 100] += 1
    cells[C_DURATION_US] += duration_us
    cells[bucket(duration_us)] += 1


def test_requests_of_several_workers_add_up(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    columns, first = snapshot.columns, segment.claim_slot()
    for code in (200, 204, 503):
        answered(first, columns["route:r0"], code, 3_000)
    answered(first, columns["backend:web/b1"], 200, 3_000)
    other = WorkerSlot(segment, 5)
    answered(other, columns["route:r1"], 404, 70_000_000)
    answered(other, columns["algo:random"], 200, 2_000_000)
    seen = scrape(snapshot, segment)
    assert seen["load_balancer_requests_total"][()] == 4
    assert seen["lb_route_requests_total"]["r0", "2xx"] == 2
    assert seen["lb_route_requests_total"]["r0", "5xx"] == 1
    assert seen["lb_route_requests_total"]["r1", "4xx"] == 1
    assert seen["lb_backend_requests_total"]["web", "b1", "2xx"] == 1
    assert seen["load_balancer_algo_requests_total"]["random",] == 1
    times = seen["load_balancer_response_duration_seconds"]["random",]
    assert times == Buckets([0] * 11 + [1] * 6, 2.0)
    assert seen["lb_route_request_duration_seconds"]["r1",] == Buckets([0] * 16 + [1], 70.0)
    assert seen["lb_route_request_duration_seconds"]["r0",] == Buckets([0] * 3 + [3] * 14, 0.009)


def test_every_cell_has_its_name(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    columns, slot = snapshot.columns, segment.claim_slot()
    backend, route = columns["backend:web/b0"], columns["route:r0"]
    for cell, count in ((C_CONNECT_FAILED, 2), (C_REUSES, 3)):
        slot.counters(backend)[cell] = count
    slot.counters(route)[C_CLIENT_GONE] = 4
    slot.counters(route)[C_BYTES_OUT] = 5
    slot.counters(route)[C_RATE_LIMITED] = 12
    slot.counters(columns["pool:web"])[C_RETRIES] = 6
    slot.counters(columns["worker"])[W_ACCEPTED] = 7
    slot.segment.inflight_view(columns["worker"])[slot.index] = 8
    slot.segment.inflight_view(backend)[slot.index] = 9
    slot.segment.inflight_view(route)[slot.index] = 10
    segment.shared(backend)[SH_PROBES_OK] = 11
    slot.beat(time.monotonic_ns(), 6, 1)
    seen = scrape(snapshot, segment)
    assert seen["lb_backend_errors_total"]["web", "b0", "connect"] == 2
    assert seen["lb_backend_connections_total"]["web", "b0", "reused"] == 3
    assert seen["lb_client_aborts_total"]["r0",] == 4
    assert seen["lb_rate_limited_total"]["r0",] == 12
    assert seen["lb_route_bytes_total"]["r0", "out"] == 5
    assert seen["lb_retries_total"]["web",] == 6
    assert seen["lb_connections_accepted_total"][()] == 7
    assert seen["lb_connections_open"][()] == 8
    assert seen["lb_backend_inflight"]["web", "b0"] == 9
    assert seen["lb_route_inflight"]["r0",] == seen["load_balancer_active_connections"][()] == 10
    assert seen["lb_probes_total"]["web", "b0", "ok"] == 11
    assert (seen["lb_workers_ready"][()], seen["lb_workers_draining"][()]) == (1, 0)
    assert seen["lb_worker_generation"] == {(str(slot.index),): 6}
    assert seen["lb_snapshot_generation"][()] == 7


def test_up_means_that_requests_go_there(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    cells = segment.shared(snapshot.columns["backend:web/b0"])

    def up() -> Value:
        return scrape(snapshot, segment)["lb_backend_up"]["web", "b0"]

    assert up() == 0
    cells[SH_VERDICT], cells[SH_PROBE_OK_NS] = UP, 100
    assert up() == 1
    cells[SH_REFUSED_NS] = 101
    assert up() == 0
    cells[SH_EJECTED_UNTIL_NS] = time.monotonic_ns() + 10**10
    assert scrape(snapshot, segment)["lb_backend_ejected"]["web", "b0"] == 1


def counters(seen: Scrape) -> dict[tuple[str, tuple[str, ...]], float]:
    flat: dict[tuple[str, tuple[str, ...]], float] = {}
    for name, series in seen.items():
        for labels, value in series.items():
            if isinstance(value, Buckets):
                flat |= {(f"{name}{i}", labels): count for i, count in enumerate(value.counts)}
            elif name.endswith("_total"):
                flat[name, labels] = value
    return flat


def test_counters_never_fall_when_workers_are_killed(tmp_path: Path) -> None:
    """Several workers in turn count in the same slot and are killed with requests under way."""
    snapshot, segment = machine(tmp_path, slots=2)
    route = snapshot.columns["route:r0"]
    collector = SegmentCollector(lambda: (snapshot, segment))
    program = (
        "import os, sys; from lb.state.segment import Segment; s = Segment.open(sys.argv[1]).claim_slot();"
        f"c = s.counters({route}); c[{C_COUNT}] += 10; c[{C_STATUS + 2}] += 10; c[{C_BUCKETS}] += 10;"
        f"s.segment.inflight_view({route})[s.index] = 2; os.kill(os.getpid(), 9)"
    )
    before: dict[tuple[str, tuple[str, ...]], float] = {}
    for killed in range(1, 4):
        subprocess.run([sys.executable, "-c", program, segment.path], check=False)
        for reaping in (False, True):
            if reaping:
                segment.reap()
            seen = {family.name: dict(family.series) for family in collector.families()}
            now = counters(seen)
            assert {key: value for key, value in before.items() if now[key] < value} == {}
            before = now
        assert seen["lb_route_requests_total"]["r0", "2xx"] == 10 * killed
        assert seen["lb_route_inflight"]["r0",] == 0


def test_a_removed_route_takes_nothing_from_the_sum(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    slot = segment.claim_slot()
    slot.counters(snapshot.columns["route:r0"])[C_COUNT] = 5
    slot.counters(snapshot.columns["route:r1"])[C_COUNT] = 2
    routes = snapshot.config.routes
    now = [snapshot]
    collector = SegmentCollector(lambda: (now[0], segment))

    def total() -> Value:
        return next(f for f in collector.families() if f.name == "load_balancer_requests_total").series[0][1]

    assert total() == 7
    now[0] = replace(snapshot, config=replace(snapshot.config, routes=routes[1:]))
    assert [total(), total()] == [7, 7]


def test_the_number_of_series_comes_from_the_configuration_alone(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    before = {name: set(series) for name, series in scrape(snapshot, segment).items()}
    fill(segment)
    assert {name: set(series) for name, series in scrape(snapshot, segment).items()} == before


def test_something_can_be_read_without_a_segment(tmp_path: Path) -> None:
    snapshot, _ = machine(tmp_path)
    for source in ((None, None), (snapshot, None)):
        seen = scrape(*source)
        assert list(seen["lb_build_info"].values()) == [1]
        assert seen["lb_process_resident_memory_bytes"]["controller", ""]


def test_a_segment_that_lacks_columns_of_the_snapshot(tmp_path: Path) -> None:
    """Somebody has just replaced it and not grown it yet."""
    snapshot, _ = machine(tmp_path)
    small = Segment.create(str(tmp_path / "small.seg"), slots=2, columns=2)
    seen = scrape(snapshot, small)
    assert seen["lb_backend_up"] == {}
    assert seen["load_balancer_requests_total"][()] == 0


def test_the_status_listener_is_no_client(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    slot = segment.claim_slot()
    answered(slot, snapshot.columns["route:r0"], 200, 1000)
    answered(slot, snapshot.columns["route:(status)"], 200, 1000)
    seen = scrape(snapshot, segment)
    assert seen["load_balancer_requests_total"][()] == 1
    assert seen["lb_route_requests_total"]["(status)", "2xx"] == 1


def test_the_last_reload(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path)
    assert "lb_config_last_reload_successful" not in scrape(snapshot, segment)
    for problems, expected in (([], 1), (["lb.yaml:1:1: no"], 0)):
        before = time.time()
        record(snapshot.config.state.dir, problems)
        seen = scrape(snapshot, segment)
        assert seen["lb_config_last_reload_successful"] == {(): expected}
        assert before <= seen["lb_config_last_reload_timestamp_seconds"][()] <= time.time()  # type: ignore[operator]
