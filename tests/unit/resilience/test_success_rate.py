"""One that fails more often than the others gets a trickle within seconds, and its share again when it is well."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.success_rate import LEAST, MOST_CUT, SuccessRates

EXCESS = 0.05
WITHIN_S, FAIR_AGAIN_S = 10, 60


class Pool:
    """Requests as a policy that is fair deals them out, a second at a time, of which each member fails its part."""

    def __init__(self, rates: list[float], per_second: int, seed: int) -> None:
        self.rates = rates
        self.trust = SuccessRates(len(rates), EXCESS)
        self._per_second = per_second
        self._chance = Random(seed)

    def second(self) -> list[float]:
        """Of the requests, each member's part."""
        whole = [i for i, share in enumerate(self.trust.shares) if share == 1.0]
        counts = [0] * len(self.rates)
        for _ in range(self._per_second):
            i = self._chance.randrange(len(self.rates))
            if self._chance.random() >= self.trust.shares[i] and whole:
                i = self._chance.choice(whole)
            counts[i] += 1
        failures = [
            sum(self._chance.random() < rate for _ in range(n)) for n, rate in zip(counts, self.rates, strict=True)
        ]
        self.trust.look(list(zip(counts, failures, strict=True)))
        return [count / self._per_second for count in counts]

    def mean(self, i: int, seconds: int) -> float:
        return sum(self.second()[i] for _ in range(seconds)) / seconds


@pytest.mark.parametrize("members", [2, 4, 10])
@pytest.mark.parametrize("per_second", [100, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_one_of_five_requests_fails_below_five_percent_in_ten_seconds_and_fair_in_sixty(
    members: int, per_second: int, seed: int
) -> None:
    pool = Pool([0.2] + [0.001] * (members - 1), per_second, seed)
    for _ in range(WITHIN_S):
        pool.second()
    assert pool.mean(0, 30) < 0.05
    pool.rates[0] = 0.001
    for _ in range(FAIR_AGAIN_S):
        pool.second()
    assert pool.mean(0, 10) > 0.8 / members


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_where_all_fail_alike_nobody_gets_less_for_long(rate: float) -> None:
    pool = Pool([rate] * 4, 500, 3)
    parts = [pool.second() for _ in range(60)]
    for i in range(4):
        assert sum(part[i] for part in parts[10:]) / 50 > 0.2


def test_more_than_half_are_never_cut() -> None:
    pool = Pool([0.3, 0.3, 0.3, 0.0], 400, 1)
    for _ in range(60):
        pool.second()
        assert sum(share < 1.0 for share in pool.trust.shares) <= MOST_CUT * 4


def test_a_single_failure_is_chance() -> None:
    rates = SuccessRates(3, EXCESS)
    rates.look([(3, 1), (3, 0), (3, 0)])
    assert rates.shares == [1.0] * 3


def test_nobody_to_compare_with_is_no_outlier() -> None:
    rates = SuccessRates(2, EXCESS)
    for _ in range(20):
        rates.look([(50, 25), (0, 0)])
    assert rates.shares == [1.0, 1.0]


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=2 * 40), st.floats(0.0, 0.99)
)
def test_shares_stay_within_their_bounds(looks: list[tuple[int, int]], excess: float) -> None:
    rates = SuccessRates(2, excess)
    for one, other in zip(looks[::2], looks[1::2], strict=False):
        rates.look([(max(one), min(one)), (max(other), min(other))])
        assert all(LEAST <= share <= 1.0 for share in rates.shares) and 1.0 in rates.shares
