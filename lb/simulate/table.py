"""A comparison as a table for a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lb.simulate.compare import Comparison
from lb.simulate.numbers import milliseconds, percent
from lb.simulate.result import PERCENTILES, Result

COLUMNS = (*(f"p{percent:g}" for percent in PERCENTILES), "errors", "retries", "most", "least", "busy")


def table_of(comparison: Comparison) -> Table:
    """The best of each percentile stands out."""
    table = Table(
        title=_title(comparison), caption=_caption(comparison), title_justify="left", caption_justify="left",
        box=SIMPLE_HEAD, padding=0, pad_edge=False,
    )  # fmt: skip
    table.add_column("policy", min_width=20)
    near = list(comparison.results[0].near)
    for column in (*COLUMNS, *near):
        table.add_column(column, justify="right", no_wrap=True)
    best = [min(_latencies(result)[place] for result in comparison.results) for place in range(len(PERCENTILES))]
    for result in comparison.results:
        table.add_row(result.policy, *_row(result, best))
    return table


_CAPTION = (
    "Latencies in ms, of answers. most, least: requests of the backend with most and fewest, its fair share being 1. "
    "busy: busy time of the busiest, the mean being 1."
)


_NEAR = {
    "region": "of answers by a backend in the client's region",
    "zone": "of answers by a backend in the balancer's zone",
    "session": "of answers in a session by its backend",
}


def _caption(comparison: Comparison) -> str:
    known = comparison.results[0].near
    return _CAPTION + "".join(f" {name}: part {text}." for name, text in _NEAR.items() if name in known)


def _title(comparison: Comparison) -> str:
    scenario = comparison.scenario
    requests = max(result.requests for result in comparison.results)
    machines = f"{scenario.balancers.count} x {scenario.workers} workers, " if scenario.balancers.count > 1 else ""
    return (
        f"{scenario.name}: {scenario.about}\n"
        f"{requests:,} requests, {machines}{len(scenario.backends)} backends, seed {scenario.seed}"
    )


def _latencies(result: Result) -> list[float]:
    return [result.percentile_ms(percent) for percent in PERCENTILES]


def _row(result: Result, best: list[float]) -> list[str]:
    latencies = [
        f"[bold]{milliseconds(ms)}[/bold]" if ms == least else milliseconds(ms)
        for ms, least in zip(_latencies(result), best, strict=True)
    ]
    shares = (result.most_share, result.least_share, result.busy_imbalance)
    return [
        *latencies,
        percent(result.failed / result.requests if result.requests else 0.0),
        f"{result.retries:,}",
        *(f"{one:.2f}" for one in shares),
        *(percent(part) for part in result.near.values()),
    ]
