"""Two real balancers of two workers each behind one limit: never above it, nearly all of it used, and each has its part."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.support.raw_client import get
from tests.support.redis_server import redis_server
from tests.support.sharing import Sharing, held, sharing
from tests.support.waiting import wait_for

LIMITS = (1, 3, 10)
LOAD_S = 4.0
USED = 0.65
"""Of the limit, on average. 0.95 to 0.97 on a machine that does nothing else; this one runs other tests too."""
CLIENTS_PER_PLACE = 1.2


@pytest.fixture(scope="module")
def shared() -> Iterator[Sharing]:
    with redis_server() as server, sharing(server, *LIMITS) as both:
        yield both


def test_never_above_the_limit_and_nearly_all_of_it_is_used(shared: Sharing) -> None:
    with contextlib.ExitStack() as stack:
        loads = {
            limit: [
                stack.enter_context(held(one, limit, 1 + int(limit * CLIENTS_PER_PLACE))) for one in shared.balancers
            ]
            for limit in LIMITS
        }
        time.sleep(0.5)
        first = {limit: shared.peak(limit).peak for limit in LIMITS}
        time.sleep(LOAD_S)
        then = {limit: shared.peak(limit) for limit in LIMITS}
    assert {limit: max(first[limit], then[limit].peak) for limit in LIMITS} == {limit: limit for limit in LIMITS}
    for limit, clients in loads.items():
        served = [one.passed for one in clients]
        assert then[limit].average > USED * limit
        assert min(served) > 0.25 * sum(served), "each has its part, also of one place"
        assert [one.refused for one in clients] == [b"", b""], "who found no place has waited for one"


def test_one_place_passes_to_who_wants_it(shared: Sharing) -> None:
    """It takes some tens of milliseconds; a machine that runs other tests too is given a second."""
    for _ in range(4):
        for balancer in shared.balancers:
            started = time.monotonic()
            assert get(balancer.port, "/k1/0").status == 200
            assert time.monotonic() - started < 1.0
    assert shared.peak(1).peak == 1


def test_who_is_alone_has_all_of_it(shared: Sharing) -> None:
    one, other = shared.balancers
    with held(one, 10, 12):
        wait_for("all of it", lambda: shared.slices(10) == [10, 0], 5.0)
        with held(other, 10, 12):
            wait_for("half of it", lambda: shared.slices(10) == [5, 5], 5.0)
    assert shared.peak(10).peak <= 10
