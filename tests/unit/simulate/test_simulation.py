"""What a simulation promises: the same bytes again, no request lost, and policies that do what they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lb.model import CUSTOM
from lb.policies.table import POLICIES
from lb.simulate.compare import simulate
from tests.unit.simulate.scenarios import loaded, result, results

CANNOT_BALANCE = {"contract_hash"}
"""Its own docstring says why."""

TROUBLE = """
arrivals: {rate: 1500/s}
requests: 20000
balancers: 3
workers: 2
clients: {count: 100, skew: 1}
retry: {attempts: 3, on: [connect, reset, timeout, 503]}
timeouts: {first_byte: 300ms, total: 1s}
policies: [round_robin, ip_hash, least_connections, adaptive, peak_ewma]
backends:
  good: {count: 2, slots: 8, service: {lognormal: {median: 10ms, sigma: 1}}}
  short: {slots: 2, queue: 4, weight: 2, max_inflight: 3, service: {pareto: {least: 5ms, alpha: 1.5}}}
  bad:
    count: 2
    slots: 8
    service: {bimodal: {usual: 5ms, rare: 400ms, share: 2%}}
    antagonists: {slow: 3, lasts: 500ms, every: 2s}
    faults:
      - {at: 2s, lasts: 1s, every: 3s, down: true}
      - {at: 4s, lasts: 2s, failing: 50%}
      - {at: 6s, slow: 5}
"""


PLACES = """
arrivals: {rate: 1500/s}
requests: 20000
clients: {count: 500, sticky: 40%}
geo: {clients: {EU: 70%, US: 30%}}
balancers: {count: 4, zones: [a, b], regions: [EU, US]}
away: {region: 80ms, zone: 1ms}
zones: {prefer: true, min_backends: 2}
subset: 6
overprovisioning: 1.4
policies: [round_robin, maglev, geo, adaptive]
backends:
  near: {count: 4, zone: a, region: EU, slots: 8, service: {exponential: 10ms}}
  far: {count: 4, zone: b, region: US, slots: 8, service: {exponential: 10ms}, faults: [{at: 1s, lasts: 3s, down: true}]}
  next: {count: 2, priority: 1, slots: 8, service: {exponential: 10ms}}
  spare: {backup: true, slots: 8, service: {exponential: 10ms}}
