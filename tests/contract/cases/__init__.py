"""The literal list of conformance cases."""

from __future__ import annotations

from tests.contract.cases import (
    answers,
    bodies,
    connections,
    fields,
    forwarded,
    interims,
    requests,
    routing,
    sticky,
    trouble,
)

CASES = [
    *requests.CASES,
    *connections.CASES,
    *bodies.CASES,
    *answers.CASES,
    *interims.CASES,
    *fields.CASES,
    *forwarded.CASES,
    *routing.CASES,
    *trouble.CASES,
    *sticky.CASES,
]
