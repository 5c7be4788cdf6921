"""The two gunicorns as command lines, and how a plane starts, watches and signals its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping

from lb.launch import program
from lb.model import Snapshot
from lb.state.process import RUN_PID
from lb.supervisor.addresses import Bind, control_binds, data_binds
from lb.supervisor.plane import Actions, Plane
from lb.supervisor.readiness import controllers_serving, workers_serving
from lb.supervisor.sockets import Held
from lb.supervisor.spawn import Program, clean, spawn

DATA = ("-c", "python:lb.server.gunicorn_conf", "lb.wsgi:app")
CONTROL = ("-c", "python:lb.controller.gunicorn_conf", "lb.admin.app:app")
CurrentSnapshot = Callable[[], tuple[str, Snapshot]]
"""Path and content of what is in force at the moment of the call."""


def data_plane(held: Held, current: CurrentSnapshot) -> Plane:
    def start(binds: tuple[Bind, ...]) -> int:
        path, snapshot = current()
        return _start(DATA, path, held, still_wanted(binds, data_binds(snapshot.config)))

    return Plane("data", Actions(start, lambda pid: workers_serving(current()[1], pid), _kill))


def control_plane(held: Held, current: CurrentSnapshot) -> Plane:
    def start(binds: tuple[Bind, ...]) -> int:
        path, snapshot = current()
        return _start(CONTROL, path, held, still_wanted(binds, control_binds(snapshot.config)))

    return Plane("control", Actions(start, lambda pid: controllers_serving(current()[1], pid), _kill))


def _start(arguments: tuple[str, ...], snapshot_path: str, held: Held, binds: tuple[Bind, ...]) -> int:
    environ = child_environ(os.environ) | {"LB_SNAPSHOT": snapshot_path}
    names = tuple(bind.listener for bind in binds)
    argv = program("lb.supervisor.arbiter", *arguments)
    return spawn(Program(argv, environ, tuple(held.fds(binds)), names))


def still_wanted(held: tuple[Bind, ...], wanted: tuple[Bind, ...]) -> tuple[Bind, ...]:
    """The sockets of ``held`` under the names that the configuration in force has for their addresses.

    They differ only while a change of listeners could not be carried out (a port in use, say) and
    what ran before has to be started again; a worker could do nothing with a name that is gone."""
    addresses = {bind.address for bind in held}
    return tuple(bind for bind in wanted if bind.address in addresses)


def _kill(pid: int, sig: signal.Signals) -> None:
    """SIGKILL goes to the whole group: an arbiter that needs it has workers that would stay behind."""
    with contextlib.suppress(ProcessLookupError):
        if sig == signal.SIGKILL:
            os.killpg(pid, sig)
        else:
            os.kill(pid, sig)


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What every child gets: ours, without what is for us alone, and whose child it is."""
    return clean(environ) | {RUN_PID: str(os.getpid())}
