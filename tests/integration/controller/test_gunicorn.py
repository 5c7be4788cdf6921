"""The controller as it is run: gunicorn, one gevent worker, admin listener and control socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.model import Listener, Pool
from lb.state.layout import H_CONTROLLER_PID, UP
from tests.integration.controller.machine import QUICK, Machine, wait_until
from tests.support.ports import free_ports
from tests.unit.health.origin import Origin

COMMAND = (sys.executable, "-m", "gunicorn", "-c", "python:lb.controller.gunicorn_conf", "lb.admin.app:app")


def get(address: int | str, path: str, host: str = "localhost") -> bytes:
    """A whole answer; ``address`` is a port or the path of a unix socket."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as sock:
        sock.settimeout(10)
        sock.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer


def test_it_probes_and_answers_on_both_sockets(served: tuple[Machine, int, subprocess.Popen[bytes]]) -> None:
    machine, port, process = served
    wait_until(lambda: machine.probed_generation == 1)
    assert machine.verdict("web/b") == UP
    control = str(Path(machine.path).parent / "control.sock")
    metrics = get(control, "/metrics", host="shop.example.com")
    assert metrics.startswith(b"HTTP/1.1 200 ")
    assert b'\nlb_backend_up{pool="web",backend="b"} 1\n' in metrics
    assert b'"verdict": "up"' in get(port, "/api/v1/state")
    assert get(port, "/metrics", host="evil.example").startswith(b"HTTP/1.1 403 ")
    assert machine.segment.header[H_CONTROLLER_PID] not in (0, process.pid)


def test_killed_it_comes_back_to_the_same_verdicts(served: tuple[Machine, int, subprocess.Popen[bytes]]) -> None:
    machine, _, _ = served
    wait_until(lambda: machine.probed_generation == 1)
    pid = machine.segment.header[H_CONTROLLER_PID]
    os.kill(pid, signal.SIGKILL)
    seen = set()

    def is_back() -> bool:
        seen.add(machine.verdict("web/b"))
        return machine.segment.header[H_CONTROLLER_PID] != pid

    wait_until(is_back, deadline_s=20)
    assert seen == {UP}


@pytest.fixture
def served(machine: Machine) -> Iterator[tuple[Machine, int, subprocess.Popen[bytes]]]:
    (port,) = free_ports(1)
    with Origin() as origin:
        admin = Listener("admin", "admin", (f"127.0.0.1:{port}",))
        machine.publish(Pool("web", (origin.backend(),), health=QUICK), listeners=(admin,))
        with open(f"{machine.path}.log", "wb") as log:
            environ = {**os.environ, "LB_SNAPSHOT": machine.path}
            process = subprocess.Popen(COMMAND, env=environ, stdout=log, stderr=log)
        try:
            _wait_for(port, process, log.name)
            yield machine, port, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(Path(log).read_text())
