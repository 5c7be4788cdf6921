"""What is exact over two machines with a Redis, and what they say of each other: order, counters, places that come back;
with a store that is slow, a wall clock that jumps, workers that are killed, and configurations that differ."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from lb.state.layout import SH_EJECTED_UNTIL_NS, SH_OTHERS, SH_SLICE
from lb.state.segment import Segment
from tests.chaos.process.load import Load
from tests.chaos.process.running import SLACK, Run
from tests.chaos.store.pair import APART_S, BURST, FIRST_BYTE_S, HELD, LIMIT, RATE, Pair, admin, pair
from tests.support.delay_proxy import Proxy, delay_proxy
from tests.support.geo import AMERICAN, GERMAN, write_database
from tests.support.lettered import LETTERS, is_in_order
from tests.support.raw_client import RawClient, get, request
from tests.support.redis_server import redis_server
from tests.support.waiting import wait_for
from tests.support.wall_clock import WallClock

IS_FULL = os.environ.get("LB_CHAOS") == "full"
KILLS = 50 if IS_FULL else 4
HOURS, JUMPED_S = ((1, -1, 0), 10.0) if IS_FULL else ((1, -1, 0), 0.3)
HOUR, NEAR = timedelta(hours=1), timedelta(minutes=5)
AWAY_S = 0.05
BACK_S = 2.0
"""Promised: by then the places of a killed worker are free."""
AT_ONCE_S = 0.1
EJECTED_S = 1.2
STILL_S = 2.0
"""A machine that is busy may come late with one renewal; an hour of clock would be thousands."""
CURLS_APART_S = 0.004


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    """Of machine two."""
    return WallClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """Between both and the store."""
    with redis_server() as server, delay_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, proxy: Proxy, wall: WallClock) -> Iterator[Pair]:
    urls = [f"redis://127.0.0.1:{proxy.port}/0"] * 2
    with pair(tmp_path_factory.mktemp("two"), urls, environ=[{}, wall.environ]) as running:
        running.wait_until_shared()
        yield running


def test_one_after_the_other_on_one_machine_is_a_b_c(both: Pair) -> None:
    for _ in range(SLACK):  # tries: a machine that stands still for a moment makes several out of one
        taken = "".join(_curl(both.runs[0]) for _ in range(60))
        if is_in_order(taken):
            break
    assert is_in_order(taken), taken


def _curl(run: Run) -> str:
    """On a connection of its own, and no sooner after the last one than two commands of a shell."""
    started = time.monotonic()
    letter = get(run.port, "/abc").body.decode()
    time.sleep(max(0.0, CURLS_APART_S - (time.monotonic() - started)))
    return letter


def test_machines_of_different_configurations_say_so_and_merge_nothing(both: Pair) -> None:
    one, two = both.runs
    config = json.loads(two.file.read_text())
    other = json.loads(two.file.read_text())
    other["pools"]["abc"]["backends"].pop()
    other["pools"]["busy"]["backends"][0]["url"] = "http://127.0.0.1:9"
    said = "has other pools (different: abc, busy)"
    two.file.write_text(json.dumps(other))
    two.signal(signal.SIGHUP)
    wait_for(
        "it to be said", lambda: all(said in admin(run, "GET", "/api/v1/state").body["problem"] for run in both.runs)
    )
    assert said in one.log() and said in two.log()
    assert f"problem: machine two {said}" in lb_status(one)
    assert both.cells(two, HELD)[SH_OTHERS] == 0, "the same name of another place is another backend"
    wait_for("places of its own", lambda: both.cells(one, HELD)[SH_SLICE] == LIMIT, 10)
    taken = "".join(get(one.port, "/abc").body.decode() for _ in range(12))
    assert set(taken) == set(LETTERS), "what another machine has not is still served here"
    two.file.write_text(json.dumps(config))
    two.signal(signal.SIGHUP)
    wait_for("all is alike", lambda: not any(admin(run, "GET", "/api/v1/state").body["problem"] for run in both.runs))
    both.wait_until_shared()


def test_a_regions_order_a_subset_and_a_session_are_of_both_machines(both: Pair, proxy: Proxy, tmp_path: Path) -> None:
    database = write_database(tmp_path / "geo.mmdb")
    keys = ["key-of-machine-one-alone", "key-of-machine-two-alone"]
    before = [run.file.read_text() for run in both.runs]
    for run, key in zip(both.runs, keys, strict=True):
        reload(run, with_choices(run, database, key))
    _check_sticky_keys_are_said(both)
    for run in both.runs:
        reload(run, with_choices(run, database, keys[0]))
    wait_for("all is alike", lambda: not any(admin(run, "GET", "/api/v1/state").body["problem"] for run in both.runs))
    _check_sessions(both)
    _check_subsets(both)
    _check_regions_order(both, proxy)
    for run, text in zip(both.runs, before, strict=True):
        reload(run, json.loads(text))
    both.wait_until_shared()


def with_choices(run: Run, database: Path, key: str) -> dict[str, Any]:
    """Pools of the lettered backends and one more: with a region's order, a subset of two, and sessions."""
    config = json.loads(run.file.read_text())
    (hello,) = config["pools"]["hello"]["backends"]
    members = [{**one, "region": "EU" if one["id"] != "C" else "US"} for one in config["pools"]["abc"]["backends"]]
    four = [*config["pools"]["abc"]["backends"], {"id": "H", "url": hello}]
    unprobed = {"health": {"type": "none"}}
    pools = {
        "regional": {"backends": members, "policy": {"name": "geo", "inner": "round_robin"}, **unprobed},
        "subset": {"backends": four, "policy": "round_robin", "subset": 2, **unprobed},
        "session": {"backends": members, "policy": "round_robin", "sticky": {"cookie": "s", "key": key}, **unprobed},
    }
    routes = [{"id": f"to-{name}", "path": f"/{name}", "pool": name} for name in pools]
    kept = [route for route in config["routes"] if not route.get("id", "").startswith("to-")]
    return {
        **config,
        "geo": {"database": str(database)},
        "trusted_proxies": ["127.0.0.1/32"],
        "pools": config["pools"] | pools,
        "routes": routes + kept,
    }


