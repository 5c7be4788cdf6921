"""Clients of several regions through a real balancer: whose backends answer, and what a database that changes does to that."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lb.geo.writer import database
from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.geo import AMERICAN, FRENCH, GERMAN, JAPANESE, write_database
from tests.support.ports import free_ports
from tests.support.raw_client import exchange, get
from tests.support.waiting import wait_for

NUMBER = {"autonomous_system_number": 64500}
REGIONS = ("EU", "APAC", "US", "EU")
NOBODY = b"10.9.8.7"


@pytest.fixture(scope="module")
def backends() -> Iterator[list[int]]:
    """A backend for each of ``REGIONS`` that answers with its place in the list."""
    with contextlib.ExitStack() as stack:
        ports = []
        for i in range(len(REGIONS)):
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % i
            ports.append(stack.enter_context(fault_origin(answering(answer))).port)
        yield ports


def config_of(ports: Sequence[int], database: Path, **pool: Any) -> dict[str, Any]:
    backends = [
        {"id": f"b{i}", "url": f"http://127.0.0.1:{port}", "region": region}
        for i, (port, region) in enumerate(zip(ports, REGIONS, strict=True))
    ]
    web = {"backends": backends, "health": {"type": "none"}, "policy": {"name": "geo", "inner": "round_robin"}, **pool}
    return {
        "geo": {"database": str(database)},
        "trusted_proxies": ["127.0.0.1/32"],
        "pools": {"web": web},
        "routes": [{"pool": "web", "algo_override": True}],
    }


def ask(balancer: Balancer, client: bytes, times: int = 1, path: str = "/", claimed: bytes = b"") -> str:
    """Which backends answered, one after the other. ``claimed``: an address that the client says it came from."""
    chain = b", ".join(filter(None, (claimed, client))).decode()
    answers = [get(balancer.port, path, fields=[f"X-Forwarded-For: {chain}"]) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return "".join(answer.body.decode() for answer in answers)


def metrics(balancer: Balancer) -> str:
    raw = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    return exchange(balancer.ports["status"], raw, idle_s=5).answer().body.decode()


@pytest.mark.parametrize("subject", ["worker", "wsgi"])
def test_clients_go_to_their_region_in_the_order_of_that_region(
    backends: list[int], tmp_path: Path, subject: Any
) -> None:
    with running_balancer(config_of(backends, write_database(tmp_path / "geo.mmdb")), subject) as balancer:
        assert ask(balancer, GERMAN, 2) + ask(balancer, JAPANESE) + ask(balancer, FRENCH, 2) == "03" + "1" + "03"
        assert ask(balancer, AMERICAN) == ask(balancer, NOBODY) == "2"
        assert ask(balancer, JAPANESE, claimed=GERMAN) == "1", "the right-most address that is no proxy counts"
        assert set(ask(balancer, GERMAN, 6, "/?algo=geo_aware")) <= {"0", "3"}
        assert set(ask(balancer, GERMAN, 6, "/?algo=adaptive")) <= {"0", "3"}
        assert sorted(ask(balancer, GERMAN, 4, "/?algo=round_robin")) == ["0", "1", "2", "3"]


def test_nobody_is_refused_while_anybody_is_up(backends: list[int], tmp_path: Path) -> None:
    dead = free_ports(2)
    config = config_of([dead[0], backends[1], backends[2], dead[1]], write_database(tmp_path / "geo.mmdb"))
    with running_balancer(config) as balancer:
        assert ask(balancer, GERMAN, 10) == "2" * 10
        assert ask(balancer, JAPANESE, 3) == "111"


def test_a_database_that_is_missing_comes_is_spoilt_and_comes_again(backends: list[int], tmp_path: Path) -> None:
    """Row 100: without one everybody is in the default region; a bad one keeps the last; no request fails meanwhile."""
    source = tmp_path / "geo.mmdb"
    with running_balancer(config_of(backends, source), with_controller=True) as balancer:
        assert ask(balancer, GERMAN, 3) == "222"
        wait_for("the metric", lambda: "\nlb_geo_database_loaded 0\n" in metrics(balancer))
        with asking_all_the_time(balancer) as failures:
            write_database(source, built_s=1_650_000_000)
            wait_for("the database", lambda: ask(balancer, GERMAN) in "03")
            wait_for("the metric", lambda: "lb_geo_database_build_timestamp_seconds 1650000000" in metrics(balancer))
            assert ask(balancer, JAPANESE) == "1"
            os.truncate(source, 500)
            wait_for("the metric", lambda: "\nlb_geo_database_refused 1\n" in metrics(balancer))
            assert ask(balancer, JAPANESE) == "1"
            os.truncate(source, 0)
            source.write_bytes(os.urandom(10_000))
            assert ask(balancer, JAPANESE) == "1"
            source.write_bytes(database({"198.51.100.0/24": NUMBER}, kind="GeoLite2-ASN", built_s=1_750_000_000))
            wait_for("its kind in the log", lambda: "it is a GeoLite2-ASN" in balancer.log())
            assert ask(balancer, JAPANESE) == "1"
            write_database(source, {"198.51.100.0/24": "FR"})
            wait_for("the next database", lambda: ask(balancer, JAPANESE) in "03")
            source.unlink()
            wait_for("the metric", lambda: "\nlb_geo_database_refused 1\n" in metrics(balancer))
            assert ask(balancer, JAPANESE) in "03"
        assert failures == []
        assert len(balancer.workers()) == 1
        counted = metrics(balancer)
        assert 'lb_region_picks_total{pool="web",region="EU",where="local"}' in counted
        assert 'lb_region_picks_total{pool="web",region="EU",where="elsewhere"} 0' in counted
        log = balancer.log()
        assert log.count("every client is in the default region") == 1
        assert log.count("the last good one stays in use") >= 2


@contextlib.contextmanager
def asking_all_the_time(balancer: Balancer) -> Iterator[list[object]]:
    failures: list[object] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            try:
                answer = get(balancer.port, fields=["X-Forwarded-For: 203.0.113.9"])
                if answer.status != 200:
                    failures.append(answer)
            except (OSError, AssertionError) as error:
                failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join()


def test_the_policy_is_balanced_by_what_the_backend_sees(backends: list[int], tmp_path: Path) -> None:
    """A key of one's own within a region: the same user finds the same backend of the region."""
    policy = {"name": "geo", "inner": "consistent_hash", "key": {"header": "X-User"}}
    with running_balancer(config_of(backends, write_database(tmp_path / "geo.mmdb"), policy=policy)) as balancer:
        found = {}
        for user in range(8):
            fields = ["X-Forwarded-For: 203.0.113.9", f"X-User: {user}"]
            found[user] = {get(balancer.port, fields=fields).body for _ in range(3)}
        assert all(len(one) == 1 for one in found.values())
        assert set.union(*found.values()) == {b"0", b"3"}
