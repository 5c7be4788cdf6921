"""The figures we hold ourselves to: one literal table of must and aim, and the verdict on a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Literal

from tests.bench.outcome import Table

Direction = Literal["at most", "at least"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``must`` None: for information."""

    key: str
    text: str
    direction: Direction
    must: float | None
    aim: float | None
    unit: str = "x"

    def is_met(self, measured: float, bound: float) -> bool:
        return measured <= bound if self.direction == "at most" else measured >= bound

    def verdict(self, rounds: Sequence[float]) -> str:
        """On the median; but a must inside the interval in which the true one lies has not been decided."""
        if not rounds:
            return "not valid: errors"
        if self.must is None:
            return "for information"
        if len({self.is_met(value, self.must) for value in median_interval(rounds)}) > 1:
            return "UNDECIDED: the rounds disagree"
        if self.aim is not None and self.is_met(median(rounds), self.aim):
            return "aim met"
        return "must met" if self.is_met(median(rounds), self.must) else "MISSED"

    def bound(self, value: float | None) -> str:
        sign = "≤" if self.direction == "at most" else "≥"
        return "" if value is None else f"{sign} {value:g} {self.unit}"


def median_interval(rounds: Sequence[float]) -> tuple[float, float]:
    """Where the true median lies with a chance of at least 90 %, whatever the noise is like (sign test: each round is
    above it with a chance of one half). Fewer than five rounds cannot tell so much: their whole range."""
    count = len(rounds)
    outside, cut = 0.0, 0
    while cut < count // 2 and outside + 2 * comb(count, cut) / 2**count <= 0.1:
        outside += 2 * comb(count, cut) / 2**count
        cut += 1
    ordered = sorted(rounds)
    leave = max(cut - 1, 0)
    return ordered[leave], ordered[count - 1 - leave]


FIGURES: tuple[Figure, ...] = (
    Figure("cpu_vs_nginx", "CPU per request vs nginx doing the same work", "at most", 3.0, 2.0),
    Figure("cpu_vs_nginx_unique", "the same, every request's head different", "at most", None, None),
    Figure("cpu_vs_nginx_bare", "CPU per request vs bare nginx", "at most", None, None),
    Figure("as_written_cpu_vs_nginx", "not compiled: CPU per request vs nginx doing the same work", "at most", None, None),
    Figure("as_written_per_core_vs_caddy", "not compiled: requests/s per core vs Caddy as it comes", "at least", None, None),
    Figure("as_written_per_core_vs_traefik", "not compiled: requests/s per core vs Traefik as it comes", "at least", None, None),
    Figure("per_core_vs_caddy", "requests/s per core vs Caddy as it comes", "at least", 1.6, 2.5),
    Figure("per_core_vs_caddy_log", "requests/s per core vs Caddy with its access log", "at least", None, None),
    Figure("per_core_vs_traefik", "requests/s per core vs Traefik as it comes", "at least", 1.2, 2.0),
    Figure("per_core_vs_traefik_log", "requests/s per core vs Traefik with its access log", "at least", None, None),
    Figure("two_workers_cpu", "CPU per request, two workers vs one", "at most", 1.15, 1.05),
    Figure("two_workers_least_share", "the smaller share of two workers", "at least", 40.0, None, "%"),
    Figure("pick_fast", "pick: the slowest of round robin, weighted, random, power of two, peak EWMA, hash", "at most", 5.0, 2.0, "µs"),
    Figure("pick_flat", "the same at 10,000 backends vs at 3", "at most", None, None),
    Figure("pick_least", "pick: least connections and adaptive at 100 backends", "at most", 25.0, None, "µs"),
    Figure("pick_bounded", "pick: hash with bounded load, at worst", "at most", None, None, "µs"),
    Figure("table_ms", "the table of 1,000 backends, the slowest of ring, maglev, rendezvous, contract", "at most", 200.0, None, "ms"),
    Figure("turn_ms", "a worker's longest turn while 1,000 backends change, by the policy where it is longest", "at most", 2.0, None, "ms"),
    Figure("simulate_s", "a million simulated requests", "at most", 60.0, None, "s"),
    Figure("large_vs_nginx", "1 MiB answers, CPU per byte vs nginx", "at most", 2.5, 1.2),
    Figure("upload_vs_nginx", "1 MiB request bodies, CPU per byte vs nginx", "at most", 2.5, 1.2),
    Figure("idle_kib", "memory per idle keep-alive connection", "at most", 24.0, 4.0, "KiB"),
    Figure("start_s", "from lb run to the first proxied request", "at most", 1.5, None, "s"),
    Figure("start_cpu_s", "CPU of a start and its end, all processes", "at most", None, None, "s"),
    Figure("worker_mib", "memory of a worker at rest", "at most", 60.0, None, "MiB"),
    Figure("wsgi_vs_worker", "WSGI path, CPU per request vs the worker path", "at most", 8.0, 5.0),
    Figure("tail_slow_vs_round_robin", "one backend slow: p99 of peak_ewma vs the best round robin of others", "at most", 0.5, None),
    Figure("tail_slow_vs_best", "one backend slow: p99 of peak_ewma vs the best of others with any policy", "at most", 1.0, None),
    Figure("tail_turns_vs_best", "a backend turns slow and back: the same", "at most", None, None),
)  # fmt: skip


def judge(measured: Mapping[str, Sequence[float]]) -> Table:
    """Every figure that was measured, with its range over the rounds, its bounds, and whether it is met."""
    rows = tuple(_row(figure, measured[figure.key]) for figure in FIGURES if figure.key in measured)
    return Table("Figures", ("figure", "median", "range of rounds", "must", "aim", "verdict"), rows)


def _row(figure: Figure, rounds: Sequence[float]) -> tuple[str, ...]:
    middle = f"{median(rounds):.2f} {figure.unit}" if rounds else "-"
    spread = f"{min(rounds):.2f} - {max(rounds):.2f}" if rounds else "-"
    return figure.text, middle, spread, figure.bound(figure.must), figure.bound(figure.aim), figure.verdict(rounds)
