"""How long a worker's hub stands still while it follows changes of a pool of 1,000: no network, the worker's own code."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from tests.bench import processes, turns
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan

BACKENDS = 1_000
KINDS = {"rest": "nothing", "health": "one is down, and up again", "membership": "one is added or taken away"}


def run(plan: Plan) -> Outcome:
    """A figure's rounds are the policies: the slowest change of each."""
    found = {policy: _one(plan, policy) for policy in turns.POLICIES}
    rows = tuple(
        (policy, KINDS[kind], f"{median(longest):.2f}", f"{max(longest):.2f}")
        for policy, by_kind in found.items()
        for kind, longest in by_kind.items()
    )
    header = ("policy", "change", "median ms", "longest ms")
    title = f"Longest turn of a worker while it follows a change, {BACKENDS:,} backends"
    longest = [max(median(by_kind["health"]), median(by_kind["membership"])) for by_kind in found.values()]
    return Outcome("turns", (Table(title, header, rows),), {"turn_ms": [max(longest)]}, found)


def _one(plan: Plan, policy: str) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "tests.bench.turns", "--policy", policy, "--backends", str(BACKENDS)]
    done = subprocess.run(
        processes.pinned(command, plan.cores.balancer), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found
