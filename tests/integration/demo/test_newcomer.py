"""`make run`, then what a new user types: every line of it works."""

from __future__ import annotations

import socket

import pytest

from tests.integration.demo.running import Demo
from tests.unit.backends.test_websocket import HANDSHAKE, frame, websocket

ALGORITHMS = (
    "round_robin",
    "weighted_round_robin",
    "least_connections",
    "ip_hash",
    "power_of_two",
    "adaptive",
    "random",
    "peak_ewma",
    "least_response_time",
    "geo",
    "geo_aware",
)


def number(answer_json: dict[str, str]) -> int:
    return int(answer_json["serverName"].removeprefix("backend-"))


def test_the_first_curl(demo: Demo) -> None:
    answer = demo.get("/")
    assert answer.status == 200
    assert answer.json["message"] == "API is running"
    assert 1 <= number(answer.json) <= 6
    assert answer.json["algo"] == "adaptive"


@pytest.mark.parametrize(
    ("client", "region"),
    [("203.0.113.9", "EU"), ("2001:db8::9", "EU"), ("198.51.100.9", "APAC"), ("192.0.2.9", "US"), ("", "US")],
)
def test_clients_are_answered_in_their_region(demo: Demo, client: str, region: str) -> None:
    """By the small database that the demo makes; who is on this machine is in the default region."""
    said = {"X-Forwarded-For": client} if client else {}
    for target in ("/", "/?algo=geo", "/?algo=geo_aware"):
        assert {demo.get(target, **said).json["region"] for _ in range(4)} == {region}


def test_round_robin_gives_the_backends_in_order(demo: Demo) -> None:
    seen = [number(demo.get("/?algo=round_robin").json) for _ in range(7)]
    assert seen == [(seen[0] - 1 + step) % 6 + 1 for step in range(7)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_by_query(demo: Demo, algorithm: str) -> None:
    for path in ("/", "/home"):
        assert demo.get(f"{path}?algo={algorithm}").status == 200


def test_ip_hash_stays_with_one_backend(demo: Demo) -> None:
    assert len({number(demo.get("/?algo=ip_hash").json) for _ in range(6)}) == 1


def test_an_unknown_algorithm(demo: Demo) -> None:
    answer = demo.get("/?algo=roundrobin")
    assert answer.status == 400
    assert answer.json == {"error": "Invalid algorithm specified"}


def test_health_is_answered_by_the_balancer(demo: Demo) -> None:
    answer = demo.get("/health")
    assert (answer.status, answer.body) == (200, b"OK")


def test_metrics_on_the_traffic_and_the_status_port(demo: Demo) -> None:
    demo.get("/?algo=random")
    for port in (demo.base, demo.base + 51):
        answer = demo.get("/metrics", port=port)
        assert answer.status == 200
        assert b"load_balancer_requests_total" in answer.body
        assert b'load_balancer_algo_requests_total{algo="random"}' in answer.body


def test_readiness_on_the_status_port(demo: Demo) -> None:
    for path in ("/health/live", "/health/ready"):
        assert demo.get(path, port=demo.base + 51).status == 200


def test_a_service_by_its_host_name(demo: Demo) -> None:
    for host in ("shul.velocity.localhost", f"shul.velocity.localhost:{demo.base}"):
        assert demo.get("/", Host=host).json["message"] == "API is running"
    unknown = demo.get("/", Host="nobody.velocity.localhost")
    assert (unknown.status, unknown.body) == (404, b"Service not found")


def test_login_goes_round(demo: Demo) -> None:
    texts = {demo.get("/login").body for _ in range(6)}
    assert texts == {b"logged in on backend-%d" % n for n in range(1, 7)}


def test_a_path_that_no_backend_has(demo: Demo) -> None:
    answer = demo.get("/nowhere")
    assert (answer.status, answer.json) == (404, {"error": "no such endpoint: /nowhere"})


@pytest.mark.parametrize("is_early", [False, True], ids=["after the 101", "with the request"])
def test_a_websocket_through_the_balancer(demo: Demo, is_early: bool) -> None:
    hello = frame(websocket.TEXT, b"hello")
    address = ("127.0.0.1", demo.base)
    with socket.create_connection(address, timeout=10) as connection, connection.makefile("rb") as reader:
        connection.sendall(HANDSHAKE + hello if is_early else HANDSHAKE)
        head = b"".join(iter(reader.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 101 ")
        if not is_early:
            connection.sendall(hello)
        assert reader.read(7) == websocket.encode(websocket.TEXT, b"hello")
        connection.sendall(frame(websocket.CLOSE, (1000).to_bytes(2, "big")))
        assert reader.read() == websocket.encode(websocket.CLOSE, (1000).to_bytes(2, "big"))


def test_the_addresses_it_printed(demo: Demo) -> None:
    said = demo.said()
    for port in (demo.base, demo.base + 50, demo.base + 51):
        assert f"http://127.0.0.1:{port}" in said
    assert "Traceback" not in said
