"""The simulator against queues whose behaviour is known by formula."""

from __future__ import annotations

from math import factorial, log
from pathlib import Path

import pytest

from tests.unit.simulate.scenarios import result

ONE = """
arrivals: {{load: {load}%}}
requests: {requests}
policies: [round_robin]
backends: {{only: {{slots: {slots}, service: {{exponential: 10ms}}}}}}
"""
MEAN_MS = 10.0
LONG = 150_000
"""At a high load the mean of fewer is too far off: 1.4 % is one standard deviation at 70 %."""


def erlang_c(slots: int, offered: float) -> float:
    """Chance that a request has to wait (M/M/c; L. Kleinrock, Queueing Systems I, 3.5)."""
    waiting = offered**slots / factorial(slots) * slots / (slots - offered)
    return waiting / (sum(offered**k / factorial(k) for k in range(slots)) + waiting)


@pytest.mark.parametrize(("load", "requests"), [(30, 40_000), (50, 60_000), (70, LONG)])
def test_one_server(tmp_path: Path, load: int, requests: int) -> None:
    """M/M/1: the time in the system is exponential, with mean 1 / (mu - lambda)."""
    seen = result(tmp_path, ONE.format(load=load, slots=1, requests=requests))
    mean_ms = MEAN_MS / (1 - load / 100)
    assert seen.mean_ms == pytest.approx(mean_ms, rel=0.05)
    assert seen.percentile_ms(50.0) == pytest.approx(mean_ms * log(2), rel=0.05)
    assert seen.percentile_ms(99.0) == pytest.approx(mean_ms * log(100), rel=0.1)
    assert seen.backends[0].busy == pytest.approx(load / 100, rel=0.02)


@pytest.mark.parametrize(("slots", "load"), [(2, 80), (4, 70), (8, 90)])
def test_several_servers(tmp_path: Path, slots: int, load: int) -> None:
    """M/M/c by Erlang's formula."""
    seen = result(tmp_path, ONE.format(load=load, slots=slots, requests=LONG))
    wait_ms = erlang_c(slots, slots * load / 100) * MEAN_MS / (slots * (1 - load / 100))
    assert seen.mean_ms == pytest.approx(MEAN_MS + wait_ms, rel=0.05)


def test_constant_work_waits_half_as_long(tmp_path: Path) -> None:
    """M/D/1 (Pollaczek and Khinchine): half of the waiting time of M/M/1."""
    text = ONE.format(load=70, slots=1, requests=LONG).replace("exponential", "constant")
    assert result(tmp_path, text).mean_ms == pytest.approx(MEAN_MS + 0.5 * MEAN_MS * 0.7 / 0.3, rel=0.05)


def test_random_choice_is_as_many_queues_of_their_own(tmp_path: Path) -> None:
    """A Poisson stream that is split at random is Poisson streams: M/M/1 each."""
    text = (
        ONE.format(load=70, slots=1, requests=LONG)
        .replace("round_robin", "random")
        .replace("{slots", "{count: 4, slots")
    )
    assert result(tmp_path, text).mean_ms == pytest.approx(MEAN_MS / 0.3, rel=0.05)
