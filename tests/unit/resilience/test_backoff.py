from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.backoff import full_jitter_s


def test_doubles_up_to_the_cap() -> None:
    longest = [full_jitter_s(tries, base_s=0.5, cap_s=10.0, uniform=1.0) for tries in (1, 2, 3, 4, 5, 6, 7)]
    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_whole_interval_is_used() -> None:
    assert full_jitter_s(3, base_s=1.0, cap_s=60.0, uniform=0.0) == 0.0
    assert full_jitter_s(3, base_s=1.0, cap_s=60.0, uniform=0.5) == 2.0


@given(st.integers(0, 10**9), st.floats(1e-3, 10.0), st.floats(0.0, 3600.0), st.floats(0.0, 1.0, exclude_max=True))
def test_never_above_the_cap_however_often_it_failed(tries: int, base_s: float, cap_s: float, uniform: float) -> None:
    assert 0.0 <= full_jitter_s(tries, base_s=base_s, cap_s=cap_s, uniform=uniform) <= cap_s
