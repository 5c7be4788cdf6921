"""The endpoints whose texts and shapes are exact."""

from __future__ import annotations

import pytest

from backends.contract import as_json
from backends.load import Load
from backends.profiles import PROFILES
from tests.unit.backends.client import Client


def test_the_six_profiles() -> None:
    assert [(p.port, p.weight, p.region) for p in PROFILES.values()] == [
        (5001, 2, "APAC"),
        (5002, 3, "EU"),
        (5003, 1, "US"),
        (5004, 3, "APAC"),
        (5005, 4, "EU"),
        (5006, 2, "US"),
    ]


def test_index_says_who_answers(backend: Client) -> None:
    answer = backend.get("/")
    assert answer.status == 200
    assert answer.json == {
        "message": "API is running",
        "serverName": "backend-2",
        "algo": "adaptive",
        "region": "EU",
    }


def test_index_names_the_algorithm_of_the_query_then_of_the_header(backend: Client) -> None:
    assert backend.get("/?algo=ip_hash").json["algo"] == "ip_hash"
    assert backend.get("/", **{"X-Lb-Algo": "random"}).json["algo"] == "random"
    assert backend.get("/?algo=ip_hash", **{"X-Lb-Algo": "random"}).json["algo"] == "ip_hash"


def test_health(backend: Client) -> None:
    answer = backend.get("/health")
    assert (answer.status, answer.json) == (200, {"status": "healthy"})


@pytest.mark.parametrize(
    ("cpu_percent", "memory_percent", "is_healthy"),
    [(95.0, 90.0, True), (95.1, 0.0, False), (0.0, 90.1, False)],
)
def test_health_has_the_limits_of_the_contract(cpu_percent: float, memory_percent: float, is_healthy: bool) -> None:
    load = Load(cpu_percent, memory_percent, net_bytes=0, inflight=0, response_time_s=0.0)
    assert load.is_healthy is is_healthy


def test_metrics_are_measured(backend: Client) -> None:
    backend.get("/?delay=20ms")
    metrics = backend.get("/metrics").json
    assert list(metrics) == ["cpu_usage", "memory_usage", "net_usage", "active_connections", "response_time"]
    assert 0 < metrics["memory_usage"] < 90
    assert metrics["net_usage"] > 0
    assert metrics["response_time"] > 0
    assert metrics["active_connections"] == 0


def test_metrics_count_a_request_in_work(backend: Client) -> None:
    with backend.connect() as connection:
        connection.sendall(b"GET /drip?n=100&interval=1s HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert backend.get("/metrics").json["active_connections"] == 1


def test_metrics_as_prometheus_text(backend: Client) -> None:
    answer = backend.get("/metrics", Accept="text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'backend_info{name="backend-2",region="EU",weight="3"} 1\n' in answer.text
    assert "# TYPE backend_cpu_usage gauge\nbackend_cpu_usage " in answer.text


def test_names_of_the_metrics_are_those_of_the_json() -> None:
    load = Load(1.0, 2.0, net_bytes=3, inflight=4, response_time_s=0.5)
    assert as_json(load) == {
        "cpu_usage": 1.0,
        "memory_usage": 2.0,
        "net_usage": 3,
        "active_connections": 4,
        "response_time": 0.5,
    }


def test_replica_endpoints(backend: Client) -> None:
    assert backend.get("/home").json == {"message": "Hello from Server: 2", "status": "successful"}
    heartbeat = backend.get("/heartbeat")
    assert (heartbeat.status, heartbeat.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/login", 200, "logged in on backend-2"),
        ("POST", "/register", 201, "register on backend-2"),
        ("POST", "/changePassword", 201, "password changed on backend-2"),
    ],
)
def test_broadcast_endpoints(backend: Client, method: str, path: str, status: int, text: str) -> None:
    answer = backend.send(method, path)
    assert (answer.status, answer.text) == (status, text)


def test_one_post_in_five_is_dropped_on_request(skipping_backend: Client) -> None:
    answers = [skipping_backend.send("POST", "/register", b"x") for _ in range(200)]
    dropped = [answer for answer in answers if answer.status == 500]
    assert {answer.text for answer in dropped} == {"request dropped by server"}
    assert 20 <= len(dropped) <= 60


def test_unknown_path_and_wrong_method(backend: Client) -> None:
    unknown = backend.get("/nowhere")
    assert (unknown.status, unknown.json) == (404, {"error": "no such endpoint: /nowhere"})
    assert backend.get("/register").status == 405
