"""A real balancer for a test: gunicorn in a process of its own, on a free port, cleaned up at the end.

Two subjects: ``worker`` is our worker class as a machine runs it, ``wsgi`` the same core as an
application under a stock gunicorn. No controller runs unless one is wanted, and then nothing is probed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from lb.config.load import load
from lb.state.publish import publish, snapshot_path
from lb.state.reload import record
from tests.support.ports import free_ports
from tests.support.raw_client import exchange
from tests.support.shared_state import inflight

Subject = Literal["worker", "uncompiled", "wsgi"]
"""``worker`` and ``wsgi`` run the compiled data path where there is one."""
START_DEADLINE_S = 60.0
PROJECT = Path(__file__).resolve().parents[2]
_GUNICORN = (sys.executable, "-m", "gunicorn")
_CONTROLLER = (*_GUNICORN, "-c", "python:lb.controller.gunicorn_conf", "lb.admin.app:app")


@dataclass
class Balancer:
    """``log`` is what gunicorn and we wrote to standard error, ``access_log`` one line per request."""

    ports: dict[str, int]
    """By listener; ``traffic``, ``status`` and ``admin`` are always there."""
    process: subprocess.Popen[bytes]
    state_dir: Path
    subject: Subject

    @property
    def port(self) -> int:
        return self.ports["traffic"]

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return (self.state_dir / "stderr").read_text(errors="replace")

    def access_log(self) -> list[dict[str, Any]]:
        path = self.state_dir / "access.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_access(self, path: str, deadline_s: float = 20.0) -> dict[str, Any]:
        """The access log's line of a request, by its path; lines are written in batches."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            for line in self.access_log():
                if path in (line.get("path"), line.get("target")):
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no access log line for {path}")

    def inflight(self) -> int:
        """Requests that its backends work on."""
        return inflight(self.state_dir)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children()

    def memory_bytes(self) -> int:
        """Resident memory of all workers together."""
        return sum(worker.memory_info().rss for worker in self.workers())

    @contextlib.contextmanager
    def growing_less_than(self, growth_bytes: int) -> Iterator[None]:
        """At no moment of the block do the workers have so much more resident memory than before it."""
        for worker in self.workers():
            Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # proc(5): the peak starts anew
        before_bytes = self.memory_bytes()
        yield
        assert self._peak_bytes() - before_bytes < growth_bytes

    def _peak_bytes(self) -> int:
        status = [Path(f"/proc/{worker.pid}/status").read_text() for worker in self.workers()]
        return sum(int(text.split("VmHWM:")[1].split()[0]) * 1024 for text in status)


def simple_config(backend_ports: Sequence[int], **pool: Any) -> dict[str, Any]:
    """One pool of ``backend_ports`` that gets everything, unprobed."""
    backends = [f"http://127.0.0.1:{port}" for port in backend_ports]
    return {"pools": {"web": {"backends": backends, "health": {"type": "none"}, **pool}}}


@contextlib.contextmanager
def running_balancer(
    config: Mapping[str, Any],
    subject: Subject = "worker",
    *,
    environ: Mapping[str, str] | None = None,
    with_controller: bool = False,
    settings: str = "lb.server.gunicorn_conf",
    through: Sequence[str] = (),
    gunicorn: Sequence[str] = _GUNICORN,
    is_published: bool = True,
) -> Iterator[Balancer]:
    """Serves ``config`` until the end of the block.

    Listeners need not name a ``bind``: each gets a free port. ``settings`` is the worker subject's conf
    module (``tests.support.settings`` has others); ``through`` a command that executes the one behind it, for
    the controller too; ``gunicorn`` how that is called. Not ``is_published``: gunicorn finds a file only and
    publishes that itself, which costs each start half a second of a core.
    """
    listeners = {"traffic": {}, "status": {}, "admin": {}, **config.get("listeners", {})}
    ports = dict(zip(listeners, free_ports(len(listeners)), strict=True))
    listeners = {name: {"bind": f"127.0.0.1:{ports[name]}", **listener} for name, listener in listeners.items()}
    with tempfile.TemporaryDirectory(prefix="lb-test-") as directory:
        state_dir = Path(directory)
        state = {"dir": directory, **config.get("state", {})}
        whole = {"workers": 1, **config, "state": state, "listeners": listeners}
        file = state_dir / "lb.yaml"
        file.write_text(json.dumps(whole, indent=1))
        with contextlib.ExitStack() as stack:
            stack.callback(_remove_segment, state_dir)
            command = (*through, *gunicorn, *_options(subject, ports["traffic"], settings))
            environ = {**(environ or {}), **({"LB_NATIVE": "0"} if subject == "uncompiled" else {})}
            if is_published:
                environ["LB_SNAPSHOT"] = _published(file, environ)
            process = stack.enter_context(_running(command, file, environ))
            balancer = Balancer(ports, process, state_dir, subject)
            _wait_until_serving(balancer)
            if with_controller:
                stack.enter_context(_running((*through, *_CONTROLLER), file, environ))
            yield balancer


def _published(file: Path, environ: Mapping[str, str]) -> str:
    """The snapshot in force, as the publisher's command would have put it there and said."""
    state_dir = publish(load(str(file), {**os.environ, **environ})).config.state.dir
    record(state_dir, [])
    return snapshot_path(state_dir)


def _options(subject: Subject, port: int, settings: str) -> tuple[str, ...]:
    if subject != "wsgi":
        return ("-c", f"python:{settings}", "lb.wsgi:app")
    own = ("--http-parser", "python", "--no-control-socket")  # its C parser, where installed, takes bare LF
    return ("-k", "gevent", "-b", f"127.0.0.1:{port}", *own, "lb.wsgi:app")


@contextlib.contextmanager
def _running(command: Sequence[str], file: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, whose output goes to ``stderr`` beside the configuration."""
    with (file.parent / "stderr").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **environ, "LB_CONFIG": str(file)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _wait_until_serving(balancer: Balancer) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and balancer.process.poll() is None:
        with contextlib.suppress(OSError):
            if exchange(balancer.port, b"JUNK\r\n\r\n", first_s=deadline - time.monotonic()).data:
                return
        time.sleep(0.02)
    raise AssertionError(f"the balancer does not serve:\n{balancer.log()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """QUIT (gunicorn's quick stop), and KILL to the whole group if that is not enough."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _remove_segment(state_dir: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        os.unlink(json.loads((state_dir / "snapshot.json").read_text())["segment"])
