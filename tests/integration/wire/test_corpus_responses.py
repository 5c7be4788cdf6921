"""Rows 36 to 47: every case of the response corpus, each from a backend of its own, each with canaries."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.corpus.cases import Judgement, ResponseCase, differing, response_cases
from tests.corpus.run_responses import config, origins, run
from tests.corpus.stock import PATIENT_GUNICORN
from tests.support.balancer import Balancer, Subject, running_balancer

CASES = response_cases()

SUBJECTS: tuple[Subject, ...] = ("worker", "wsgi")
WSGI_CANNOT: dict[str, str] = {}
"""Cases that end otherwise on the WSGI path than on the worker path, and why."""


@dataclass(frozen=True)
class Run:
    """All cases on one subject, and what it logged meanwhile."""

    judgements: dict[str, Judgement]
    log: str


@pytest.fixture(scope="module")
def runs() -> dict[Subject, Run]:
    return {subject: run_on(subject) for subject in SUBJECTS}


def run_on(subject: Subject) -> Run:
    with origins(CASES) as backends, balancer_of(subject, config(backends)) as balancer:
        judgements = run(balancer.port, CASES)
        return Run(judgements, balancer.log())


def balancer_of(subject: Subject, whole: dict[str, Any]) -> AbstractContextManager[Balancer]:
    if subject == "wsgi":
        return running_balancer(whole, subject, gunicorn=PATIENT_GUNICORN)
    return running_balancer(whole, subject)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(runs: dict[Subject, Run], subject: Subject, case: ResponseCase) -> None:
    judgement = runs[subject].judgements[case.id]
    is_excused = subject == "wsgi" and case.id in WSGI_CANNOT and judgement.verdict == "FAIL"
    assert judgement.is_good or is_excused, f"{judgement.verdict}: {case.note}: {judgement.why}"


def test_wsgi_path_differs_only_where_it_says(runs: dict[Subject, Run]) -> None:
    """A listed case that no longer differs must leave the table."""
    found = differing(runs["worker"].judgements, runs["wsgi"].judgements)
    assert found.keys() == WSGI_CANNOT.keys(), found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_case_left_a_traceback(runs: dict[Subject, Run], subject: Subject) -> None:
    assert "Traceback" not in runs[subject].log
