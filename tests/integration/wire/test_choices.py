"""Whom a running balancer asks: by probes beside the requests, by zone, by subset. Compiled, as written, and as WSGI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.support.balancer import Balancer, Subject, running_balancer
from tests.support.behaviours import Reply, answering
from tests.support.fault_origin import FaultOrigin
from tests.support.raw_client import get
from tests.support.recorded import Recorded
from tests.support.waiting import wait_for

SUBJECTS: tuple[Subject, ...] = ("worker", "uncompiled", "wsgi")
ZONES = "aaaabbbb"


def says(name: str, inflight: int = 0) -> Reply:
    """Its name, and what it claims to be working on."""

    def reply(_: Recorded) -> bytes:
        return b"HTTP/1.1 200 OK\r\nX-Inflight: %d\r\nContent-Length: %d\r\n\r\n%b" % (
            inflight, len(name), name.encode(),
        )  # fmt: skip

    return reply


@contextmanager
def origins(*replies: Reply) -> Iterator[list[FaultOrigin]]:
    with ExitStack() as stack:
        found = [FaultOrigin(answering(reply)) for reply in replies]
        for one in found:
            stack.callback(one.close)
        yield found


def pool(origins: list[FaultOrigin], names: str = "", **settings: Any) -> dict[str, Any]:
    backends = [
        {"url": f"http://127.0.0.1:{one.port}", **({"zone": names[i]} if names else {})}
        for i, one in enumerate(origins)
    ]
    return {"pools": {"web": {"backends": backends, "health": {"type": "none"}, **settings}}}


def asked(balancer: Balancer, times: int) -> Counter[str]:
    answers = [get(balancer.port, f"/{n}") for n in range(times)]
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.body.decode() for answer in answers)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_prequal_believes_what_backends_say_of_themselves(subject: Subject) -> None:
    policy = {"name": "prequal", "probe": {"path": "/load", "header": "X-Inflight", "timeout": "2s"}}
    with origins(says("busy", 40), says("idle"), says("full", 90)) as served:
        with running_balancer(pool(served, policy=policy), subject) as balancer:
            assert sum(asked(balancer, 1).values()) == 1, "before anybody was probed"

            def is_known() -> bool:
                return all(any(one.target == "/load" for one in origin.requests) for origin in served)

            wait_for("probes", lambda: (asked(balancer, 1), is_known())[1])
            wait_for("a choice by them", lambda: asked(balancer, 20) == {"idle": 20})
            assert "Traceback" not in balancer.log()
        paths = {request.target.rstrip("0123456789") for origin in served for request in origin.requests}
        assert paths == {"/", "/load"}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_own_zone_first(subject: Subject) -> None:
    with origins(*(says(zone) for zone in ZONES)) as served:
        config = {"zone": "b", **pool(served, ZONES, zones={"prefer": True}, policy="round_robin")}
        with running_balancer(config, subject) as balancer:
            assert asked(balancer, 40) == {"b": 40}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subset_of_the_backends(subject: Subject) -> None:
    with (
        origins(*(says(str(number)) for number in range(8))) as served,
        running_balancer(pool(served, subset=3, policy="random"), subject) as balancer,
    ):
        first = set(asked(balancer, 60))
        assert len(first) == 3
        gone = served[int(min(first))]
        gone.close()
        wait_for("a replacement", lambda: len(set(asked(balancer, 20)) - first) == 1)
