"""A user's own policy in a simulation."""

from __future__ import annotations

from pathlib import Path

from tests.unit.config.test_custom_policy import documented, policies
from tests.unit.simulate.scenarios import loaded, results
from tests.unit.simulate.test_load import mistakes

SCENARIO = """
arrivals: {rate: 200/s}
requests: 4000
policies: [{class: "policies:Fastest"}, round_robin, {class: "policies:Fastest", options: {share: 0.5}}]
backends:
  quick: {slots: 8, service: {exponential: 10ms}}
  slow: {slots: 8, service: {exponential: 50ms}}
"""


def test_it_runs_as_it_does_in_a_worker(tmp_path: Path) -> None:
    policies(tmp_path, documented()[0])
    fastest, fair, curious = results(tmp_path, SCENARIO)
    assert [one.label for one in loaded(tmp_path, SCENARIO).contenders] == [
        "policies:Fastest",
        "round_robin",
        "policies:Fastest (options.share 0.5)",
    ]
    assert fastest.percentile_ms(50.0) < fair.percentile_ms(50.0)
    assert results(tmp_path, SCENARIO)[2] == curious


def test_one_that_fails_is_replaced_by_its_fallback(tmp_path: Path) -> None:
    policies(
        tmp_path,
        documented()[0].replace(
            "            return min", "            ctx.ticket() > 50 and ctx.nothing\n            return min"
        ),
    )
    failing = results(tmp_path, SCENARIO)[0]
    assert failing.errors == {}


def test_a_mistake_has_a_line(tmp_path: Path) -> None:
    policies(tmp_path, "class Other: pass\n")
    assert mistakes(tmp_path, SCENARIO)[0] == "4:20: `policies` has no `Fastest`"
