"""How the policies behave over time. Seeded, on a virtual clock: the figures are the same on every machine."""

from __future__ import annotations

import random

import pytest

from tests.unit.policies.simulation import Result, Service, Simulation, exponential

ONE_SLOW_OF_FOUR = exponential(0.02, 0.02, 0.02, 0.2)


def one_slow_of_four(policy: str, *, workers: int = 1, seed: int = 1) -> Result:
    """1,000 requests a second over four backends of 8 slots, 20 ms each, one of them 200 ms. Without the slow
    one, and without a queue anywhere, p99 is 92 ms and p99.9 is 138 ms."""
    simulation = Simulation(policy, ONE_SLOW_OF_FOUR, backends=4, workers=workers, seed=seed)
    return simulation.run(rate_per_s=1000, seconds=12)


@pytest.mark.parametrize("policy", ["peak_ewma", "least_response_time"])
@pytest.mark.parametrize(("workers", "seed"), [(1, 1), (2, 2), (4, 3)])
def test_those_that_measure_keep_away_from_the_slow_one(policy: str, workers: int, seed: int) -> None:
    result = one_slow_of_four(policy, workers=workers, seed=seed)
    assert result.percentile_ms(0.99) < 130
    assert result.percentile_ms(0.999) < 600
    assert result.share(3) < 0.015


def test_the_others_in_comparison() -> None:
    p99 = {name: one_slow_of_four(name).percentile_ms(0.99) for name in ("power_of_two", "least_connections")}
    assert 250 < p99["power_of_two"] < 500 and 250 < p99["least_connections"] < 500
    assert one_slow_of_four("round_robin").percentile_ms(0.99) > 5000


def jittery(*mean_s: float) -> Service:
    """Log-normal around ``mean_s[i]``: what quick handlers look like."""
    return lambda chance, i, t: mean_s[i] * chance.lognormvariate(0.0, 0.3)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("service", "backends", "rate_per_s"),
    [
        (exponential(*[0.02] * 4), 4, 1000),
        (exponential(*[0.02] * 3), 3, 100),
        (jittery(0.002, 0.002), 2, 200),
        (jittery(0.0010, 0.0011, 0.0012), 3, 300),
        (exponential(*[0.02] * 10), 10, 1000),
    ],
    ids=["busy", "calm", "pair", "10 % apart", "ten"],
)
@pytest.mark.parametrize("policy", ["peak_ewma", "least_response_time"])
def test_those_that_measure_are_fair_among_equals(
    policy: str, service: Service, backends: int, rate_per_s: float, workers: int
) -> None:
    """At least half of the fair share for everybody in every five seconds, the first ones included."""
    result = Simulation(policy, service, backends=backends, workers=workers).run(rate_per_s=rate_per_s, seconds=15)
    assert result.smallest_share(backends, window_s=5) > 0.5


def hiccup(chance: random.Random, i: int, t: float) -> float:
    """2 ms, but the first backend stands still for 200 ms once, at 5 s."""
    return 0.2 if i == 0 and 5.0 < t < 5.02 else 0.002 * chance.lognormvariate(0.0, 0.3)


@pytest.mark.parametrize("policy", ["peak_ewma", "least_response_time"])
def test_a_hiccup_does_not_cost_a_backend_its_share_for_long(policy: str) -> None:
    result = Simulation(policy, hiccup, backends=3).run(rate_per_s=300, seconds=30)
    assert result.smallest_share(3, window_s=10) > 0.5


def recovering(chance: random.Random, i: int, t: float) -> float:
    """The first backend is slow for 20 s, then as good as the others."""
    return chance.expovariate(1 / (0.3 if i == 0 and t < 20 else 0.01))


@pytest.mark.parametrize("policy", ["peak_ewma", "least_response_time"])
def test_a_backend_that_recovers_is_found_again(policy: str) -> None:
    result = Simulation(policy, recovering, backends=4).run(rate_per_s=300, seconds=60)
    before = [i for at_s, i in result.arrivals if 5 < at_s < 20]
    after = [i for at_s, i in result.arrivals if at_s > 50]
    assert before.count(0) / len(before) < 0.02
    assert after.count(0) / len(after) > 0.5 / 4


def cold(chance: random.Random, i: int, t: float) -> float:
    """Every backend's first half second is slow, one's much more so."""
    return (1.0 if i == 0 else 0.05) if t < 0.02 else 0.002 * chance.lognormvariate(0.0, 0.3)


def test_a_cold_start_is_forgiven() -> None:
    result = Simulation("peak_ewma", cold, backends=3).run(rate_per_s=200, seconds=30)
    assert result.smallest_share(3, window_s=10) > 0.35
    assert Result(result.arrivals[2000:]).smallest_share(3, window_s=10) > 0.5


def hanging(chance: random.Random, i: int, t: float) -> float:
    """The first backend takes requests from 5 s on and does not answer them."""
    return 100.0 if i == 0 and t > 5 else chance.expovariate(1 / 0.02)


@pytest.mark.parametrize("policy", ["peak_ewma", "least_response_time"])
def test_a_backend_that_hangs_gets_a_bounded_number_of_requests(policy: str) -> None:
    result = Simulation(policy, hanging, backends=4).run(rate_per_s=1000, seconds=15)
    stuck = sum(i == 0 and at_s > 5 for at_s, i in result.arrivals)
    assert stuck < 300, "of 10,000"


@pytest.mark.parametrize("policy", ["power_of_two", "least_connections", "least_response_time", "adaptive"])
def test_equals_share_equally_under_load(policy: str) -> None:
    result = Simulation(policy, exponential(*[0.02] * 4), backends=4).run(rate_per_s=1000, seconds=10)
    assert result.smallest_share(4, window_s=2) > 0.8
