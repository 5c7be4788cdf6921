"""Who is asked for a region's clients: the region itself, then the nearest that has somebody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, Pool
from lb.policies.geo import InRegion, nearest
from lb.policies.table import create
from tests.unit.policies.context import FakeContext, picks

NEAR = ("EU", "US", "APAC")


def members(*regions: str, weights: tuple[int, ...] = ()) -> tuple[Backend, ...]:
    weights = weights or (1,) * len(regions)
    pairs = zip(regions, weights, strict=True)
    return tuple(Backend(f"b{i}", region=region, weight=weight) for i, (region, weight) in enumerate(pairs))


@pytest.mark.parametrize(
    ("regions", "eligible", "found"),
    [
        (("EU", "US", "APAC", "EU"), (0, 1, 2, 3), ("EU", [0, 3])),
        (("EU", "US", "APAC", "EU"), (1, 2), ("US", [1])),
        (("EU", "US", "APAC", "EU"), (2,), ("APAC", [2])),
        (("EU", "", "APAC"), (0, 1, 2), ("EU", [0, 1])),
        (("EU", "", "APAC"), (1, 2), ("EU", [1])),
        (("", ""), (0, 1), ("EU", [0, 1])),
        (("MARS", "APAC"), (0, 1), ("APAC", [1])),
        (("MARS", "MOON"), (0, 1), ("", [0, 1])),
    ],
)
def test_the_nearest(regions: tuple[str, ...], eligible: tuple[int, ...], found: tuple[str, list[int]]) -> None:
    assert nearest(members(*regions), eligible, NEAR) == found


def test_a_weight_of_nothing_keeps_nobody_in_its_region() -> None:
    pool = members("EU", "US", "MARS", weights=(0, 1, 1))
    assert nearest(pool, (0, 1, 2), NEAR) == ("US", [1])
    assert nearest(pool, (0, 2), NEAR) == ("", [2])
    assert nearest(pool, (0,), NEAR) == ("EU", [0])


@given(regions=st.lists(st.sampled_from(("EU", "US", "APAC", "", "MARS")), min_size=1, max_size=12), data=st.data())
def test_somebody_is_found_while_anybody_is_eligible(regions: list[str], data: st.DataObject) -> None:
    eligible = sorted(data.draw(st.sets(st.integers(0, len(regions) - 1), min_size=1)))
    weights = tuple(data.draw(st.lists(st.integers(0, 2), min_size=len(regions), max_size=len(regions))))
    pool = members(*regions, weights=weights)
    region, found = nearest(pool, eligible, NEAR)
    assert found and set(found) <= set(eligible)
    assert {pool[i].region or "EU" for i in found} == {region} or region == ""


def test_round_robin_has_its_order_within_the_region() -> None:
    pool = members("EU", "US", "EU", "APAC", "EU")
    policy = InRegion(create("round_robin", Pool("web", pool)), NEAR)
    assert picks(policy.build(pool, range(5)), FakeContext(), 6) == [0, 2, 4, 0, 2, 4]
    assert (policy.cycle, policy.is_local) == (3, True)
    assert picks(policy.build(pool, (1, 3)), FakeContext(), 2) == [1, 1]
    assert (policy.cycle, policy.is_local) == (1, False)


def test_a_weighted_order_says_its_own_cycle() -> None:
    pool = members("EU", "EU", "US", weights=(5, 1, 9))
    policy = InRegion(create("weighted_round_robin", Pool("web", pool)), NEAR)
    assert picks(policy.build(pool, range(3)), FakeContext(), 6).count(0) == 5
    assert policy.cycle == 6


def test_what_geo_chooses_by_is_the_pools_choice() -> None:
    pool = Pool("web", members("EU", "EU"), geo_inner="round_robin")
    assert picks(create("geo", pool).build(pool.backends, (0, 1)), FakeContext(), 4) == [0, 1, 0, 1]
