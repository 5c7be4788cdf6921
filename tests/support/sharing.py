"""Two real balancers, each with workers and a controller, one backend with a limit behind both, and their Redis."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from lb.config import snapshot as snapshot_file
from lb.state.layout import H_CONTROLLER_PID, SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS
from lb.state.segment import Segment
from lb.state.store.keys import Keys
from lb.supervisor.spawn import Program, spawn
from tests.support.asking import Asking
from tests.support.balancer import Balancer, running_balancer
from tests.support.ports import free_ports
from tests.support.raw_client import get
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

WORKERS = 2
PATIENCE_S = 30.0


@dataclass
class Peak:
    """What the backend saw since it was last asked."""

    peak: int
    done: int
    worked_s: float
    over_s: float

    @property
    def average(self) -> float:
        """At work at a time."""
        return self.worked_s / self.over_s


@dataclass
class Sharing:
    """``limits``: each is the name and the ``max_inflight`` of a pool's only backend; ``ports`` are those backends'."""

    limits: Sequence[int]
    ports: Sequence[int]
    balancers: list[Balancer] = field(default_factory=list)

    def peak(self, limit: int) -> Peak:
        return Peak(**json.loads(get(self.ports[self.limits.index(limit)], "/peak").body))

    def slices(self, limit: int) -> list[int]:
        """In force now, by balancer; -1: none is."""
        return [_slice(balancer, limit) for balancer in self.balancers]

    def is_shared(self) -> bool:
        """Every balancer has slices, and together they are what there is."""
        all_slices = [self.slices(limit) for limit in self.limits]
        return all(min(one) >= 0 and sum(one) == limit for one, limit in zip(all_slices, self.limits, strict=True))

    def wait_until_shared(self, deadline_s: float = PATIENCE_S) -> None:
        wait_for("slices of all", self.is_shared, deadline_s)

    def inflight(self) -> int:
        return sum(balancer.inflight() for balancer in self.balancers)


def _slice(balancer: Balancer, limit: int) -> int:
    with _segment(balancer) as (segment, columns):
        cells = segment.shared(columns[f"backend:k{limit}/b"])
        return cells[SH_SLICE] if cells[SH_SLICE_UNTIL_NS] > monotonic_ns() else -1


def lost(balancer: Balancer, limit: int) -> int:
    """What it takes without the store."""
    with _segment(balancer) as (segment, columns):
        return segment.shared(columns[f"backend:k{limit}/b"])[SH_SLICE_LOST]


def controller_of(balancer: Balancer) -> int:
    with _segment(balancer) as (segment, _):
        return segment.header[H_CONTROLLER_PID]


@contextlib.contextmanager
def _segment(balancer: Balancer) -> Iterator[tuple[Segment, dict[str, int]]]:
    snapshot = snapshot_file.read(str(balancer.state_dir / "snapshot.json"))
    segment = Segment.open(snapshot.segment)
    try:
        yield segment, snapshot.columns
    finally:
        segment.close()


@contextlib.contextmanager
def sharing(server: RedisServer, *limits: int, rule: str = "closed", **pool: Any) -> Iterator[Sharing]:
    """Two balancers with a pool ``kLIMIT`` per limit, reached by that path."""
    server.client().set(Keys("lb").born, "0 -")  # it has known everything for long
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(busy_backend()) for _ in limits]
        pools = {f"k{limit}": _pool(port, limit) | pool for limit, port in zip(limits, ports, strict=True)}
        config = {
            "workers": WORKERS,
            "state": {"redis": server.url, "on_store_loss": rule},
            "pools": pools,
            "routes": [{"path": f"/{name}", "pool": name} for name in pools],
        }
        one = Sharing(limits, ports)
        for _ in range(2):
            one.balancers.append(stack.enter_context(running_balancer(config, with_controller=True)))
        one.wait_until_shared()
        yield one


def _pool(port: int, limit: int) -> dict[str, Any]:
    backend = {"id": "b", "url": f"http://127.0.0.1:{port}", "max_inflight": limit}
    return {"backends": [backend], "health": {"type": "none"}, "timeouts": {"queue": "20s"}}


@contextlib.contextmanager
def busy_backend() -> Iterator[int]:
    port = free_ports(1)[0]
    pid = spawn(Program((sys.executable, "-m", "tests.support.busy_backend", str(port)), os.environ))
    try:
        wait_for("the backend", lambda: _answers(port))
        yield port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return get(port, "/peak").status == 200
    return False


def held(balancer: Balancer, limit: int, count: int, seconds: float = 0.03) -> Asking:
    """Clients that hold a place of the backend with that limit so long, again and again."""
    return Asking(balancer, f"/k{limit}/{seconds}", count, pause_s=0.0)
