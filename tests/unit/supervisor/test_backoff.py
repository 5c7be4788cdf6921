from __future__ import annotations

from lb.supervisor.backoff import LONGEST_DELAY_S, YOUNG_S, Backoff


def test_the_first_death_of_one_that_served_costs_nothing() -> None:
    assert Backoff().after_death(0.5, was_serving=True).delay_s == 0.0


def test_one_that_never_served_waits_from_its_first_death() -> None:
    assert Backoff().after_death(0.5, was_serving=False).delay_s == 0.1


def test_the_wait_doubles_up_to_its_limit() -> None:
    backoff, delays = Backoff(), []
    for _ in range(9):
        backoff = backoff.after_death(0.1, was_serving=False)
        delays.append(backoff.delay_s)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_it_never_grows_beyond_the_limit_or_overflows() -> None:
    assert Backoff(10_000).delay_s == LONGEST_DELAY_S


def test_a_long_life_forgives_everything() -> None:
    assert Backoff(7).after_death(YOUNG_S, was_serving=True) == Backoff()


def test_one_that_serves_and_dies_again_and_again_waits_too() -> None:
    backoff = Backoff()
    for _ in range(3):
        backoff = backoff.after_death(1.0, was_serving=True)
    assert backoff.delay_s == 0.2
