"""Plain gunicorn without ``lb run``: what it says of itself, and what it says while its controller is missing."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.support.balancer import Balancer, Subject, running_balancer, simple_config
from tests.support.raw_client import exchange, get
from tests.support.waiting import wait_for
from tests.unit.http1.oracles import BESIDE

HOW_TO_START = "LB_CONFIG=FILE gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app"


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    with running_balancer(simple_config([9]), is_published=False) as one:
        yield one


def test_one_line_says_what_listens_and_which_configuration_is_in_force(balancer: Balancer) -> None:
    ports, file = balancer.ports, balancer.state_dir / "lb.yaml"
    places = f"traffic=http://127.0.0.1:{ports['traffic']} status=http://127.0.0.1:{ports['status']}"
    assert balancer.log().count(f'msg="listening {places} configuration={file} generation=1"') == 1
    os.kill(balancer.pid, signal.SIGHUP)
    wait_for("its line", lambda: f'msg="reloaded configuration={file} generation=2"' in balancer.log())


@pytest.mark.parametrize("path", ["/metrics", "/health/ready"])
def test_without_a_controller_the_status_listener_says_how_to_start_it(balancer: Balancer, path: str) -> None:
    answer = get(balancer.ports["status"], path)
    assert answer.status == 503
    said = json.loads(answer.body)
    assert said["reason"] == "no_controller"
    assert HOW_TO_START in said["error"]


@pytest.mark.parametrize(("subject", "listener"), [("wsgi", "traffic"), ("worker", "admin")])
def test_stock_workers_refuse_bare_line_feeds_where_gunicorn_finds_its_c_parser_too(
    subject: Subject, listener: str
) -> None:
    """By the documented ``--http-parser python``, and the controller's by its settings. The C parser takes them."""
    if not BESIDE.is_dir():
        missing(f"gunicorn_h1c is not in {BESIDE} (tools/setup.sh test)")
    environ = {"PYTHONPATH": str(BESIDE)}
    with running_balancer(
        simple_config([9]), subject, environ=environ, with_controller=True, is_published=False
    ) as stock:
        wait_for("the listener", lambda: is_open(stock.ports[listener]))
        answer = exchange(stock.ports[listener], b"GET / HTTP/1.1\nHost: lb.test\n\n", first_s=20.0)
    assert answer.data.startswith(b"HTTP/1.1 400 ")


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
