"""Rows 1 to 23: every case of the request corpus against a live balancer, in three ways of cutting it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpus.cases import Judgement, RequestCase, differing, request_cases
from tests.corpus.run_requests import Mode, run
from tests.corpus.stock import PATIENT_GUNICORN
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.fault_origin import FaultOrigin, fault_origin

CASES = request_cases()

WSGI_CANNOT = {
    "rl-49": "gunicorn's own limit of a request line is 4,094 bytes, unless it is raised by an option",
    "chunk-31": "gunicorn waits for a chunk of 2^64+5 bytes",
}
"""Cases that the worker path serves right and a WSGI application cannot: the server in front decides."""

_OWN_400 = "gunicorn refuses it itself, with 400"
_OWN_501 = "gunicorn refuses it itself, with 501: to it this is a transfer coding that it does not know"
_SILENT = "gunicorn closes without a word what ends before its head does"
_CONTINUE = "gunicorn tells 100 before the application is asked, also when the body is here or there is none"
WSGI_OTHERWISE = {
    "eol-06": _SILENT,
    "junk-07": _SILENT,
    "eol-19": "gunicorn takes no empty lines before a request; RFC 9112 section 2.2 asks for one at least",
    "hf-27": _OWN_400,
    "rl-09": _OWN_400,
    "rl-12": _OWN_400,
    "rl-17": _OWN_400,
    "tete-09": _OWN_501,
    "tete-10": _OWN_501,
    "tete-16": _OWN_501,
    "tete-30": _OWN_501,
    "chunk-46": "gunicorn reads the chunks, and has no limit to what their extensions are together",
    "trail-11": "gunicorn reads the trailers: too many of them are a bad chunk to us (400), not a field too large (431)",
    "cl0-10": _CONTINUE,
    "exp-01": _CONTINUE,
    "exp-05": _CONTINUE,
    "exp-06": _CONTINUE,
    "exp-07": _CONTINUE,
    "exp-08": "gunicorn joins the two Expect lines with a comma, and that is no expectation we know: 100, then 417",
}
"""Cases that come to another good end than on the worker path."""


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


def test_wsgi_path_differs_only_where_it_says(judgements: dict[str, Judgement], origin: FaultOrigin) -> None:
    """In verdict, in the answers' statuses and in what the backend saw. A listed case that no longer differs must leave
    its table."""
    with running_balancer(simple_config([origin.port]), "wsgi", gunicorn=PATIENT_GUNICORN) as wsgi:
        found = run(wsgi.port, origin, CASES, "all")
    failed, otherwise = bad(found), differing(judgements, found)
    assert failed.keys() == WSGI_CANNOT.keys(), failed
    assert not [name for name, text in failed.items() if text.startswith("DANGER")], failed
    assert otherwise.keys() == WSGI_CANNOT.keys() | WSGI_OTHERWISE.keys(), otherwise
    assert not WSGI_CANNOT.keys() & WSGI_OTHERWISE.keys()


def bad(judgements: dict[str, Judgement]) -> dict[str, str]:
    return {name: f"{one.verdict}: {'; '.join(one.why)}" for name, one in judgements.items() if not one.is_good}
