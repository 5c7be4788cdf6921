"""Regions of clients, and what policies that prefer them do in a pool."""

from __future__ import annotations

from random import Random

import pytest

from lb.geo.countries import DEFAULT_NEAREST, DEFAULT_REGIONS
from lb.geo.region_map import by_nearness
from lb.model import Backend, Geo
from lb.proxy.cells import private_cells
from lb.proxy.pool import LivePool
from lb.proxy.regions import MOST_ADDRESSES, Regions
from lb.state.layout import (
    DOWN,
    R_ELSEWHERE,
    R_LOCAL,
    SH_CPU_MILLI,
    SH_METRICS_NS,
    SH_VERDICT,
    UP,
    W_GEO_LOOK_UPS,
    W_GEO_UNKNOWN,
)
from tests.support.scripted import FakeSegment
from tests.unit.proxy.live import Cursors, live_pool

GEO = Geo("db", "US", DEFAULT_REGIONS, by_nearness(DEFAULT_REGIONS, DEFAULT_NEAREST))
PLACES = {b"eu": ("DE", "EU"), b"apac": ("JP", "AS"), b"us": ("US", "NA")}


class Atlas:
    """Knows ``PLACES``, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def locate(self, address: bytes) -> tuple[str, str]:
        self.asked.append(address)
        return PLACES.get(address, ("", ""))


def regions() -> Regions:
    return Regions(GEO, Atlas().locate, private_cells())


def test_an_address_is_looked_up_once() -> None:
    atlas, cells = Atlas(), private_cells()
    found = Regions(GEO, atlas.locate, cells)
    assert [found[b"eu"], found[b"eu"], found[b"apac"], found[b"10.0.0.1"]] == ["EU", "EU", "APAC", "US"]
    assert atlas.asked == [b"eu", b"apac", b"10.0.0.1"]
    assert (cells.counters[W_GEO_LOOK_UPS], cells.counters[W_GEO_UNKNOWN]) == (3, 1)


def test_not_more_is_remembered_than_fits() -> None:
    found = regions()
    for number in range(MOST_ADDRESSES + 1):
        assert found[b"%d" % number] == "US"
    assert len(found) == 1


def pool_of(*places: str, policy: str = "geo", inner: str = "round_robin", **settings: object) -> LivePool:
    backends = [Backend(f"b{i}", host="127.0.0.1", port=i + 1, region=place) for i, place in enumerate(places)]
    return live_pool(*backends, regions=regions(), policy=policy, geo_inner=inner, **settings)  # type: ignore[arg-type]


def pick(pool: LivePool, client: bytes, policy: str = "geo", excluded: tuple[int, ...] = ()) -> int:
    assert pool.regional is not None
    name = pool.regional.name_for(policy, client)
    return pool.members.index(pool.pick(name, client, [pool.members[i] for i in excluded]))


def test_each_region_has_a_round_robin_order_of_its_own() -> None:
    pool = pool_of("EU", "APAC", "EU", "US", "EU")
    taken = [(pick(pool, b"eu"), pick(pool, b"apac")) for _ in range(4)]
    assert taken == [(0, 1), (2, 1), (4, 1), (0, 1)]


def test_tickets_are_told_the_cycle_of_the_region() -> None:
    cursors = Cursors()
    pool = pool_of("EU", "APAC", "EU", "EU", cursors=cursors)
    pick(pool, b"eu")
    pick(pool, b"apac")
    assert {name: source.cycle for name, source in cursors.sources.items()} == {"geo@EU": 3, "geo@APAC": 1}
    assert pool.regional is not None
    assert pool.regional.order("geo@EU") == ("region:web/EU", "round_robin")
    assert pool.regional.order("adaptive@EU") == ("region:web/EU", "adaptive")
    assert pool.regional.order("round_robin") == ("pool:web", "round_robin")


def judged(pool: LivePool, *verdicts: int) -> LivePool:
    for member, verdict in zip(pool.members, verdicts, strict=True):
        member.shared[SH_VERDICT] = verdict
    pool.refresh()
    return pool


def test_while_the_region_is_down_the_nearest_other_one_answers_and_then_the_region_again() -> None:
    pool = pool_of("EU", "APAC", "US")
    assert [pick(judged(pool, *verdicts), b"eu") for verdicts in ((UP, UP, UP), (DOWN, UP, UP), (DOWN, UP, DOWN))] == [
        0, 2, 1,
    ]  # fmt: skip
    assert pick(judged(pool, UP, UP, UP), b"eu") == 0
    assert [pick(pool, b"apac"), pick(pool, b"us")] == [1, 2]


def test_a_retry_stays_in_the_region_and_leaves_it_before_it_gives_up() -> None:
    pool = pool_of("EU", "APAC", "EU", "US")
    assert pick(pool, b"eu", excluded=(0,)) == 2
    assert pick(pool, b"eu", excluded=(0, 2)) == 3
    assert pick(pool, b"eu", excluded=(0, 2, 3)) == 1


def test_a_region_that_is_full_is_not_available() -> None:
    full = [
        Backend(f"b{i}", host="127.0.0.1", port=i + 1, region=place, max_inflight=1)
        for i, place in enumerate(("EU", "US"))
    ]
    pool = live_pool(*full, regions=regions(), policy="geo", geo_inner="least_connections")
    assert [pick(pool, b"eu"), pick(pool, b"eu")] == [0, 1]


@pytest.mark.parametrize("policy", ["geo", "geo_aware", "adaptive"])
def test_all_that_prefer_regions(policy: str) -> None:
    pool = pool_of("EU", "APAC", "EU", "US", inner="peak_ewma")
    assert {pick(pool, b"eu", policy) for _ in range(50)} == {0, 2}
    assert {pick(pool, b"apac", policy) for _ in range(10)} == {1}


def test_other_policies_of_the_pool_know_no_regions() -> None:
    pool = pool_of("EU", "APAC", "US")
    assert pool.regional is not None and "round_robin" not in pool.regional.names
    assert [pool.members.index(pool.pick("round_robin", b"eu", ())) for _ in range(3)] == [0, 1, 2]


def test_picks_are_counted_by_the_clients_region_and_where_they_led() -> None:
    pool = pool_of("EU", "US")
    for client in (b"eu", b"eu", b"apac", b"us"):
        pick(pool, client)
    judged(pool, DOWN, UP)
    pick(pool, b"eu")
    assert pool.regional is not None
    counted = {region: (cells[R_LOCAL], cells[R_ELSEWHERE]) for region, cells in pool.regional.counters.items()}
    assert counted == {"EU": (2, 1), "US": (1, 0), "APAC": (0, 1)}


def workers_of(machines: int, each: int, *places: str) -> list[LivePool]:
    """Of machines that know nothing of each other, whose workers share memory."""
    pools = []
    for machine in range(machines):
        memory = FakeSegment(slots=each)
        for index in range(each):
            pool = pool_of(*places, policy="adaptive", segment=memory.of_worker(index))
            pool.random = Random(100 * machine + index).random
            pools.append(pool)
    return pools


def report(pools: list[LivePool], *cpu_percent: int) -> None:
    for pool in pools:
        for member, percent in zip(pool.members, cpu_percent, strict=True):
            member.shared[SH_CPU_MILLI], member.shared[SH_METRICS_NS] = percent * 1000, 1


def test_adaptive_herds_nobody_to_the_best_score_of_a_region_over_workers_and_machines() -> None:
    """Between two reports, which all have heard: always taking the best score would send everything to one."""
    pools = workers_of(3, 4, "EU", "EU", "EU", "EU", "APAC")
    report(pools, 10, 12, 14, 16, 0)
    taken = [0] * 5
    for round in range(200):
        for pool in pools:
            taken[pick(pool, b"eu", "adaptive")] += 1
        if round == 0:
            assert max(taken) <= 7, "the first twelve decide at the same moment"
    assert taken[4] == 0
    assert all(0.9 < count / 600 < 1.1 for count in taken[:4]), taken


def test_a_region_is_scored_by_itself() -> None:
    """The best of all is elsewhere, and the worst of the region gets less than its equals."""
    pools = workers_of(2, 4, "EU", "EU", "EU", "APAC")
    report(pools, 20, 20, 100, 0)
    taken = [0] * 4
    for _ in range(100):
        for pool in pools:
            i = pick(pool, b"eu", "adaptive")
            taken[i] += 1
            pool.members[i].inflight[pool.members[i].slot] -= 1  # answered at once
    assert taken[3] == 0
    assert 0.85 < taken[0] / taken[1] < 1.15
    assert taken[2] < 0.75 * taken[0]


def test_where_machines_share_an_order_the_controller_knows_each_regions_cycle_before_a_ticket_is_taken() -> None:
    cursors = Cursors()
    pool = pool_of("EU", "APAC", "EU", cursors=cursors, on_store_loss="open")
    pool.refresh()
    judged(pool, UP, UP, UP)
    assert {name: cursors.sources[name].cycle for name in ("geo@EU", "geo@APAC", "geo@US")} == {
        "geo@EU": 2,
        "geo@APAC": 1,
        "geo@US": 2,
    }
    judged(pool, DOWN, UP, UP)
    assert cursors.sources["geo@EU"].cycle == 1


def test_who_waited_over_a_reload_that_took_regions_away_is_served_all_the_same() -> None:
    """Its policy was named by the pool of before."""
    without = live_pool(Backend("b", host="127.0.0.1", port=1), geo_inner="round_robin")
    assert without.pick("geo@EU", b"eu", ()) is without.members[0]
    other = pool_of("EU", "US")
    assert {other.members.index(other.pick("geo@MARS", b"eu", ())) for _ in range(2)} == {0, 1}