def reload(run: Run, config: dict[str, Any]) -> None:
    """Until everybody of the machine is on it."""
    before = run.snapshot().generation
    run.file.write_text(json.dumps(config))
    run.signal(signal.SIGHUP)

    def is_in_force() -> bool:
        state = admin(run, "GET", "/api/v1/state").body
        return state["generation"] > before and all(
            one["generation"] == state["generation"] for one in state["workers"]
        )

    wait_for("the configuration", is_in_force)


def _check_sticky_keys_are_said(both: Pair) -> None:
    said = "has another sticky key (session): clients that change machines lose their backend"
    is_said = lambda: all(said in admin(run, "GET", "/api/v1/state").body["problem"] for run in both.runs)  # noqa: E731
    wait_for("it to be said", is_said)
    assert all(said in run.log() for run in both.runs)
    assert f"problem: machine two {said}" in lb_status(both.runs[0])


def _check_sessions(both: Pair) -> None:
    first = get(both.runs[0].port, "/session")
    cookie = first.value("set-cookie").partition(";")[0]
    again = [get(both.runs[i % 2].port, "/session", fields=[f"Cookie: {cookie}"]).body for i in range(8)]
    assert set(again) == {first.body}, "a session stays over machines of one key"


def _check_subsets(both: Pair) -> None:
    asked = [{get(run.port, "/subset").body for _ in range(12)} for run in both.runs]
    assert [len(one) for one in asked] == [2, 2] and not asked[0] & asked[1], "together all, each by one"


