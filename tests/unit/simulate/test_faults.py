"""When faults are on, and that an antagonist is the same one for everybody who asks."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from lb.simulate.backend import Outcome, SimulatedBackend
from lb.simulate.faults import Antagonist, Antagonists, Fault, Troubles
from lb.simulate.scenario import Behaviour
from lb.simulate.service import Constant

AGAIN = Fault(at_s=10.0, lasts_s=3.0, every_s=20.0, is_down=True)


@pytest.mark.parametrize(
    ("t", "is_on", "next_beginning", "last_end"),
    [(0.0, False, 10.0, 0.0), (10.0, True, 30.0, 0.0), (12.9, True, 30.0, 0.0), (13.0, False, 30.0, 13.0),
     (29.9, False, 30.0, 13.0), (31.0, True, 50.0, 13.0), (33.5, False, 50.0, 33.0)],
)  # fmt: skip
def test_a_fault_that_comes_again(t: float, is_on: bool, next_beginning: float, last_end: float) -> None:
    assert AGAIN.is_on(t) is is_on
    assert AGAIN.next_beginning(t) == next_beginning
    assert AGAIN.last_end(t) == last_end


def test_a_fault_for_ever() -> None:
    fault = Fault(at_s=5.0, slow=3.0)
    assert [fault.is_on(t) for t in (4.9, 5.0, 1e9)] == [False, True, True]
    assert fault.next_beginning(6.0) == inf
    assert [Troubles([fault], None).slow(t) for t in (4.9, 5.0)] == [1.0, 3.0]


def test_an_antagonist_is_there_as_often_as_it_should() -> None:
    kind = Antagonists(slow=2.0, lasts_s=2.0, every_s=10.0)
    antagonist = Antagonist(kind, Random(1))
    slow = [antagonist.slow(second / 10) for second in range(500_000)]
    assert set(slow) == {1.0, 2.0}
    assert slow.count(2.0) / len(slow) == pytest.approx(0.2, rel=0.05)
    backwards = Antagonist(kind, Random(1))
    assert [backwards.slow(second / 10) for second in reversed(range(500_000))] == slow[::-1]


def test_a_backend_loses_its_work_and_begins_anew() -> None:
    """Two slots, 4 s a request; down from 10 to 13 s."""
    backend = SimulatedBackend(Behaviour("g", Constant(4.0), slots=2, faults=(AGAIN,)), Random(1), None)
    assert backend.take(5.0) == (9.0, Outcome.ANSWERED)
    assert backend.take(5.0) == (9.0, Outcome.ANSWERED)
    assert backend.take(5.0) == (10.0, Outcome.RESET), "it would have waited until 9 and ended at 13"
    assert backend.take(10.0) == (10.0, Outcome.REFUSED)
    assert backend.take(13.0) == (17.0, Outcome.ANSWERED)
    assert backend.busy_s == 4.0 + 4.0 + 1.0 + 4.0
