"""What the bench says about numbers: no balancer, no load."""

from __future__ import annotations

import pytest

from tests.bench import figures, report
from tests.bench.cases import tail
from tests.bench.outcome import Table, paired_ratios


def test_a_ratio_is_taken_within_each_round_so_that_drift_cancels() -> None:
    assert paired_ratios([30, 60], [10, 20]) == [3.0, 3.0]


def test_a_bound_is_met_from_its_own_side() -> None:
    rows = figures.judge(
        {"cpu_vs_nginx": [1.9], "per_core_vs_caddy": [1.7], "idle_kib": [25.0], "cpu_vs_nginx_bare": [9.0]}
    ).rows
    assert [row[-1] for row in rows] == ["aim met", "for information", "must met", "MISSED"]


def test_no_figure_is_formed_where_there_were_errors() -> None:
    assert figures.judge({"cpu_vs_nginx": []}).rows[0][1::4] == ("-", "not valid: errors")


def test_rounds_that_disagree_about_the_must_decide_nothing() -> None:
    assert figures.judge({"cpu_vs_nginx": [1.4, 1.8, 3.6]}).rows[0][-1].startswith("UNDECIDED")
    assert figures.judge({"cpu_vs_nginx": [1.8] * 8 + [3.6]}).rows[0][-1] == "aim met"
    assert figures.judge({"cpu_vs_nginx": [1.8] * 5 + [3.6] * 4}).rows[0][-1].startswith("UNDECIDED")


@pytest.mark.parametrize(
    ("count", "left_out"),
    [(1, 0), (3, 0), (4, 0), (5, 0), (7, 0), (8, 1), (9, 1), (15, 3)],
)
def test_the_interval_of_the_median_is_the_sign_tests(count: int, left_out: int) -> None:
    """Conover, Practical Nonparametric Statistics, table of binomial sums at 90 %."""
    rounds = [float(number) for number in range(count)]
    assert figures.median_interval(rounds) == (float(left_out), float(count - 1 - left_out))


def test_only_what_was_measured_is_judged() -> None:
    assert figures.judge({}).rows == ()


def test_tables_come_as_text_and_as_markdown() -> None:
    table = Table("Speed", ("system", "µs"), (("lb", "31.0"),), ("quiet machine",))
    assert report.as_text(table) == "Speed\nsystem  µs\n----------\nlb      31.0\nquiet machine\n"
    assert report.as_markdown(table) == "## Speed\n\n| system | µs |\n|---|---|\n| lb | 31.0 |\n\nquiet machine\n"


def test_the_tail_is_judged_against_who_has_the_lowest_median() -> None:
    def rounds(*p99s: float) -> list[dict[str, float]]:
        return [{"p99": p99, "errors": 0.0} for p99 in p99s]

    results = {
        tail.JUDGED: rounds(50, 60, 70),
        tail.Subject("nginx-bare", "", "round robin"): rounds(500, 100, 700),
        tail.Subject("traefik", "leasttime", "other"): rounds(100, 100, 100),
        tail.Subject("caddy", "least_conn", "other"): rounds(50, 200, 300),
        tail.Subject("lb", "random", "ours"): rounds(1, 1, 1),
    }
    assert tail.ratios(results) == {"vs_round_robin": [0.1, 0.6, 0.1], "vs_best": [0.5, 0.6, 0.7]}


def test_a_failed_request_of_ours_voids_the_tail() -> None:
    other = tail.Subject("traefik", "p2c", "other")
    assert tail.ratios({tail.JUDGED: [{"p99": 1.0, "errors": 1.0}], other: [{"p99": 9.0, "errors": 0.0}]}) == {}
