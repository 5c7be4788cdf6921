from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.health.checker import Checker
from lb.model import Health
from lb.state.layout import DOWN, UNKNOWN, UP

HEALTH = Health("http", interval_s=2.0, rise=2, fall=3)


def verdicts(checker: Checker, results: str, *, every_s: float = 2.0, from_s: float = 100.0) -> str:
    """``+-`` for good and bad probes -> the verdict after each: ``U`` up, ``D`` down, ``?`` unknown."""
    letters = {UNKNOWN: "?", UP: "U", DOWN: "D"}
    said = ""
    for i, result in enumerate(results):
        checker.observe(result == "+", from_s + i * every_s)
        said += letters[checker.verdict]
    return said


def test_the_first_result_decides_alone() -> None:
    assert verdicts(Checker(HEALTH), "+") == "U"
    assert verdicts(Checker(HEALTH), "-") == "D"


def test_a_backend_that_is_only_starting_needs_one_good_probe() -> None:
    assert verdicts(Checker(HEALTH), "---+", every_s=0.5) == "DDDU"


def test_fall_and_rise() -> None:
    assert verdicts(Checker(HEALTH, UP), "--+---+-++") == "UUUUUDDDDU"


def test_a_restart_does_not_flap() -> None:
    assert verdicts(Checker(HEALTH, UP), "-") == "U"
    assert verdicts(Checker(HEALTH, DOWN), "+") == "D"
    assert verdicts(Checker(HEALTH, DOWN), "-") == "D"


@pytest.mark.parametrize(("nobody_is_up", "back"), [(True, True), (False, False)])
def test_an_outage_shorter_than_an_interval_ends_with_it_where_nobody_else_is_up(
    nobody_is_up: bool, back: bool
) -> None:
    checker = Checker(Health("http", interval_s=10.0, rise=2, fall=1), UP)
    assert checker.observe(False, 100.0)
    checker.observe(True, 100.5, lambda: nobody_is_up)
    assert checker.observe(True, 101.0, lambda: nobody_is_up) is back


def test_what_goes_down_again_is_held_for_its_interval_all_the_same() -> None:
    checker = Checker(Health("http", interval_s=10.0, rise=1, fall=1), DOWN)
    checker.observe(True, 100.0, lambda: True)
    assert not checker.observe(False, 101.0, lambda: True)


def test_at_most_one_change_per_interval() -> None:
    quick = Health("http", interval_s=2.0, rise=1, fall=1)
    assert verdicts(Checker(quick, UP), "-+-+-+-+-+", every_s=0.5) == "DDDDDUUUUU"


def test_a_change_that_had_to_wait_and_is_overtaken_never_happens() -> None:
    quick = Health("http", interval_s=10.0, rise=1, fall=2)
    assert verdicts(Checker(quick, DOWN), "+--+++", every_s=1.0) == "UUUUUU"


@given(st.lists(st.booleans(), max_size=200), st.sampled_from([UP, DOWN]))
def test_changes_are_as_far_apart_as_the_interval(results: list[bool], verdict: int) -> None:
    checker = Checker(HEALTH, verdict)
    changes = [i * 0.5 for i, ok in enumerate(results) if checker.observe(ok, i * 0.5) and checker.verdict == DOWN]
    assert all(later - earlier >= 1.8 * 2 for earlier, later in pairwise(changes))


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.integers(1, 5), st.integers(1, 5))
def test_with_time_enough_it_is_plain_hysteresis(results: list[bool], rise: int, fall: int) -> None:
    """An oracle in one sentence: down needs ``fall`` bad ones in a row, up ``rise`` good ones."""
    checker = Checker(Health("http", interval_s=1.0, rise=rise, fall=fall), UP)
    is_up, streak = True, 0
    for i, ok in enumerate(results):
        checker.observe(ok, float(i))
        streak = streak + 1 if ok != is_up else 0
        if streak == (fall if is_up else rise):
            is_up, streak = not is_up, 0
        assert checker.verdict == (UP if is_up else DOWN)


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_tenth(random: float) -> None:
    assert 1.8 <= Checker(HEALTH, UP).next_probe_s(random, is_out=False) <= 2.2


def test_what_is_out_is_probed_faster() -> None:
    slow, fast = Health("http", interval_s=30.0), Health("http", interval_s=0.2)
    assert Checker(slow, UP).next_probe_s(0.5, is_out=False) == 30.0
    assert Checker(slow, UP).next_probe_s(0.5, is_out=True) == 0.5
    assert Checker(slow, DOWN).next_probe_s(0.5, is_out=False) == 0.5
    assert Checker(fast, DOWN).next_probe_s(0.5, is_out=False) == 0.2
