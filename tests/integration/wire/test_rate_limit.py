"""Row 87: a route's rate limit over several workers: never above it, nearly all of it usable, whoever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.asking import Asking, Limit, Watch
from tests.support.balancer import Balancer, Subject, running_balancer
from tests.support.raw_client import get
from tests.support.scale import IS_FULL
from tests.support.waiting import wait_for

WORKERS = 3
LIMIT = Limit(60.0, 60)
KILLS = 200 if IS_FULL else 6
_ANSWER = {"respond": {"status": 200, "body": "ok"}}


@contextlib.contextmanager
def limited(subject: Subject) -> Iterator[Balancer]:
    routes = [
        {"id": "few", "path": "/few", "rate_limit": {"rate": "2/d"}, **_ANSWER},
        {"path": "/rate", "rate_limit": {"rate": "3600/m", "burst": LIMIT.burst}, **_ANSWER},
        {"path": "/free", **_ANSWER},
    ]
    workers = WORKERS if subject == "worker" else 1
    with running_balancer({"workers": workers, "routes": routes}, subject) as balancer:
        wait_for("all workers", lambda: len(balancer.workers()) == workers)
        yield balancer


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    with limited("worker") as one:
        yield one


def refused_twice(balancer: Balancer) -> None:
    answers = [get(balancer.port, "/few") for _ in range(4)]
    assert [one.status for one in answers] == [200, 200, 429, 429]
    body = json.loads(answers[2].body)
    assert (body["error"], body["reason"]) == ("Too many requests", "rate_limited")
    assert 43_000 < int(answers[2].value("retry-after")) <= 43_200
    assert get(balancer.port, "/free").status == 200
    assert get(balancer.port, "/few", method="POST", body=b"x" * 100_000).status == 429
    waiting = get(balancer.port, "/few", method="POST", body=b"x", fields=["Expect: 100-continue"])
    assert (waiting.status, waiting.interim) == (429, [] if balancer.subject == "worker" else [100]), "gunicorn's own"
    wait_for("its lines", lambda: reasons_of(balancer, "/few") == ["", "", *["rate_limited"] * 4])


def reasons_of(balancer: Balancer, path: str) -> list[str]:
    """In the access log. Each worker writes its lines when it has some."""
    return sorted(one["reason"] for one in balancer.access_log() if one["target"] == path)


def test_over_all_workers_so_many_and_then_429_with_a_time_and_a_reason(balancer: Balancer) -> None:
    refused_twice(balancer)


def test_the_same_on_the_wsgi_path() -> None:
    with limited("wsgi") as balancer:
        refused_twice(balancer)


def test_never_more_and_nearly_all_of_it_while_workers_are_killed(balancer: Balancer) -> None:
    choose = random.Random(87).choice
    with Asking(balancer, "/rate", 4) as asking:
        watch = Watch(LIMIT, asking)
        for _ in range(KILLS):
            victim = choose(wait_for("workers", balancer.workers))
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
            watch.let_pass(10)
        wait_for("all workers", lambda: len(balancer.workers()) == WORKERS)
        time.sleep(0.2)
        after = Watch(LIMIT, asking)
        after.let_pass(120)
        assert after.use > 0.9, "nothing was lost for good"
        watch.check()
    assert set(asking.answers) == {200, 429}
