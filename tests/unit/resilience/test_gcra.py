from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.gcra import TOKEN, Gcra

S = 1_000_000_000
RATES = st.sampled_from([1 / 3600, 0.5, 1.0, 3.0, 7.3, 100.0, 12_345.6])
GAPS = st.lists(st.integers(0, 40), min_size=1, max_size=200)
"""Between requests, in twentieths of the time that a token takes."""


class Line:
    """What comes through one limit, and when."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self.gcra = Gcra(rate_per_s, burst)
        self.tokens = burst * TOKEN
        self.now_ns = self._since_ns = 0
        self.passed: list[int] = []

    def ask(self) -> bool:
        burst = self.gcra.burst
        tokens = self.gcra.grown(self.tokens, self.now_ns - self._since_ns, burst, burst)
        if tokens < TOKEN:
            return False
        self.tokens, self._since_ns = tokens - TOKEN, self.now_ns
        self.passed.append(self.now_ns)
        return True

    def most_in_any_window(self) -> float:
        """By how much ``burst + rate x t`` was exceeded, at the worst place."""
        rate, burst, passed = self.gcra.rate_per_s, self.gcra.burst, self.passed
        worst, least = float("-inf"), float("inf")
        for i, at_ns in enumerate(passed):
            least = min(least, i - rate * at_ns / S)
            worst = max(worst, i + 1 - rate * at_ns / S - least - burst)
        return worst


@given(RATES, st.integers(1, 50), GAPS)
def test_never_more_than_burst_and_rate_in_any_window(rate_per_s: float, burst: int, gaps: list[int]) -> None:
    line = Line(rate_per_s, burst)
    for gap in gaps:
        line.now_ns += int(gap * S / rate_per_s / 20)
        line.ask()
    assert line.most_in_any_window() <= 1e-6


@given(RATES, st.integers(2, 50), st.integers(2, 30))
def test_all_of_it_is_used_where_more_is_asked_for(rate_per_s: float, burst: int, times: int) -> None:
    """With a burst of one a token is only used by who asks at that very moment."""
    line = Line(rate_per_s, burst)
    step_ns = int(S / rate_per_s / times)
    for _ in range(60 * times):
        line.now_ns += step_ns
        line.ask()
    assert len(line.passed) >= 0.95 * (burst + rate_per_s * line.now_ns / S) - 1


@given(RATES, st.integers(1, 50), GAPS)
def test_who_waits_as_long_as_he_was_told_passes_and_no_sooner(rate_per_s: float, burst: int, gaps: list[int]) -> None:
    line = Line(rate_per_s, burst)
    for gap in gaps:
        line.now_ns += int(gap * S / rate_per_s / 20)
        if not line.ask():
            asked_ns = line.now_ns
            tokens = line.gcra.grown(line.tokens, asked_ns - line._since_ns, burst, burst)
            wait_ns = line.gcra.wait_ns(tokens)
            line.now_ns = asked_ns + int(0.999 * wait_ns) - 10
            assert wait_ns < 100 or line.now_ns < asked_ns or not line.ask()
            line.now_ns = asked_ns + wait_ns + int(1e-6 * wait_ns) + 2
            assert line.ask()


def test_units_that_change_hands_bring_nothing_and_what_they_cannot_keep_is_gone() -> None:
    gcra = Gcra(10.0, 10)
    assert gcra.grown(3 * TOKEN, S, units=0, most=5) == 3 * TOKEN
    assert gcra.grown(3 * TOKEN, S, units=5, most=2) == 2 * TOKEN
    assert gcra.grown(0, S, units=5, most=10) == 5 * TOKEN
    assert gcra.grown(0, -S, units=5, most=10) == 0


def test_how_long_it_takes_to_fill() -> None:
    assert Gcra(100.0, 200).fill_ms == 2001
    assert Gcra(1 / 60, 5).fill_ms == 300_001
