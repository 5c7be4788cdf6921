from __future__ import annotations

from math import exp

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from lb.policies.latency import DOUBT_S, FAILURE_S, FORGET_S, TAU_S, TRIALS, PeakEwma


def trusted(rtt_s: float, now: float = 0.0) -> PeakEwma:
    """An estimate that has seen ``rtt_s`` often enough to be one, and to last ``TAU_S``."""
    estimate = PeakEwma()
    for wait_s in (2.0, 0.0):
        estimate.observe(rtt_s, now - wait_s)
    for _ in range(TRIALS):
        estimate.observe(rtt_s, now)
    return estimate


def test_unknown_until_enough_answers() -> None:
    estimate = PeakEwma()
    for _ in range(TRIALS):
        assert estimate.value(0.0) == 0.0
        estimate.observe(0.02, 0.0)
    assert estimate.value(0.0) == 0.02


def test_jumps_up_at_once() -> None:
    estimate = trusted(0.010)
    estimate.observe(0.500, 1.0)
    assert estimate.value(1.0) == 0.500


def test_sinks_slowly_with_good_answers() -> None:
    estimate = trusted(0.500)
    for n in range(100):
        estimate.observe(0.400, n / 100)
    assert 0.485 < estimate.value(1.0) < 0.495


def test_confirmed_slowness_decays_with_tau() -> None:
    estimate = trusted(0.500)
    assert estimate.value(TAU_S) == approx(0.500 * exp(-1))


def test_a_single_hiccup_is_forgiven_in_seconds() -> None:
    """3 ms for long, then ten requests of 500 ms at about the same time, then no answers at all."""
    estimate = trusted(0.003)
    for n in range(10):
        estimate.observe(0.500, 1.0 + n / 100)
    assert estimate.value(1.1) > 0.450
    assert estimate.value(1.1 + 5 * DOUBT_S) < 0.004


def test_slow_again_when_tried_again_is_believed() -> None:
    estimate, now, waits = PeakEwma(), 0.0, []
    for _ in range(TRIALS):
        estimate.observe(0.500, now)
    for _ in range(3):
        tried_at = now
        while estimate.value(now) > 0.1:
            now += 0.01
        waits.append(now - tried_at)
        estimate.observe(0.500, now)
    assert waits == approx([DOUBT_S * 1.609, TAU_S * 1.609, TAU_S * 1.609], rel=0.01)


def test_good_answers_make_the_next_bad_one_doubtful_again() -> None:
    estimate = trusted(0.500)
    for n in range(2000):
        estimate.observe(0.010, n / 50)
    estimate.observe(0.500, 40.0)
    assert estimate.value(40.0 + DOUBT_S) == approx(0.500 * exp(-1))


def test_forgotten_after_long_silence_and_learnt_anew() -> None:
    estimate = trusted(0.500)
    assert estimate.value(FORGET_S + 1) == 0.0
    estimate.observe(0.010, FORGET_S + 1)
    assert estimate.value(FORGET_S + 1) == 0.0
    for _ in range(TRIALS):
        estimate.observe(0.010, FORGET_S + 1)
    assert estimate.value(FORGET_S + 1) == 0.010


def test_failing_fast_is_not_being_fast() -> None:
    estimate = PeakEwma()
    for _ in range(TRIALS):
        estimate.observe_failure(0.001, 0.0)
    assert estimate.value(0.0) == FAILURE_S
    estimate.observe_failure(30.0, 0.0)
    assert estimate.value(0.0) == 30.0


def test_a_step_back_of_the_clock_is_harmless() -> None:
    estimate = trusted(0.050, now=100.0)
    estimate.observe(0.020, 40.0)
    assert estimate.value(40.0) == 0.050 and estimate.value(100.0) == 0.050


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 30.0)), min_size=TRIALS))
def test_never_above_the_worst_seen_and_never_zero_while_known(answers: list[tuple[float, float]]) -> None:
    estimate, now = PeakEwma(), 0.0
    for rtt_s, wait_s in answers:
        now += wait_s
        estimate.observe(rtt_s, now)
        assert 0.0 <= estimate.value(now) <= max(rtt for rtt, _ in answers) + 1e-6
    assert estimate.value(now + 1.0) <= estimate.value(now)