"""


def test_every_request_has_one_end(tmp_path: Path) -> None:
    for seen in results(tmp_path, TROUBLE):
        assert seen.requests == 20_000 == seen.answers + seen.failed
        assert seen.errors and seen.retries, seen.policy
        assert sum(one.attempts for one in seen.backends) >= seen.answers + seen.retries


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    file = tmp_path / "trouble.yaml"
    file.write_text(TROUBLE.replace("20000", "3000"))
    places = tmp_path / "places.yaml"
    places.write_text(PLACES.replace("20000", "3000"))

    def run(*more: str, hash_seed: str) -> bytes:
        command = [sys.executable, "-m", "lb.cli.main", "simulate", str(file), str(places), "--json", *more]
        environ = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, timeout=120).stdout

    first = run(hash_seed="1")
    assert first == run(hash_seed="2")
    assert first != run("--seed", "2", hash_seed="1")
    trouble, seen = json.loads(first)["scenarios"]
    assert (len(trouble["policies"]), len(seen["policies"])) == (5, 4)
    assert all(set(one["near"]) == {"region", "zone", "session"} for one in seen["policies"])


def test_every_policy_is_asked_for_the_same(tmp_path: Path) -> None:
    """The arrivals do not depend on what a policy draws."""
    text = "arrivals: {rate: 1000/s}\nduration: 3s\npolicies: [random, peak_ewma]\n"
    text += "backends: {equal: {count: 4, slots: 100, service: {constant: 10ms}}}\n"
    first, second = results(tmp_path, text)
    assert first.requests == second.requests
    assert first.curve_ms == second.curve_ms


@pytest.mark.parametrize("policy", sorted(POLICIES.keys() - CANNOT_BALANCE - {CUSTOM}))
def test_nobody_is_starved_among_equals(tmp_path: Path, policy: str) -> None:
    seen = result(
        tmp_path,
        f"arrivals: {{load: 60%}}\nrequests: 20000\nworkers: 2\nclients: 5000\npolicies: [{policy}]\n"
        "backends: {equal: {count: 5, slots: 8, service: {exponential: 20ms}}}\n",
    )
    assert seen.least_share > 0.5
    assert not seen.failed


def test_peak_ewma_has_half_the_tail_of_round_robin_with_one_slow(tmp_path: Path) -> None:
    robin, ewma = results(
        tmp_path,
        "arrivals: {rate: 1000/s}\nduration: 20s\nworkers: 2\npolicies: [round_robin, peak_ewma]\nbackends:\n"
        "  fast: {count: 3, slots: 8, service: {exponential: 20ms}}\n"
        "  slow: {slots: 8, service: {exponential: 200ms}}\n",
    )
    assert ewma.percentile_ms(99.0) <= 0.5 * robin.percentile_ms(99.0)
    assert ewma.percentile_ms(99.0) < 130
    assert not ewma.failed


def test_weights_are_shares(tmp_path: Path) -> None:
    seen = result(
        tmp_path,
        "arrivals: {rate: 100/s}\nrequests: 4000\npolicies: [weighted_round_robin]\nbackends:\n"
        "  large: {weight: 3, slots: 8, service: {constant: 1ms}}\n  small: {slots: 8, service: {constant: 1ms}}\n",
    )
    assert [one.attempts for one in seen.backends] == [3000, 1000]
    assert seen.most_share == seen.least_share == 1.0


def test_the_order_of_a_machine_is_one_over_its_workers(tmp_path: Path) -> None:
    seen = result(
        tmp_path,
        "arrivals: {rate: 100/s}\nrequests: 3000\nworkers: 4\npolicies: [round_robin]\n"
        "backends: {equal: {count: 3, slots: 8, service: {constant: 1ms}}}\n",
    )
    assert [one.attempts for one in seen.backends] == [1000, 1000, 1000]


ONE_DOWN = """
arrivals: {rate: 500/s}
duration: 20s
policies: [round_robin]
backends:
  good: {count: 2, slots: 8, service: {exponential: 10ms}}
  down: {slots: 8, service: {exponential: 10ms}, faults: [{at: 5s, lasts: 10s, down: true}]}
