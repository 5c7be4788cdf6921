"""A backend that has come up gets a tenth of its share at once, and all of it in the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.slow_start import LEAST, share


@pytest.mark.parametrize(
    ("since_s", "expected"), [(0.0, LEAST), (1.0, LEAST), (3.0, 0.1), (15.0, 0.5), (29.9, 29.9 / 30), (30.0, 1.0), (1e9, 1.0)]
)  # fmt: skip
def test_it_rises_evenly(since_s: float, expected: float) -> None:
    assert share(since_s, 30.0) == pytest.approx(expected)


def test_without_a_window_all_of_it_at_once() -> None:
    assert share(0.0, 0.0) == 1.0


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.001, 1000))
def test_it_never_falls(one_s: float, other_s: float, window_s: float) -> None:
    earlier, later = sorted((one_s, other_s))
    assert LEAST <= share(earlier, window_s) <= share(later, window_s) <= 1.0
