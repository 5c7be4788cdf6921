from __future__ import annotations

from lb.server.missed import FIRST_RETRY_S, LONGEST_RETRY_S, Missed


def test_nothing_was_missed_at_first() -> None:
    assert not Missed().is_to_wait(1, 0.0)


def test_the_wait_doubles_up_to_a_bound() -> None:
    missed, waits = Missed(), []
    for _ in range(40):
        missed = missed.once_more(7, 100.0)
        waits.append(missed.retry_at - 100.0)
    assert [round(wait / FIRST_RETRY_S) for wait in waits[:4]] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_RETRY_S
    assert missed.is_to_wait(7, 100.0 + LONGEST_RETRY_S - 0.1)
    assert not missed.is_to_wait(7, 100.0 + LONGEST_RETRY_S)


def test_another_generation_begins_anew() -> None:
    missed = Missed().once_more(7, 0.0).once_more(7, 0.0)
    assert not missed.is_to_wait(8, 0.0)
    assert missed.once_more(8, 0.0) == Missed(8, 1, FIRST_RETRY_S)
