"""The application through Werkzeug's client, over a machine's real segment; no loops are running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, TestResponse

from lb.admin.app import AdminApp
from lb.controller.attachment import Attachment
from lb.controller.controller import Controller
from lb.model import Backend, Health, Listener, Pool, Route
from lb.state.layout import C_COUNT, SH_CPU_MILLI, SH_METRICS_NS, SH_REFUSED_NS, SH_VERDICT, UP
from tests.integration.controller.machine import Machine, wait_until

POOL = Pool("web", (Backend("b1", host="127.0.0.1", port=5001, weight=3), Backend("b2", unix_path="/run/b2.sock")))
ROUTES = (Route("shop", "pool", hosts=("shop.example.com",), path="/api", methods=("GET",), pool="web"),)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.publish(POOL, routes=ROUTES, listeners=(Listener("admin", "admin", ("10.0.0.7:5050",)),))
    return machine


@pytest.fixture
def client(machine: Machine) -> Client:
    controller = Controller(Attachment(machine.path))
    return Client(AdminApp(lambda: controller))


def over_tcp(client: Client, path: str, host: str = "localhost:5050", **fields: str) -> TestResponse:
    return client.get(path, headers={"Host": host, **fields}, environ_overrides={"REMOTE_ADDR": "127.0.0.1"})


def over_socket(client: Client, path: str, **fields: str) -> TestResponse:
    return client.get(path, headers={"Host": "shop.example.com", **fields}, environ_overrides={"REMOTE_ADDR": ""})


def test_health(client: Client) -> None:
    answer = over_tcp(client, "/health")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_metrics_on_both(client: Client, machine: Machine) -> None:
    machine.segment.claim_slot().counters(machine.column("route:shop"))[C_COUNT] = 3
    for answer in (over_tcp(client, "/metrics"), over_socket(client, "/metrics")):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert found["load_balancer_requests"].samples[0].value == 3
    opened = over_socket(client, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert opened.text.endswith("# EOF\n")


def test_state(client: Client, machine: Machine) -> None:
    cells = machine.shared("web/b1")
    cells[SH_VERDICT] = UP
    cells[SH_METRICS_NS], cells[SH_CPU_MILLI] = 1, 12_500
    machine.shared("web/b2")[SH_REFUSED_NS] = 5
    slot = machine.segment.claim_slot()
    slot.segment.inflight_view(machine.column("backend:web/b1"))[slot.index] = 2
    state = over_tcp(client, "/api/v1/state").json
    assert state["generation"] == 1 and state["problem"] == ""
    (pool,) = state["pools"]
    first, second = pool["backends"]
    assert (first["id"], first["address"], first["weight"]) == ("b1", "127.0.0.1:5001", 3)
    assert (first["verdict"], first["is_eligible"], first["inflight"]) == ("up", True, 2)
    assert first["load"]["cpu_percent"] == 12.5
    assert (second["address"], second["verdict"], second["is_refusing"]) == ("unix:/run/b2.sock", "unknown", True)
    assert state["routes"][0]["match"] == "GET shop.example.com /api/…"
    assert [worker["state"] for worker in state["workers"]] == ["starting"]


def test_the_last_probe_is_told(machine: Machine) -> None:
    machine.publish(Pool("web", (Backend("b", host="127.0.0.1", port=1),), health=Health("tcp")))
    controller = Controller(Attachment(machine.path))
    controller.start()
    try:
        wait_until(lambda: machine.probed_generation == 2)
        state = over_tcp(Client(AdminApp(lambda: controller)), "/api/v1/state").json
    finally:
        controller.stop()
    assert state["pools"][0]["backends"][0]["last_probe"]["reason"] == "connection refused"


def test_the_page_and_what_it_needs(client: Client) -> None:
    page = over_tcp(client, "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    for name, kind in (("status.js", "text/javascript"), ("status.css", "text/css")):
        assert f'"/static/{name}"' in page.text
        answer = over_tcp(client, f"/static/{name}")
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(kind)
    script = over_tcp(client, "/static/status.js").text
    assert "innerHTML" not in script and "://" not in page.text + script


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/state", "/static/status.js", "/nowhere"])
def test_every_answer_is_locked_down(client: Client, path: str) -> None:
    headers = over_tcp(client, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/api/v1/state", "/static/status.js", "/nowhere"])
def test_foreign_names_and_pages_are_refused(client: Client, path: str) -> None:
    rebound = over_tcp(client, path, host="evil.example:5050")
    foreign = over_tcp(client, path, Origin="http://evil.example")
    for answer in (rebound, foreign):
        assert answer.status_code == 403
        assert answer.json["status"] == 403
        assert answer.json["error"].startswith("This Host or Origin is not one of this listener: ask for localhost")


def test_the_bound_address_is_welcome(client: Client) -> None:
    assert over_tcp(client, "/health", host="10.0.0.7:5050").status_code == 200


def test_a_request_without_a_known_peer_is_checked_too(client: Client) -> None:
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/nowhere", "/static/app.py", "/static/..%2fapp.py", "/static/", "/metrics/"])
def test_unknown_paths(client: Client, path: str) -> None:
    answer = over_tcp(client, path)
    assert answer.status_code == 404
    assert answer.json["status"] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_state_cannot_be_changed(client: Client, method: str) -> None:
    answer = client.open(
        "/api/v1/state", method=method, headers={"Host": "localhost"}, environ_overrides={"REMOTE_ADDR": "127.0.0.1"}
    )
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json["status"] == 405


def test_before_there_is_anything(tmp_path: Path) -> None:
    controller = Controller(Attachment(str(tmp_path / "snapshot.json")))
    client = Client(AdminApp(lambda: controller))
    assert over_tcp(client, "/health").text == "OK"
    assert "lb_build_info" in over_tcp(client, "/metrics").text
    answer = over_tcp(client, "/api/v1/state")
    assert answer.status_code == 503
    assert "No such file" in answer.json["problem"]
    assert json.loads(answer.text)["pools"] == []


def test_importing_the_application_starts_nothing() -> None:
    """A gunicorn worker imports it; loops start in its post_worker_init hook."""
    program = (
        "import gc, gevent, threading, lb.admin.app; assert threading.active_count() == 1;"
        "assert not [g for g in gc.get_objects() if isinstance(g, gevent.Greenlet)]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
