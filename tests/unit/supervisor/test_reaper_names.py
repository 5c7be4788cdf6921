"""How a process ended, whatever ended it."""

import signal

import pytest

from lb.supervisor.reaper import describe, signal_name


@pytest.mark.parametrize("number", range(1, signal.NSIG))
def test_every_signal_has_words(number: int) -> None:
    assert signal_name(number)
    assert describe(number) == signal_name(number)


def test_real_time_signals_go_by_number() -> None:
    assert signal_name(40) == "signal 40"
