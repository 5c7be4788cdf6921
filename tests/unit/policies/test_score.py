from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import AdaptiveOptions
from lb.policies.score import effective_weight, score

any_load = st.floats(-10.0, 1e6)


def test_the_worked_example() -> None:
    assert score(AdaptiveOptions(), 10.0, 60.0, 5, 0.05) == pytest.approx(0.82)
    assert effective_weight(0.82) == 4


def test_idle_is_one_and_everything_at_its_maximum_is_zero() -> None:
    assert score(AdaptiveOptions(), 0.0, 0.0, 0, 0.0) == pytest.approx(1.0)
    assert score(AdaptiveOptions(), 250.0, 100.0, 4000, 30.0) == pytest.approx(0.0)


def test_weights_and_maxima_are_configuration() -> None:
    memory_only = AdaptiveOptions(cpu=0.0, memory=3.0, inflight=0.0, latency=0.0, max_memory_percent=50.0)
    assert score(memory_only, 99.0, 25.0, 99, 9.0) == pytest.approx(0.5)


def test_without_any_weight_nothing_speaks_against_anybody() -> None:
    assert score(AdaptiveOptions(cpu=0, memory=0, inflight=0, latency=0), 99.0, 99.0, 99, 9.0) == 1.0


@given(any_load, any_load, any_load, any_load)
def test_always_between_zero_and_one(cpu: float, memory: float, inflight: float, latency_s: float) -> None:
    assert -1e-9 <= score(AdaptiveOptions(), cpu, memory, inflight, latency_s) <= 1.0 + 1e-9


@pytest.mark.parametrize(("of", "weight"), [(0.0, 1), (0.1, 1), (0.31, 2), (0.5, 2), (0.82, 4), (0.95, 5), (1.0, 5)])
def test_effective_weight_is_one_to_five(of: float, weight: int) -> None:
    assert effective_weight(of) == weight
