"""Which part of the requests each level and zone gets, and that a draw keeps to it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, ZoneOptions
from lb.policies.portions import Portion, by_level, by_zone, levels_of, split
from tests.unit.policies.context import FakeContext

PREFER = ZoneOptions(prefer=True, min_backends=1)


def pool(*levels: int | str, zones: str = "") -> tuple[Backend, ...]:
    """By backend: its priority, or ``b`` for a backup; and a letter each for its zone."""
    return tuple(
        Backend(
            f"b{i}",
            backup=level == "b",
            priority=0 if level == "b" else int(level),
            zone=zones[i] if zones else "",
        )
        for i, level in enumerate(levels)
    )


def shares(members: tuple[Backend, ...], healthy: list[int], factor: float | None) -> dict[tuple[int, ...], float]:
    found = by_level(members, range(len(members)), healthy, factor)
    return {one.positions: pytest.approx(one.share) for one in found}


def test_backups_are_the_level_behind_all_others() -> None:
    assert levels_of(pool(0, 3, "b")) == (0, 3, 4)
    assert levels_of(pool("b", "b")) == (0, 0)


def test_without_a_factor_a_level_has_everything_while_it_has_anybody() -> None:
    members = pool(0, 0, 1, "b")
    assert shares(members, [1, 2, 3], None) == {(1,): 1.0}
    assert shares(members, [2, 3], None) == {(2,): 1.0}
    assert shares(members, [3], None) == {(3,): 1.0}
    assert shares(members, [], None) == {}


@pytest.mark.parametrize(
    ("healthy", "first", "second"),
    [(10, 1.0, 0.0), (8, 1.0, 0.0), (7, 0.98, 0.02), (5, 0.70, 0.30), (1, 0.14, 0.86), (0, 0.0, 1.0)],
)
def test_what_a_level_cannot_bear_goes_to_the_next(healthy: int, first: float, second: float) -> None:
    """Envoy's table: 72 % healthy with a factor of 1.4 still take everything."""
    members = pool(*[0] * 10, *[1] * 10)
    found = by_level(members, range(20), [*range(healthy), *range(10, 20)], 1.4)
    share = {members[one.positions[0]].priority: one.share for one in found}
    assert (share.get(0, 0.0), share.get(1, 0.0)) == pytest.approx((first, second))


def test_where_all_together_bear_too_little_each_bears_its_part() -> None:
    """Envoy: 20 % and 20 % healthy, so 28 % each: half and half."""
    members = pool(*[0] * 10, *[1] * 10)
    assert shares(members, [0, 1, 10, 11], 1.4) == {(0, 1): 0.5, (10, 11): 0.5}


def test_whom_an_operator_took_out_is_missed_by_no_level() -> None:
    members = pool(0, 0, 0, 0, 1)
    found = by_level(members, [0, 1, 4], [0, 1, 4], 1.4)
    assert found == [Portion(1.0, (0, 1))]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=20),
    st.one_of(st.none(), st.floats(1.01, 10)),
    st.sampled_from("abc"),
)
def test_shares_are_a_whole_and_only_of_the_healthy(
    kinds: list[tuple[int, bool, bool]], factor: float | None, zone: str
) -> None:
    members = tuple(Backend(f"b{i}", priority=kind[0], zone="abc"[i % 3]) for i, kind in enumerate(kinds))
    ready = [i for i, kind in enumerate(kinds) if kind[1]]
    healthy = [i for i in ready if kinds[i][2]]
    levels = by_level(members, ready, healthy, factor)
    portions = [one for level in levels for one in by_zone(members, ready, level, zone, PREFER)]
    assert sum(one.share for one in portions) == pytest.approx(1.0 if healthy else 0.0)
    taken = [i for one in portions for i in one.positions]
    assert len(set(taken)) == len(taken) and set(taken) <= set(healthy)
    assert all(one.share > 0 and one.positions for one in portions)


# --- zones


def zoned(healthy: str, options: ZoneOptions = PREFER, zone: str = "a") -> dict[str, float]:
    """Twelve backends, four in each zone; ``healthy``: a letter for each that is. By zones: what they get."""
    members = pool(*[0] * 12, zones="aaaabbbbcccc")
    positions = [i for name in "abc" for i in range(12) if members[i].zone == name][:]
    up = tuple(i for name in "abc" for i in [p for p in positions if members[p].zone == name][: healthy.count(name)])
    found = by_zone(members, range(12), Portion(1.0, up), zone, options)
    return {"".join(sorted({members[i].zone for i in one.positions})): round(one.share, 3) for one in found}


def test_the_own_zone_gets_everything_it_can_bear() -> None:
    assert zoned("aaaabbbbcccc") == {"a": 1.0}
    assert zoned("aaabbbbcccc") == {"a": 1.0}, "three of four bear 105 %"


def test_the_rest_goes_to_the_others_by_what_is_healthy_there() -> None:
    assert zoned("aabbbbcccc") == {"a": 0.7, "b": 0.15, "c": 0.15}
    assert zoned("aabcccc") == {"a": 0.7, "b": 0.06, "c": 0.24}
    assert zoned("bbbbc") == {"bc": 1.0}


@pytest.mark.parametrize(
    ("options", "zone"),
    [(ZoneOptions(prefer=True, min_backends=13), "a"), (ZoneOptions(), "a"), (PREFER, ""), (PREFER, "z")],
    ids=["small", "not asked for", "no zone of ours", "nobody there"],
)
def test_zones_do_not_count(options: ZoneOptions, zone: str) -> None:
    assert zoned("aaaabbbbcccc", options, zone) == {"abc": 1.0}


def test_weights_are_capacity() -> None:
    members = (Backend("big", weight=9, priority=0), Backend("small", weight=1), Backend("next", priority=1))
    assert by_level(members, range(3), [0, 2], 1.4) == [Portion(1.0, (0,))]
    assert [round(one.share, 2) for one in by_level(members, range(3), [1, 2], 1.4)] == [0.14, 0.86]


# --- the draw


def test_a_draw_keeps_to_the_shares() -> None:
    pick = split([(0.7, lambda ctx: 0), (0.2, lambda ctx: 1), (0.1, lambda ctx: 2)], by_key=False)
    ctx = FakeContext()
    taken = Counter(pick(ctx) for _ in range(10_000))
    assert [round(taken[i] / 10_000, 1) for i in range(3)] == [0.7, 0.2, 0.1]


def test_a_key_keeps_its_portion() -> None:
    pick = split([(0.5, lambda ctx: 0), (0.5, lambda ctx: 1)], by_key=True)
    ctx = FakeContext()
    of_key = {}
    for n in range(200):
        ctx.key = b"198.51.100.%d" % n
        of_key[n] = pick(ctx)
        assert {pick(ctx) for _ in range(5)} == {of_key[n]}
    assert 60 < sum(of_key.values()) < 140
