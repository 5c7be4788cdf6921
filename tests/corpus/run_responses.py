"""Has scripted backends give the answers of ``responses.jsonl``, and asks for a canary behind each.

Every case has a pool and a backend of its own, so all run at once and a poisoned connection can only
be met by its own canary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.corpus.cases import Judgement, ResponseCase
from tests.corpus.judge_responses import CANARY, judge
from tests.support.fault_origin import Behaviour, Connection, FaultOrigin, fault_origin
from tests.support.raw_client import Received, exchange

AT_A_TIME = 16
CLOSE_WAIT_S = 4.0
IDLE_S = 0.4


def behaviour(case: ResponseCase) -> Behaviour:
    """The case's bytes for everything but canaries, then what the case says."""

    def serve(connection: Connection) -> None:
        while True:
            request = connection.request()
            if request.target.endswith("/canary"):
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", CANARY)
                continue
            connection.send(case.raw)
            if case.after == "close":
                return
            if case.after == "reset":
                connection.reset()
                return
            if case.after == "hang":
                connection.wait_for_end()
                return

    return serve


@contextmanager
def origins(cases: Sequence[ResponseCase]) -> Iterator[dict[str, FaultOrigin]]:
    with ExitStack() as stack:
        yield {case.id: stack.enter_context(fault_origin(behaviour(case))) for case in cases}


def config(backends: Mapping[str, FaultOrigin]) -> dict[str, Any]:
    """A route and a pool per case; short timeouts, so that the stalling cases take a second."""
    return {
        "pools": {
            name: {
                "backends": [f"http://127.0.0.1:{origin.port}"],
                "health": {"type": "none"},
                "timeouts": {"first_byte": "1s", "idle": "1s", "total": "5s"},
            }
            for name, origin in backends.items()
        },
        "routes": [{"path": f"/{name}", "pool": name} for name in backends],
    }


def run(port: int, cases: Sequence[ResponseCase]) -> dict[str, Judgement]:
    """Judgements by case id; the balancer at ``port`` runs ``config`` over ``origins``."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip([case.id for case in cases], pool.map(lambda case: _run(port, case), cases), strict=True))


def _run(port: int, case: ResponseCase) -> Judgement:
    received = _ask(port, case)
    canaries = [_canary(port, case).data for _ in range(2)]
    return judge(case, received.data, canaries, is_closed=received.is_closed)


def _ask(port: int, case: ResponseCase) -> Received:
    raw = f"{case.method} /{case.id}/case HTTP/{case.version}\r\nHost: lb.test\r\n\r\n".encode()
    return exchange(port, raw, idle_s=CLOSE_WAIT_S if case.expect == "truncate" else IDLE_S)


def _canary(port: int, case: ResponseCase) -> Received:
    raw = f"GET /{case.id}/canary HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n".encode()
    return exchange(port, raw, idle_s=5.0)
