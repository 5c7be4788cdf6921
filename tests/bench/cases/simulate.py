"""How long `lb simulate` takes for a million requests, as a user types it, start and all: no network."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.bench import processes
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan

REQUESTS = 1_000_000
SCENARIO, POLICIES = "homogeneous", ("round_robin", "peak_ewma")


def run(plan: Plan) -> Outcome:
    """The figure is of the slowest of a few policies, once: there is nothing to compare it with."""
    taken_s = {policy: _one(plan, policy) for policy in POLICIES}
    body = tuple((policy, f"{spent:.1f}") for policy, spent in taken_s.items())
    table = Table(f"A million simulated requests: {SCENARIO}", ("policy", "s"), body)
    return Outcome("simulate", (table,), {"simulate_s": [max(taken_s.values())]}, taken_s)


def _one(plan: Plan, policy: str) -> float:
    """Seconds on the clock. RuntimeError if it was not a million."""
    options = (SCENARIO, "--policy", policy, "--requests", str(REQUESTS), "--json")
    command = processes.pinned([sys.executable, "-m", "lb.cli.main", "simulate", *options], plan.cores.balancer)
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    taken_s = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    (result,) = json.loads(done.stdout)["scenarios"][0]["policies"]
    if result["requests"] != REQUESTS:
        raise RuntimeError(f"{result['requests']} requests were simulated, not {REQUESTS}")
    return taken_s
