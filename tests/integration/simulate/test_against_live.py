"""The simulator against the real thing: policies that it calls far apart come in the same order on a live balancer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from lb.simulate.compare import compare
from lb.simulate.load import load
from lb.simulate.result import Result
from tests.bench import ports, processes
from tests.chaos.process.running import Run

POLICIES = ("round_robin", "power_of_two", "peak_ewma")
RATE, SECONDS, SLOTS, FAST_MS, SLOW_MS, BACKENDS = 120, 8, 2, 40, 400, 4
TIMEOUT_S = 5
"""Of a request, here and there: behind a backend that is full for good it would wait for ever."""
FAR = 2.0

SCENARIO = f"""
about: One of four small backends is ten times slower.
arrivals: {{rate: {RATE}/s}}
duration: 60s
workers: 1
timeouts: {{first_byte: {TIMEOUT_S}s, total: {TIMEOUT_S}s}}
policies: [{", ".join(POLICIES)}]
backends:
  fast: {{count: {BACKENDS - 1}, slots: {SLOTS}, service: {{exponential: {FAST_MS}ms}}}}
  slow: {{slots: {SLOTS}, service: {{exponential: {SLOW_MS}ms}}}}
"""


def test_what_is_far_apart_in_simulation_is_in_the_same_order_live(tmp_path: Path) -> None:
    simulated, live = _simulated(tmp_path), _live(tmp_path)
    print({policy: (round(simulated[policy]), round(live[policy])) for policy in POLICIES})
    far = [sorted(pair, key=simulated.__getitem__) for pair in combinations(POLICIES, 2)]
    far = [(low, high) for low, high in far if simulated[high] >= FAR * simulated[low]]
    assert len(far) == 3, "the scenario tells all three apart"
    assert [live[low] < live[high] for low, high in far] == [True] * len(far), (simulated, live)


def _simulated(folder: Path) -> dict[str, float]:
    """The 99th percentile in milliseconds, by policy."""
    file = folder / "scenario.yaml"
    file.write_text(SCENARIO)
    return {result.policy: _with_failures(result) for result in compare(load(str(file), {})).results}


def _with_failures(result: Result) -> float:
    """As the load generator counts: a request that failed took as long as it took to fail."""
    return 1000.0 * TIMEOUT_S if result.failed > result.requests / 100 else result.percentile_ms(99.0)


def _live(folder: Path) -> dict[str, float]:
    """The same, of a live balancer: each policy has backends and an open loop of requests of its own, all at once."""
    with _backends(folder) as found, _balancer(folder, found) as port:
        loads = {policy: _load(port, policy) for policy in POLICIES}
        return {policy: _p99(load) for policy, load in loads.items()}


@contextmanager
def _backends(folder: Path) -> Iterator[list[int]]:
    found = ports.free(BACKENDS * len(POLICIES))
    command = [sys.executable, "-m", "tests.bench.slow_backends", "--slots", str(SLOTS)]
    command += ["--ports", ",".join(map(str, found)), "--mean-ms", str(FAST_MS)]
    process = processes.start(command, folder / "backends.log")
    try:
        assert all(ports.wait_for(port, path="/ready") for port in found)
        for port in found[BACKENDS - 1 :: BACKENDS]:
            assert ports.answers(port, f"/mean/{SLOW_MS}")
        yield found
    finally:
        processes.stop(process)


@contextmanager
def _balancer(folder: Path, backends: list[int]) -> Iterator[int]:
    pools = {}
    for at, policy in enumerate(POLICIES):
        of_policy = backends[at * BACKENDS : (at + 1) * BACKENDS]
        urls = [f"http://127.0.0.1:{port}" for port in of_policy]
        pools[policy] = {"policy": policy, "backends": urls, "timeouts": {"first_byte": f"{TIMEOUT_S}s"}}
    routes = [{"host": f"{policy.replace('_', '-')}.test", "pool": policy} for policy in POLICIES]
    run = Run(folder / "lb", backends, workers=1)
    run.configure(pools=pools, routes=routes)
    try:
        run.start()
        run.wait_until_ready()
        yield run.port
    finally:
        run.end()


def _load(port: int, policy: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.open_loop", "--port", str(port), "--timeout", str(TIMEOUT_S)]
    command += ["--rate", str(RATE), "--seconds", str(SECONDS), "--host", f"{policy.replace('_', '-')}.test"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _p99(load: subprocess.Popen[str]) -> float:
    said, _ = load.communicate(timeout=120)
    if load.returncode:
        pytest.fail("the load generator failed")
    return float(json.loads(said)["p99"])
