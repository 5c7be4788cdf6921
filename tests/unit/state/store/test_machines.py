"""What machines say of themselves, and how their configurations are told apart."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, Pool, Sticky
from lb.state.store.machines import FIELDS, Machine, differences, digest, from_fields, to_fields

A = Backend("a", host="127.0.0.1", port=1)
B = Backend("b", host="127.0.0.1", port=2)
OURS = Machine("here", "1", 3, 2, {"web": "w", "api": "x"})


@given(st.text(min_size=1), st.integers(0, 2**40), st.integers(1, 512), st.dictionaries(st.text(), st.text()))
def test_what_is_said_is_what_is_heard(version: str, generation: int, workers: int, pools: dict[str, str]) -> None:
    machine = Machine("m", version, generation, workers, pools)
    said = to_fields(machine)
    assert from_fields("m", [said[field] for field in FIELDS]) == machine


@given(st.dictionaries(st.sampled_from(("version", "generation", "workers", "pools")), st.text()))
def test_junk_is_nobody(fields: dict[str, str]) -> None:
    heard = from_fields("m", [fields.get(field) for field in FIELDS])
    assert heard is None or isinstance(heard.generation, int)


def test_what_operators_change_is_no_difference_and_members_are() -> None:
    pool = Pool("web", (A, B))
    assert digest(pool) == digest(Pool("web", (B, replace(A, weight=9, state="drain"))))
    others = (Pool("web", (A,)), Pool("web", (A, replace(B, port=3))), Pool("web", (A, B), policy="random"))
    assert len({digest(pool), *map(digest, others)}) == 4


def test_machines_with_different_sticky_keys_differ_and_no_key_is_told() -> None:
    keys = [("0123456789abcdef",), ("fedcba9876543210",), ()]
    pools = [Pool("web", (A, B)), *(Pool("web", (A, B), sticky=Sticky("lb", one)) for one in keys)]
    assert len(set(map(digest, pools))) == 4
    assert digest(pools[1]) == digest(Pool("web", (B, A), sticky=Sticky("lb", keys[0])))


def test_each_machine_that_differs_is_named_with_its_pools() -> None:
    others = {
        "same": replace(OURS, name="same"),
        "far": replace(OURS, name="far", pools={"web": "other", "more": "m"}),
    }
    assert differences(OURS, others) == (
        "machine far has other pools (missing there: api, missing here: more, different: web)",
    )