def _check_regions_order(both: Pair, proxy: Proxy) -> None:
    def german(place: int) -> str:
        started = time.monotonic()
        fields = [f"X-Forwarded-For: {GERMAN.decode()}"]
        letter = get(both.runs[place % 2].port, "/regional", fields=fields).body.decode()
        time.sleep(max(0.0, APART_S - (time.monotonic() - started)))
        return letter

    taken = ""
    while taken[-8:] not in ("ABABABAB", "BABABABA"):
        assert len(taken) < 200, f"no order over machines: {taken}"
        taken += german(len(taken))
    orders = Redis(port=proxy.port).keys("{lb}:order:regional:*")
    assert any(b"round_robin@EU" in order for order in orders), orders
    american = [f"X-Forwarded-For: {AMERICAN.decode()}"]
    assert {get(run.port, "/regional", fields=american).body for run in both.runs} == {b"C"}


def test_a_store_fifty_milliseconds_away_slows_no_request(both: Pair, proxy: Proxy) -> None:
    with both.counted("50 ms away"), proxy.delayed(AWAY_S):
        for by in (1, 0):
            both.change(by)
            for kind in ("machines", "loads", "limits", "operators"):
                wait_for(f"{kind} to be shared", lambda kind=kind: both.shared(kind))  # type: ignore[misc]
            assert both.problems() == ["", ""]


def test_a_wall_clock_that_jumps_an_hour_forth_and_back_changes_nothing(both: Pair, wall: WallClock) -> None:
    workers = [run.wait_for_workers() for run in both.runs]
    for hours in HOURS:
        with both.counted(f"clock {hours:+} h"):
            with ThreadPoolExecutor(1) as beside:
                timed = beside.submit(_first_byte, both.runs[1])
                time.sleep(FIRST_BYTE_S / 2)
                wall.jump_to(hours * 3600)
                assert FIRST_BYTE_S <= timed.result() < FIRST_BYTE_S + SLACK, "504 in its time"
            until = time.monotonic() + JUMPED_S
            while time.monotonic() < until:
                for kind in ("machines", "loads", "limits", "operators"):
                    wait_for(f"{kind} to stay shared", lambda kind=kind: both.shared(kind), STILL_S)  # type: ignore[misc]
                assert both.problems() == ["", ""]
            both.change(by=1)
            wait_for("a line of its log", lambda hours=hours: abs(clock(both.runs[1]) - hours * HOUR) < NEAR)  # type: ignore[misc]
            both.wait_until_shared(deadline_s=JUMPED_S + 5)
            _check_limit(both.runs[1])
            _check_rate(both.runs[1])
            _check_ejection(both)
    assert [run.wait_for_workers() for run in both.runs] == workers, "nobody was taken for stuck"


def clock(run: Run) -> timedelta:
    """How far the last line of its log is from our clock."""
    said = re.findall(r"^ts=(\S+)Z ", run.log(), re.MULTILINE)[-1]
    return datetime.fromisoformat(said + "+00:00") - datetime.now(timezone.utc)


def _check_limit(run: Run) -> None:
    """A place is free of the one that is held: it is given at once, and never more than there are."""
    started = time.monotonic()
    assert get(run.port, "/busy/0").status == 200
    assert time.monotonic() - started < LIMIT


def _first_byte(run: Run) -> float:
    """Seconds until we are told that the backend says nothing."""
    started = time.monotonic()
    assert get(run.port, "/timed/30").status == 504
    return time.monotonic() - started


def _check_rate(run: Run) -> None:
    """Neither spent for an hour nor filled by one."""
    wait_for("a place in the rate", lambda: get(run.port, "/rated").status == 200, STILL_S)
    started = time.monotonic()
    passed = sum(get(run.port, "/rated").status == 200 for _ in range(5 * BURST))
    assert passed <= BURST + 1 + RATE * (time.monotonic() - started)


