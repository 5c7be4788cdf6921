"""Levels, zones and subsets of a pool as requests see them: who is asked, how often, and what a change of health does."""

from __future__ import annotations

from collections import Counter

import pytest

from lb.model import Backend, ZoneOptions
from lb.policies.groups import Standing
from lb.policies.subset import place_of_number
from lb.policies.table import BY_KEY, POLICIES
from lb.policies.tables import Table, Wanted, build_table
from lb.proxy.pool import LivePool
from lb.state.layout import DOWN, SH_VERDICT, UP
from lb.structs import replace
from tests.unit.proxy.live import backends, live_pool

PREFER = ZoneOptions(prefer=True)


def judged(pool: LivePool, *down: int) -> LivePool:
    """All are up but ``down``."""
    for i, member in enumerate(pool.members):
        member.shared[SH_VERDICT] = DOWN if i in down else UP
    pool.refresh()
    return pool


def asked(pool: LivePool, policy: str = "random", times: int = 2000) -> dict[int, float]:
    """By member: its share of the requests, which come from many clients and end at once."""
    seen: Counter[int] = Counter()
    for n in range(times):
        member = pool.pick(policy, b"198.51.%d.%d" % (n >> 8, n & 255), ())
        member.inflight[member.slot] -= 1
        seen[pool.members.index(member)] += 1
    return {i: count / times for i, count in seen.items()}


def two_levels() -> tuple[Backend, ...]:
    """0 to 4 first, 5 to 9 next."""
    return tuple(replace(one, priority=i // 5) for i, one in enumerate(backends(*range(1, 11))))


def in_zones() -> tuple[Backend, ...]:
    """0 to 3 in zone a, 4 to 7 in b."""
    return tuple(replace(one, zone="ab"[i // 4]) for i, one in enumerate(backends(*range(1, 9))))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_level_spills_over_what_it_cannot_bear_whatever_the_policy(policy: str) -> None:
    """Two of five: 1.4 x 40 % stay."""
    pool = judged(live_pool(*two_levels(), overprovisioning=1.4), 0, 1, 2)
    seen = asked(pool, policy)
    first = seen.get(3, 0.0) + seen.get(4, 0.0)
    assert first == pytest.approx(0.56, abs=0.05)
    assert set(seen) <= {3, 4, 5, 6, 7, 8, 9}


def test_a_level_has_all_while_it_can_and_without_a_factor_while_it_is_anybody() -> None:
    assert set(asked(judged(live_pool(*two_levels(), overprovisioning=1.4), 0))) == {1, 2, 3, 4}
    assert set(asked(judged(live_pool(*two_levels()), 0, 1, 2, 3))) == {4}
    assert set(asked(judged(live_pool(*two_levels()), 0, 1, 2, 3, 4))) == {5, 6, 7, 8, 9}


def test_recovery_takes_the_requests_back() -> None:
    pool = judged(live_pool(*two_levels(), overprovisioning=1.4), 0, 1, 2)
    assert len(pool.portions) == 2
    assert set(asked(judged(pool))) == {0, 1, 2, 3, 4} and len(pool.portions) == 1


@pytest.mark.parametrize("policy", [name for name in sorted(POLICIES) if name in BY_KEY and name != "url_hash"])
def test_a_client_stays_with_its_backend_over_levels(policy: str) -> None:
    pool = judged(live_pool(*two_levels(), overprovisioning=1.4), 0, 1, 2)
    for n in range(50):
        key = b"198.51.100.%d" % n
        assert len({pool.pick(policy, key, ()).backend.id for _ in range(5)}) == 1


def test_a_retry_goes_to_whom_is_left_in_any_portion() -> None:
    pool = judged(live_pool(*two_levels(), overprovisioning=1.4), 0, 1, 2, 5, 6, 7, 8)
    tried = [pool.members[3], pool.members[4]]
    assert {pool.pick("random", b"", tried) for _ in range(20)} == {pool.members[9]}


def test_the_own_zone_first_and_the_other_for_what_it_cannot_bear() -> None:
    pool = live_pool(*in_zones(), zones=PREFER, standing=Standing("a"))
    assert set(asked(judged(pool))) == {0, 1, 2, 3}
    seen = asked(judged(pool, 0, 1))
    assert seen[2] + seen[3] == pytest.approx(0.70, abs=0.05) and set(seen) == {2, 3, 4, 5, 6, 7}
    assert set(asked(judged(pool, 0, 1, 2, 3, 4))) == {5, 6, 7}
    assert set(asked(judged(pool, 0, 1, 4))) == {2, 3, 5, 6, 7}, "five healthy ones are too few to be choosy"


def test_another_balancer_prefers_its_own_and_one_without_a_zone_nobody() -> None:
    assert set(asked(judged(live_pool(*in_zones(), zones=PREFER, standing=Standing("b"))))) == {4, 5, 6, 7}
    assert len(asked(judged(live_pool(*in_zones(), zones=PREFER)))) == 8
    assert len(asked(judged(live_pool(*in_zones(), standing=Standing("a"))))) == 8


def test_each_balancer_talks_to_its_subset_and_all_to_all() -> None:
    def machine(number: int) -> LivePool:
        standing = Standing(place=lambda: place_of_number(number))
        return judged(live_pool(*backends(*range(1, 13)), subset=3, standing=standing))

    machines = [machine(number) for number in range(4)]
    assert all(len(pool.eligible) == 3 for pool in machines)
    assert sorted(i for pool in machines for i in pool.eligible) == [*range(12)]


def test_whoever_of_a_subset_goes_out_is_replaced() -> None:
    pool = judged(live_pool(*backends(*range(1, 13)), subset=3))
    whole = set(pool.eligible)
    gone = min(whole)
    assert len(set(judged(pool, gone).eligible) - whole) == 1 and len(pool.eligible) == 3
    assert set(judged(pool).eligible) == whole


def test_a_subset_follows_its_balancers_number() -> None:
    place = [0.0]
    pool = judged(live_pool(*backends(*range(1, 13)), subset=3, standing=Standing(place=lambda: place[0])))
    before, place[0] = pool.eligible, 0.5
    assert pool.needs_watch(), "looked at again once a second"
    pool.refresh()
    assert not set(before) & set(pool.eligible)


def test_portions_share_a_table() -> None:
    """To map one costs half a millisecond with a thousand backends, and here for each zone at every change of health."""
    wants: list[Wanted] = []

    def source(wanted: Wanted) -> Table:
        wants.append(wanted)
        return build_table(wanted)

    members = [replace(one, zone="abc"[i % 3], priority=i % 2) for i, one in enumerate(backends(*range(1, 25)))]
    zones = ZoneOptions(prefer=True, overprovisioning=1.0)
    pool = live_pool(*members, policy="maglev", zones=zones, overprovisioning=1.0, standing=Standing("a"))
    pool._tables = source
    for i in (0, 1, 6):
        pool.members[i].shared[SH_VERDICT] = DOWN
        pool.refresh()
        assert len(pool.portions) > 2
        pool.pick("maglev", b"key", ())
    assert len(wants) == 1
