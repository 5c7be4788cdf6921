"""A real ``lb run`` with its two planes, as an operator has it: started, signalled, looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lb.config import snapshot as snapshot_file
from lb.launch import program
from lb.supervisor.readiness import parent_of, workers_serving
from lb.supervisor.spawn import Program, spawn
from tests.support.balancer import PROJECT
from tests.support.ports import free_ports
from tests.support.shared_state import inflight
from tests.support.waiting import PATIENCE_S, wait_for

BACK_S = 2.0
"""Promised: by then what was killed is back."""
SLACK = 3
"""Promises in seconds get three times their time on a machine that runs other things as well."""


@dataclass
class Run:
    """One supervisor. ``port`` is the traffic listener's."""

    directory: Path
    backends: Sequence[int]
    workers: int = 2
    environ: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    status: int | None = None

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.port, self.status_port, self.admin_port, self.spare_port = free_ports(4)
        self.file = self.directory / "lb.yaml"
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the file; ``changes`` replace top-level parts."""
        config = {
            "listeners": self.listeners(),
            "workers": self.workers,
            "state": {"dir": str(self.directory / "state")},
            "graceful_timeout": "10s",
            "pools": {"web": {"backends": [f"http://127.0.0.1:{port}" for port in self.backends]}},
        }
        self.file.write_text(json.dumps(config | changes))

    def listeners(self, *more: str) -> dict[str, Any]:
        return {
            "traffic": {"bind": [f"127.0.0.1:{self.port}", *more]},
            "status": {"bind": f"127.0.0.1:{self.status_port}"},
            "admin": {"bind": f"127.0.0.1:{self.admin_port}"},
        }

    def start(self, sockets: Sequence[socket.socket] = (), names: Sequence[str] = ()) -> None:
        """``sockets``: as systemd would hand them over."""
        log = os.open(self.directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        out = os.open(self.directory / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        environ = {**os.environ, "PYTHONPATH": str(PROJECT), **self.environ}
        argv = program("lb.supervisor", str(self.file))
        fds = tuple(sock.fileno() for sock in sockets)
        self.status = None
        self.pid = spawn(Program(argv, environ, fds, tuple(names), output=out, errors=log))
        os.close(log)
        os.close(out)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def out(self) -> str:
        return (self.directory / "out").read_text(errors="replace")

    def events(self, event: str) -> int:
        """How many times the supervisor has said so."""
        return len(re.findall(rf"process=supervisor event={event}\b", self.log()))

    def wait_for_event(self, event: str, count: int = 1, deadline_s: float = PATIENCE_S) -> None:
        wait_for(f"{count} x {event} in\n{self.log()[-3000:]}", lambda: self.events(event) >= count, deadline_s)

    def wait_until_ready(self) -> None:
        """Of the latest start."""
        wait_for("ready", lambda: self.has_ended() or f"pid {self.pid} " in self.out())
        assert self.status is None, self.log()

    def has_ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def wait_for_end(self, deadline_s: float = PATIENCE_S) -> int:
        wait_for("its end", self.has_ended, deadline_s)
        assert self.status is not None
        return self.status

    def arbiter(self, plane: str = "data") -> int:
        """Pid of the gunicorn that the log says serves a plane now."""
        return int(re.findall(rf"event=(?:started|handover_done) plane={plane} pid=(\d+)", self.log())[-1])

    def workers_of(self, arbiter: int) -> list[int]:
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent_of(int(pid)) == arbiter]

    def wait_for_workers(self, deadline_s: float = PATIENCE_S) -> list[int]:
        """Pids of the data plane's workers, as soon as all of them serve."""
        look = lambda: workers_serving(self.snapshot(), self.arbiter()) == self.workers  # noqa: E731
        wait_for("all workers", look, deadline_s)
        return self.workers_of(self.arbiter())

    def snapshot(self) -> Any:
        return snapshot_file.read(str(self.directory / "state" / "snapshot.json"))

    def back_s(self) -> float:
        """By when what is killed has to be back: as promised, or as this crowded machine made its first start wait."""
        first_start_s = float(re.findall(r"event=serving plane=data .*\bafter_s=([0-9.]+)", self.log())[0])
        return SLACK * max(BACK_S, first_start_s)

    def inflight(self, of: str = "backend:") -> int:
        """Over all backends, or of one."""
        return inflight(self.directory / "state", of)

    def descendants(self) -> list[int]:
        """Every process of ours that still runs: by the environment the supervisor gave it."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
                if f"LB_RUN_PID={self.pid}\0".encode() in environ.read():
                    found.append(int(pid))
        return found

    def end(self) -> None:
        """Whatever the test did: no process and no shared memory stay behind."""
        if self.pid and not self.has_ended():
            self.signal(signal.SIGQUIT)
            with contextlib.suppress(AssertionError):
                self.wait_for_end(10)
        for pid in [*self.descendants(), *([] if self.has_ended() else [self.pid])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            os.unlink(self.snapshot().segment)


@contextlib.contextmanager
def hello_backends(count: int) -> Iterator[list[int]]:
    ports = free_ports(count)
    pids = [
        spawn(Program((sys.executable, "-m", "tests.support.hello_backend", str(port)), os.environ)) for port in ports
    ]
    try:
        for port in ports:
            wait_for("a backend", lambda port=port: _answers(port))  # type: ignore[misc]
        yield ports
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    """Zombies are not: nobody here reaps orphans."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
