"""Backends that fail in every way there is, and a request that has to get through: the scene of test_forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent

from lb.errors import LbError
from lb.model import PoolTimeouts, Retry
from lb.proxy.answer import Answer
from lb.proxy.deadlines import Deadline, Expired
from lb.proxy.exchange import Exchange
from lb.proxy.forward import forward
from lb.proxy.pool import LivePool
from tests.support.behaviours import (
    OK,
    answering,
    closing_after,
    closing_on_accept,
    closing_unanswered,
    resetting_on_accept,
    stalling_after,
)
from tests.support.fault_origin import Behaviour, Connection, FaultOrigin, fault_origin
from tests.unit.proxy.live import backends, body_of, inflight, open_pool, request

POLICY = "round_robin"
HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def resetting_after_request(part: bytes = b"") -> Behaviour:
    def serve(connection: Connection) -> None:
        connection.request()
        if part:
            connection.send(part)
            connection.sock.recv(0)
        connection.reset()

    return serve


def leaving_at_the_second_request(*, part: bytes = b"", reads_it: bool = True) -> Behaviour:
    """Serves one request per connection, and treats the next as if it had never promised keep-alive."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(OK)
        if reads_it:
            connection.request()
        if part:
            connection.send(part)

    return serve


FAULTS: dict[str, Behaviour | None] = {
    "refused": None,
    "reset-at-once": resetting_on_accept(),
    "closed-at-once": closing_on_accept(),
    "closed-unanswered": closing_unanswered(),
    "reset-unanswered": resetting_after_request(),
    "closed-in-the-head": closing_after(HALF_A_HEAD),
    "silent": stalling_after(),
    "silent-in-the-head": stalling_after(HALF_A_HEAD),
    "garbage": closing_after(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "busy": answering(UNAVAILABLE),
    "good": answering(OK),
}


@dataclass
class Outcome:
    exchange: Exchange
    answer: Answer | None = None
    error: BaseException | None = None
    body: bytes = b""

    @property
    def status(self) -> int:
        if self.answer is not None:
            return self.answer.status
        assert isinstance(self.error, LbError)
        return self.error.answer.status

    @property
    def reason(self) -> str:
        return self.error.reason if isinstance(self.error, (LbError, Expired)) else ""


@dataclass
class Scene:
    """A pool whose backends are origins; each claim must be gone when a request is over."""

    pool: LivePool
    origins: list[FaultOrigin]
    deadline: Deadline
    outcomes: list[Outcome] = field(default_factory=list)

    def send(self, method: str = "GET", body: bytes = b"", **more: Any) -> Outcome:
        gevent.sleep(0.001)  # as clients' requests do, it comes in a turn of the hub of its own
        with request(self.deadline, f"{method} /x HTTP/1.1", body=body, **more) as exchange:
            outcome = self._forwarded(exchange)
        assert inflight(self.pool) == 0, "a claim was not released, or released twice"
        self.outcomes.append(outcome)
        return outcome

    def _forwarded(self, exchange: Exchange) -> Outcome:
        try:
            answer = forward(exchange, self.pool, POLICY)
        except (LbError, Expired) as error:
            assert inflight(self.pool) == 0
            return Outcome(exchange, error=error)
        assert inflight(self.pool) == 1
        body = body_of(answer)
        exchange.release()
        exchange.release()
        return Outcome(exchange, answer, body=body)

    def requests(self) -> list[int]:
        """How many complete requests each origin has seen."""
        return [len(origin.complete()) for origin in self.origins]


@contextlib.contextmanager
def scene(
    deadline: Deadline, *faults: str | Behaviour, timeouts: PoolTimeouts | None = None, **retry: Any
) -> Iterator[Scene]:
    """Retries are unlimited by a budget unless the test says so."""
    wanted = {"budget_percent": 0.0, "budget_min_per_s": 100.0, **retry}
    with contextlib.ExitStack() as stack:
        behaviours = [FAULTS[fault] if isinstance(fault, str) else fault for fault in faults]
        origins = [stack.enter_context(fault_origin(behaviour)) for behaviour in behaviours]
        pool = stack.enter_context(
            open_pool(
                *backends(*(origin.port for origin in origins)),
                retry=Retry(**wanted),
                timeouts=timeouts or PoolTimeouts(first_byte_s=0.3),
            )
        )
        yield Scene(pool, origins, deadline)
