"""A snapshot file that is damaged or gone, and every process that would read it killed: served as before."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lb.config import snapshot as snapshot_file
from tests.chaos.process.load import BODY
from tests.chaos.process.running import Run
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.waiting import wait_for

DAMAGES: list[Callable[[Path], Any]] = [Path.unlink, lambda path: path.write_bytes(b'{"schema": 1')]
damaged = pytest.mark.parametrize("damage", DAMAGES, ids=["gone", "cut"])


@damaged
def test_workers_of_a_gunicorn_by_hand_start_on_its_copy(damage: Callable[[Path], Any], backends: list[int]) -> None:
    with running_balancer(simple_config(backends) | {"workers": 2}) as balancer:
        path = balancer.state_dir / "snapshot.json"
        damage(path)
        kill_workers(balancer)
        wait_for("the balancer to serve again", lambda: fetched(balancer.port, "/")[1] == BODY)
        wait_for("a word of every worker", lambda: balancer.log().count("its copy") >= 2)
        status, body = fetched(balancer.ports["status"], "/health/ready")
        assert (status, json.loads(body)["generation"]) == (503, 1)
        assert json.loads(body)["problem"].endswith(f"its copy {path}.bak is in force")
        os.kill(balancer.pid, signal.SIGHUP)
        wait_for("a whole file again", lambda: "reloaded" in balancer.log())
        assert snapshot_file.read(str(path)).generation == 2
        assert "Traceback" not in balancer.log()


@damaged
def test_a_data_plane_under_lb_run_starts_on_its_copy(damage: Callable[[Path], Any], run: Run) -> None:
    path = run.directory / "state" / "snapshot.json"
    snapshot = run.snapshot()
    run.wait_for_event("serving plane=control")
    damage(path)
    arbiter = run.arbiter()
    workers = run.workers_of(arbiter)
    for pid in (arbiter, *workers, run.arbiter("control")):
        os.kill(pid, signal.SIGKILL)
    run.wait_for_event("serving plane=data", 2)
    run.wait_for_event("serving plane=control", 2)
    assert fetched(run.port, "/") == (200, BODY)
    status, body = fetched(run.status_port, "/health/ready")
    assert (status, json.loads(body)["generation"]) == (200, snapshot.generation)
    assert "its copy" in json.loads(body)["problem"]
    run.signal(signal.SIGHUP)
    run.wait_for_event("configuration_applied")
    assert run.snapshot().generation == snapshot.generation + 1
    wait_for("no problem", lambda: b"problem" not in fetched(run.status_port, "/health/ready")[1])


def kill_workers(balancer: Balancer) -> None:
    for worker in balancer.workers():
        worker.kill()
        worker.wait(10)


def fetched(port: int, path: str) -> tuple[int, bytes]:
    """Status 0 while nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read()
    except OSError:
        return 0, b""
