from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, Pool
from lb.state.store.order import Known, Step, digest, moved, read_news, step
from lb.structs import replace

POOL = Pool("web", tuple(Backend(f"b{i}", host="h", port=i + 1) for i in range(3)))


@pytest.mark.parametrize(
    ("begin", "cursor", "known", "expected"),
    [
        (7, 7, Known(), Step.REST),
        (7, 9, Known(), Step.PUSH),
        (7, 10, Known(), Step.FORGET),
        (7, 7, Known(1, 100), Step.REST),
        (7, 9, Known(1, 100), Step.PUSH),
        (7, 5, Known(1, 100), Step.PUSH),
        (7, 13, Known(1, 100), Step.FORGET),
        (7, 7, Known(1, 101), Step.MOVE),
        (7, 9, Known(1, 101), Step.REST),
        (7, 10, Known(1, 101), Step.MOVE),
        (7, 4, Known(1, 101), Step.MOVE),
    ],
)
def test_what_a_machine_does_now(begin: int, cursor: int, known: Known, expected: Step) -> None:
    assert step(begin, cursor, 3, known) is expected


@given(st.integers(0, 10**9), st.integers(1, 1000), st.integers(0, 10**9))
def test_it_moves_to_the_phase_of_the_order_and_never_back(cursor: int, cycle: int, ticket: int) -> None:
    there = moved(cursor, cycle, Known(1, ticket))
    assert cursor <= there < cursor + cycle and (there - ticket) % cycle == 0
    assert step(there, there, cycle, Known(1, ticket)) is Step.REST


@pytest.mark.parametrize(
    "change",
    [{"id": "x"}, {"host": "elsewhere"}, {"port": 9}, {"state": "drain"}, {"backup": True}],
    ids=lambda change: next(iter(change)),
)
def test_other_members_are_another_order(change: dict[str, object]) -> None:
    first, *others = POOL.backends
    other = replace(POOL, backends=(replace(first, **change), *others))  # type: ignore[arg-type]
    assert digest(other, "round_robin", 3) != digest(POOL, "round_robin", 3)


def test_weights_and_cycle_count_where_the_order_depends_on_them() -> None:
    first, *others = POOL.backends
    heavier = replace(POOL, backends=(replace(first, weight=5), *others))
    assert digest(heavier, "round_robin", 3) == digest(POOL, "round_robin", 3)
    assert digest(heavier, "weighted_round_robin", 3) != digest(POOL, "weighted_round_robin", 3)
    assert digest(POOL, "round_robin", 2) != digest(POOL, "round_robin", 3)
    backwards = replace(POOL, backends=POOL.backends[::-1])
    assert digest(backwards, "round_robin", 3) != digest(POOL, "round_robin", 3)


def test_news() -> None:
    assert read_news(["a", "1", "2", "b", "3", "4"]) == [("a", Known(1, 2)), ("b", Known(3, 4))]
    assert read_news([]) == []


@pytest.mark.parametrize("text", ["a", "a 1", "a 1 x", "a -1 2", "a 1 2 b", "a 1 " + "9" * 15, "a 1 ²", "a  1"])
def test_junk_is_no_news(text: str) -> None:
    with pytest.raises(ValueError):
        read_news(text.split(" "))
