"""Balancers shared by the wire tests, and lanes: a pool of misbehaving backends per test.

A lane's backends belong to one test only, so nothing that a test does to them (ejection, a refused
connect, pooled connections) is seen by another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.balancer import Balancer, Subject, running_balancer
from tests.support.fault_origin import Behaviour, FaultOrigin
from tests.support.raw_client import Answer, Received, exchange, get, request
from tests.support.recorded import Recorded
from tests.support.scale import SHORT_STREAM_BYTES, STREAM_BYTES

LANES = 140
"""More than tests need one; raise it when a new test finds none left."""

QUICK = {"connect": "500ms", "first_byte": "1s", "idle": "1s", "total": "4s"}
CONNECT_S, FIRST_BYTE_S, IDLE_S, TOTAL_S = 0.5, 1.0, 1.0, 4.0
IMPATIENT = {"head": "1s", "body": "1s", "write": "1s", "keep_alive": "1500ms", "half_close": "500ms"}
CLIENT_TIMEOUT_S, KEEP_ALIVE_S, HALF_CLOSE_S = 1.0, 1.5, 0.5
SLACK_S = 2.0
"""Allowed on top of a timeout before a test calls it late."""


@dataclass
class Lane:
    """One pool of two backends, ``first`` and ``second``, asked in turn; below ``path`` on the balancer."""

    balancer: Balancer
    path: str
    first: FaultOrigin
    second: FaultOrigin

    def get(self, path: str = "/", **request: Any) -> Answer:
        return get(self.balancer.port, self.path + path, **request)

    def stream_bytes(self, *, is_chunked: bool) -> int:
        """How long a body is that must not show in its memory."""
        return SHORT_STREAM_BYTES if is_chunked or self.balancer.subject == "wsgi" else STREAM_BYTES

    @property
    def requests(self) -> list[Recorded]:
        """What both backends saw, complete or not."""
        return self.first.requests + self.second.requests

    def complete(self) -> list[Recorded]:
        return self.first.complete() + self.second.complete()

    def serve(self, behaviour: Behaviour) -> None:
        """Both backends behave like this."""
        self.first.serve(behaviour)
        self.second.serve(behaviour)

    def is_free_within(self, seconds: float) -> bool:
        """Whether the balancer has left every backend connection by then."""
        deadline = time.monotonic() + seconds
        return all(
            origin.wait_until(lambda one: one.ended == one.connections, deadline - time.monotonic())
            for origin in (self.first, self.second)
        )

    def exchange(self, path: str = "/", *, idle_s: float = 10.0, **asked: Any) -> Received:
        """One request on a connection that ends with its answer."""
        asked["fields"] = ["Connection: close", *asked.get("fields", [])]
        return exchange(self.balancer.port, request(self.path + path, **asked), idle_s=idle_s)


class Bench:
    """A balancer with lanes that all have the same ``timeouts``; ``listener`` is its traffic listener."""

    def __init__(
        self, stack: ExitStack, subject: Subject, *, lanes: int, timeouts: dict[str, str], listener: dict[str, Any]
    ) -> None:
        self.origins = [(FaultOrigin(), FaultOrigin()) for _ in range(lanes)]
        for origin in itertools.chain(*self.origins):
            stack.callback(origin.close)
        config = {**self._config(timeouts), "listeners": {"traffic": listener}}
        self.balancer = stack.enter_context(running_balancer(config, subject))
        self._next = itertools.count()

    def lane(self) -> Lane:
        number = next(self._next)
        return Lane(self.balancer, f"/lane{number}", *self.origins[number])

    def _config(self, timeouts: dict[str, str]) -> dict[str, Any]:
        return {
            "pools": {
                f"lane{number}": {
                    "backends": [f"http://127.0.0.1:{origin.port}" for origin in pair],
                    "policy": "round_robin",
                    "health": {"type": "none"},
                    "timeouts": timeouts,
                }
                for number, pair in enumerate(self.origins)
            },
            "routes": [{"path": f"/lane{number}", "pool": f"lane{number}"} for number in range(len(self.origins))],
        }


@pytest.fixture(scope="session")
def worker_bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, "worker", lanes=LANES, timeouts=QUICK, listener={})


@pytest.fixture(scope="session")
def wsgi_bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, "wsgi", lanes=LANES, timeouts=QUICK, listener={})


@pytest.fixture(scope="session")
def impatient_bench() -> Iterator[Bench]:
    """Patient with backends, not with clients."""
    with ExitStack() as stack:
        yield Bench(stack, "worker", lanes=30, timeouts={}, listener={"timeouts": IMPATIENT})


@pytest.fixture(params=["worker", "wsgi"])
def lane(request: pytest.FixtureRequest) -> Lane:
    """A fresh lane, on both subjects one after the other."""
    bench: Bench = request.getfixturevalue(f"{request.param}_bench")
    return bench.lane()


@pytest.fixture
def worker_lane(worker_bench: Bench) -> Lane:
    """A fresh lane of the worker path, for what a WSGI server keeps from its application."""
    return worker_bench.lane()


@pytest.fixture
def impatient_lane(impatient_bench: Bench) -> Lane:
    """A fresh lane of the worker path behind a listener that waits a second where ten are the default."""
    return impatient_bench.lane()
