"""What the supervisor tells its next image when it re-execs itself: same pid, same fds, new code.

Plain JSON in one environment variable, read leniently: either side may be the newer version.
Instants are of CLOCK_MONOTONIC, which goes on across an exec.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lb.launch import program
from lb.supervisor.addresses import Bind
from lb.supervisor.backoff import Backoff
from lb.supervisor.plane import Child, Plane

VARIABLE = "LB_SUPERVISOR_STATE"


@dataclass(frozen=True, slots=True)
class Handdown:
    """``sockets``: address to [fd, whether to unlink]. ``planes``: by name, see ``plane_state``.
    ``signals``: came, and were not acted on yet. ``looks``: of the file that was read last, see ``WatchedFile``."""

    snapshot: str
    pid_fd: int
    sockets: dict[str, list[Any]]
    planes: dict[str, dict[str, Any]] = field(default_factory=dict)
    signals: list[int] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)

    def dump(self) -> str:
        fields = ("snapshot", "pid_fd", "sockets", "planes", "signals", "looks")
        return json.dumps({name: getattr(self, name) for name in fields})

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Handdown | None:
        """None on a first start."""
        raw = environ.get(VARIABLE)
        if not raw:
            return None
        state = json.loads(raw)
        return cls(
            state["snapshot"],
            state["pid_fd"],
            state["sockets"],
            state["planes"],
            state.get("signals", []),
            state.get("looks", []),
        )


def plane_state(plane: Plane) -> dict[str, Any]:
    return {
        "binds": [[bind.listener, bind.address] for bind in plane.binds],
        "current": _child_state(plane.current) if plane.current else None,
        "retiring": [_child_state(child) for child in plane.retiring],
        "young_deaths": plane.backoff.young_deaths,
    }


def restore(plane: Plane, state: dict[str, Any], now: float) -> None:
    """Put a plane back to where it was. A child that died meanwhile is found by the next reaping."""
    plane.binds = _binds(state["binds"])
    plane.backoff = Backoff(state["young_deaths"])
    plane.retiring = [_child(child) for child in state["retiring"]]
    if state["current"]:
        plane.current = _child(state["current"])
    else:
        plane.start_at = now


def become_next(file: str, handdown: Handdown) -> str:
    """Exec the supervisor's code as it is on disk now. Returns only if that failed: why."""
    fds = [fd for fd, _ in handdown.sockets.values()] + [handdown.pid_fd]
    argv = program("lb.supervisor", file)
    try:
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execve(argv[0], argv, {**os.environ, VARIABLE: handdown.dump()})
    except OSError as error:
        for fd in fds:
            os.set_inheritable(fd, False)
        return error.strerror or str(error)


def _child_state(child: Child) -> dict[str, Any]:
    return {
        "pid": child.pid,
        "binds": [[bind.listener, bind.address] for bind in child.binds],
        "started_at": child.started_at,
        "is_serving": child.is_serving,
        "deadline": child.deadline,
        "next_signal": int(child.next_signal),
        "has_to_reopen": child.has_to_reopen,
    }


def _child(state: dict[str, Any]) -> Child:
    return Child(
        state["pid"],
        _binds(state["binds"]),
        state["started_at"],
        state["is_serving"],
        state["deadline"],
        signal.Signals(state["next_signal"]),
        state.get("has_to_reopen", False),
    )


def _binds(pairs: list[list[str]]) -> tuple[Bind, ...]:
    return tuple(Bind(listener, address) for listener, address in pairs)
