"""Zones, levels, subsets, regions and sessions in a scenario: who answers, and what is said about names that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.simulate.result import Result
from tests.unit.simulate.scenarios import result, results
from tests.unit.simulate.test_load import SMALLEST, mistakes

SERVICE = "slots: 50, service: {constant: 10ms}"


def asked(seen: Result) -> dict[str, int]:
    """By group of backends."""
    counts: dict[str, int] = {}
    for one in seen.backends:
        group = one.id.rpartition("-")[0]
        counts[group] = counts.get(group, 0) + one.attempts
    return counts


def zones(more: str = "", faults: str = "", policy: str = "round_robin") -> str:
    return (
        f"arrivals: {{rate: 400/s}}\nduration: 20s\nbalancers: {{count: 2, zones: [a, b]}}\npolicies: [{policy}]\n"
        f"zones: {{prefer: true}}\nhealth: {{interval: 100ms, fall: 1}}\n{more}\nbackends:\n"
        f"  a: {{count: 2, zone: a, {SERVICE}}}\n  lost: {{count: 2, zone: a, {SERVICE}{faults}}}\n"
        f"  b: {{count: 4, zone: b, {SERVICE}}}\n"
    )


def test_a_balancer_stays_in_its_zone_and_gives_away_what_that_cannot_bear(tmp_path: Path) -> None:
    assert result(tmp_path, zones()).near["zone"] == 1.0
    down = ", faults: [{at: 0, down: true}]"
    seen = result(tmp_path, zones(faults=down))
    spilled = 1 - 1.4 / 2
    assert seen.near["zone"] == pytest.approx(1 - spilled / 2, abs=0.02)
    assert result(tmp_path, zones("overprovisioning: 1.4").replace("prefer: true", "prefer: false")).near["zone"] < 0.6


def test_another_zone_is_farther_away(tmp_path: Path) -> None:
    seen = result(tmp_path, zones("away: {zone: 5ms}", ", faults: [{at: 0, down: true}]"))
    assert seen.percentile_ms(50.0) == pytest.approx(10.0)
    assert seen.percentile_ms(99.0) == pytest.approx(15.0)


def test_a_level_comes_after_those_before_it_and_backups_after_all(tmp_path: Path) -> None:
    text = (
        "arrivals: {rate: 400/s}\nduration: 12s\npolicies: [round_robin]\nhealth: {interval: 100ms, fall: 1}\nbackends:\n"
        f"  first: {{count: 2, {SERVICE}, faults: [{{at: 3s, down: true}}]}}\n"
        f"  next: {{count: 2, priority: 1, {SERVICE}, faults: [{{at: 6s, down: true}}]}}\n"
        f"  spare: {{backup: true, {SERVICE}}}\n"
    )
    seen = result(tmp_path, text)
    assert asked(seen) == pytest.approx({"first": 1200, "next": 1200, "spare": 2400}, rel=0.1)
    assert not seen.failed


def test_a_balancer_talks_to_its_subset_only(tmp_path: Path) -> None:
    text = (
        "arrivals: {rate: 400/s}\nrequests: 2000\nbalancers: 4\nsubset: 2\npolicies: [random]\n"
        f"backends: {{equal: {{count: 16, {SERVICE}}}}}\n"
    )
    numbered, named = (result(tmp_path, text.replace("balancers: 4", f"balancers: {said}")) for said in (
        "4", "{count: 4, numbered: false}",
    ))  # fmt: skip
    assert [one.attempts > 0 for one in numbered.backends].count(True) == 8, "four places a quarter apart"
    assert 2 <= [one.attempts > 0 for one in named.backends].count(True) <= 8


REGIONS = f"""
arrivals: {{rate: 400/s}}
duration: 10s
geo: {{clients: {{EU: 60%, US: 30%, APAC: 10%}}}}
balancers: {{count: 3, regions: [EU, US, APAC]}}
health: {{interval: 100ms, fall: 1}}
away: {{region: 80ms}}
policies: [geo, {{name: geo, inner: round_robin}}, {{name: geo, inner: prequal}}, {{name: geo, inner: least_response_time}}, geo_aware, adaptive]
backends:
  eu: {{count: 3, region: EU, {SERVICE}}}
  us: {{count: 2, region: US, {SERVICE}}}
  apac: {{region: APAC, {SERVICE}}}
