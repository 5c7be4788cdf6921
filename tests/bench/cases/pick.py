"""Cost of one pick of every policy at 3 to 10,000 backends, and of the tables of 1,000: no network, the policies' own code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TypedDict

from tests.bench import processes
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan

FAST = (
    "round_robin", "weighted_round_robin", "random", "power_of_two", "peak_ewma", "ip_hash",
    "consistent_hash", "ring_hash", "maglev", "url_hash", "contract_hash", "rendezvous",
)  # fmt: skip
BOUNDED = ("ring, bounded", "maglev, bounded")
TABLES = ("ring_hash", "maglev", "rendezvous", "contract_hash")
LEAST = ("least_connections", "adaptive")


class Row(TypedDict):
    policy: str
    members: int
    weights: str
    pick_us: float
    build_ms: float


def run(plan: Plan) -> Outcome:
    command = processes.pinned([sys.executable, "-m", "tests.bench.pick", "--json"], plan.cores.balancer)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    rows: list[Row] = json.loads(done.stdout)
    return Outcome("pick", (_table(rows),), _figures(rows), rows)


def _figures(rows: list[Row]) -> dict[str, list[float]]:
    fast = [row for row in rows if row["policy"] in FAST]
    cost = {(row["policy"], row["weights"], row["members"]): row["pick_us"] for row in fast}
    sizes = {row["members"] for row in fast}
    growth = [cost[policy, weights, max(sizes)] / cost[policy, weights, min(sizes)] for policy, weights, _ in cost]
    least = [row["pick_us"] for row in rows if row["policy"] in LEAST and row["members"] == 100]
    bounded = [row["pick_us"] for row in rows if row["policy"] in BOUNDED]
    tables = [row["build_ms"] for row in rows if row["policy"] in TABLES and row["members"] == 1_000]
    return {
        "pick_fast": [max(cost.values())],
        "pick_flat": [max(growth)],
        "pick_bounded": [max(bounded)],
        "pick_least": [max(least)],
        "table_ms": [max(tables)],
    }


def _table(rows: list[Row]) -> Table:
    """A line per policy and kind of weights, a column per number of backends."""
    sizes = sorted({row["members"] for row in rows})
    lines: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        lines.setdefault((row["policy"], row["weights"]), {})[row["members"]] = row
    body = tuple(
        (
            policy,
            weights,
            *(f"{found[size]['pick_us']:.2f}" for size in sizes),
            *(f"{found[size]['build_ms']:.1f}" for size in sizes[-2:]),
        )
        for (policy, weights), found in lines.items()
    )
    header = (
        "policy",
        "weights",
        *(f"µs at {size:,}" for size in sizes),
        *(f"build ms at {size:,}" for size in sizes[-2:]),
    )
    return Table("One pick", header, body)
