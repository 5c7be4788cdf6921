from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.resilience.hysteresis import Hysteresis, Verdict
from lb.state import layout


def changes(hysteresis: Hysteresis, probes: str) -> str:
    """The verdict's initial after each probe; ``+`` is a good one, ``-`` a bad one."""
    verdicts = ""
    for probe in probes:
        hysteresis.observe(probe == "+")
        verdicts += hysteresis.verdict.name[0]
    return verdicts


def test_the_numbers_are_those_of_the_shared_segment() -> None:
    assert [Verdict.UNKNOWN, Verdict.UP, Verdict.DOWN] == [layout.UNKNOWN, layout.UP, layout.DOWN]


def test_at_boot_one_good_probe_is_enough() -> None:
    hysteresis = Hysteresis(rise=5, fall=3)
    assert hysteresis.observe(True) and hysteresis.verdict is Verdict.UP


def test_at_boot_one_bad_probe_is_down() -> None:
    hysteresis = Hysteresis(rise=2, fall=3)
    assert hysteresis.observe(False) and hysteresis.verdict is Verdict.DOWN


def test_falls_and_rises_after_so_many_in_a_row() -> None:
    assert changes(Hysteresis(rise=2, fall=3), "+---++-") == "UUUDDUU"


def test_one_that_agrees_starts_the_count_again() -> None:
    assert changes(Hysteresis(rise=2, fall=3), "+--+--+---") == "UUUUUUUUUD"


def test_flapping_does_not_show() -> None:
    hysteresis = Hysteresis(rise=2, fall=3)
    hysteresis.observe(True)
    assert not any(hysteresis.observe(probe == "+") for probe in "-+-+--+--+-+" * 20)


def test_a_verdict_that_outlived_its_controller_is_taken_over() -> None:
    assert changes(Hysteresis(rise=2, fall=3, verdict=Verdict.UP), "--+---") == "UUUUUD"


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_changes_are_told_and_need_their_row(results: list[bool], rise: int, fall: int) -> None:
    hysteresis, run = Hysteresis(rise, fall), 0
    for number, ok in enumerate(results):
        before = hysteresis.verdict
        run = run + 1 if number and results[number - 1] == ok else 1
        assert hysteresis.observe(ok) == (hysteresis.verdict is not before)
        if hysteresis.verdict is not before:
            assert hysteresis.verdict is (Verdict.UP if ok else Verdict.DOWN)
            assert number == 0 or run >= (rise if ok else fall)
