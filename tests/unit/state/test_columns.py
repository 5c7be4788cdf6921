from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, Config, Pool, Route, State
from lb.state.columns import allocate, column_names


def test_names_in_a_fixed_order_each_once() -> None:
    pools = (Pool("web", (Backend("a"), Backend("b"))), Pool("api", (Backend("a"),)))
    routes = (Route("r1", "pool", pool="web"), Route("r2", "respond"))
    config = Config("lb.yaml", (), pools, routes, State("/nowhere"))
    assert column_names(config, ("random", "ip_hash")) == [
        "worker", "algo:random", "algo:ip_hash",
        "pool:web", "backend:web/a", "backend:web/b", "pool:api", "backend:api/a",
        "route:r1", "route:r2", "route:(unrouted)", "route:(status)",
    ]  # fmt: skip


def test_known_names_keep_their_number_and_new_ones_fill_the_gaps_first() -> None:
    columns = allocate(["a", "new1", "b", "new2", "new3"], kept={"a": 4, "b": 0, "gone": 2}, free=[1, 3], unused=6)
    assert columns == {"a": 4, "new1": 1, "b": 0, "new2": 3, "new3": 6}


def test_new_numbers_are_behind_all_kept_ones_even_if_the_segment_is_new() -> None:
    assert allocate(["a", "b"], kept={"a": 9}, free=[], unused=0) == {"a": 9, "b": 10}


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.dictionaries(st.sampled_from("abcdxyz"), st.integers(0, 20)),
    st.lists(st.integers(0, 20), unique=True),
    st.integers(0, 25),
)
def test_no_number_is_given_twice(names: list[str], kept: dict[str, int], free: list[int], unused: int) -> None:
    kept = {name: number for name, number in kept.items() if list(kept.values()).count(number) == 1}
    free = [number for number in free if number not in kept.values() and number < unused]
    columns = allocate(names, kept=kept, free=free, unused=unused)
    assert list(columns) == names and len(set(columns.values())) == len(names)
    assert all(columns[name] == kept[name] for name in names if name in kept)
    assert all(columns[name] not in kept.values() for name in names if name not in kept)
