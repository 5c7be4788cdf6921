from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.budget import WINDOW_S, RetryBudget


def withdrawn(budget: RetryBudget, times: int, now: float) -> int:
    return sum(budget.withdraw(now) for _ in range(times))


def test_a_share_of_the_requests_and_a_floor() -> None:
    budget = RetryBudget(percent=20.0, min_per_s=3.0)
    for _ in range(1000):
        budget.request(now=100.0)
    assert withdrawn(budget, 500, now=100.5) == 200 + 3 * WINDOW_S


def test_the_floor_alone_lets_a_quiet_pool_retry() -> None:
    assert withdrawn(RetryBudget(percent=20.0, min_per_s=0.5), 10, now=5.0) == 5


def test_zero_is_never() -> None:
    budget = RetryBudget(percent=0.0, min_per_s=0.0)
    budget.request(now=1.0)
    assert not budget.withdraw(now=1.0)


def test_requests_and_retries_leave_the_window() -> None:
    budget = RetryBudget(percent=10.0, min_per_s=0.0)
    for _ in range(100):
        budget.request(now=0.0)
    assert withdrawn(budget, 4, now=9.9) == 4
    assert not budget.withdraw(now=10.0), "the requests are gone, and so are the retries they paid for"
    for _ in range(100):
        budget.request(now=30.0)
    assert withdrawn(budget, 100, now=30.0) == 10


def test_a_long_pause_empties_everything() -> None:
    budget = RetryBudget(percent=100.0, min_per_s=0.0)
    for now in range(30):
        budget.request(float(now))
    assert budget.balance(29.0) == WINDOW_S
    assert budget.balance(1e9) == 0.0


def test_a_clock_that_steps_back_changes_nothing() -> None:
    budget = RetryBudget(percent=50.0, min_per_s=0.0)
    for _ in range(10):
        budget.request(now=100.0)
    assert withdrawn(budget, 10, now=3.0) == 5
    assert not budget.withdraw(now=100.0)


def test_an_outage_costs_a_fifth_more_and_the_floor() -> None:
    """Every request fails and asks for a retry, 200 a second for a minute."""
    budget, chance = RetryBudget(percent=20.0, min_per_s=3.0), random.Random(7)
    now, retries = 0.0, 0
    for _ in range(12_000):
        now += chance.expovariate(200.0)
        budget.request(now)
        retries += budget.withdraw(now)
    assert 0.17 * 12_000 < retries <= 0.20 * 12_000 + 3.0 * (now + WINDOW_S)


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 15.0), st.booleans()), max_size=200),
    percent=st.floats(0.0, 100.0),
    min_per_s=st.floats(0.0, 5.0),
)
def test_the_running_sums_are_those_of_the_window(
    steps: list[tuple[float, bool]], percent: float, min_per_s: float
) -> None:
    budget, now = RetryBudget(percent, min_per_s), 0.0
    requests: list[int] = []
    retries: list[int] = []
    for wait_s, is_retry in steps:
        now += wait_s
        if not is_retry:
            budget.request(now)
            requests.append(int(now))
        elif budget.withdraw(now):
            retries.append(int(now))
        start = int(now) - WINDOW_S
        live = [sum(second > start for second in seconds) for seconds in (requests, retries)]
        assert abs(budget.balance(now) - (percent / 100 * live[0] + min_per_s * WINDOW_S - live[1])) < 1e-6


def test_the_floor_is_not_handed_out_twice_in_one_window() -> None:
    budget = RetryBudget(percent=0.0, min_per_s=2.0)
    given_at = [tenth / 10 for tenth in range(1000) if budget.withdraw(tenth / 10)]
    for start in range(90):
        assert sum(start <= at < start + WINDOW_S for at in given_at) <= 2 * WINDOW_S
