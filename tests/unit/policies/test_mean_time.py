"""A mean that follows counters: what it says after which totals."""

from __future__ import annotations

import pytest

from lb.policies.mean_time import FAILURE_S, MeanTimes, Totals


def mean_after(*totals: Totals, interval_s: float = 1.0) -> float:
    times = MeanTimes(1)
    for turn, one in enumerate(totals):
        times.look([one], turn * interval_s)
    return times.seconds[0]


def test_what_was_counted_before_the_first_look_does_not_count() -> None:
    assert mean_after((1000, 0, 5_000_000)) == 0.0
    assert mean_after((1000, 0, 5_000_000), (1010, 0, 5_200_000)) == pytest.approx(0.020)


def test_newer_answers_weigh_more() -> None:
    slower = mean_after((0, 0, 0), (50, 0, 1_000_000), (100, 0, 11_000_000))
    assert 0.110 < slower < 0.130, "20 ms, then 200 ms"


def test_of_many_answers_the_newest_decide() -> None:
    seen = mean_after((0, 0, 0), (10_000, 0, 200_000_000), (20_000, 0, 2_200_000_000))
    assert seen == pytest.approx(0.200, rel=0.01)


def test_a_failure_is_never_fast() -> None:
    assert mean_after((0, 0, 0), (10, 10, 0)) == FAILURE_S
    assert mean_after((0, 0, 0), (10, 5, 100_000)) == pytest.approx(FAILURE_S / 2, rel=0.1)


def test_silence_is_forgotten() -> None:
    once = (0, 0, 0), (5000, 0, 5_000_000)
    assert mean_after(*once, *[once[-1]] * 10) == pytest.approx(0.001)
    assert mean_after(*once, *[once[-1]] * 30) == 0.0


def test_totals_that_begin_anew_are_no_news() -> None:
    assert mean_after((0, 0, 0), (10, 0, 200_000), (3, 0, 90_000)) == pytest.approx(0.020)
    assert mean_after((0, 0, 0), (10, 0, 200_000), (3, 0, 90_000), (4, 0, 110_000)) == pytest.approx(0.020)
