"""TERM, Ctrl-C and the mistakes that keep a supervisor from starting."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from tests.chaos.process.load import Connection, load_on
from tests.chaos.process.running import SLACK, Run
from tests.support.waiting import wait_for

PATIENT_S = 60.0
AT_ONCE_S = 6.0
"""The three seconds that a gunicorn gets for its quick stop, twice."""


@pytest.fixture
def patient(idle: Run) -> Run:
    """One that serves, and would wait a minute for requests when it stops."""
    idle.configure(graceful_timeout=f"{PATIENT_S:g}s")
    idle.start()
    idle.wait_until_ready()
    idle.wait_for_workers()
    return idle


def test_a_stop_under_load_resets_nobody(run: Run) -> None:
    """Whoever has connected is answered, also from the kernel's queue; whoever comes later is refused."""
    with load_on(run.port) as tally:
        tally.wait_for(200)
        run.signal(signal.SIGTERM)
        assert run.wait_for_end() == 0
        wait_for("clients that are refused", lambda: tally.refused > 0)
    assert tally.failed == []


def test_term_lets_requests_end(patient: Run) -> None:
    run = patient
    answers: list[bool] = []
    clients = [threading.Thread(target=lambda: answers.append(slow_request(run.port, 1.0))) for _ in range(8)]
    for client in clients:
        client.start()
    wait_for("all in flight", lambda: run.inflight() == len(clients))
    began = time.monotonic()
    run.signal(signal.SIGTERM)
    assert run.wait_for_end() == 0
    for client in clients:
        client.join()
    assert len(answers) == len(clients)
    assert not any(answers), "an answer during the drain says Connection: close"
    assert time.monotonic() - began < PATIENT_S / 2, "it ends with its last request, not when its time is up"
    assert run.descendants() == []
    assert sorted(path.name for path in (run.directory / "state").glob("*.sock")) == []
    assert not (run.directory / "state" / "lb.pid").exists()


def test_a_second_signal_ends_at_once(patient: Run) -> None:
    run = patient
    client = threading.Thread(target=cut_short, args=(run.port,))
    client.start()
    wait_for("a request in flight", lambda: run.inflight() == 1)
    run.signal(signal.SIGINT)
    run.wait_for_event("stopping")
    began = time.monotonic()
    run.signal(signal.SIGINT)
    assert run.wait_for_end() == 0
    assert time.monotonic() - began < AT_ONCE_S * SLACK
    client.join()
    assert run.descendants() == []


def test_a_port_in_use_is_named_and_nothing_is_started(idle: Run) -> None:
    with socket.create_server(("127.0.0.1", idle.status_port)):
        idle.start()
        assert idle.wait_for_end() == 2
    assert idle.log().startswith(f"{idle.file}: listener status: cannot bind 127.0.0.1:{idle.status_port}: ")
    assert f"held by pid {os.getpid()}" in idle.log()
    assert "Traceback" not in idle.log()
    assert "event=started" not in idle.log()
    assert list((idle.directory / "state").iterdir()) == []


def test_a_state_directory_that_cannot_be_made_is_named_where_it_stands(idle: Run) -> None:
    state = idle.file / "state"
    idle.configure(state={"dir": str(state)})
    column = idle.file.read_text().index(f'"{state}"') + 1
    idle.start()
    assert idle.wait_for_end() == 2
    where = f"{idle.file}:1:{column}"
    assert idle.log() == f"{where}: state.dir {state} cannot be made: Not a directory; set state.dir\n"


def test_a_wrong_file_is_explained_and_nothing_is_started(idle: Run) -> None:
    idle.file.write_text("pools: {web: {backends: [http://127.0.0.1:1], policy: roundrobin}}")
    idle.start()
    assert idle.wait_for_end() == 2
    assert "roundrobin" in idle.log()
    assert str(idle.file) in idle.log()
    assert "Traceback" not in idle.log()
    assert "event=" not in idle.log()


def test_a_file_that_is_not_there_is_explained(idle: Run) -> None:
    idle.file.unlink()
    idle.start()
    assert idle.wait_for_end() == 2
    assert str(idle.file) in idle.log()
    assert "Traceback" not in idle.log()


def test_a_second_supervisor_for_one_state_directory_is_refused_and_publishes_nothing(run: Run) -> None:
    generation = run.snapshot().generation
    looks = run.file.stat()
    other = Run(run.directory, run.backends)
    os.utime(run.file, ns=(looks.st_atime_ns, looks.st_mtime_ns))  # written anew, it would be a reload of the first
    other.start()
    assert other.wait_for_end() == 2
    assert f"is in use by another lb run (pid {run.pid})" in other.log()
    assert run.snapshot().generation == generation


def test_systemd_is_told_by_the_supervisor_alone(idle: Run) -> None:
    path = str(idle.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(30)
        idle.environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
        idle.start()
        heard: list[bytes] = []
        while not any(b"READY=1" in message for message in heard):
            heard.append(systemd.recv(4096))
        idle.signal(signal.SIGHUP)
        while not heard[-1].startswith(b"RELOADING=1\nMONOTONIC_USEC="):
            heard.append(systemd.recv(4096))
        while b"READY=1" not in heard[-1]:
            heard.append(systemd.recv(4096))
        idle.signal(signal.SIGTERM)
        while heard[-1] != b"STOPPING=1":
            heard.append(systemd.recv(4096))
        assert idle.wait_for_end() == 0
    assert b"WATCHDOG=1" in heard
    assert not any(b"Gunicorn" in message for message in heard)


def slow_request(port: int, seconds: float) -> bool:
    with Connection(port) as client:
        return client.get(f"/slow/{seconds}")


def cut_short(port: int) -> None:
    with contextlib.suppress(OSError):
        slow_request(port, PATIENT_S)
