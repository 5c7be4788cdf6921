from __future__ import annotations

import logging

import gevent
import pytest
from gevent.event import Event

from lb.controller.periodic import Periodic


class Rounds:
    """Counts them; ``until`` lets the greenlets run."""

    def __init__(self, delay_s: float) -> None:
        self.count = 0
        self.delay_s = delay_s
        self._counted = Event()

    def __call__(self) -> float:
        self.count += 1
        self._counted.set()
        if self.delay_s < 0:
            raise RuntimeError("a mistake in a loop")
        return self.delay_s

    def until(self, count: int) -> None:
        with gevent.Timeout(5):
            while self.count < count:
                self._counted.clear()
                self._counted.wait()


def test_it_goes_round_until_stopped() -> None:
    rounds = Rounds(0.001)
    loop = Periodic("test", rounds)
    loop.start()
    loop.start()
    rounds.until(3)
    loop.stop()
    stopped_at = rounds.count
    gevent.sleep(0.01)
    assert rounds.count == stopped_at
    loop.stop()


def test_it_can_be_woken_early() -> None:
    rounds = Rounds(600.0)
    loop = Periodic("test", rounds)
    loop.start()
    for count in (1, 2, 3):
        rounds.until(count)
        loop.wake()
    rounds.until(4)
    loop.stop()


def test_woken_during_a_round_it_does_one_more() -> None:
    rounds = Rounds(600.0)
    loop = Periodic("test", lambda: (loop.wake() if rounds.count < 2 else None, rounds())[1])
    loop.start()
    rounds.until(3)
    loop.stop()


def test_a_mistake_is_logged_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(-1.0)
    loop = Periodic("test", rounds)
    with caplog.at_level(logging.ERROR, "lb.controller"):
        loop.start()
        rounds.until(2)
        loop.stop()
    assert caplog.records[0].getMessage() == "loop test failed, next try in 1 s"
    assert "a mistake in a loop" in str(caplog.records[0].exc_info)
