"""The names that a configuration may use are those that the code behind them has."""

from __future__ import annotations

from lb.config import names
from lb.http1 import request
from lb.policies.table import POLICIES


def test_policies() -> None:
    assert set(names.POLICIES) == set(POLICIES)


def test_methods() -> None:
    assert {name.encode() for name in names.KNOWN_METHODS} == request.KNOWN_METHODS
    assert {name.encode() for name in names.REFUSED_METHODS} == request.REFUSED_METHODS