"""


def test_clients_are_answered_in_their_region(tmp_path: Path) -> None:
    for seen in results(tmp_path, REGIONS):
        assert seen.near == {"region": 1.0}
        assert seen.percentile_ms(100.0) == pytest.approx(10.0)
        assert asked(seen) == pytest.approx({"eu": 2400, "us": 1200, "apac": 400}, rel=0.25)


def test_what_does_not_know_regions_goes_anywhere(tmp_path: Path) -> None:
    seen = result(tmp_path, REGIONS.replace("policies: [geo, ", "policies: [random] #"))
    assert seen.near["region"] < 0.6
    assert seen.percentile_ms(99.0) == pytest.approx(90.0)


def test_the_nearest_region_answers_for_one_that_is_out(tmp_path: Path) -> None:
    """US goes before EU for APAC, as in a configuration, unless the scenario says otherwise."""
    text = REGIONS.replace("region: APAC, ", "region: APAC, faults: [{at: 0, down: true}], ")
    text = text.replace("policies: [geo, ", "policies: [geo] #")
    seen = result(tmp_path, text)
    usual, other = asked(seen), asked(result(tmp_path, text.replace("10%}}", "10%}, nearest: {APAC: [EU]}}")))
    assert usual["us"] > 1.2 * other["us"] and other["eu"] > 1.1 * usual["eu"]
    assert seen.near["region"] == pytest.approx(0.9, abs=0.03)


def sticky(share: str, faults: str = "") -> str:
    return (
        f"arrivals: {{rate: 400/s}}\nduration: 10s\nclients: {{count: 200, sticky: {share}}}\npolicies: [round_robin]\n"
        f"backends:\n  good: {{count: 3, {SERVICE}}}\n  bad: {{{SERVICE}{faults}}}\n"
    )


def test_sessions_stay_while_their_backend_is_up(tmp_path: Path) -> None:
    assert result(tmp_path, sticky("100%")).near == {"session": 1.0}
    lost = result(tmp_path, sticky("50%", ", faults: [{at: 5s, down: true}]"))
    assert 0.9 < lost.near["session"] < 1.0
    assert not lost.failed
    assert result(tmp_path, sticky("0%")).near == {}


@pytest.mark.parametrize(
    ("more", "backend", "mistake"),
    [
        ("balancers: {count: 2, zones: [a, a, a]}", "zone: a", "6:23: 3 zones for a `count` of 2"),
        ("balancers: {count: 2, zones: [east, eats]}", "zone: east", "6:37: no backend is in zone `eats`, did you mean `east`?"),
        ("zones: {prefer: true}", "", "6:9: no balancer is in a zone: write `balancers: {count: 3, zones: [a, b, c]}`"),
        ("away: {zone: 1ms}", "", "6:8: no balancer is in a zone: write `balancers: {count: 3, zones: [a, b, c]}`"),
        ("away: {region: 1ms}", "", "6:8: no balancer is in a region: write `balancers: {count: 2, regions: [EU, US]}`"),
        ("", "zone: a", "5:56: no balancer is in a zone: write `balancers: {count: 3, zones: [a, b, c]}`"),
        ("", "region: EU", "5:64: nobody knows where clients are: write `geo: {clients: {EU: 70%, US: 30%}}`"),
        ("geo: {clients: {EU: 99%}}", "region: EU", "6:7: the shares add up to 99%, expected 100%"),
        ("geo: {clients: {EUROPE: 100%}}", "region: EUROPA", "5:64: `EUROPA` is no region of `geo.clients`, did you mean `EUROPE`?"),
        ("geo: {clients: {EU: 100%}, nearest: {EU: [US]}}", "", "6:43: `US` is no region of `geo.clients`: there are EU"),
        ("geo: {clients: {EU: 100%}, nearest: {US: [EU]}}", "", "6:38: `US` is no region of `geo.clients`: there are EU"),
        ("", "zones: a", "5:56: unknown key `zones`, did you mean `zone`?"),
        ("geo: {database: a.mmdb, clients: {EU: 100%}}", "", "6:7: unknown key `database`: expected one of clients, nearest"),
        ("timeouts: {connect: 1s}", "", "6:12: `connect` is not simulated: connections take no time here"),
        ("health: {type: none}", "", "6:10: `type` is not simulated: a probe fails while a backend is `down`, whatever it asks for"),
        ("sticky: lb_backend", "", "6:1: unknown key `sticky`: expected one of about, "),
    ],
)  # fmt: skip
def test_names_that_only_one_side_knows_and_keys_that_mean_nothing(
    tmp_path: Path, more: str, backend: str, mistake: str
) -> None:
    text = SMALLEST.replace("10ms}", f"10ms}}, {backend}" if backend else "10ms}")
    (said,) = mistakes(tmp_path, text + more)
    assert said.startswith(mistake)
