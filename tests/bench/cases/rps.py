"""CPU per request, requests/s and latencies of every system, on equal and on unique request heads."""

from __future__ import annotations

from statistics import median

from tests.bench import wrk
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.rounds import Series, interleave, ratios

TITLE = "1 KiB answers, 64 keep-alive connections"
_HEADER = (
    "system", "CPU µs/request", "best", "workers only", "requests/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "errors", "what",
)  # fmt: skip
_FIGURES = {
    "cpu_vs_nginx": "nginx",
    "cpu_vs_nginx_bare": "nginx-bare",
}
_PER_CORE = {
    "per_core_vs_caddy": "caddy",
    "per_core_vs_caddy_log": "caddy-log",
    "per_core_vs_traefik": "traefik",
    "per_core_vs_traefik_log": "traefik-log",
}


def run(plan: Plan) -> Outcome:
    with plan.all_running(plan.balancers, "rps") as balancers:
        found = {
            script: interleave(plan, balancers, wrk.Load(plan.seconds, 64, script, plan.cores.load))
            for script in ("plain", "unique")
        }
    tables = (
        _table(plan, f"{TITLE}, equal heads", found["plain"]),
        _table(plan, f"{TITLE}, every head different", found["unique"]),
    )
    raw = {script: {name: one.as_json() for name, one in series.items()} for script, series in found.items()}
    return Outcome("rps", tables, _figures(found["plain"], found["unique"]), raw)


def _figures(plain: dict[str, Series], unique: dict[str, Series]) -> dict[str, list[float]]:
    if "lb" not in plain:
        return {}
    ours = plain["lb"]
    figures = {key: ratios(ours, plain[name]) for key, name in _FIGURES.items() if name in plain}
    figures |= {key: ratios(plain[name], ours) for key, name in _PER_CORE.items() if name in plain}
    if "lb-as-written" in plain:
        as_written = plain["lb-as-written"]
        figures |= {
            f"as_written_{key}": ratios(as_written, plain[name]) for key, name in _FIGURES.items() if name in plain
        }
        figures |= {
            f"as_written_{key}": ratios(plain[name], as_written) for key, name in _PER_CORE.items() if name in plain
        }
    if "nginx" in unique:
        figures["cpu_vs_nginx_unique"] = ratios(unique["lb"], unique["nginx"])
    return figures


def _table(plan: Plan, title: str, series: dict[str, Series]) -> Table:
    notes = {system.name: system.note for system in plan.systems}
    rows = tuple(
        (
            one.name,
            f"{median(one.whole_us):.1f}",
            f"{min(one.whole_us):.1f}",
            f"{median(one.workers_us):.1f}",
            f"{one.rps:,.0f}",
            *(f"{one.latency_ms(percentile):.2f}" for percentile in ("p50", "p90", "p99", "p999")),
            str(one.errors),
            f"{notes[one.name]}; VOID: {one.lack}" if one.lack else notes[one.name],
        )
        for one in series.values()
    )
    return Table(title, _HEADER, rows)
