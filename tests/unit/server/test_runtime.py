"""What a worker makes of a snapshot, and of the next one: swapped as a whole or not at all."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic_ns
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.pywsgi import WSGIServer

from lb.config import snapshot as snapshots
from lb.errors import ConfigError, LbError, RequestError
from lb.http1.request import RequestHead
from lb.model import (
    AccessLog,
    Backend,
    BackendTls,
    Config,
    Health,
    Listener,
    ListenerTimeouts,
    Pool,
    Redirect,
    Respond,
    Route,
    Snapshot,
    State,
)
from lb.proxy import resolver as resolver_module
from lb.proxy.answer import Answer
from lb.proxy.connection import Entrance
from lb.proxy.deadlines import NEVER, Deadline, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.forward import forward
from lb.server import coming
from lb.server import runtime as runtime_module
from lb.server.runtime import Runtime
from lb.state.layout import (
    C_BYTES_IN,
    C_BYTES_OUT,
    C_COUNT,
    DOWN,
    H_CONTROLLER_BEAT_NS,
    H_NUMBER,
    H_PROBED_GENERATION,
    SH_VERDICT,
    SLOT_BEAT_NS,
    SLOT_GENERATION,
    SLOT_PID,
    SLOT_READY,
    SLOT_START,
    UP,
)
from lb.state.process import start_ticks
from lb.state.publish import publish, snapshot_path
from lb.state.reload import record
from lb.state.segment import Segment
from lb.structs import replace
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.scripted import head_of
from tests.unit.proxy.live import body_of, exchange_of

UNPROBED = Health(type="none")


@pytest.fixture
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering(OK)) as one:
        yield one


@pytest.fixture
def config(tmp_path: Path, origin: FaultOrigin) -> Config:
    """One pool of two addresses of the same backend; every route's answer is its id, or that backend's."""
    pool = Pool("web", (backend("a", origin), backend("b", origin)), policy="round_robin", health=UNPROBED)
    return Config("lb.yaml", (), (pool,), (Route("all", "pool", pool="web"),), State(str(tmp_path)))


def backend(name: str, origin: FaultOrigin) -> Backend:
    return Backend(name, host="127.0.0.1", port=origin.port)


@pytest.fixture
def put_in_force() -> Iterator[Callable[[Config], Snapshot]]:
    """Publishes, and at the end takes away what stands in shared memory."""
    made: set[str] = set()

    def act(config: Config) -> Snapshot:
        snapshot = publish(config)
        made.add(snapshot.segment)
        return snapshot

    yield act
    for path in made:
        Path(path).unlink(missing_ok=True)


@pytest.fixture
def runtime(
    config: Config, put_in_force: Any, hub: Any, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """Follows changes at every sweep."""
    monkeypatch.setattr(runtime_module, "SEGMENT_CHECK_S", 0.0)
    put_in_force(config)
    one = Runtime(snapshot_path(config.state.dir), hub, sweeper)
    sweeper.every_sweep(one._follow)
    yield one
    sweeper.stop()
    one.close()


def wait_until(claim: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not claim():
            gevent.sleep(0.002)


def get(runtime: Runtime, deadline: Deadline, head: RequestHead | None = None) -> Answer:
    """One request through the traffic core; counted and recorded."""
    exchange = exchange_of(head or head_of(), deadline)
    runtime.traffic.match(exchange)
    answer = runtime.traffic.answer(exchange)
    exchange.status = answer.status
    body_of(answer)
    runtime.traffic.count(exchange)
    runtime.traffic.record(exchange)
    return answer


@contextlib.contextmanager
def controller_at(config: Config) -> Iterator[list[str]]:
    """Somebody who answers on the control socket; the paths that were asked for."""
    asked: list[str] = []

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    listening = gevent.socket.socket(gevent.socket.AF_UNIX)
    listening.bind(os.path.join(config.state.dir, "control.sock"))
    listening.listen()
    server = WSGIServer(listening, answer, log=None, environ={"REMOTE_ADDR": ""})
    server.start()
    yield asked
    server.stop()
    listening.close()


def own_fds() -> list[str]:
    """Those that are still open when we look at them."""
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


def total(runtime: Runtime, name: str, cell: int = C_COUNT) -> int:
    return runtime.segment.totals(runtime.snapshot.columns[name])[cell]


def member(runtime: Runtime, name: str) -> Any:
    return {one.backend.id: one for one in runtime.traffic.pools[0].members}[name]


# --- one snapshot


def test_without_a_snapshot_there_is_no_worker(tmp_path: Path, hub: Any, sweeper: Sweeper) -> None:
    with pytest.raises(ConfigError, match="cannot read snapshot"):
        Runtime(str(tmp_path / "snapshot.json"), hub, sweeper)


def test_a_request_is_answered_and_counted_where_the_machine_counts(runtime: Runtime, deadline: Deadline) -> None:
    assert [get(runtime, deadline).status for _ in range(3)] == [200] * 3
    assert total(runtime, "route:all") == total(runtime, "algo:round_robin") == 3
    assert (total(runtime, "backend:web/a"), total(runtime, "backend:web/b")) == (2, 1)
    assert runtime.segment.inflight(runtime.snapshot.columns["backend:web/a"]) == 0


@pytest.mark.parametrize(
    ("route", "status"),
    [
        (Route("fixed", "respond", respond=Respond(418)), 418),
        (Route("moved", "redirect", redirect=Redirect("/there", 302)), 302),
        (Route("health", "health"), 200),
    ],
)
def test_actions(route: Route, status: int, runtime: Runtime, config: Config, put_in_force: Any, deadline: Any) -> None:
    put_in_force(replace(config, routes=(route,)))
    wait_until(lambda: runtime.traffic.generation == 2)
    assert get(runtime, deadline).status == status


def test_no_route_is_counted_too(runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline) -> None:
    put_in_force(replace(config, routes=()))
    wait_until(lambda: runtime.traffic.generation == 2)
    with pytest.raises(RequestError, match="route_not_found"):
        get(runtime, deadline)
    exchange = exchange_of(head_of(), deadline)
    runtime.traffic.count(exchange)
    runtime.traffic.record(exchange)
    assert total(runtime, "route:(unrouted)") == 1


def test_metrics_come_from_the_controller_whatever_was_asked(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline
) -> None:
    put_in_force(replace(config, routes=(Route("metrics", "metrics", path="/stats"),)))
    wait_until(lambda: runtime.traffic.generation == 2)
    head = head_of("GET /stats?x HTTP/1.1")
    with controller_at(config) as asked:
        assert get(runtime, deadline, head).status == 200
    assert asked == ["/metrics"]
    assert (head.target, head.path) == (b"/stats?x", b"/stats"), "as the access log tells it"


def test_metrics_without_a_controller_say_how_to_start_it(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline
) -> None:
    put_in_force(replace(config, routes=(Route("metrics", "metrics", path="/metrics"),)))
    wait_until(lambda: runtime.traffic.generation == 2)
    for _ in range(2):  # refused, then left out because it was refused
        with pytest.raises(LbError, match="no_controller") as error:
            get(runtime, deadline, head_of("GET /metrics HTTP/1.1"))
        assert error.value.answer.status == 503
        assert "gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app" in error.value.answer.text


def test_another_policy_by_request(runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline) -> None:
    put_in_force(replace(config, routes=(Route("all", "pool", pool="web", algo_override=True),)))
    wait_until(lambda: runtime.traffic.generation == 2)
    for algo in ("random", "geo_aware", "least_response_time"):
        assert get(runtime, deadline, head_of(f"GET /?algo={algo} HTTP/1.1")).status == 200
    with pytest.raises(RequestError, match="invalid_algorithm"):
        get(runtime, deadline, head_of("GET /?algo=nonsense HTTP/1.1"))
    names = ("random", "geo_aware", "least_response_time", "round_robin")
    counted = {name: total(runtime, f"algo:{name}") for name in names}
    assert counted == {"random": 1, "geo_aware": 1, "least_response_time": 1, "round_robin": 0}


def test_without_leave_nobody_chooses_the_policy(runtime: Runtime, deadline: Deadline) -> None:
    get(runtime, deadline, head_of("GET /?algo=random HTTP/1.1"))
    assert (total(runtime, "algo:random"), total(runtime, "algo:round_robin")) == (0, 1)


# --- health, readiness


def test_a_verdict_counts_as_soon_as_it_is_told(runtime: Runtime) -> None:
    pool = runtime.traffic.pools[0]
    member(runtime, "a").shared[SH_VERDICT] = DOWN
    member(runtime, "b").shared[SH_VERDICT] = UP
    runtime.segment.bump_health()
    wait_until(lambda: pool.eligible == (1,))


def status_of(runtime: Runtime, path: str) -> tuple[int, Any]:
    head = head_of(f"GET {path} HTTP/1.1")
    live = runtime.status.route(head)
    assert live.local is not None
    exchange = Exchange(head, None, (b"", b""), None, 0.0)  # type: ignore[arg-type]
    answer = live.local(exchange)
    return answer.status, json.loads(answer.first) if answer.first.startswith(b"{") else answer.first


def test_ready_when_every_backend_has_been_probed_once(runtime: Runtime) -> None:
    assert status_of(runtime, "/health/live") == (200, b"OK")
    assert status_of(runtime, "/health/ready")[0] == 503
    runtime.segment.header[H_PROBED_GENERATION] = 1
    runtime.segment.header[H_CONTROLLER_BEAT_NS] = monotonic_ns()
    assert status_of(runtime, "/health/ready") == (200, {"status": "ready", "generation": 1, "current": True})
    runtime.is_draining = True
    status, said = status_of(runtime, "/health/ready")
    assert (status, said["status"], said["reason"]) == (503, "draining", "draining")


def test_a_reload_leaves_it_ready(runtime: Runtime, config: Config) -> None:
    """A balancer in front that asks just then would take this machine out for nothing."""
    runtime.segment.header[H_PROBED_GENERATION] = 1
    runtime.segment.header[H_CONTROLLER_BEAT_NS] = monotonic_ns()
    publish(config)
    wait_until(lambda: runtime.traffic.generation == 2)
    assert status_of(runtime, "/health/ready") == (200, {"status": "ready", "generation": 2, "current": True})


def test_not_ready_for_want_of_probes_or_of_a_controller(runtime: Runtime) -> None:
    status, said = status_of(runtime, "/health/ready")
    assert (status, said["reason"]) == (503, "no_controller")
    assert "gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app" in said["error"]
    runtime.segment.header[H_CONTROLLER_BEAT_NS] = monotonic_ns()
    status, said = status_of(runtime, "/health/ready")
    assert (status, said["status"], said["reason"]) == (503, "not probed yet", "not_probed")


@pytest.mark.parametrize(
    ("beat_ns", "said"),
    [
        (lambda: monotonic_ns() - 3_600_000_000_000, "the controller has said nothing for 3600 s"),
        (lambda: monotonic_ns() + 3_600_000_000_000, "the controller has not been heard of"),  # of an earlier boot
        (lambda: 0, "the controller has not been heard of"),
    ],
)
def test_ready_without_a_controller_says_so(runtime: Runtime, beat_ns: Callable[[], int], said: str) -> None:
    runtime.segment.header[H_PROBED_GENERATION] = 1
    runtime.segment.header[H_CONTROLLER_BEAT_NS] = beat_ns()
    status, answer = status_of(runtime, "/health/ready")
    assert (status, answer["problem"]) == (200, f"{said}: the last verdicts of probes are in force")


def test_ready_says_that_a_configuration_was_refused(runtime: Runtime, config: Config) -> None:
    runtime.segment.header[H_PROBED_GENERATION] = 1
    record(config.state.dir, ["lb.yaml:1:1: token 'secret' is too short"])
    wait_until(lambda: "configuration refused at" in status_of(runtime, "/health/ready")[1]["problem"])
    runtime.segment.header[H_CONTROLLER_BEAT_NS] = monotonic_ns()
    status, answer = status_of(runtime, "/health/ready")
    assert (status, answer["status"]) == (200, "degraded")
    assert answer["problem"].endswith(f"is in force; {config.state.dir}/reload.json says why")
    assert "secret" not in answer["problem"]
    record(config.state.dir, [])
    wait_until(lambda: "configuration" not in status_of(runtime, "/health/ready")[1].get("problem", ""))


@pytest.mark.parametrize("path", ["/", "/health", "/health/readyx", "/admin", "/metrics/x"])
def test_status_listeners_know_nothing_else(path: str, runtime: Runtime) -> None:
    with pytest.raises(RequestError, match="route_not_found"):
        runtime.status.route(head_of(f"GET {path} HTTP/1.1"))


def test_a_worker_says_that_it_lives(runtime: Runtime) -> None:
    runtime.beat()
    row = runtime.segment.slot_cells(runtime.slot.index)
    assert (row[SLOT_PID], row[SLOT_GENERATION], row[SLOT_READY]) == (os.getpid(), 1, 1)
    assert row[SLOT_BEAT_NS] > 0
    runtime.is_draining = True
    runtime.beat()
    assert row[SLOT_READY] == 2


# --- the next snapshot


def test_an_unchanged_backend_keeps_its_connections_and_what_is_known_of_it(
    runtime: Runtime, config: Config, origin: FaultOrigin, put_in_force: Any, deadline: Deadline
) -> None:
    for _ in range(2):
        get(runtime, deadline)
    kept, dropped = member(runtime, "a"), member(runtime, "b")
    kept_connection, dropped_connection = kept.idle[0], dropped.idle[0]
    pool = replace(config.pools[0], backends=(backend("a", origin), backend("c", origin)), policy="random")
    put_in_force(replace(config, pools=(pool,)))
    wait_until(lambda: runtime.traffic.generation == 2)
    assert member(runtime, "a") is kept
    assert kept.idle == [kept_connection]
    assert kept.pool.policy == "random"
    assert dropped_connection.is_closed and not dropped.idle
    assert {get(runtime, deadline).status for _ in range(4)} == {200}
    assert total(runtime, "backend:web/a") + total(runtime, "backend:web/c") == 5


def test_a_request_that_was_under_way_ends_in_the_old_core(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline
) -> None:
    old = runtime.traffic
    exchange = exchange_of(head_of(), deadline)
    old.match(exchange)
    answer = old.answer(exchange)
    asked = exchange.member
    assert asked is not None and asked.load() == 1
    put_in_force(config)
    wait_until(lambda: runtime.traffic.generation == 2)
    assert runtime.traffic is not old
    assert asked.load() == 1
    body_of(answer)
    old.count(exchange)
    old.record(exchange)
    assert asked.load() == 0
    assert total(runtime, "route:all") == 1


def test_a_request_that_waits_is_served_by_what_a_reload_adds(
    runtime: Runtime, config: Config, origin: FaultOrigin, put_in_force: Any, deadline: Deadline
) -> None:
    """And by nobody whom it has taken out."""
    first = replace(backend("a", origin), max_inflight=1)
    pool = replace(config.pools[0], backends=(first,))
    put_in_force(replace(config, pools=(pool,)))
    wait_until(lambda: runtime.traffic.generation == 2)
    old = runtime.traffic
    holder = exchange_of(head_of(), deadline)
    old.match(holder)
    old.answer(holder)
    waiting = gevent.spawn(get, runtime, Deadline(None))
    wait_until(lambda: len(old.pools[0].waiting or ()) == 1)
    added = replace(backend("c", origin), max_inflight=1)
    put_in_force(replace(config, pools=(replace(pool, backends=(replace(first, state="drain"), added)),)))
    assert waiting.get(timeout=5).status == 200
    assert (total(runtime, "backend:web/a"), total(runtime, "backend:web/c")) == (1, 1)
    old.count(holder)
    old.record(holder)


def test_a_tunnel_is_counted_both_ways(runtime: Runtime, deadline: Deadline) -> None:
    """It has no request body, but bytes of the client all the same."""
    exchange = exchange_of(head_of(), deadline)
    runtime.traffic.match(exchange)
    body_of(runtime.traffic.answer(exchange))
    exchange.bytes_in, exchange.bytes_out = 7, 9
    runtime.traffic.count(exchange)
    runtime.traffic.record(exchange)
    assert [total(runtime, "route:all", cell) for cell in (C_BYTES_IN, C_BYTES_OUT)] == [7, 9]


def test_a_dropped_backend_ends_what_it_works_on_and_keeps_no_connection(
    runtime: Runtime, config: Config, origin: FaultOrigin, put_in_force: Any, deadline: Deadline
) -> None:
    dropped = member(runtime, "a")
    connection = dropped.checkout(deadline, NEVER, fresh_only=False)
    put_in_force(replace(config, pools=(replace(config.pools[0], backends=(backend("c", origin),)),)))
    wait_until(lambda: runtime.traffic.generation == 2)
    assert not connection.is_closed
    dropped.give_back(connection, 1.0)
    assert connection.is_closed


def test_trust_and_log_follow(runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline) -> None:
    assert b"10.0.0.1" not in runtime.trusted
    path = Path(config.state.dir) / "access.log"
    put_in_force(replace(config, trusted_proxies=("10.0.0.0/8",), access_log=AccessLog(str(path))))
    wait_until(lambda: runtime.traffic.generation == 2)
    assert b"10.0.0.1" in runtime.trusted
    get(runtime, deadline)
    wait_until(lambda: path.read_text() != "")
    assert json.loads(path.read_text())["route"] == "all"


def test_what_is_refused_and_told_of_traces_follows(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline
) -> None:
    odd = head_of("GET /a%2Fb HTTP/1.1")
    assert get(runtime, deadline, odd).status == 200
    assert runtime.trusted.makes_traces
    put_in_force(replace(config, ambiguous_paths="reject", traceparent=False))
    wait_until(lambda: runtime.traffic.generation == 2)
    with pytest.raises(RequestError, match="ambiguous_path"):
        get(runtime, deadline, odd)
    assert not runtime.trusted.makes_traces
    assert get(runtime, deadline).status == 200


def test_a_broken_snapshot_changes_nothing_and_the_next_good_one_is_taken(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(runtime.snapshot_path)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    runtime.segment.publish_generation(2)
    wait_until(lambda: "damaged snapshot" in caplog.text)
    gevent.sleep(0.03)
    assert caplog.text.count("damaged snapshot") == 1, "told once"
    assert runtime.traffic.generation == 1
    assert get(runtime, deadline).status == 200
    path.write_bytes(good)
    put_in_force(config)
    wait_until(lambda: runtime.traffic.generation == 3)


def test_a_new_name_is_looked_up_before_requests_need_it_and_a_dead_one_delays_one_reload(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(host: str, port: int) -> Any:
        gevent.sleep(3600 if host == "dead.test" else 0.3)
        return ((int(socket.AF_INET), ("127.0.0.1", port)),)

    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.6)
    monkeypatch.setattr(runtime._resolver._look_ups, "_look_up", look_up)
    pool = config.pools[0]
    named = replace(pool, backends=(replace(pool.backends[0], host="new.test"),))
    for generation, others in ((2, ()), (3, (Backend("d", host="dead.test", port=1),))):
        put_in_force(replace(config, pools=(named, Pool("dead", others))))
        with gevent.Timeout(5):
            while runtime.traffic.generation < generation:
                assert get(runtime, deadline).status == 200
                gevent.sleep(0.01)
        assert get(runtime, deadline).status == 200
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 3600)
    put_in_force(replace(config, pools=(named, Pool("other", others))))
    wait_until(lambda: runtime.traffic.generation == 4)


def test_a_large_one_is_made_ready_in_turns_and_only_the_last_one_is_followed(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "TURN_S", 0.0)
    rounds: list[None] = []
    watcher = runtime.hub.loop.prepare()
    watcher.start(rounds.append, None)  # each time that the hub is about to look at its sockets
    many = Pool("many", tuple(Backend(f"b{n}", host="127.0.0.1", port=n) for n in range(1, 501)), policy="round_robin")
    put_in_force(replace(config, pools=(*config.pools, many)))
    wait_until(lambda: runtime._next is not None or len(runtime._coming) > 100)
    fewer = replace(many, backends=many.backends[:300])
    put_in_force(replace(config, pools=(*config.pools, fewer)))
    assert get(runtime, deadline).status == 200, "requests are served meanwhile"
    wait_until(lambda: runtime.traffic.generation == 3)
    watcher.stop()
    assert len(rounds) > 800 and len(runtime._pools["many"].members) == 300
    wait_until(lambda: not runtime._coming)
    put_in_force(config)
    wait_until(lambda: "many" not in runtime._pools)


def test_a_subset_is_by_number_where_machines_share_a_store_and_else_by_name(
    runtime: Runtime, config: Config, put_in_force: Any
) -> None:
    backends = tuple(Backend(f"b{n}", host="127.0.0.1", port=n) for n in range(1, 9))
    pool = Pool("web", backends, health=UNPROBED, subset=2)

    def eligible(number: int, state: State) -> tuple[int, ...]:
        runtime.segment.header[H_NUMBER] = number
        generation = put_in_force(replace(config, pools=(pool,), state=state)).generation
        wait_until(lambda: runtime.traffic.generation == generation)
        return runtime._pools["web"].eligible

    alone, shared = replace(config.state, machine="me"), replace(config.state, machine="me", redis="redis://x")
    by_number = [eligible(number, shared) for number in range(1, 5)]
    assert sorted(i for one in by_number for i in one) == list(range(8)), "four machines, and each backend one of them"
    assert eligible(1, alone) == eligible(4, alone) == eligible(0, shared)


def test_one_that_cannot_be_put_together_here_changes_nothing(
    runtime: Runtime, config: Config, put_in_force: Any, deadline: Deadline, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that was there when the configuration was checked, and is not readable for this process."""
    kept = member(runtime, "a")
    get(runtime, deadline)
    get(runtime, deadline)
    secure = Pool(
        "secure", (Backend("s", scheme="https", host="127.0.0.1", port=1),), tls=BackendTls(ca="/nowhere.pem")
    )
    put_in_force(replace(config, pools=(*config.pools, secure), routes=()))
    wait_until(lambda: "kept=1" in caplog.text)
    gevent.sleep(0.03)
    assert caplog.text.count("kept=1") == 1, "told once"
    assert runtime.traffic.generation == 1
    assert get(runtime, deadline).status == 200
    put_in_force(config)
    wait_until(lambda: runtime.traffic.generation == 3)
    assert member(runtime, "a") is kept
    assert len(kept.idle) == 1


