"""Interleaved rounds: A B C, C B A, A B C. What the machine does meanwhile hits all alike."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from statistics import median

from tests.bench import wrk
from tests.bench.access_logs import LineCount
from tests.bench.cpu import Measure, measure
from tests.bench.outcome import paired_ratios
from tests.bench.plan import Plan
from tests.bench.systems.base import Running

_FLUSHED_S = 1.5
"""Logs that are batched by the second are on the disk after this."""


class Series:
    """The measures of one system, one a round, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.whole_us: list[float] = []
        self.workers_us: list[float] = []
        self.samples: list[wrk.Sample] = []
        self.lack = ""
        """Work it should have done and did not: then its figures mean nothing."""

    def add(self, found: Measure, worker_pids: list[int]) -> None:
        self.whole_us.append(found.cpu_us_per_request())
        self.workers_us.append(found.cpu_us_per_request(worker_pids))
        self.samples.append(found.sample)

    @property
    def rps(self) -> float:
        return median(sample.rps for sample in self.samples)

    @property
    def errors(self) -> int:
        return sum(sample.socket_errors + sample.bad_statuses for sample in self.samples)

    @property
    def is_valid(self) -> bool:
        return not self.errors and not self.lack

    def latency_ms(self, percentile: str) -> float:
        """Median over the rounds of ``p50``, ``p90``, ``p99`` or ``p999``."""
        micros: list[int] = [getattr(sample, percentile) for sample in self.samples]
        return median(micros) / 1000

    def as_json(self) -> dict[str, object]:
        return {
            "cpu_us": self.whole_us,
            "cpu_us_workers": self.workers_us,
            "lack": self.lack,
            "rounds": [asdict(sample) for sample in self.samples],
        }


def ratios(dividend: Series, divisor: Series) -> list[float]:
    """CPU per request of one ÷ the other, round by round; empty when either had errors or did not do all its work: that is cheap."""
    if not (dividend.is_valid and divisor.is_valid):
        return []
    return paired_ratios(dividend.whole_us, divisor.whole_us)


def interleave(plan: Plan, balancers: list[Running], load: wrk.Load, path: str = "/") -> dict[str, Series]:
    """``plan.rounds`` measures of each, after a warm-up of one second each that is thrown away.

    RuntimeError if one lost a part it should have.
    """
    series = {one.system.name: Series(one.system.name) for one in balancers}
    logs = {one.system.name: LineCount(one) for one in balancers}
    for one in balancers:
        wrk.run(one.url + path, wrk.Load(1, load.connections, load.script, load.core))
    time.sleep(_FLUSHED_S)
    warmed = {name: log.take() for name, log in logs.items()}
    for number in range(plan.rounds):
        for one in balancers if number % 2 == 0 else reversed(balancers):
            logs[one.system.name].take()
            series[one.system.name].add(measure(one.url + path, one.pids, load), one.worker_pids())
            _refuse_incomplete(one)
        print(f"  round {number + 1} of {plan.rounds}: {load.script} {path}", file=sys.stderr, flush=True)
    for name, log in logs.items():
        series[name].lack = log.lack(warmed[name] + sum(sample.requests for sample in series[name].samples))
    return series


def _refuse_incomplete(balancer: Running) -> None:
    """A part that died under load did no work, and its CPU time is gone from the sum."""
    if lack := balancer.system.lacks(balancer.site, balancer.pids()):
        raise RuntimeError(f"{balancer.system.name} is not complete: {lack}")
