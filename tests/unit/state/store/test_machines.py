"""What machines say of themselves, and how their configurations are told apart."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import (
    Backend,
    Config,
    HashKey,
    HashOptions,
    Health,
    Pool,
    ProbeScope,
    RateLimit,
    Route,
    State,
    Sticky,
    ZoneOptions,
)
from lb.state.store.machines import FIELDS, Machine, described, differences, digest, from_fields, to_fields
from lb.structs import replace

A = Backend("a", host="127.0.0.1", port=1)
B = Backend("b", host="127.0.0.1", port=2)
OURS = Machine("here", "1", 3, 2, {"web": "w", "api": "x"})


by_pool = st.dictionaries(st.text(), st.text())


@given(st.text(min_size=1), st.integers(0, 2**40), st.integers(1, 512), by_pool, by_pool, by_pool)
def test_what_is_said_is_what_is_heard(
    version: str, generation: int, workers: int, pools: dict[str, str], keys: dict[str, str], rates: dict[str, str]
) -> None:
    machine = Machine("m", version, generation, workers, pools, keys, rates)
    said = to_fields(machine)
    assert from_fields("m", [said[field] for field in FIELDS]) == machine


@given(st.dictionaries(st.sampled_from(FIELDS), st.text()))
def test_junk_is_nobody(fields: dict[str, str]) -> None:
    heard = from_fields("m", [fields.get(field) for field in FIELDS])
    assert heard is None or isinstance(heard.generation, int)


def test_what_operators_change_is_no_difference_and_members_are() -> None:
    pool = Pool("web", (A, B))
    assert digest(pool) == digest(Pool("web", (B, replace(A, weight=9, state="drain"))))
    others = (Pool("web", (A,)), Pool("web", (A, replace(B, port=3))), Pool("web", (A, B), policy="random"))
    assert len({digest(pool), *map(digest, others)}) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"hash": HashOptions(table="maglev")},
        {"hash": HashOptions(key=HashKey("path"))},
        {"hash": HashOptions(bounded_load=1.25)},
        {"geo_inner": "random"},
        {"subset": 1},
        {"overprovisioning": 1.4},
        {"zones": ZoneOptions(prefer=True)},
        {"health": Health(scope="cluster")},
    ],
    ids=str,
)
def test_whoever_would_send_a_request_elsewhere_has_another_pool(other: dict[str, Any]) -> None:
    pool = Pool("web", (A, B), policy="consistent_hash")
    assert digest(pool) != digest(replace(pool, **other))


def test_how_each_probes_for_itself_is_its_own_and_how_one_probes_for_all_is_not() -> None:
    own, shared = (
        {digest(Pool("web", (A, B), health=Health(scope=scope, interval_s=s))) for s in (1.0, 2.0)}
        for scope in get_args(ProbeScope)
    )
    assert (len(own), len(shared)) == (1, 2)


def test_sticky_cookies_of_another_name_are_another_pool() -> None:
    pools = [Pool("web", (A, B)), *(Pool("web", (A, B), sticky=Sticky(name, ("k" * 16,))) for name in ("lb", "other"))]
    assert len(set(map(digest, pools))) == 3
    assert digest(pools[1]) == digest(Pool("web", (B, A), sticky=Sticky("lb", ("another key",))))


OLD, NEW, STRANGE = "0123456789abcdef", "fedcba9876543210", "a key of somebody else"


@pytest.mark.parametrize(
    ("here", "there", "is_said"),
    [
        ((OLD,), (OLD,), False),
        ((OLD,), (STRANGE,), True),
        ((OLD,), (OLD, NEW), False),
        ((NEW, OLD), (OLD, NEW), False),
        ((NEW, OLD), (NEW,), False),
        ((NEW, OLD), (OLD,), True),
    ],
)
def test_sticky_keys_that_are_not_believed_there_are_said_and_none_is_told(
    here: tuple[str, ...], there: tuple[str, ...], is_said: bool
) -> None:
    ours, theirs = (
        described(name, "1", 1, config_of(Pool("web", (A, B), sticky=Sticky("lb", keys))))
        for name, keys in (("here", here), ("there", there))
    )
    assert not any(key in str(to_fields(ours)) for key in here)
    text = "machine there has another sticky key (web): clients that change machines lose their backend"
    assert differences(ours, {"there": theirs}) == ((text,) if is_said else ())


def config_of(pool: Pool) -> Config:
    return Config("", (), (pool,), (), State("/tmp"))


def test_each_machine_that_differs_is_named_with_its_pools() -> None:
    others = {
        "same": dataclasses.replace(OURS, name="same"),
        "far": dataclasses.replace(OURS, name="far", pools={"web": "other", "more": "m"}),
    }
    assert differences(OURS, others) == (
        "machine far has other pools (missing there: api, missing here: more, different: web)",
    )


def test_other_rate_limits_are_said_and_silence_of_an_older_version_is_none() -> None:
    def limited(*limits: RateLimit | None) -> Machine:
        routes = [Route(f"r{n}", "pool", pool="web", rate_limit=limit) for n, limit in enumerate(limits)]
        return described("there", "1", 1, Config("", (), (Pool("web", (A,)),), tuple(routes), State("/x")))

    ours = limited(RateLimit(10.0, 10), None, RateLimit(0.5, 1))
    assert ours.rates == {"r0": "10/s+10", "r2": "0.5/s+1"}
    assert differences(ours, {"there": limited(RateLimit(10.0, 10), None, RateLimit(0.5, 1))}) == ()
    assert differences(ours, {"there": dataclasses.replace(ours, name="there", rates=None)}) == ()
    for other, named in (
        (limited(RateLimit(10.0, 20), None, RateLimit(0.5, 1)), "r0"),
        (limited(RateLimit(10.0, 10), RateLimit(1.0, 1), None), "r1, r2"),
    ):
        said = differences(ours, {"there": other})
        assert said == (f"machine there has other rate limits ({named}): what both let through adds up",)
