"""Levels, then the subset of each, then zones: the order in which a balancer looks at its backends."""

from __future__ import annotations

from lb.model import Pool, ZoneOptions
from lb.policies.groups import Groups, Standing, everybody
from lb.policies.table import deciding
from lb.structs import replace
from tests.unit.policies.context import members_of

MEMBERS = tuple(
    replace(one, zone="ab"[i % 2], priority=i // 8, backup=i == 15) for i, one in enumerate(members_of([1] * 16))
)
ALL = range(16)


def groups(zone: str = "", place: float = 0.0, **options: object) -> Groups:
    pool = replace(Pool("web", MEMBERS), **options)  # type: ignore[arg-type]
    return Groups(pool, Standing(zone, lambda: place))


def test_the_first_level_is_everybody_without_further_options() -> None:
    assert [one.positions for one in groups("a").portions(ALL)] == [tuple(range(8))]
    assert groups().portions(()) == []


def test_the_subset_is_of_each_level_and_the_zone_of_the_subset() -> None:
    healthy = [i for i in ALL if i not in (0, 1, 2, 3)]
    options = {"overprovisioning": 1.4, "subset": 3, "zones": ZoneOptions(prefer=True, min_backends=2)}
    first, *rest = groups("a", 0.3, **options).portions(healthy)
    assert all(MEMBERS[i].zone == "a" and MEMBERS[i].priority == 0 for i in first.positions)
    assert sum(one.share for one in (first, *rest)) == 1.0
    assert len(everybody([first, *rest])) <= 6
    levels = groups("", 0.3, overprovisioning=1.4, subset=3).portions(healthy)
    assert [(round(one.share, 2), len(one.positions)) for one in levels] == [(0.7, 3), (0.3, 3)]


def test_which_policy_decides() -> None:
    pool = Pool("web", MEMBERS, geo_inner="prequal")
    assert [deciding(name, pool) for name in ("geo", "geo_aware", "random")] == ["prequal", "geo_aware", "random"]