def _check_ejection(both: Pair) -> None:
    """It lasts as long as it was to last."""
    run, backend = both.runs[1], "backend:abc/A"
    segment = Segment.open(run.snapshot().segment)
    try:
        until_ns = time.monotonic_ns() + int(EJECTED_S * 1e9)
        segment.shared(run.snapshot().columns[backend])[SH_EJECTED_UNTIL_NS] = until_ns
        segment.bump_health()
    finally:
        segment.close()
    wait_for("all workers to know", lambda: "A" not in _letters(run, 12))
    while time.monotonic_ns() < until_ns - int(0.3e9):
        assert "A" not in _letters(run, 3)
    wait_for("it to be asked again", lambda: "A" in _letters(run, 6), STILL_S + 1)


def _letters(run: Run, count: int) -> str:
    return "".join(get(run.port, "/abc").body.decode() for _ in range(count))


def test_a_full_backend_is_503_at_once_and_the_places_of_killed_workers_come_back(both: Pair) -> None:
    one, two = both.runs
    with contextlib.ExitStack() as stack:
        for run in (one, two, two):
            _hold(stack.enter_context(RawClient(run.port)), run)
        for run in both.runs:
            started = time.monotonic()
            refused = get(run.port, "/busy/0")
            took = time.monotonic() - started
            assert (refused.status, b'"backend_full"' in refused.body) == (503, True), refused
            assert took < AT_ONCE_S * SLACK
            print(f"full: 503 after {took * 1000:.1f} ms")
        killed = time.monotonic()
        for pid in two.wait_for_workers():
            os.kill(pid, signal.SIGKILL)
        wait_for("a place", lambda: get(one.port, "/busy/0").status == 200, BACK_S * SLACK)
        print(f"the places of killed workers are free after {time.monotonic() - killed:.2f} s")
        wait_for("other workers", lambda: _serves(two))
    two.wait_for_workers()


def _serves(run: Run) -> bool:
    with contextlib.suppress(OSError):
        return get(run.port, "/abc").status == 200
    return False


def _hold(client: RawClient, run: Run) -> None:
    """A place of the limit, for the length of the test. Slices move to who wants them: refused at first, perhaps."""
    before = run.inflight(HELD)
    deadline = time.monotonic() + 5 * SLACK
    while run.inflight(HELD) <= before:
        client.send(request("/busy/600"))
        wait_for("an answer or a place", lambda: run.inflight(HELD) > before or client.receive(0.05, 0.05).data)
        assert time.monotonic() < deadline, f"no place of {LIMIT}"


def test_counters_of_both_machines_over_killed_workers(both: Pair) -> None:
    """The last one here, as the one before: what was in flight is gone with its worker."""
    before = _counted(both)
    loads = [Load(run.port) for run in both.runs]
    choose = random.Random(3).choice
    for load in loads:
        load.start()
    for _ in range(KILLS):
        run = choose(both.runs)
        done = sum(load.tally.ok for load in loads)
        with contextlib.suppress(ProcessLookupError):
            os.kill(choose(run.workers_of(run.arbiter()) or [0]) or -1, signal.SIGKILL)
        wait_for("more requests", lambda done=done: sum(load.tally.ok for load in loads) > done + 30)  # type: ignore[misc]
    tallies = [load.stop() for load in loads]
    ok, failed = sum(one.ok for one in tallies), sum(len(one.failed) + one.refused for one in tallies)
    counted = _counted(both) - before
    print(f"{KILLS} kills: {ok} completed at the clients, {counted} counted, {failed} failed")
    assert ok <= counted <= ok + failed
    wait_for("nothing in flight", lambda: sum(run.inflight() for run in both.runs) <= 1)


def lb_status(run: Run) -> str:
    environ = {**os.environ, "LB_CONFIG": str(run.file)}
    argv = [sys.executable, "-m", "lb.cli.main", "status"]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout


def _counted(both: Pair) -> int:
    """As Prometheus would sum it, over both machines: requests to pool ``hello``."""
    found = 0
    for run in both.runs:
        text = admin(run, "GET", "/metrics").text
        for value in re.findall(
            r'^lb_route_requests_total\{[^}]*route="hello"[^}]*\} ([0-9.e+]+)$', text, re.MULTILINE
        ):
            found += int(float(value))
    return found
