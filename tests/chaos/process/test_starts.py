"""``lb run`` says that it is ready when its backends have been looked at, and none of them can keep it from that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lb.launch import program
from lb.supervisor.probes import is_probed
from tests.chaos.process.running import Run
from tests.support.balancer import PROJECT
from tests.support.ports import free_ports
from tests.support.waiting import wait_for

STRANGERS = (
    "lb",
    "backends",
    "gunicorn",
    "gevent",
    "yaml",
    "pydantic",
    "psutil",
    "redis",
    "json",
    "runpy",
    "setproctitle",
)
"""Modules of ours and of others, and one that gunicorn uses if it is there."""
PATIENT = {"type": "http", "path": "/health", "timeout": "60s", "interval": "60s"}
"""The first probe of a backend that never answers is not over before the test is."""


def test_the_ready_line_comes_with_the_first_verdicts(idle: Run) -> None:
    idle.backends = [*idle.backends, *free_ports(1)]
    idle.configure()
    idle.start()
    idle.wait_until_ready()
    assert is_probed(idle.snapshot())
    assert idle.out().endswith("  2 of 3 backends up\n")
    assert idle.out().count("lb ready:") == 1


def test_with_no_backend_up_it_is_ready_and_says_so(idle: Run) -> None:
    idle.backends = free_ports(1)
    idle.configure()
    idle.start()
    idle.wait_until_ready()
    assert idle.out().endswith("  0 of 1 backend up, no backend of pool web is up\n")


def test_a_backend_that_answers_no_probe_does_not_hold_it_up_for_long(idle: Run) -> None:
    """Neither can a controller that does not come: nothing but the bound ends this wait. systemd hears as much."""
    path = str(idle.directory / "notify")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(path)
        systemd.setblocking(False)
        idle.environ = {"NOTIFY_SOCKET": path}
        backends = [f"http://127.0.0.1:{port}" for port in (*idle.backends, silent.getsockname()[1])]
        idle.configure(pools={"web": {"backends": backends, "health": PATIENT}})
        idle.start()
        idle.wait_for_event("serving plane=data")
        heard = received(systemd)
        assert not heard or "lb ready:" in idle.out()
        idle.wait_until_ready()
        assert (heard or wait_for("READY=1", lambda: received(systemd))).startswith(b"READY=1")
        assert not is_probed(idle.snapshot())
    assert idle.out().endswith("  2 of 3 backends up, 1 not probed yet\n")


def test_a_data_plane_that_dies_before_the_first_verdicts_is_started_again(idle: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = f"http://127.0.0.1:{silent.getsockname()[1]}"
        idle.configure(pools={"web": {"backends": [backend], "health": PATIENT}})
        idle.start()
        idle.wait_for_event("serving plane=data")
        os.kill(idle.arbiter(), signal.SIGKILL)
        idle.wait_for_event("serving plane=data", 2)
        idle.wait_until_ready()


def received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(4096)
    except BlockingIOError:
        return b""


def test_nobody_has_to_read_what_it_prints(idle: Run) -> None:
    """As with ``lb run | head``, or a log's reader that died: it is still to be supervised, and stopped."""
    with (idle.directory / "log").open("w") as log:
        argv = program("lb.supervisor", str(idle.file))
        run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert run.stdout is not None
    run.stdout.close()
    try:
        idle.pid = run.pid
        idle.wait_for_event("serving plane=control")
        wait_for("the first verdicts", lambda: is_probed(idle.snapshot()))
        run.send_signal(signal.SIGHUP)
        idle.wait_for_event("configuration_applied")
        run.terminate()
        assert run.wait(60) == 0
    finally:
        run.kill()
        idle.status = run.wait()


def test_what_lies_in_the_working_directory_is_not_run(
    idle: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in STRANGERS:
        (tmp_path / f"{name}.py").write_text(f"open('ran', 'a').write('{name}\\n')\nraise SystemExit(3)\n")
    with (idle.directory / "log").open("w") as log, (idle.directory / "out").open("w") as out:
        run = subprocess.Popen([Path(sys.executable).with_name("lb"), "run", idle.file], stdout=out, stderr=log)
    try:
        idle.pid = run.pid
        wait_for("ready", lambda: run.poll() is not None or "lb ready" in idle.out())
        run.send_signal(signal.SIGHUP)
        idle.wait_for_event("configuration_applied")
        run.send_signal(signal.SIGUSR2)
        idle.wait_for_event("handover_done", 2)
        run.terminate()
        assert run.wait(60) == 0
    finally:
        run.kill()
        idle.status = run.wait()
    assert not (tmp_path / "ran").exists()
