"""What the WSGI path (any WSGI server) costs beside the worker path."""

from __future__ import annotations

from statistics import median

from tests.bench import wrk
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.rounds import interleave, ratios


def run(plan: Plan) -> Outcome:
    with plan.all_running(plan.chosen("lb", "lb-wsgi"), "wsgi") as balancers:
        found = interleave(plan, balancers, wrk.Load(plan.seconds, 64, "plain", plan.cores.load))
    rows = tuple(
        (one.name, f"{median(one.whole_us):.1f}", f"{one.rps:,.0f}", f"{one.latency_ms('p99'):.2f}", str(one.errors))
        for one in found.values()
    )
    header = ("path", "CPU µs/request", "requests/s", "p99 ms", "errors")
    both = "lb" in found and "lb-wsgi" in found
    figures = {"wsgi_vs_worker": ratios(found["lb-wsgi"], found["lb"])} if both else {}
    raw = {name: one.as_json() for name, one in found.items()}
    return Outcome("wsgi", (Table("Worker path and WSGI path", header, rows),), figures, raw)
