"""Rows 36 to 47: every case of the response corpus, each from a backend of its own, each with canaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpus.cases import Judgement, ResponseCase, response_cases
from tests.corpus.run_responses import config, origins, run
from tests.support.balancer import Balancer, Subject, running_balancer

CASES = response_cases()

WSGI_CANNOT: dict[str, str] = {}
"""Cases that the worker path serves right and a WSGI application cannot."""


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


@pytest.fixture(scope="module")
def balancer(subject: Subject) -> Iterator[Balancer]:
    with origins(CASES) as backends, running_balancer(config(backends), subject) as running:
        yield running


@pytest.fixture(scope="module")
def judgements(balancer: Balancer) -> dict[str, Judgement]:
    return run(balancer.port, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(judgements: dict[str, Judgement], subject: Subject, case: ResponseCase) -> None:
    judgement = judgements[case.id]
    if subject == "wsgi" and case.id in WSGI_CANNOT:
        assert judgement.verdict == "FAIL", "works now: take it off the table"
    else:
        assert judgement.is_good, f"{judgement.verdict}: {case.note}: {judgement.why}"


def test_no_case_left_a_traceback(judgements: dict[str, Judgement], balancer: Balancer) -> None:
    assert "Traceback" not in balancer.log()
