"""Plain gunicorn without ``lb run``: what it says of itself, and what it says while its controller is missing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.raw_client import get
from tests.support.waiting import wait_for

HOW_TO_START = "LB_CONFIG=FILE gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app"


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    with running_balancer(simple_config([9])) as one:
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