def test_what_could_not_be_read_is_read_as_soon_as_it_can_be(
    runtime: Runtime, config: Config, put_in_force: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody publishes again: a disk that failed for a moment is no reason to stay behind."""
    path, away = Path(runtime.snapshot_path), Path(config.state.dir) / "away"
    path.rename(away)
    runtime.segment.publish_generation(2)
    wait_until(lambda: runtime._missed.tries >= 2)
    assert caplog.text.count("cannot read snapshot") == 1, "told once"
    put_in_force(config)
    snapshots.write(str(away), replace(snapshots.read(str(path)), generation=2))
    runtime.segment.publish_generation(2)
    away.rename(path)
    wait_until(lambda: runtime.traffic.generation == 2)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{")])
def test_a_worker_starts_on_the_copy_of_what_was_in_force(
    damage: Callable[[Path], object], config: Config, put_in_force: Any, hub: Any, sweeper: Sweeper, caplog: Any
) -> None:
    put_in_force(config)
    snapshot = put_in_force(config)
    path = snapshot_path(config.state.dir)
    damage(Path(path))
    runtime = Runtime(path, hub, sweeper)
    assert (runtime.snapshot, runtime.traffic.generation) == (snapshot, 2)
    assert [record.levelname for record in caplog.records if path in record.getMessage()] == ["ERROR"]
    assert status_of(runtime, "/health/ready")[1]["problem"].startswith(f"{path}: ")
    put_in_force(config)
    runtime._follow(1.0)
    assert runtime.traffic.generation == 3
    assert "problem" not in status_of(runtime, "/health/ready")[1]
    runtime.close()


def test_the_snapshot_says_what_the_file_said(runtime: Runtime) -> None:
    assert runtime.snapshot == snapshots.read(runtime.snapshot_path)


# --- the segment


def test_a_deleted_segment_is_made_anew(runtime: Runtime, deadline: Deadline, caplog: pytest.LogCaptureFixture) -> None:
    get(runtime, deadline)
    old, path = runtime.segment, runtime.segment.path
    kept = member(runtime, "a")
    os.unlink(path)
    wait_until(lambda: runtime.segment is not old)
    assert Path(path).exists()
    assert runtime.traffic.generation == 1
    assert member(runtime, "a") is kept
    for _ in range(2):
        assert get(runtime, deadline).status == 200
    assert total(runtime, "route:all") == 2
    assert "rejoined" in caplog.text


def test_what_is_in_flight_moves_to_the_new_segment(runtime: Runtime, deadline: Deadline) -> None:
    pool = runtime.traffic.pools[0]
    exchange = exchange_of(head_of(), deadline)
    answer = forward(exchange, pool, "round_robin")
    old = runtime.segment
    os.unlink(old.path)
    wait_until(lambda: runtime.segment is not old)
    column = runtime.snapshot.columns["backend:web/a"]
    assert runtime.segment.inflight(column) == 1
    body_of(answer)
    exchange.release()
    assert runtime.segment.inflight(column) == 0


def test_a_segment_that_was_left_is_let_go_of(runtime: Runtime) -> None:
    def held() -> int:
        gc.collect()
        fds = sum("/dev/shm/lb-" in os.readlink(f"/proc/self/fd/{fd}") for fd in own_fds())
        return fds + Path("/proc/self/maps").read_text().count(runtime.segment.path)

    before = held()
    for _ in range(20):
        old = runtime.segment
        os.unlink(old.path)
        wait_until(lambda old=old: runtime.segment is not old)  # type: ignore[misc]
    wait_until(lambda: held() == before)


def test_a_segment_is_kept_while_a_request_counts_in_it(runtime: Runtime, deadline: Deadline) -> None:
    core, old = runtime.traffic, runtime.segment
    exchange = exchange_of(head_of(), deadline)
    core.match(exchange)
    body_of(core.answer(exchange))
    os.unlink(old.path)
    wait_until(lambda: runtime.segment is not old)
    gevent.sleep(0.03)
    assert old.fd >= 0
    core.count(exchange)
    core.record(exchange)
    assert old.totals(runtime.snapshot.columns["route:all"])[C_COUNT] == 1
    del core, exchange
    wait_until(lambda: old.fd < 0)


def test_a_slot_that_somebody_else_took_is_replaced(runtime: Runtime) -> None:
    mine = runtime.slot.index
    row = runtime.segment.slot_cells(mine)
    row[SLOT_START], row[SLOT_PID] = start_ticks(os.getppid()) or 0, os.getppid()
    runtime.beat()
    assert runtime.slot.index != mine
    row = runtime.segment.slot_cells(runtime.slot.index)
    assert row[SLOT_PID] == os.getpid()


def test_a_worker_that_ends_gives_its_slot_back(config: Config, put_in_force: Any, hub: Any, sweeper: Sweeper) -> None:
    snapshot = put_in_force(config)
    runtime = Runtime(snapshot_path(config.state.dir), hub, sweeper)
    looking = Segment.open(snapshot.segment)
    assert looking.live_slots() == [runtime.slot.index]
    runtime.close()
    assert looking.live_slots() == []
    looking.close()


def test_a_request_is_under_way_on_its_route_until_it_is_recorded(runtime: Runtime, deadline: Deadline) -> None:
    def under_way() -> int:
        return runtime.segment.inflight(runtime.snapshot.columns["route:all"])

    core = runtime.traffic
    exchange = exchange_of(head_of(), deadline)
    live = core.match(exchange)
    assert (live.route.id, under_way()) == ("all", 1)
    body_of(core.answer(exchange))
    assert under_way() == 1
    core.count(exchange)
    core.record(exchange)
    assert under_way() == 0


def test_a_reload_reaches_listeners_that_are_open(runtime: Runtime, config: Config, put_in_force: Any) -> None:
    entrance = Entrance("traffic", lambda: runtime.traffic, b"http", ListenerTimeouts(), None, None, False, None)
    runtime.entrances.append(entrance)
    timeouts = ListenerTimeouts(head_s=1.0)
    listener = Listener(
        "traffic",
        "traffic",
        ("127.0.0.1:5000",),
        timeouts=timeouts,
        body_limit_bytes=10,
        max_connections_per_client=7,
    )
    put_in_force(replace(config, listeners=(listener,)))
    wait_until(lambda: runtime.traffic.generation == 2)
    assert (entrance.timeouts, entrance.body_limit_bytes, entrance.max_per_client) == (timeouts, 10, 7)
