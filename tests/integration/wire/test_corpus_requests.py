"""Rows 1 to 23: every case of the request corpus against a live balancer, in three ways of cutting it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpus.cases import Judgement, RequestCase, request_cases
from tests.corpus.run_requests import Mode, run
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.fault_origin import FaultOrigin, fault_origin

CASES = request_cases()

WSGI_CANNOT = {
    "rl-49": "gunicorn's own limit of a request line is 4,094 bytes, unless it is raised by an option",
    "chunk-31": "gunicorn waits for a chunk of 2^64+5 bytes",
}
"""Cases that the worker path serves right and a WSGI application cannot: the server in front decides."""


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin() as opened:
        yield opened


@pytest.fixture(scope="module")
def balancer(origin: FaultOrigin) -> Iterator[Balancer]:
    with running_balancer(simple_config([origin.port])) as running:
        yield running


@pytest.fixture(scope="module")
def judgements(balancer: Balancer, origin: FaultOrigin) -> dict[str, Judgement]:
    return run(balancer.port, origin, CASES, "all")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(judgements: dict[str, Judgement], case: RequestCase) -> None:
    judgement = judgements[case.id]
    assert judgement.is_good, f"{judgement.verdict}: {case.note}: {judgement.why}"


def test_nothing_reached_the_backend_that_no_client_sent(judgements: dict[str, Judgement]) -> None:
    assert "nobody" not in judgements, judgements["nobody"].why


@pytest.mark.parametrize("mode", ["lines", "bytes"])
def test_cut_into(mode: Mode, balancer: Balancer, origin: FaultOrigin) -> None:
    assert bad(run(balancer.port, origin, CASES, mode)) == {}


def test_no_case_left_a_traceback_or_a_broken_log_line(judgements: dict[str, Judgement], balancer: Balancer) -> None:
    """Row 82, too: each access log line is JSON whatever the client sent."""
    assert "Traceback" not in balancer.log()
    assert len(balancer.access_log()) > len(CASES) / 2


def test_wsgi_path_differs_only_where_it_says(origin: FaultOrigin) -> None:
    with running_balancer(simple_config([origin.port]), "wsgi") as wsgi:
        found = bad(run(wsgi.port, origin, CASES, "all"))
        assert found.keys() - WSGI_CANNOT.keys() == set(), found
        assert not [name for name, text in found.items() if text.startswith("DANGER")], found
        assert WSGI_CANNOT.keys() - found.keys() == set(), "these work now: take them off the table"


def bad(judgements: dict[str, Judgement]) -> dict[str, str]:
    return {name: f"{one.verdict}: {'; '.join(one.why)}" for name, one in judgements.items() if not one.is_good}
