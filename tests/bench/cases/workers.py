"""What sharing costs: CPU per request with two workers and with one, and how evenly two serve.

Nothing is pinned here: on two cores the load shares them with the workers, so only CPU per request
is compared, not requests/s, and it takes more rounds than other cases to tell.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from statistics import median

from tests.bench import wrk
from tests.bench.cpu import measure
from tests.bench.outcome import Outcome, Table, paired_ratios
from tests.bench.plan import Plan
from tests.bench.systems import ours
from tests.bench.systems.base import Running, running

_COUNTS = (1, 2)
_TIMES = 8
"""So many rounds for each of the plan's: two rounds differ by half where the median of forty lies within a few hundredths."""


def run(plan: Plan) -> Outcome:
    cpu_us: dict[int, list[float]] = {count: [] for count in _COUNTS}
    shares: dict[int, list[list[float]]] = {count: [] for count in _COUNTS}
    if not plan.chosen("lb"):
        return Outcome("workers", ())
    with contextlib.ExitStack() as stack:
        balancers = [
            stack.enter_context(
                running(ours.WORKER_PATH, replace(plan.site(f"workers-{count}"), workers=count, cores=plan.cores.every))
            )
            for count in _COUNTS
        ]
        rounds = _TIMES * plan.rounds
        for number in range(rounds):
            for balancer in balancers if number % 2 == 0 else reversed(balancers):
                spent, share = _one(plan, balancer)
                cpu_us[balancer.site.workers].append(spent)
                shares[balancer.site.workers].append(share)
            print(f"  round {number + 1} of {rounds}: workers", file=sys.stderr, flush=True)
    return _outcome(cpu_us, shares)


def _one(plan: Plan, balancer: Running) -> tuple[float, list[float]]:
    """CPU µs per request, and each worker's percentage of the requests."""
    before = ours.requests_by_pid(balancer.site)
    found = measure(balancer.url + "/", balancer.pids, wrk.Load(plan.seconds, 64, "plain", None))
    served = {pid: count - before.get(pid, 0) for pid, count in ours.requests_by_pid(balancer.site).items()}
    total = sum(served.values())
    if total < 0.9 * found.sample.requests:
        raise RuntimeError(f"workers counted {total} requests where {found.sample.requests} were answered")
    return found.cpu_us_per_request(), sorted(100 * count / total for count in served.values())


def _outcome(cpu_us: dict[int, list[float]], shares: dict[int, list[list[float]]]) -> Outcome:
    figures = {
        "two_workers_cpu": paired_ratios(cpu_us[2], cpu_us[1]),
        "two_workers_least_share": [share[0] if len(share) == 2 else 0.0 for share in shares[2]],
    }
    rows = tuple(
        (
            str(count),
            f"{median(cpu_us[count]):.1f}",
            _said(shares[count]),
        )
        for count in _COUNTS
    )
    table = Table("One worker and two", ("workers", "CPU µs/request", "share of each worker"), rows)
    raw = {"cpu_us": {str(count): values for count, values in cpu_us.items()}, "shares": shares[2]}
    return Outcome("workers", (table,), figures, raw)


def _said(shares: list[list[float]]) -> str:
    """Of the rounds in the middle, and in the most uneven one."""
    middle = sorted(shares, key=lambda share: share[0])[len(shares) // 2]
    said = " / ".join(f"{part:.0f} %" for part in middle)
    return said if len(middle) == 1 else f"{said}, at worst {min(share[0] for share in shares):.0f} %"
