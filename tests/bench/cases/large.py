"""CPU per MiB of bodies, both ways: answers of 1 MiB, and requests of 1 MiB."""

from __future__ import annotations

from statistics import median

from tests.bench import wrk
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.rounds import Series, interleave, ratios

_CONNECTIONS = 16


def run(plan: Plan) -> Outcome:
    with plan.all_running(plan.balancers, "large") as balancers:
        down = interleave(plan, balancers, wrk.Load(plan.seconds, _CONNECTIONS, "plain", plan.cores.load), "/large")
        up = interleave(plan, balancers, wrk.Load(plan.seconds, _CONNECTIONS, "upload", plan.cores.load), "/upload")
    figures: dict[str, list[float]] = {}
    if "lb" in down and "nginx" in down:
        figures["large_vs_nginx"] = ratios(down["lb"], down["nginx"])
        figures["upload_vs_nginx"] = ratios(up["lb"], up["nginx"])
    raw = {name: {one.name: one.as_json() for one in series.values()} for name, series in (("down", down), ("up", up))}
    return Outcome("large", (_table(down, up),), figures, raw)


def _table(down: dict[str, Series], up: dict[str, Series]) -> Table:
    rows = tuple(
        (
            name,
            f"{median(down[name].whole_us):,.0f}",
            f"{down[name].rps:,.0f}",
            f"{median(up[name].whole_us):,.0f}",
            f"{up[name].rps:,.0f}",
            str(down[name].errors + up[name].errors),
        )
        for name in down
    )
    header = ("system", "CPU µs/MiB down", "MiB/s down", "CPU µs/MiB up", "MiB/s up", "errors")
    return Table(f"Bodies of 1 MiB, {_CONNECTIONS} connections", header, rows)