"""


def test_a_refusal_is_tried_elsewhere_and_what_was_in_work_is_lost(tmp_path: Path) -> None:
    """Some two requests are in work when it goes down; the default retries a reset, so nobody sees even those."""
    seen = result(tmp_path, ONE_DOWN)
    assert not seen.failed
    assert 0 < seen.retries < 20
    without = result(tmp_path, ONE_DOWN + "retry: {attempts: 1}\n")
    assert without.errors == {"backend_reset": seen.retries}


def test_a_backend_that_was_down_comes_back_when_two_probes_succeeded(tmp_path: Path) -> None:
    """Down from 5 to 15 s, probed every 2 s: out until the second good probe, at 18 s."""
    seen = result(tmp_path, ONE_DOWN)
    down = seen.backends[2].attempts
    alone = (5 + 2) / 3 * 500
    assert down == pytest.approx(alone, rel=0.1)


def test_nobody_to_ask(tmp_path: Path) -> None:
    text = ONE_DOWN.replace("  good: {count: 2, slots: 8, service: {exponential: 10ms}}\n", "")
    seen = result(tmp_path, text)
    assert seen.errors["no_backend"] == pytest.approx(13 * 500, rel=0.1)


def test_errors_in_a_row_eject(tmp_path: Path) -> None:
    """All it answers is 503: five of those from each worker, then nothing for 30 s."""
    seen = result(
        tmp_path,
        "arrivals: {rate: 300/s}\nduration: 20s\npolicies: [round_robin]\nbackends:\n"
        "  good: {count: 2, slots: 8, service: {exponential: 10ms}}\n"
        "  bad: {slots: 8, service: {exponential: 10ms}, faults: [{at: 0, failing: 100%}]}\n",
    )
    assert seen.backends[2].attempts == 5
    assert seen.errors == {"backend_503": 5}


def test_the_budget_bounds_retries(tmp_path: Path) -> None:
    """Everybody fails, so nobody is ejected beyond half and every request would like another attempt."""
    seen = result(
        tmp_path,
        "arrivals: {rate: 300/s}\nduration: 20s\npolicies: [random]\nretry: {attempts: 3, on: [503], budget: 20%}\n"
        "backends: {bad: {count: 4, slots: 8, service: {exponential: 10ms}, faults: [{at: 0, failing: 100%}]}}\n",
    )
    assert seen.answers == 0 and seen.failed == seen.requests
    assert seen.retries <= 0.2 * seen.requests + 3 * 20 + 30


def test_answers_that_take_too_long_are_given_up(tmp_path: Path) -> None:
    seen = result(
        tmp_path,
        "arrivals: {rate: 10/s}\nrequests: 100\npolicies: [round_robin]\ntimeouts: {first_byte: 500ms}\n"
        "backends: {slow: {count: 2, slots: 50, service: {constant: 600ms}}}\n",
    )
    assert seen.errors["backend_timeout"] + seen.errors.get("no_backend", 0) == 100


def test_limits_hold(tmp_path: Path) -> None:
    """10 slots each, but the balancer gives them 1 at a time: what comes while both have one is refused."""
    seen = result(
        tmp_path,
        "arrivals: {rate: 1000/s}\nduration: 10s\npolicies: [least_connections]\n"
        "backends: {limited: {count: 2, slots: 10, max_inflight: 1, service: {constant: 10ms}}}\n",
    )
    assert seen.percentile_ms(100.0) == pytest.approx(10.0)
    assert seen.answers <= 2 * 10 / 0.01
    assert seen.errors == {"no_backend": seen.requests - seen.answers}


def test_a_full_queue_answers_at_once(tmp_path: Path) -> None:
    """M/M/1/2: offered all that it can do, a third of the requests finds the only place in the queue taken."""
    seen = result(
        tmp_path,
        "arrivals: {load: 100%}\nrequests: 50000\npolicies: [round_robin]\n"
        "backends: {only: {slots: 1, queue: 1, service: {exponential: 10ms}}}\n",
    )
    assert seen.errors["backend_503"] / seen.requests == pytest.approx(1 / 3, rel=0.03)


def test_old_counts_make_balancers_herd(tmp_path: Path) -> None:
    """The older the others' counts are, the worse is choosing by them."""
    text = (
        "arrivals: {load: 80%}\nrequests: 20000\nbalancers: 10\nsync: SYNC\npolicies: [least_connections]\n"
        "backends: {equal: {count: 20, slots: 4, service: {exponential: 20ms}}}\n"
    )
    fresh, old = (result(tmp_path, text.replace("SYNC", sync)) for sync in ("1ms", "500ms"))
    assert old.percentile_ms(99.0) > 2 * fresh.percentile_ms(99.0)


def test_the_processor_load_reaches_adaptive(tmp_path: Path) -> None:
    """Four times the slots, so a quarter of the load for the same work: more of the work goes there."""
    seen = result(
        tmp_path,
        "arrivals: {rate: 600/s}\nduration: 60s\npolicies: [{name: adaptive, weights: {cpu: 1, memory: 0, inflight: 0, latency: 0}}]\n"
        "backends:\n  small: {slots: 8, service: {exponential: 20ms}}\n  large: {slots: 32, service: {exponential: 20ms}}\n",
    )
    small, large = seen.backends
    assert large.attempts > 1.3 * small.attempts


def test_progress_is_told_in_requests(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, ONE_DOWN)
    told: list[int] = []
    seen = simulate(scenario, scenario.contenders[0], told.append)
    assert sum(told) == seen.requests == pytest.approx(scenario.expected_requests, rel=0.1)
