"""What holds for every policy there is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.config.names import HASH_TABLES
from lb.model import Pool
from lb.policies.table import POLICIES, create
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks

NAMES = sorted(POLICIES)
HASHES = ("ip_hash", "sticky_round_robin", *HASH_TABLES)
"""They share keys, not requests."""


def test_the_names_a_configuration_can_use() -> None:
    assert NAMES == [
        "adaptive",
        "consistent_hash",
        "contract_hash",
        "custom",
        "geo",
        "geo_aware",
        "ip_hash",
        "least_connections",
        "least_response_time",
        "maglev",
        "peak_ewma",
        "power_of_two",
        "prequal",
        "random",
        "ring_hash",
        "round_robin",
        "sticky_round_robin",
        "url_hash",
        "weighted_round_robin",
    ]


def test_the_default_policy_of_a_pool_exists() -> None:
    assert Pool(id="web", backends=()).policy in POLICIES


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        create("roundrobin", Pool(id="web", backends=()))


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[int], list[int], FakeContext]:
    """Weights, eligible positions, and a context with loads, latencies (some unknown) and scores."""
    size = draw(st.integers(1, 90))
    weights = draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    eligible = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))
    loads = draw(st.lists(st.integers(0, 50), min_size=size, max_size=size))
    seconds = st.one_of(st.just(0.0), st.floats(1e-6, 60.0))
    latencies = draw(st.lists(seconds, min_size=size, max_size=size))
    scores = draw(st.lists(st.floats(0.0, 1.0), min_size=size, max_size=size))
    seed = draw(st.integers(0, 2**16))
    return weights, eligible, FakeContext(loads=loads, latencies=latencies, scores=scores, seed=seed)


@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_never_one_that_is_not_eligible(pool: tuple[list[int], list[int], FakeContext]) -> None:
    """One pool for all of them: to draw it takes longer than to pick from it."""
    weights, eligible, ctx = pool
    for name in NAMES:
        pick = picker_of(name, members_of(weights), eligible)
        for n in range(20):
            ctx.key = b"198.51.100.%d" % n
            assert pick(ctx) in eligible, name


@pytest.mark.parametrize("name", NAMES)
def test_a_single_candidate_is_taken_without_asking_anybody(name: str) -> None:
    ctx = FakeContext()
    assert set(picks(picker_of(name, members_of([3, 1, 2]), [1]), ctx, 5)) == {1}
    assert ctx.asked == [] and ctx.ticket() == 0


@pytest.mark.parametrize(
    "name", [name for name in NAMES if "round_robin" not in name or name == "weighted_round_robin"]
)
def test_weight_zero_gets_nothing_while_another_has_a_weight(name: str) -> None:
    pick = picker_of(name, members_of([0, 1, 2]))
    ctx = FakeContext(loads=[0, 9, 9], latencies=[0.001, 1.0, 1.0])
    for n in range(200):
        ctx.key = b"192.0.2.%d" % n
        assert pick(ctx) != 0


@pytest.mark.parametrize("name", NAMES)
def test_weight_zero_everywhere_is_better_than_no_answer(name: str) -> None:
    assert picker_of(name, members_of([0, 0]), [0, 1])(FakeContext(loads=[1, 1])) in (0, 1)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HASHES])
def test_equals_share_equally(name: str) -> None:
    """All idle, all of one latency and score: nobody below 80 % or above 120 % of the fair share."""
    for size in (2, 3, 7, 100):
        ctx = FakeContext(latencies=[0.02] * size)
        taken = picks(picker_of(name, members_of([1] * size)), ctx, 1000 * size)
        shares = [taken.count(i) / 1000 for i in range(size)]
        assert min(shares) > 0.8 and max(shares) < 1.2, (size, shares)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*HASHES, "round_robin")])
def test_an_idle_pool_honours_the_weights(name: str) -> None:
    ctx = FakeContext(latencies=[0.02] * 3)
    taken = picks(picker_of(name, members_of([6, 3, 1])), ctx, 20_000)
    assert [round(taken.count(i) / 20_000, 1) for i in range(3)] == [0.6, 0.3, 0.1]
