"""Ejection for errors in a row: longer each time, up to a bound; a success ends the run, only time the count of ejections."""

from __future__ import annotations

from lb.resilience.outlier import BASE_EJECTION_S, CONSECUTIVE_ERRORS, MAX_EJECTION_S, ConsecutiveErrors


def ejection_s(errors: ConsecutiveErrors, now: float = 0.0) -> float:
    """Of one run of errors; none of them but the last ejects."""
    said = [errors.failure(now) for _ in range(CONSECUTIVE_ERRORS)]
    assert said[:-1] == [0.0] * (CONSECUTIVE_ERRORS - 1)
    return said[-1]


def test_each_time_longer_up_to_a_bound() -> None:
    errors, now = ConsecutiveErrors(), 1000.0
    for n in range(1, 13):
        ejected_s = ejection_s(errors, now)
        assert ejected_s == min(BASE_EJECTION_S * n, MAX_EJECTION_S)
        now += ejected_s + MAX_EJECTION_S - 1


def test_who_was_well_for_long_starts_anew() -> None:
    errors = ConsecutiveErrors()
    assert [ejection_s(errors) for _ in range(3)][-1] == 3 * BASE_EJECTION_S
    assert ejection_s(errors, 3 * BASE_EJECTION_S + MAX_EJECTION_S) == BASE_EJECTION_S


def test_a_success_in_between_starts_the_run_again() -> None:
    errors = ConsecutiveErrors()
    for _ in range(20):
        assert [errors.failure(0.0) for _ in range(CONSECUTIVE_ERRORS - 1)] == [0.0] * (CONSECUTIVE_ERRORS - 1)
        errors.success()
